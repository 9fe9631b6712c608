//! The schema of a plugin's settings, and settings checked against it.
//!
//! The schema comes from a guest and is evaluated by the host, so its cost is bounded first: a schema that refers to
//! itself never ends, and a short chain of references that double has as many nodes as one likes.

use std::collections::HashMap;

use jsonschema::{Draft, PatternOptions};
use serde_json::Value;

use crate::json::with_plain_numbers;

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

/// Says why a schema is not evaluated, if it is too large or refers to what it must not.
pub(super) fn refusal(schema: &Value) -> Option<String> {
    Measure { root: schema, known: HashMap::new() }.nodes(schema, 0).err()
}

/// Checks settings against a schema for which [`refusal`] is none. Every problem, one entry each, bounded.
pub(super) fn check(schema: &Value, settings: &Value) -> Vec<String> {
    let validator = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .with_pattern_options(
            PatternOptions::regex().size_limit(PATTERN_PROGRAM_BYTES_MAX).dfa_size_limit(PATTERN_PROGRAM_BYTES_MAX),
        )
        // The validator computes with every number, and takes for granted that each fits 64 bits.
        .build(&with_plain_numbers(schema));
    let validator = match validator {
        Ok(validator) => validator,
        Err(error) => return vec![bounded(&format!("manifest: `settings` is not a JSON schema: {error}"))],
    };
    let settings = with_plain_numbers(settings);
    let problem = |error: jsonschema::ValidationError<'_>| match error.instance_path.as_str() {
        "" => bounded(&format!("settings: {error}")),
        path => bounded(&format!("settings: `{}`: {error}", path.trim_start_matches('/'))),
    };
    validator.iter_errors(&settings).take(PROBLEMS_MAX).map(problem).collect()
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
        assert_eq!(check(&schema, &json!({"greeting": "hello"})), Vec::<String>::new());
        let problems = check(&schema, &json!({"greeting": "HELLO", "farewell": 7}));
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems.iter().any(|problem| problem.contains("`farewell`")));
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
            assert_eq!(check(&value(schema), &value(good)), Vec::<String>::new(), "{schema} of {good}");
            assert_eq!(check(&value(schema), &value(bad)).len(), 1, "{schema} of {bad}");
        }
    }

    #[test]
    fn problems_are_bounded() {
        let schema = json!({"additionalProperties": {"type": "integer"}});
        let many: Map<String, Value> = (0..100).map(|at| (format!("k{at}"), json!("x".repeat(9_000)))).collect();
        let problems = check(&schema, &Value::Object(many));
        assert_eq!(problems.len(), PROBLEMS_MAX);
        assert!(problems.iter().all(|problem| problem.chars().count() < 400));
        assert!(check(&json!({"pattern": "(a{1000}){1000}"}), &json!("a"))[0].contains("not a JSON schema"));
    }
}
