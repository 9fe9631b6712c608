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
        "routes": [
            {"name": "r", "pattern": "("},
            {"name": "", "pattern": "x", "score": 2, "order": 1.5, "after": "x", "confirm": 1},
            7,
            {"name": "escape", "pattern": "a)|(?:.*b"},
        ],
        "description": "x".repeat(1025), "settings": {"$ref": "#"},
        "dialogs": [{"id": "d"}, {"id": "d"}, {"id": "D", "state-version": -1}, 7],
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
        "`routes[1].after`",
        "`routes[1].confirm`",
        "`routes[2]`",
        "`routes[3].pattern`",
        "`description`",
        "`settings` refers to itself",
        "`dialogs[1].id` `d` is used twice",
        "`dialogs[2].id`",
        "`dialogs[2].state-version`",
        "`dialogs[3]`",
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
    let text = json!({"name": "a", "version": "1", "routes": [{"name": "r", "pattern": "((a{1000}){1000}){1000}"}]});
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
    assert!(check(json!({"text": "x"})).is_empty());
    assert_eq!(check(json!({})).len(), 1);
    assert!(check(json!({"text": 1}))[0].message.contains("`text`"));
}
