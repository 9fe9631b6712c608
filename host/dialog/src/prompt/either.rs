//! The question that names the two values of which an answer may mean either.

use jiff::civil::{Date, DateTime};
use serde_json::Value;

use super::channels::{self, Place};
use super::choice::Choice;
use super::language::Language;
use super::lexicon::Mean;
use super::{Kind, Prompt, Say, Style, ask};
use crate::activity::Object;

impl Prompt {
    /// Asks which of two readings is meant, with buttons where the channel has them and places elsewhere: «Do you mean (1)
    /// 5 March 2027 or (2) 15 March 2027?» None where there are not two.
    pub fn ask_which(&self, readings: &[Value], place: &Place<'_>, locale: &str) -> Option<Object> {
        let language = self.language(locale);
        let [one, other] = readings else { return None };
        let names = [self.name(one, language)?, self.name(other, language)?];
        let style = match channels::buttons(place) {
            Some(known) if known.suggested >= 2 => Style::SuggestedAction,
            Some(known) if known.card >= 2 => Style::HeroCard,
            _ => Style::None,
        };
        // «(1) 5» would leave open what «1» answers.
        let has_places = style == Style::None && !matches!(self.kind, Kind::Number { .. });
        let shown = |place: usize, name: &String| if has_places { format!("({place}) {name}") } else { name.clone() };
        let [one, other] = [shown(1, &names[0]), shown(2, &names[1])];
        let text = language.either.replace("{one}", &one).replace("{other}", &other);
        let choices: Vec<Choice> = names.iter().map(|name| Choice::of(name)).collect();
        Some(ask::with_choices(&Say::Text(text), &choices, style, place, language))
    }

    /// The reading that an answer chooses by its place.
    pub(super) fn chosen(&self, text: &str) -> Option<&Value> {
        let place = match text.trim() {
            "1" => 0,
            "2" => 1,
            _ => return None,
        };
        self.readings.get(place).filter(|_| !matches!(self.kind, Kind::Number { .. }))
    }

    /// How a value is written in the question. The prompt reads it back.
    fn name(&self, value: &Value, language: &Language) -> Option<String> {
        match &self.kind {
            Kind::Choice { choices, .. } => {
                let index = usize::try_from(value.get("index")?.as_u64()?).ok()?;
                Some(shown(choices, index)).filter(|name| !name.is_empty())
            }
            Kind::DateTime { .. } => {
                let said = value.get("value")?.as_str()?;
                match value.get("type")?.as_str()? {
                    "date" => Some(date(said.parse().ok()?, language)),
                    "date-time" => {
                        let moment: DateTime = said.parse().ok()?;
                        Some(format!("{}, {}", date(moment.date(), language), moment.strftime("%H:%M")))
                    }
                    _ => said.get(..5).map(ToOwned::to_owned),
                }
            }
            Kind::Number { .. } => Some(match language.decimal(&self.locale.clone().unwrap_or_default()) {
                ',' => value.to_string().replace('.', ","),
                _ => value.to_string(),
            }),
            _ => None,
        }
    }
}

/// What the user sees of a choice, which is also what they said of it if they chose it by a button.
pub(super) fn shown(choices: &[Choice], index: usize) -> String {
    choices.get(index).map(|choice| choice.shown().to_owned()).unwrap_or_default()
}

fn date(date: Date, language: &Language) -> String {
    let written = language.date_written.replace("{d}", &date.day().to_string());
    let written = written.replace("{month}", language.name(Mean::Month(date.month())));
    written.replace("{y}", &date.year().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_date_is_written_as_the_language_writes_it() {
        let day = jiff::civil::date(2027, 3, 5);
        for (locale, written) in [
            ("en", "5 March 2027"),
            ("de", "5. März 2027"),
            ("es", "5 de marzo de 2027"),
            ("fr", "5 mars 2027"),
            ("pt", "5 de março de 2027"),
        ] {
            assert_eq!(date(day, Language::of(locale)), written);
        }
    }
}
