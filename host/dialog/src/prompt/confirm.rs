//! Yes and no.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::answer;
use super::choice::{self, Choice, Rules};
use super::language::{Language, phrases, words};
use crate::activity::Activity;

/// Returns what an answer says: a button's value, one of the two choices by its words or its place, or the language's
/// words. Words for both, and words for neither, are no answer.
pub(super) fn find(answer: &Activity, choices: &[Choice], language: &'static Language, locale: &str) -> Option<bool> {
    match answer::submitted(answer, "confirm") {
        Some(Value::Bool(pressed)) => return Some(*pressed),
        Some(Value::String(pressed)) if pressed == "true" || pressed == "false" => return Some(pressed == "true"),
        _ => {}
    }
    let text = answer::text(answer, "confirm");
    let own_words = !choices.is_empty();
    let shown = if own_words { choices.to_vec() } else { titles(language) };
    let by_choice =
        || choice::find(answer, &text, &shown, language, locale, &Rules { ordinals: true, fuzzy: own_words }).ok();
    // The words come first where they are not the prompt's own: «no problem» is no «no».
    let found = if own_words { None } else { spoken(&text, language) };
    match found {
        Some(Spoken::Yes) => Some(true),
        Some(Spoken::No) => Some(false),
        Some(Spoken::Neither) => None,
        None => by_choice()
            .map(|found| found.index == 0)
            .or_else(|| match spoken(&text, language) {
                Some(Spoken::Yes) => Some(true),
                Some(Spoken::No) => Some(false),
                _ => None,
            })
            .or_else(|| title_of_any_language(&text)),
    }
}

/// The buttons of a language.
pub(super) fn titles(language: &Language) -> Vec<Choice> {
    [language.yes_title, language.no_title].map(Choice::of).into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spoken {
    Yes,
    No,
    /// Both, or neither for sure.
    Neither,
}

/// The phrases of a language with their meaning, by their first word, the longest first; polite ones are a yes only alone.
type Known = HashMap<String, Vec<(Vec<String>, Spoken, bool)>>;

/// Made once for the process.
static KNOWN: LazyLock<HashMap<&'static str, Known>> =
    LazyLock::new(|| Language::all().map(|language| (language.code(), known(language))).collect());

fn known(language: &'static Language) -> Known {
    let polite: Vec<Vec<String>> = phrases(language.polite).map(words).collect();
    let tables = [(language.yes, Spoken::Yes), (language.no, Spoken::No), (language.unsure, Spoken::Neither)];
    let mut known = Known::new();
    for (table, meaning) in tables {
        for phrase in phrases(table).map(words) {
            let is_polite = meaning == Spoken::Yes && polite.contains(&phrase);
            let Some(first) = phrase.first().cloned() else { continue };
            known.entry(first).or_default().push((phrase, meaning, is_polite));
        }
    }
    for phrases in known.values_mut() {
        phrases.sort_by_key(|(phrase, ..)| std::cmp::Reverse(phrase.len()));
    }
    known
}

/// Reads word by word, each time the longest phrase of the language that is there. None if there is none at all.
fn spoken(text: &str, language: &Language) -> Option<Spoken> {
    let said = words(text);
    let known = KNOWN.get(language.code())?;
    let mut agrees_politely = false;
    let mut result = None;
    let mut rest = said.as_slice();
    while let Some(first) = rest.first() {
        // A letter is an answer alone: the «n» of «n'importe» is none.
        let fits = |phrase: &[String]| rest.starts_with(phrase) && (said.len() == 1 || !is_letter(phrase));
        let longest = known.get(first).and_then(|known| known.iter().find(|(phrase, ..)| fits(phrase)));
        match longest {
            Some((_, _, true)) => agrees_politely = true,
            Some((_, meaning, false)) => {
                result = match result {
                    None => Some(*meaning),
                    Some(before) if before == *meaning => result,
                    Some(_) => Some(Spoken::Neither),
                };
            }
            None => {}
        }
        rest = rest.get(longest.map_or(1, |(phrase, ..)| phrase.len())..).unwrap_or_default();
    }
    result.or(agrees_politely.then_some(Spoken::Yes))
}

fn is_letter(phrase: &[String]) -> bool {
    let [word] = phrase else { return false };
    let mut chars = word.chars();
    chars.next().is_some_and(char::is_alphabetic) && chars.next().is_none()
}

/// A button that was shown in another language: the locale changed since.
fn title_of_any_language(text: &str) -> Option<bool> {
    let said = words(text);
    let is = |title: &str| words(title) == said;
    let mut all = Language::all();
    all.find_map(|language| match () {
        () if is(language.yes_title) => Some(true),
        () if is(language.no_title) => Some(false),
        () => None,
    })
}
