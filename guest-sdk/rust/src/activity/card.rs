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
        /// The pictures. Most channels show only the first.
        images: Vec<CardImage> = "images",
        /// The buttons, in order. Every channel shows at least three.
        buttons: Vec<CardAction> = "buttons",
        /// The action of a tap on the card.
        tap: Option<CardAction> = "tap",
    }
}

object! {
    /// A picture on a card.
    CardImage {
        /// The URL of the picture.
        url: String = "url",
        /// A description of the picture in words.
        alt: Option<String> = "alt",
        /// The action of a tap on the picture.
        tap: Option<CardAction> = "tap",
    }
}

object! {
    /// A button.
    CardAction {
        /// The kind of action: `imBack`, `messageBack`, `openUrl` and others. On the wire `type`.
        kind: String = "type",
        /// The text on the button.
        title: Option<String> = "title",
        /// The URL of a picture on the button.
        image: Option<String> = "image",
        /// A description of that picture in words.
        image_alt_text: Option<String> = "imageAltText",
        /// The text of the message that the button sends.
        text: Option<String> = "text",
        /// The text that the conversation shows instead.
        display_text: Option<String> = "displayText",
        /// What the button sends or opens. The shape depends on the kind.
        value: Option<Value> = "value",
        /// Data whose shape the channel defines.
        channel_data: Option<Value> = "channelData",
    }
}

object! {
    /// Buttons under a message that disappear after the user chose one.
    SuggestedActions {
        /// The ids of the accounts that see the buttons. If it is empty, the host adds the recipient of the message.
        to: Vec<String> = "to",
        /// The buttons, in order.
        actions: Vec<CardAction> = "actions",
    }
}

impl HeroCard {
    /// Creates a card with a title.
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

    /// Adds a picture with its URL and a description in words.
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

    /// Sets the action of a tap on the card.
    #[must_use]
    pub fn tap(mut self, action: impl Into<CardAction>) -> Self {
        self.tap = Some(action.into());
        self
    }
}

impl CardAction {
    /// Creates a button that sends its title as a visible message of the user.
    pub fn im_back(title: impl Into<String>) -> Self {
        let title = title.into();
        Self::im_back_with(title.clone(), title)
    }

    /// Creates a button that shows `title` and sends `value` as a visible message of the user.
    pub fn im_back_with(title: impl Into<String>, value: impl Into<String>) -> Self {
        Self { value: Some(Value::String(value.into())), ..Self::titled("imBack", title.into()) }
    }

    /// Creates a button that sends a message with `text` and `value`. The conversation shows the title.
    pub fn message_back(title: impl Into<String>, text: impl Into<String>, value: impl Into<Value>) -> Self {
        let title = title.into();
        Self {
            text: Some(text.into()),
            display_text: Some(title.clone()),
            value: Some(value.into()),
            ..Self::titled("messageBack", title)
        }
    }

    /// Creates a button that sends `value` as a message that the conversation does not show.
    pub fn post_back(title: impl Into<String>, value: impl Into<String>) -> Self {
        Self { value: Some(Value::String(value.into())), ..Self::titled("postBack", title.into()) }
    }

    /// Creates a button that opens a URL.
    pub fn open_url(title: impl Into<String>, url: impl Into<String>) -> Self {
        Self { value: Some(Value::String(url.into())), ..Self::titled("openUrl", title.into()) }
    }

    fn titled(kind: &str, title: String) -> Self {
        Self { kind: kind.to_owned(), title: Some(title), ..Self::default() }
    }
}

impl From<&str> for CardAction {
    /// Creates a button that sends the text as a visible message of the user.
    fn from(title: &str) -> Self {
        Self::im_back(title)
    }
}

impl From<String> for CardAction {
    fn from(title: String) -> Self {
        Self::im_back(title)
    }
}
