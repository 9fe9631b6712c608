//! Parties and conversations.

use super::wire::object;

object! {
    /// A user or bot on a channel.
    ChannelAccount {
        /// Opaque and unique on the channel; compare it exactly.
        id: String = "id",
        /// What people call the account.
        name: Option<String> = "name",
        /// Its object id in Entra ID.
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
        /// Opaque and unique on the channel.
        id: String = "id",
        /// What people call the conversation.
        name: Option<String> = "name",
        /// Whether more than two parties take part.
        is_group: Option<bool> = "isGroup",
        /// On Teams `personal`, `groupChat` or `channel`.
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
    /// Where something was said: enough to say more there.
    ConversationReference {
        /// The activity that it refers to.
        activity_id: Option<String> = "activityId",
        /// The party that is not the bot.
        user: Option<ChannelAccount> = "user",
        /// The bot.
        bot: Option<ChannelAccount> = "bot",
        /// The conversation.
        conversation: Option<ConversationAccount> = "conversation",
        /// The channel.
        channel_id: Option<String> = "channelId",
        /// Where the channel takes answers.
        service_url: Option<String> = "serviceUrl",
        /// The language, as a BCP-47 tag.
        locale: Option<String> = "locale",
    }
}

object! {
    /// A reaction to a message.
    MessageReaction {
        /// `like`, `heart`, `plusOne` and others; an open set. On the wire `type`.
        kind: String = "type",
    }
}

object! {
    /// The value of a `tokens/response` event: the user has signed in.
    TokenResponse {
        /// The OAuth connection.
        connection_name: Option<String> = "connectionName",
        /// The token.
        token: Option<String> = "token",
        /// When it expires, in UTC.
        expiration: Option<String> = "expiration",
        /// The channel of the user.
        channel_id: Option<String> = "channelId",
    }
}

impl ChannelAccount {
    /// Makes an account from its id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }

    /// Sets what people call the account.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Returns the name, or the id where there is none.
    pub fn display_name(&self) -> &str {
        self.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&self.id)
    }
}

impl ConversationAccount {
    /// Makes a conversation from its id.
    pub fn new(id: impl Into<String>) -> Self {
        Self { id: id.into(), ..Self::default() }
    }
}

impl MessageReaction {
    /// Makes a reaction.
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }
}
