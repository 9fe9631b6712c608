//! Parses the values of configuration strings: names, sizes, origins and host names. Suggests corrections of mistyped
//! words.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// Returns whether the text is a valid name of a bot or plugin: `[a-z0-9][a-z0-9-]{0,63}`.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && !text.starts_with('-') && text.bytes().all(allowed)
}

const UNITS: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Parses a size such as `64 MiB`. Returns the number of bytes.
pub(super) fn bytes_of(text: &str) -> Option<u64> {
    let (unit, factor) = UNITS.iter().find(|(unit, _)| text.ends_with(unit))?;
    let number = text.strip_suffix(unit)?.trim_end();
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// Formats a number of bytes in the largest unit that divides it.
pub(super) fn shown_bytes(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes >= *factor && bytes.is_multiple_of(*factor);
    match UNITS.iter().find(fits) {
        Some((unit, factor)) => format!("{} {unit}", bytes / factor),
        None => format!("{bytes} B"),
    }
}

/// Returns the known word that is most similar to a mistyped one, if one is similar enough.
pub(super) fn nearest<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    const NEAR_ENOUGH: f64 = 0.6;
    let likeness = |candidate: &str| {
        let stem = candidate.trim_end_matches("-bytes").trim_end_matches("-ms").trim_end_matches("-max");
        if stem == word || candidate.replace('-', "_") == word {
            return 1.0; // the unit or qualifier is missing, or the dashes are underscores
        }
        strsim::normalized_damerau_levenshtein(word, candidate)
    };
    known
        .map(|candidate| (likeness(candidate), candidate))
        .filter(|(likeness, _)| *likeness >= NEAR_ENOUGH)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

/// Parses a web origin and returns it in the form that browsers send, or an error text.
pub(super) fn origin(text: &str) -> Result<String, String> {
    if text.contains('*') {
        return Err(format!("\"{text}\" is not an origin: list each origin, because wildcards are not supported here"));
    }
    Ok(parsed_origin(text)?.origin().ascii_serialization())
}

/// Parses the origin of a connector and returns it in canonical form, or an error text. The host must be on loopback,
/// and the port may be `*`.
pub(super) fn connector_origin(text: &str) -> Result<String, String> {
    let (with_port, any_port) = match text.strip_suffix(":*") {
        Some(base) => (format!("{base}:1"), true),
        None => (text.to_owned(), false),
    };
    let url = parsed_origin(&with_port).map_err(|_| no_origin(text))?;
    if !is_loopback(url.host().as_ref()) {
        return Err(format!(
            "\"{text}\" is not on loopback: this release sends replies without credentials, so it sends them to loopback only"
        ));
    }
    let origin = url.origin().ascii_serialization();
    Ok(match origin.strip_suffix(":1") {
        Some(base) if any_port => format!("{base}:*"),
        _ => origin,
    })
}

fn parsed_origin(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|_| no_origin(text))?;
    let bare = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.path() == "/"
        && !text.ends_with('/')
        && url.query().is_none()
        && url.fragment().is_none();
    if bare { Ok(url) } else { Err(no_origin(text)) }
}

fn no_origin(text: &str) -> String {
    format!("\"{text}\" is not an origin: write scheme, host and port only, such as \"http://localhost:8080\"")
}

fn is_loopback(host: Option<&Host<&str>>) -> bool {
    match host {
        Some(Host::Domain(name)) => *name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Parses a host name without scheme, port and path. Returns it in lower case, or an error text.
pub(super) fn host_name(text: &str) -> Result<String, String> {
    let wrong = || {
        format!("\"{text}\" is not a host name: write it without scheme, port and path, such as \"bots.example.org\"")
    };
    let allowed = |char: char| char.is_alphanumeric() || matches!(char, '-' | '.' | '_' | ':' | '[' | ']');
    if text.is_empty() || !text.chars().all(allowed) || (text.contains(':') && !text.starts_with('[')) {
        return Err(wrong());
    }
    Host::parse(text).map(|host| host.to_string()).map_err(|_| wrong())
}

/// Returns whether two listeners on the same port would conflict.
pub(super) fn addresses_overlap(a: IpAddr, b: IpAddr) -> bool {
    let any = |ip: IpAddr| ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED) || ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    a == b || any(a) || any(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_lower_case_words() {
        for good in ["a", "echo", "echo-2", "0", &"x".repeat(64)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "Echo", "a_b", "a b", "ä", "a/b", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn sizes_have_a_unit() {
        let cases = [
            ("64 MiB", Some(64 << 20)),
            ("64MiB", Some(64 << 20)),
            ("1 GiB", Some(1 << 30)),
            ("12 B", Some(12)),
            ("64 MB", None),
            ("64", None),
            ("-1 KiB", None),
            ("1.5 MiB", None),
            (" MiB", None),
            ("99999999999999999999 B", None),
            ("99999999999 GiB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(bytes_of(text), bytes, "{text}");
        }
        assert_eq!(shown_bytes(64 << 20), "64 MiB");
        assert_eq!(shown_bytes(1_500), "1500 B");
        assert_eq!(shown_bytes(0), "0 B");
    }

    #[test]
    fn the_nearest_word_is_suggested_only_when_near() {
        let known = ["listen", "body-bytes-max", "wall-ms", "mode"];
        let cases = [
            ("listn", Some("listen")),
            ("body_bytes_max", Some("body-bytes-max")),
            ("wall", Some("wall-ms")),
            ("colour", None),
        ];
        for (word, suggestion) in cases {
            assert_eq!(nearest(word, known.into_iter()), suggestion, "{word}");
        }
    }

    #[test]
    fn origins_are_scheme_host_and_port() {
        for (text, canonical) in [
            ("http://localhost:8080", "http://localhost:8080"),
            ("https://Example.org:443", "https://example.org"),
            ("http://[::1]:9", "http://[::1]:9"),
        ] {
            assert_eq!(origin(text).as_deref(), Ok(canonical), "{text}");
        }
        for text in ["*", "http://*", "localhost:8080", "http://a/", "http://a/b", "ftp://a", "http://u@a", "null", ""]
        {
            assert!(origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn connector_origins_are_on_loopback() {
        for (text, canonical) in [
            ("http://localhost:56150", "http://localhost:56150"),
            ("http://127.0.0.1:*", "http://127.0.0.1:*"),
            ("http://LOCALHOST:*", "http://localhost:*"),
            ("http://[::1]:*", "http://[::1]:*"),
        ] {
            assert_eq!(connector_origin(text).as_deref(), Ok(canonical), "{text}");
        }
        for text in ["http://example.org", "http://10.0.0.1:*", "*", "http://localhost:56150/_connector", "localhost:*"]
        {
            assert!(connector_origin(text).is_err(), "{text}");
        }
    }

    #[test]
    fn host_names_have_no_port() {
        assert_eq!(host_name("Bots.Example.org").as_deref(), Ok("bots.example.org"));
        assert_eq!(host_name("10.0.0.7").as_deref(), Ok("10.0.0.7"));
        assert_eq!(host_name("[::1]").as_deref(), Ok("[::1]"));
        for text in ["", "a:80", "http://a", "a/b", "*", "::1", "a b"] {
            assert!(host_name(text).is_err(), "{text}");
        }
    }
}
