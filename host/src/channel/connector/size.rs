//! Checks that an activity is not larger than its channel takes, before it is sent.
//!
//! Teams counts the UTF-16 code units of the JSON text, of which it takes 20,000 (40 KB), without pictures that are
//! inline in `data:` URLs.

use bytes::Bytes;

use crate::activity::ChannelInstance;
use crate::channel::{ChannelError, Fault};

/// By `channelId`, how many UTF-16 code units of JSON a channel takes.
const UNITS_MAX: &[(&str, usize)] = &[("msteams", 20_000)];
/// Begins a string with a picture.
const INLINE: &str = "\"data:image/";

/// Returns the bytes of an activity.
///
/// # Errors
/// [`Fault::TooLarge`] if the channel would refuse it.
pub(super) fn checked(activity: &str, channel: &ChannelInstance) -> Result<Bytes, ChannelError> {
    let body = Bytes::copy_from_slice(activity.as_bytes());
    // No text has more UTF-16 code units than bytes in UTF-8, and most are short.
    if UNITS_MAX.iter().all(|(_, units_max)| body.len() <= *units_max) {
        return Ok(body);
    }
    let named = channel.to_string();
    let named = named.split('#').next().unwrap_or_default();
    let Some((_, units_max)) = UNITS_MAX.iter().find(|(channel, _)| *channel == named) else { return Ok(body) };
    let units = counted(activity);
    if units <= *units_max {
        return Ok(body);
    }
    let why = format!(
        "the activity has {units} UTF-16 units of JSON, but {named} takes {units_max}; send less text, or several activities"
    );
    Err(ChannelError::Refused { status: None, fault: Some(Fault::TooLarge), why })
}

fn counted(text: &str) -> usize {
    let mut units = 0;
    let mut rest = text;
    while let Some((before, inline)) = rest.split_once(INLINE) {
        units += before.encode_utf16().count();
        // Base64 has no quotes, so the string ends at the next one.
        rest = inline.split_once('"').map_or("", |(_, after)| after);
    }
    units + rest.encode_utf16().count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn units(activity: &serde_json::Value) -> Option<u16> {
        let channel = ChannelInstance::Wire("msteams".into());
        match checked(&activity.to_string(), &channel) {
            Ok(_) => None,
            Err(ChannelError::Refused { status, fault, .. }) => {
                assert_eq!(fault, Some(Fault::TooLarge));
                Some(status.unwrap_or_default())
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn teams_counts_utf16_and_no_inline_pictures() {
        assert_eq!(units(&json!({ "text": "a".repeat(19_000) })), None);
        assert_eq!(units(&json!({ "text": "a".repeat(20_001) })), Some(0));
        // Three bytes, one unit; four bytes, two units.
        assert_eq!(units(&json!({ "text": "\u{4e2d}".repeat(19_000) })), None);
        assert_eq!(units(&json!({ "text": "\u{1f600}".repeat(10_001) })), Some(0));
        let picture = format!("data:image/png;base64,{}", "A".repeat(50_000));
        assert_eq!(units(&json!({ "attachments": [{ "contentUrl": picture }], "text": "b" })), None);
        assert_eq!(units(&json!({ "attachments": [{ "contentUrl": picture }], "text": "a".repeat(20_001) })), Some(0));
        let other = ChannelInstance::Wire("test".into());
        assert!(checked(&json!({ "text": "a".repeat(99_999) }).to_string(), &other).is_ok());
    }
}
