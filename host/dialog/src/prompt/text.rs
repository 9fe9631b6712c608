//! An answer as words, digits and marks, each with its meanings.

use super::language::{Language, fold};
use super::lexicon::{Mean, Sense};

/// An answer, read once for all kinds of prompts.
pub(super) struct Text<'l> {
    folded: String,
    pub(super) tokens: Vec<Token>,
    senses: Vec<Vec<Sense>>,
    pub(super) language: &'l Language,
}

/// A word, digits or a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    start: usize,
    end: usize,
    /// Nothing stands between it and the token before it.
    pub(super) glued: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Digits,
    Mark(char),
}

impl<'l> Text<'l> {
    pub(super) fn new(text: &str, language: &'l Language) -> Self {
        let folded = meridians(fold(text));
        let mut tokens = lex(&folded);
        let lexicon = language.lexicon();
        if language.compounds {
            tokens = tokens.into_iter().flat_map(|token| divided(token, &folded, language)).collect();
        }
        let senses = (0..tokens.len()).map(|from| {
            let mut senses = Vec::new();
            let words = tokens.iter().skip(from).map(|token| &folded[token.start..token.end]);
            lexicon.senses(words, &mut senses);
            senses
        });
        let senses = senses.collect();
        Self { folded, tokens, senses, language }
    }

    pub(super) fn len(&self) -> usize {
        self.tokens.len()
    }

    /// The text of a token, in lower case without accents; empty beyond the end.
    pub(super) fn word(&self, at: usize) -> &str {
        let token = self.tokens.get(at);
        token.and_then(|token| self.folded.get(token.start..token.end)).unwrap_or_default()
    }

    /// The meanings of the phrases that begin at a token, the longest first.
    pub(super) fn senses(&self, at: usize) -> &[Sense] {
        self.senses.get(at).map(Vec::as_slice).unwrap_or_default()
    }

    /// The first meaning that a reader takes, and where its phrase ends.
    pub(super) fn read<T>(&self, at: usize, take: impl Fn(Mean) -> Option<T>) -> Option<(T, usize)> {
        self.senses(at).iter().find_map(|sense| Some((take(sense.mean)?, at + sense.len)))
    }

    /// Where a phrase of this meaning ends.
    pub(super) fn is(&self, at: usize, mean: Mean) -> Option<usize> {
        self.read(at, |other| (other == mean).then_some(())).map(|((), end)| end)
    }

    /// The place after any phrases of these meanings.
    pub(super) fn skip(&self, at: usize, means: &[Mean]) -> usize {
        let mut at = at;
        while let Some((_, end)) = self.read(at, |mean| means.contains(&mean).then_some(())) {
            at = end;
        }
        at
    }

    /// Where a phrase ends that begins at a token.
    pub(super) fn begins(&self, at: usize, phrase: &str) -> Option<usize> {
        let mut end = at;
        for word in phrase.split([' ', '\'']) {
            if self.word(end) != word {
                return None;
            }
            end += 1;
        }
        Some(end)
    }

    /// The words with numbers in digits, and ordinals in digits with a point.
    pub(super) fn numbered(&self) -> Vec<String> {
        let mut words = Vec::with_capacity(self.len());
        let mut at = 0;
        while at < self.len() {
            match super::number::at(self, at, self.language.decimal("")).filter(|number| !number.is_article) {
                Some(number) => {
                    at = number.end;
                    let is_place = number.is_ordinal
                        || self.language.compounds && self.mark(at) == Some('.') && at + 1 < self.len();
                    words.push(format!("{}{}", number.value, if is_place { "." } else { "" }));
                }
                None => {
                    if self.mark(at).is_none_or(|mark| !mark.is_ascii()) {
                        words.push(self.word(at).to_owned());
                    }
                    at += 1;
                }
            }
        }
        words
    }

    pub(super) fn mark(&self, at: usize) -> Option<char> {
        match self.tokens.get(at)?.kind {
            Kind::Mark(mark) => Some(mark),
            _ => None,
        }
    }

    pub(super) fn is_glued(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.glued)
    }

    pub(super) fn is_digits(&self, at: usize) -> bool {
        self.tokens.get(at).is_some_and(|token| token.kind == Kind::Digits)
    }

    /// Digits of so many places, as a number.
    pub(super) fn digits(&self, at: usize, places: std::ops::RangeInclusive<usize>) -> Option<u32> {
        let word = self.word(at);
        let fits = self.is_digits(at) && places.contains(&word.len());
        fits.then(|| word.parse().ok()).flatten()
    }
}

/// The words, digits and marks of a phrase.
pub(super) fn split(phrase: &str) -> Vec<String> {
    let folded = fold(phrase);
    lex(&folded).iter().map(|token| folded[token.start..token.end].to_owned()).collect()
}

fn lex(text: &str) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::with_capacity(text.len() / 4 + 1);
    for (start, c) in text.char_indices() {
        let end = start + c.len_utf8();
        let last = tokens.last_mut().filter(|last| last.end == start);
        let glued = last.is_some();
        let kind = match c {
            '0'..='9' => Kind::Digits,
            c if c.is_alphabetic() && !matches!(c, 'º' | 'ª') => Kind::Word,
            // A hyphen or an apostrophe within words parts them: «vingt-deux», «d'ici».
            '-' | '\'' if between_letters(text, start, end) => continue,
            c if c.is_whitespace() || c.is_control() => continue,
            c => Kind::Mark(c),
        };
        match last {
            Some(last) if last.kind == kind && !matches!(kind, Kind::Mark(_)) => last.end = end,
            _ => tokens.push(Token { kind, start, end, glued }),
        }
    }
    tokens
}

fn between_letters(text: &str, start: usize, end: usize) -> bool {
    let before = text.get(..start).and_then(|before| before.chars().next_back());
    let after = text.get(end..).and_then(|after| after.chars().next());
    before.is_some_and(char::is_alphabetic) && after.is_some_and(char::is_alphabetic)
}

/// `p.m.` and `p. m.` as one word.
fn meridians(text: String) -> String {
    let dotted = [("a.m", "am"), ("p.m", "pm"), ("a. m", "am"), ("p. m", "pm")];
    if !dotted.iter().any(|(dotted, _)| text.contains(dotted)) {
        return text;
    }
    let mut plain = text;
    for (dotted, word) in dotted {
        let mut rest = plain.as_str();
        let mut written = String::with_capacity(plain.len());
        while let Some((before, after)) = rest.split_once(dotted) {
            let is_part = before.ends_with(char::is_alphabetic) || after.starts_with(char::is_alphabetic);
            written.push_str(before);
            written.push_str(if is_part { dotted } else { word });
            rest = after;
        }
        written.push_str(rest);
        plain = written;
    }
    plain
}

/// The parts of a compound.
fn divided(token: Token, text: &str, language: &Language) -> Vec<Token> {
    let word = &text[token.start..token.end];
    let cuts = match token.kind {
        Kind::Word => language.lexicon().parts(word).unwrap_or_default(),
        _ => Vec::new(),
    };
    let mut parts = Vec::with_capacity(cuts.len() + 1);
    let mut start = 0;
    for end in cuts.into_iter().chain([word.len()]) {
        let glued = if start == 0 { token.glued } else { true };
        parts.push(Token { start: token.start + start, end: token.start + end, glued, ..token });
        start = end;
    }
    parts
}
