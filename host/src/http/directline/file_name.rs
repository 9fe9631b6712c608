//! Reads the names of uploaded files from headers. A name is a text to display, never a path.
//!
//! Clients write names in six ways: `filename*` with charset and percent-encoding (RFC 5987), the same in parts (RFC 2231),
//! `filename` with percent-encoding (RFC 7578), with encoded words (RFC 2047), with backslashes before quotes (RFC 2616), or
//! unencoded, in UTF-8 or Windows-1252. A readable `filename*` has precedence, as RFC 6266 requires. Its parts come next,
//! then `filename`, then the `name` of the content type.
//!
//! The crate `mail-parser` reads most of these forms. But it decodes each part and each encoded word separately, which loses
//! a character that is split between two, and it reads the backslashes of a path as escapes. The crate `content_disposition`
//! supports no parts and only two charsets.

use std::borrow::Cow;

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderName};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use percent_encoding::percent_decode;

use crate::activity::{is_mark, trimmed};

/// Maximum length of a name, in characters. The end of a longer name is kept, because it has the extension.
const NAME_CHARS_MAX: usize = 200;
const NAMELESS: &str = "file";
/// Maximum length of a name that is searched for encoded words, in bytes.
const WORDS_BYTES_MAX: usize = 4096;

/// Padding is optional, because some clients omit it in encoded words.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Returns the name of the file that these headers are about.
pub(super) fn of_headers(headers: &HeaderMap) -> String {
    let of = |header: HeaderName, name: &str| {
        let value = headers.get(header).map(|value| text(value.as_bytes())).unwrap_or_default();
        of_parameters(&parameters(&value), name)
    };
    let name = of(CONTENT_DISPOSITION, "filename").or_else(|| of(CONTENT_TYPE, "name"));
    shown(&name.unwrap_or_default())
}

/// Converts the file name that a client gave to one to display: its last path component, of limited length, without
/// invisible characters and characters that change the direction of text, which can display `gnp.exe` as `exe.png`.
pub(super) fn shown(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let is_shown = |char: &char| !char.is_control() && !is_mark(*char) && !matches!(char, '\u{2028}' | '\u{2029}');
    let visible: Vec<char> = last.chars().filter(is_shown).collect();
    let start = visible.len().saturating_sub(NAME_CHARS_MAX);
    let shown: String = visible.iter().skip(start).collect();
    match trimmed(&shown) {
        "" | "." | ".." => NAMELESS.to_owned(),
        shown => shown.to_owned(),
    }
}

/// Decodes the bytes of a header as UTF-8, or as Windows-1252 if they are not valid UTF-8.
fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| lossy(WINDOWS_1252, bytes), str::to_owned)
}

/// Returns the value of a parameter, whichever form it has.
fn of_parameters(parameters: &[(String, String)], name: &str) -> Option<String> {
    let value = |wanted: &str| {
        let mut values = parameters.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        values.next().map(|(_, value)| value.as_str())
    };
    let extended =
        value(&format!("{name}*")).and_then(Encoded::of_value).or_else(|| Encoded::of_parts(parameters, name));
    let exact = extended.as_ref().and_then(Encoded::exact);
    exact.or_else(|| value(name).map(unescaped)).or_else(|| extended.as_ref().map(Encoded::nearest))
}

/// A name as bytes, and the label of their charset.
struct Encoded {
    charset: String,
    bytes: Vec<u8>,
}

impl Encoded {
    /// Reads `charset'language'percent-encoded`. Returns none for other values.
    fn of_value(value: &str) -> Option<Self> {
        let mut parts = value.splitn(3, '\'');
        let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self { charset: charset.trim().to_owned(), bytes: percent_decode(encoded.as_bytes()).collect() })
    }

    /// Joins the parts `name*0*=charset'language'percent-encoded`, `name*1=plain` and so on, in the order of their numbers.
    fn of_parts(parameters: &[(String, String)], name: &str) -> Option<Self> {
        let mut parts: Vec<(u16, bool, &str)> = parameters.iter().filter_map(|part| Self::part(part, name)).collect();
        parts.sort_by_key(|(number, ..)| *number);
        parts.dedup_by_key(|(number, ..)| *number);
        let together = parts.into_iter().zip(0..).take_while(|((number, ..), wanted)| number == wanted);
        let mut whole: Option<Self> = None;
        for ((_, is_encoded, value), _) in together {
            match &mut whole {
                None if is_encoded => whole = Some(Self::of_value(value)?),
                None => whole = Some(Self { charset: String::new(), bytes: value.as_bytes().to_vec() }),
                Some(whole) if is_encoded => whole.bytes.extend(percent_decode(value.as_bytes())),
                Some(whole) => whole.bytes.extend(value.as_bytes()),
            }
        }
        whole
    }

    /// Returns the number of a part, whether it is percent-encoded, and its value.
    fn part<'p>((found, value): &'p (String, String), name: &str) -> Option<(u16, bool, &'p str)> {
        let is_of_name = found.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let number = found.get(name.len()..).filter(|_| is_of_name)?.strip_prefix('*')?;
        let (number, is_encoded) = number.strip_suffix('*').map_or((number, false), |number| (number, true));
        Some((number.parse().ok()?, is_encoded, value))
    }

    /// Decodes the bytes. Returns none if the charset is not supported or the bytes are not valid in it.
    fn exact(&self) -> Option<String> {
        let name = self.encoding()?.decode_without_bom_handling_and_without_replacement(&self.bytes)?;
        Some(name.into_owned())
    }

    /// Decodes the bytes. Replaces those that are not valid.
    fn nearest(&self) -> String {
        self.encoding().map_or_else(|| text(&self.bytes), |encoding| lossy(encoding, &self.bytes))
    }

    /// Returns the encoding of the charset. ASCII is read as UTF-8, because some clients declare UTF-8 as ASCII.
    fn encoding(&self) -> Option<&'static Encoding> {
        match self.charset.to_ascii_lowercase().as_str() {
            "" | "us-ascii" | "ascii" => Some(UTF_8),
            charset => Encoding::for_label_no_replacement(charset.as_bytes()),
        }
    }
}

fn lossy(encoding: &'static Encoding, bytes: &[u8]) -> String {
    encoding.decode_without_bom_handling(bytes).0.into_owned()
}

/// Splits `type; name=value; name="value"` into its parameters. Semicolons within quotes are part of the value.
fn parameters(disposition: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = disposition;
    while !rest.is_empty() {
        let end = rest.find(['=', ';']).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        let Some(value) = after.strip_prefix('=') else {
            rest = after.strip_prefix(';').unwrap_or_default();
            continue;
        };
        let (value, after) = value_of(value.trim_start());
        found.push((name.trim().to_owned(), value));
        rest = after.split_once(';').map(|(_, rest)| rest).unwrap_or_default();
    }
    found
}

/// Returns the value at the start of a text, and the text after it. A backslash escapes a quote or a backslash. Before other
/// characters it is literal, as in the paths that old browsers send.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (value, after) = text.split_at(end);
        return (value.trim().to_owned(), after);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => match chars.next_if(|(_, next)| matches!(next, '"' | '\\')) {
                Some((_, escaped)) => value.push(escaped),
                None => value.push('\\'),
            },
            char => value.push(char),
        }
    }
    (value, "")
}

/// Decodes a plain name if it is encoded. A name such as `100% sure.txt` stays as it is.
fn unescaped(value: &str) -> String {
    let decoded = words_decoded(value);
    match percent_decode(decoded.as_bytes()).decode_utf8() {
        Ok(name) if matches!(decoded, Cow::Borrowed(_)) => name.into_owned(),
        _ => decoded.into_owned(),
    }
}

/// Decodes encoded words such as `=?utf-8?B?w6Q=?=`. Blanks between two words are not part of the name, and a character may
/// be split between two words.
fn words_decoded(value: &str) -> Cow<'_, str> {
    let (mut name, mut rest) = (String::new(), value);
    let mut last: Option<Encoded> = None;
    while let Some((before, word, after)) = next_word(rest).filter(|_| value.len() <= WORDS_BYTES_MAX) {
        rest = after;
        let follows = last.is_some() && before.trim().is_empty();
        match &mut last {
            Some(last) if follows && last.charset.eq_ignore_ascii_case(&word.charset) => last.bytes.extend(word.bytes),
            _ => {
                name.extend(last.replace(word).map(|last| last.nearest()));
                name.push_str(if follows { "" } else { before });
            }
        }
    }
    match last {
        Some(last) => (name + &last.nearest() + rest).into(),
        None => value.into(),
    }
}

/// Returns the text before the next encoded word, the word, and the text after it.
fn next_word(text: &str) -> Option<(&str, Encoded, &str)> {
    text.match_indices("=?").find_map(|(start, mark)| {
        let (word, after) = encoded_word(text.get(start + mark.len()..)?)?;
        Some((text.get(..start)?, word, after))
    })
}

/// Reads `charset?B?bytes?=` or `charset?Q?bytes?=`. Returns the word and the text after it.
fn encoded_word(found: &str) -> Option<(Encoded, &str)> {
    let mut parts = found.splitn(3, '?');
    let (charset, how, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let (encoded, after) = rest.split_once("?=")?;
    let bytes = match how {
        "B" | "b" => BASE64.decode(encoded).ok()?,
        // Bytes are encoded as in URLs, but with `=` in place of `%`.
        "Q" | "q" => {
            percent_decode(encoded.replace('%', "=25").replace('_', " ").replace('=', "%").as_bytes()).collect()
        }
        _ => return None,
    };
    // A language may follow the charset.
    let charset = charset.split('*').next().unwrap_or_default().to_owned();
    Some((Encoded { charset, bytes }, after))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn name(disposition: &[u8]) -> String {
        let value = HeaderValue::from_bytes(disposition).unwrap();
        of_headers(&HeaderMap::from_iter([(CONTENT_DISPOSITION, value)]))
    }

    #[test]
    fn names_are_read_as_clients_write_them() {
        for (disposition, wanted) in [
            // RFC 5987
            ("attachment; filename*=utf-8''%C3%A4.png", "ä.png"),
            ("attachment; filename*=UTF-8''%e2%82%ac%20rates.txt", "€ rates.txt"),
            ("attachment; FILENAME*=Utf-8'de'%C3%A4.png", "ä.png"),
            ("attachment; filename*=UTF-8'en-GB'a%27b.png", "a'b.png"),
            ("attachment; filename*=ISO-8859-1''%E4.png", "ä.png"),
            ("attachment; filename*=iso-8859-1'en'%A3.txt", "£.txt"),
            ("attachment; filename* = \"UTF-8''%C3%A4.png\"", "ä.png"),
            ("attachment; filename*=UTF-8''a%3Bb%22c.png", "a;b\"c.png"),
            ("filename*=UTF-8''%C3%A4.png", "ä.png"),
            ("attachment; filename*=windows-1252''%E4%80.png", "ä€.png"),
            ("attachment; filename*=Windows-1251''%E4.png", "д.png"),
            ("attachment; filename*=Shift_JIS'ja'%93%FA%96%7B.png", "日本.png"),
            ("attachment; filename*=GB18030''%C4%E3.png", "你.png"),
            ("attachment; filename*=us-ascii''%C3%A4.png", "ä.png"),
            // RFC 2231: in parts, in any order, encoded or not. A character may be split between parts.
            ("attachment; filename*0*=utf-8''%C3; filename*1*=%A4.png", "ä.png"),
            ("attachment; filename*1*=%A4.png; filename*0*=utf-8''%C3", "ä.png"),
            ("attachment; FileName*0*=utf-8'de'%C3%A4; filename*1=\"; b\"; filename*2*=%2Epng", "ä; b.png"),
            ("attachment; filename*0=\"a long \"; filename*1=\"name.png\"", "a long name.png"),
            ("attachment; filename*0*=windows-1252''%E4; filename*1*=%F6.png", "äö.png"),
            ("attachment; filename*0=a; filename*2=c.png; filename*1=b", "abc.png"),
            ("attachment; filename*0=a.png; filename*2=c", "a.png"),
            ("attachment; filename*0=a.png; filename*0=b", "a.png"),
            ("attachment; filename*1=b.png", "file"),
            ("attachment; filename=a.png; filename*0*=utf-8''%C3; filename*1*=%A4.png", "ä.png"),
            ("attachment; filename=a.png; filename*0*=utf-8''%C3; filename*1=.png", "a.png"),
            ("attachment; filename*0*=utf-8''%C3; filename*1=.png", "\u{fffd}.png"),
            ("attachment; filename*=utf-8''b.png; filename*0=a.png", "b.png"),
            ("attachment; filename*99999999999=a; filename*-1=b; filename**=c; filename*x*=d", "file"),
            // RFC 2047: encoded words, as mail clients send them.
            ("attachment; filename=\"=?utf-8?B?w6QucG5n?=\"", "ä.png"),
            ("attachment; filename==?UTF-8?b?w6QucG5n?=", "ä.png"),
            ("attachment; filename=\"=?iso-8859-1?Q?=E4_b=5F.png?=\"", "ä b_.png"),
            ("attachment; filename=\"=?utf-8*de?q?100%_=C3=A4.png?=\"", "100% ä.png"),
            ("attachment; filename=\"=?utf-8?B?w6Q=?= =?utf-8?B?LnBuZw?=\"", "ä.png"),
            ("attachment; filename=\"=?utf-8?B?ww==?=  =?UTF-8?Q?=A4.png?=\"", "ä.png"),
            ("attachment; filename=\"=?koi8-r?B?wQ==?= =?utf-8?Q?=C3=A4?=.png\"", "аä.png"),
            ("attachment; filename=\"a =?utf-8?Q?=C3=A4?= b.png\"", "a ä b.png"),
            ("attachment; filename=\"=?utf-8?X?a?= =?.png\"", "=?utf-8?X?a?= =?.png"),
            ("attachment; filename=\"=?utf-8?B?*?=.png\"", "=?utf-8?B?*?=.png"),
            // Both: the extended one where it can be read.
            ("form-data; filename=\"a.png\"; filename*=UTF-8''%C3%A4.png", "ä.png"),
            ("form-data; filename*=UTF-8''%C3%A4.png; filename=\"a.png\"", "ä.png"),
            ("form-data; filename=\"a.png\"; filename*=UTF-8''%E4.png", "a.png"),
            ("form-data; filename=\"a.png\"; filename*=koi8-r''%C1.png", "а.png"),
            ("form-data; filename=\"a.png\"; filename*=no-such''%C1.png", "a.png"),
            ("form-data; filename=\"a.png\"; filename*=nonsense", "a.png"),
            ("form-data; filename*=UTF-8''%E4.png", "\u{fffd}.png"),
            ("form-data; filename*=UTF-8''100%.png", "100%.png"),
            ("form-data; filename*=no-such''%C1.png", "Á.png"),
            ("form-data; filename*=nonsense", "file"),
            // Quotes, escapes, and what looks like an end within quotes.
            ("form-data; name=\"a\"; filename=\"a; b=c.png\"", "a; b=c.png"),
            ("form-data; filename=\"a\\\"b.png\"", "a\"b.png"),
            ("form-data; filename=\"a%22b.png\"", "a\"b.png"),
            ("form-data; filename=\"C:\\x\\a b.png\"", "a b.png"),
            ("form-data; filename=\"C:\\\\x\\\\a.png\"", "a.png"),
            ("form-data; filename=\"open.png", "open.png"),
            ("form-data; filename=a.png", "a.png"),
            ("form-data; filename=a b.png ; x=y", "a b.png"),
            ("form-data;filename=\"a.png\";name=\"x\"", "a.png"),
            ("form-data; filename=\"\"", "file"),
            ("form-data; name=\"filename=x.png\"", "file"),
            ("form-data; name=\"file\"", "file"),
            ("", "file"),
            (";;=;=\"", "file"),
            // RFC 7578: percent-encoded, or as it is.
            ("form-data; filename=\"%C3%A4.png\"", "ä.png"),
            ("form-data; filename=\"ä.png\"", "ä.png"),
            ("form-data; filename=\"100% sure.png\"", "100% sure.png"),
            ("form-data; filename=\"%E4.png\"", "%E4.png"),
            ("form-data; filename=\"日本語.png\"", "日本語.png"),
            // No paths, nothing invisible, nothing that turns text around.
            ("form-data; filename=\"../../etc/passwd\"", "passwd"),
            ("form-data; filename*=UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
            ("form-data; filename=\"%2e%2e%5Cx.png\"", "x.png"),
            ("form-data; filename*=UTF-8''photo_%E2%80%AEgnp.exe", "photo_gnp.exe"),
            ("form-data; filename*=UTF-8''a%00%0D%0Ab%7F.png", "ab.png"),
            ("form-data; filename=\"a\u{202e}b\u{2066}c\u{200b}d\u{feff}.png\"", "abcd.png"),
            ("form-data; filename*0*=utf-8''%E2%80; filename*1*=%AEgnp.exe", "gnp.exe"),
            ("form-data; filename=\"=?utf-8?B?4oCuZ25wLmV4ZQ==?=\"", "gnp.exe"),
            ("form-data; filename=\"=?utf-8?Q?..=2F..=2Fa.png?=\"", "a.png"),
            ("form-data; filename=\"a\u{ad}b\u{34f}\u{180e}\u{e0001}c\u{1d173}.png\"", "abc.png"),
            ("form-data; filename=\"\u{3164}\u{2800}\u{115f}\"", "file"),
            ("form-data; filename=\"10.00\u{202f}AM\u{3000}.png\"", "10.00\u{202f}AM\u{3000}.png"),
            ("form-data; filename*=windows-1252''%81a%9D.png", "a.png"),
            ("form-data; filename=\"👩\u{200d}🔧.png\"", "👩\u{200d}🔧.png"),
        ] {
            assert_eq!(name(disposition.as_bytes()), wanted, "{disposition}");
        }
        assert_eq!(name(b"form-data; filename=\"\xe4.png\""), "ä.png", "Windows-1252 as it is");
        assert_eq!(name(b"form-data; filename=\"\x80 \x96 1.png\""), "€ – 1.png");
    }

    #[test]
    fn a_name_may_be_that_of_the_content_type() {
        let named = |disposition: &'static str, media: &'static str| {
            let headers = [(CONTENT_DISPOSITION, disposition), (CONTENT_TYPE, media)];
            of_headers(&headers.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value))).collect())
        };
        assert_eq!(named("attachment", "image/png; name=\"=?utf-8?B?w6QucG5n?=\""), "ä.png");
        assert_eq!(named("form-data; name=\"x\"", "image/png; name*=utf-8''%C3%A4.png"), "ä.png");
        assert_eq!(named("attachment; filename=a.png", "image/png; name=b.png"), "a.png");
    }

    #[test]
    fn names_are_texts_and_no_paths() {
        let endless = format!("attachment; filename=\"{}\"", "=?a?b?".repeat(50_000));
        assert!(name(endless.as_bytes()).ends_with("=?a?b?"));
        let parts: String = (0..20_000).map(|place| format!("; filename*{place}*=''x")).collect();
        assert_eq!(name(parts.as_bytes()).chars().count(), NAME_CHARS_MAX);
        for (name, wanted) in
            [("/etc/passwd", "passwd"), ("..", "file"), ("a\u{0}\nb", "ab"), ("", "file"), (" x ", "x")]
        {
            assert_eq!(shown(name), wanted);
        }
        assert!(shown(&format!("{}.png", "é".repeat(1_000))).ends_with(".png"));
    }
}
