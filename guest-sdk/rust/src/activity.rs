//! Activities, the messages that channels and bots exchange.
//!
//! An activity is one JSON object that may contain members of any name. [`Activity`] has fields for the members of the
//! protocol and keeps all others in `extra`, so reading and writing an activity loses nothing.

pub(crate) mod wire;

mod account;
mod attachment;
mod card;
mod entity;

pub use account::{ChannelAccount, ConversationAccount, ConversationReference, MessageReaction, TokenResponse};
pub use attachment::Attachment;
pub use card::{CardAction, CardImage, HeroCard, SuggestedActions};
pub use entity::{Entity, Mention};
pub use wire::Object;

use serde_json::Value;

wire::object! {
    /// One activity, received or to be sent.
    ///
    /// Absent, `null`, `""` and `[]` mean the same in the protocol. They are read as `None` or an empty list, except that
    /// `""` is read as `Some("")`. The functions of this type treat `Some("")` like `None`.
    ///
    /// ```
    /// use turntable_sdk::prelude::*;
    ///
    /// let text = r#"{"type":"message","text":"hi","x-channel":{"a":[1,null]}}"#;
    /// let activity: Activity = serde_json::from_str(text)?;
    /// assert_eq!(activity.text.as_deref(), Some("hi"));
    /// assert_eq!(serde_json::to_string(&activity)?, text);
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    Activity {
        /// The type of the activity: `message`, `conversationUpdate`, `event`, `invoke` and others. On the wire `type`.
        kind: String = "type",
        /// The channel's id of the activity. The channel sets it.
        id: Option<String> = "id",
        /// When the channel sent the activity, ISO 8601 in UTC. The channel sets it.
        timestamp: Option<String> = "timestamp",
        /// The sender's local time, ISO 8601 with an offset.
        local_timestamp: Option<String> = "localTimestamp",
        /// The IANA name of the sender's time zone.
        local_timezone: Option<String> = "localTimezone",
        /// The URL where the channel accepts replies. The channel sets it.
        service_url: Option<String> = "serviceUrl",
        /// The channel: `directline`, `msteams`, `emulator` and others.
        channel_id: Option<String> = "channelId",
        /// The sender.
        from: Option<ChannelAccount> = "from",
        /// The recipient. On an incoming activity this is the bot.
        recipient: Option<ChannelAccount> = "recipient",
        /// The conversation that the activity belongs to.
        conversation: Option<ConversationAccount> = "conversation",
        /// The id of the activity that this one answers or refers to.
        reply_to_id: Option<String> = "replyToId",
        /// The text. In a `typing` activity of a stream: the whole text so far.
        text: Option<String> = "text",
        /// The format of the text: `plain`, `markdown` or `xml`. None if it is unknown.
        text_format: Option<String> = "textFormat",
        /// The sender's language as a BCP-47 tag.
        locale: Option<String> = "locale",
        /// The text to speak instead of `text`, plain or SSML. `""` means silence.
        speak: Option<String> = "speak",
        /// Whether the bot expects input: `acceptingInput`, `ignoringInput` or `expectingInput`.
        input_hint: Option<String> = "inputHint",
        /// A text for channels that cannot show the attachments.
        summary: Option<String> = "summary",
        /// Cards and files, in order.
        attachments: Vec<Attachment> = "attachments",
        /// How to arrange the attachments: `list` or `carousel`.
        attachment_layout: Option<String> = "attachmentLayout",
        /// Buttons that disappear after the user chose one.
        suggested_actions: Option<SuggestedActions> = "suggestedActions",
        /// Metadata of the activity, such as mentions, places and the state of a stream. The order has no meaning.
        entities: Vec<Entity> = "entities",
        /// Data whose shape the channel defines.
        channel_data: Option<Value> = "channelData",
        /// `normal`, `notification`, `expectReplies`, `ephemeral` or `stream`.
        delivery_mode: Option<String> = "deliveryMode",
        /// The name of an event, invoke, trace or command.
        name: Option<String> = "name",
        /// The payload of an event, invoke, command or submitted card.
        value: Option<Value> = "value",
        /// The type of `value`, as a media type or IRI.
        value_type: Option<String> = "valueType",
        /// A label of a trace.
        label: Option<String> = "label",
        /// The conversation that an event, invoke or trace refers to.
        relates_to: Option<ConversationReference> = "relatesTo",
        /// The members that joined, in a `conversationUpdate`. The bot may be among them.
        members_added: Vec<ChannelAccount> = "membersAdded",
        /// The members that left, in a `conversationUpdate`. The bot may be among them.
        members_removed: Vec<ChannelAccount> = "membersRemoved",
        /// The new topic, in a `conversationUpdate`.
        topic_name: Option<String> = "topicName",
        /// The reactions that were added, in a `messageReaction`.
        reactions_added: Vec<MessageReaction> = "reactionsAdded",
        /// The reactions that were removed, in a `messageReaction`.
        reactions_removed: Vec<MessageReaction> = "reactionsRemoved",
        /// `add`, `remove`, `add-upgrade` or `remove-upgrade`, in an `installationUpdate`.
        action: Option<String> = "action",
        /// Why the conversation ended, in an `endOfConversation`.
        code: Option<String> = "code",
        /// When the message expires, ISO 8601 in UTC.
        expiration: Option<String> = "expiration",
        /// The importance: `low`, `normal` or `high`.
        importance: Option<String> = "importance",
    }
}

impl Activity {
    /// Creates an activity of the type `kind`.
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }

    /// Creates a message with a text.
    pub fn message(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::new("message") }
    }

    /// Creates an event with a name and a value.
    pub fn event(name: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { name: Some(name.into()), value: Some(value.into()), ..Self::new("event") }
    }

    /// Creates an `endOfConversation` with a code such as `completedSuccessfully`.
    pub fn end_of_conversation(code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..Self::new("endOfConversation") }
    }

    /// Adds a card or file. Channels show several as a list, or side by side after [`carousel`](Self::carousel).
    #[must_use]
    pub fn attach(mut self, attachment: impl Into<Attachment>) -> Self {
        self.attachments.push(attachment.into());
        self
    }

    /// Shows the attachments side by side.
    #[must_use]
    pub fn carousel(mut self) -> Self {
        self.attachment_layout = Some("carousel".to_owned());
        self
    }

    /// Adds a suggested action: a text that the user sends with one tap, or any [`CardAction`].
    ///
    /// The recipient of the message sees the suggested actions, unless `suggested_actions.to` names other accounts.
    #[must_use]
    pub fn suggest(mut self, action: impl Into<CardAction>) -> Self {
        self.suggested_actions.get_or_insert_default().actions.push(action.into());
        self
    }

    /// Adds an entity.
    #[must_use]
    pub fn entity(mut self, entity: impl Into<Entity>) -> Self {
        self.entities.push(entity.into());
        self
    }

    /// Mentions an account: appends its name to the text and adds the entity `mention`.
    #[must_use]
    pub fn mention(mut self, account: &ChannelAccount) -> Self {
        let mention = Mention::new(account);
        let text = self.text.get_or_insert_default();
        if !text.is_empty() && !text.ends_with(char::is_whitespace) {
            text.push(' ');
        }
        text.push_str(&mention.text);
        self.entity(mention)
    }

    /// Sets the language of the text, as a BCP-47 tag.
    #[must_use]
    pub fn locale(mut self, locale: impl Into<String>) -> Self {
        self.locale = Some(locale.into());
        self
    }

    /// Sets the text to speak instead of the text to show.
    #[must_use]
    pub fn speak(mut self, speak: impl Into<String>) -> Self {
        self.speak = Some(speak.into());
        self
    }

    /// Sets whether the bot expects input: `acceptingInput`, `expectingInput` or `ignoringInput`.
    #[must_use]
    pub fn input_hint(mut self, hint: impl Into<String>) -> Self {
        self.input_hint = Some(hint.into());
        self
    }

    /// Sets the data whose shape the channel defines.
    #[must_use]
    pub fn channel_data(mut self, data: impl Into<Value>) -> Self {
        self.channel_data = Some(data.into());
        self
    }

    /// Returns the mentions among the entities.
    pub fn mentions(&self) -> impl Iterator<Item = Mention> {
        self.entities.iter().filter_map(Mention::from_entity)
    }

    /// Returns the text without mentions of the recipient, trimmed. In a group this is what the user said to the bot.
    ///
    /// A mention is removed together with its tag (`<at>Bot</at>`), escaped or not. Mentions of other accounts stay. The activity
    /// does not change. Within a turn, [`Turn::spoken_text`](crate::Turn::spoken_text) recognizes more ways to write a name.
    pub fn text_without_recipient(&self) -> String {
        let mut text = self.text.clone().unwrap_or_default();
        let Some(recipient) = &self.recipient else { return text };
        for mention in self.mentions().filter(|mention| mention.mentioned.id == recipient.id) {
            text = entity::without_mention(&text, &mention);
        }
        text.trim().to_owned()
    }

    /// Returns true if the account is the bot, which is the recipient of every incoming activity.
    pub(crate) fn is_bot(&self, account: &ChannelAccount) -> bool {
        self.recipient.as_ref().is_some_and(|bot| bot.id == account.id)
    }
}

impl From<&str> for Activity {
    fn from(text: &str) -> Self {
        Self::message(text)
    }
}

impl From<String> for Activity {
    fn from(text: String) -> Self {
        Self::message(text)
    }
}

impl From<Attachment> for Activity {
    fn from(attachment: Attachment) -> Self {
        Self::new("message").attach(attachment)
    }
}

impl From<HeroCard> for Activity {
    fn from(card: HeroCard) -> Self {
        Attachment::from(card).into()
    }
}

#[cfg(test)]
mod tests;
