//! Attachments: cards and files.

use serde_json::Value;

use super::card::HeroCard;
use super::wire::object;

object! {
    /// A card (`content`) or a file (`contentUrl`).
    Attachment {
        /// The media type.
        content_type: String = "contentType",
        /// The URL of the file: `https` or `data:`.
        content_url: Option<String> = "contentUrl",
        /// The card.
        content: Option<Value> = "content",
        /// The name of the file.
        name: Option<String> = "name",
        /// The URL of a small preview picture.
        thumbnail_url: Option<String> = "thumbnailUrl",
    }
}

impl Attachment {
    /// Creates an attachment with a card of any content type, such as `application/vnd.microsoft.card.receipt`.
    pub fn card(content_type: impl Into<String>, content: impl Into<Value>) -> Self {
        Self { content_type: content_type.into(), content: Some(content.into()), ..Self::default() }
    }

    /// Creates an attachment with an Adaptive Card. `content` is the card as JSON.
    ///
    /// ```
    /// use turntable_sdk::prelude::*;
    /// use turntable_sdk::json;
    ///
    /// let card = Attachment::adaptive_card(json!({
    ///     "type": "AdaptiveCard", "version": "1.4",
    ///     "body": [{ "type": "TextBlock", "text": "Hello" }],
    /// }));
    /// assert_eq!(card.content_type, "application/vnd.microsoft.card.adaptive");
    /// ```
    pub fn adaptive_card(content: impl Into<Value>) -> Self {
        Self::card("application/vnd.microsoft.card.adaptive", content)
    }

    /// Creates an attachment that refers to a file by its URL.
    pub fn file(content_type: impl Into<String>, url: impl Into<String>) -> Self {
        Self { content_type: content_type.into(), content_url: Some(url.into()), ..Self::default() }
    }

    /// Sets the name of the file.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }
}

impl From<HeroCard> for Attachment {
    fn from(card: HeroCard) -> Self {
        Self::card("application/vnd.microsoft.card.hero", card.into_object())
    }
}
