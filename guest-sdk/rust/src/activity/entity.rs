//! Entities: marks on an activity, among them mentions.

use serde_json::Value;

use super::account::ChannelAccount;
use super::wire::{Member, Object, Wire, object};

object! {
    /// A mark on an activity; what it holds depends on its kind and is in `extra`.
    Entity {
        /// `mention`, `clientInfo`, `streaminfo`, an IRI, and others. On the wire `type`.
        kind: String = "type",
    }
}

object! {
    /// The entity `mention`: part of the text names an account.
    Mention {
        /// Who is named.
        mentioned: ChannelAccount = "mentioned",
        /// The part of the text that names them, such as `<at>Bot</at>`.
        text: String = "text",
    }
}

impl Mention {
    /// Makes a mention with the text that channels expect: the name in an `at` tag.
    pub fn new(account: &ChannelAccount) -> Self {
        let text = format!("<at>{}</at>", account.display_name());
        Self { mentioned: account.clone(), text, ..Self::default() }
    }

    /// Reads the entity as a mention, or returns none where it is something else.
    pub fn from_entity(entity: &Entity) -> Option<Self> {
        entity.kind.eq_ignore_ascii_case("mention").then(|| Self::from_object(entity.extra.clone()))
    }
}

impl From<Mention> for Entity {
    fn from(mention: Mention) -> Self {
        Self { kind: "mention".to_owned(), extra: mention.into_object() }
    }
}

impl Member for ChannelAccount {
    fn take(object: &mut Object, key: &str) -> Self {
        <Option<Self> as Member>::take(object, key).unwrap_or_default()
    }

    fn put(self, object: &mut Object, key: &str) {
        object.insert(key.to_owned(), Wire::write(self));
    }
}

/// Removes what names the mentioned account, every time it occurs, with the `at` tag around it.
pub(crate) fn without_mention(text: &str, mention: &Mention) -> String {
    let name = if mention.text.is_empty() { mention.mentioned.display_name() } else { &mention.text };
    if name.is_empty() {
        return text.to_owned();
    }
    let mut rest = text;
    let mut kept = String::with_capacity(text.len());
    while let Some(start) = rest.find(name) {
        let (before, after) = (&rest[..start], &rest[start + name.len()..]);
        let tagged = open_tag(before).zip(after.strip_prefix("</at>"));
        let (before, after) = tagged.unwrap_or((before, after));
        kept.push_str(before);
        rest = after;
    }
    kept.push_str(rest);
    // Teams escapes the name in the text, and not in the entity.
    let escaped = name.strip_prefix("<at>").and_then(|name| name.strip_suffix("</at>")).unwrap_or(name);
    let escaped = escaped.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    kept.replace(&format!("<at>{escaped}</at>"), "")
}

/// Returns what stands before an opening `at` tag at the end of the text, or none where it ends otherwise.
fn open_tag(text: &str) -> Option<&str> {
    let start = text.strip_suffix('>')?.rfind('<')?;
    let tag = &text[start..];
    (tag == "<at>" || tag.starts_with("<at ")).then(|| &text[..start])
}

impl From<(&str, Value)> for Entity {
    /// Makes an entity of a kind from a JSON object; any other JSON becomes its member `value`.
    fn from((kind, value): (&str, Value)) -> Self {
        let extra = match value {
            Value::Object(object) => object,
            other => std::iter::once(("value".to_owned(), other)).collect(),
        };
        Self { kind: kind.to_owned(), extra }
    }
}
