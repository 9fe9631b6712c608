//! Finds card and phone numbers in a text.

/// Replacements of numbers.
const CARD: &str = "[card]";
const PHONE: &str = "[phone]";

/// Maximum length of a number, in digits.
const DIGITS_MAX: usize = 19;

/// Maximum length of a tag that is ignored between digits, in characters.
const TAG_CHARS_MAX: usize = 256;

/// Minimum number of digits at the end of an unfinished text that are held back, because they may become a number.
const BEGUN: usize = 4;

/// A sequence of digits and separators, from a digit, `+` or `(` to a digit. It may contain several numbers that are separated
/// only by blanks. Positions are in bytes.
#[derive(Debug, Clone, Default)]
struct Run {
    start: usize,
    end: usize,
    digits: Vec<u8>,
    groups: Vec<Group>,
}

/// Adjacent digits of a run.
#[derive(Debug, Clone)]
struct Group {
    /// The position of the first digit, or of the `+` or `(` before it.
    start: usize,
    end: usize,
    /// The index of the first digit in `Run::digits`.
    first: usize,
    count: usize,
    /// True if there is a blank or nothing before the group.
    begins: bool,
}

/// The characters that may separate the digits of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Between {
    /// The separators that people use within a number.
    Usual,
    /// Also line ends and the separators of lists. Here only a sequence that clearly looks like a card number counts.
    Any,
}

/// Returns the text with its numbers replaced, or none if it contains no number.
pub(crate) fn without(text: &str) -> Option<String> {
    let usual = replaced(text, Between::Usual);
    replaced(usual.as_deref().unwrap_or(text), Between::Any).or(usual)
}

fn replaced(text: &str, between: Between) -> Option<String> {
    let mut redacted = String::new();
    let mut done = 0;
    for (start, end, instead) in runs(text, between).iter().flat_map(|run| run.numbers(text, between)) {
        redacted.push_str(&text[done..start]);
        redacted.push_str(instead);
        done = end;
    }
    (done > 0).then(|| redacted + &text[done..])
}

/// Cuts digits at the end that may be the beginning of a number.
pub(crate) fn hold_back(text: &mut String) {
    let Some(last) = runs(text, Between::Usual).pop() else { return };
    let next = runs(&format!("{text}0"), Between::Usual).pop();
    let goes_on = next.is_some_and(|next| next.start == last.start);
    if goes_on && last.digits.len() >= BEGUN {
        // The next piece must begin with this one, because channels show a text that only grows.
        text.truncate(last.start);
    }
}

fn runs(text: &str, between: Between) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let (mut open, mut markup_until) = (false, 0);
    for (position, char) in text.char_indices() {
        if position < markup_until {
            continue;
        }
        let Some(value) = digit(char) else {
            markup_until = position + markup(&text[position..]);
            open = open && (markup_until > position || is_separator(char) || (between == Between::Any && parts(char)));
            continue;
        };
        if !open {
            runs.push(Run { start: with_sign(text, position), ..Run::default() });
            open = true;
        }
        let Some(run) = runs.last_mut() else { continue };
        run.end = position + char.len_utf8();
        match run.groups.last_mut() {
            Some(group) if group.end == position => (group.end, group.count) = (run.end, group.count + 1),
            last => {
                let begins =
                    last.is_none_or(|last| text[last.end..position].contains(|char| is_gap(char) || char == '&'));
                let start = if begins { with_sign(text, position) } else { position };
                run.groups.push(Group { start, end: run.end, first: run.digits.len(), count: 1, begins });
            }
        }
        run.digits.push(value);
    }
    runs
}

/// Returns the position of the `+` or `(` before a digit, or of the digit if there is no such sign.
fn with_sign(text: &str, position: usize) -> usize {
    let lead = text[..position].trim_end_matches(is_gap);
    let sign = lead.chars().next_back().filter(|char| matches!(char, '+' | '(' | '＋' | '（'));
    sign.map_or(position, |sign| lead.len() - sign.len_utf8())
}

impl Run {
    /// Returns the start, the end and the replacement of each number.
    fn numbers(&self, text: &str, between: Between) -> Vec<(usize, usize, &'static str)> {
        let (mut found, mut at) = (Vec::new(), 0);
        while at < self.groups.len() {
            // The longest number that begins here.
            let ends = (at + 1..=self.groups.len().min(at + DIGITS_MAX)).rev();
            let number = ends.into_iter().find_map(|end| Some((end, self.is(text, at, end, between)?)));
            at += 1;
            if let Some((mut end, instead)) = number {
                // The longest match may include the beginning of the next number. Then the rest of that number is removed too.
                while instead == PHONE && self.groups.get(end).is_some_and(|next| next.count >= BEGUN) {
                    let word = self.word_at(end);
                    if has_date(text, &self.groups[word.clone()]) {
                        break;
                    }
                    end = word.end;
                }
                found.push((self.groups[at - 1].start, self.groups[end - 1].end, instead));
                at = end;
            }
        }
        found
    }

    /// Returns the groups from `from` to the next blank.
    fn word_at(&self, from: usize) -> std::ops::Range<usize> {
        let length = self.groups[from + 1..].iter().take_while(|group| !group.begins).count();
        from..from + 1 + length
    }

    /// Returns the replacement of these groups if they form one number.
    fn is(&self, text: &str, from: usize, to: usize, between: Between) -> Option<&'static str> {
        let groups = &self.groups[from..to];
        let (first, last) = (groups.first()?, groups.last()?);
        let digits = &self.digits[first.first..last.first + last.count];
        let is_all = groups.len() == self.groups.len();
        let is_card = (13..=DIGITS_MAX).contains(&digits.len()) && luhn(digits);
        if between == Between::Any {
            // A list of years begins with 20, and 19 is no prefix of a card.
            let is_year = digits.starts_with(&[2, 0]);
            return (is_card && !is_year && looks_like_a_card(groups, digits)).then_some(CARD);
        }
        if is_card && (is_all || looks_like_a_card(groups, digits)) {
            return Some(CARD);
        }
        let ends = self.groups.get(to).is_none_or(|next| next.begins);
        let is_phone = first.begins && ends && is_phone(&text[first.start..last.end], groups, digits, is_all);
        (is_phone && !has_date(text, groups)).then_some(PHONE)
    }
}

/// Returns true if groups of digits within a longer run are grouped like a card number. The check digit alone is not enough,
/// because one in ten numbers has a valid one.
fn looks_like_a_card(groups: &[Group], digits: &[u8]) -> bool {
    let last = groups.len() - 1;
    let lengths = groups.iter().enumerate().all(|(place, group)| match place {
        0 => group.count >= 4,
        place => group.count >= 3 || place == last,
    });
    lengths && matches!(digits.first(), Some(2..=6))
}

/// Returns true if groups of digits are written like a phone number.
fn is_phone(text: &str, groups: &[Group], digits: &[u8], is_all: bool) -> bool {
    let count = digits.len();
    match text.chars().next() {
        Some('+' | '＋') => (7..=15).contains(&count),
        Some('(' | '（') => (9..=15).contains(&count),
        _ if digits.first() == Some(&0) => (9..=15).contains(&count),
        // North American numbers, and other numbers without the leading zero if the run contains nothing else.
        _ if is_all => (10..=11).contains(&count) && groups.len() >= 3,
        _ => {
            let counts: Vec<usize> = groups.iter().map(|group| group.count).collect();
            matches!(counts[..], [3, 3, 4] | [1, 3, 3, 4])
        }
    }
}

/// Returns true if the groups between two blanks are a date, or if all groups together are a date with an hour.
fn has_date(text: &str, groups: &[Group]) -> bool {
    let words = groups.chunk_by(|_, next| !next.begins).chain([groups]);
    words.filter_map(|word| text.get(word.first()?.start..word.last()?.end)).any(is_date)
}

/// Returns true for dates such as `2027-06-01`, `01.06.2027 10` and `1/6/2027`.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split(['.', '-', '/', ' ']).filter(|part| !part.is_empty()).collect();
    let number = |at: usize| parts.get(at).and_then(|part| part.parse::<u32>().ok());
    let (Some(a), Some(b), Some(c)) = (number(0), number(1), number(2)) else { return false };
    let is_year = |year: u32| (1000..=2999).contains(&year);
    let is_day = |day: u32| (1..=31).contains(&day);
    parts.len() <= 4 && is_day(b) && ((is_year(a) && is_day(c)) || (is_day(a) && is_year(c)))
}

/// Returns true if the check digit of a card number is valid (ISO/IEC 7812-1, annex B).
fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(position, digit)| match (position % 2, u32::from(*digit)) {
            (0, digit) => digit,
            (_, digit) if digit > 4 => digit * 2 - 9,
            (_, digit) => digit * 2,
        })
        .sum();
    sum.is_multiple_of(10) && digits.iter().any(|digit| *digit != 0)
}

/// Returns the value of a digit in the scripts that keyboards offer.
fn digit(char: char) -> Option<u8> {
    const ZEROS: [u32; 6] = [0x30, 0x660, 0x6f0, 0x966, 0x9e6, 0xff10];
    let code = u32::from(char);
    let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code))?;
    u8::try_from(code - zero).ok()
}

/// Returns the length of markup at the beginning of a text: a tag without digits, or an entity for a blank.
fn markup(text: &str) -> usize {
    const BLANKS: &[&str] =
        &["&nbsp;", "&#160;", "&#xa0;", "&#xA0;", "&ensp;", "&emsp;", "&thinsp;", "&shy;", "&zwnj;"];
    if text.starts_with('<') {
        // Without this limit a text of only `<` would take quadratic time.
        let end = text.char_indices().take(TAG_CHARS_MAX).find(|(_, char)| *char == '>').map_or(0, |(end, _)| end + 1);
        return if text[..end].contains(|char| digit(char).is_some()) { 0 } else { end };
    }
    BLANKS.iter().find(|blank| text.starts_with(**blank)).map_or(0, |blank| blank.len())
}

/// Returns true for separators of lists and lines.
fn parts(char: char) -> bool {
    matches!(char, ',' | ':' | ';' | '*' | '~' | '|' | '\\' | '\n' | '\r')
}

/// Returns true for characters that people write within a number, and for invisible characters.
fn is_separator(char: char) -> bool {
    is_gap(char) || matches!(char, '-' | '.' | '/' | '(' | ')' | '·' | '_' | '\u{2010}'..='\u{2015}' | '−')
}

fn is_gap(char: char) -> bool {
    // Blanks of every width except line ends, and characters without width.
    (char.is_whitespace() && !matches!(char, '\n' | '\r'))
        || matches!(char, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::{hold_back, without};

    #[test]
    fn numbers_of_cards_and_telephones_are_removed() {
        for (text, expected) in [
            ("4111 1111 1111 1111", "[card]"),
            ("card: 4111-1111-1111-1111, thanks", "card: [card], thanks"),
            ("5500005555555559 and 340000000000009", "[card] and [card]"),
            ("４１１１　１１１１　１１１１　１１１１", "[card]"),
            ("4111\u{200b}1111\u{200b}1111\u{200b}1111", "[card]"),
            ("٤١١١ ١١١١ ١١١١ ١١١١", "[card]"),
            ("call +49 (171) 123-4567 now", "call [phone] now"),
            ("0171/1234567", "[phone]"),
            ("(030) 1234567", "[phone]"),
            ("555-123-4567", "[phone]"),
            ("+1 555 123 4567\n+44 20 7946 0958", "[phone]\n[phone]"),
        ] {
            assert_eq!(without(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn numbers_that_follow_one_another_are_told_apart() {
        for (text, expected) in [
            ("4111 1111 1111 1111 12/27 123", "[card] 12/27 123"),
            ("2 4111 1111 1111 1111", "2 [card]"),
            ("12/27 4111-1111-1111-1111 0171 1234567", "12/27 [card] [phone]"),
            ("4111111111111111 5500005555555559", "[card] [card]"),
            ("4111111111111111.0", "[card].0"),
            ("12 0171 1234567", "12 [phone]"),
            ("12 (030) 1234567", "12 [phone]"),
            ("2027-06-01 0171 1234567", "2027-06-01 [phone]"),
            ("0171 1234567 0172 7654321", "[phone]"),
            ("0171 1234567 2027-06-01", "[phone] 2027-06-01"),
            ("+49 171 1234567 0172 7654321", "[phone]"),
            ("24 555-123-4567", "24 [phone]"),
            ("4111&nbsp;1111&#160;1111&nbsp;1111", "[card]"),
            ("<b>4111</b> <i>1111</i> 11111111</p>", "<b>[card]</p>"),
            ("<a href=\"tel:+491711234567\">0171&nbsp;1234567</a>", "<a href=\"tel:[phone]\">[phone]</a>"),
            ("4111 1111\n1111 1111", "[card]"),
            ("4111,1111,1111,1111", "[card]"),
        ] {
            assert_eq!(without(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn other_numbers_stay() {
        for text in [
            "",
            "hello",
            "4111 1111 1111 1112",
            "2027-06-01",
            "01.06.2027 10",
            "1/6/2027 at 10:30",
            "room 1204, 3 nights, 450.00 EUR",
            "order 20270601",
            "2027-06-01 - 2027-06-05",
            "01.06.2027 05.06.2027",
            "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16",
            "10 20 30 40 50 60 70",
            "2019, 2020, 2021, 2022, 2023, 2024, 2025, 2026, 2027, 2028, 2029",
            "10, 20, 30, 40, 50, 60, 70, 80, 90, 100",
            "a < 12 and 13 > 4",
            "3.14159265358979",
            "0000000000000000",
        ] {
            assert_eq!(without(text), None, "{text}");
        }
    }

    #[test]
    fn the_beginning_of_a_number_is_held_back() {
        for (text, expected) in [
            ("The number is 4111 1111 ", "The number is "),
            ("Call +49 17", "Call "),
            ("Card 4111&nbsp;", "Card "),
            ("It costs 450", "It costs 450"),
            ("Room 1204 is yours", "Room 1204 is yours"),
        ] {
            let mut text = text.to_owned();
            hold_back(&mut text);
            assert_eq!(text, expected);
        }
    }
}
