//! Dates and times, by language. Now is Friday, 20 November 2026, 15:30.

use serde_json::{Value, json};

use super::{answer, now, recognize};
use crate::prompt::Prompt;

/// What texts mean as a date or time, in a locale; `""` is not understood.
fn check(locale: &str, cases: &[(&str, &str)]) {
    let mut wrong = Vec::new();
    for (text, expected) in cases {
        let found = recognize(&json!({ "kind": "date-time" }), locale, text);
        let value = found.as_ref().and_then(|found| found["value"].as_str()).unwrap_or_default();
        if value != *expected {
            wrong.push(format!("{locale}: «{text}» is `{value}`, not `{expected}`"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn iso_8601_in_every_language() {
    for locale in ["", "en", "de", "es", "fr", "pt"] {
        check(
            locale,
            &[
                ("2026-12-24", "2026-12-24"),
                ("2026-12-24T18:30", "2026-12-24T18:30:00"),
                ("2026-12-24 18:30:15", "2026-12-24T18:30:15"),
                ("18:30", "18:30:00"),
                ("2026/12/24", "2026-12-24"),
                ("2026-13-45", ""),
            ],
        );
    }
}

#[test]
fn english() {
    check(
        "en",
        &[
            ("today", "2026-11-20"),
            ("tomorrow", "2026-11-21"),
            ("the day after tomorrow", "2026-11-22"),
            ("yesterday", "2026-11-19"),
            ("the day before yesterday", "2026-11-18"),
            ("tomorrow at 8", "2026-11-21T08:00:00"),
            ("tomorrow at 8pm", "2026-11-21T20:00:00"),
            ("tomorrow morning at 8", "2026-11-21T08:00:00"),
            ("tonight at 8", "2026-11-20T20:00:00"),
            ("this afternoon at 4", "2026-11-20T16:00:00"),
            ("tonight", ""),
            ("monday", "2026-11-23"),
            ("friday", "2026-11-27"),
            ("this friday", "2026-11-20"),
            ("next monday", "2026-11-23"),
            ("next friday", "2026-11-27"),
            ("last friday", "2026-11-13"),
            ("next week", ""),
            ("last week", ""),
            ("monday next week", "2026-11-23"),
            ("next week on monday", "2026-11-23"),
            ("the week after next", ""),
            ("next month", ""),
            ("next year", ""),
            ("in 3 days", "2026-11-23"),
            ("in a week", "2026-11-27"),
            ("3 days ago", "2026-11-17"),
            ("two weeks from now", "2026-12-04"),
            ("in a fortnight", "2026-12-04"),
            ("in three weeks", "2026-12-11"),
            ("in 20 minutes", "2026-11-20T15:50:00"),
            ("in half an hour", "2026-11-20T16:00:00"),
            ("in an hour", "2026-11-20T16:30:00"),
            ("in 1.5 hours", "2026-11-20T17:00:00"),
            ("in 9 hours", "2026-11-21T00:30:00"),
            ("a week from today", "2026-11-27"),
            ("a week from tomorrow", "2026-11-28"),
            ("in 2 hours and 30 minutes", "2026-11-20T18:00:00"),
            ("next month on the 3rd", "2026-12-03"),
            ("now", "2026-11-20T15:30:00"),
            ("four thirty pm", "16:30:00"),
            ("tonight at 2", "2026-11-21T02:00:00"),
            ("tomorrow night at 12", "2026-11-22T00:00:00"),
            ("tomorrow night at 11", "2026-11-21T23:00:00"),
            ("12/24", "2026-12-24"),
            ("24/12", "2026-12-24"),
            ("12/24/27", "2027-12-24"),
            ("December 24th, 2027", "2027-12-24"),
            ("dec. 24 2027", "2027-12-24"),
            ("24 December", "2026-12-24"),
            ("the 3rd of march", "2027-03-03"),
            ("the twenty-fourth", "2026-11-24"),
            ("on the 3rd at 9am", "2026-12-03T09:00:00"),
            ("february 29", "2028-02-29"),
            ("6:30 pm", "18:30:00"),
            ("6.30 p.m.", "18:30:00"),
            ("8.30", "08:30:00"),
            ("at noon", "12:00:00"),
            ("midnight", "00:00:00"),
            ("12 am", "00:00:00"),
            ("12 pm", "12:00:00"),
            ("8 in the evening", "20:00:00"),
            ("half past eight", "08:30:00"),
            ("quarter to nine", "08:45:00"),
            ("ten past seven pm", "19:10:00"),
            ("five to one", "12:55:00"),
            ("8 o'clock", "08:00:00"),
            ("saturday at half past seven in the evening", "2026-11-21T19:30:00"),
            ("", ""),
            ("sometime", ""),
            ("99/99", ""),
            ("2-3 people", ""),
            ("25:00", ""),
            ("12:61", ""),
            ("monkey", ""),
            ("I am 8", ""),
            ("for 4", ""),
        ],
    );
}

#[test]
fn german() {
    check(
        "de",
        &[
            ("heute", "2026-11-20"),
            ("morgen um 8", "2026-11-21T08:00:00"),
            ("übermorgen", "2026-11-22"),
            ("uebermorgen", "2026-11-22"),
            ("vorgestern", "2026-11-18"),
            ("heute morgen um 8", "2026-11-20T08:00:00"),
            ("morgen früh um 8", "2026-11-21T08:00:00"),
            ("heute Abend um 8", "2026-11-20T20:00:00"),
            ("morgen Nachmittag um drei", "2026-11-21T15:00:00"),
            ("Samstagabend um 8", "2026-11-21T20:00:00"),
            ("Montag morgens um 9", "2026-11-23T09:00:00"),
            ("24.12.", "2026-12-24"),
            ("24.12.2027", "2027-12-24"),
            ("24.12.27 um 18:30", "2027-12-24T18:30:00"),
            ("am 24. Dezember", "2026-12-24"),
            ("1. März", "2027-03-01"),
            ("ersten Mai", "2027-05-01"),
            ("am 24. um 8 Uhr", "2026-11-24T08:00:00"),
            ("nächsten Montag um 18.30 Uhr", "2026-11-23T18:30:00"),
            ("letzten Freitag", "2026-11-13"),
            ("Freitag nächste Woche", "2026-11-27"),
            ("nächste Woche Montag", "2026-11-23"),
            ("übernächste Woche", ""),
            ("heute in 14 Tagen", "2026-12-04"),
            ("am 3. nächsten Monats", "2026-12-03"),
            ("24. 12. 2027", "2027-12-24"),
            ("jetzt", "2026-11-20T15:30:00"),
            ("um eins mittags", "13:00:00"),
            ("12 Uhr mittags", "12:00:00"),
            ("fünf vor halb neun", "08:25:00"),
            ("5 nach halb 9", "08:35:00"),
            ("heute Nacht um 2", "2026-11-21T02:00:00"),
            ("in 2 Stunden und 15 Minuten", "2026-11-20T17:45:00"),
            ("fuenf Uhr", "05:00:00"),
            ("18h", "18:00:00"),
            ("in drei Tagen", "2026-11-23"),
            ("in einer Woche", "2026-11-27"),
            ("vor 3 Tagen", "2026-11-17"),
            ("in einer halben Stunde", "2026-11-20T16:00:00"),
            ("in einer Stunde", "2026-11-20T16:30:00"),
            ("in anderthalb Stunden", "2026-11-20T17:00:00"),
            ("in 1,5 Stunden", "2026-11-20T17:00:00"),
            ("18 Uhr", "18:00:00"),
            ("18 Uhr 30", "18:30:00"),
            ("um 18.30", "18:30:00"),
            ("halb neun", "08:30:00"),
            ("viertel nach acht", "08:15:00"),
            ("viertel vor neun abends", "20:45:00"),
            ("dreiviertel neun", "08:45:00"),
            ("zehn vor neun", "08:50:00"),
            ("8 Uhr abends", "20:00:00"),
            ("2 Uhr nachts", "02:00:00"),
            ("mittags", "12:00:00"),
            ("Mitternacht", "00:00:00"),
            ("So., 14 Uhr", "2026-11-22T14:00:00"),
            ("so um 8", "08:00:00"),
            ("irgendwann", ""),
            ("30.02.", ""),
            ("20.13.2026", ""),
        ],
    );
}

#[test]
fn spanish() {
    check(
        "es",
        &[
            ("hoy", "2026-11-20"),
            ("mañana a las 8", "2026-11-21T08:00:00"),
            ("manana", "2026-11-21"),
            ("pasado mañana", "2026-11-22"),
            ("anteayer", "2026-11-18"),
            ("hoy a las 8 de la mañana", "2026-11-20T08:00:00"),
            ("mañana por la mañana a las 8", "2026-11-21T08:00:00"),
            ("a las 8 de la mañana", "08:00:00"),
            ("a las 8 de la tarde", "20:00:00"),
            ("a las 12 de la noche", "00:00:00"),
            ("esta noche a las 9", "2026-11-20T21:00:00"),
            ("24 de diciembre de 2027", "2027-12-24"),
            ("el primero de mayo", "2027-05-01"),
            ("24/12", "2026-12-24"),
            ("24-12-2027", "2027-12-24"),
            ("el 24", "2026-11-24"),
            ("el próximo lunes", "2026-11-23"),
            ("el lunes que viene", "2026-11-23"),
            ("miercoles", "2026-11-25"),
            ("el viernes pasado", "2026-11-13"),
            ("la semana que viene", ""),
            ("el mes que viene", ""),
            ("el lunes de la próxima semana", "2026-11-23"),
            ("en tres días", "2026-11-23"),
            ("dentro de una semana", "2026-11-27"),
            ("hace 3 días", "2026-11-17"),
            ("en media hora", "2026-11-20T16:00:00"),
            ("en una hora", "2026-11-20T16:30:00"),
            ("a las ocho y media", "08:30:00"),
            ("a las ocho y cuarto de la tarde", "20:15:00"),
            ("las nueve menos cuarto", "08:45:00"),
            ("a las nueve menos diez", "08:50:00"),
            ("18:30", "18:30:00"),
            ("a las 6 pm", "18:00:00"),
            ("en 2 horas y 15 minutos", "2026-11-20T17:45:00"),
            ("ahora", "2026-11-20T15:30:00"),
            ("al mediodía", "12:00:00"),
            ("algún día", ""),
        ],
    );
}

#[test]
fn french() {
    check(
        "fr",
        &[
            ("aujourd’hui", "2026-11-20"),
            ("demain à 8h", "2026-11-21T08:00:00"),
            ("après-demain", "2026-11-22"),
            ("apres demain", "2026-11-22"),
            ("avant-hier", "2026-11-18"),
            ("demain matin à 8h", "2026-11-21T08:00:00"),
            ("demain après-midi", ""),
            ("demain après-midi à 3 heures", "2026-11-21T15:00:00"),
            ("ce soir à 8 heures", "2026-11-20T20:00:00"),
            ("8h du soir", "20:00:00"),
            ("le 24 décembre", "2026-12-24"),
            ("le 24 decembre 2027", "2027-12-24"),
            ("le premier mai", "2027-05-01"),
            ("24/12", "2026-12-24"),
            ("le 24", "2026-11-24"),
            ("lundi prochain à 18h30", "2026-11-23T18:30:00"),
            ("vendredi dernier", "2026-11-13"),
            ("la semaine prochaine", ""),
            ("lundi de la semaine prochaine", "2026-11-23"),
            ("le mois prochain", ""),
            ("dans trois jours", "2026-11-23"),
            ("dans une semaine", "2026-11-27"),
            ("il y a 3 jours", "2026-11-17"),
            ("dans une demi-heure", "2026-11-20T16:00:00"),
            ("dans une heure", "2026-11-20T16:30:00"),
            ("18h30", "18:30:00"),
            ("18 h 30", "18:30:00"),
            ("18h", "18:00:00"),
            ("18 heures 30", "18:30:00"),
            ("huit heures et demie", "08:30:00"),
            ("huit heures et quart", "08:15:00"),
            ("neuf heures moins le quart", "08:45:00"),
            ("neuf heures moins dix", "08:50:00"),
            ("midi et demi", "12:30:00"),
            ("minuit et quart", "00:15:00"),
            ("dans 2 heures et 15 minutes", "2026-11-20T17:45:00"),
            ("maintenant", "2026-11-20T15:30:00"),
            ("midi", "12:00:00"),
            ("à minuit", "00:00:00"),
            ("un jour", ""),
        ],
    );
}

#[test]
fn the_region_orders_day_and_month() {
    check("en-US", &[("5/12/2027", "2027-05-12")]);
    check("EN-us", &[("5/12/2027", "2027-05-12")]);
    check("", &[("5/12/2027", "2027-05-12")]);
    for locale in ["en-GB", "en-AU", "de-DE", "es", "fr-CA", "pt"] {
        check(locale, &[("5/12/2027", "2027-12-05")]);
    }
}

/// Whether each text is accepted.
fn accepted(definition: &Value, cases: &[(&str, bool)]) {
    for (text, fits) in cases {
        let found = recognize(definition, "en", text);
        assert_eq!(found.is_some(), *fits, "{definition}: {text}: {found:?}");
    }
}

#[test]
fn the_prompt_says_what_it_takes() {
    let date = json!({ "kind": "date-time", "types": ["date"] });
    accepted(&date, &[("tomorrow at 8", true), ("at 8", false), ("tomorrow", true)]);
    let time = json!({ "kind": "date-time", "types": ["time"] });
    accepted(&time, &[("at 8", true), ("8", true), ("25", false), ("tomorrow", false)]);
    assert_eq!(recognize(&time, "en", "18").unwrap(), json!({ "type": "time", "value": "18:00:00" }));
    accepted(&json!({ "kind": "date-time", "types": ["date-time"] }), &[("tomorrow", false), ("tomorrow at 8", true)]);
}

/// A bound holds for what it can be compared with.
#[test]
fn bounds_are_of_the_kind_of_the_value() {
    let dates = json!({ "kind": "date-time", "earliest": "2026-11-20", "latest": "2026-12-31" });
    accepted(
        &dates,
        &[
            ("yesterday", false),
            ("today", true),
            ("31 december", true),
            ("31 december at 11pm", true),
            ("1/1", false),
            ("at 8", true),
        ],
    );
    let hours = json!({ "kind": "date-time", "earliest": "09:00", "latest": "18:00" });
    accepted(
        &hours,
        &[
            ("at 8", false),
            ("at 9", true),
            ("6 pm", true),
            ("18:01", false),
            ("tomorrow at 10", true),
            ("tomorrow at 8", false),
            ("tomorrow", true),
        ],
    );
    let moments = json!({ "kind": "date-time", "earliest": "2026-11-21T00:00:00", "latest": "2026-11-22T00:00:00" });
    accepted(
        &moments,
        &[
            ("today at 11pm", false),
            ("tomorrow at 10", true),
            ("2026-11-22T00:00", true),
            ("2026-11-22T00:01", false),
            ("2026-11-22", true),
        ],
    );
}

#[test]
fn a_picker_submits_a_date() {
    let prompt = Prompt::parse(&json!({ "kind": "date-time" })).unwrap();
    for (members, value) in [
        (json!({ "value": "2026-12-24" }), "2026-12-24"),
        (json!({ "value": { "date": "2026-12-24" } }), "2026-12-24"),
        (json!({ "value": { "time": "18:30" } }), "18:30:00"),
        (json!({ "value": { "date": "2026-12-24", "time": "18:30" } }), "2026-12-24T18:30:00"),
        (json!({ "value": { "date-time": "2026-12-24T18:30", "form": "x" } }), "2026-12-24T18:30:00"),
    ] {
        let found = prompt.recognize(&answer(&members), "en", now()).unwrap();
        assert_eq!(found["value"], value, "{members}");
    }
}

/// A wrong date is worse than none.
#[test]
fn days_that_no_calendar_has_and_days_to_choose_from_are_none() {
    check(
        "en",
        &[
            ("November 31", ""),
            ("the 31st of November", ""),
            ("the 31st of November at 8", ""),
            ("2/30/2027", ""),
            ("monday or tuesday", ""),
            ("tomorrow or the day after tomorrow", ""),
            ("tomorrow at 8 or 9", ""),
            ("from 3 to 5", ""),
            ("from 10 to 12", ""),
            ("between 5 and 7", ""),
            ("ten to five", "04:50:00"),
            ("3 minutes to 5", "04:57:00"),
            ("feb 29", "2028-02-29"),
            ("2/29", "2028-02-29"),
            ("not monday", ""),
            ("anything but monday", ""),
            ("why not monday?", "2026-11-23"),
            ("the first monday in may", "2027-05-03"),
        ],
    );
    check(
        "de",
        &[
            ("am 31.11.", ""),
            ("am 31. November um 8", ""),
            ("30.2.2027", ""),
            ("Montag oder Dienstag", ""),
            ("29.2.", "2028-02-29"),
            ("um 18.30.", "18:30:00"),
            ("nicht Montag", ""),
            ("warum nicht morgen?", "2026-11-21"),
            ("kein Problem, morgen um 8", "2026-11-21T08:00:00"),
            ("der erste Montag im Mai", "2027-05-03"),
            ("5.12 um 8.30", "2026-12-05T08:30:00"),
            ("8.30", "08:30:00"),
        ],
    );
    check("es", &[("todo menos el lunes", ""), ("las nueve menos cuarto", "08:45:00")]);
    check("fr", &[("pas lundi", ""), ("pourquoi pas lundi", "2026-11-23")]);
    check("es", &[("el 31 de noviembre", ""), ("lunes o martes", ""), ("el 31/11", "")]);
    check("fr", &[("le 31 novembre", ""), ("lundi ou mardi", ""), ("le 31/11", "")]);
}

#[test]
fn a_weekday_some_weeks_ahead() {
    check(
        "en",
        &[
            ("tuesday in a week", "2026-12-01"),
            ("in a week on tuesday", "2026-11-24"),
            ("a week on tuesday", "2026-12-01"),
            ("3 weeks from monday", "2026-12-14"),
            ("2 days after tomorrow", "2026-11-23"),
            ("in a couple of days", "2026-11-22"),
        ],
    );
    check(
        "de",
        &[
            ("Dienstag in einer Woche", "2026-12-01"),
            ("am Montag in zwei Wochen um 9 Uhr", "2026-12-07T09:00:00"),
            ("in einer Woche am Dienstag", "2026-11-24"),
        ],
    );
    check("es", &[("el martes dentro de una semana", "2026-12-01"), ("de hoy en ocho", "2026-11-27")]);
    check("fr", &[("mardi dans une semaine", "2026-12-01")]);
}

#[test]
fn half_past_twelve_is_after_noon_however_it_is_said() {
    check(
        "en",
        &[("half past twelve", "12:30:00"), ("quarter to one", "12:45:00"), ("quarter to one at night", "00:45:00")],
    );
    check(
        "de",
        &[
            ("halb eins", "12:30:00"),
            ("halb eins nachts", "00:30:00"),
            ("viertel eins", "12:15:00"),
            ("viertel neun", "08:15:00"),
            ("um drei viertel acht", "07:45:00"),
        ],
    );
    check("es", &[("la una menos cuarto", "12:45:00")]);
    check("fr", &[("une heure moins le quart", "12:45:00"), ("midi et demi", "12:30:00")]);
}

/// Now is Friday, 20 November 2026, 15:30, where the user is.
#[test]
fn bounds_may_be_the_day_or_the_moment_of_the_answer() {
    let from_today = json!({ "kind": "date-time", "types": ["date"], "earliest": "today" });
    for (text, fits) in [("yesterday", false), ("today", true), ("tomorrow", true), ("2026-11-19", false)] {
        assert_eq!(recognize(&from_today, "en", text).is_some(), fits, "{text}");
    }
    let later = json!({ "kind": "date-time", "types": ["date-time"], "earliest": "now", "latest": "2026-12-31" });
    for (text, fits) in
        [("today at 15:29", false), ("today at 15:30", true), ("tomorrow at 8", true), ("in 2 months", false)]
    {
        assert_eq!(recognize(&later, "en", text).is_some(), fits, "{text}");
    }
    let born = json!({ "kind": "date-time", "latest": "today" });
    assert!(recognize(&born, "en", "tomorrow").is_none());
}

#[test]
fn hours_and_a_half() {
    check("en", &[("in two and a half hours", "2026-11-20T18:00:00"), ("in 2 1/2 hours", "2026-11-20T18:00:00")]);
    check(
        "de",
        &[
            ("in zweieinhalb Stunden", "2026-11-20T18:00:00"),
            ("in 2½ Stunden", "2026-11-20T18:00:00"),
            ("in 2 1/2 Stunden", "2026-11-20T18:00:00"),
            ("morgen Mittag", "2026-11-21T12:00:00"),
            ("morgen Mittag um eins", "2026-11-21T13:00:00"),
        ],
    );
    check("es", &[("en dos horas y media", "2026-11-20T18:00:00"), ("dentro de dos horas", "2026-11-20T17:30:00")]);
    check("fr", &[("dans deux heures et demie", "2026-11-20T18:00:00"), ("à deux heures et demie", "02:30:00")]);
}
