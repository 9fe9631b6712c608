//! The rule for what is left of an answer once its value was found: whatever could change the value makes it no answer.

use super::lexicon::{Mean, Weight};
use super::text::{Kind, Text};

/// The tokens that a value covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Whether something beside the values was not understood: a number, a month, a unit, «or», «not», «until», «every».
///
/// Words without a meaning, and filler, change nothing. A word that matters only beside a value, such as «to», is looked at
/// there. `counts` names meanings that belong to a value of this kind.
pub(super) fn unread(text: &Text<'_>, spots: &[Spot], counts: &dyn Fn(Mean) -> bool) -> bool {
    let mut at = 0;
    while at < text.len() {
        if let Some(spot) = spots.iter().find(|spot| spot.start <= at && at < spot.end) {
            at = spot.end;
            continue;
        }
        let next = spots.iter().map(|spot| spot.start).filter(|start| *start > at).min().unwrap_or(text.len());
        let fitting = || text.senses(at).iter().filter(|sense| at + sense.len <= next);
        let len = fitting().next().map_or(1, |sense| sense.len);
        let longest = || fitting().filter(|sense| sense.len == len);
        let is_counted = longest().any(|sense| counts(sense.mean));
        let weight = match longest().map(|sense| sense.weight()).max() {
            // A phrase that is known as filler is nothing else: «a 1:1».
            Some(_) if longest().any(|sense| matches!(sense.mean, Mean::Filler | Mean::Article)) => Weight::None,
            _ if text.is_digits(at) => Weight::Always,
            Some(_) if is_counted => Weight::None,
            Some(weight) => weight,
            None if is_sign(text, at) => Weight::Near,
            None => Weight::None,
        };
        let looks_back = longest().any(|sense| sense.mean.looks_back()) || is_sign(text, at);
        let is_beside = || touches(text, at, at + len, spots, looks_back);
        if weight == Weight::Always || weight == Weight::Near && is_beside() {
            return true;
        }
        at += len;
    }
    false
}

/// Whether «or» stands between two values.
pub(super) fn offers(text: &Text<'_>, spots: &[Spot]) -> bool {
    let [one, other] = spots else { return false };
    (one.end..other.start).any(|at| text.is(at, Mean::Or).is_some())
}

/// Whether «or» stands between the first value and the last.
pub(super) fn offers_any(text: &Text<'_>, spots: &[Spot]) -> bool {
    let (Some(first), Some(last)) = (spots.first(), spots.last()) else { return false };
    let is_read = |at: usize| spots.iter().any(|spot| spot.start <= at && at < spot.end);
    (first.end..last.start).any(|at| !is_read(at) && text.is(at, Mean::Or).is_some())
}

fn is_sign(text: &Text<'_>, at: usize) -> bool {
    matches!(
        text.tokens.get(at).map(|token| token.kind),
        Some(Kind::Mark('<' | '>' | '=' | '+' | '~' | '≥' | '≤' | '×' | '^'))
    )
}

/// Whether a value, or a word that matters, stands beside these tokens. Articles between them do not part them.
fn touches(text: &Text<'_>, start: usize, end: usize, spots: &[Spot], looks_back: bool) -> bool {
    let is_light = |at: &usize| {
        text.senses(*at)
            .iter()
            .any(|sense| matches!(sense.mean, Mean::The | Mean::Article | Mean::Of | Mean::At | Mean::On))
            && !spots.iter().any(|spot| spot.start <= *at && *at < spot.end)
    };
    let matters = |at: usize| {
        spots.iter().any(|spot| spot.start <= at && at < spot.end)
            || text.is_digits(at)
            || text.senses(at).iter().any(|sense| sense.len == 1 && sense.weight() > Weight::None)
    };
    let after = (end..text.len()).find(|at| !is_light(at));
    let before = (0..start).rev().find(|at| !is_light(at)).filter(|_| looks_back);
    after.into_iter().chain(before).any(matters)
}
