//! Days that each year has: «Christmas», «next Easter», «Halloween 2027».

use jiff::ToSpan;
use jiff::civil::Date;

use super::Question;
use super::days::turn_of;
use super::read::Says;
use crate::prompt::lexicon::{Feast, Mean, Turn};
use crate::prompt::text::Text;

/// A feast, the next one unless the text says which.
pub(super) fn feast(text: &Text<'_>, at: usize, question: &Question<'_>) -> Option<(Says, usize)> {
    let at = text.skip(at, &[Mean::On, Mean::The]);
    let before = text.read(at, turn_of);
    let from = before.map_or(at, |(_, end)| end);
    let (feast, end) = text.read(from, |mean| match mean {
        Mean::Feast(feast) => Some(feast),
        _ => None,
    })?;
    let after = text.read(end, turn_of).filter(|_| before.is_none());
    let turn = before.or(after).map(|(turn, _)| turn);
    let end = after.map_or(end, |(_, end)| end);
    let year_at = text.skip(end, &[Mean::Of]);
    if let Some(year) = text.digits(year_at, 4..=4).filter(|year| (1500..3000).contains(year)) {
        let date = i16::try_from(year).ok().and_then(|year| feast.in_year(year)).filter(|_| turn.is_none());
        return Some((date.map_or(Says::Unfit, Says::Date), year_at + 1));
    }
    let date = feast.date(turn, question.today());
    Some((date.map_or(Says::Unfit, Says::Date), end))
}

impl Feast {
    fn date(self, turn: Option<Turn>, today: Date) -> Option<Date> {
        let years = |years: &[i16]| -> Vec<Date> {
            years.iter().filter_map(|ahead| self.in_year(today.year().checked_add(*ahead)?)).collect()
        };
        match turn {
            None => years(&[0, 1]).into_iter().find(|date| *date >= today),
            Some(Turn::Next | Turn::Coming) => years(&[0, 1]).into_iter().find(|date| *date > today),
            Some(Turn::Last | Turn::Past) => years(&[0, -1]).into_iter().find(|date| *date < today),
            Some(Turn::This) => self.in_year(today.year()),
            Some(Turn::AfterNext) => None,
        }
    }

    fn in_year(self, year: i16) -> Option<Date> {
        match self {
            Self::On(month, day) => Date::new(year, month, day).ok(),
            Self::Easter(days) => easter(year)?.checked_add(i64::from(days).days()).ok(),
        }
    }
}

/// Easter Sunday of the Gregorian calendar, by the rule of Meeus, Jones and Butcher.
fn easter(year: i16) -> Option<Date> {
    let year = i32::from(year);
    let (golden, century, rest) = (year % 19, year / 100, year % 100);
    let moon = (19 * golden + century - century / 4 - (century - (century + 8) / 25 + 1) / 3 + 15) % 30;
    let weekday = (32 + 2 * (century % 4) + 2 * (rest / 4) - moon - rest % 4) % 7;
    let late = (golden + 11 * moon + 22 * weekday) / 451;
    let day = moon + weekday - 7 * late + 114;
    Date::new(i16::try_from(year).ok()?, i8::try_from(day / 31).ok()?, i8::try_from(day % 31 + 1).ok()?).ok()
}
