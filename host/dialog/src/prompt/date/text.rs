//! The text that is searched: what was read is taken out, so that nothing is read twice.

use std::ops::Range;

use jiff::civil::{Date, DateTime};
use regex::{Captures, Regex};

use super::grammar::Grammar;
use crate::prompt::language::{Language, fold, phrases};
use crate::prompt::number::halves_split;

pub(super) struct Text {
    /// In lower case, without accents, number words as digits.
    pub(super) text: String,
    pub(super) grammar: &'static Grammar,
    pub(super) decimal: char,
    pub(super) month_first: bool,
    pub(super) now: DateTime,
}

impl Text {
    pub(super) fn new(text: &str, language: &Language, locale: &str, now: DateTime) -> Self {
        let mut text = text.to_lowercase();
        for (said, meant) in language.rewritten {
            for phrase in phrases(said) {
                text = with_words(&text, phrase, meant);
            }
        }
        Self {
            text: fold(&language.with_digits(&halves_split(&text, language))),
            grammar: Grammar::of(language),
            decimal: language.decimal(""),
            month_first: language.is_month_first(locale),
            now,
        }
    }

    pub(super) fn today(&self) -> Date {
        self.now.date()
    }

    /// Whether «or» is said: what follows may be another date.
    pub(super) fn offers_another(&self) -> bool {
        self.text.contains(self.grammar.language.or)
    }

    /// Reads the first match that means something, and blanks out what it covers.
    pub(super) fn take<T>(&mut self, pattern: &Regex, read: impl Fn(&Captures<'_>, &Self) -> Option<T>) -> Option<T> {
        let (read, range) = pattern.captures_iter(&self.text).find_map(|found| {
            let range = found.name("part").or_else(|| found.get(0))?.range();
            Some((read(&found, self)?, range))
        })?;
        self.blank(range);
        Some(read)
    }

    /// What follows a match, to see that it ends there: `18.30` in `18.30.2026` is no time.
    pub(super) fn goes_on(&self, end: usize) -> bool {
        let mut rest = self.text.get(end..).unwrap_or_default().chars();
        match rest.next() {
            Some(c) if c.is_ascii_digit() => true,
            Some('.' | '/' | '-' | ':') => rest.next().is_some_and(|c| c.is_ascii_digit()),
            _ => false,
        }
    }

    /// Leaves a mark, so that what stood apart stays apart.
    fn blank(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            let blank = format!(";{}", " ".repeat(range.len() - 1));
            self.text.replace_range(range, &blank);
        }
    }
}

/// The text with one phrase for another, where it is not a part of a word.
fn with_words(text: &str, phrase: &str, meant: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(phrase) {
        let is_part = |end: Option<char>, next: Option<char>| {
            end.is_some_and(char::is_alphanumeric) && next.is_some_and(char::is_alphanumeric)
        };
        let starts = before.chars().next_back().or_else(|| replaced.chars().next_back());
        let is_word =
            is_part(phrase.chars().next(), starts) || is_part(phrase.chars().next_back(), after.chars().next());
        replaced.push_str(before);
        replaced.push_str(if is_word { phrase } else { meant });
        rest = after;
    }
    replaced.push_str(rest);
    replaced
}

/// A group as a number.
pub(super) fn part<T: std::str::FromStr>(found: &Captures<'_>, group: &str) -> Option<T> {
    found.name(group)?.as_str().parse().ok()
}
