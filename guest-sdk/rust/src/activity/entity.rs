//! Entities (metadata of an activity), among them mentions.

use serde_json::Value;

use super::account::ChannelAccount;
use super::wire::{Member, Object, Wire, object};

/// How many levels of escaping of a name are removed.
const ESCAPED_MAX: usize = 4;

object! {
    /// Metadata of an activity. Its members depend on its kind and are in `extra`.
    Entity {
        /// The kind: `mention`, `clientInfo`, `streaminfo`, an IRI, and others. On the wire `type`.
        kind: String = "type",
    }
}

object! {
    /// The entity `mention`: a part of the text that names an account.
    Mention {
        /// The account that is mentioned.
        mentioned: ChannelAccount = "mentioned",
        /// The part of the text that names the account, such as `<at>Bot</at>`.
        text: String = "text",
    }
}

impl Mention {
    /// Creates a mention with the text that channels expect: the name in an `at` tag.
    pub fn new(account: &ChannelAccount) -> Self {
        let text = format!("<at>{}</at>", account.display_name());
        Self { mentioned: account.clone(), text, ..Self::default() }
    }

    /// Reads the entity as a mention. Returns none if it is of another kind.
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

/// Removes every occurrence of the mention from the text, together with the `at` tag around it.
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
    // Teams escapes the name in the text but not in the entity, and intermediaries escape it once more.
    let name = name.strip_prefix("<at>").and_then(|name| name.strip_suffix("</at>")).unwrap_or(name);
    without_tagged(&kept, &unescaped(name))
}

/// Removes every `at` tag that contains the name, however often the name is escaped.
fn without_tagged(text: &str, name: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, inner, after)) = next_tag(rest) {
        let end = if unescaped(inner) == name { before.len() } else { rest.len() - after.len() };
        kept.push_str(&rest[..end]);
        rest = after;
    }
    kept + rest
}

/// Returns the text before the next `at` tag, within it and after it.
fn next_tag(text: &str) -> Option<(&str, &str, &str)> {
    let (until, after) = text.split_once("</at>")?;
    let start = until.rfind("<at>").map(|start| (start, start + "<at>".len()));
    let start = start.or_else(|| until.rfind("<at ").and_then(|at| Some((at, at + until[at..].find('>')? + 1))));
    // A closing tag without an opening tag is skipped like a tag without a name.
    let (start, inner) = start.unwrap_or((until.len(), until.len()));
    Some((&text[..start], &until[inner..], after))
}

/// Returns the text without escapes.
fn unescaped(text: &str) -> String {
    let mut plain = text.to_owned();
    for _ in 0..ESCAPED_MAX {
        let once = plain.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
        let once = once.replace("&amp;", "&");
        if once == plain {
            break;
        }
        plain = once;
    }
    plain
}

/// Returns the text before an opening `at` tag at its end, or none if the text does not end in such a tag.
fn open_tag(text: &str) -> Option<&str> {
    let start = text.strip_suffix('>')?.rfind('<')?;
    let tag = &text[start..];
    (tag == "<at>" || tag.starts_with("<at ")).then(|| &text[..start])
}

impl From<(&str, Value)> for Entity {
    /// Creates an entity of a kind from a JSON object. Any other JSON value becomes its member `value`.
    fn from((kind, value): (&str, Value)) -> Self {
        let extra = match value {
            Value::Object(object) => object,
            other => std::iter::once(("value".to_owned(), other)).collect(),
        };
        Self { kind: kind.to_owned(), extra }
    }
}
