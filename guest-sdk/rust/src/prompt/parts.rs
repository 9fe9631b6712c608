//! The parts of prompts and the types of their answers.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::activity::{CardAction, Object};

/// One choice of a choice prompt.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    definition: Object,
}

/// The choice of the user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// The value of the choice.
    pub value: String,
    /// The position of the choice, from 0.
    pub index: usize,
    /// How well the answer matches, 0 to 1.
    #[serde(default)]
    pub score: f64,
    /// The words of the choice that matched.
    #[serde(default)]
    pub synonym: String,
}

/// A date, a time or both, without an offset.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moment {
    /// `date`, `time` or `date-time`. On the wire `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// ISO 8601: `2026-11-20`, `18:30:00` or `2026-11-20T18:30:00`.
    pub value: String,
}

/// How choices are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// The host decides by the channel and the number of choices.
    Auto,
    /// In the text of the question.
    Inline,
    /// A numbered list.
    List,
    /// Suggested actions: buttons that disappear after the user chose one.
    SuggestedAction,
    /// Buttons of a hero card.
    HeroCard,
    /// Choices are not shown.
    None,
}

impl Choice {
    /// Creates a choice with a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self { definition: Map::from_iter([("value".to_owned(), Value::String(value.into()))]) }
    }

    /// Sets the text that is shown instead of the value.
    #[must_use]
    pub fn title(self, title: impl Into<String>) -> Self {
        self.with("title", title.into())
    }

    /// Sets further words that choose it.
    #[must_use]
    pub fn synonyms<const N: usize>(self, words: [&str; N]) -> Self {
        self.with("synonyms", words.map(str::to_owned).to_vec())
    }

    /// Sets the action of its button. Default: the button sends the value as a message of the user.
    #[must_use]
    pub fn action(self, action: impl Into<CardAction>) -> Self {
        let action = Value::Object(action.into().into_object());
        self.with("action", action)
    }

    pub(super) fn into_value(self) -> Value {
        self.definition.into()
    }

    fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.definition.insert(member.to_owned(), value.into());
        self
    }
}

impl From<&str> for Choice {
    fn from(value: &str) -> Self {
        Self::new(value)
    }
}

impl From<String> for Choice {
    fn from(value: String) -> Self {
        Self::new(value)
    }
}

impl Style {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Inline => "inline",
            Self::List => "list",
            Self::SuggestedAction => "suggested-action",
            Self::HeroCard => "hero-card",
            Self::None => "none",
        }
    }
}
