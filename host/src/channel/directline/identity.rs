//! The members of a conversation, and the members of an activity that the channel sets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::CHANNEL_ID;
use crate::activity::Object;
use crate::channel::stream::stream_info;

/// A user, as named by the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// `id`; never empty.
    pub id: String,
    /// `name`, or empty.
    pub name: String,
}

/// The members of one conversation.
#[derive(Debug)]
pub(super) struct Identity {
    pub(super) conversation: Arc<str>,
    /// The configured name of the bot, which is also its id on this channel.
    pub(super) bot: Arc<str>,
    pub(super) title: String,
    pub(super) locale: String,
    pub(super) service_url: Arc<str>,
    /// True if the conversation has more than one user.
    pub(super) is_group: AtomicBool,
}

impl Account {
    fn value(&self) -> Value {
        match self.name.as_str() {
            "" => json!({"id": self.id, "role": "user"}),
            name => json!({"id": self.id, "name": name, "role": "user"}),
        }
    }
}

impl Identity {
    fn bot(&self) -> Value {
        json!({"id": &*self.bot, "name": self.title, "role": "bot"})
    }

    fn conversation(&self) -> Value {
        match self.is_group.load(Ordering::Relaxed) {
            true => json!({"id": &*self.conversation, "isGroup": true}),
            false => json!({"id": &*self.conversation}),
        }
    }

    /// Converts an activity of a client to the one that the bot gets.
    pub(super) fn inbound(&self, mut activity: Object, from: &Account, id: &str, timestamp: &str) -> Object {
        let mut sender = activity.get("from").and_then(Value::as_object).cloned().unwrap_or_default();
        sender.insert("id".to_owned(), from.id.as_str().into());
        sender.insert("role".to_owned(), "user".into());
        if !from.name.is_empty() {
            sender.insert("name".to_owned(), from.name.as_str().into());
        }
        activity.insert("from".to_owned(), sender.into());
        // Replies are sent through the stream, whatever delivery mode the client asks for.
        if activity.get("deliveryMode").and_then(Value::as_str) == Some("expectReplies") {
            activity.shift_remove("deliveryMode");
        }
        if activity.get("locale").is_none_or(|locale| locale.as_str().unwrap_or_default().is_empty()) {
            self.set_locale(&mut activity);
        }
        stream_data_to_entity(&mut activity);
        self.complete(&mut activity, id, timestamp);
        activity
    }

    /// Returns the `conversationUpdate` for a new member, or for the bot if `member` is none. `number` counts users
    /// from 1.
    pub(super) fn introduction(
        &self,
        member: Option<&Account>,
        user: Option<&Account>,
        number: usize,
        timestamp: &str,
    ) -> Object {
        let sender = member.or(user).map_or_else(|| json!({"id": &*self.conversation}), Account::value);
        let added = member.map_or_else(|| self.bot(), Account::value);
        let mut activity = Object::new();
        activity.insert("type".to_owned(), "conversationUpdate".into());
        activity.insert("membersAdded".to_owned(), json!([added]));
        activity.insert("from".to_owned(), sender);
        self.set_locale(&mut activity);
        let who = match (member, number) {
            (None, _) => "bot".to_owned(),
            (Some(_), 1) => "user".to_owned(),
            (Some(_), number) => format!("user{number}"),
        };
        // The activity is not part of the history, so its id must differ from every id there.
        self.complete(&mut activity, &format!("{}|{who}", self.conversation), timestamp);
        activity
    }

    /// Converts an incoming activity to the one that the client sees in its stream.
    pub(super) fn echo(inbound: &Object) -> Object {
        let mut echo = inbound.clone();
        for member in ["serviceUrl", "recipient"] {
            echo.shift_remove(member);
        }
        echo
    }

    /// Converts an activity of the bot to the one that clients get.
    pub(super) fn outbound(&self, activity: &Object, id: &str, timestamp: &str) -> Object {
        let mut activity = activity.clone();
        activity.shift_remove("serviceUrl");
        activity.insert("id".to_owned(), id.into());
        activity.insert("timestamp".to_owned(), timestamp.into());
        activity.insert("channelId".to_owned(), CHANNEL_ID.into());
        activity.insert("conversation".to_owned(), self.conversation());
        activity.insert("from".to_owned(), self.bot());
        stream_entity_to_data(&mut activity);
        activity
    }

    /// Returns the notice that an activity was deleted.
    pub(super) fn deletion(&self, id: &str, timestamp: &str) -> Object {
        let mut notice = Object::new();
        notice.insert("type".to_owned(), "messageDelete".into());
        self.outbound(&notice, id, timestamp)
    }

    fn set_locale(&self, activity: &mut Object) {
        if !self.locale.is_empty() {
            activity.insert("locale".to_owned(), self.locale.as_str().into());
        }
    }

    fn complete(&self, activity: &mut Object, id: &str, timestamp: &str) {
        activity.insert("id".to_owned(), id.into());
        activity.insert("timestamp".to_owned(), timestamp.into());
        activity.insert("channelId".to_owned(), CHANNEL_ID.into());
        activity.insert("serviceUrl".to_owned(), Value::from(&*self.service_url));
        activity.insert("conversation".to_owned(), self.conversation());
        activity.insert("recipient".to_owned(), self.bot());
    }
}

/// Members that mark an activity as part of a stream. Bots set them in an entity, Web Chat reads them from
/// `channelData`.
const STREAM_MEMBERS: [&str; 3] = ["streamId", "streamType", "streamSequence"];

fn stream_entity_to_data(activity: &mut Object) {
    let Some(info) = stream_info(activity).cloned() else { return };
    let data = activity.entry("channelData").or_insert_with(|| json!({}));
    // A bot's `channelData` that is not an object is kept. Web Chat then shows only the final message of the stream.
    let Some(data) = data.as_object_mut() else { return };
    for member in STREAM_MEMBERS {
        if let Some(value) = info.get(member).filter(|value| !value.is_null()) {
            data.insert(member.to_owned(), value.clone());
        }
    }
    data.entry("streamType").or_insert_with(|| "streaming".into());
}

fn stream_data_to_entity(activity: &mut Object) {
    if stream_info(activity).is_some() {
        return;
    }
    let Some(data) = activity.get("channelData").and_then(Value::as_object) else { return };
    if !data.contains_key("streamType") {
        return;
    }
    let mut info = Object::new();
    info.insert("type".to_owned(), "streaminfo".into());
    for member in STREAM_MEMBERS {
        if let Some(value) = data.get(member) {
            info.insert(member.to_owned(), value.clone());
        }
    }
    if let Some(entities) = activity.entry("entities").or_insert_with(|| json!([])).as_array_mut() {
        entities.push(info.into());
    }
}
