//! The manifest that `describe` returns (`wit/manifest.schema.json`): read leniently, checked completely.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

/// What a plugin says of itself.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// The plugin's own name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// What it does besides exporting the interface of it.
    pub roles: Vec<String>,
    /// The activity types that it handles; `*` is all.
    pub activities: Vec<String>,
    /// The messages that it wants before handlers see them.
    pub routes: Vec<Route>,
    /// The grants that it asks for.
    pub wants: Map<String, Value>,
    /// JSON schema of its settings.
    pub settings: Option<Value>,
}

/// A global message handler's claim on messages.
#[derive(Debug, Clone)]
pub struct Route {
    /// Its name, unique within the manifest.
    pub name: String,
    /// The highest score is tried first.
    pub score: f64,
    /// Among equal scores the lowest order is tried first.
    pub order: i64,
    /// BCP-47 prefixes; empty means all.
    pub locales: Vec<String>,
    pattern: Regex,
}

/// The longest manifest, in bytes.
const MANIFEST_BYTES_MAX: usize = 64 << 10;
const ROUTES_MAX: usize = 64;
const PATTERN_BYTES_MAX: usize = 1024;
/// The compiled size of one pattern: `(a{1000}){1000}` is short and huge.
const PATTERN_PROGRAM_BYTES_MAX: usize = 1 << 20;

impl Manifest {
    /// Reads a manifest. The error lists every problem.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(vec![format!("manifest: {} bytes, at most {MANIFEST_BYTES_MAX} are allowed", text.len())]);
        }
        let object: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| vec![format!("manifest: not one JSON object: {error}")])?;
        let mut reader = Reader { problems: Vec::new() };
        let manifest = reader.manifest(&object);
        if reader.problems.is_empty() { Ok(manifest) } else { Err(reader.problems) }
    }

    /// Whether `on-activity` is called for activities of this type with trigger `activity`.
    pub fn handles(&self, kind: &str) -> bool {
        self.roles.iter().any(|role| role == "handler")
            && self.activities.iter().any(|activity| activity == "*" || activity == kind)
    }

    /// Checks settings against the manifest's schema; every problem, one entry each.
    pub fn check_settings(&self, settings: &BTreeMap<String, Value>) -> Vec<String> {
        let Some(schema) = &self.settings else { return Vec::new() };
        let validator = match jsonschema::validator_for(schema) {
            Ok(validator) => validator,
            Err(error) => return vec![format!("manifest: `settings` is not a JSON schema: {error}")],
        };
        let settings = Value::Object(settings.iter().map(|(key, value)| (key.clone(), value.clone())).collect());
        let problem = |error: jsonschema::ValidationError<'_>| match error.instance_path.as_str() {
            "" => format!("settings: {error}"),
            path => format!("settings: `{}`: {error}", path.trim_start_matches('/')),
        };
        validator.iter_errors(&settings).map(problem).collect()
    }
}

impl Route {
    /// Whether the route wants a message with this text, trimmed and without the mention of the bot.
    pub fn matches(&self, text: &str, locale: &str) -> bool {
        let speaks =
            self.locales.is_empty() || locale.is_empty() || self.locales.iter().any(|wanted| covers(wanted, locale));
        speaks && self.pattern.is_match(text)
    }
}

/// Whether a BCP-47 prefix covers a locale: `de` covers `de` and `de-AT`, not `den`.
fn covers(prefix: &str, locale: &str) -> bool {
    match (locale.get(..prefix.len()), locale.get(prefix.len()..)) {
        (Some(head), Some(rest)) => head.eq_ignore_ascii_case(prefix) && (rest.is_empty() || rest.starts_with('-')),
        _ => false,
    }
}

/// Whether a text is a name as the schema wants it: `[a-z0-9][a-z0-9-]{0,63}`.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with('-')
}

struct Reader {
    problems: Vec<String>,
}

impl Reader {
    fn manifest(&mut self, object: &Map<String, Value>) -> Manifest {
        let name = self.string(object, "", "name").unwrap_or_default();
        if !name.is_empty() && !is_name(&name) {
            self.problem("", "name", "must be lower-case letters, digits and hyphens, at most 64");
        }
        let version = self.string(object, "", "version").unwrap_or_default();
        for (member, value) in [("name", &name), ("version", &version)] {
            if value.is_empty() && !object.contains_key(member) {
                self.problem("", member, "is missing");
            } else if value.is_empty() && object.get(member).is_some_and(Value::is_string) {
                self.problem("", member, "is empty");
            }
        }
        if version.len() > 64 {
            self.problem("", "version", "is longer than 64 bytes");
        }
        Manifest {
            roles: self.strings(object, "", "roles").unwrap_or_else(|| vec!["handler".into()]),
            activities: self.strings(object, "", "activities").unwrap_or_else(|| vec!["*".into()]),
            routes: self.routes(object),
            wants: self.object(object, "wants").unwrap_or_default(),
            settings: self.object(object, "settings").map(Value::Object),
            name,
            version,
        }
    }

    fn routes(&mut self, object: &Map<String, Value>) -> Vec<Route> {
        let routes = match object.get("routes") {
            None | Some(Value::Null) => return Vec::new(),
            Some(Value::Array(routes)) => routes,
            Some(_) => {
                self.problem("", "routes", "must be an array");
                return Vec::new();
            }
        };
        if routes.len() > ROUTES_MAX {
            self.problem("", "routes", &format!("has {} entries, at most {ROUTES_MAX} are allowed", routes.len()));
            return Vec::new();
        }
        let mut read: Vec<Route> = Vec::new();
        for (position, route) in routes.iter().enumerate() {
            let path = format!("routes[{position}].");
            let Some(route) = route.as_object() else {
                self.problem("", &format!("routes[{position}]"), "must be an object");
                continue;
            };
            let Some(route) = self.route(route, &path) else { continue };
            if read.iter().any(|other| other.name == route.name) {
                self.problem(&path, "name", &format!("`{}` is used twice", route.name));
            }
            read.push(route);
        }
        read
    }

    fn route(&mut self, route: &Map<String, Value>, path: &str) -> Option<Route> {
        let name = self.string(route, path, "name").unwrap_or_default();
        if !is_name(&name) {
            self.problem(path, "name", "must be lower-case letters, digits and hyphens, 1 to 64");
        }
        let score = match route.get("score") {
            None | Some(Value::Null) => 0.5,
            Some(score) => score.as_f64().unwrap_or(f64::NAN),
        };
        if !(0.0..=1.0).contains(&score) {
            self.problem(path, "score", "must be a number from 0 to 1");
        }
        let order = match route.get("order") {
            None | Some(Value::Null) => Some(0),
            Some(order) => order.as_i64(),
        };
        if order.is_none() {
            self.problem(path, "order", "must be an integer");
        }
        let locales = self.strings(route, path, "locales").unwrap_or_default();
        let pattern = self.pattern(route, path);
        Some(Route { name, score, order: order?, locales, pattern: pattern? })
    }

    fn pattern(&mut self, route: &Map<String, Value>, path: &str) -> Option<Regex> {
        let Some(pattern) = self.string(route, path, "pattern") else {
            if !route.contains_key("pattern") {
                self.problem(path, "pattern", "is missing");
            }
            return None;
        };
        if pattern.is_empty() || pattern.len() > PATTERN_BYTES_MAX {
            self.problem(path, "pattern", &format!("must have 1 to {PATTERN_BYTES_MAX} bytes"));
            return None;
        }
        let built = RegexBuilder::new(&format!(r"\A(?:{pattern})\z"))
            .case_insensitive(true)
            .size_limit(PATTERN_PROGRAM_BYTES_MAX)
            .dfa_size_limit(PATTERN_PROGRAM_BYTES_MAX)
            .build();
        match built {
            Ok(regex) => Some(regex),
            Err(error) => {
                let why = error.to_string();
                self.problem(path, "pattern", &format!("is not usable: {}", why.lines().last().unwrap_or_default()));
                None
            }
        }
    }

    fn string(&mut self, object: &Map<String, Value>, path: &str, member: &str) -> Option<String> {
        match object.get(member) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => {
                self.problem(path, member, "must be a string");
                None
            }
        }
    }

    fn strings(&mut self, object: &Map<String, Value>, path: &str, member: &str) -> Option<Vec<String>> {
        let list = match object.get(member) {
            None | Some(Value::Null) => return None,
            Some(Value::Array(list)) => list.iter().map(|entry| entry.as_str().map(ToOwned::to_owned)).collect(),
            Some(_) => None,
        };
        if list.is_none() {
            self.problem(path, member, "must be an array of strings");
        }
        list
    }

    fn object(&mut self, object: &Map<String, Value>, member: &str) -> Option<Map<String, Value>> {
        match object.get(member) {
            None | Some(Value::Null) => None,
            Some(Value::Object(object)) => Some(object.clone()),
            Some(_) => {
                self.problem("", member, "must be an object");
                None
            }
        }
    }

    fn problem(&mut self, path: &str, member: &str, what: &str) {
        self.problems.push(format!("manifest: `{path}{member}` {what}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Manifest;

    #[test]
    fn defaults() {
        let manifest = Manifest::parse(r#"{"name":"a","version":"1","unknown":{}}"#).unwrap();
        assert!(manifest.handles("message") && manifest.handles("anything"));
        assert!(manifest.routes.is_empty());
    }

    #[test]
    fn every_problem_is_listed() {
        let text = json!({
            "name": "Not A Name", "roles": "handler", "activities": [1],
            "routes": [{"name": "r", "pattern": "("}, {"name": "", "pattern": "x", "score": 2, "order": 1.5}, 7],
        });
        let problems = Manifest::parse(&text.to_string()).unwrap_err();
        for part in [
            "`name`",
            "`version` is missing",
            "`roles`",
            "`activities`",
            "`routes[0].pattern`",
            "`routes[1].name`",
            "`routes[1].score`",
            "`routes[1].order`",
            "`routes[2]`",
        ] {
            assert!(problems.iter().any(|problem| problem.contains(part)), "{part} is not in {problems:#?}");
        }
    }

    #[test]
    fn routes_match_the_whole_text_in_any_case() {
        let route = |pattern: &str, locales: &[&str]| {
            let text =
                json!({"name": "a", "version": "1", "routes": [{"name": "r", "pattern": pattern, "locales": locales}]});
            Manifest::parse(&text.to_string()).unwrap().routes.remove(0)
        };
        let help = route("help|hilfe", &[]);
        assert!(help.matches("HELP", "") && help.matches("hilfe", "de"));
        assert!(!help.matches("help me", "") && !help.matches("", ""));
        let german = route("hilfe", &["de"]);
        assert!(german.matches("hilfe", "de-AT") && german.matches("hilfe", "") && !german.matches("hilfe", "den"));
    }

    #[test]
    fn exponential_patterns_are_refused_or_harmless() {
        let text =
            json!({"name": "a", "version": "1", "routes": [{"name": "r", "pattern": "((a{1000}){1000}){1000}"}]});
        assert!(Manifest::parse(&text.to_string()).unwrap_err()[0].contains("`routes[0].pattern`"));
        let text = json!({"name": "a", "version": "1", "routes": [{"name": "r", "pattern": "(a+)+b"}]});
        let manifest = Manifest::parse(&text.to_string()).unwrap();
        assert!(!manifest.routes[0].matches(&"a".repeat(100_000), ""));
    }

    #[test]
    fn settings_are_checked_against_the_schema() {
        let schema = json!({"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}});
        let manifest = Manifest::parse(&json!({"name": "a", "version": "1", "settings": schema}).to_string()).unwrap();
        let check = |settings: serde_json::Value| {
            manifest.check_settings(&settings.as_object().unwrap().clone().into_iter().collect())
        };
        assert_eq!(check(json!({"text": "x"})), Vec::<String>::new());
        assert_eq!(check(json!({})).len(), 1);
        assert!(check(json!({"text": 1}))[0].contains("`text`"));
    }
}
