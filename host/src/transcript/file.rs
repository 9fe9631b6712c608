//! `.transcript` files: JSON, an array of activities or an object whose `transcript` is one.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{ACTIVITIES_MAX, Problem};
use crate::activity::{Activity, Object};

/// The second shape; what else it holds is of no use here.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    transcript: Vec<&'a RawValue>,
}

/// Reads the activities of a transcript, in their order and verbatim. Each is an object with a `type`, and its known members
/// have the JSON types of the protocol.
///
/// # Errors
/// The place where the text is no JSON, or everything that is wrong with its activities, each with the line of the entry.
pub fn parse(text: &str) -> Result<Vec<Object>, Vec<Problem>> {
    let entries: Result<Vec<&RawValue>, _> = match text.trim_start().starts_with('{') {
        true => serde_json::from_str::<Wrapped<'_>>(text).map(|wrapped| wrapped.transcript),
        false => serde_json::from_str(text),
    };
    let entries = entries.map_err(|error| {
        let shape = "a transcript is a JSON array of activities, or an object whose `transcript` is one";
        vec![Problem::at(error.line(), format!("{error}; {shape}"))]
    })?;
    if entries.len() > ACTIVITIES_MAX {
        let message = format!("holds {} activities, more than {ACTIVITIES_MAX}; split it", entries.len());
        return Err(Problem::of_file(message));
    }
    let (mut activities, mut problems) = (Vec::with_capacity(entries.len()), Vec::new());
    let mut lines = Lines { text, offset: 0, line: 1 };
    for (index, entry) in entries.iter().enumerate() {
        let line = lines.of(entry.get());
        match activity(entry.get()) {
            Ok(activity) => activities.push(activity),
            Err(why) => problems.push(Problem::at(line, format!("entry {}: {why}", index + 1))),
        }
    }
    if problems.is_empty() { Ok(activities) } else { Err(problems) }
}

/// Returns a transcript of these activities: an array, indented, without a byte order mark.
///
/// # Errors
/// None that these values can cause; JSON objects are always written.
pub fn print(activities: &[Object]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(activities).map(|text| text + "\n")
}

fn activity(text: &str) -> Result<Object, String> {
    let Ok(activity) = serde_json::from_str::<Object>(text) else {
        return Err("is not an object; each entry is an activity".to_owned());
    };
    Activity::check_types(&activity).map_err(|error| error.to_string())?;
    match activity.get("type").and_then(serde_json::Value::as_str) {
        None | Some("") => Err("has no `type`, such as \"message\"".to_owned()),
        Some(_) => Ok(activity),
    }
}

/// Counts lines on the way through a text.
struct Lines<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    /// The line on which a part of the text begins. Parts are asked for in their order.
    fn of(&mut self, part: &str) -> usize {
        let offset = (part.as_ptr() as usize).saturating_sub(self.text.as_ptr() as usize);
        let passed = self.text.get(self.offset..offset).unwrap_or_default();
        self.line += passed.bytes().filter(|byte| *byte == b'\n').count();
        self.offset = self.offset.max(offset);
        self.line
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_shapes_are_read() {
        let array = r#" [ {"type":"message","text":"a"}, {"type":"typing"} ] "#;
        let object = format!(r#"{{"version":1,"transcript":{array},"more":{{"transcript":[]}}}}"#);
        for text in [array, &object] {
            let activities = parse(text).unwrap();
            assert_eq!(json!(activities), json!([{"type":"message","text":"a"},{"type":"typing"}]));
        }
        assert_eq!(parse("[]").unwrap(), Vec::<Object>::new());
    }

    #[test]
    fn what_is_printed_is_read_again_with_its_members_in_their_order() {
        let activities = parse(r#"[{"type":"message","z":1.50,"a":{"y":null,"b":[]},"text":"ü\n"}]"#).unwrap();
        let printed = print(&activities).unwrap();
        assert!(printed.starts_with("[\n  {\n    \"type\": \"message\",\n    \"z\"") && printed.ends_with("]\n"));
        assert_eq!(parse(&printed).unwrap(), activities);
    }

    #[test]
    fn every_wrong_entry_is_told_with_its_line() {
        let text =
            "[\n  {\"type\":\"message\"},\n  7,\n  {\"text\":\"x\"},\n\n  {\"type\":\"message\",\n   \"text\":1}]";
        let told: Vec<_> =
            parse(text).unwrap_err().into_iter().map(|problem| (problem.line, problem.message)).collect();
        let expected = [
            (3, "entry 2: is not an object; each entry is an activity"),
            (4, "entry 3: has no `type`, such as \"message\""),
            (6, "entry 4: `text` must be a string"),
        ];
        assert_eq!(told, expected.map(|(line, message)| (line, message.to_owned())));
    }

    #[test]
    fn what_is_no_transcript_is_told_with_its_line_and_the_shape_that_is_wanted() {
        let cases = [
            ("", 1, "EOF while parsing a value"),
            ("[\n{\"type\":]", 2, "expected value at line 2 column 9"),
            ("{\"activities\":[]}", 1, "missing field `transcript`"),
            ("{\"transcript\":{}}", 1, "expected a sequence"),
            ("\"text\"", 1, "expected a sequence"),
            ("[] []", 1, "trailing characters"),
        ];
        for (text, line, why) in cases {
            let problems = parse(text).unwrap_err();
            assert_eq!((problems.len(), problems[0].line), (1, line), "{text}: {problems:?}");
            let message = &problems[0].message;
            assert!(message.contains(why) && message.contains("a JSON array of activities"), "{text}: {message}");
        }
    }

    #[test]
    fn too_many_activities_are_refused() {
        let text = format!("[{}{{}}]", "{},".repeat(ACTIVITIES_MAX));
        let problems = parse(&text).unwrap_err();
        assert_eq!(problems[0].message, "holds 100001 activities, more than 100000; split it");
    }
}
