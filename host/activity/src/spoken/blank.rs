//! Invisible characters, and Unicode normalization.

use std::borrow::Cow;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

const COMPOSING: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();
const DECOMPOSING: DecomposingNormalizerBorrowed<'static> = DecomposingNormalizerBorrowed::new_nfd();

/// Returns the text without invisible characters, and with every kind of blank converted to a space.
pub fn without_marks(text: &str) -> Cow<'_, str> {
    if !text.contains(|c| is_mark(c) || is_wide_blank(c)) {
        return text.into();
    }
    let seen = text.chars().filter(|c| !is_mark(*c));
    seen.map(|c| if is_wide_blank(c) { ' ' } else { c }).collect::<String>().into()
}

/// Returns the text without blanks and invisible characters at its start and end.
pub fn trimmed(text: &str) -> &str {
    let is_blank = |c: char| c.is_whitespace() || is_mark(c) || is_wide_blank(c) || is_joiner(c);
    text.trim_start_matches(|c| is_blank(c) || is_modifier(c)).trim_end_matches(is_blank)
}

/// Returns the text in Unicode normalization form NFC: `e` with a combining diaeresis becomes `ë`. Keyboards write NFC;
/// some file systems and channels write the decomposed form NFD.
pub fn composed(text: &str) -> Cow<'_, str> {
    COMPOSING.normalize(text)
}

/// Converts a byte offset in the result of [`composed`] to the offset in the original text. The two prefixes decompose to
/// the same number of bytes.
pub(super) fn place_before_composing(text: &str, composed: &str, place: usize) -> usize {
    let bytes = |c: char| DECOMPOSING.normalize(c.encode_utf8(&mut [0; 4])).len();
    let wanted: usize = composed.get(..place).unwrap_or(composed).chars().map(bytes).sum();
    let mut passed = 0;
    let found = text.char_indices().find(|(_, c)| {
        let is_there = passed >= wanted;
        passed += bytes(*c);
        is_there
    });
    found.map_or(text.len(), |(place, _)| place)
}

/// Returns whether the character is invisible in every position: a direction mark, a control or a character without width.
/// These are the characters that Unicode calls default ignorable, except joiners and variation selectors.
pub fn is_mark(c: char) -> bool {
    (c.is_control() && !c.is_whitespace())
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{17b4}' | '\u{17b5}' | '\u{180e}')
        || matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}')
        || matches!(c, '\u{e0000}'..='\u{e001f}')
}

/// Matches blanks outside ASCII. Some letters are blank too: the Hangul fillers and the Braille pattern without dots.
fn is_wide_blank(c: char) -> bool {
    (c != ' ' && c.is_whitespace() && !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}'))
        || matches!(c, '\u{115f}' | '\u{1160}' | '\u{2800}' | '\u{3164}' | '\u{ffa0}')
}

/// Matches the zero-width joiner and non-joiner, which have a meaning only between two characters.
fn is_joiner(c: char) -> bool {
    matches!(c, '\u{200c}' | '\u{200d}')
}

/// Matches characters that modify the character before them: variation selectors, and tags, which form flag emoji.
fn is_modifier(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0020}'..='\u{e01ef}')
}
