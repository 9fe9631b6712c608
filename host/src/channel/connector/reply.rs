//! Interprets a connector's response: delivered, refused, not delivered, or ambiguous.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde_json::Value;

use super::patience::Patience;
use crate::activity::{ID_BYTES_MAX, members};
use crate::channel::stream::RefusedPart;
use crate::channel::{ChannelError, Fault, Opened, Relayed};
use crate::json;

/// Maximum number of response bytes that are read. A usual body is `{"id": …}`.
const RESPONSE_BYTES_MAX: usize = 64 * 1024;
/// Maximum length of a cause in an error.
const WHY_CHARS_MAX: usize = 300;
/// Maximum size of a body that is passed on to a bridged bot: lists of members, and attachments.
const RELAYED_BYTES_MAX: usize = 4 << 20;
/// Maximum length of an error code or a correlation id of the channel.
const NAME_BYTES_MAX: usize = 64;
/// Headers by which the operators of the channel can find a call.
const CORRELATION: [&str; 2] = ["x-correlating-operationid", "x-ms-request-id"];

/// A response whose head has arrived, and the time that is left for its body.
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) patience: Patience,
}

/// Reads the response to a call. A success yields the channel's id, or `""` if there is none.
pub(super) async fn read(answer: Answer) -> Result<Arc<str>, ChannelError> {
    // The status decides. The activity was taken, even if the body is cut off.
    Ok(text(&taken(answer).await?, "id"))
}

/// Reads the response to the creation of a conversation. The id is required, because nothing can be sent without it.
pub(super) async fn read_opened(answer: Answer) -> Result<Opened, ChannelError> {
    let body = taken(answer).await?;
    let (conversation, service_url) = (text(&body, "id"), text(&body, "serviceUrl"));
    if conversation.is_empty() {
        return Err(ChannelError::Ambiguous {
            why: "the channel returned no id for the new conversation".to_owned(),
            retry_after: None,
        });
    }
    Ok(Opened { conversation, service_url: Some(service_url).filter(|url| !url.is_empty()) })
}

/// Reads the answer to a call that was passed on, whatever its status.
pub(super) async fn relayed(answer: Answer) -> Result<Relayed, ChannelError> {
    let Answer { mut response, mut patience } = answer;
    let encoding = response.headers().get(CONTENT_ENCODING);
    if encoding.is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        let why = "the answer of the channel is compressed, so it was not read".to_owned();
        return Err(ChannelError::Refused { status: Some(502), fault: None, why });
    }
    let mut body = Vec::new();
    let cut = |error: reqwest::Error| ChannelError::Ambiguous { why: clean(&causes(&error)), retry_after: None };
    while let Some(chunk) = patience.wait_for(response.chunk()).await.ok_or_else(silence)?.map_err(cut)? {
        if body.len() + chunk.len() > RELAYED_BYTES_MAX {
            let why = format!("the answer of the channel is larger than {RELAYED_BYTES_MAX} bytes");
            return Err(ChannelError::Refused { status: Some(502), fault: None, why });
        }
        body.extend_from_slice(&chunk);
    }
    let header = |name| response.headers().get(name).cloned();
    Ok(Relayed {
        status: response.status().as_u16(),
        content_type: header(CONTENT_TYPE),
        retry_after: header(RETRY_AFTER),
        body: body.into(),
    })
}

/// Returns the body of a success, or null if it is empty or not JSON, which some channels send.
async fn taken(answer: Answer) -> Result<Value, ChannelError> {
    let Answer { response, mut patience } = answer;
    let status = response.status();
    let headers = response.headers().clone();
    let body = read_bounded(response, &mut patience).await;
    if status.is_success() {
        return Ok(json::from_slice(&body).unwrap_or_default());
    }
    let why = describe(status, &headers, &body);
    let retry_after = retry_after(&headers, SystemTime::now());
    Err(match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::PRECONDITION_FAILED => ChannelError::Throttled { why, retry_after },
        // The channel does not support the call, so a retry is useless.
        StatusCode::NOT_IMPLEMENTED => ChannelError::Refused { status: Some(status.as_u16()), fault: None, why },
        // The channel may have read the whole request before it gave up.
        StatusCode::REQUEST_TIMEOUT => ChannelError::Ambiguous { why, retry_after },
        status if status.is_server_error() => ChannelError::Ambiguous { why, retry_after },
        status => ChannelError::Refused { status: Some(status.as_u16()), fault: fault(status, &body), why },
    })
}

/// Classifies a call to this origin that has no response.
pub(super) fn failure(error: &reqwest::Error, origin: Arc<str>) -> ChannelError {
    let why = clean(&causes(error));
    if error.is_builder() || is_out_of_reach(error) {
        ChannelError::Refused { status: None, fault: None, why }
    } else if error.is_connect() {
        ChannelError::Unreachable { peer: origin, why }
    } else {
        ChannelError::Ambiguous { why, retry_after: None }
    }
}

/// A call without a response in its time. The channel may have taken the activity.
pub(super) fn silence() -> ChannelError {
    ChannelError::Ambiguous { why: "no response within channel.send-timeout-ms".to_owned(), retry_after: None }
}

/// Returns whether the host itself refused an address to which the name of the origin resolves. Waiting does not change that.
fn is_out_of_reach(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        let refused = cause.downcast_ref::<io::Error>();
        // An error of the system has a number.
        if refused
            .is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none())
        {
            return true;
        }
        source = cause.source();
    }
    false
}

/// Reads at most [`RESPONSE_BYTES_MAX`] bytes. The rest of a longer or interrupted body is ignored.
async fn read_bounded(mut response: Response, patience: &mut Patience) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(Ok(Some(chunk))) = patience.wait_for(response.chunk()).await {
        let room = RESPONSE_BYTES_MAX - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
        if body.len() == RESPONSE_BYTES_MAX {
            break;
        }
    }
    body
}

/// Returns a string member, or `""` if it is absent. A number is returned as text, because some channels send numeric
/// ids.
fn text(body: &Value, member: &str) -> Arc<str> {
    let text = match members::get(body, member) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    };
    if text.len() > ID_BYTES_MAX { "".into() } else { text.into() }
}

/// Describes an error by its status, its code and the ids by which the channel knows it. Texts of the channel are left out,
/// because they may repeat what the user said.
fn describe(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> String {
    let mut why = status.to_string();
    if let Some(code) = error_code(body) {
        let _ = write!(why, ": {code}");
    }
    if headers.contains_key(LOCATION) {
        why.push_str("; redirects are not followed");
    }
    for name in CORRELATION {
        let value = headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(value) = value.filter(|value| is_name(value)) {
            let _ = write!(why, "; {name} {value}");
        }
    }
    why
}

/// Returns whether a text of the channel is a code or an id and cannot be a sentence.
fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(is_part)
}

/// Returns the cause of a refusal by its error code, or by a status that has one cause only.
fn fault(status: StatusCode, body: &[u8]) -> Option<Fault> {
    let error = json::from_slice::<Value>(body).ok().and_then(|value| members::get(&value, "error").cloned());
    let code = error.as_ref().and_then(|error| members::get(error, "code")?.as_str());
    match (code.unwrap_or_default(), status) {
        ("ConversationBlockedByUser" | "BotDisabledByAdmin", _) => Some(Fault::Blocked),
        ("BotNotInConversationRoster", _) => Some(Fault::NotInRoster),
        ("MessageSizeTooBig", _) | (_, StatusCode::PAYLOAD_TOO_LARGE) => Some(Fault::TooLarge),
        ("ContentStreamNotAllowed", _) => {
            let message = error.as_ref().and_then(|error| members::get(error, "message")?.as_str());
            Some(Fault::Stream(RefusedPart::read(message.unwrap_or_default())))
        }
        ("ConversationNotFound", _) | (_, StatusCode::GONE) => Some(Fault::Gone),
        _ => None,
    }
}

/// Returns the code of the protocol's error body.
fn error_code(body: &[u8]) -> Option<String> {
    let body = json::from_slice::<Value>(body).ok()?;
    let code = members::get(members::get(&body, "error")?, "code")?.as_str()?;
    is_name(code).then(|| code.to_owned())
}

/// Shortens untrusted text and removes control characters, for one log line.
fn clean(text: &str) -> String {
    let shortened = text.trim().chars().take(WHY_CHARS_MAX);
    shortened.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn causes(error: &reqwest::Error) -> String {
    // The URL is left out: the log line has its information already, and it contains the conversation id.
    let mut text = match error {
        error if error.is_connect() => "cannot connect".to_owned(),
        _ => "the connection was closed before a response".to_owned(),
    };
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

/// Parses `Retry-After`: seconds, with an optional fraction, or a date. A date in the past gives zero.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if text.starts_with(|first: char| first.is_ascii_digit() || first == '.')
        && let Ok(seconds) = text.parse::<f64>()
    {
        return Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_seconds_or_a_date_and_anything_else_is_none() {
        let now = httpdate::parse_http_date("Wed, 21 Oct 2015 07:28:00 GMT").unwrap();
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (text, wanted) in [
            ("0", seconds(0)),
            ("7", seconds(7)),
            (" 7 ", seconds(7)),
            ("007", seconds(7)),
            ("1.5", Some(Duration::from_millis(1_500))),
            (".5", Some(Duration::from_millis(500))),
            ("99999999999999999999999", Some(Duration::MAX)),
            ("1e400", Some(Duration::MAX)),
            ("Wed, 21 Oct 2015 07:28:09 GMT", seconds(9)),
            ("Wednesday, 21-Oct-15 07:28:09 GMT", seconds(9)),
            ("Tue, 20 Oct 2015 07:28:00 GMT", seconds(0)),
            ("-5", None),
            ("-0", None),
            ("", None),
            ("soon", None),
            ("NaN", None),
            ("inf", None),
            ("7s", None),
            ("7, 8", None),
        ] {
            let headers = [(RETRY_AFTER, text.parse().unwrap())].into_iter().collect();
            assert_eq!(retry_after(&headers, now), wanted, "{text:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
