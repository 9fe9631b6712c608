//! The schema of a plugin's settings, and settings checked against it.
//!
//! The schema comes from a guest and is evaluated by the host, so its cost is bounded first: a schema that refers to
//! itself never ends, and a short chain of references that double has as many nodes as one likes.

use std::collections::HashMap;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ValidationError};
use serde_json::Value;
use turntable_activity::json::with_plain_numbers;

/// Nodes of a schema with every reference written out.
const NODES_MAX: usize = 10_000;
/// A regular expression costs as much as this many nodes.
const PATTERN_NODES: usize = 100;
/// Nesting of a schema with every reference written out; the validator recurses that deep.
const DEPTH_MAX: usize = 128;
/// The compiled size of one regular expression.
const PATTERN_PROGRAM_BYTES_MAX: usize = 256 << 10;
/// The problems that are listed, and the length of each: they repeat values of the settings.
const PROBLEMS_MAX: usize = 20;
const PROBLEM_CHARS_MAX: usize = 300;
const UNKNOWN: &str = "the plugin has no such setting; `turntable inspect` lists its settings";

/// Says why a schema is not evaluated, if it is too large or refers to what it must not.
pub(super) fn refusal(schema: &Value) -> Option<String> {
    Measure { root: schema, known: HashMap::new() }.nodes(schema, 0).err()
}

/// A problem of a plugin's settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsProblem {
    /// Path of the key that has the problem. Array elements are given by index. Empty for the settings as a whole.
    pub keys: Vec<String>,
    /// The problem and its key, which is written in TOML syntax as in the configuration.
    pub message: String,
}

impl SettingsProblem {
    fn of_schema(error: &ValidationError<'_>) -> Self {
        let message = format!("manifest: `settings` is not a JSON schema: {error}");
        Self { keys: Vec::new(), message: bounded(&message) }
    }

    fn at(keys: Vec<String>, settings: &Value, what: &str) -> Self {
        let message = match written(&keys, settings) {
            path if path.is_empty() => format!("settings: {what}"),
            path => format!("settings: `{path}`: {what}"),
        };
        Self { keys, message: bounded(&message) }
    }

    fn is_unknown(&self) -> bool {
        self.message.ends_with(UNKNOWN)
    }
}

/// Checks settings against a schema for which [`refusal`] is none. Every problem, one entry each, bounded.
pub(super) fn check(schema: &Value, settings: &Value) -> Vec<SettingsProblem> {
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(
            PatternOptions::regex().size_limit(PATTERN_PROGRAM_BYTES_MAX).dfa_size_limit(PATTERN_PROGRAM_BYTES_MAX),
        )
        // The validator computes with every number, and takes for granted that each fits 64 bits.
        .build(&with_plain_numbers(schema));
    let validator = match validator {
        Ok(validator) => validator,
        Err(error) => return vec![SettingsProblem::of_schema(&error)],
    };
    let settings = with_plain_numbers(settings);
    let mut found: Vec<_> =
        validator.iter_errors(&settings).flat_map(|error| problems(&error, &settings)).take(PROBLEMS_MAX).collect();
    // With `unevaluatedProperties`, the validator reports a known setting with an invalid value as unknown too.
    let wrong: Vec<_> =
        found.iter().filter(|problem| !problem.is_unknown()).map(|problem| problem.keys.clone()).collect();
    found.retain(|problem| !problem.is_unknown() || !wrong.iter().any(|keys| keys.starts_with(&problem.keys)));
    found
}

/// Converts an error of the validator to problems, one per key. The validator reports unexpected keys at the table that
/// contains them.
fn problems(error: &ValidationError<'_>, settings: &Value) -> Vec<SettingsProblem> {
    let keys = keys(error.instance_path.as_str());
    let of_key = |key: &str, what: &str| {
        let keys = keys.iter().cloned().chain([key.to_owned()]).collect();
        SettingsProblem::at(keys, settings, what)
    };
    match &error.kind {
        ValidationErrorKind::AdditionalProperties { unexpected }
        | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
            unexpected.iter().take(PROBLEMS_MAX).map(|key| of_key(key, UNKNOWN)).collect()
        }
        ValidationErrorKind::PropertyNames { error } => match error.instance.as_str() {
            Some(key) => vec![of_key(key, &format!("the name of the setting: {error}"))],
            None => vec![SettingsProblem::at(keys, settings, &error.to_string())],
        },
        ValidationErrorKind::AdditionalItems { limit } => vec![of_key(&limit.to_string(), &error.to_string())],
        _ => vec![SettingsProblem::at(keys, settings, &error.to_string())],
    }
}

/// Returns the keys of a JSON pointer.
fn keys(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(|key| key.replace("~1", "/").replace("~0", "~")).collect()
}

/// Returns the path of a key in TOML syntax, such as `limits."a/b"[2]`.
fn written(keys: &[String], settings: &Value) -> String {
    let is_bare = |key: &str| {
        !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let mut text = String::new();
    let mut around = Some(settings);
    for key in keys {
        match around {
            Some(Value::Array(elements)) => {
                text.push_str(&format!("[{key}]"));
                around = key.parse().ok().and_then(|index: usize| elements.get(index));
                continue;
            }
            table => around = table.and_then(|table| table.get(key)),
        }
        if !text.is_empty() {
            text.push('.');
        }
        match is_bare(key) {
            true => text.push_str(key),
            false => text.push_str(&Value::from(key.as_str()).to_string()),
        }
    }
    text
}

fn bounded(text: &str) -> String {
    match text.char_indices().nth(PROBLEM_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// Counts the nodes of a schema, through its references.
struct Measure<'a> {
    root: &'a Value,
    /// By address of the node; none while it is being counted.
    known: HashMap<*const Value, Option<Size>>,
}

#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    depth: usize,
}

impl<'a> Measure<'a> {
    fn nodes(&mut self, node: &'a Value, above: usize) -> Result<Size, String> {
        match self.known.insert(node, None) {
            Some(None) => return Err("refers to itself".into()),
            Some(Some(size)) => {
                self.known.insert(node, Some(size));
                return within(size, above);
            }
            None => {}
        }
        // Checked on the way down too: the count itself recurses.
        let mut size = within(Size { nodes: 1, depth: 1 }, above)?;
        let mut below = |this: &mut Self, child: &'a Value| {
            let child = this.nodes(child, above + 1)?;
            size = Size { nodes: size.nodes + child.nodes, depth: size.depth.max(child.depth + 1) };
            within(size, above)
        };
        match node {
            Value::Array(entries) => {
                for entry in entries {
                    below(self, entry)?;
                }
            }
            Value::Object(members) => {
                for (name, value) in members {
                    below(self, value)?;
                    match (name.as_str(), value) {
                        ("$ref", Value::String(to)) => {
                            let target = self.target(to)?;
                            below(self, target)?;
                        }
                        ("$dynamicRef" | "$recursiveRef", Value::String(_)) => {
                            return Err(format!("uses `{name}`; use `$ref` with a pointer into the schema"));
                        }
                        ("$id" | "$anchor" | "$dynamicAnchor", Value::String(_)) if above > 0 => {
                            return Err(format!("uses `{name}` inside; only its top may be named"));
                        }
                        _ => {}
                    }
                }
                let patterns = members.get("patternProperties").and_then(Value::as_object).map_or(0, |all| all.len())
                    + usize::from(members.get("pattern").is_some_and(Value::is_string));
                size = within(Size { nodes: size.nodes + patterns * PATTERN_NODES, ..size }, above)?;
            }
            _ => {}
        }
        self.known.insert(node, Some(size));
        Ok(size)
    }

    fn target(&self, to: &str) -> Result<&'a Value, String> {
        let pointer = to.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        // What a percent sign stands for would be looked up under another name than here.
        let pointer = pointer.filter(|pointer| !pointer.contains('%'));
        pointer
            .and_then(|pointer| self.root.pointer(pointer))
            .ok_or_else(|| format!("refers to `{}`, which is no place in it", bounded(to)))
    }
}

fn within(size: Size, above: usize) -> Result<Size, String> {
    if size.nodes > NODES_MAX {
        return Err(format!("has more than {NODES_MAX} nodes with its references written out"));
    }
    if above + size.depth > DEPTH_MAX {
        return Err(format!("is nested more than {DEPTH_MAX} deep with its references written out"));
    }
    Ok(size)
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value, json};

    use super::{PROBLEMS_MAX, check, refusal};

    fn chain(length: usize, times: usize) -> Value {
        let mut definitions = Map::new();
        for position in 0..length {
            let next = json!({"$ref": format!("#/$defs/a{}", position + 1)});
            definitions.insert(format!("a{position}"), json!({"allOf": vec![next; times]}));
        }
        definitions.insert(format!("a{length}"), json!({}));
        json!({"$ref": "#/$defs/a0", "$defs": definitions})
    }

    #[test]
    fn schemas_that_would_not_end_are_refused() {
        for (schema, why) in [
            (json!({"$ref": "#"}), "refers to itself"),
            (json!({"allOf": [{"$ref": "#"}]}), "refers to itself"),
            (json!({"properties": {"a": {"$ref": "#/properties/a"}}}), "refers to itself"),
            (chain(40, 2), "nodes"),
            (chain(60, 1), "deep"),
            (json!({"$ref": "https://json-schema.org/draft/2020-12/schema"}), "no place in it"),
            (json!({"$ref": "#/%24defs/a", "$defs": {"a": {}}}), "no place in it"),
            (json!({"$ref": "#a"}), "no place in it"),
            (json!({"$dynamicRef": "#"}), "$dynamicRef"),
            (json!({"properties": {"a": {"$id": "urn:b", "$ref": "#"}}}), "urn:b"),
            (json!({"properties": {"a": {"$id": "urn:b"}}}), "only its top"),
            (json!({"allOf": vec![json!({"pattern": "a"}); 101]}), "nodes"),
        ] {
            let found = refusal(&schema);
            // The order of members decides which of two reasons is met first.
            let expected = if why == "urn:b" { "only its top" } else { why };
            assert!(found.as_ref().is_some_and(|found| found.contains(expected)), "{schema}: {found:?}");
        }
    }

    #[test]
    fn ordinary_schemas_are_evaluated() {
        let schema = json!({
            "$id": "urn:settings", "type": "object", "required": ["greeting"],
            "properties": {"greeting": {"$ref": "#/$defs/text"}, "farewell": {"$ref": "#/$defs/text"}},
            "$defs": {"text": {"type": "string", "pattern": "^[a-z]+$"}},
        });
        assert_eq!(refusal(&schema), None);
        assert_eq!(check(&schema, &json!({"greeting": "hello"})), []);
        let problems = check(&schema, &json!({"greeting": "HELLO", "farewell": 7}));
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems.iter().any(|problem| problem.message.contains("`farewell`")));
    }

    /// Each problem names the key in TOML syntax, even if the validator reports the table around it.
    #[test]
    fn problems_name_the_very_key() {
        let schema = json!({
            "properties": {
                "a/b~c": {"type": "integer"},
                "list": {"items": {"properties": {"x.y": {"minLength": 1}}, "additionalProperties": false}},
                "pair": {"prefixItems": [{"type": "string"}], "items": false},
                "named": {"propertyNames": {"maxLength": 2}},
                "whole": {"required": ["part"]},
            },
            "unevaluatedProperties": false,
        });
        let settings = json!({
            "a/b~c": "x", "list": [{}, {"x.y": "", "ä": 1}], "pair": ["a", "b"], "named": {"long": 1}, "whole": {}, "extra": 1,
        });
        let mut found: Vec<_> = check(&schema, &settings)
            .into_iter()
            .map(|problem| (problem.keys.join(" "), problem.message.split("`: ").next().unwrap().to_owned()))
            .collect();
        found.sort();
        let expected = [
            ("a/b~c", r#"settings: `"a/b~c""#),
            ("extra", "settings: `extra"),
            ("list 1 x.y", r#"settings: `list[1]."x.y""#),
            ("list 1 ä", r#"settings: `list[1]."ä""#),
            ("named long", "settings: `named.long"),
            ("pair 1", "settings: `pair[1]"),
            ("whole", "settings: `whole"),
        ];
        assert_eq!(found, expected.map(|(keys, message)| (keys.to_owned(), message.to_owned())));
    }

    /// The validator panics at a number that no float holds, which a schema of a guest may have.
    #[test]
    fn numbers_of_any_size_are_compared() {
        let value = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        for (schema, good, bad) in [
            (r#"{"minimum":-1e400,"maximum":1e400,"type":"number"}"#, "1.0", r#""1""#),
            (r#"{"type":"integer","maximum":1234567890123456789012345}"#, "7.0", "7.5"),
            (r#"{"const":1.50}"#, "1.5", "1.51"),
            (r#"{"enum":[2,3.0]}"#, "3", "4"),
            (r#"{"multipleOf":0.5,"exclusiveMinimum":1.0}"#, "1.5", "1"),
            (r#"{"items":{"minimum":2.50}}"#, "[2.5]", "[2.4]"),
        ] {
            assert_eq!(check(&value(schema), &value(good)), [], "{schema} of {good}");
            assert_eq!(check(&value(schema), &value(bad)).len(), 1, "{schema} of {bad}");
        }
    }

    #[test]
    fn problems_are_bounded() {
        let schema = json!({"additionalProperties": {"type": "integer"}});
        let many: Map<String, Value> = (0..100).map(|at| (format!("k{at}"), json!("x".repeat(9_000)))).collect();
        let problems = check(&schema, &Value::Object(many));
        assert_eq!(problems.len(), PROBLEMS_MAX);
        assert!(problems.iter().all(|problem| problem.message.chars().count() < 400));
        assert!(check(&json!({"pattern": "(a{1000}){1000}"}), &json!("a"))[0].message.contains("not a JSON schema"));
    }
}
