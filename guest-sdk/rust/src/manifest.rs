//! The manifest, which describes a plugin to the host.

use serde_json::{Map, Value, json};

use crate::{DialogSet, Scope};

/// The longest message that a route can match, in characters.
#[cfg(not(target_family = "wasm"))]
const TEXT_CHARS_MAX: usize = 2_000;

/// The manifest of a plugin, which the host reads before the plugin serves.
///
/// The default name and version are those of the Cargo package. Other defaults are those of `manifest.schema.json`.
///
/// ```
/// use turntable_sdk::prelude::*;
/// use turntable_sdk::json;
///
/// let manifest = Manifest::new()
///     .description("Answers a call for help")
///     .activities([])
///     .route(Route::new("help", "help|hilfe").score(0.9))
///     .settings(json!({ "type": "object", "required": ["text"] }));
/// # let _ = manifest;
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Manifest {
    name: Option<String>,
    version: Option<String>,
    description: Option<String>,
    activities: Option<Vec<String>>,
    routes: Vec<Route>,
    dialogs: Vec<(String, u32)>,
    is_middleware: bool,
    intercepts: Option<Vec<String>>,
    wants: Map<String, Value>,
    settings: Option<Value>,
}

/// A route: messages that a plugin handles before dialogs and other plugins see them.
///
/// The host matches messages against the pattern and runs [`Bot::on_route`](crate::Bot::on_route) only for those that match.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    name: String,
    pattern: String,
    locales: Vec<String>,
    score: Option<f64>,
    order: Option<i64>,
    confirm: Option<String>,
    after: Option<&'static str>,
    control: bool,
}

/// What happens to the interrupted dialog after a route has handled a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// The dialog repeats its question.
    Reprompt,
    /// The dialog keeps waiting without a message.
    None,
}

impl Manifest {
    /// Creates a manifest with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the plugin's own name: at most 64 lower-case letters, digits and hyphens.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Sets the plugin's version, at most 64 characters.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Sets a description for people, at most 1,024 characters.
    #[must_use]
    pub fn description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets the activity types that the plugin handles. The host does not run it for other types. Default: all types. An empty
    /// list means none, for a plugin that only has routes.
    #[must_use]
    pub fn activities<const N: usize>(mut self, kinds: [&str; N]) -> Self {
        self.activities = Some(kinds.map(str::to_owned).into());
        self
    }

    /// Adds a route.
    #[must_use]
    pub fn route(mut self, route: Route) -> Self {
        self.routes.push(route);
        self
    }

    /// Asks for a grant, such as `state`. The operator decides whether to give it.
    #[must_use]
    pub fn want(mut self, grant: impl Into<String>, details: impl Into<Value>) -> Self {
        self.wants.insert(grant.into(), details.into());
        self
    }

    /// Asks for the grant `state` with these scopes.
    #[must_use]
    pub fn wants_state<const N: usize>(self, scopes: [Scope; N]) -> Self {
        self.want("state", json!(scopes.map(Scope::name).as_slice()))
    }

    /// Asks for the grant `dialogs`, to begin, cancel and list dialogs. A bot registered with `dialogs` asks for it automatically.
    #[must_use]
    pub fn wants_dialogs(self) -> Self {
        self.want("dialogs", true)
    }

    /// Asks for the grant `conversations`, to send messages later or into other conversations.
    #[must_use]
    pub fn wants_conversations(self) -> Self {
        self.want("conversations", true)
    }

    /// Asks for the grant `http`, to send requests with these methods to a URL: scheme, host (or `*.` and a name, or `*` for
    /// every host that the operator grants), port and a prefix of the path. Can be called several times.
    ///
    /// ```
    /// use turntable_sdk::prelude::*;
    ///
    /// let manifest = Manifest::new().wants_http(["GET", "POST"], "https://api.example.com/v1/");
    /// # let _ = manifest;
    /// ```
    #[must_use]
    pub fn wants_http<const N: usize>(mut self, methods: [&str; N], url: impl Into<String>) -> Self {
        let wanted = json!({ "url": url.into(), "methods": methods.as_slice() });
        match self.wants.get_mut("http") {
            Some(Value::Array(rules)) => rules.push(wanted),
            _ => drop(self.wants.insert("http".to_owned(), json!([wanted]))),
        }
        self
    }

    /// Adds a dialog with the version of its state. Dialogs of [`Dialogs`](crate::Dialogs) are added automatically.
    #[must_use]
    pub fn dialog(mut self, id: impl Into<String>, state_version: u32) -> Self {
        self.dialogs.push((id.into(), state_version));
        self
    }

    /// Sets the events that the middleware handles: `receive`, `send`, `update`, `delete`, `turn-end`. Other events pass without
    /// a call. Default: all.
    #[must_use]
    pub fn intercepts<const N: usize>(mut self, events: [&str; N]) -> Self {
        self.intercepts = Some(events.map(str::to_owned).into());
        self
    }

    /// Sets the JSON schema of the settings. The host does not load the plugin if its settings do not conform to the schema.
    #[must_use]
    pub fn settings(mut self, schema: impl Into<Value>) -> Self {
        self.settings = Some(schema.into());
        self
    }

    /// Returns true if the plugin handles activities of this type.
    pub fn handles(&self, kind: &str) -> bool {
        self.activities.as_ref().is_none_or(|kinds| kinds.iter().any(|known| known == kind || known == "*"))
    }

    /// Returns true if the manifest has a route of this name.
    pub fn has_route(&self, name: &str) -> bool {
        self.routes.iter().any(|route| route.name == name)
    }

    /// Returns the names of the routes that match a message, in the order in which the host tries them. Fault `invalid`: the
    /// pattern of a route is not a regular expression.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn routes_for(&self, texts: &[String], locale: &str) -> crate::Result<Vec<String>> {
        let mut found: Vec<&Route> = Vec::new();
        for route in &self.routes {
            let pattern =
                regex::RegexBuilder::new(&format!(r"\A(?:{})\z", route.pattern)).case_insensitive(true).build();
            let pattern = pattern.map_err(|error| {
                crate::Fault::invalid(format!("the pattern of the route `{}` cannot be used: {error}", route.name))
            })?;
            let fits = |text: &String| pattern.is_match(text) && text.chars().nth(TEXT_CHARS_MAX).is_none();
            if route.speaks(locale) && texts.iter().any(fits) {
                found.push(route);
            }
        }
        let (score, order) = (|route: &Route| route.score.unwrap_or(0.5), |route: &Route| route.order.unwrap_or(0));
        found.sort_by(|one, other| score(other).total_cmp(&score(one)).then(order(one).cmp(&order(other))));
        Ok(found.into_iter().map(|route| route.name.clone()).collect())
    }

    /// Returns the question of a route that asks before it interrupts a dialog.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn confirms(&self, route: &str) -> Option<&str> {
        self.routes.iter().find(|known| known.name == route)?.confirm.as_deref()
    }

    /// Returns true if an interrupted dialog repeats its question after the route.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn reprompts(&self, route: &str) -> bool {
        self.routes.iter().any(|known| known.name == route && known.after != Some("none"))
    }

    /// Adds the role, the grant and the dialogs of a bot with dialogs.
    #[must_use]
    pub(crate) fn of_dialogs(self, dialogs: &DialogSet) -> Self {
        dialogs.ids().fold(self.wants_dialogs(), |manifest, (id, version)| manifest.dialog(id, version))
    }

    /// Adds the role and the grant of a bot with middleware.
    #[must_use]
    pub(crate) fn of_middleware(mut self) -> Self {
        self.is_middleware = true;
        self.want("middleware", true)
    }

    /// Uses name and version of the Cargo package if they are not set.
    #[must_use]
    pub(crate) fn of_package(mut self, name: &str, version: &str) -> Self {
        self.name.get_or_insert_with(|| name.to_ascii_lowercase().replace('_', "-"));
        self.version.get_or_insert_with(|| version.to_owned());
        self
    }

    /// Returns the manifest as JSON (`manifest.schema.json`).
    pub fn into_value(self) -> Value {
        let mut object = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                object.insert(key.to_owned(), value);
            }
        };
        put("name", self.name.map(Value::from));
        put("version", self.version.map(Value::from));
        put("description", self.description.map(Value::from));
        let roles = [("handler", true), ("dialogs", !self.dialogs.is_empty()), ("middleware", self.is_middleware)];
        let roles: Vec<&str> = roles.iter().filter(|(_, is)| *is).map(|(role, _)| *role).collect();
        put("roles", Some(json!(roles)));
        put("intercepts", self.intercepts.map(Value::from));
        put("activities", self.activities.map(Value::from));
        let routes: Vec<Value> = self.routes.into_iter().map(Route::into_value).collect();
        put("routes", (!routes.is_empty()).then(|| routes.into()));
        let dialog = |(id, version): &(String, u32)| json!({ "id": id, "state-version": version });
        let dialogs: Vec<Value> = self.dialogs.iter().map(dialog).collect();
        put("dialogs", (!dialogs.is_empty()).then(|| dialogs.into()));
        put("wants", (!self.wants.is_empty()).then(|| self.wants.into()));
        put("settings", self.settings);
        object.into()
    }
}

impl Route {
    /// Creates a route. `pattern` is a regular expression that must match the whole text of a message, ignoring case. A text
    /// of more than 2,000 characters matches no route.
    pub fn new(name: impl Into<String>, pattern: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            pattern: pattern.into(),
            locales: Vec::new(),
            score: None,
            order: None,
            confirm: None,
            after: None,
            control: false,
        }
    }

    #[cfg(not(target_family = "wasm"))]
    fn speaks(&self, locale: &str) -> bool {
        let covers = |prefix: &String| {
            let (head, rest) = (locale.get(..prefix.len()), locale.get(prefix.len()..).unwrap_or_default());
            head.is_some_and(|head| head.eq_ignore_ascii_case(prefix)) && (rest.is_empty() || rest.starts_with('-'))
        };
        self.locales.is_empty() || locale.is_empty() || self.locales.iter().any(covers)
    }

    /// Limits the route to languages, given as BCP-47 prefixes. A message without a locale matches every route.
    #[must_use]
    pub fn locales<const N: usize>(mut self, locales: [&str; N]) -> Self {
        self.locales = locales.map(str::to_owned).into();
        self
    }

    /// Sets the score, 0 to 1. The host tries the route with the highest score first. Default: 0.5.
    #[must_use]
    pub fn score(mut self, score: f64) -> Self {
        self.score = Some(score);
        self
    }

    /// Sets the order among routes with equal scores. The host tries the lowest order first. Default: 0.
    #[must_use]
    pub fn order(mut self, order: i64) -> Self {
        self.order = Some(order);
        self
    }

    /// Sets a question that the host asks before the route interrupts a dialog.
    #[must_use]
    pub fn confirm(mut self, question: impl Into<String>) -> Self {
        self.confirm = Some(question.into());
        self
    }

    /// Sets what happens to an interrupted dialog. Default: it repeats its question.
    #[must_use]
    pub fn after(mut self, after: After) -> Self {
        self.after = Some(match after {
            After::Reprompt => "reprompt",
            After::None => "none",
        });
        self
    }

    /// Makes messages of the route act at once: they stop the turn that runs in the conversation, if it is of the same user, and
    /// their own turn is the next one. For «stop» and «cancel».
    #[must_use]
    pub fn control(mut self) -> Self {
        self.control = true;
        self
    }

    fn into_value(self) -> Value {
        let mut object = Map::new();
        object.insert("name".to_owned(), self.name.into());
        object.insert("pattern".to_owned(), self.pattern.into());
        if !self.locales.is_empty() {
            object.insert("locales".to_owned(), self.locales.into());
        }
        let optional = [
            ("score", self.score.map(Value::from)),
            ("order", self.order.map(Value::from)),
            ("confirm", self.confirm.map(Value::from)),
            ("after", self.after.map(Value::from)),
            ("control", self.control.then_some(true.into())),
        ];
        for (key, value) in optional {
            if let Some(value) = value {
                object.insert(key.to_owned(), value);
            }
        }
        object.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_manifest_is_the_package() {
        let manifest = Manifest::new().of_package("My_Bot", "1.2.3").into_value();
        assert_eq!(manifest, json!({ "name": "my-bot", "version": "1.2.3", "roles": ["handler"] }));
    }

    #[test]
    fn every_member_stands_under_its_name_in_the_schema() {
        let manifest = Manifest::new()
            .name("help")
            .version("2.0.0")
            .description("Helps")
            .activities(["message"])
            .route(Route::new("help", "help").locales(["en"]).score(0.9).order(1).confirm("Really?").after(After::None))
            .wants_state([Scope::User])
            .wants_dialogs()
            .dialog("book", 2)
            .settings(json!({ "type": "object" }))
            .of_package("ignored", "0.0.0")
            .into_value();
        let expected = json!({
            "name": "help", "version": "2.0.0", "description": "Helps", "roles": ["handler", "dialogs"],
            "activities": ["message"],
            "routes": [{ "name": "help", "pattern": "help", "locales": ["en"], "score": 0.9, "order": 1,
                         "confirm": "Really?", "after": "none" }],
            "dialogs": [{ "id": "book", "state-version": 2 }],
            "wants": { "state": ["user"], "dialogs": true },
            "settings": { "type": "object" },
        });
        assert_eq!(manifest, expected);

        let schema: Value = serde_json::from_str(include_str!("../../../wit/manifest.schema.json")).unwrap();
        for key in manifest.as_object().unwrap().keys() {
            assert!(schema["properties"][key].is_object(), "{key}");
        }
        for key in manifest["routes"][0].as_object().unwrap().keys() {
            assert!(schema["properties"]["routes"]["items"]["properties"][key].is_object(), "{key}");
        }
    }

    #[test]
    fn requests_are_asked_for_one_after_the_other() {
        let manifest = Manifest::new().wants_http(["GET"], "https://a.example").wants_http(["*"], "https://*/");
        let wanted =
            json!([{ "url": "https://a.example", "methods": ["GET"] }, { "url": "https://*/", "methods": ["*"] }]);
        assert_eq!(manifest.into_value()["wants"]["http"], wanted);
    }

    #[test]
    fn no_activities_differ_from_all() {
        assert!(Manifest::new().handles("message"));
        assert!(!Manifest::new().activities([]).handles("message"));
        assert!(Manifest::new().activities(["*"]).handles("event"));
    }
}
