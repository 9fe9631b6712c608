//! Prompts: questions that the host asks and whose answers it recognizes and validates, in the user's language.
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

/// A question whose answer has the type `T`.
///
/// The prompt fails after 100 wrong answers, unless [`attempts`](Self::attempts) sets another number.
#[derive(Debug, Clone, PartialEq)]
pub struct Prompt<T> {
    definition: Object,
    name: Option<String>,
    answer: PhantomData<fn() -> T>,
}

/// Asks for a text. The answer is trimmed and has at least one character.
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

/// Asks for one of 1 to 100 choices. Each is a text or a [`Choice`].
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

    /// Sets the question after an answer that was not understood or not valid. Default: the first question again.
    #[must_use]
    pub fn retry(self, question: impl Into<Activity>) -> Self {
        let question = say(question.into());
        self.with("retry", question)
    }

    /// Sets after how many wrong answers the prompt fails, 1 to 100.
    #[must_use]
    pub fn attempts(self, count: u32) -> Self {
        self.with("attempts", count)
    }

    /// Names a validator of the dialog, which checks each recognized answer.
    #[must_use]
    pub fn validator(self, name: impl Into<String>) -> Self {
        self.with("validator", name.into())
    }

    /// Sets the language, as a BCP-47 tag, for answers that have no locale.
    #[must_use]
    pub fn locale(self, locale: impl Into<String>) -> Self {
        self.with("locale", locale.into())
    }

    /// Names the question for a straight-line dialog. With a name you can edit the question while conversations wait for the
    /// answer. Without a name the journal identifies the question by a hash of its text.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Reads the answer as another type. Use it if the validator replaces the value.
    #[must_use]
    pub fn answered_as<U>(self) -> Prompt<U> {
        Prompt { definition: self.definition, name: self.name, answer: PhantomData }
    }

    /// Returns the prompt as JSON (`prompt.schema.json`).
    pub fn into_value(self) -> Value {
        self.definition.into()
    }

    /// Returns the key of this question in a journal.
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
    /// Sets the minimum length in characters. Default: 1.
    #[must_use]
    pub fn min_length(self, characters: u32) -> Self {
        self.with("min-length", characters)
    }

    /// Sets the maximum length in characters.
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

/// Builder functions of number prompts of both types.
macro_rules! bounds {
    ($($number:ty)*) => {
        $(impl Prompt<$number> {
            /// Sets the smallest allowed number.
            #[must_use]
            pub fn min(self, least: $number) -> Self {
                self.with("min", least)
            }

            /// Sets the largest allowed number.
            #[must_use]
            pub fn max(self, greatest: $number) -> Self {
                self.with("max", greatest)
            }
        })*
    };
}

bounds!(f64 i64);

impl Prompt<f64> {
    /// Accepts only whole numbers.
    #[must_use]
    pub fn integer(self) -> Prompt<i64> {
        self.with("integer", true).answered_as()
    }
}

impl Prompt<bool> {
    /// Sets the words for yes and no, which replace those of the language.
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

    /// Does not accept answers that choose by position, such as «2» or «the last one».
    #[must_use]
    pub fn without_ordinals(self) -> Self {
        self.with("ordinals", false)
    }

    /// Accepts only exact answers: no misspelt choices, no parts of a choice, and no other forms of its words.
    #[must_use]
    pub fn exact(self) -> Self {
        self.with("fuzzy", false)
    }
}

impl Prompt<Moment> {
    /// Accepts only dates.
    #[must_use]
    pub fn date(self) -> Self {
        self.with("types", json!(["date"]))
    }

    /// Accepts only times.
    #[must_use]
    pub fn time(self) -> Self {
        self.with("types", json!(["time"]))
    }

    /// Sets the earliest allowed value: ISO 8601, or `today` or `now` on the user's clock when they answer.
    #[must_use]
    pub fn earliest(self, moment: impl Into<String>) -> Self {
        self.with("earliest", moment.into())
    }

    /// Sets the latest allowed value, in the form of [`earliest`](Self::earliest).
    #[must_use]
    pub fn latest(self, moment: impl Into<String>) -> Self {
        self.with("latest", moment.into())
    }

    /// Sets the IANA time zone of users whose activity names none, such as `Europe/Berlin`.
    #[must_use]
    pub fn time_zone(self, zone: impl Into<String>) -> Self {
        self.with("time-zone", zone.into())
    }

    /// Reads `5/12/2027` as 5 December, whatever the locale is.
    #[must_use]
    pub fn day_first(self) -> Self {
        self.with("date-order", "day-month")
    }

    /// Reads `5/12/2027` as 12 May, whatever the locale is.
    #[must_use]
    pub fn month_first(self) -> Self {
        self.with("date-order", "month-day")
    }
}

impl Prompt<Vec<Attachment>> {
    /// Sets the accepted media types, such as `image/*`. Default: all.
    #[must_use]
    pub fn content_types<const N: usize>(self, types: [&str; N]) -> Self {
        self.with("content-types", types.map(str::to_owned).to_vec())
    }

    /// Sets the maximum number of files.
    #[must_use]
    pub fn max_count(self, count: u32) -> Self {
        self.with("max-count", count)
    }
}

/// Writes a question that has only a text as a string, because that is shorter in a stored frame.
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
            date_time("?")
                .date()
                .earliest("2026-01-01")
                .latest("2027-01-01")
                .time_zone("Europe/Berlin")
                .day_first()
                .into_value(),
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
