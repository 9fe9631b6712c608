//! The patterns of a language, made of its table once and compiled once.

use std::sync::LazyLock;

use regex::Regex;

use crate::prompt::language::{Language, Offset, Part, any};

pub(super) struct Grammar {
    pub(super) language: &'static Language,
    pub(super) iso: Regex,
    pub(super) numeric: Regex,
    /// A month by name, after and before its day.
    pub(super) months: Vec<Regex>,
    /// «Monday in May».
    pub(super) month_without_day: Regex,
    pub(super) weekday: Regex,
    pub(super) day_of_month: Vec<Regex>,
    /// «tomorrow» and its like, with the days from today.
    pub(super) days: Vec<(Regex, i64)>,
    /// «in 3 days», «3 days ago».
    pub(super) counted: Vec<Regex>,
    /// «next week», «la semaine prochaine».
    pub(super) following: Vec<Regex>,
    pub(super) week_after_next: Regex,
    pub(super) parts: Vec<(Regex, Part, bool)>,
    pub(super) clock_phrases: Vec<(Regex, Offset)>,
    /// A time with minutes.
    pub(super) clock: Vec<Regex>,
    /// A full hour.
    pub(super) hour: Vec<Regex>,
    /// `18.30`, said to be a time.
    pub(super) dotted: Regex,
    pub(super) noon: Regex,
    pub(super) midnight: Regex,
    pub(super) number: Regex,
}

static ENGLISH: LazyLock<Grammar> = LazyLock::new(|| Grammar::new(Language::of("en")));
static GERMAN: LazyLock<Grammar> = LazyLock::new(|| Grammar::new(Language::of("de")));
static SPANISH: LazyLock<Grammar> = LazyLock::new(|| Grammar::new(Language::of("es")));
static FRENCH: LazyLock<Grammar> = LazyLock::new(|| Grammar::new(Language::of("fr")));

impl Grammar {
    pub(super) fn of(language: &Language) -> &'static Self {
        match language.code() {
            "de" => &GERMAN,
            "es" => &SPANISH,
            "fr" => &FRENCH,
            _ => &ENGLISH,
        }
    }

    fn new(language: &'static Language) -> Self {
        let units = &language.units;
        let unit = [
            ("minute", units.minute),
            ("hour", units.hour),
            ("day", units.day),
            ("week", units.week),
            ("month", units.month),
            ("year", units.year),
        ];
        let unit = unit.map(|(name, words)| format!("(?P<{name}>{})", any(words))).join("|");
        let articles = if language.articles.is_empty() { r"\ban?\b".to_owned() } else { any(language.articles) };
        let half = any(language.and_half);
        let count = format!(r"(?P<n>[0-9]{{1,4}}(?:[.,][0-9]{{1,2}})?|{articles})(?:\s+(?P<half>{half}))?");
        let turns = |suffix: &str| {
            let table = [("next", language.next), ("past", language.past), ("this", language.this)];
            table.map(|(name, words)| format!("(?P<{name}{suffix}>{})", any(words))).join("|")
        };
        let (turn, turn_after) = (turns(""), turns("_after"));
        let longer = [("week", units.week), ("month", units.month), ("year", units.year)];
        let longer = longer.map(|(name, words)| format!("(?P<{name}>{})", any(words))).join("|");
        let months = language.months.concat_words();
        let day = r"\b(?P<d>[0-9]{1,2})(?:st|nd|rd|th|\.ᵉʳ|\.|er|º|ª)?";
        let year = r"(?:\.?,?\s+(?:de\s+|del\s+)?(?P<y>[0-9]{4})\b)?";
        let (clock, at) = (any(language.clock), any(language.at));
        let days = &language.days;
        // The longer phrases first: «day after tomorrow» holds «tomorrow».
        let days =
            [(days.day_before, -2), (days.day_after, 2), (days.tomorrow, 1), (days.today, 0), (days.yesterday, -1)];
        let weekdays = language.weekdays.concat_words();
        let some_day = days.iter().map(|(words, _)| any(words)).chain([weekdays.clone()]).collect::<Vec<_>>().join("|");
        // Fused with what follows in German: «samstagabend».
        let some_day = some_day.replace(r"\b", "");
        let spoken = |pattern: &str| {
            let hour = r"(?P<h>[0-9]{1,2})";
            let pattern = pattern.replace("{h}", hour).replace("{m}", r"(?P<m>[0-9]{1,2})");
            compiled(&format!(r"\b{pattern}\b"))
        };
        Self {
            language,
            iso: compiled(r"\b(?P<y>[0-9]{4})[-/.](?P<mo>[0-9]{1,2})[-/.](?P<d>[0-9]{1,2})(?:t|\b)"),
            numeric: compiled(
                r"\b(?P<one>[0-9]{1,2})(?P<mark>[./-])(?P<space>\s)?(?P<other>[0-9]{1,2})(?:(?P<end>[./-])\s?(?P<y>[0-9]{4}\b|[0-9]{2}\b)?)?",
            ),
            months: vec![
                compiled(&format!(r"{day}\s*(?:of\s+|de\s+)?(?P<month>{months}){year}")),
                compiled(&format!(r"(?P<month>{months})\.?\s+(?:the\s+)?{day}(?:\b|\s|,|$){year}")),
            ],
            month_without_day: compiled(&format!(r"(?:{weekdays})\s+(?:in|of|im|en|de|du|d')\s+(?:{months})")),
            weekday: compiled(&format!(r"(?:(?:{turn})\s+)?(?P<weekday>{weekdays})(?:\s+(?:{turn_after}))?")),
            day_of_month: language.day_of_month.iter().map(|pattern| compiled(pattern)).collect(),
            days: days.into_iter().map(|(words, offset)| (compiled(&any(words)), offset)).collect(),
            counted: vec![
                compiled(&format!(
                    r"(?:(?P<ahead>{})|(?P<back>{}))\s+{count}\s*(?:{unit})(?:\s+(?P<half_after>{half})|\s+(?:\p{{L}}{{1,3}}\s+)?(?P<more>[0-9]{{1,2}})\s*(?:{}))?",
                    any(language.within),
                    any(language.ago_before),
                    any(units.minute)
                )),
                compiled(&format!(
                    r"\b{count}\s*(?:{unit})\s+(?:(?P<ahead>{})|(?P<back>{}))",
                    any(language.later),
                    any(language.ago_after)
                )),
            ],
            following: vec![
                compiled(&format!(r"(?:{turn})\s+(?:{longer})")),
                compiled(&format!(r"(?:{longer})\s+(?:{turn})")),
            ],
            week_after_next: compiled(&any(language.week_after_next)),
            parts: language
                .parts
                .iter()
                .map(|(pattern, part, today)| (compiled(&pattern.replace("{day}", &some_day)), *part, *today))
                .collect(),
            clock_phrases: language.clock_phrases.iter().map(|(pattern, offset)| (spoken(pattern), *offset)).collect(),
            clock: vec![
                compiled(r"\b(?P<h>[0-9]{1,2})(?::|\s?h\s?|\.)(?P<m>[0-5][0-9])(?::(?P<s>[0-5][0-9]))?"),
                compiled(&format!(r"\b(?P<h>[0-9]{{1,2}})\s*(?:{})\s*(?P<m>[0-9]{{1,2}})\b", clock.replace(r"\b", ""))),
            ],
            hour: vec![
                compiled(&format!(r"\b(?P<h>[0-9]{{1,2}})\s*(?:{})(?:\W|$)", clock.replace(r"\b", ""))),
                compiled(&format!(r"(?:{at})\s+(?P<h>[0-9]{{1,2}})(?:\s(?P<m>[0-5][0-9]))?\b")),
            ],
            dotted: compiled(&format!(
                r"(?:{at})\s+[0-9]{{1,2}}\.[0-9]{{2}}(?:[^0-9.]|$)|\b[0-9]{{1,2}}\.[0-9]{{2}}\s*(?:{clock})(?:\W|$)"
            )),
            noon: compiled(&any(language.noon)),
            midnight: compiled(&any(language.midnight)),
            number: compiled(r"\b(?P<h>[0-9]{1,2})(?:\s(?P<m>[0-5][0-9]))?\b"),
        }
    }
}

trait Concat {
    /// One pattern for the words of all entries.
    fn concat_words(&self) -> String;
}

impl<const N: usize> Concat for [&'static str; N] {
    fn concat_words(&self) -> String {
        self.iter().map(|words| any(words)).collect::<Vec<_>>().join("|")
    }
}

/// The patterns are ours, and a test compiles every one: a pattern that were none would match nothing.
fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|error| {
        debug_assert!(false, "{pattern}: {error}");
        NOTHING.clone()
    })
}

#[expect(clippy::unwrap_used, reason = "a constant pattern")]
static NOTHING: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[^\s\S]").unwrap());
