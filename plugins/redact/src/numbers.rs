//! Which part of a text is the number of a card or a telephone.

/// What stands in the place of a number.
const CARD: &str = "[card]";
const PHONE: &str = "[phone]";
/// What stands in the place of digits that may become a number.
const HELD_BACK: &str = "…";

/// Digits from here on, at the end of an unfinished text, may become a number.
const BEGUN: usize = 4;

/// A stretch of digits and what people write between them, from a digit, `+` or `(` to a digit. Byte positions.
#[derive(Debug, Clone)]
struct Run {
    start: usize,
    end: usize,
    digits: Vec<u8>,
    first: char,
    separators: usize,
}

/// The text without its numbers; none where it has none.
pub(crate) fn without(text: &str) -> Option<String> {
    let mut redacted = String::new();
    let mut done = 0;
    for run in runs(text) {
        if let Some(instead) = run.is(&text[run.start..run.end]) {
            redacted.push_str(&text[done..run.start]);
            redacted.push_str(instead);
            done = run.end;
        }
    }
    (done > 0).then(|| redacted + &text[done..])
}

/// Cuts off digits at the end that may be the beginning of a number.
pub(crate) fn hold_back(text: &mut String) {
    let Some(last) = runs(text).pop() else { return };
    let ends = text[last.end..].chars().all(is_separator);
    if ends && last.digits.len() >= BEGUN {
        text.truncate(last.start);
        text.push_str(HELD_BACK);
    }
}

fn runs(text: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut open = false;
    for (position, char) in text.char_indices() {
        let end = position + char.len_utf8();
        match (digit(char), open) {
            (Some(value), true) => {
                if let Some(run) = runs.last_mut() {
                    run.separators += usize::from(run.end < position);
                    run.digits.push(value);
                    run.end = end;
                }
            }
            (Some(value), false) => {
                // `+` and `(` right before it belong to it.
                let lead = text[..position].trim_end_matches(is_gap);
                let sign = lead.chars().next_back().filter(|char| matches!(char, '+' | '(' | '＋' | '（'));
                let start = sign.map_or(position, |sign| lead.len() - sign.len_utf8());
                let first = sign.unwrap_or(char);
                runs.push(Run { start, end, digits: vec![value], first, separators: 0 });
                open = true;
            }
            (None, _) => open = open && is_separator(char),
        }
    }
    runs
}

impl Run {
    /// What the run is, as what stands in its place.
    fn is(&self, text: &str) -> Option<&'static str> {
        let count = self.digits.len();
        if (13..=19).contains(&count) && luhn(&self.digits) {
            return Some(CARD);
        }
        let is_phone = match self.first {
            '+' | '＋' => (7..=15).contains(&count),
            '(' | '（' => (9..=15).contains(&count),
            _ if self.digits.first() == Some(&0) => (9..=15).contains(&count),
            // As it is written in North America, and elsewhere without the first zero.
            _ => (10..=11).contains(&count) && self.separators >= 2,
        };
        (is_phone && !is_date(text)).then_some(PHONE)
    }
}

/// `2027-06-01`, `01.06.2027 10`, `1/6/2027`.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split(['.', '-', '/', ' ']).filter(|part| !part.is_empty()).collect();
    let number = |at: usize| parts.get(at).and_then(|part| part.parse::<u32>().ok());
    let (Some(a), Some(b), Some(c)) = (number(0), number(1), number(2)) else { return false };
    let is_year = |year: u32| (1000..=2999).contains(&year);
    let is_day = |day: u32| (1..=31).contains(&day);
    parts.len() <= 4 && is_day(b) && ((is_year(a) && is_day(c)) || (is_day(a) && is_year(c)))
}

/// The check digit of card numbers (ISO/IEC 7812-1, annex B).
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

/// The value of a digit in the scripts that keyboards have.
fn digit(char: char) -> Option<u8> {
    const ZEROS: [u32; 6] = [0x30, 0x660, 0x6f0, 0x966, 0x9e6, 0xff10];
    let code = u32::from(char);
    let zero = ZEROS.iter().find(|zero| (**zero..**zero + 10).contains(&code))?;
    u8::try_from(code - zero).ok()
}

/// What people write between the digits of a number, and what hides there.
fn is_separator(char: char) -> bool {
    is_gap(char) || matches!(char, '-' | '.' | '/' | '(' | ')' | '·' | '_' | '\u{2010}'..='\u{2015}' | '−')
}

fn is_gap(char: char) -> bool {
    // Blanks of every width but the ends of lines, and characters without any width.
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
            "3.14159265358979",
            "0000000000000000",
        ] {
            assert_eq!(without(text), None, "{text}");
        }
    }

    #[test]
    fn the_beginning_of_a_number_is_held_back() {
        for (text, expected) in [
            ("The number is 4111 1111 ", "The number is …"),
            ("Call +49 17", "Call …"),
            ("It costs 450", "It costs 450"),
            ("Room 1204 is yours", "Room 1204 is yours"),
        ] {
            let mut text = text.to_owned();
            hold_back(&mut text);
            assert_eq!(text, expected);
        }
    }
}
