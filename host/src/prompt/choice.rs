//! Choices: which one an answer means.

use std::ops::Range;

use serde_json::{Value, json};

use super::language::{Language, words};
use super::number;
use crate::activity::Activity;

/// One choice.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) title: Option<String>,
    pub(super) synonyms: Vec<String>,
    pub(super) action: Option<Value>,
}

/// How alike an answer and a choice must be: one wrong letter in five.
const LIKENESS_MIN: f64 = 0.8;
/// Shorter answers are not guessed at.
const GUESSED_CHARS_MIN: usize = 4;

impl Choice {
    pub(super) fn of(value: &str) -> Self {
        Self { value: value.to_owned(), title: None, synonyms: Vec::new(), action: None }
    }

    pub(super) fn read(entry: &Value) -> Result<Self, String> {
        let object = match entry {
            Value::String(value) if !value.is_empty() => return Ok(Self::of(value)),
            Value::Object(object) => object,
            _ => return Err("must be a text or an object with a `value`".into()),
        };
        let Some(value) = object.get("value").and_then(Value::as_str).filter(|value| !value.is_empty()) else {
            return Err("has no `value`".into());
        };
        let synonyms = object.get("synonyms").cloned().unwrap_or_else(|| json!([]));
        let action = object.get("action").filter(|action| !action.is_null()).cloned();
        if action.as_ref().is_some_and(|action| !action.is_object()) {
            return Err("has an `action` that is no card action".into());
        }
        Ok(Self {
            value: value.to_owned(),
            title: object.get("title").and_then(Value::as_str).map(ToOwned::to_owned),
            synonyms: serde_json::from_value(synonyms).map_err(|_| "has `synonyms` that are no array of texts")?,
            action,
        })
    }

    /// What the user sees.
    pub(super) fn shown(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.value)
    }

    fn phrases(&self) -> impl Iterator<Item = &str> {
        let action = |member| self.action.as_ref().and_then(|action| action.get(member)).and_then(Value::as_str);
        let button = [action("title"), action("value")].into_iter().flatten();
        [self.value.as_str(), self.shown()].into_iter().chain(self.synonyms.iter().map(String::as_str)).chain(button)
    }
}

/// A choice that an answer may mean.
struct Found {
    index: usize,
    score: f64,
    /// The words that were found.
    synonym: String,
}

/// Returns the choice that an answer means: a button's value, the same words, the choice's words within the answer, its
/// place, or words almost like it. Two choices that fit equally well are none.
pub(super) fn find(
    answer: &Activity,
    text: &str,
    choices: &[Choice],
    language: &Language,
    ordinals: bool,
    fuzzy: bool,
) -> Option<Value> {
    let found = pressed(answer, choices)
        .or_else(|| same(text, choices))
        .or_else(|| within(text, choices))
        .or_else(|| ordinals.then(|| by_place(text, choices.len(), language)).flatten())
        .or_else(|| fuzzy.then(|| alike(text, choices)).flatten())?;
    let choice = choices.get(found.index)?;
    Some(json!({ "value": choice.value, "index": found.index, "score": found.score, "synonym": found.synonym }))
}

/// The value that a button or an adaptive card submits.
fn pressed(answer: &Activity, choices: &[Choice]) -> Option<Found> {
    let value = answer.object().get("value")?;
    let submitted =
        value.as_str().or_else(|| value.get("choice")?.as_str()).or_else(|| value.get("value")?.as_str())?;
    same(submitted, choices)
}

fn same(text: &str, choices: &[Choice]) -> Option<Found> {
    let said = words(text);
    let index = choices.iter().position(|choice| {
        choice.phrases().any(|phrase| phrase == text || (!said.is_empty() && words(phrase) == said))
    })?;
    Some(Found { index, score: 1.0, synonym: text.to_owned() })
}

/// The choice with the longest phrase within the text, if no other is named beside it: «the dark green one» is no green,
/// «red or green» is neither.
fn within(text: &str, choices: &[Choice]) -> Option<Found> {
    let said = words(text);
    let place = |phrase: &[String]| {
        let found = said.windows(phrase.len().max(1)).position(|part| part == phrase);
        found.map(|start| start..start + phrase.len())
    };
    let mut found = Vec::new();
    for (index, choice) in choices.iter().enumerate() {
        for phrase in choice.phrases() {
            found.extend(place(&words(phrase)).map(|place| (place, index, phrase)));
        }
    }
    let (longest, index, phrase) = found.iter().max_by_key(|(place, _, phrase)| (place.len(), phrase.len()))?;
    let beside = |place: &Range<usize>| place.start < longest.start || place.end > longest.end;
    if found.iter().any(|(place, other, _)| other != index && (beside(place) || place == longest)) {
        return None;
    }
    let score = longest.len() as f64 / said.len() as f64;
    Some(Found { index: *index, score: 0.5 + score / 2.0, synonym: (*phrase).to_owned() })
}

/// «2», «the second», «the last one».
fn by_place(text: &str, count: usize, language: &Language) -> Option<Found> {
    let found = |index: usize| Found { index, score: 1.0, synonym: text.to_owned() };
    if super::language::says(&words(text), language.last) {
        return count.checked_sub(1).map(found);
    }
    let place = language.ordinal(text).or_else(|| number::find(text, language))?;
    let in_range = place.fract() == 0.0 && (1.0..=count as f64).contains(&place);
    in_range.then(|| found(place as usize - 1))
}

fn alike(text: &str, choices: &[Choice]) -> Option<Found> {
    let said = words(text).join(" ");
    if said.chars().count() < GUESSED_CHARS_MIN || said.chars().count() > 100 {
        return None;
    }
    let likeness = |choice: &Choice| {
        let like = |phrase: &str| strsim::normalized_damerau_levenshtein(&said, &words(phrase).join(" "));
        choice.phrases().map(like).fold(0.0, f64::max)
    };
    let mut found: Vec<(f64, usize)> =
        choices.iter().enumerate().map(|(index, choice)| (likeness(choice), index)).collect();
    found.sort_by(|one, other| other.0.total_cmp(&one.0));
    match found[..] {
        [(best, _), (next, _), ..] if best - next < 0.05 => None,
        [(best, index), ..] if best >= LIKENESS_MIN => Some(Found { index, score: best, synonym: said }),
        _ => None,
    }
}
