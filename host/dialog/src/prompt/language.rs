//! The languages that prompts understand: one table of words each, and how words are told apart.
//!
//! A table holds phrases in lower case, separated by `|`. Words are compared without accents, so `manana` is «mañana».
//! Clock phrases are written after number words have become digits: «half past {h}».

mod de;
mod en;
mod es;
mod fr;

use std::sync::LazyLock;

use regex::Regex;
use text2num::replace_numbers_in_text;

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
    pub(super) last: Words,
    pub(super) before_last: Words,
    /// Words for 1 that stand for a thing too: «the small one». Folded.
    pub(super) ones: Words,
    /// Words beside a number that make it a place: «number one».
    pub(super) place: Words,
    /// What comes with them is refused: «not the red one».
    pub(super) except: Words,
    /// Endings that a word takes in a sentence and not in a list, the longer ones first: «das rote». Folded.
    endings: Words,
    /// Words for «2nd» that `text2num` leaves alone, because they are units of time too.
    second: Words,
    /// The mark before a fraction, and the regions that use the other one.
    decimal: char,
    decimal_elsewhere: Words,
    pub(super) minus: Words,
    /// After a number: half more.
    pub(super) and_half: Words,
    /// What multiplies or divides the number before it, or stands alone, with its value.
    pub(super) scales: &'static [(&'static str, f64)],
    /// Number words that are articles more often.
    pub(super) articles: Words,
    /// January first.
    pub(super) months: [Words; 12],
    /// Monday first.
    pub(super) weekdays: [Words; 7],
    pub(super) days: Days,
    pub(super) next: Words,
    pub(super) past: Words,
    pub(super) this: Words,
    /// «week after next».
    pub(super) week_after_next: Words,
    /// «in» three days.
    pub(super) within: Words,
    /// three days «from now».
    pub(super) later: Words,
    /// «vor» drei Tagen.
    pub(super) ago_before: Words,
    /// three days «ago».
    pub(super) ago_after: Words,
    pub(super) units: Units,
    /// Phrases of dates and times that mean other words, the longer ones first: «half an hour».
    pub(super) rewritten: &'static [(Words, &'static str)],
    /// Number words as people type them who lack a key.
    respelled: &'static [(&'static str, &'static str)],
    /// After «one»: no number at all, «ein paar».
    pub(super) vague: Words,
    /// The moment itself, alone.
    pub(super) now: Words,
    /// Patterns of a day alone, with its number as `d`.
    pub(super) day_of_month: &'static [&'static str],
    /// Patterns of a part of the day, its words as `part`; whether they mean today. `{day}` is a weekday or «tomorrow».
    pub(super) parts: &'static [(&'static str, Part, bool)],
    /// «at» eight.
    pub(super) at: Words,
    /// eight «o'clock».
    pub(super) clock: Words,
    /// Clock times in words: patterns with `{h}` and, for minutes, `{m}`. With a group `range` it is none: «from 10 to 12».
    pub(super) clock_phrases: &'static [(&'static str, Offset)],
    pub(super) noon: Words,
    pub(super) midnight: Words,
}

/// Days counted from today.
pub(super) struct Days {
    pub(super) day_before: Words,
    pub(super) yesterday: Words,
    pub(super) today: Words,
    pub(super) tomorrow: Words,
    pub(super) day_after: Words,
}

/// Units of time.
pub(super) struct Units {
    pub(super) minute: Words,
    pub(super) hour: Words,
    pub(super) day: Words,
    pub(super) week: Words,
    pub(super) month: Words,
    pub(super) year: Words,
}

/// A part of the day, which tells 8:00 from 20:00.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Morning,
    Noon,
    Evening,
    Night,
}

/// The minutes that a clock phrase adds to the full hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offset {
    /// So many.
    Fixed(i32),
    /// Those that it says.
    After,
    /// Those that it says, before the hour.
    Before,
    /// Those that it says, after half an hour before the hour: «fünf nach halb neun» is 8:35.
    AfterHalf,
    /// Those that it says, before half an hour before the hour.
    BeforeHalf,
}

/// Ways to say yes with the words of a refusal.
const AGREES: Words =
    "why not|warum nicht|wieso nicht|kein problem|por qué no|pourquoi pas|pas de problème|pas de souci";
/// A shorter rest of a word is no stem.
const STEM_BYTES_MIN: usize = 3;

static ALL: [&Language; 4] = [&en::ENGLISH, &de::GERMAN, &es::SPANISH, &fr::FRENCH];
static NUMBERS: LazyLock<[text2num::Language; 4]> = LazyLock::new(|| {
    use text2num::Language as Numbers;
    [Numbers::english(), Numbers::german(), Numbers::spanish(), Numbers::french()]
});

impl Language {
    /// Returns the language of a locale, English where it is none of those known.
    pub(super) fn of(locale: &str) -> &'static Self {
        let prefix = subtags(locale).next().unwrap_or_default();
        ALL.into_iter().find(|language| language.code == prefix).unwrap_or(&en::ENGLISH)
    }

    /// All that are known.
    pub(super) fn all() -> impl Iterator<Item = &'static Self> {
        ALL.into_iter()
    }

    /// The language's subtag.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    /// The place in `all`.
    fn index(&self) -> usize {
        ALL.iter().position(|language| language.code == self.code).unwrap_or(0)
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
        matches!(prefix.as_str(), "" | "en") && matches!(region(locale).as_deref(), None | Some("us" | "ph"))
    }

    /// Writes number words as digits, and ordinals as digits with their ending.
    pub(super) fn with_digits(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (typed, meant) in self.respelled {
            // Telephones begin an answer with a capital.
            if text.to_lowercase().contains(typed) {
                text = text.to_lowercase().replace(typed, meant);
            }
        }
        match NUMBERS.get(self.index()) {
            Some(numbers) => replace_numbers_in_text(&text, numbers, 0.0),
            None => text,
        }
    }

    /// Whether something is refused: «not the red one». «Why not» and «kein Problem» are none of it.
    pub(super) fn refuses(&self, said: &[String]) -> bool {
        says(said, self.except) && !says(said, AGREES)
    }

    /// The words of a text without their endings: «das rote» and «rot» have the same stem.
    pub(super) fn stems(&self, text: &str) -> Vec<String> {
        let stem = |word: &String| {
            let stems = phrases(self.endings).filter_map(|ending| word.strip_suffix(ending));
            stems.into_iter().find(|stem| stem.len() >= STEM_BYTES_MIN).unwrap_or(word).to_owned()
        };
        words(text).iter().map(stem).collect()
    }

    /// Returns the place that an ordinal names: «the second», «la deuxième», «2.»
    pub(super) fn ordinal(&self, text: &str) -> Option<f64> {
        static ORDINAL: LazyLock<Option<Regex>> = LazyLock::new(|| {
            let endings = r"st|nd|rd|th|\.ᵉʳ|\.|º|ª|ère|ere|er|ème|eme|ième|ieme|re|e|do|da|ro|ra";
            Regex::new(&format!(r"(?i)\b([0-9]{{1,3}})(?:{endings})(?:[^\p{{L}}0-9]|$)")).ok()
        });
        let is_second = says(&words(text), self.second);
        let text = self.with_digits(text);
        let places = ORDINAL.as_ref()?.captures_iter(&text).filter_map(|found| found.get(1)?.as_str().parse().ok());
        let mut places = places.chain(is_second.then_some(2.0));
        let place: f64 = places.next()?;
        // «the first or the second» is no place.
        places.all(|other| other == place).then_some(place)
    }
}

fn subtags(locale: &str) -> impl Iterator<Item = String> {
    locale.split(['-', '_']).map(str::to_ascii_lowercase)
}

fn region(locale: &str) -> Option<String> {
    subtags(locale).skip(1).find(|subtag| subtag.len() == 2)
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

/// A pattern for any of the phrases as whole words, the longest first. Nothing matches where there are none.
pub(super) fn any(table: Words) -> String {
    let mut folded: Vec<String> = phrases(table).map(fold).collect();
    folded.sort_by_key(|phrase| std::cmp::Reverse(phrase.len()));
    let whole = |phrase: &String| {
        let ends = if phrase.ends_with(char::is_alphanumeric) { r"\b" } else { "" };
        let begins = if phrase.starts_with(char::is_alphanumeric) { r"\b" } else { "" };
        format!("{begins}{}{ends}", regex::escape(phrase))
    };
    match folded.is_empty() {
        true => r"[^\s\S]".to_owned(),
        false => folded.iter().map(whole).collect::<Vec<_>>().join("|"),
    }
}
