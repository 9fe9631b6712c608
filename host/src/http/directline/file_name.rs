//! Names of uploaded files: what `Content-Disposition` says, as a text to show and never a path.
//!
//! Clients write names in four ways: `filename*` with charset and percent-encoding (RFC 5987), `filename` with percent-encoding
//! (RFC 7578), with backslashes before quotes (RFC 2616), or with its bytes as they are, in UTF-8 or Latin-1. `filename*` counts
//! where it can be read, as RFC 6266 wants it, else `filename`.

use axum::http::HeaderMap;
use axum::http::header::CONTENT_DISPOSITION;
use percent_encoding::percent_decode;

/// Characters of a file's name; the end, which tells the kind, is kept.
const NAME_CHARS_MAX: usize = 200;
const NAMELESS: &str = "file";

/// Returns the name of the file that these headers are about.
pub(super) fn of_headers(headers: &HeaderMap) -> String {
    let disposition = headers.get(CONTENT_DISPOSITION).map(|value| text(value.as_bytes())).unwrap_or_default();
    let parameters = parameters(&disposition);
    let value = |wanted: &str| {
        let mut values = parameters.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        values.next().map(|(_, value)| value.as_str())
    };
    let (extended, plain) = (value("filename*"), value("filename"));
    let name = extended
        .and_then(|value| extended_value(value, false))
        .or_else(|| plain.map(unescaped))
        .or_else(|| extended.and_then(|value| extended_value(value, true)));
    shown(&name.unwrap_or_default())
}

/// Makes of a client's file name one to show: its last path component, without characters that cannot be seen or that turn
/// the text around them, not too long.
pub(super) fn shown(name: &str) -> String {
    let last = name.rsplit(['/', '\\']).next().unwrap_or_default();
    let visible: Vec<char> = last.chars().filter(|char| is_shown(*char)).collect();
    let start = visible.len().saturating_sub(NAME_CHARS_MAX);
    let shown: String = visible.iter().skip(start).collect();
    match shown.trim() {
        "" | "." | ".." => NAMELESS.to_owned(),
        shown => shown.to_owned(),
    }
}

/// Not so: controls, line separators, marks of text direction (with which `exe.png` is shown for `gnp.exe`), and characters
/// without width, but for the joiners that scripts and emoji need.
fn is_shown(char: char) -> bool {
    !char.is_control()
        && !matches!(char,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

/// Bytes of a header are UTF-8, or else Latin-1.
fn text(bytes: &[u8]) -> String {
    std::str::from_utf8(bytes).map_or_else(|_| latin_1(bytes), str::to_owned)
}

fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
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

/// Returns the value at the start of a text, and what follows it. A backslash escapes a quote or itself; before anything else it
/// is one, as in the paths that old browsers send.
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

/// Reads `charset'language'percent-encoded`. None: it is something else, of a charset that nobody needs to know, or not valid in
/// its own, unless `lossy`.
fn extended_value(value: &str, lossy: bool) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes: Vec<u8> = percent_decode(encoded.as_bytes()).collect();
    match charset.trim().to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" | "" if lossy => Some(String::from_utf8_lossy(&bytes).into_owned()),
        "utf-8" | "utf8" | "us-ascii" | "" => String::from_utf8(bytes).ok(),
        "iso-8859-1" | "latin1" | "windows-1252" => Some(latin_1(&bytes)),
        _ if lossy => Some(text(&bytes)),
        _ => None,
    }
}

/// Undoes the percent-encoding of a plain name, where it is one: a name such as `100% sure.txt` stays.
fn unescaped(value: &str) -> String {
    percent_decode(value.as_bytes()).decode_utf8().map_or_else(|_| value.to_owned(), |name| name.into_owned())
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
            // Both: the extended one where it can be read.
            ("form-data; filename=\"a.png\"; filename*=UTF-8''%C3%A4.png", "ä.png"),
            ("form-data; filename*=UTF-8''%C3%A4.png; filename=\"a.png\"", "ä.png"),
            ("form-data; filename=\"a.png\"; filename*=UTF-8''%E4.png", "a.png"),
            ("form-data; filename=\"a.png\"; filename*=koi8-r''%C1.png", "a.png"),
            ("form-data; filename=\"a.png\"; filename*=nonsense", "a.png"),
            ("form-data; filename*=UTF-8''%E4.png", "\u{fffd}.png"),
            ("form-data; filename*=UTF-8''100%.png", "100%.png"),
            ("form-data; filename*=koi8-r''%C1.png", "Á.png"),
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
            ("form-data; filename=\"👩\u{200d}🔧.png\"", "👩\u{200d}🔧.png"),
        ] {
            assert_eq!(name(disposition.as_bytes()), wanted, "{disposition}");
        }
        assert_eq!(name(b"form-data; filename=\"\xe4.png\""), "ä.png", "Latin-1 as it is");
    }

    #[test]
    fn names_are_texts_and_no_paths() {
        for (name, wanted) in
            [("/etc/passwd", "passwd"), ("..", "file"), ("a\u{0}\nb", "ab"), ("", "file"), (" x ", "x")]
        {
            assert_eq!(shown(name), wanted);
        }
        assert!(shown(&format!("{}.png", "é".repeat(1_000))).ends_with(".png"));
    }
}
