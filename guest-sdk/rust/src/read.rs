//! Reads JSON into types of the plugin's author.
//!
//! Numbers keep all their digits. Untagged enums, internally tagged enums and flattened structs cannot read such numbers, so
//! for them each number is converted to 64 bits, and rounded if it has more digits.

use serde::de::DeserializeOwned;
use serde_json::{Number, Result, Value};

/// Reads a type from a JSON text.
pub(crate) fn text<T: DeserializeOwned>(text: &str) -> Result<T> {
    // Untagged enums cannot even read `1.5` from a text, but all other types get exactly the number that was written.
    serde_json::from_str(text).or_else(|error| from_plain(&serde_json::from_str(text)?).ok_or(error))
}

/// Reads a type from a JSON value.
pub(crate) fn value<T: DeserializeOwned>(value: &Value) -> Result<T> {
    T::deserialize(value).or_else(|error| from_plain(value).ok_or(error))
}

fn from_plain<T: DeserializeOwned>(value: &Value) -> Option<T> {
    T::deserialize(plain(value)?).ok()
}

/// Returns the value with its numbers rounded to 64 bits. None if a number is too large.
fn plain(value: &Value) -> Option<Value> {
    let plain = match value {
        Value::Number(number) if !number.is_i64() && !number.is_u64() => {
            Value::Number(Number::from_f64(number.as_f64()?)?)
        }
        Value::Array(entries) => entries.iter().map(plain).collect::<Option<_>>()?,
        Value::Object(members) => {
            let members = members.iter().map(|(name, value)| Some((name.clone(), plain(value)?)));
            Value::Object(members.collect::<Option<_>>()?)
        }
        other => other.clone(),
    };
    Some(plain)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Place {
        lat: f64,
        #[serde(flatten)]
        more: BTreeMap<String, f64>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Size {
        Whole(u32),
        Exact(f64),
        Named(String),
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Shape {
        Circle { radius: f64 },
        Square { size: Size },
    }

    #[test]
    fn every_kind_of_type_reads_every_number() {
        for number in ["1.5", "31.245270191439438", "1.50", "1e2", "-0.1E-3", "1234567890123456789012345"] {
            let exact: f64 = number.parse().unwrap();
            let place = format!(r#"{{"lat":{number},"height":{number}}}"#);
            let more = BTreeMap::from([("height".to_owned(), exact)]);
            assert_eq!(text::<Place>(&place).unwrap(), Place { lat: exact, more }, "{place}");
            assert_eq!(text::<Size>(number).unwrap(), Size::Exact(exact), "{number}");
            let circle = format!(r#"{{"kind":"circle","radius":{number}}}"#);
            assert_eq!(text::<Shape>(&circle).unwrap(), Shape::Circle { radius: exact }, "{circle}");
        }
        assert_eq!(text::<Size>("7").unwrap(), Size::Whole(7));
        assert_eq!(text::<Size>(r#""7""#).unwrap(), Size::Named("7".into()));
        let square = text::<Shape>(r#"{"kind":"square","size":2.50}"#).unwrap();
        assert_eq!(square, Shape::Square { size: Size::Exact(2.5) });
    }

    #[test]
    fn values_keep_their_digits_and_what_does_not_fit_is_told() {
        let sent = r#"{"a":31.245270191439438,"b":[1234567890123456789012345,1.0,-0]}"#;
        assert_eq!(text::<Value>(sent).unwrap().to_string(), sent);
        assert!(text::<u8>("256").unwrap_err().to_string().contains("256"));
        assert!(text::<Size>("1e400").is_err() && text::<f64>("1e400").is_err() && text::<u32>("1.5").is_err());
    }
}
