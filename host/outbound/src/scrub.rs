//! Removes a secret from what a server returns, in the spellings in which servers reflect what they got.
//!
//! Each spelling is replaced by as many asterisks, so lengths that were announced stay true. A spelling may be spread over any
//! number of chunks. What a server encrypts, splits or spells in another way is not found.

use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use bytes::{Bytes, BytesMut};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// Characters that servers leave as they are in URLs: RFC 3986, `encodeURIComponent`, `encodeURI`.
const URL_SETS: [&AsciiSet; 3] = [&UNRESERVED, &COMPONENT, &WHOLE];
const UNRESERVED: AsciiSet = NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const COMPONENT: AsciiSet = UNRESERVED.remove(b'!').remove(b'*').remove(b'\'').remove(b'(').remove(b')');
const WHOLE: AsciiSet = COMPONENT
    .remove(b';')
    .remove(b'/')
    .remove(b'?')
    .remove(b':')
    .remove(b'@')
    .remove(b'&')
    .remove(b'=')
    .remove(b'+')
    .remove(b'$')
    .remove(b',')
    .remove(b'#');
/// A text that is this long and begins a spelling is removed even if the body ends before the spelling does.
const BEGINNING_BYTES_MIN: usize = 8;
/// What stands in the place of each byte of a secret.
const MASK: u8 = b'*';

/// Finds the spellings of one secret. Cheap to clone.
#[derive(Clone)]
pub struct Scrubber(Arc<Needles>);

struct Needles {
    automaton: AhoCorasick,
    /// The spellings, longest first.
    spellings: Vec<Vec<u8>>,
}

/// Removes a secret from one body, chunk by chunk.
pub struct Scrub {
    scrubber: Scrubber,
    /// The end of what came so far, if it may be the beginning of a spelling.
    held: BytesMut,
    found: usize,
}

impl Scrubber {
    /// Returns a scrubber for a secret.
    ///
    /// # Errors
    /// The secret is too long to be searched for.
    pub fn new(secret: &[u8]) -> anyhow::Result<Self> {
        let mut spellings = spellings(secret);
        // `Basic` credentials: servers know the decoded form.
        let decoded = STANDARD.decode(secret).ok().filter(|text| text.len() >= BEGINNING_BYTES_MIN && text.is_ascii());
        spellings.extend(decoded);
        spellings.sort_unstable_by_key(|spelling| std::cmp::Reverse(spelling.len()));
        spellings.dedup();
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .ascii_case_insensitive(true)
            .build(&spellings)?;
        Ok(Self(Arc::new(Needles { automaton, spellings })))
    }

    /// Removes the secret from a whole text and returns how often it was there.
    pub fn scrub(&self, text: &mut [u8]) -> usize {
        let found: Vec<_> = self.0.automaton.find_iter(&*text).map(|found| found.range()).collect();
        for range in &found {
            mask(text, range.clone());
        }
        found.len()
    }

    /// Begins a body.
    #[must_use]
    pub fn body(&self) -> Scrub {
        Scrub { scrubber: self.clone(), held: BytesMut::new(), found: 0 }
    }

    /// Returns where the last bytes begin that may be the beginning of a spelling; the length if there are none.
    fn beginning(&self, text: &[u8]) -> usize {
        let longest = self.0.spellings.first().map_or(0, Vec::len);
        let begins = |from: &usize| {
            let rest = &text[*from..];
            self.0
                .spellings
                .iter()
                .any(|spelling| spelling.len() > rest.len() && spelling[..rest.len()].eq_ignore_ascii_case(rest))
        };
        let first = text.len().saturating_sub(longest.saturating_sub(1));
        (first..text.len()).find(begins).unwrap_or(text.len())
    }
}

impl Scrub {
    /// Takes a chunk and returns what is certain to be clean, which may be empty.
    pub fn chunk(&mut self, chunk: &[u8]) -> Bytes {
        self.held.extend_from_slice(chunk);
        let safe = self.scrubber.beginning(&self.held);
        let automaton = &self.scrubber.0.automaton;
        // A spelling that begins later may be the beginning of a longer one.
        let found = automaton.find_iter(&*self.held).map(|found| found.range());
        let found: Vec<_> = found.take_while(|range| range.start < safe).collect();
        self.found += found.len();
        for range in found {
            mask(&mut self.held, range);
        }
        let safe = self.scrubber.beginning(&self.held);
        self.held.split_to(safe).freeze()
    }

    /// Ends the body and returns the rest.
    pub fn end(&mut self) -> Bytes {
        let mut rest = std::mem::take(&mut self.held);
        self.found += self.scrubber.scrub(&mut rest);
        let from = self.scrubber.beginning(&rest);
        if rest.len() - from >= BEGINNING_BYTES_MIN {
            self.found += 1;
            let end = rest.len();
            mask(&mut rest, from..end);
        }
        rest.freeze()
    }

    /// Returns how often the secret was in the body so far.
    pub fn found(&self) -> usize {
        self.found
    }
}

fn mask(text: &mut [u8], range: std::ops::Range<usize>) {
    if let Some(secret) = text.get_mut(range) {
        secret.fill(MASK);
    }
}

/// Returns the spellings of a secret. Case does not matter.
fn spellings(secret: &[u8]) -> Vec<Vec<u8>> {
    let each = |spell: &dyn Fn(u8) -> String| secret.iter().map(|byte| spell(*byte)).collect::<String>().into_bytes();
    let mut all = vec![
        secret.to_vec(),
        secret.iter().flat_map(|byte| [*byte, 0]).collect(),
        secret.iter().flat_map(|byte| [0, *byte]).collect(),
        hex::encode(secret).into_bytes(),
        each(&|byte| format!("%{byte:02x}")),
        each(&|byte| format!("\\u{byte:04x}")),
        each(&|byte| format!("\\x{byte:02x}")),
        each(&|byte| format!("&#{byte};")),
        each(&|byte| format!("&#x{byte:x};")),
        each(&|byte| match byte {
            b'"' | b'\\' => format!("\\{}", char::from(byte)),
            _ => char::from(byte).to_string(),
        }),
        each(&|byte| match byte {
            b'"' | b'\\' | b'/' => format!("\\{}", char::from(byte)),
            _ => char::from(byte).to_string(),
        }),
    ];
    // Characters that HTML escapes, each in its two common forms.
    for [quote, apostrophe] in [["&quot;", "&#39;"], ["&#34;", "&#x27;"]] {
        all.push(each(&|byte| match byte {
            b'&' => "&amp;".to_owned(),
            b'<' => "&lt;".to_owned(),
            b'>' => "&gt;".to_owned(),
            b'"' => quote.to_owned(),
            b'\'' => apostrophe.to_owned(),
            _ => char::from(byte).to_string(),
        }));
    }
    all.extend(URL_SETS.map(|set| percent_encode(secret, set).to_string().into_bytes()));
    for before in 0..3 {
        all.extend(in_base64(secret, before));
    }
    all
}

/// Returns the part of the base64 of a text that depends on the secret only, if `before` bytes stand before the secret.
fn in_base64(secret: &[u8], before: usize) -> [Vec<u8>; 2] {
    let text: Vec<u8> = std::iter::repeat_n(0, before).chain(secret.iter().copied()).collect();
    // The first characters also depend on what stands before, the last one on what stands after.
    let first = (before * 8).div_ceil(6);
    let last = text.len() * 8 / 6;
    [STANDARD_NO_PAD.encode(&text), URL_SAFE_NO_PAD.encode(&text)]
        .map(|spelling| spelling.as_bytes().get(first..last).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"sk-A/b+c?\"d&'e=12345";

    /// Every spelling, between other text, cut at every place, and byte by byte.
    #[test]
    fn a_secret_is_found_across_any_borders_of_chunks() {
        let scrubber = Scrubber::new(SECRET).unwrap();
        for spelling in &scrubber.0.spellings {
            let text = [b"before ".as_slice(), spelling, b" between ", spelling, b" after"].concat();
            let wanted = [
                b"before ".as_slice(),
                &vec![MASK; spelling.len()],
                b" between ",
                &vec![MASK; spelling.len()],
                b" after",
            ]
            .concat();
            for size in 1..text.len() {
                let mut scrub = scrubber.body();
                let mut out: Vec<u8> = text.chunks(size).flat_map(|chunk| scrub.chunk(chunk)).collect();
                out.extend(scrub.end());
                assert_eq!(String::from_utf8_lossy(&out), String::from_utf8_lossy(&wanted), "chunks of {size}");
                assert_eq!(scrub.found(), 2);
            }
        }
    }

    #[test]
    fn base64_is_found_whatever_stands_around_the_secret() {
        let scrubber = Scrubber::new(SECRET).unwrap();
        for before in ["", "a", "ab", "abc", "Bearer "] {
            for after in ["", "x", "xy", "xyz"] {
                let text = [before.as_bytes(), SECRET, after.as_bytes()].concat();
                for engine in [&STANDARD, &base64::engine::general_purpose::URL_SAFE] {
                    let mut reflected = engine.encode(&text).into_bytes();
                    assert_eq!(scrubber.scrub(&mut reflected), 1, "{before}{after}");
                    // Neighbours keep at most two characters of six bits that belong to the secret.
                    let left = STANDARD.decode(&reflected).unwrap_or_default();
                    assert!(!left.windows(4).any(|part| SECRET.windows(4).any(|secret| secret == part)));
                }
            }
        }
    }

    #[test]
    fn what_is_no_secret_passes_at_once() {
        let scrubber = Scrubber::new(SECRET).unwrap();
        let mut scrub = scrubber.body();
        assert_eq!(scrub.chunk(b"data: hello\n\n"), "data: hello\n\n");
        assert_eq!(scrub.chunk(b"data: sk-"), "data: ", "it may be the beginning");
        assert_eq!(scrub.chunk(b"other"), "sk-other");
        assert_eq!(scrub.end(), "");
        assert_eq!(scrub.found(), 0);
    }

    #[test]
    fn a_body_that_ends_within_the_secret_shows_no_long_part_of_it() {
        let scrubber = Scrubber::new(SECRET).unwrap();
        let mut scrub = scrubber.body();
        let mut out = scrub.chunk(&[b"x ", &SECRET[..12]].concat()).to_vec();
        out.extend(scrub.end());
        assert_eq!(out, b"x ************");
    }

    #[test]
    fn the_decoded_form_of_basic_credentials_is_found() {
        let scrubber = Scrubber::new(STANDARD.encode("user:password").as_bytes()).unwrap();
        let mut text = b"hello user:password!".to_vec();
        assert_eq!(scrubber.scrub(&mut text), 1);
        assert_eq!(text, b"hello *************!");
    }

    /// Random secrets and texts: what comes out in chunks is what comes out at once.
    #[test]
    fn chunks_make_no_difference() {
        let mut seed = 7_u64;
        let mut next = |max: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap_or(0) % max
        };
        for _ in 0..200 {
            let secret: Vec<u8> = (0..8 + next(8)).map(|_| b"abAB"[next(4)]).collect();
            let scrubber = Scrubber::new(&secret).unwrap();
            let mut text: Vec<u8> = (0..300).map(|_| b"abAB"[next(4)]).collect();
            let at = next(280);
            text.splice(at..at, secret.iter().copied());
            let mut scrub = scrubber.body();
            let mut out = Vec::new();
            let mut rest = text.as_slice();
            while !rest.is_empty() {
                let (chunk, left) = rest.split_at(rest.len().min(1 + next(20)));
                out.extend(scrub.chunk(chunk));
                rest = left;
            }
            out.extend(scrub.end());
            assert_eq!(out.len(), text.len());
            assert!(!out.windows(secret.len()).any(|part| part.eq_ignore_ascii_case(&secret)));
        }
    }
}
