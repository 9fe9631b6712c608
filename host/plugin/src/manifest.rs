//! The manifest that `describe` returns (`wit/manifest.schema.json`): read leniently, checked completely.

mod settings;
mod wants;

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};
use turntable_activity::json;
use turntable_config::Grants;

pub use self::settings::SettingsProblem;

/// What a plugin says of itself.
#[derive(Debug, Clone, Default)]
pub struct Manifest {
    /// The plugin's own name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
    /// What it is for, in its author's words.
    pub description: Option<String>,
    /// What it does besides exporting the interface of it.
    pub roles: Vec<String>,
    /// The activity types that it handles; `*` is all.
    pub activities: Vec<String>,
    /// The messages that it wants before handlers see them.
    pub routes: Vec<Route>,
    /// The dialogs that it owns.
    pub dialogs: Vec<Dialog>,
    /// As middleware, the events that it wants.
    pub intercepts: Vec<String>,
    /// The grants that it asks for.
    pub wants: Map<String, Value>,
    /// Those of them that this release knows.
    pub wanted: Grants,
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
    /// What to ask before it interrupts a dialog.
    pub confirm: Option<String>,
    /// Whether a dialog that it interrupted repeats its question.
    pub reprompts: bool,
    /// Whether its messages act at once: they stop the turn that runs in the conversation, and go before what waits.
    pub controls: bool,
    pattern: Regex,
}

/// A dialog that a plugin owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dialog {
    /// Its id, unique within the manifest.
    pub id: String,
    /// The version of the state that its frames keep.
    pub state_version: u64,
}

/// The events of `middleware.wit`.
const HOOKS: [&str; 5] = ["receive", "send", "update", "delete", "turn-end"];
/// The longest manifest, in bytes.
const MANIFEST_BYTES_MAX: usize = 64 << 10;
const ROUTES_MAX: usize = 64;
const PATTERN_BYTES_MAX: usize = 1024;
const DESCRIPTION_CHARS_MAX: usize = 1024;
/// The compiled size of one pattern: `(a{1000}){1000}` is short and huge.
const PATTERN_PROGRAM_BYTES_MAX: usize = 256 << 10;

impl Manifest {
    /// Reads a manifest. The error lists every problem.
    pub fn parse(text: &str) -> Result<Self, Vec<String>> {
        if text.len() > MANIFEST_BYTES_MAX {
            return Err(vec![format!("manifest: {} bytes, at most {MANIFEST_BYTES_MAX} are allowed", text.len())]);
        }
        let object: Map<String, Value> =
            json::from_str(text).map_err(|error| vec![format!("manifest: not one JSON object: {error}")])?;
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
    pub fn check_settings(&self, settings: &BTreeMap<String, Value>) -> Vec<SettingsProblem> {
        let Some(schema) = &self.settings else { return Vec::new() };
        let settings = settings.iter().map(|(key, value)| (key.clone(), value.clone())).collect();
        settings::check(schema, &Value::Object(settings))
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
        let description = self.string(object, "", "description");
        if description.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_CHARS_MAX) {
            self.problem("", "description", &format!("is longer than {DESCRIPTION_CHARS_MAX} characters"));
        }
        let settings = self.object(object, "settings").map(Value::Object);
        if let Some(why) = settings.as_ref().and_then(settings::refusal) {
            self.problem("", "settings", &why);
        }
        Manifest {
            roles: self.strings(object, "", "roles").unwrap_or_else(|| vec!["handler".into()]),
            activities: self.strings(object, "", "activities").unwrap_or_else(|| vec!["*".into()]),
            routes: self.routes(object),
            dialogs: self.dialogs(object),
            intercepts: self.intercepts(object),
            wanted: self.wanted(object),
            wants: self.object(object, "wants").unwrap_or_default(),
            description,
            settings,
            name,
            version,
        }
    }

    fn routes(&mut self, object: &Map<String, Value>) -> Vec<Route> {
        let routes = self.array(object, "routes");
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

    fn wanted(&mut self, object: &Map<String, Value>) -> Grants {
        let wants = object.get("wants").and_then(Value::as_object);
        wants.map(|wants| wants::read(wants, &mut self.problems)).unwrap_or_default()
    }

    fn intercepts(&mut self, object: &Map<String, Value>) -> Vec<String> {
        let known = || HOOKS.iter().map(|hook| (*hook).to_owned());
        let intercepts = self.strings(object, "", "intercepts").unwrap_or_else(|| known().collect());
        // Events of later releases are ignored, as unknown roles are.
        intercepts.into_iter().filter(|wanted| known().any(|hook| hook == *wanted)).collect()
    }

    fn dialogs(&mut self, object: &Map<String, Value>) -> Vec<Dialog> {
        let mut read: Vec<Dialog> = Vec::new();
        for (position, dialog) in self.array(object, "dialogs").iter().enumerate() {
            let path = format!("dialogs[{position}].");
            let Some(dialog) = dialog.as_object() else {
                self.problem("", &format!("dialogs[{position}]"), "must be an object");
                continue;
            };
            let id = self.string(dialog, &path, "id").unwrap_or_default();
            if !is_name(&id) {
                self.problem(&path, "id", "must be lower-case letters, digits and hyphens, 1 to 64");
            } else if read.iter().any(|other| other.id == id) {
                self.problem(&path, "id", &format!("`{id}` is used twice"));
            }
            let state_version = dialog.get("state-version").filter(|version| !version.is_null());
            let state_version = state_version.map_or(Some(0), Value::as_u64);
            if state_version.is_none() {
                self.problem(&path, "state-version", "must be an integer, 0 or more");
            }
            read.push(Dialog { id, state_version: state_version.unwrap_or_default() });
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
        let confirm = self.string(route, path, "confirm").filter(|question| !question.trim().is_empty());
        let after = self.string(route, path, "after");
        if after.as_ref().is_some_and(|after| after != "reprompt" && after != "none") {
            self.problem(path, "after", "must be `reprompt` or `none`");
        }
        let reprompts = after.as_deref() != Some("none");
        let controls = match route.get("control") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(controls)) => *controls,
            Some(_) => {
                self.problem(path, "control", "must be true or false");
                false
            }
        };
        let pattern = self.pattern(route, path);
        Some(Route { name, score, order: order?, locales, confirm, reprompts, controls, pattern: pattern? })
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
        let build = |pattern: &str| {
            RegexBuilder::new(pattern)
                .case_insensitive(true)
                .size_limit(PATTERN_PROGRAM_BYTES_MAX)
                .dfa_size_limit(PATTERN_PROGRAM_BYTES_MAX)
                .build()
        };
        // First alone: `a)|(?:b` is a pattern only between the parentheses that tie it to the whole text.
        match build(&pattern).and_then(|_| build(&format!(r"\A(?:{pattern})\z"))) {
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

    /// Empty if it is absent or no array.
    fn array<'a>(&mut self, object: &'a Map<String, Value>, member: &str) -> &'a [Value] {
        match object.get(member) {
            None | Some(Value::Null) => &[],
            Some(Value::Array(entries)) => entries,
            Some(_) => {
                self.problem("", member, "must be an array");
                &[]
            }
        }
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
mod tests;
