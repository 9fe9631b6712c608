//! Choices: which one an answer means.

use std::cell::OnceCell;
use std::ops::Range;

use serde_json::{Map, Value, json};

use super::language::{Language, phrases, says, words};
use super::lexicon::{Mean, Weight};
use super::text::Text;
use super::{NotRecognized, answer, either::shown, number};
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
        // Without a title it is shown as its value.
        let title = self.title.as_deref();
        let action = |member| self.action.as_ref().and_then(|action| action.get(member)).and_then(Value::as_str);
        let button = [action("title"), action("text"), action("value")].into_iter().flatten();
        [Some(self.value.as_str()), title]
            .into_iter()
            .flatten()
            .chain(self.synonyms.iter().map(String::as_str))
            .chain(button)
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

/// What names a choice, with its words.
struct Phrase<'c> {
    index: usize,
    text: &'c str,
    words: Vec<String>,
    /// Its words with numbers in digits, made where they are looked at.
    numbered: OnceCell<Vec<String>>,
}

/// The choices that an answer may mean.
enum Named {
    None,
    One(Found),
    /// More than one, and which.
    Several(Vec<usize>),
}

const NONE: &str = "none of the choices";
const SEVERAL: &str = "more than one of the choices";

/// Returns the choice that an answer means: a button's value, the same words, the choice's words within the answer, its
/// place, a part of its words, or words almost like it. Two choices that fit equally well are none, and neither is one
/// that the answer refuses: «not the red one».
pub(super) fn find(
    answer: &Activity,
    text: &str,
    choices: &[Choice],
    language: &'static Language,
    locale: &str,
    rules: &Rules,
) -> Result<Found, NotRecognized> {
    if let Some(found) = pressed(answer, choices) {
        return Ok(found);
    }
    let said = answer.spoken_text();
    if said.is_empty() && text.is_empty() {
        return Err(NotRecognized::because(NONE));
    }
    let known: Vec<Phrase<'_>> = choices.iter().enumerate().flat_map(|(index, choice)| choice.named(index)).collect();
    // As it is written first: a choice may be named `&gt;`, which is read as `>` otherwise.
    if said.len() <= 4 * PHRASE_CHARS_MAX
        && let Some(found) = same(&said, choices, &known)
    {
        return Ok(found);
    }
    let read = Text::new(text, language);
    let answer = Answer { text, words: words(text), numbered: read.numbered(), read, language, locale };
    match answer.choice(choices, &known, rules) {
        Named::None => Err(NotRecognized::because(NONE)),
        Named::One(found) => Ok(found),
        Named::Several(places) => {
            let value = |&index: &usize| Found { index, score: 1.0, synonym: shown(choices, index) }.value(choices);
            let readings = if places.len() == 2 { places.iter().map(value).collect() } else { Vec::new() };
            Err(NotRecognized { why: SEVERAL, readings })
        }
    }
}

impl Choice {
    fn named(&self, index: usize) -> impl Iterator<Item = Phrase<'_>> {
        self.phrases().map(move |text| Phrase { index, text, words: words(text), numbered: OnceCell::new() })
    }
}

/// An answer, read in all the ways in which choices are looked for.
struct Answer<'a> {
    text: &'a str,
    words: Vec<String>,
    /// Its words with numbers in digits: «four persons» is the choice «4 persons», and «1. Klasse» is «Erste Klasse».
    numbered: Vec<String>,
    read: Text<'static>,
    language: &'static Language,
    locale: &'a str,
}

impl Answer<'_> {
    fn choice(&self, choices: &[Choice], known: &[Phrase<'_>], rules: &Rules) -> Named {
        if let Some(found) = same(self.text, choices, known).or_else(|| self.same_in_digits(known)) {
            return Named::One(found);
        }
        match self.by_words(known) {
            Named::None => {}
            Named::One(found) => return self.unless_refused(found, choices, known),
            several => return several,
        }
        if says(&self.words, self.language.both) {
            let all = if choices.len() == 2 { vec![0, 1] } else { Vec::new() };
            return Named::Several(all);
        }
        match self.by_place_or_part(choices, known, rules) {
            Named::One(found) => self.unless_refused(found, choices, known),
            other => other,
        }
    }

    fn by_words(&self, known: &[Phrase<'_>]) -> Named {
        let plain: Vec<&[String]> = known.iter().map(|phrase| phrase.words.as_slice()).collect();
        match within(&self.words, known, &plain) {
            Named::None if self.has_digits() => {
                let numbered: Vec<&[String]> = known.iter().map(|phrase| self.numbered_phrase(phrase)).collect();
                within(&self.numbered, known, &numbered)
            }
            found => found,
        }
    }

    fn by_place_or_part(&self, choices: &[Choice], known: &[Phrase<'_>], rules: &Rules) -> Named {
        let placed = if rules.ordinals { self.by_place(choices.len()) } else { Named::None };
        let parts = if rules.fuzzy { parts_of(&self.numbered, known) } else { Vec::new() };
        match (placed, &parts[..]) {
            (Named::Several(places), _) => Named::Several(places),
            // The answer «2» to «2 beds» and «3 beds» is the place of the one and a part of the other.
            (Named::One(placed), parts) if parts.iter().all(|(index, _)| *index == placed.index) => Named::One(placed),
            (Named::One(placed), [(index, _)]) => Named::Several(vec![placed.index, *index]),
            (Named::None, [(index, score)]) => {
                Named::One(Found { index: *index, score: score / 2.0, synonym: self.numbered.join(" ") })
            }
            (Named::None, _) if rules.fuzzy => {
                if !self.language.has_endings() {
                    return alike(&self.plain(), choices.len(), known).map_or(Named::None, Named::One);
                }
                let stems: Vec<Vec<String>> = known.iter().map(|phrase| self.language.stems(&phrase.words)).collect();
                let stems: Vec<&[String]> = stems.iter().map(Vec::as_slice).collect();
                match within(&self.language.stems(&self.words), known, &stems) {
                    Named::None => alike(&self.plain(), choices.len(), known).map_or(Named::None, Named::One),
                    found => found,
                }
            }
            _ => Named::None,
        }
    }

    /// The words without polite ones and emoji.
    fn plain(&self) -> Vec<String> {
        let is_polite = |word: &String| phrases(self.language.polite).any(|polite| polite == word);
        let is_word = |word: &String| word.starts_with(char::is_alphanumeric);
        self.words.iter().filter(|word| is_word(word) && !is_polite(word)).cloned().collect()
    }

    fn has_digits(&self) -> bool {
        self.numbered.iter().any(|word| word.starts_with(|c: char| c.is_ascii_digit()))
    }

    fn numbered_phrase<'p>(&self, phrase: &'p Phrase<'_>) -> &'p [String] {
        let is_plain = |word: &String| {
            word.bytes().all(|byte| byte.is_ascii_digit()) || !word.starts_with(|c: char| c.is_ascii_digit())
        };
        let may_count = |word: &String| !is_plain(word) || self.language.may_count(word);
        // «1. Klasse» is a place.
        let has_place = self.language.compounds && phrase.text.contains('.');
        match has_place || phrase.words.iter().any(may_count) {
            true => phrase.numbered.get_or_init(|| Text::new(phrase.text, self.language).numbered()),
            false => &phrase.words,
        }
    }

    fn same_in_digits(&self, known: &[Phrase<'_>]) -> Option<Found> {
        if !self.has_digits() {
            return None;
        }
        let mut fitting = known.iter().filter(|phrase| self.numbered_phrase(phrase) == self.numbered);
        let first = fitting.next()?;
        let found = Found { index: first.index, score: 1.0, synonym: self.text.to_owned() };
        fitting.all(|other| other.index == first.index).then_some(found)
    }

    /// The choice, unless the answer refuses it, or leaves it open: «red or something else», «two of the red ones».
    fn unless_refused(&self, found: Found, choices: &[Choice], known: &[Phrase<'_>]) -> Named {
        let own = || known.iter().filter(|phrase| phrase.index == found.index);
        let is_named_so =
            choices.get(found.index).is_none() || own().any(|phrase| self.language.refuses(&phrase.words));
        let has_or = |words: &[String]| says(words, self.language.or.trim());
        let is_open = has_or(&self.words) && !own().any(|phrase| has_or(&phrase.words));
        match is_open || !is_named_so && self.language.refuses(&self.words) {
            true => Named::None,
            false => Named::One(found),
        }
    }

    /// «2», «the second», «the last one», «the last but one». A number within a sentence is no place.
    fn by_place(&self, count: usize) -> Named {
        let found = |index: usize| Found { index, score: 1.0, synonym: self.text.to_owned() };
        let mut places: Vec<usize> = Vec::new();
        if says(&self.words, self.language.before_last) {
            return count.checked_sub(2).map_or(Named::None, |index| Named::One(found(index)));
        }
        if says(&self.words, self.language.last) {
            places.extend(count.checked_sub(1));
        }
        let numbers = number::all(&self.read, self.language.decimal(self.locale));
        if numbers.len() > NAMED_MAX {
            return Named::None;
        }
        // «one» stands for a thing beside a place: «the second one».
        let is_thing = |start: usize| phrases(self.language.ones).any(|one| one == self.read.word(start));
        let places_only =
            !places.is_empty() || numbers.iter().any(|(start, number)| number.is_ordinal || !is_thing(*start));
        for (start, number) in
            numbers.iter().filter(|(start, number)| !places_only || number.is_ordinal || !is_thing(*start))
        {
            let is_place = if number.is_ordinal { self.is_place(*start, number.end) } else { self.is_alone(&numbers) };
            let index = number.value - 1.0;
            let in_range = index.fract() == 0.0 && (0.0..count as f64).contains(&index);
            match is_place {
                true if in_range => places.push(index as usize),
                _ => return Named::None,
            }
        }
        places.dedup();
        match places[..] {
            [] => Named::None,
            [index] => Named::One(found(index)),
            _ => Named::Several(places),
        }
    }

    /// Whether an ordinal stands for a thing: «the second one», and not «in a second», «my third coffee».
    fn is_place(&self, start: usize, end: usize) -> bool {
        let is_weak = self.read.senses(start).iter().any(|sense| sense.is_weak && sense.len == end - start);
        let after = self.read.word(end);
        let goes_on = !after.is_empty() && after.starts_with(char::is_alphabetic) && !self.is_light(end);
        let counts = start > 0
            && self.read.senses(start - 1).iter().any(|sense| sense.mean == Mean::Article || sense.mean == Mean::In);
        !(goes_on || is_weak && counts)
    }

    /// Whether nothing but polite words stands beside numbers.
    fn is_alone(&self, numbers: &[(usize, number::Number)]) -> bool {
        let is_number = |at: usize| numbers.iter().any(|(start, number)| *start <= at && at < number.end);
        let mut at = 0;
        while at < self.read.len() {
            let polite = phrases(self.language.polite).filter_map(|phrase| self.read.begins(at, phrase)).max();
            if is_number(at) {
                at += 1;
            } else if let Some(end) = polite {
                at = end;
            } else if self.read.mark(at).is_some() || self.is_light(at) {
                at += 1;
            } else {
                return false;
            }
        }
        true
    }

    /// Whether a word says nothing of which choice is meant.
    fn is_light(&self, at: usize) -> bool {
        let word = self.read.word(at);
        let is = |table| phrases(table).any(|known| words(known)[..] == [word.to_owned()]);
        let means = self.read.senses(at).iter().any(|sense| {
            matches!(sense.mean, Mean::Article | Mean::The | Mean::And | Mean::Or | Mean::Filler)
                && sense.mean.weight() != Weight::Near
        });
        means
            || is(self.language.place)
            || is(self.language.ones)
            || is("ones")
            || phrases(self.language.polite).any(|phrase| self.read.begins(at, phrase).is_some())
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
    let known: Vec<Phrase<'_>> = choices.iter().enumerate().flat_map(|(index, choice)| choice.named(index)).collect();
    same(answer::submitted(answer, "choice")?.as_str()?, choices, &known)
}

/// The choice that is just what is said: to the letter, else but for case, else but for accents and marks. `C#` is not `C++`,
/// though they have the same words.
fn same(text: &str, choices: &[Choice], known: &[Phrase<'_>]) -> Option<Found> {
    let found = |index| Found { index, score: 1.0, synonym: text.to_owned() };
    if text.is_empty() {
        return None;
    }
    if let Some(index) = choices.iter().position(|choice| choice.value == text) {
        return Some(found(index));
    }
    let (lower, said) = (text.to_lowercase(), words(text));
    let is_as_long = |phrase: &Phrase<'_>| !said.is_empty() && phrase.words == said || said.is_empty();
    let fits: [&dyn Fn(&Phrase<'_>) -> bool; 3] =
        [&|phrase| phrase.text == text, &|phrase| phrase.text.to_lowercase() == lower, &|phrase| {
            !said.is_empty() && phrase.words == said
        }];
    let near: Vec<&Phrase<'_>> = known.iter().filter(|phrase| is_as_long(phrase)).collect();
    for fits in fits {
        let mut fitting = near.iter().filter(|phrase| fits(phrase)).map(|phrase| phrase.index);
        if let Some(index) = fitting.next() {
            return fitting.all(|other| other == index).then(|| found(index));
        }
    }
    None
}

/// The choice with the longest phrase within the text, if no other is named beside it: «the dark green one» is no green,
/// «red or green» is neither. `normal` are the words of each phrase that are compared.
fn within(said: &[String], known: &[Phrase<'_>], normal: &[&[String]]) -> Named {
    let mut found: Vec<(Range<usize>, usize, &str)> = Vec::new();
    for (phrase, wanted) in known.iter().zip(normal) {
        let Some(first) = wanted.first() else { continue };
        let starts =
            said.iter().enumerate().filter(|(start, word)| *word == first && said[*start..].starts_with(wanted));
        let place = |(start, _)| (start..start + wanted.len(), phrase.index, phrase.text);
        found.extend(starts.take(NAMED_MAX).map(place));
    }
    let Some((longest, index, phrase)) = found.iter().max_by_key(|(place, _, phrase)| (place.len(), phrase.len()))
    else {
        return Named::None;
    };
    // Where the longest is named again, that is not another choice beside it.
    let own: Vec<&Range<usize>> = found
        .iter()
        .filter(|(place, other, _)| other == index && place.len() == longest.len())
        .map(|(place, ..)| place)
        .collect();
    let beside = |place: &Range<usize>| !own.iter().any(|own| own.start <= place.start && place.end <= own.end);
    let others = found.iter().filter(|(place, other, _)| other != index && (beside(place) || own.contains(&place)));
    let mut named: Vec<usize> = others.map(|(_, other, _)| *other).chain([*index]).collect();
    named.sort_unstable();
    named.dedup();
    if named.len() > 1 {
        return Named::Several(named);
    }
    let score = longest.len() as f64 / said.len() as f64;
    Named::One(Found { index: *index, score: 0.5 + score / 2.0, synonym: (*phrase).to_owned() })
}

/// The choices that have all the words that are said, in their order, and how much of them that is: «grass» is «green as
/// grass».
fn parts_of(said: &[String], known: &[Phrase<'_>]) -> Vec<(usize, f64)> {
    let tells = |word: &String| word.chars().count() >= GUESSED_CHARS.start() - 1 || word.parse::<u32>().is_ok();
    if !said.iter().any(tells) {
        return Vec::new();
    }
    let mut parts: Vec<(usize, f64)> = Vec::new();
    for phrase in known {
        if phrase.words.windows(said.len()).any(|part| part == said) {
            let share = said.len() as f64 / phrase.words.len() as f64;
            match parts.iter_mut().find(|(index, _)| *index == phrase.index) {
                Some((_, best)) => *best = best.max(share),
                None => parts.push((phrase.index, share)),
            }
        }
    }
    parts
}

/// The choice whose words are most like those said, by the letters to change.
fn alike(said: &[String], count: usize, known: &[Phrase<'_>]) -> Option<Found> {
    let said = said.join(" ");
    let length = said.chars().count();
    if !GUESSED_CHARS.contains(&length) {
        return None;
    }
    let likeness = |phrase: &Phrase<'_>| {
        let phrase = phrase.words.join(" ");
        let other = phrase.chars().count();
        let (longest, shortest) = (length.max(other), length.min(other));
        // The length first: what is far longer is not alike, and not compared.
        if longest > *GUESSED_CHARS.end() || (shortest as f64) < longest as f64 * (LIKENESS_MIN - LEAD_MIN) {
            return 0.0;
        }
        1.0 - strsim::osa_distance(&said, &phrase) as f64 / longest as f64
    };
    let mut found: Vec<(usize, f64)> = (0..count).map(|index| (index, 0.0)).collect();
    for phrase in known {
        if let Some((_, best)) = found.get_mut(phrase.index) {
            *best = best.max(likeness(phrase));
        }
    }
    found.sort_by(|one, other| other.1.total_cmp(&one.1));
    match found[..] {
        [(_, best), (_, next), ..] if best - next < LEAD_MIN => None,
        [(index, best), ..] if best >= LIKENESS_MIN => Some(Found { index, score: best, synonym: said }),
        _ => None,
    }
}
