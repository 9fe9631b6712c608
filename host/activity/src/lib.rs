//! The activity: one JSON object with unknown members allowed, kept verbatim, with typed views of what the host routes
//! on.
//!
//! Rules of the Activity protocol that this crate implements: member names are camelCase, and a receiver may accept
//! other casing; unknown members must be accepted and kept; a known member with a wrong JSON type is an error. Channels
//! send `null`, `""` and empty arrays where a member is absent, so absent, `null` and `""` count as the same.

mod index;
pub mod json;
pub mod members;
mod spoken;

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use self::index::Index;

pub use self::spoken::{composed, is_mark, trimmed, without_marks};

/// A JSON object. Members keep the order in which they arrived.
pub type Object = Map<String, Value>;

/// A validated incoming activity. The text is the one that arrived, unless member names had to be converted to
/// camelCase.
#[derive(Debug, Clone)]
pub struct Activity {
    text: Arc<str>,
    /// Where the members are in the text. None: the activity is unusual and has a tree.
    index: Option<Index>,
    /// The tree of all values, built when it is first needed.
    object: OnceLock<Object>,
}

/// Why a body is not an activity. The messages may be shown to the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActivityError {
    /// The body is not JSON, not an object, or nested deeper than 128 levels.
    Syntax(String),
    /// A member that every activity needs is missing or empty.
    Missing(&'static str),
    /// A known member has a JSON type that the protocol does not allow.
    WrongType {
        /// The member, as a dotted path.
        member: &'static str,
        /// The JSON type that the protocol requires.
        wanted: &'static str,
    },
    /// An id is longer than [`ID_BYTES_MAX`].
    TooLong(&'static str),
}

/// The longest id that the host accepts, in bytes. Real ids stay below 300.
pub const ID_BYTES_MAX: usize = 1024;

/// Known members that must be strings.
const STRINGS: &[&str] = &[
    "type",
    "id",
    "timestamp",
    "localTimestamp",
    "localTimezone",
    "serviceUrl",
    "channelId",
    "replyToId",
    "deliveryMode",
    "text",
    "textFormat",
    "locale",
    "speak",
    "inputHint",
    "summary",
    "attachmentLayout",
    "valueType",
    "expiration",
    "importance",
    "topicName",
    "action",
    "code",
    "name",
    "label",
];
const OBJECTS: &[&str] = &["from", "recipient", "conversation", "suggestedActions", "semanticAction", "relatesTo"];
const ARRAYS: &[&str] = &[
    "entities",
    "attachments",
    "membersAdded",
    "membersRemoved",
    "reactionsAdded",
    "reactionsRemoved",
    "listenFor",
    "textHighlights",
];

impl Activity {
    /// Parses and validates an incoming activity.
    ///
    /// # Errors
    /// See [`ActivityError`].
    pub fn parse(text: &str) -> Result<Self, ActivityError> {
        let syntax = |error: serde_json::Error| ActivityError::Syntax(error.to_string());
        let text = json::checked(text).map_err(syntax)?;
        let activity = match Index::of(&text) {
            Some(index) => Self { text: text.into(), index: Some(index), object: OnceLock::new() },
            None => {
                let mut object = json::checked_object(&text).map_err(syntax)?;
                let is_renamed = members::canonical(&mut object, members::ACTIVITY);
                Self::check_types(&object)?;
                let text =
                    if is_renamed { serde_json::to_string(&object).map_err(syntax)?.into() } else { text.into() };
                Self { text, index: None, object: OnceLock::from(object) }
            }
        };
        if activity.kind().is_empty() {
            return Err(ActivityError::Missing("type"));
        }
        if activity.conversation_id().is_empty() {
            return Err(ActivityError::Missing("conversation.id"));
        }
        for (member, value) in [
            ("type", activity.kind()),
            ("id", activity.id()),
            ("conversation.id", activity.conversation_id()),
            ("channelId", activity.channel_id()),
            ("from.id", activity.account("from")),
            ("recipient.id", activity.account("recipient")),
        ] {
            if value.len() > ID_BYTES_MAX {
                return Err(ActivityError::TooLong(member));
            }
        }
        Ok(activity)
    }

    /// Validates an activity that the host built, with the same checks as [`Activity::parse`].
    ///
    /// # Errors
    /// See [`ActivityError`].
    pub fn from_object(object: &Object) -> Result<Self, ActivityError> {
        let text = serde_json::to_string(object).map_err(|error| ActivityError::Syntax(error.to_string()))?;
        Self::parse(&text)
    }

    /// Returns the activity without its tree of values, or none if it has no tree. The tree is built again when it is needed.
    pub fn without_tree(&self) -> Option<Self> {
        self.object.get()?;
        Some(Self { text: self.text.clone(), index: self.index.clone(), object: OnceLock::new() })
    }

    /// The JSON text as it arrived, with unpaired surrogates replaced by U+FFFD.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The whole object.
    pub fn object(&self) -> &Object {
        // The text was checked when it was parsed.
        self.object.get_or_init(|| json::checked_object(&self.text).unwrap_or_default())
    }

    /// Returns a string member, or `""` if it is absent or null.
    pub fn str(&self, member: &str) -> &str {
        match &self.index {
            Some(index) if STRINGS.contains(&member) => index.string(&self.text, member),
            _ => self.object().get(member).and_then(Value::as_str).unwrap_or_default(),
        }
    }

    /// Returns a member without building the whole object, or none if it is absent.
    pub fn member(&self, name: &str) -> Option<Value> {
        match &self.index {
            Some(index) => json::value(index.raw(&self.text, name)?).ok(),
            None => self.object().get(name).cloned(),
        }
    }

    /// Returns the JSON text of a member, `null` if it is absent.
    pub fn raw(&self, name: &str) -> Cow<'_, str> {
        match &self.index {
            Some(index) => index.raw(&self.text, name).unwrap_or("null").into(),
            None => self.object().get(name).map_or("null".into(), |value| value.to_string().into()),
        }
    }

    /// `type`.
    pub fn kind(&self) -> &str {
        self.str("type")
    }

    /// `id`, or `""`.
    pub fn id(&self) -> &str {
        self.str("id")
    }

    /// `channelId`, or `""`.
    pub fn channel_id(&self) -> &str {
        self.str("channelId")
    }

    /// `serviceUrl`, or `""`.
    pub fn service_url(&self) -> &str {
        self.str("serviceUrl")
    }

    /// `conversation.id`; never empty.
    pub fn conversation_id(&self) -> &str {
        self.account("conversation")
    }

    /// Returns whether the channel marks the conversation as one with more than one user.
    pub fn is_group(&self) -> bool {
        let conversation = self.member("conversation").unwrap_or_default();
        let member = |name: &str| conversation.get(name);
        let kind = member("conversationType").and_then(Value::as_str).unwrap_or_default();
        // Teams has two kinds of conversation with several users.
        let is_shared = ["groupChat", "channel"].iter().any(|shared| kind.eq_ignore_ascii_case(shared));
        is_shared || member("isGroup").and_then(Value::as_bool) == Some(true)
    }

    /// The `id` inside an account member such as `from`, or `""`.
    pub fn account(&self, member: &str) -> &str {
        match &self.index {
            Some(index) if index::ACCOUNTS.contains(&member) => index.string(&self.text, member),
            _ => {
                let account = self.object().get(member);
                account.and_then(|account| account.get("id")).and_then(Value::as_str).unwrap_or_default()
            }
        }
    }

    /// Returns how the replies leave. Every value except `expectReplies` counts as normal; the protocol demands this
    /// for unknown values.
    pub fn delivery_mode(&self) -> DeliveryMode {
        match self.str("deliveryMode") {
            "expectReplies" => DeliveryMode::ExpectReplies,
            _ => DeliveryMode::Normal,
        }
    }
}

/// How the replies of a turn leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryMode {
    /// Through the channel, to the `serviceUrl` of the activity.
    Normal,
    /// All together in the body of the HTTP response.
    ExpectReplies,
}

impl Activity {
    /// Checks the JSON types of the members that the protocol defines.
    ///
    /// # Errors
    /// [`ActivityError::WrongType`] for the first member with a wrong type.
    pub fn check_types(object: &Object) -> Result<(), ActivityError> {
        type Check = (&'static [&'static str], &'static str, fn(&Value) -> bool);
        let checks: [Check; 3] = [
            (STRINGS, "a string", Value::is_string),
            (OBJECTS, "an object", Value::is_object),
            (ARRAYS, "an array", Value::is_array),
        ];
        for (members, wanted, is) in checks {
            for &member in members {
                if object.get(member).is_some_and(|value| !value.is_null() && !is(value)) {
                    return Err(ActivityError::WrongType { member, wanted });
                }
            }
        }
        for (member, path) in [("from", "from.id"), ("recipient", "recipient.id"), ("conversation", "conversation.id")]
        {
            let id = object.get(member).and_then(|account| account.get("id"));
            if id.is_some_and(|id| !id.is_null() && !id.is_string()) {
                return Err(ActivityError::WrongType { member: path, wanted: "a string" });
            }
        }
        Ok(())
    }
}

impl fmt::Display for ActivityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(why) => write!(f, "the body is not one JSON object: {why}"),
            Self::Missing(member) => write!(f, "the activity has no `{member}`"),
            Self::WrongType { member, wanted } => write!(f, "`{member}` must be {wanted}"),
            Self::TooLong(member) => write!(f, "`{member}` is longer than {ID_BYTES_MAX} bytes"),
        }
    }
}

impl std::error::Error for ActivityError {}

/// One instance of a channel. Conversations of different instances are separate, even if their ids are equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChannelInstance {
    /// A channel on the wire, named by its `channelId`.
    Wire(Arc<str>),
    /// The host's own Direct Line endpoint. No `channelId` on the wire maps to it.
    LocalDirectLine,
}

impl ChannelInstance {
    /// Parses the form that `Display` prints.
    pub fn named(name: &str) -> Self {
        let local = Self::LocalDirectLine;
        if name == local.to_string() { local } else { Self::Wire(name.into()) }
    }
}

impl fmt::Display for ChannelInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wire(id) => f.write_str(id),
            Self::LocalDirectLine => f.write_str("directline#local"),
        }
    }
}

/// The common prefix of every key of a conversation: bot, channel instance and conversation id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConversationKey {
    /// The configured name of the bot.
    pub bot: Arc<str>,
    /// The channel instance.
    pub channel: ChannelInstance,
    /// `conversation.id`.
    pub conversation: Arc<str>,
}

/// An accepted activity for a turn, with its origin.
#[derive(Debug, Clone)]
pub struct Inbound {
    /// Key of the queue, the deduplication records and the outbox.
    pub key: ConversationKey,
    /// The activity, verbatim.
    pub activity: Arc<Activity>,
    /// Id of the request that delivered the activity, for logs.
    pub request_id: Arc<str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_in_another_case_are_those_of_the_protocol() {
        let sent = r#"{"Type":"message","Id":"1","Conversation":{"Id":"c"},"Value":{"N":1.10}}"#;
        let activity = Activity::parse(sent).unwrap();
        assert_eq!((activity.kind(), activity.id(), activity.conversation_id()), ("message", "1", "c"));
        assert_eq!(
            &**activity.text(),
            r#"{"type":"message","id":"1","conversation":{"id":"c"},"value":{"N":1.10}}"#,
            "guests read the protocol's names"
        );
        assert_eq!(
            Activity::parse(r#"{"Type":7}"#).unwrap_err(),
            ActivityError::WrongType { member: "type", wanted: "a string" }
        );
        let verbatim = r#"{"type":"message", "conversation":{"id":"c"}}"#;
        assert_eq!(&**Activity::parse(verbatim).unwrap().text(), verbatim);
    }

    /// Whether there is an index is seen from nowhere but the time that it takes.
    #[test]
    fn an_activity_says_the_same_with_and_without_an_index() {
        let deep = format!("{}{}", "[".repeat(110), "]".repeat(110));
        for members in [
            r#""text":"hi","from":{"id":"u","name":"U"},"recipient":null,"channelData":{"Type":1}"#,
            r#""text":"a\nb \ud83d \u00e4","locale":"","from":{"id":"a\tb"},"value":"x""#,
            r#""text":null,"text":"second","own":1,"Text":"other","entities":[{"type":"mention","mentioned":{"id":"x"}}]"#,
            r#""text":"first","text":"second","conversation":{"id":"d"}"#,
            r#""te\u0078t":"escaped name","attachments":[],"from":{}"#,
            r#" "from" : { "id" : "u" , "id" : "v" } , "replyToId":"r""#,
            r#""from":{"Id":"u"},"attachments":[{"ContentType":"a/b"}]"#,
            &format!(r#""value":{deep},"text":"deep""#),
        ] {
            let text = format!(r#"{{"type":"message","conversation":{{"id":"c"}},{members}}}"#);
            let activity = Activity::parse(&text).unwrap();
            let tree = Activity { index: None, ..activity.clone() };
            for member in STRINGS {
                assert_eq!(activity.str(member), tree.str(member), "{member} of {text}");
            }
            for member in ["from", "recipient", "conversation"] {
                assert_eq!(activity.account(member), tree.account(member), "{member} of {text}");
            }
            for member in ["from", "text", "channelData", "value", "entities", "own", "none"] {
                assert_eq!(activity.member(member), tree.member(member), "{member} of {text}");
                assert_eq!(json::value(&activity.raw(member)).unwrap(), json::value(&tree.raw(member)).unwrap());
            }
            assert_eq!(activity.object(), &json::object(activity.text()).unwrap(), "{text}");
        }
    }

    #[test]
    fn most_activities_have_an_index_and_what_is_wrong_has_none() {
        let usual =
            r#"{"type":"message","conversation":{"id":"c"},"entities":[{"type":"x","Own":1}],"value":{"a":[1]}}"#;
        assert!(Activity::parse(usual).unwrap().index.is_some());
        for unusual in [
            r#"{"type":7}"#,
            r#"{"type":"message","from":[]}"#,
            r#"{"type":"message","from":{"id":7}}"#,
            r#"{"type":"message","attachments":{}}"#,
            r#"{"Type":"message"}"#,
            r#"{"type":"message","from":{"ID":"u"}}"#,
            r#"{"type":"message","suggestedActions":{"Actions":[]}}"#,
            r#"{"type":"message"} x"#,
            r#"{"type":"mess"#,
            "[]",
            "",
        ] {
            assert!(Index::of(unusual).is_none(), "{unusual}");
        }
    }
}
