//! Questions that the host asks, recognizes and validates, in the language of the user.
//!
//! ```
//! use turntable_sdk::prompt::{choice, number, text};
//!
//! let name = text("What is your name?").max_length(80);
//! let seats = number("How many seats?").integer().min(1).max(9).retry("A number from 1 to 9, please.");
//! let class = choice("Which class?", ["economy", "business"]);
//! # let _ = (name, seats, class);
//! ```

mod parts;

pub use parts::{Choice, Chosen, Moment, Style};

use std::marker::PhantomData;

use serde_json::{Map, Value, json};

use crate::activity::{Activity, Attachment, Object};

/// A question whose answer is a `T`.
///
/// Without [`attempts`](Self::attempts) it is asked up to 100 times; then it fails.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt<T> {
    definition: Object,
    name: Option<String>,
    answer: PhantomData<fn() -> T>,
}

/// Asks for a text. The answer is trimmed and not empty.
pub fn text(question: impl Into<Activity>) -> Prompt<String> {
    Prompt::new("text", question)
}

/// Asks for a number.
pub fn number(question: impl Into<Activity>) -> Prompt<f64> {
    Prompt::new("number", question)
}

/// Asks for yes or no.
pub fn confirm(question: impl Into<Activity>) -> Prompt<bool> {
    Prompt::new("confirm", question)
}

/// Asks for one of several things, at least one and at most 100: texts, or [`Choice`]s.
pub fn choice<C: Into<Choice>>(question: impl Into<Activity>, choices: impl IntoIterator<Item = C>) -> Prompt<Chosen> {
    let choices: Vec<Value> = choices.into_iter().map(|choice| choice.into().into_value()).collect();
    Prompt::new("choice", question).with("choices", choices)
}

/// Asks for a date, a time or both.
pub fn date_time(question: impl Into<Activity>) -> Prompt<Moment> {
    Prompt::new("date-time", question)
}

/// Asks for one or more files.
pub fn attachment(question: impl Into<Activity>) -> Prompt<Vec<Attachment>> {
    Prompt::new("attachment", question)
}

impl<T> Prompt<T> {
    fn new(kind: &str, question: impl Into<Activity>) -> Self {
        let definition =
            Map::from_iter([("kind".to_owned(), kind.into()), ("prompt".to_owned(), say(question.into()))]);
        Self { definition, name: None, answer: PhantomData }
    }

    /// Sets what is asked after an answer that does not fit. Default: the question again.
    #[must_use]
    pub fn retry(self, question: impl Into<Activity>) -> Self {
        let question = say(question.into());
        self.with("retry", question)
    }

    /// Sets how many answers may not fit before the prompt fails, 1 to 100.
    #[must_use]
    pub fn attempts(self, count: u32) -> Self {
        self.with("attempts", count)
    }

    /// Has a validator of the dialog look at each answer that was recognized.
    #[must_use]
    pub fn validator(self, name: impl Into<String>) -> Self {
        self.with("validator", name.into())
    }

    /// Sets the language for channels that do not say the user's, as a BCP-47 tag.
    #[must_use]
    pub fn locale(self, locale: impl Into<String>) -> Self {
        self.with("locale", locale.into())
    }

    /// Names the question for a straight-line dialog, so that its text can be changed while conversations wait for the
    /// answer. Without a name, a hash of the question stands for it.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Reads the answer as another type: for a validator that accepts a value of its own.
    #[must_use]
    pub fn answered_as<U>(self) -> Prompt<U> {
        Prompt { definition: self.definition, name: self.name, answer: PhantomData }
    }

    /// Writes the JSON that the contract asks for (`prompt.schema.json`).
    pub fn into_value(self) -> Value {
        self.definition.into()
    }

    /// What tells this question from others in a journal.
    pub(crate) fn key(&self) -> String {
        let kind = self.definition.get("kind").and_then(Value::as_str).unwrap_or_default();
        match &self.name {
            Some(name) => format!("{kind}:{name}"),
            None => {
                let question = self.definition.get("prompt").map(Value::to_string).unwrap_or_default();
                format!("{kind}#{}", crate::dialog::hash(&question))
            }
        }
    }

    fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.definition.insert(member.to_owned(), value.into());
        self
    }
}

impl Prompt<String> {
    /// Sets the least length, in characters. Default: 1.
    #[must_use]
    pub fn min_length(self, characters: u32) -> Self {
        self.with("min-length", characters)
    }

    /// Sets the greatest length, in characters.
    #[must_use]
    pub fn max_length(self, characters: u32) -> Self {
        self.with("max-length", characters)
    }

    /// Sets a regular expression (crate `regex`, at most 1,024 bytes) that must match the whole answer.
    #[must_use]
    pub fn pattern(self, pattern: impl Into<String>) -> Self {
        self.with("pattern", pattern.into())
    }
}

/// What number prompts of both types offer.
macro_rules! bounds {
    ($($number:ty)*) => {
        $(impl Prompt<$number> {
            /// Sets the least number.
            #[must_use]
            pub fn min(self, least: $number) -> Self {
                self.with("min", least)
            }

            /// Sets the greatest number.
            #[must_use]
            pub fn max(self, greatest: $number) -> Self {
                self.with("max", greatest)
            }
        })*
    };
}

bounds!(f64 i64);

impl Prompt<f64> {
    /// Takes whole numbers only.
    #[must_use]
    pub fn integer(self) -> Prompt<i64> {
        self.with("integer", true).answered_as()
    }
}

impl Prompt<bool> {
    /// Sets the words for yes and no, instead of the language's.
    #[must_use]
    pub fn words(self, yes: impl Into<Choice>, no: impl Into<Choice>) -> Self {
        let words: Vec<Value> = vec![yes.into().into_value(), no.into().into_value()];
        self.with("choices", words)
    }

    /// Sets how yes and no are shown.
    #[must_use]
    pub fn style(self, style: Style) -> Self {
        self.with("style", style.name())
    }
}

impl Prompt<Chosen> {
    /// Sets how the choices are shown.
    #[must_use]
    pub fn style(self, style: Style) -> Self {
        self.with("style", style.name())
    }

    /// Takes «2» and «the last one» for no choice.
    #[must_use]
    pub fn without_ordinals(self) -> Self {
        self.with("ordinals", false)
    }

    /// Takes no misspelt choices, no part of one for the whole, and no other forms of its words.
    #[must_use]
    pub fn exact(self) -> Self {
        self.with("fuzzy", false)
    }
}

impl Prompt<Moment> {
    /// Takes dates only.
    #[must_use]
    pub fn date(self) -> Self {
        self.with("types", json!(["date"]))
    }

    /// Takes times only.
    #[must_use]
    pub fn time(self) -> Self {
        self.with("types", json!(["time"]))
    }

    /// Sets the earliest moment, as ISO 8601, or `today` or `now`: those of the user when they answer.
    #[must_use]
    pub fn earliest(self, moment: impl Into<String>) -> Self {
        self.with("earliest", moment.into())
    }

    /// Sets the latest moment, as [`earliest`](Self::earliest).
    #[must_use]
    pub fn latest(self, moment: impl Into<String>) -> Self {
        self.with("latest", moment.into())
    }
}

impl Prompt<Vec<Attachment>> {
    /// Sets the media types that are taken, such as `image/*`. Default: all.
    #[must_use]
    pub fn content_types<const N: usize>(self, types: [&str; N]) -> Self {
        self.with("content-types", types.map(str::to_owned).to_vec())
    }

    /// Sets how many files are taken at most.
    #[must_use]
    pub fn max_count(self, count: u32) -> Self {
        self.with("max-count", count)
    }
}

/// A question is a text where it is nothing else: shorter in a stored frame.
fn say(question: Activity) -> Value {
    let object = question.into_object();
    match object.get("text") {
        Some(Value::String(text)) if object.len() == 2 && object.get("type").is_some_and(|kind| kind == "message") => {
            Value::String(text.clone())
        }
        _ => object.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_member_stands_in_the_schema() {
        let schema: Value = serde_json::from_str(include_str!("../../../wit/prompt.schema.json")).unwrap();
        let prompts = [
            text("?").min_length(1).max_length(9).pattern("a+").retry("!").attempts(3).validator("v").into_value(),
            number("?").integer().min(1).max(9).locale("de").into_value(),
            confirm("?").words("aye", "nay").style(Style::List).into_value(),
            choice("?", [Choice::new("a").title("A").synonyms(["eh"]).action("A")])
                .style(Style::HeroCard)
                .without_ordinals()
                .exact()
                .into_value(),
            date_time("?").date().earliest("2026-01-01").latest("2027-01-01").into_value(),
            attachment("?").content_types(["image/*"]).max_count(2).into_value(),
        ];
        let kinds: Vec<&Value> = prompts.iter().map(|prompt| &prompt["kind"]).collect();
        assert_eq!(json!(kinds), schema["properties"]["kind"]["enum"]);
        for member in prompts.iter().flat_map(|prompt| prompt.as_object().unwrap().keys()) {
            assert!(schema["properties"][member].is_object(), "{member}");
        }
        let option = &schema["properties"]["choices"]["items"]["oneOf"][1]["properties"];
        for member in prompts[3]["choices"][0].as_object().unwrap().keys() {
            assert!(option[member].is_object(), "{member}");
        }
    }

    #[test]
    fn a_name_outlives_a_change_of_the_question() {
        assert_eq!(text("Where?").named("to").key(), text("Where to?").named("to").key());
        assert_ne!(text("Where?").key(), text("Where to?").key());
        assert_ne!(text("Where?").named("to").key(), number("Where?").named("to").key());
    }

    #[test]
    fn a_question_can_be_a_whole_activity() {
        assert_eq!(text("Where?").into_value()["prompt"], "Where?");
        let asked = text(Activity::message("Where?").speak("Where to")).into_value();
        assert_eq!(asked["prompt"], json!({ "type": "message", "text": "Where?", "speak": "Where to" }));
    }
}
