//! Speaking first: turns that a notification or a timer begins.
//!
//! A notification is a row of the store until the commit of its turn ends it, so it happens once, across a crash too.

mod delivery;
pub(crate) mod request;

use std::sync::Arc;

use serde_json::{Value, json};
use ulid::Ulid;

use super::bridge::late::Late;
use super::cron::{next_of, shortened};
use super::outgoing::is_the_hosts;
use crate::activity::{Activity, ChannelInstance, ConversationKey, Inbound, Object};
use crate::clock::now_ms;
use crate::json;
use crate::storage::notifications::{End, Mode, Notification, Reference};

/// What a notification brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// An activity that the bot sends.
    Activity(Object),
    /// An event for the bot's handlers.
    Event {
        /// Its name.
        name: String,
        /// Its value.
        value: Value,
    },
    /// A dialog that begins.
    Dialog {
        /// The plugin that owns it; empty for the sender's own.
        plugin: String,
        /// Its id.
        dialog: String,
        /// What it begins with.
        options: Value,
    },
    /// What a bridged bot did outside of its turns. Nobody else can ask for it.
    Bridged(Late),
}

impl Content {
    /// Reads `{"activity": …}`, `{"event": {"name", "value"}}` or `{"dialog": ID | {"plugin", "id"}, "options": …}`.
    pub fn read(value: &Value) -> Result<Self, String> {
        let given = ["activity", "event", "dialog"].map(|member| value.get(member).filter(|value| !value.is_null()));
        let text = |value: &Value, member: &str| value[member].as_str().unwrap_or_default().to_owned();
        match given {
            [Some(activity), None, None] => {
                let activity = activity.as_object().cloned().ok_or("`activity` must be an object")?;
                Activity::check_types(&activity).map_err(|error| error.to_string())?;
                if activity.get("type").and_then(Value::as_str).unwrap_or_default().is_empty() {
                    return Err("`activity` has no `type`".to_owned());
                }
                if is_the_hosts(&activity) {
                    return Err("activities of this `type` are made by the host only".to_owned());
                }
                Ok(Self::Activity(activity))
            }
            [None, Some(event), None] => {
                let name = text(event, "name");
                if name.is_empty() {
                    return Err("`event` has no `name`".to_owned());
                }
                Ok(Self::Event { name, value: event["value"].clone() })
            }
            [None, None, Some(dialog)] => {
                let (plugin, id) = match dialog {
                    Value::String(id) => (String::new(), id.clone()),
                    dialog => (text(dialog, "plugin"), text(dialog, "id")),
                };
                if id.is_empty() {
                    return Err("`dialog` has no `id`".to_owned());
                }
                Ok(Self::Dialog { plugin, dialog: id, options: value["options"].clone() })
            }
            _ => Err("give one of `activity`, `event` and `dialog`".to_owned()),
        }
    }

    /// The JSON text that [`Content::read`] reads. A dialog without a plugin becomes one of `sender`.
    pub fn to_text(&self, sender: &str) -> Arc<str> {
        // What is passed on is put in as it is: `json!` would write it anew, and numbers in another way.
        let mut text = json!({});
        match self {
            Self::Activity(activity) => text["activity"] = activity.clone().into(),
            Self::Event { name, value } => {
                text["event"] = json!({ "name": name });
                text["event"]["value"] = value.clone();
            }
            Self::Dialog { plugin, dialog, options } => {
                let plugin = if plugin.is_empty() { sender } else { plugin };
                text["dialog"] = json!({ "plugin": plugin, "id": dialog });
                text["options"] = options.clone();
            }
            Self::Bridged(late) => text["bridged"] = late.value(),
        }
        text.to_string().into()
    }

    /// What the mode does not allow.
    pub fn check(&self, mode: Mode) -> Result<(), String> {
        match (self, mode) {
            (Self::Dialog { .. }, Mode::Now) => {
                Err("a dialog changes the conversation, so it cannot be delivered `now`; choose `interrupt`".to_owned())
            }
            _ => Ok(()),
        }
    }
}

/// When something is due, and when again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Milliseconds since 1970.
    pub due_ms: u64,
    /// A cron expression with its time zone.
    pub cron: Option<Arc<str>>,
}

impl Schedule {
    /// Reads a time: RFC 3339 with an offset, or a cron expression of five fields with a time zone, such as
    /// `0 9 * * 1-5 Europe/Berlin`. A time that has passed is due at once.
    pub fn read(text: &str) -> Result<Self, String> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            let due_ms = u64::try_from(time.as_millisecond()).map_err(|_| "the time is before 1970".to_owned())?;
            return Ok(Self { due_ms, cron: None });
        }
        if text.split_whitespace().count() < 6 {
            return Err(format!(
                "`{}` is neither a time (RFC 3339 with an offset, such as 2027-01-01T09:00:00+01:00) nor a cron expression \
                 with a time zone (such as `0 9 * * 1-5 Europe/Berlin`)",
                shortened(text)
            ));
        }
        let due_ms = next_of(text, now_ms())?;
        Ok(Self { due_ms, cron: Some(text.into()) })
    }
}

/// Returns a notification of an operator that is due now.
pub(crate) fn from_operator(conversation: ConversationKey, mode: Mode, content: &Content) -> Notification {
    Notification {
        id: Ulid::new().to_string().into(),
        conversation,
        user: "".into(),
        sender: "".into(),
        name: "".into(),
        mode,
        content: content.to_text(""),
        depth: 1,
        due_ms: now_ms(),
        cron: None,
        expires_ms: None,
        key: None,
        ended: None,
    }
}

/// Returns what triggers the turn of a notification.
fn trigger_of(notification: &Notification) -> String {
    if notification.name.is_empty() { "notify".to_owned() } else { format!("timer:{}", notification.name) }
}

/// Returns how a notification ends after its turn: a cron expression makes it due again, until it expires.
pub(super) fn ending(notification: &Notification, how: &'static str) -> End {
    let next = notification.cron.as_deref().and_then(|cron| next_of(cron, now_ms()).ok());
    let next = next.filter(|next| notification.expires_ms.is_none_or(|expires| *next <= expires));
    next.map_or(End::Done(how), End::Again)
}

/// Returns the activity of a notification's turn, in the terms of its conversation.
pub(super) fn inbound_of(notification: &Notification, reference: &Reference) -> Result<Inbound, String> {
    let mut stored = json::value(&reference.text).map_err(|error| error.to_string())?;
    // In a group, the user who was heard last may be another.
    if !notification.user.is_empty() && stored["user"]["id"] != *notification.user {
        stored["user"] = json!({ "id": &*notification.user });
    }
    let mut activity = json!({
        "type": "event", "name": "ContinueConversation",
        "channelId": stored["channelId"], "serviceUrl": stored["serviceUrl"],
        "conversation": stored["conversation"], "from": stored["user"], "recipient": stored["bot"],
    });
    if stored["locale"].is_string() {
        activity["locale"] = stored["locale"].clone();
    }
    if let Ok(Content::Event { name, value }) = content_of(notification) {
        (activity["name"], activity["value"]) = (name.into(), value);
    }
    let activity = Activity::parse(&activity.to_string()).map_err(|error| error.to_string())?;
    let request_id = format!("notification-{}", notification.id).into();
    Ok(Inbound { key: notification.conversation.clone(), activity: Arc::new(activity), request_id })
}

fn content_of(notification: &Notification) -> Result<Content, String> {
    let value = json::value(&notification.content).map_err(|error| error.to_string())?;
    match &value["bridged"] {
        Value::Null => Content::read(&value),
        late => Late::read(late).map(Content::Bridged),
    }
}

/// Returns how the conversation of an activity is reached; none where the activity names no place to answer to.
pub(super) fn reference_of(inbound: &Inbound, user: Option<Arc<str>>) -> Option<Reference> {
    let activity = &inbound.activity;
    if activity.service_url().is_empty() && inbound.key.channel != ChannelInstance::LocalDirectLine {
        return None;
    }
    let bot = activity.account("recipient");
    let is_user = user.as_deref().is_some_and(|user| user == activity.account("from") && user != bot);
    let text = |text: &str| Value::from(text).to_string();
    let user_text = match is_user {
        true => activity.raw("from"),
        false => json!({ "id": user.as_deref().unwrap_or_default() }).to_string().into(),
    };
    // Made for each activity of a channel, so it is put together from parts of the activity's text.
    let text = format!(
        r#"{{"channelId":{},"serviceUrl":{},"conversation":{},"bot":{},"user":{user_text},"locale":{}}}"#,
        text(activity.channel_id()),
        text(activity.service_url()),
        activity.raw("conversation"),
        activity.raw("recipient"),
        activity.raw("locale"),
    );
    Some(Reference {
        conversation: inbound.key.clone(),
        user: user.unwrap_or_default(),
        text: text.into(),
        seen_ms: now_ms() / 60_000 * 60_000,
        gone: None,
    })
}

/// Whether an activity says that the bot was removed from its conversation: channels send a `conversationUpdate` with the
/// bot among `membersRemoved`, or an `installationUpdate` with the action `remove`.
pub(super) fn removes_the_bot(activity: &Activity) -> bool {
    let bot = activity.account("recipient");
    let is_removed = || {
        let members = activity.member("membersRemoved").unwrap_or_default();
        members.as_array().into_iter().flatten().any(|member| !bot.is_empty() && member["id"] == bot)
    };
    match activity.kind() {
        "conversationUpdate" => is_removed(),
        // `remove-upgrade` makes room for a newer version of the same app.
        "installationUpdate" => activity.str("action") == "remove",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Content, Schedule, ending, from_operator};
    use crate::activity::{ChannelInstance, ConversationKey};
    use crate::clock::now_ms;
    use crate::storage::notifications::{End, Mode};

    fn ms(time: &str) -> u64 {
        u64::try_from(time.parse::<jiff::Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    #[test]
    fn nonsense_is_refused_with_what_would_do() {
        for text in
            ["", "soon", "2027-01-01", "* * * * *", "61 * * * * UTC", "* * * * * Mars/Olympus", "0 0 31 2 * UTC"]
        {
            let why = Schedule::read(text).unwrap_err();
            assert!(!why.is_empty(), "{text}");
        }
        assert_eq!(Schedule::read("1999-01-01T00:00:00Z").unwrap().due_ms, ms("1999-01-01T00:00:00Z"), "due at once");
    }

    #[test]
    fn a_timer_that_is_due_again_and_again_ends_when_it_expires() {
        let key = ConversationKey {
            bot: "bot".into(),
            channel: ChannelInstance::Wire("test".into()),
            conversation: "c".into(),
        };
        let content = Content::Event { name: "e".to_owned(), value: json!(null) };
        let mut timer = from_operator(key, Mode::Now, &content);
        timer.cron = Some("* * * * * UTC".into());
        timer.expires_ms = Some(now_ms() + 120_000);
        assert!(matches!(ending(&timer, "delivered"), End::Again(_)));
        timer.expires_ms = Some(now_ms() - 1);
        assert_eq!(ending(&timer, "expired"), End::Done("expired"));
    }

    #[test]
    fn one_thing_is_brought_and_a_dialog_never_now() {
        for wrong in [
            json!({}),
            json!({ "activity": {} }),
            json!({ "activity": 7 }),
            json!({ "activity": { "type": 7 } }),
            json!({ "activity": { "type": "invokeResponse" } }),
            json!({ "event": {} }),
            json!({ "dialog": {} }),
            json!({ "activity": { "type": "message" }, "event": { "name": "e" } }),
        ] {
            assert!(Content::read(&wrong).is_err(), "{wrong}");
        }
        let dialog = Content::read(&json!({ "dialog": "ask", "options": 1 })).unwrap();
        assert!(dialog.check(Mode::Now).is_err() && dialog.check(Mode::Interrupt).is_ok());
        let text = dialog.to_text("mine");
        assert_eq!(&*text, r#"{"dialog":{"plugin":"mine","id":"ask"},"options":1}"#);
        assert_ne!(Content::read(&serde_json::from_str(&text).unwrap()).unwrap(), dialog, "the owner is named now");
    }
}
