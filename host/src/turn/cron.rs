//! When a cron expression is due, also on the days on which clocks change.
//!
//! Hours that are named are those of the clock on the wall: a time that a change skips is due as much later as the clock was
//! put forward, and one that comes twice is due the first time. Where every hour counts (`*`, `*/2`), it is due in both of two
//! hours of the same name, and in none that is skipped.
//!
//! A range may wrap: `SAT-SUN` is Saturday and Sunday, `22-2` five hours of a night, `NOV-FEB` a winter. Names and letters
//! are read in any case.

mod ranges;

use cronexpr::{Crontab, MakeTimestamp, parse_crontab};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::temporal::DateTimeParser;
use jiff::tz::{Offset, TimeZone};

/// The longest expression, in bytes.
const BYTES_MAX: usize = 256;
/// More minutes than any change of clocks repeats, and more changes than time zones have in the four years that are searched.
const REPEATED_MAX: usize = 4_000;
/// In so many years each day of December is each day of the week.
const DECEMBERS_MAX: usize = 28;

struct Cron {
    /// Without its time zone: asked in UTC, for a search through the hours of a day with a change need not end.
    fields: Crontab,
    /// The last days of December, which the library does not know as such: with the day of the month from which they are.
    december: Vec<(Crontab, i8)>,
    zone: TimeZone,
    /// Whether every hour counts, and none by its name.
    is_every_hour: bool,
}

/// When an expression of five fields and a time zone is due next after a time, in milliseconds since 1970.
pub(super) fn next_of(text: &str, after_ms: u64) -> Result<u64, String> {
    let cron = Cron::read(text)?;
    let after = i64::try_from(after_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let next = cron.next(after.ok_or("the time is too late for a clock")?);
    let next = next.map_err(|why| format!("the cron expression `{}`: {why}", shortened(text)))?;
    u64::try_from(next.as_millisecond()).map_err(|_| "the cron expression has no time after now".to_owned())
}

/// The beginning of a text, for an error.
pub(super) fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

impl Cron {
    fn read(text: &str) -> Result<Self, String> {
        if text.len() > BYTES_MAX {
            return Err(format!("the cron expression has more than {BYTES_MAX} bytes"));
        }
        let wrong = |error: cronexpr::Error| format!("the cron expression `{}`: {error}", shortened(text));
        let (fields, zone) = text.trim().rsplit_once(char::is_whitespace).ok_or("a cron expression has a time zone")?;
        let fields = &ranges::ascending(fields);
        parse_crontab(&format!("{fields} {zone}")).map_err(wrong)?;
        let zone = DateTimeParser::new().parse_time_zone(zone).map_err(|error| error.to_string())?;
        let is_every_hour = fields.split_whitespace().nth(1).is_some_and(|hours| hours.starts_with('*'));
        let december = last_of_december(fields).map_err(wrong)?;
        Ok(Self { fields: parse_crontab(&format!("{fields} UTC")).map_err(wrong)?, december, zone, is_every_hour })
    }

    fn next(&self, after: Timestamp) -> Result<Timestamp, String> {
        if self.is_every_hour { self.next_of_every_hour(after) } else { self.next_by_the_clock(after) }
    }

    /// Goes by the clock on the wall.
    fn next_by_the_clock(&self, after: Timestamp) -> Result<Timestamp, String> {
        let mut clock = self.zone.to_offset(after).to_datetime(after);
        for _ in 0..REPEATED_MAX {
            clock = self.fields_after(clock)?;
            let next = self.zone.to_ambiguous_timestamp(clock).compatible().map_err(|error| error.to_string())?;
            // One before it is a time that comes the second time now.
            if next > after {
                return Ok(next);
            }
        }
        Err("there is no next time".to_owned())
    }

    /// Goes by the time that passes: from one change of clocks to the next, hours have one name each.
    fn next_of_every_hour(&self, after: Timestamp) -> Result<Timestamp, String> {
        let mut from = self.zone.to_offset(after).to_datetime(after);
        let mut offset = self.zone.to_offset(after);
        let mut changes = self.zone.following(after);
        for _ in 0..REPEATED_MAX {
            let next = offset.to_timestamp(self.fields_after(from)?).map_err(|error| error.to_string())?;
            let Some(change) = changes.next().filter(|change| change.timestamp() <= next) else { return Ok(next) };
            offset = change.offset();
            // The moment of the change counts too.
            from = offset.to_datetime(change.timestamp()).saturating_sub(jiff::SignedDuration::from_nanos(1));
        }
        Err("there is no next time".to_owned())
    }

    /// The next time by the fields alone.
    fn fields_after(&self, clock: DateTime) -> Result<DateTime, String> {
        let next = find(&self.fields, clock);
        if next.as_ref().is_ok_and(|next| next.date() < jiff::civil::date(clock.year(), 12, 25)) {
            return next;
        }
        let last_days = self.december.iter().map(|(fields, from)| last_days_after(fields, *from, clock));
        let found: Vec<DateTime> = last_days.chain([next.clone()]).filter_map(Result::ok).collect();
        found.into_iter().min().map_or(next, Ok)
    }
}

fn find(fields: &Crontab, clock: DateTime) -> Result<DateTime, String> {
    let after = Offset::UTC.to_timestamp(clock).map_err(|error| error.to_string())?;
    let next = fields.find_next(MakeTimestamp(after)).map(|next| next.datetime());
    next.map_err(|_| "never comes: in the next four years no day has its day, month and weekday".to_owned())
}

/// The next time from a day of December on.
fn last_days_after(fields: &Crontab, from: i8, clock: DateTime) -> Result<DateTime, String> {
    let mut next = find(fields, clock)?;
    for _ in 0..DECEMBERS_MAX {
        if next.day() >= from {
            return Ok(next);
        }
        let before = next.date().with().day(from - 1).build().map_err(|error| error.to_string())?;
        next = find(fields, before.at(23, 59, 0, 0))?;
    }
    Err("there is no such day in December".to_owned())
}

/// What `L` (the last day) and `5L` (the last Friday) mean in December.
fn last_of_december(fields: &str) -> Result<Vec<(Crontab, i8)>, cronexpr::Error> {
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let [minutes, hours, days, months, weekdays] = fields[..] else { return Ok(Vec::new()) };
    if !parse_crontab(&format!("0 0 1 {months} * UTC"))?.matches("2027-12-01T00:00:00Z")? {
        return Ok(Vec::new());
    }
    // Days of the month and of the week are a union, unless one of them begins with `*`.
    let unless_named =
        |field: &'static str, other: &str| if other.starts_with('*') { other.to_owned() } else { field.to_owned() };
    let mut last = Vec::new();
    if days.split(',').any(|day| day == "L") {
        let weekdays = unless_named("*", weekdays);
        last.push((parse_crontab(&format!("{minutes} {hours} 31 12 {weekdays} UTC"))?, 31));
    }
    for weekday in weekdays.split(',').filter_map(|day| day.strip_suffix('L')).filter(|day| !day.is_empty()) {
        let days = unless_named("*", days);
        last.push((parse_crontab(&format!("{minutes} {hours} {days} 12 {weekday} UTC"))?, 25));
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::next_of;

    fn ms(time: &str) -> u64 {
        u64::try_from(time.parse::<jiff::Timestamp>().unwrap().as_millisecond()).unwrap()
    }

    /// So many times after one, as they are on the clocks of their zone.
    fn times(cron: &str, after: &str, count: usize) -> Vec<String> {
        let zone = jiff::tz::TimeZone::get(cron.split(' ').next_back().unwrap()).unwrap();
        let mut last = ms(after);
        let next = |_| {
            last = next_of(cron, last).unwrap();
            let time = jiff::Timestamp::from_millisecond(i64::try_from(last).unwrap()).unwrap();
            time.to_zoned(zone.clone()).strftime("%d %H:%M %:z").to_string()
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn a_time_that_is_skipped_is_due_later_on_the_same_day() {
        assert_eq!(
            times("30 2 * * * Europe/Berlin", "2027-03-27T12:00:00Z", 2),
            ["28 03:30 +02:00", "29 02:30 +02:00"]
        );
        assert_eq!(
            times("0,30 2,3 * * * Europe/Berlin", "2027-03-27T12:00:00Z", 3),
            ["28 03:00 +02:00", "28 03:30 +02:00", "29 02:00 +02:00"]
        );
    }

    #[test]
    fn a_time_that_comes_twice_is_due_once() {
        assert_eq!(
            times("30 2 * * * Europe/Berlin", "2027-10-30T12:00:00Z", 2),
            ["31 02:30 +02:00", "01 02:30 +01:00"]
        );
        // Asked between the two.
        assert_eq!(times("30 2 * * * Europe/Berlin", "2027-10-31T01:10:00Z", 1), ["01 02:30 +01:00"]);
    }

    #[test]
    fn every_hour_is_every_hour_that_passes() {
        assert_eq!(
            times("30 * * * * Europe/Berlin", "2027-10-30T23:40:00Z", 4),
            ["31 02:30 +02:00", "31 02:30 +01:00", "31 03:30 +01:00", "31 04:30 +01:00"]
        );
        assert_eq!(
            times("*/30 * * * * Europe/Berlin", "2027-03-28T00:30:00Z", 2),
            ["28 03:00 +02:00", "28 03:30 +02:00"]
        );
    }

    /// Clocks that are put back by half an hour, on the day of which a search by hours does not end.
    #[test]
    fn clocks_that_change_by_half_an_hour_are_no_trap() {
        let zone = "Australia/Lord_Howe";
        assert_eq!(times(&format!("30 2 4 4 * {zone}"), "2027-04-01T00:00:00Z", 1), ["04 02:30 +10:30"]);
        let night = times(&format!("*/15 * * * * {zone}"), "2027-04-03T14:15:00Z", 4);
        assert_eq!(night, ["04 01:30 +11:00", "04 01:45 +11:00", "04 01:30 +10:30", "04 01:45 +10:30"]);
    }

    #[test]
    fn december_has_a_last_day_too() {
        assert_eq!(
            times("0 9 L * * UTC", "2027-11-01T00:00:00Z", 3),
            ["30 09:00 +00:00", "31 09:00 +00:00", "31 09:00 +00:00"]
        );
        assert_eq!(times("0 9 L 12 * UTC", "2027-11-01T00:00:00Z", 1), ["31 09:00 +00:00"]);
        let fridays = times("0 9 * * FRIL UTC", "2026-11-28T00:00:00Z", 3);
        assert_eq!(fridays, ["25 09:00 +00:00", "29 09:00 +00:00", "26 09:00 +00:00"]);
        assert_eq!(times("0 9 15,L 11,12 5L UTC", "2027-12-16T00:00:00Z", 2), ["31 09:00 +00:00", "15 09:00 +00:00"]);
        assert_eq!(times("0 9 L 11 * UTC", "2027-12-01T00:00:00Z", 1), ["30 09:00 +00:00"]);
    }

    #[test]
    fn the_next_time_is_always_later() {
        for zone in ["UTC", "Australia/Lord_Howe", "Africa/Casablanca", "Africa/Cairo", "America/Havana", "Asia/Beirut"]
        {
            for fields in ["*/15 * * * *", "0 * * * *", "0 0 * * *", "15,45 0-3 * * *"] {
                let (mut last, end) = (ms("2027-01-01T00:00:00Z"), ms("2028-01-01T00:00:00Z"));
                while last < end {
                    let next = next_of(&format!("{fields} {zone}"), last).unwrap();
                    assert!(next > last, "{fields} {zone} after {last}");
                    last = next + 3 * 3_600_000;
                }
            }
        }
    }

    /// The weekdays, hours or months in which an expression is due, from Monday, 2026-12-28 on.
    fn due(cron: &str, format: &str, count: usize) -> String {
        let mut last = ms("2026-12-27T23:59:00Z");
        let next = |_| {
            last = next_of(cron, last).unwrap();
            let time = jiff::Timestamp::from_millisecond(i64::try_from(last).unwrap()).unwrap();
            time.to_zoned(jiff::tz::TimeZone::UTC).strftime(format).to_string()
        };
        (0..count).map(next).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_range_of_weekdays_wraps() {
        for (weekdays, expected) in [
            ("SAT-SUN", "Sat Sun Sat"),
            ("sat-sun", "Sat Sun Sat"),
            ("Sat-Sun/1", "Sat Sun Sat"),
            ("6-0", "Sat Sun Sat"),
            ("6-7", "Sat Sun Sat"),
            ("FRI-MON", "Mon Fri Sat Sun Mon"),
            ("5-1", "Mon Fri Sat Sun Mon"),
            ("FRI-MON/2", "Fri Sun Fri"),
            ("7", "Sun Sun"),
            ("0", "Sun Sun"),
            ("0-7", "Mon Tue Wed Thu Fri Sat Sun Mon"),
            ("7-0", "Sun Sun"),
            ("7-2", "Mon Tue Sun Mon"),
            ("SUN-TUE", "Mon Tue Sun Mon"),
            ("MON-SUN", "Mon Tue Wed Thu Fri Sat Sun Mon"),
            ("WED-TUE", "Mon Tue Wed Thu Fri Sat Sun Mon"),
            ("WED,SAT-SUN", "Wed Sat Sun Wed"),
        ] {
            let count = expected.split(' ').count();
            assert_eq!(due(&format!("0 9 * * {weekdays} UTC"), "%a", count), expected, "{weekdays}");
        }
    }

    #[test]
    fn ranges_of_other_fields_wrap() {
        assert_eq!(due("0 22-2 * * * UTC", "%H", 7), "00 01 02 22 23 00 01");
        assert_eq!(due("0 22-3/2 * * * UTC", "%H", 5), "00 02 22 00 02");
        assert_eq!(due("50-10/10 0 * * * UTC", "%M", 5), "00 10 50 00 10");
        assert_eq!(due("0 0 1 NOV-FEB * UTC", "%b", 5), "Jan Feb Nov Dec Jan");
        assert_eq!(due("0 0 1 11-feb/3 * UTC", "%b", 3), "Feb Nov Feb");
        assert_eq!(due("0 0 30-2 * * UTC", "%d", 5), "30 31 01 02 30");
        assert_eq!(due("0 9 * * fril UTC", "%d", 1), "29", "the last Friday");
    }

    #[test]
    fn what_never_comes_is_told_at_once() {
        for never in ["0 0 30 2 *", "0 0 31 2,4,6 *", "0 0 31 JUN *", "0 0 30-31 2 *"] {
            let told = next_of(&format!("{never} UTC"), ms("2027-01-01T00:00:00Z")).unwrap_err();
            let expected = "never comes: in the next four years no day has its day, month and weekday";
            assert_eq!(told, format!("the cron expression `{never} UTC`: {expected}"));
        }
        assert_eq!(due("0 0 29 2 * UTC", "%Y", 1), "2028", "a leap day comes");
    }

    #[test]
    fn nonsense_ends() {
        for text in [
            "0 0 31 2 * Australia/Lord_Howe",
            "0 0 */31 12 5L UTC",
            "0 24 * * * UTC",
            "*/0 * * * * UTC",
            "* * * * *",
            "",
            "* * * * * ../etc",
            "0 25-2 * * * UTC",
            "0 9 * * SAT-FOO UTC",
            "0 9 * * SAT-SUN/0 UTC",
            "0 9 * * SAT-SUN/9 UTC",
            "0 9 * * 8-1 UTC",
            "0 9 * * SAT- UTC",
            "0 9 * * 99999999999-1 UTC",
        ] {
            next_of(text, ms("2027-01-01T00:00:00Z")).unwrap_err();
        }
        let long = format!("{} * * * * UTC", ["1"; 200].join(","));
        assert!(next_of(&long, 0).unwrap_err().contains("256 bytes"));
    }
}
