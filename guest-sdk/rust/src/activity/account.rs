//! Accounts, conversations and what refers to them.

use super::wire::object;

object! {
    /// A user or bot on a channel.
    ChannelAccount {
        /// The id: opaque, unique on the channel. Compare it exactly.
        id: String = "id",
        /// The display name.
        name: Option<String> = "name",
        /// The object id of the account in Entra ID.
        aad_object_id: Option<String> = "aadObjectId",
        /// `user`, `bot`, `skill` and others.
        role: Option<String> = "role",
        /// Its tenant.
        tenant_id: Option<String> = "tenantId",
    }
}

object! {
    /// A conversation on a channel.
    ConversationAccount {
        /// The id: opaque, unique on the channel.
        id: String = "id",
        /// The display name.
        name: Option<String> = "name",
        /// Whether the conversation has more than two members.
        is_group: Option<bool> = "isGroup",
        /// The kind of conversation. On Teams: `personal`, `groupChat` or `channel`.
        conversation_type: Option<String> = "conversationType",
        /// Its tenant.
        tenant_id: Option<String> = "tenantId",
        /// Its object id in Entra ID.
        aad_object_id: Option<String> = "aadObjectId",
        /// The role of the account.
        role: Option<String> = "role",
    }
}

object! {
    /// A reference to a conversation, with everything that is needed to send a message there.
    ConversationReference {
        /// The id of the activity that the reference was made from.
        activity_id: Option<String> = "activityId",
        /// The account that is not the bot.
        user: Option<ChannelAccount> = "user",
        /// The bot.
        bot: Option<ChannelAccount> = "bot",
        /// The conversation.
        conversation: Option<ConversationAccount> = "conversation",
        /// The channel.
        channel_id: Option<String> = "channelId",
        /// The URL where the channel accepts replies.
        service_url: Option<String> = "serviceUrl",
        /// The language, as a BCP-47 tag.
        locale: Option<String> = "locale",
    }
}

object! {
    /// A reaction to a message.
    MessageReaction {
        /// The reaction: `like`, `heart`, `plusOne` and others. On the wire `type`.
        kind: String = "type",
    }
}

object! {
    /// The value of a `tokens/response` event, which reports that the user has signed in.
    TokenResponse {
        /// The OAuth connection.
        connection_name: Option<String> = "connectionName",
        /// The token.
        token: Option<String> = "token",
        /// When the token expires, in UTC.
        expiration: Option<String> = "expiration",
        /// The channel of the user.
        channel_id: Option<String> = "channelId",
    }
}

impl ChannelAccount {
    /// Creates an account with an id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// Sets the display name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Returns the name, or the id if there is no name.
    pub fn display_name(&self) -> &str {
        self.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.id)
    }
}

impl ConversationAccount {
    /// Creates a conversation with an id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }
}

impl MessageReaction {
    /// Creates a reaction.
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }
}
