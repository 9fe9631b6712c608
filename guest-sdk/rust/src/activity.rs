//! The activity: what a channel says to a bot and a bot to a channel.
//!
//! An activity is one JSON object with open ends. [`Activity`] types the members that the protocol names and keeps all
//! others in `extra`, so an activity that is read and written again has lost nothing.

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
    /// Absent, `null`, `""` and `[]` mean the same in the protocol; here they read as `None` or an empty list, except
    /// that a `""` that arrived stays `Some("")`. The functions below look through that.
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
        /// What it is: `message`, `conversationUpdate`, `event`, `invoke` and others. On the wire `type`.
        kind: String = "type",
        /// The channel's id of it; set by the channel.
        id: Option<String> = "id",
        /// When the channel sent it, in UTC; set by the channel.
        timestamp: Option<String> = "timestamp",
        /// The sender's local time, with its offset.
        local_timestamp: Option<String> = "localTimestamp",
        /// The sender's time zone, by its IANA name.
        local_timezone: Option<String> = "localTimezone",
        /// Where the channel takes answers; set by the channel.
        service_url: Option<String> = "serviceUrl",
        /// The channel: `directline`, `msteams`, `emulator` and others.
        channel_id: Option<String> = "channelId",
        /// Who sent it.
        from: Option<ChannelAccount> = "from",
        /// Who it is for; on an incoming activity the bot.
        recipient: Option<ChannelAccount> = "recipient",
        /// The conversation that it belongs to.
        conversation: Option<ConversationAccount> = "conversation",
        /// The id of the activity that it answers or refers to.
        reply_to_id: Option<String> = "replyToId",
        /// The text; on a streaming `typing` all text so far.
        text: Option<String> = "text",
        /// `plain`, `markdown` or `xml`; absent is unknown.
        text_format: Option<String> = "textFormat",
        /// The sender's language as a BCP-47 tag.
        locale: Option<String> = "locale",
        /// What to say aloud instead of the text, plain or SSML; `""` is silence.
        speak: Option<String> = "speak",
        /// `acceptingInput`, `ignoringInput` or `expectingInput`.
        input_hint: Option<String> = "inputHint",
        /// What to show where the attachments cannot be shown.
        summary: Option<String> = "summary",
        /// Cards and files, in order.
        attachments: Vec<Attachment> = "attachments",
        /// `list` or `carousel`.
        attachment_layout: Option<String> = "attachmentLayout",
        /// Buttons that go away once one is chosen.
        suggested_actions: Option<SuggestedActions> = "suggestedActions",
        /// Marks on the activity: mentions, places, stream parts. Their order means nothing.
        entities: Vec<Entity> = "entities",
        /// What the channel alone defines.
        channel_data: Option<Value> = "channelData",
        /// `normal`, `notification`, `expectReplies`, `ephemeral` or `stream`.
        delivery_mode: Option<String> = "deliveryMode",
        /// The name of an event, invoke, trace or command.
        name: Option<String> = "name",
        /// What an event, invoke, command or a submitted card carries.
        value: Option<Value> = "value",
        /// What `value` is, as a media type or IRI.
        value_type: Option<String> = "valueType",
        /// A label of a trace.
        label: Option<String> = "label",
        /// The conversation that an event, invoke or trace is about.
        relates_to: Option<ConversationReference> = "relatesTo",
        /// Who joined, on a `conversationUpdate`; the bot may be among them.
        members_added: Vec<ChannelAccount> = "membersAdded",
        /// Who left, on a `conversationUpdate`; the bot may be among them.
        members_removed: Vec<ChannelAccount> = "membersRemoved",
        /// The new topic, on a `conversationUpdate`.
        topic_name: Option<String> = "topicName",
        /// Reactions that were added, on a `messageReaction`.
        reactions_added: Vec<MessageReaction> = "reactionsAdded",
        /// Reactions that were taken back, on a `messageReaction`.
        reactions_removed: Vec<MessageReaction> = "reactionsRemoved",
        /// `add`, `remove`, `add-upgrade` or `remove-upgrade`, on an `installationUpdate`.
        action: Option<String> = "action",
        /// Why the conversation ended, on an `endOfConversation`.
        code: Option<String> = "code",
        /// When the message is of no use any more, in UTC.
        expiration: Option<String> = "expiration",
        /// `low`, `normal` or `high`.
        importance: Option<String> = "importance",
    }
}

impl Activity {
    /// Makes an activity of any kind.
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }

    /// Makes a message with a text.
    pub fn message(text: impl Into<String>) -> Self {
        Self { text: Some(text.into()), ..Self::new("message") }
    }

    /// Makes an event with a name and a value.
    pub fn event(name: impl Into<String>, value: impl Into<Value>) -> Self {
        Self { name: Some(name.into()), value: Some(value.into()), ..Self::new("event") }
    }

    /// Makes the activity that says the conversation is over, with a code such as `completedSuccessfully`.
    pub fn end_of_conversation(code: impl Into<String>) -> Self {
        Self { code: Some(code.into()), ..Self::new("endOfConversation") }
    }

    /// Adds a card or file. Several are shown as a list, or as [`carousel`](Self::carousel).
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

    /// Adds a suggested action: a text the user can say with one tap, or any [`CardAction`].
    ///
    /// The recipient of the message sees them, unless `suggested_actions.to` names others.
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

    /// Appends a mention of the account to the text and adds the entity that makes it one.
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

    /// Sets what to say aloud instead of the text.
    #[must_use]
    pub fn speak(mut self, speak: impl Into<String>) -> Self {
        self.speak = Some(speak.into());
        self
    }

    /// Says whether the bot expects an answer: `acceptingInput`, `expectingInput` or `ignoringInput`.
    #[must_use]
    pub fn input_hint(mut self, hint: impl Into<String>) -> Self {
        self.input_hint = Some(hint.into());
        self
    }

    /// Sets what the channel alone defines.
    #[must_use]
    pub fn channel_data(mut self, data: impl Into<Value>) -> Self {
        self.channel_data = Some(data.into());
        self
    }

    /// Returns the mentions among the entities.
    pub fn mentions(&self) -> impl Iterator<Item = Mention> {
        self.entities.iter().filter_map(Mention::from_entity)
    }

    /// Returns the text without the mentions of the recipient, trimmed: what a user said to the bot in a group.
    ///
    /// A mention goes with the whole tag around it (`<at>Bot</at>`), escaped or not. Mentions of others stay. The activity is
    /// unchanged. Within a turn, [`Turn::spoken_text`](crate::Turn::spoken_text) knows more ways to write a name.
    pub fn text_without_recipient(&self) -> String {
        let mut text = self.text.clone().unwrap_or_default();
        let Some(recipient) = &self.recipient else { return text };
        for mention in self.mentions().filter(|mention| mention.mentioned.id == recipient.id) {
            text = entity::without_mention(&text, &mention);
        }
        text.trim().to_owned()
    }

    /// Tells whether the account is the bot, which is the recipient of everything that arrives.
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
