//! Ranges that wrap, which the library refuses: each is written as the list of its values.

/// The values of one field: the first, the last, and their names from the first on.
struct Field {
    min: u8,
    max: u8,
    names: &'static [&'static str],
}

/// Minutes, hours, days of the month, months and days of the week, as they stand in an expression.
const FIELDS: [Field; 5] = [
    Field { min: 0, max: 59, names: &[] },
    Field { min: 0, max: 23, names: &[] },
    Field { min: 1, max: 31, names: &[] },
    Field {
        min: 1,
        max: 12,
        names: &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
    },
    Field { min: 0, max: 6, names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] },
];

/// Returns the fields of an expression in capital letters, with lists for ranges that wrap. Whatever is wrong stays as it is.
pub(super) fn ascending(fields: &str) -> String {
    let fields = fields.to_ascii_uppercase();
    let fields = fields.split_whitespace().enumerate().map(|(position, text)| {
        let Some(field) = FIELDS.get(position) else { return text.to_owned() };
        text.split(',').map(|item| field.list(item).unwrap_or_else(|| item.to_owned())).collect::<Vec<_>>().join(",")
    });
    fields.collect::<Vec<_>>().join(" ")
}

impl Field {
    /// The values of a range that wraps; none for any other item.
    fn list(&self, item: &str) -> Option<String> {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (first, last) = range.split_once('-')?;
        let (first, last) = (self.value(first)?, self.value(last)?);
        let count = self.max - self.min + 1;
        let step = number(step).filter(|step| (1..=count).contains(step))?;
        // A Sunday is 0 and 7. What begins with it does not wrap, unless it was 7.
        let is_sunday_as_7 = first > self.max;
        if first <= last && !is_sunday_as_7 {
            return None;
        }
        let (first, last) = (first - self.min, last - self.min);
        let length = (last + count - first % count) % count;
        let values = (0..=length).step_by(step.into()).map(|passed| self.min + (first + passed) % count);
        Some(values.map(|value| value.to_string()).collect::<Vec<_>>().join(","))
    }

    fn value(&self, text: &str) -> Option<u8> {
        let named = self.names.iter().position(|name| *name == text);
        let value = match named {
            Some(position) => u8::try_from(position).ok()? + self.min,
            None => number(text)?,
        };
        let is_week = self.max == 6;
        (self.min..=self.max + u8::from(is_week)).contains(&value).then_some(value)
    }
}

fn number(digits: &str) -> Option<u8> {
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}
