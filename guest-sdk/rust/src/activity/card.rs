//! Hero cards, their actions, and suggested actions.

use serde_json::Value;

use super::wire::object;

object! {
    /// A card with a title, texts, pictures and buttons.
    ///
    /// ```
    /// use turntable_sdk::prelude::*;
    ///
    /// let card = HeroCard::new("Tickets")
    ///     .text("What do you need?")
    ///     .image("https://example.org/desk.png", "A help desk")
    ///     .button(CardAction::im_back("Open a ticket"))
    ///     .button(CardAction::open_url("All tickets", "https://example.org/tickets"));
    /// let message = Activity::message("Here you are").attach(card);
    /// assert_eq!(message.attachments[0].content_type, "application/vnd.microsoft.card.hero");
    /// ```
    HeroCard {
        /// The title.
        title: Option<String> = "title",
        /// The line under the title.
        subtitle: Option<String> = "subtitle",
        /// The text.
        text: Option<String> = "text",
        /// Pictures; most channels show the first.
        images: Vec<CardImage> = "images",
        /// Buttons, in order; channels show three or more of them.
        buttons: Vec<CardAction> = "buttons",
        /// What a tap on the card does.
        tap: Option<CardAction> = "tap",
    }
}

object! {
    /// A picture on a card.
    CardImage {
        /// Where it is.
        url: String = "url",
        /// What it shows, in words.
        alt: Option<String> = "alt",
        /// What a tap on it does.
        tap: Option<CardAction> = "tap",
    }
}

object! {
    /// A button.
    CardAction {
        /// `imBack`, `messageBack`, `openUrl` and others; an open set. On the wire `type`.
        kind: String = "type",
        /// What the button says.
        title: Option<String> = "title",
        /// A picture on the button.
        image: Option<String> = "image",
        /// What the picture shows, in words.
        image_alt_text: Option<String> = "imageAltText",
        /// The text of the message that the button sends.
        text: Option<String> = "text",
        /// What the conversation shows instead of that text.
        display_text: Option<String> = "displayText",
        /// What the button sends or opens, shaped by its kind.
        value: Option<Value> = "value",
        /// What the channel alone defines.
        channel_data: Option<Value> = "channelData",
    }
}

object! {
    /// Buttons under a message that go away once one is chosen.
    SuggestedActions {
        /// Who sees them, by account id. Empty: the host fills in the recipient of the message.
        to: Vec<String> = "to",
        /// The buttons, in order.
        actions: Vec<CardAction> = "actions",
    }
}

impl HeroCard {
    /// Makes a card with a title.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: Some(title.into()), ..Self::default() }
    }

    /// Sets the line under the title.
    #[must_use]
    pub fn subtitle(mut self, subtitle: impl Into<String>) -> Self {
        self.subtitle = Some(subtitle.into());
        self
    }

    /// Sets the text.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    /// Adds a picture, and what it shows in words.
    #[must_use]
    pub fn image(mut self, url: impl Into<String>, alt: impl Into<String>) -> Self {
        self.images.push(CardImage { url: url.into(), alt: Some(alt.into()), ..CardImage::default() });
        self
    }

    /// Adds a button.
    #[must_use]
    pub fn button(mut self, action: impl Into<CardAction>) -> Self {
        self.buttons.push(action.into());
        self
    }

    /// Sets what a tap on the card does.
    #[must_use]
    pub fn tap(mut self, action: impl Into<CardAction>) -> Self {
        self.tap = Some(action.into());
        self
    }
}

impl CardAction {
    /// The user says the title, visibly.
    pub fn im_back(title: impl Into<String>) -> Self {
        let title = title.into();
        Self::im_back_with(title.clone(), title)
    }

    /// The user says `value`, visibly, while the button shows the title.
    pub fn im_back_with(title: impl Into<String>, value: impl Into<String>) -> Self {
        Self { value: Some(Value::String(value.into())), ..Self::titled("imBack", title.into()) }
    }

    /// The user sends a message with `text` and `value`; the conversation shows the title.
    pub fn message_back(title: impl Into<String>, text: impl Into<String>, value: impl Into<Value>) -> Self {
        let title = title.into();
        Self {
            text: Some(text.into()),
            display_text: Some(title.clone()),
            value: Some(value.into()),
            ..Self::titled("messageBack", title)
        }
    }

    /// Sends `value` as a text that the conversation does not show.
    pub fn post_back(title: impl Into<String>, value: impl Into<String>) -> Self {
        Self { value: Some(Value::String(value.into())), ..Self::titled("postBack", title.into()) }
    }

    /// Opens a URL.
    pub fn open_url(title: impl Into<String>, url: impl Into<String>) -> Self {
        Self { value: Some(Value::String(url.into())), ..Self::titled("openUrl", title.into()) }
    }

    fn titled(kind: &str, title: String) -> Self {
        Self { kind: kind.to_owned(), title: Some(title), ..Self::default() }
    }
}

impl From<&str> for CardAction {
    /// Makes a button with which the user says the text.
    fn from(title: &str) -> Self {
        Self::im_back(title)
    }
}

impl From<String> for CardAction {
    fn from(title: String) -> Self {
        Self::im_back(title)
    }
}
