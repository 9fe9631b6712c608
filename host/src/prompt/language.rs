//! The words of each language that prompts understand: one table each.

use std::sync::LazyLock;

use regex::Regex;
use text2num::replace_numbers_in_text;

/// What prompts know of a language. Lists hold phrases in lower case; the longest of several that fit wins.
pub(super) struct Language {
    code: &'static str,
    pub(super) yes: &'static [&'static str],
    pub(super) no: &'static [&'static str],
    pub(super) yes_title: &'static str,
    pub(super) no_title: &'static str,
    pub(super) or: &'static str,
    pub(super) last: &'static [&'static str],
    /// Words for «2nd» that `text2num` leaves alone, because they are units of time too.
    second: &'static [&'static str],
    /// The mark before a fraction.
    pub(super) decimal: char,
    pub(super) minus: &'static [&'static str],
    /// January first.
    pub(super) months: [&'static [&'static str]; 12],
    /// Monday first.
    pub(super) weekdays: [&'static [&'static str]; 7],
    pub(super) days: Days,
    pub(super) next: &'static [&'static str],
    /// «in» three days.
    pub(super) within: &'static [&'static str],
    pub(super) units: Units,
    /// «at» eight.
    pub(super) at: &'static [&'static str],
    /// eight «o'clock».
    pub(super) clock: &'static [&'static str],
    pub(super) am: &'static [&'static str],
    pub(super) pm: &'static [&'static str],
    pub(super) noon: &'static [&'static str],
    pub(super) midnight: &'static [&'static str],
}

/// Days counted from today.
pub(super) struct Days {
    pub(super) yesterday: &'static [&'static str],
    pub(super) today: &'static [&'static str],
    pub(super) tomorrow: &'static [&'static str],
    pub(super) day_after: &'static [&'static str],
}

/// Units of time.
pub(super) struct Units {
    pub(super) minute: &'static [&'static str],
    pub(super) hour: &'static [&'static str],
    pub(super) day: &'static [&'static str],
    pub(super) week: &'static [&'static str],
    pub(super) month: &'static [&'static str],
    pub(super) year: &'static [&'static str],
}

static ENGLISH: Language = Language {
    code: "en",
    yes: &[
        "yes",
        "y",
        "yeah",
        "yep",
        "yup",
        "sure",
        "ok",
        "okay",
        "of course",
        "certainly",
        "absolutely",
        "right",
        "correct",
        "true",
        "please do",
        "go ahead",
        "👍",
        "👌",
    ],
    no: &["no", "n", "nope", "nah", "not", "never", "wrong", "false", "don't", "do not", "no way", "👎"],
    yes_title: "Yes",
    no_title: "No",
    or: "or",
    last: &["last", "the last", "last one", "the last one"],
    second: &["second"],
    decimal: '.',
    minus: &["minus", "negative"],
    months: [
        &["january", "jan"],
        &["february", "feb"],
        &["march", "mar"],
        &["april", "apr"],
        &["may"],
        &["june", "jun"],
        &["july", "jul"],
        &["august", "aug"],
        &["september", "sept", "sep"],
        &["october", "oct"],
        &["november", "nov"],
        &["december", "dec"],
    ],
    weekdays: [
        &["monday", "mon"],
        &["tuesday", "tue", "tues"],
        &["wednesday", "wed"],
        &["thursday", "thu", "thurs"],
        &["friday", "fri"],
        &["saturday", "sat"],
        &["sunday", "sun"],
    ],
    days: Days {
        yesterday: &["yesterday"],
        today: &["today", "tonight"],
        tomorrow: &["tomorrow"],
        day_after: &["day after tomorrow"],
    },
    next: &["next", "coming"],
    within: &["in", "within"],
    units: Units {
        minute: &["minute", "minutes", "min", "mins"],
        hour: &["hour", "hours"],
        day: &["day", "days"],
        week: &["week", "weeks"],
        month: &["month", "months"],
        year: &["year", "years"],
    },
    at: &["at", "by", "around"],
    clock: &["o'clock", "o’clock", "oclock"],
    am: &["am", "a.m.", "in the morning"],
    pm: &["pm", "p.m.", "in the afternoon", "in the evening", "at night"],
    noon: &["noon", "midday"],
    midnight: &["midnight"],
};

static GERMAN: Language = Language {
    code: "de",
    yes: &[
        "ja",
        "j",
        "jo",
        "jawohl",
        "jep",
        "klar",
        "gerne",
        "gern",
        "sicher",
        "natürlich",
        "genau",
        "stimmt",
        "richtig",
        "in ordnung",
        "okay",
        "ok",
        "auf jeden fall",
        "👍",
        "👌",
    ],
    no: &["nein", "n", "nö", "nee", "ne", "nicht", "falsch", "niemals", "auf keinen fall", "lieber nicht", "👎"],
    yes_title: "Ja",
    no_title: "Nein",
    or: "oder",
    last: &["letzte", "letzter", "letztes", "letzten", "die letzte", "der letzte", "das letzte", "den letzten"],
    second: &[],
    decimal: ',',
    minus: &["minus"],
    months: [
        &["januar", "jänner", "jan"],
        &["februar", "feb"],
        &["märz", "maerz", "mär"],
        &["april", "apr"],
        &["mai"],
        &["juni", "jun"],
        &["juli", "jul"],
        &["august", "aug"],
        &["september", "sep"],
        &["oktober", "okt"],
        &["november", "nov"],
        &["dezember", "dez"],
    ],
    weekdays: [
        &["montag", "mo"],
        &["dienstag", "di"],
        &["mittwoch", "mi"],
        &["donnerstag", "do"],
        &["freitag", "fr"],
        &["samstag", "sonnabend", "sa"],
        &["sonntag", "so"],
    ],
    days: Days {
        yesterday: &["gestern"],
        today: &["heute"],
        tomorrow: &["morgen"],
        day_after: &["übermorgen", "uebermorgen"],
    },
    next: &["nächste", "nächster", "nächsten", "nächstes", "kommende", "kommenden", "kommender"],
    within: &["in"],
    units: Units {
        minute: &["minute", "minuten", "min"],
        hour: &["stunde", "stunden"],
        day: &["tag", "tage", "tagen"],
        week: &["woche", "wochen"],
        month: &["monat", "monate", "monaten"],
        year: &["jahr", "jahre", "jahren"],
    },
    at: &["um", "gegen", "ab"],
    clock: &["uhr"],
    am: &["morgens", "vormittags", "früh"],
    pm: &["nachmittags", "abends"],
    noon: &["mittag", "mittags"],
    midnight: &["mitternacht", "mitternachts"],
};

static SPANISH: Language = Language {
    code: "es",
    yes: &[
        "sí",
        "si",
        "s",
        "claro",
        "vale",
        "por supuesto",
        "desde luego",
        "correcto",
        "exacto",
        "de acuerdo",
        "ok",
        "okay",
        "verdadero",
        "👍",
        "👌",
    ],
    no: &["no", "n", "nunca", "jamás", "para nada", "falso", "incorrecto", "de ninguna manera", "👎"],
    yes_title: "Sí",
    no_title: "No",
    or: "o",
    last: &["último", "última", "ultimo", "ultima", "el último", "la última"],
    second: &["segundo", "segunda"],
    decimal: ',',
    minus: &["menos"],
    months: [
        &["enero", "ene"],
        &["febrero", "feb"],
        &["marzo", "mar"],
        &["abril", "abr"],
        &["mayo", "may"],
        &["junio", "jun"],
        &["julio", "jul"],
        &["agosto", "ago"],
        &["septiembre", "setiembre", "sep"],
        &["octubre", "oct"],
        &["noviembre", "nov"],
        &["diciembre", "dic"],
    ],
    weekdays: [
        &["lunes"],
        &["martes"],
        &["miércoles", "miercoles"],
        &["jueves"],
        &["viernes"],
        &["sábado", "sabado"],
        &["domingo"],
    ],
    days: Days {
        yesterday: &["ayer"],
        today: &["hoy"],
        tomorrow: &["mañana", "manana"],
        day_after: &["pasado mañana", "pasado manana"],
    },
    next: &["próximo", "próxima", "proximo", "proxima", "que viene", "siguiente"],
    within: &["en", "dentro de"],
    units: Units {
        minute: &["minuto", "minutos"],
        hour: &["hora", "horas"],
        day: &["día", "días", "dia", "dias"],
        week: &["semana", "semanas"],
        month: &["mes", "meses"],
        year: &["año", "años"],
    },
    at: &["a las", "a la", "sobre las", "hacia las"],
    clock: &["horas", "hs"],
    am: &["am", "a.m.", "de la mañana", "de la madrugada"],
    pm: &["pm", "p.m.", "de la tarde", "de la noche"],
    noon: &["mediodía", "mediodia"],
    midnight: &["medianoche"],
};

static FRENCH: Language = Language {
    code: "fr",
    yes: &[
        "oui",
        "o",
        "ouais",
        "si",
        "bien sûr",
        "bien sur",
        "d'accord",
        "d’accord",
        "certainement",
        "exact",
        "volontiers",
        "ok",
        "okay",
        "vrai",
        "👍",
        "👌",
    ],
    no: &["non", "n", "nan", "pas", "jamais", "pas du tout", "faux", "👎"],
    yes_title: "Oui",
    no_title: "Non",
    or: "ou",
    last: &["dernier", "dernière", "derniere", "le dernier", "la dernière"],
    second: &["second", "seconde"],
    decimal: ',',
    minus: &["moins"],
    months: [
        &["janvier", "janv"],
        &["février", "fevrier", "févr"],
        &["mars"],
        &["avril", "avr"],
        &["mai"],
        &["juin"],
        &["juillet", "juil"],
        &["août", "aout"],
        &["septembre", "sept"],
        &["octobre", "oct"],
        &["novembre", "nov"],
        &["décembre", "decembre", "déc"],
    ],
    weekdays: [&["lundi"], &["mardi"], &["mercredi"], &["jeudi"], &["vendredi"], &["samedi"], &["dimanche"]],
    days: Days {
        yesterday: &["hier"],
        today: &["aujourd'hui", "aujourd’hui"],
        tomorrow: &["demain"],
        day_after: &["après-demain", "apres-demain", "après demain"],
    },
    next: &["prochain", "prochaine"],
    within: &["dans", "d'ici"],
    units: Units {
        minute: &["minute", "minutes"],
        hour: &["heure", "heures"],
        day: &["jour", "jours"],
        week: &["semaine", "semaines"],
        month: &["mois"],
        year: &["an", "ans", "année"],
    },
    at: &["à", "a", "vers"],
    clock: &["heures", "heure", "h"],
    am: &["du matin"],
    pm: &["de l'après-midi", "de l’après-midi", "du soir"],
    noon: &["midi"],
    midnight: &["minuit"],
};

impl Language {
    /// Returns the language of a locale, English where it is none of those known.
    pub(super) fn of(locale: &str) -> &'static Self {
        let prefix = locale.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
        [&GERMAN, &SPANISH, &FRENCH].into_iter().find(|language| language.code == prefix).unwrap_or(&ENGLISH)
    }

    /// Writes number words as digits, and ordinals as digits with their ending.
    pub(super) fn with_digits(&self, text: &str) -> String {
        let language = match self.code {
            "de" => text2num::Language::german(),
            "es" => text2num::Language::spanish(),
            "fr" => text2num::Language::french(),
            _ => text2num::Language::english(),
        };
        replace_numbers_in_text(text, &language, 0.0)
    }

    /// Returns the place that an ordinal names: «the second», «la deuxième», «2.»
    pub(super) fn ordinal(&self, text: &str) -> Option<f64> {
        static ORDINAL: LazyLock<Option<Regex>> = LazyLock::new(|| {
            Regex::new(
                r"(?i)\b([0-9]{1,3})(?:st|nd|rd|th|\.|º|ª|ère|ere|ème|eme|ième|er|re|e|do|da|ro|ra)(?:[^\p{L}0-9]|$)",
            )
            .ok()
        });
        if says(&words(text), self.second) {
            return Some(2.0);
        }
        let text = self.with_digits(text);
        ORDINAL.as_ref()?.captures(&text)?.get(1)?.as_str().parse().ok()
    }
}

/// The words of a text in lower case, and its emoji.
pub(super) fn words(text: &str) -> Vec<String> {
    let is_inner = |c: char| c.is_alphanumeric() || !(c.is_ascii() || c.is_whitespace() || is_mark(c));
    let lower = text.to_lowercase();
    lower.split(|c| !is_inner(c)).filter(|word| !word.is_empty()).map(ToOwned::to_owned).collect()
}

/// Punctuation beyond ASCII, and what only changes the colour of an emoji.
fn is_mark(c: char) -> bool {
    matches!(c, '\u{a0}'..='\u{bf}' | '\u{2000}'..='\u{206f}' | '\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}')
}

/// Whether one of the phrases is among the words.
pub(super) fn says(said: &[String], phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| {
        let phrase = words(phrase);
        !phrase.is_empty() && said.windows(phrase.len()).any(|part| part == phrase)
    })
}
