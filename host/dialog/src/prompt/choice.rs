//! Choices: which one an answer means.

use std::ops::Range;

use serde_json::{Map, Value, json};

use super::language::{Language, phrases, says, words};
use super::{answer, number};
use crate::activity::Activity;
use crate::json;

/// One choice.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) value: String,
    pub(super) title: Option<String>,
    pub(super) synonyms: Vec<String>,
    pub(super) action: Option<Value>,
}

/// How a choice may be named besides by its words.
pub(super) struct Rules {
    pub(super) ordinals: bool,
    pub(super) fuzzy: bool,
}

/// The choice that an answer means.
pub(super) struct Found {
    pub(super) index: usize,
    /// How well it fits, 0 to 1.
    pub(super) score: f64,
    /// The words that were found.
    pub(super) synonym: String,
}

/// An answer is looked at no further, so a longer phrase would never be found.
const PHRASE_CHARS_MAX: usize = answer::CHARS_MAX;
/// How alike an answer and a choice must be: one wrong letter in five.
const LIKENESS_MIN: f64 = 0.8;
/// How much better than the next choice the best must be.
const LEAD_MIN: f64 = 0.05;
/// So often a choice is looked for in one answer.
const NAMED_MAX: usize = 4;
/// Shorter answers are not guessed at, and nothing longer is compared: likeness costs the product of the lengths.
const GUESSED_CHARS: std::ops::RangeInclusive<usize> = 4..=64;

impl Choice {
    pub(super) fn of(value: &str) -> Self {
        Self { value: value.to_owned(), title: None, synonyms: Vec::new(), action: None }
    }

    pub(super) fn read(entry: &Value) -> Result<Self, String> {
        let object = match entry {
            Value::String(value) if !value.is_empty() => return Self::of(value).checked(),
            Value::Object(object) => object,
            _ => return Err("must be a text or an object with a `value`".into()),
        };
        let Some(value) = object.get("value").and_then(Value::as_str).filter(|value| !value.is_empty()) else {
            return Err("has no `value`".into());
        };
        let action = object.get("action").filter(|action| !action.is_null()).cloned();
        if action.as_ref().is_some_and(|action| !action.is_object()) {
            return Err("has an `action` that is no card action".into());
        }
        let title = match object.get("title") {
            None | Some(Value::Null) => None,
            Some(Value::String(title)) => Some(title.clone()).filter(|title| !title.is_empty()),
            Some(_) => return Err("has a `title` that is no text".into()),
        };
        Self { value: value.to_owned(), title, synonyms: synonyms(object)?, action }.checked()
    }

    fn checked(self) -> Result<Self, String> {
        let is_long = self.phrases().any(|phrase| phrase.chars().nth(PHRASE_CHARS_MAX).is_some());
        match is_long {
            true => Err(format!("has a text of more than {PHRASE_CHARS_MAX} characters")),
            false => Ok(self),
        }
    }

    /// What the user sees.
    pub(super) fn shown(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.value)
    }

    /// What names the choice: its value, its title, its synonyms, and what its button shows and says.
    pub(super) fn phrases(&self) -> impl Iterator<Item = &str> {
        let action = |member| self.action.as_ref().and_then(|action| action.get(member)).and_then(Value::as_str);
        let button = [action("title"), action("text"), action("value")].into_iter().flatten();
        [self.value.as_str(), self.shown()].into_iter().chain(self.synonyms.iter().map(String::as_str)).chain(button)
    }
}

impl Found {
    /// The result of the prompt.
    pub(super) fn value(&self, choices: &[Choice]) -> Value {
        let value = choices.get(self.index).map(|choice| choice.value.as_str());
        json!({ "value": value, "index": self.index, "score": self.score, "synonym": self.synonym })
    }
}

fn synonyms(object: &Map<String, Value>) -> Result<Vec<String>, String> {
    let synonyms = object.get("synonyms").filter(|synonyms| !synonyms.is_null()).cloned().unwrap_or_else(|| json!([]));
    serde_json::from_value(synonyms).map_err(|_| "has `synonyms` that are no array of texts".into())
}

/// Returns the choice that an answer means: a button's value, the same words, the choice's words within the answer, its
/// place, a part of its words, or words almost like it. Two choices that fit equally well are none, and neither is one
/// that the answer refuses: «not the red one».
pub(super) fn find(
    answer: &Activity,
    text: &str,
    choices: &[Choice],
    language: &Language,
    locale: &str,
    rules: &Rules,
) -> Option<Found> {
    // As it is written first: a choice may be named `&gt;`, which is read as `>` otherwise.
    pressed(answer, choices).or_else(|| same(&answer.spoken_text(), choices)).or_else(|| {
        let found = said(text, choices, language, locale, rules)?;
        let refuses = |text: &str| language.refuses(&words(text));
        let is_named_so = choices.get(found.index)?.phrases().any(refuses);
        (is_named_so || !refuses(text)).then_some(found)
    })
}

fn said(text: &str, choices: &[Choice], language: &Language, locale: &str, rules: &Rules) -> Option<Found> {
    // «four persons» is the choice «4 persons», and «1. Klasse» is «Erste Klasse».
    let digits = language.with_digits(text);
    let in_digits = |text: &str| words(&language.with_digits(text));
    let named = same(text, choices)
        .or_else(|| same(&digits, choices))
        .or_else(|| within(text, choices, &words))
        .or_else(|| within(&digits, choices, &words))
        .or_else(|| digits.contains(|c: char| c.is_ascii_digit()).then(|| within(text, choices, &in_digits)).flatten());
    if named.is_some() {
        return named;
    }
    let placed = rules.ordinals.then(|| by_place(text, choices.len(), language, locale)).flatten();
    let parts = if rules.fuzzy { parts_of(&digits, choices) } else { Vec::new() };
    match (placed, &parts[..]) {
        // The answer «2» to «2 beds» and «3 beds» is the place of the one and a part of the other.
        (Some(placed), parts) => parts.iter().all(|(index, _)| *index == placed.index).then_some(placed),
        (None, [(index, score)]) => {
            Some(Found { index: *index, score: score / 2.0, synonym: words(&digits).join(" ") })
        }
        (None, _) if rules.fuzzy => {
            within(text, choices, &|text| language.stems(text)).or_else(|| alike(text, choices))
        }
        (None, _) => None,
    }
}

/// What a button or a card submits.
fn pressed(answer: &Activity, choices: &[Choice]) -> Option<Found> {
    let value = answer.object().get("value").filter(|value| !value.is_null())?;
    let own_value = |choice: &Choice| {
        let own = choice.action.as_ref().and_then(|action| action.get("value"));
        own.is_some_and(|own| json::same(own, value))
    };
    if let Some(index) = choices.iter().position(own_value) {
        let synonym = choices.get(index)?.shown().to_owned();
        return Some(Found { index, score: 1.0, synonym });
    }
    same(answer::submitted(answer, "choice")?.as_str()?, choices)
}

/// The choice that is just what is said: to the letter, else but for case, else but for accents and marks. `C#` is not `C++`,
/// though they have the same words.
fn same(text: &str, choices: &[Choice]) -> Option<Found> {
    let found = |index| Found { index, score: 1.0, synonym: text.to_owned() };
    if text.is_empty() {
        return None;
    }
    if let Some(index) = choices.iter().position(|choice| choice.value == text) {
        return Some(found(index));
    }
    let (lower, said) = (text.to_lowercase(), words(text));
    let fits: [&dyn Fn(&str) -> bool; 3] =
        [&|phrase| phrase == text, &|phrase| phrase.to_lowercase() == lower, &|phrase| {
            !said.is_empty() && words(phrase) == said
        }];
    for fits in fits {
        let mut fitting = choices.iter().enumerate().filter(|(_, choice)| choice.phrases().any(fits));
        match (fitting.next(), fitting.next()) {
            (Some((index, _)), None) => return Some(found(index)),
            (Some(_), Some(_)) => return None,
            (None, _) => {}
        }
    }
    None
}

/// The choice with the longest phrase within the text, if no other is named beside it: «the dark green one» is no green,
/// «red or green» is neither. `normal` makes the words that are compared.
fn within(text: &str, choices: &[Choice], normal: &dyn Fn(&str) -> Vec<String>) -> Option<Found> {
    let said = normal(text);
    let mut found: Vec<(Range<usize>, usize, &str)> = Vec::new();
    for (index, choice) in choices.iter().enumerate() {
        for phrase in choice.phrases() {
            let wanted = normal(phrase);
            let starts = said.windows(wanted.len().max(1)).enumerate().filter(|(_, part)| *part == wanted);
            found.extend(starts.take(NAMED_MAX).map(|(start, part)| (start..start + part.len(), index, phrase)));
        }
    }
    let (longest, index, phrase) = found.iter().max_by_key(|(place, _, phrase)| (place.len(), phrase.len()))?;
    // Where the longest is named again, that is not another choice beside it.
    let own: Vec<&Range<usize>> = found
        .iter()
        .filter(|(place, other, _)| other == index && place.len() == longest.len())
        .map(|(place, ..)| place)
        .collect();
    let beside = |place: &Range<usize>| !own.iter().any(|own| own.start <= place.start && place.end <= own.end);
    if found.iter().any(|(place, other, _)| other != index && (beside(place) || own.contains(&place))) {
        return None;
    }
    let score = longest.len() as f64 / said.len() as f64;
    Some(Found { index: *index, score: 0.5 + score / 2.0, synonym: (*phrase).to_owned() })
}

/// «2», «the second», «the last one», «the last but one».
fn by_place(text: &str, count: usize, language: &Language, locale: &str) -> Option<Found> {
    let found = |index: usize| Found { index, score: 1.0, synonym: text.to_owned() };
    let said = words(text);
    if says(&said, language.before_last) {
        return count.checked_sub(2).map(found);
    }
    if says(&said, language.last) {
        return count.checked_sub(1).map(found);
    }
    let number = || number::only(text, language, locale).filter(|_| !is_pronoun(&said, language));
    let place = language.ordinal(text).or_else(number)?;
    let in_range = place.fract() == 0.0 && (1.0..=count as f64).contains(&place);
    in_range.then(|| found(place as usize - 1))
}

/// Whether «one» stands for a thing, as in «the small one», and is no place: «one», «number one».
fn is_pronoun(said: &[String], language: &Language) -> bool {
    let is = |word: &String, table| phrases(table).any(|known| known == word);
    let is_place = |word: &String| {
        is(word, language.ones) || phrases(language.place).any(|known| words(known)[..] == [word.clone()])
    };
    said.iter().any(|word| is(word, language.ones)) && !said.iter().all(is_place)
}

/// The choices that have all the words that are said, in their order, and how much of them that is: «grass» is «green as
/// grass».
fn parts_of(text: &str, choices: &[Choice]) -> Vec<(usize, f64)> {
    let said = words(text);
    let tells = |word: &String| word.chars().count() >= GUESSED_CHARS.start() - 1 || word.parse::<u32>().is_ok();
    if !said.iter().any(tells) {
        return Vec::new();
    }
    let share = |phrase: &str| {
        let phrase = words(phrase);
        phrase.windows(said.len()).any(|part| part == said).then(|| said.len() as f64 / phrase.len() as f64)
    };
    let score = |choice: &Choice| choice.phrases().filter_map(share).fold(0.0, f64::max);
    choices.iter().map(score).enumerate().filter(|(_, score)| *score > 0.0).collect()
}

/// The choice whose words are most like those said, by the letters to change.
fn alike(text: &str, choices: &[Choice]) -> Option<Found> {
    let said = words(text).join(" ");
    if !GUESSED_CHARS.contains(&said.chars().count()) {
        return None;
    }
    let likeness = |phrase: &str| {
        let phrase = words(phrase).join(" ");
        let longest = said.chars().count().max(phrase.chars().count());
        // The length first: what is far longer is not alike, and not compared.
        if longest > *GUESSED_CHARS.end() {
            return 0.0;
        }
        1.0 - strsim::osa_distance(&said, &phrase) as f64 / longest as f64
    };
    let best = |choice: &Choice| choice.phrases().map(likeness).fold(0.0, f64::max);
    let mut found: Vec<(usize, f64)> = choices.iter().map(best).enumerate().collect();
    found.sort_by(|one, other| other.1.total_cmp(&one.1));
    match found[..] {
        [(_, best), (_, next), ..] if best - next < LEAD_MIN => None,
        [(index, best), ..] if best >= LIKENESS_MIN => Some(Found { index, score: best, synonym: said }),
        _ => None,
    }
}
