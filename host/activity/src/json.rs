//! Reads JSON that comes from outside the host or from a guest.
//!
//! `serde_json` does the parsing. [`checked`] prepares the text for two cases that `serde_json` does not handle:
//!
//! - An unpaired surrogate such as `\ud83d` stands for no character. JSON allows it, and JavaScript writes one where a
//!   text was cut in the middle of a character. It is replaced by U+FFFD, as browsers do.
//! - Some member names have a special meaning in `serde_json`: an object that begins with one is read as a number or as
//!   nested JSON, which evades the limit on nesting. Texts with such names are refused, because no sender needs them.
//!
//! Numbers keep the digits that they were sent with, whatever their size. [`value`] and [`object`] also keep the
//! notation of exponents. Code that computes with numbers uses [`with_plain_numbers`].

use std::borrow::Cow;

use serde::de::{Deserialize, DeserializeOwned, Error as _};
use serde_json::value::RawValue;
use serde_json::{Deserializer, Error, Map, Number, Result, Value};

use crate::Object;

/// Prefix of the member names that have a special meaning in `serde_json`.
const RESERVED: &str = "$serde_json::private::";
/// Length of an escape such as `\ud83d`, in bytes.
const ESCAPE_BYTES: usize = 6;
const UTF_8_BOM: &[u8] = b"\xef\xbb\xbf";

/// Deserializes a JSON text from outside the host.
///
/// # Errors
/// The text is not JSON, contains a reserved member name, or does not have the shape of `T`.
pub fn from_str<T: DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(&checked(text)?)
}

/// Decodes bytes with [`decoded`] and deserializes them with [`from_str`].
///
/// # Errors
/// Those of [`decoded`] and [`from_str`].
pub fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    from_str(decoded(bytes)?)
}

/// Reads JSON of any shape that the host passes on. Numbers keep the notation in which they were written.
///
/// # Errors
/// The text is not JSON or contains a reserved member name.
pub fn value(text: &str) -> Result<Value> {
    as_written(&checked(text)?)
}

/// Reads a JSON object like [`value`].
///
/// # Errors
/// The text is not a JSON object or contains a reserved member name.
pub fn object(text: &str) -> Result<Object> {
    checked_object(&checked(text)?)
}

/// The same for a text that [`checked`] returned.
pub(crate) fn checked_object(text: &str) -> Result<Object> {
    let mut object: Object = serde_json::from_str(text)?;
    if may_have_exponents(text) {
        let mut found = Vec::new();
        object.values_mut().for_each(|value| numbers_of(value, &mut found));
        keep_exponents(text, found);
    }
    Ok(object)
}

/// Deserializes a JSON value within a stored text like [`value`]. For `#[serde(deserialize_with)]`.
///
/// # Errors
/// The text is not JSON.
pub fn stored<'de, D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Value, D::Error> {
    let text = Box::<RawValue>::deserialize(deserializer)?;
    as_written(text.get()).map_err(D::Error::custom)
}

fn as_written(text: &str) -> Result<Value> {
    let mut value = serde_json::from_str(text)?;
    if may_have_exponents(text) {
        let mut found = Vec::new();
        numbers_of(&mut value, &mut found);
        keep_exponents(text, found);
    }
    Ok(value)
}

/// Returns whether a number may have an exponent. Nearly no text has one, so the second pass over the text is rare.
fn may_have_exponents(text: &str) -> bool {
    let is_exponent = |bytes: &[u8]| matches!(bytes, [b'0'..=b'9', b'e' | b'E', b'0'..=b'9' | b'+' | b'-']);
    text.as_bytes().windows(3).any(is_exponent)
}

/// Restores the notation of numbers with exponents, because `serde_json` reads `1E5` as `1e+5`. Does nothing if an
/// object has the same member twice: the first value is lost then, so the numbers cannot be matched by position.
fn keep_exponents(text: &str, numbers: Vec<&mut Number>) {
    let written: Vec<&str> = Written(text).collect();
    let has_exponent = |number: &&str| number.contains(['e', 'E']);
    if written.len() == numbers.len() && written.iter().any(has_exponent) {
        for (number, written) in numbers.into_iter().zip(written).filter(|(_, written)| has_exponent(written)) {
            *number = Number::from_string_unchecked(written.to_owned());
        }
    }
}

fn numbers_of<'v>(value: &'v mut Value, found: &mut Vec<&'v mut Number>) {
    match value {
        Value::Number(number) => found.push(number),
        Value::Array(entries) => entries.iter_mut().for_each(|entry| numbers_of(entry, found)),
        Value::Object(members) => members.values_mut().for_each(|member| numbers_of(member, found)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// Iterates over the numbers of a JSON text, in their order.
struct Written<'t>(&'t str);

impl<'t> Iterator for Written<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        loop {
            let rest = self.0.get(self.0.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit())?..)?;
            if let Some(string) = rest.strip_prefix('"') {
                self.0 = after_string(string)?;
                continue;
            }
            let end = rest.find(|c: char| !matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E')).unwrap_or(rest.len());
            let (number, rest) = rest.split_at_checked(end)?;
            self.0 = rest;
            return Some(number);
        }
    }
}

/// Returns the text after a string. `text` starts behind the opening quote.
fn after_string(mut text: &str) -> Option<&str> {
    loop {
        let end = text.find(['"', '\\'])?;
        if text.as_bytes().get(end) == Some(&b'"') {
            return text.get(end + 1..);
        }
        // Skip the escaped character. It has at least one byte; the line below skips the rest of a longer one.
        text = text.get(end + 1..)?;
        text = text.get(text.chars().next()?.len_utf8()..)?;
    }
}

/// Returns the text of a body or file, which must be UTF-8. A byte order mark is removed.
///
/// # Errors
/// The bytes are not UTF-8. The error names the encoding if it is recognised.
pub fn decoded(bytes: &[u8]) -> Result<&str> {
    let bytes = bytes.strip_prefix(UTF_8_BOM).unwrap_or(bytes);
    let refused = |what: &str| Error::custom(format!("JSON must be sent in UTF-8; {what}"));
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] | [0, 0, 0, _, ..] | [_, 0, 0, 0, ..] => {
            Err(refused("this is UTF-32"))
        }
        // A JSON text begins with two ASCII characters, unless it is a single digit.
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] | [0, _, ..] | [_, 0, ..] => Err(refused("this is UTF-16")),
        bytes => std::str::from_utf8(bytes)
            .map_err(|error| refused(&format!("the byte at {} is not valid UTF-8", error.valid_up_to()))),
    }
}

/// Prepares a text for `serde_json`: replaces unpaired surrogates, which keeps the length, and checks member names.
///
/// # Errors
/// An object has a member with a reserved name.
pub fn checked(text: &str) -> Result<Cow<'_, str>> {
    let mut mended = String::new();
    let (mut at, mut copied) = (0, 0);
    let mut may_be_reserved = text.contains(RESERVED);
    while let Some(found) = text.get(at..).and_then(|rest| rest.find('\\')) {
        let start = at + found;
        let Some(unit) = escaped(text, start) else {
            // Another escape, two bytes long. Skipping both bytes also skips an escaped backslash.
            at = start + 2;
            continue;
        };
        at = start + ESCAPE_BYTES;
        match unit {
            0xd800..=0xdbff if matches!(escaped(text, at), Some(0xdc00..=0xdfff)) => at += ESCAPE_BYTES,
            0xd800..=0xdfff => {
                mended.push_str(text.get(copied..start).unwrap_or_default());
                mended.push_str("\\ufffd");
                copied = at;
            }
            0x20..=0x7e => may_be_reserved = true,
            _ => {}
        }
    }
    let text = match copied {
        0 => Cow::Borrowed(text),
        copied => Cow::Owned(mended + text.get(copied..).unwrap_or_default()),
    };
    match may_be_reserved && has_reserved_name(&text) {
        true => Err(Error::custom(format!("member names must not begin with `{RESERVED}`; rename the member"))),
        false => Ok(text),
    }
}

/// Counts the values of a JSON text: members, entries, and the text itself. A tree of the text has as many nodes. What is no JSON
/// has a count too, at most one more than it has bytes.
pub fn values(text: &str) -> usize {
    let (mut count, mut in_string, mut is_escaped) = (1, false, false);
    for byte in text.bytes() {
        if in_string {
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
        } else {
            in_string = byte == b'"';
            count += usize::from(matches!(byte, b',' | b'[' | b'{'));
        }
    }
    count
}

/// Returns the UTF-16 code unit of the escape at `start`, if there is one.
fn escaped(text: &str, start: usize) -> Option<u16> {
    let digits = text.get(start..start + ESCAPE_BYTES)?.strip_prefix("\\u")?;
    let is_hexadecimal = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u16::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal)
}

/// Returns whether a member has a reserved name. Escapes within the name are decoded first.
fn has_reserved_name(text: &str) -> bool {
    let mut rest = text;
    while let Some(string) = rest.find('"').and_then(|start| rest.get(start..)) {
        let mut strings = Deserializer::from_str(string).into_iter::<String>();
        // The text is not JSON. The parser that runs next reports it.
        let Some(Ok(name)) = strings.next() else { return false };
        rest = string.get(strings.byte_offset()..).unwrap_or_default();
        if name.starts_with(RESERVED) && rest.trim_start().starts_with(':') {
            return true;
        }
    }
    false
}

/// Returns the value with every number converted to one that fits 64 bits: other numbers become the nearest such
/// number. For code that computes with the numbers.
pub fn with_plain_numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(plain(number)),
        Value::Array(entries) => entries.iter().map(with_plain_numbers).collect(),
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| (name.clone(), with_plain_numbers(value)));
            Value::Object(members.collect::<Map<_, _>>())
        }
        other => other.clone(),
    }
}

fn plain(number: &Number) -> Number {
    if number.is_u64() || number.is_i64() {
        return number.clone();
    }
    let nearest = number.as_f64().unwrap_or(if number.as_str().starts_with('-') { f64::MIN } else { f64::MAX });
    Number::from_f64(nearest).unwrap_or_else(|| 0.into())
}

/// Returns whether two values are equal, where `1`, `1.0` and `1e0` count as equal. Clients may change the notation of
/// a number when they send a value back.
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            one == other || one.as_f64().is_some_and(|one| other.as_f64() == Some(one))
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| same(one, other)))
        }
        (one, other) => one == other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn half_a_character_becomes_the_replacement_character_and_whole_ones_stay() {
        for (sent, read) in [
            (r#""hi \ud83d""#, "hi \u{fffd}"),
            (r#""\ude00 hi""#, "\u{fffd} hi"),
            (r#""\uD83D\uDE00""#, "😀"),
            (r#""\ud83d\ude00""#, "😀"),
            (r#""\ud83d\ud83d\ude00""#, "\u{fffd}😀"),
            (r#""\ud83d\ude00\ude00""#, "😀\u{fffd}"),
            (r#""\ud83d\n""#, "\u{fffd}\n"),
            (r#""\ud83d\\ude00""#, "\u{fffd}\\ude00"),
            (r#""\\ud83d""#, "\\ud83d"),
            (r#""\\\ud83d""#, "\\\u{fffd}"),
            (r#""\\\\ud83d""#, "\\\\ud83d"),
            (r#""\ud7ff \ue000""#, "\u{d7ff} \u{e000}"),
            (r#""\ud83dx\udead""#, "\u{fffd}x\u{fffd}"),
            (r#""ü\ud83dü""#, "ü\u{fffd}ü"),
        ] {
            assert_eq!(from_str::<String>(sent).unwrap(), read, "{sent}");
        }
        assert_eq!(
            from_str::<Value>(r#"{"a\udc00":[{"\ud800":1}]}"#).unwrap(),
            json!({"a\u{fffd}": [{"\u{fffd}": 1}]})
        );
    }

    #[test]
    fn a_text_without_half_characters_is_not_copied_and_what_is_no_json_stays_so() {
        for text in ["", "{}", r#""\u00e4 \\ \" \ud83d\ude00""#, "7"] {
            assert!(matches!(checked(text), Ok(Cow::Borrowed(_))), "{text}");
        }
        for text in [r#""\ud83""#, r#""\ud83"#, r#""\"#, r#""\u+123""#, r#""\ud83d"#, "\\", "{\"a\\"] {
            assert!(from_str::<Value>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_that_mean_something_to_the_reader_are_refused_however_they_are_written() {
        for text in [
            r#"{"$serde_json::private::Number":"1"}"#,
            r#"{"a":[{"$serde_json::private::RawValue" : "[[[]]]"}]}"#,
            r#"{"a":{"\u0024serde_json::private::RawValue":"1"}}"#,
            r#"{"a":{"$serde\u005fjson::private::Number":"1"},"b":"\ud83d"}"#,
        ] {
            let error = from_str::<Value>(text).unwrap_err().to_string();
            assert!(error.contains("$serde_json::private::"), "{text}: {error}");
        }
        for text in
            [r#"{"text":"$serde_json::private::Number"}"#, r#"{"a":"\u0024","b":["$serde_json::private::","c"]}"#]
        {
            assert_eq!(from_str::<Value>(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    #[test]
    fn a_body_is_utf_8_and_another_encoding_is_named() {
        assert_eq!(decoded(b"\xef\xbb\xbf{}").unwrap(), "{}");
        assert_eq!(decoded("ü".as_bytes()).unwrap(), "ü");
        assert_eq!(decoded(b"").unwrap(), "");
        let utf_16 = |text: &str, unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        for (bytes, named) in [
            (utf_16("{}", u16::to_le_bytes), "UTF-16"),
            (utf_16("{}", u16::to_be_bytes), "UTF-16"),
            (utf_16("\u{feff}{}", u16::to_le_bytes), "UTF-16"),
            (utf_16("\u{feff}{}", u16::to_be_bytes), "UTF-16"),
            (vec![b'{', 0, 0, 0, b'}', 0, 0, 0], "UTF-32"),
            (b"{\"a\":\"\xff\"}".to_vec(), "byte at 6"),
        ] {
            let error = decoded(&bytes).unwrap_err().to_string();
            assert!(error.contains("must be sent in UTF-8") && error.contains(named), "{bytes:?}: {error}");
        }
    }

    #[test]
    fn numbers_keep_their_digits_until_something_computes() {
        let sent =
            r#"{"a":31.245270191439438,"b":1234567890123456789012345,"c":1.0,"d":1e400,"e":-0,"f":1.10,"g":-1E-5}"#;
        let value = value(sent).unwrap();
        assert_eq!(value.to_string(), sent);
        assert_eq!(object(sent).map(Value::Object).unwrap(), value);
        let plain = with_plain_numbers(&value);
        assert_eq!(plain["c"].as_f64(), Some(1.0));
        assert_eq!((plain["d"].as_f64(), plain["b"].as_f64()), (Some(f64::MAX), Some(1234567890123456789012345.0)));
    }

    #[test]
    fn numbers_stay_as_they_are_written_wherever_they_stand() {
        for text in [
            "1E5",
            "[1,-2.50E+7,[],{},[1e2],\"3e4\"]",
            r#"{"a\"1e2":1e2,"b":"\\","c":{"d":[0.0E-0,null,true]},"e":"ü\u00e4 1E5 \\\"","f":7E3}"#,
            "[12345678901234567890123456789012345678901234567890.5e-400]",
        ] {
            let spaced = text.replace(',', " ,\n ");
            for text in [text, &spaced] {
                let again = value(text).unwrap().to_string();
                assert_eq!(again, text.replace(" ,\n ", ",").replace("\\u00e4", "ä"));
            }
        }
        assert_eq!(
            value(r#"{"a":1E2,"a":2E2}"#).unwrap().to_string(),
            r#"{"a":2e+2}"#,
            "another notation, the same number"
        );
        assert!(value("[1E5,").is_err() && object("[1E5]").is_err() && object("").is_err());
    }

    #[test]
    fn only_what_looks_like_an_exponent_is_looked_at_twice() {
        for (text, may_have) in [
            ("", false),
            ("1e", false),
            (r#"{"text":"the 5 elements, 1E","id":"3e","n":[1.5,-2]}"#, false),
            ("[1e5]", true),
            ("[-0E-5]", true),
            ("[1.5E+5]", true),
            (r#"["3e4"]"#, true),
        ] {
            assert_eq!(may_have_exponents(text), may_have, "{text}");
        }
    }

    #[test]
    fn what_is_stored_within_a_text_keeps_its_numbers() {
        #[derive(serde::Deserialize)]
        enum Kept {
            Options {
                #[serde(deserialize_with = "stored")]
                options: Value,
            },
        }
        let digits = "9".repeat(60);
        let sent = format!(r#"{{"a":[1E400,-1E-400,1e+5,{digits},-{digits}.5E7],"b":{{"c":"1E5"}}}}"#);
        let text = format!(r#"[{{"Options":{{"options":{sent}}}}}]"#);
        let kept: Vec<Kept> = serde_json::from_str(&text).unwrap();
        let Kept::Options { options } = &kept[0];
        assert_eq!(options.to_string(), sent);
    }

    #[test]
    fn values_are_counted_without_a_tree() {
        for (text, count) in [
            ("7", 1),
            (r#""a,b[{""#, 1),
            (r#""a\",[" "#, 1),
            (r#""a\\",[1"#, 3),
            ("[1,2]", 3),
            (r#"{"a":[{"b":1},2],"c":"[,"}"#, 6),
            ("", 1),
        ] {
            assert_eq!(values(text), count, "{text}");
        }
        assert!(values(&format!("[{}", "[],".repeat(100))) > 200);
    }

    #[test]
    fn numbers_are_the_same_however_they_are_written() {
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        for (one, other, is) in [
            ("1", "1.0", true),
            ("100", "1e2", true),
            (r#"{"a":[1.50],"b":"x"}"#, r#"{"b":"x","a":[1.5]}"#, true),
            ("1e400", "1e400", true),
            ("1e400", "2e400", false),
            ("1", "2", false),
            ("1", r#""1""#, false),
            ("[1]", "[1,2]", false),
            (r#"{"a":1}"#, r#"{"b":1}"#, false),
        ] {
            assert_eq!(same(&value(one), &value(other)), is, "{one} and {other}");
        }
    }
}
