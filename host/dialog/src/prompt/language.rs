//! The languages that prompts understand, one file each, and how words are told apart.
//!
//! A file holds one table: phrases in lower case, separated by `|`, for each meaning. Words are compared without accents, so
//! `manana` is «mañana». A new language is a file here with its line in `ALL`, and its tests.

mod de;
mod en;
mod es;
mod fr;
mod pt;

use std::sync::LazyLock;

use super::lexicon::{Lexicon, Mean};
use crate::activity::composed;

/// Phrases, separated by `|`.
pub(super) type Words = &'static str;

/// What prompts know of a language.
pub(super) struct Language {
    code: &'static str,
    pub(super) yes: Words,
    pub(super) no: Words,
    /// Neither, though a word for yes or no is in it: «not sure».
    pub(super) unsure: Words,
    pub(super) yes_title: &'static str,
    pub(super) no_title: &'static str,
    /// Between the last of two choices, and the last of more.
    pub(super) or: &'static str,
    pub(super) or_last: &'static str,
    /// The question that names two readings: `{one}` and `{other}` are they.
    pub(super) either: &'static str,
    pub(super) last: Words,
    pub(super) before_last: Words,
    /// Words for 1 that stand for a thing too: «the small one». Folded.
    pub(super) ones: Words,
    /// Words beside a number that make it a place: «number one».
    pub(super) place: Words,
    /// Words beside the place of a choice: «I'd take the 2». Folded.
    pub(super) polite: Words,
    /// What comes with them is refused: «not the red one».
    pub(super) except: Words,
    /// What comes before them is refused: «el rojo no».
    pub(super) except_after: Words,
    /// Ways to agree with the words of a refusal: «why not».
    pub(super) agrees: Words,
    /// Words for both of two: «both».
    pub(super) both: Words,
    /// Endings that a word takes in a sentence and not in a list, the longer ones first: «das rote». Folded.
    endings: Words,
    /// Endings of a place in digits: `2nd`.
    pub(super) ordinal_endings: Words,
    /// Endings of the words for a share: «veintiunavos».
    pub(super) share_endings: Words,
    /// The mark before a fraction, and the regions that use the other one.
    decimal: char,
    decimal_elsewhere: Words,
    /// Number words are written together: «dreiundzwanzig».
    pub(super) compounds: bool,
    /// «and» joins tens and units: «treinta y cinco».
    pub(super) tens_and: bool,
    /// Twenty may follow sixty and eighty: «soixante-dix».
    pub(super) scores: bool,
    /// How a date is written in a question: `{d}`, `{month}`, `{y}`.
    pub(super) date_written: &'static str,
    /// What words mean.
    words: &'static [(Mean, Words)],
}

/// A shorter rest of a word is no stem.
const STEM_BYTES_MIN: usize = 3;

static ALL: [&Language; 5] = [&en::ENGLISH, &de::GERMAN, &es::SPANISH, &fr::FRENCH, &pt::PORTUGUESE];
static LEXICONS: [LazyLock<Lexicon>; 5] = [
    LazyLock::new(|| en::ENGLISH.index()),
    LazyLock::new(|| de::GERMAN.index()),
    LazyLock::new(|| es::SPANISH.index()),
    LazyLock::new(|| fr::FRENCH.index()),
    LazyLock::new(|| pt::PORTUGUESE.index()),
];

/// What every language writes alike.
const COMMON: &[(Mean, Words)] = &[
    (Mean::Zone(0), "utc|gmt|z|zulu"),
    (Mean::Zone(-300), "est"),
    (Mean::Zone(-240), "edt"),
    (Mean::Zone(-360), "cst"),
    (Mean::Zone(-300), "cdt"),
    (Mean::Zone(-420), "mst"),
    (Mean::Zone(-360), "mdt"),
    (Mean::Zone(-480), "pst"),
    (Mean::Zone(-420), "pdt"),
    (Mean::Zone(60), "cet|mez"),
    (Mean::Zone(120), "cest|mesz"),
    (Mean::Zone(540), "jst"),
    (Mean::Filler, "1 : 1"),
    (Mean::Glued(1e3), "k"),
    (Mean::Glued(1e6), "m|mm|mio"),
    (Mean::Glued(1e9), "bn|g|b|mrd"),
    (Mean::Glued(1e12), "t|tn"),
];

impl Language {
    /// Returns the language of a locale, English where it is none of those known.
    pub(super) fn of(locale: &str) -> &'static Self {
        let prefix = subtags(locale).next().unwrap_or_default();
        ALL.into_iter().find(|language| language.code == prefix).unwrap_or(&en::ENGLISH)
    }

    /// The language's subtag.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// All that are known.
    pub(super) fn all() -> impl Iterator<Item = &'static Self> {
        ALL.into_iter()
    }

    /// What words mean, indexed once for the process.
    pub(super) fn lexicon(&self) -> &'static Lexicon {
        let place = ALL.iter().position(|language| language.code == self.code).unwrap_or(0);
        &LEXICONS[place.min(LEXICONS.len() - 1)]
    }

    fn index(&self) -> Lexicon {
        Lexicon::new(self.words.iter().chain(COMMON).copied())
    }

    /// The names of a meaning, the first of which is written in questions.
    pub(super) fn name(&self, wanted: Mean) -> &'static str {
        let words = self.words.iter().find(|(mean, _)| *mean == wanted).map_or("", |(_, words)| words);
        phrases(words).next().unwrap_or_default().trim_start_matches('?')
    }

    /// The mark before a fraction, as the region writes it: `1.234` is more than a thousand in Spain, not in Mexico.
    pub(super) fn decimal(&self, locale: &str) -> char {
        let elsewhere =
            region(locale).is_some_and(|region| phrases(self.decimal_elsewhere).any(|other| other == region));
        match (self.decimal, elsewhere) {
            (',', true) => '.',
            ('.', true) => ',',
            (mark, _) => mark,
        }
    }

    /// Whether `12/24` begins with the month.
    pub(super) fn is_month_first(&self, locale: &str) -> bool {
        let prefix = subtags(locale).next().unwrap_or_default();
        // The United States, their islands, the Philippines, Micronesia, Palau.
        const MONTH_FIRST: [&str; 11] = ["us", "ph", "pr", "gu", "vi", "as", "mp", "um", "fm", "pw", "840"];
        match region(locale) {
            Some(region) => {
                MONTH_FIRST.contains(&region.as_str()) && prefix != "es" || region == "608" || region == "021"
            }
            None => matches!(prefix.as_str(), "" | "en"),
        }
    }

    /// Whether something is refused: «not the red one», «el rojo no». «Why not» and «kein Problem» are none of it.
    pub(super) fn refuses(&self, said: &[String]) -> bool {
        let refused_after = phrases(self.except_after).any(|phrase| said.len() > 1 && said.ends_with(&words(phrase)));
        (refused_after || says(said, self.except)) && !says(said, self.agrees)
    }

    /// Whether a number may begin with this word.
    pub(super) fn may_count(&self, word: &str) -> bool {
        self.lexicon().may_count(word)
    }

    /// Whether words of the language take endings.
    pub(super) fn has_endings(&self) -> bool {
        !self.endings.is_empty()
    }

    /// The words of a text without their endings: «das rote» and «rot» have the same stem.
    pub(super) fn stems(&self, words: &[String]) -> Vec<String> {
        let stem = |word: &String| {
            let stems = phrases(self.endings).filter_map(|ending| word.strip_suffix(ending));
            stems.into_iter().find(|stem| stem.len() >= STEM_BYTES_MIN).unwrap_or(word).to_owned()
        };
        words.iter().map(stem).collect()
    }
}

fn subtags(locale: &str) -> impl Iterator<Item = String> {
    locale.split(['-', '_']).map(str::to_ascii_lowercase)
}

/// The region of a locale, by letters or by number: `es-MX`, `es-419`.
fn region(locale: &str) -> Option<String> {
    let is_region = |subtag: &String| match subtag.len() {
        2 => subtag.bytes().all(|byte| byte.is_ascii_alphabetic()),
        3 => subtag.bytes().all(|byte| byte.is_ascii_digit()),
        _ => false,
    };
    subtags(locale).skip(1).find(is_region)
}

/// The phrases of a table's entry.
pub(super) fn phrases(words: Words) -> impl Iterator<Item = &'static str> {
    words.split('|').filter(|phrase| !phrase.is_empty())
}

/// The words of a text in lower case and without accents; each emoji is a word.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in fold(text).chars() {
        if c.is_alphanumeric() {
            if let Some(word) = words.last_mut() {
                word.push(c);
            }
        } else if c.is_ascii() || c.is_whitespace() || is_mark(c) {
            words.push(String::new());
        } else {
            words.extend([c.to_string(), String::new()]);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Lower case without accents. What people type on a foreign keyboard, or decomposed, reads the same.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in composed(text).chars().flat_map(char::to_lowercase) {
        match c {
            '\u{300}'..='\u{36f}' => {}
            'à'..='å' => folded.push('a'),
            'ç' => folded.push('c'),
            'è'..='ë' => folded.push('e'),
            'ì'..='ï' => folded.push('i'),
            'ñ' => folded.push('n'),
            'ò'..='ö' => folded.push('o'),
            'ù'..='ü' => folded.push('u'),
            'ý' | 'ÿ' => folded.push('y'),
            'ß' => folded.push_str("ss"),
            'æ' => folded.push_str("ae"),
            'œ' => folded.push_str("oe"),
            '’' | '‘' | 'ʼ' => folded.push('\''),
            '\u{a0}' | '\u{202f}' => folded.push(' '),
            other => folded.push(other),
        }
    }
    folded
}

/// Punctuation beyond ASCII, and what only changes the look of an emoji.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{a0}'..='\u{bf}' | '\u{2000}'..='\u{206f}' | '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
}

/// Whether one of the phrases is among the words.
pub(super) fn says(said: &[String], table: Words) -> bool {
    phrases(table).any(|phrase| {
        let phrase = words(phrase);
        !phrase.is_empty() && said.windows(phrase.len()).any(|part| part == phrase)
    })
}
