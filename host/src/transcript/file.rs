//! `.transcript` files: JSON as written by this host, the Emulator, the SDKs and other tools.
//!
//! A file contains one or more JSON values: an array of activities, an object that has such an array as `transcript`,
//! `activities` (Direct Line, Copilot Studio, responses to `expectReplies`) or `items` (a page of a transcript store),
//! or a single activity (a line of a log, a blob). The module `foreign` converts the deviations of other tools.

use std::collections::HashMap;

use serde_json::value::RawValue;

use super::{ACTIVITIES_MAX, Problem, foreign};
use crate::activity::{Activity, Object};
use crate::json;

/// Description of the accepted shapes, for error texts.
const SHAPES: &str =
    "a transcript is a JSON array of activities, or an object whose `transcript` or `activities` is one";

/// Members that can contain the activities. The first one that exists is used.
const WRAPPERS: [&str; 3] = ["transcript", "activities", "items"];

/// Reads the activities of a transcript, verbatim and in their order. Each must be an object with a `type`, and its
/// known members must have the JSON types of the protocol.
///
/// # Errors
/// The position of a JSON syntax error, or else all problems of the activities, each with the line of its entry.
pub fn parse(text: &str) -> Result<Vec<Object>, Vec<Problem>> {
    let text = &*json::checked(text).map_err(|error| Problem::of_file(error.to_string()))?;
    let entries = entries(text)?;
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

/// Finds the activities in the JSON values of a file.
fn entries(text: &str) -> Result<Vec<&RawValue>, Vec<Problem>> {
    let mut entries = Vec::new();
    let mut lines = Lines { text, offset: 0, line: 1 };
    let mut is_empty = true;
    for value in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        let value = value.map_err(|error| vec![Problem::at(error.line(), format!("{error}; {SHAPES}"))])?;
        let line = lines.of(value.get());
        let found = entries_of(value).map_err(|why| vec![Problem::at(line, format!("{why}; {SHAPES}"))])?;
        entries.extend(found);
        if entries.len() > ACTIVITIES_MAX {
            let message =
                format!("contains {} activities, but at most {ACTIVITIES_MAX} are allowed; split it", entries.len());
            return Err(Problem::of_file(message));
        }
        is_empty = false;
    }
    if is_empty { Err(vec![Problem::at(1, format!("the file is empty; {SHAPES}"))]) } else { Ok(entries) }
}

/// Returns the activities in one JSON value.
fn entries_of(value: &RawValue) -> Result<Vec<&RawValue>, String> {
    let array = |text| serde_json::from_str::<Vec<&RawValue>>(text).map_err(|error| error.to_string());
    if value.get().starts_with('[') {
        return array(value.get());
    }
    if !value.get().starts_with('{') {
        return Err("the value is neither an array nor an object".to_owned());
    }
    let members: HashMap<String, &RawValue> = serde_json::from_str(value.get()).map_err(|error| error.to_string())?;
    let member = |name: &str| members.iter().find(|(member, _)| member.eq_ignore_ascii_case(name));
    match WRAPPERS.into_iter().find_map(member) {
        Some((name, list)) if !list.get().starts_with('[') => Err(format!("`{name}` is not an array")),
        Some((_, list)) => array(list.get()),
        None if member("type").is_some() => Ok(vec![value]),
        None => Err("the object has none of these members and no `type`".to_owned()),
    }
}

/// Formats activities as a transcript: an indented JSON array without a byte order mark.
///
/// # Errors
/// None in practice, because JSON objects can always be serialized.
pub fn print(activities: &[Object]) -> serde_json::Result<String> {
    serde_json::to_string_pretty(activities).map(|text| text + "\n")
}

fn activity(text: &str) -> Result<Object, String> {
    let Ok(activity) = json::object(text) else {
        return Err("is not an object; each entry must be an activity".to_owned());
    };
    let activity = foreign::put_right(activity);
    Activity::check_types(&activity).map_err(|error| error.to_string())?;
    match activity.get("type").and_then(serde_json::Value::as_str) {
        None | Some("") => Err("has no `type`; add one, such as \"message\"".to_owned()),
        Some(_) => Ok(activity),
    }
}

/// Counts lines while the text is processed.
struct Lines<'a> {
    text: &'a str,
    offset: usize,
    line: usize,
}

impl Lines<'_> {
    /// Returns the line on which a part of the text begins. Parts must be passed in their order.
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
    fn the_shapes_of_many_tools_are_read() {
        let array = r#" [ {"type":"message","text":"a"}, {"type":"typing"} ] "#;
        let line = |text: &str| format!(r#"{{"type":"message","text":"{text}"}}"#);
        let expected = json!([{"type":"message","text":"a"},{"type":"typing"}]);
        for text in [
            array,
            &format!(r#"{{"version":1,"transcript":{array},"more":{{"transcript":[]}}}}"#),
            &format!(r#"{{"activities":{array}}}"#),
            &format!(r#"{{"activities":{array},"watermark":"2"}}"#),
            &format!(r#"{{"items":{array},"continuationToken":"x"}}"#),
            &format!(r#"{{"Items":{array},"ContinuationToken":null}}"#),
            &format!("{}\n{{\"type\":\"typing\"}}\n", line("a")),
            &format!("{}{{\"activities\":[{{\"type\":\"typing\"}}]}}", line("a")),
            &format!("[{}]\r\n\r\n[{{\"type\":\"typing\"}}]", line("a")),
        ] {
            assert_eq!(json!(parse(text).unwrap()), expected, "{text}");
        }
        assert_eq!(parse(&line("a")).unwrap().len(), 1, "an activity by itself");
        for empty in ["[]", "{\"activities\":[]}", "[] []"] {
            assert_eq!(parse(empty).unwrap(), Vec::<Object>::new());
        }
    }

    #[test]
    fn digits_and_texts_stay_as_they_are() {
        let text =
            r#"{"activities":[{"type":"message","channelData":{"lat":31.245270191439438,"n":1.50},"text":"\u00fc"}]}"#;
        let printed = print(&parse(text).unwrap()).unwrap();
        assert!(
            printed.contains("31.245270191439438") && printed.contains("1.50") && printed.contains("ü"),
            "{printed}"
        );
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
            (3, "entry 2: is not an object; each entry must be an activity"),
            (4, "entry 3: has no `type`; add one, such as \"message\""),
            (6, "entry 4: `text` must be a string"),
        ];
        assert_eq!(told, expected.map(|(line, message)| (line, message.to_owned())));
    }

    #[test]
    fn what_is_no_transcript_is_told_with_its_line_and_the_shape_that_is_wanted() {
        let cases = [
            ("", 1, "the file is empty"),
            ("\n\n", 1, "the file is empty"),
            ("[\n{\"type\":]", 2, "expected value at line 2 column 9"),
            ("\n{\"messages\":[]}", 2, "none of these members"),
            ("{\"transcript\":{}}", 1, "`transcript` is not an array"),
            ("\"text\"", 1, "neither an array nor an object"),
            ("[]\n7", 2, "neither an array nor an object"),
            ("[]\n[", 2, "EOF while parsing"),
            ("{\"type\":\"message\"}\nno", 2, "expected ident"),
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
        assert_eq!(problems[0].message, "contains 100001 activities, but at most 100000 are allowed; split it");
    }
}
