//! `wants` of a manifest: the grants that a plugin asks for.

use serde_json::{Map, Value};
use turntable_config::{Grants, Scope, http};

/// Reads the `wants` of a manifest. Names that this release does not know are ignored; a known one of another shape
/// is a problem.
pub(super) fn read(wants: &Map<String, Value>, problems: &mut Vec<String>) -> Grants {
    let mut grants = Grants::default();
    match wants.get("state") {
        None | Some(Value::Null) => {}
        Some(Value::Array(scopes)) => {
            for scope in scopes {
                match scope.as_str().and_then(Scope::named) {
                    Some(scope) if !grants.state.contains(&scope) => grants.state.push(scope),
                    Some(_) => {}
                    None => problems.push(format!(
                        "manifest: `wants.state` has {scope}; the scopes are conversation, user, private, bot"
                    )),
                }
            }
        }
        Some(_) => problems.push("manifest: `wants.state` must be an array of scopes".to_owned()),
    }
    let mut flag = |name: &str, slot: &mut bool| match wants.get(name) {
        None | Some(Value::Null) => {}
        Some(Value::Bool(wanted)) => *slot = *wanted,
        Some(_) => problems.push(format!("manifest: `wants.{name}` must be true or false")),
    };
    flag("dialogs", &mut grants.dialogs);
    flag("middleware", &mut grants.middleware);
    flag("conversations", &mut grants.conversations);
    match wants.get("http").map(http::wanted) {
        None => {}
        Some(Ok(rules)) => grants.http = rules,
        Some(Err(why)) => problems.push(format!("manifest: `wants.http` {why}")),
    }
    grants
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(wants: &Value) -> Result<Grants, Vec<String>> {
        let mut problems = Vec::new();
        let grants = read(wants.as_object().unwrap(), &mut problems);
        if problems.is_empty() { Ok(grants) } else { Err(problems) }
    }

    #[test]
    fn names_that_this_release_does_not_know_are_ignored() {
        let grants = wanted(&json!({"state": ["user", "bot"], "dialogs": true, "later": 1})).unwrap();
        let known = Grants { state: vec![Scope::User, Scope::Bot], dialogs: true, ..Grants::default() };
        assert_eq!(grants, known);
    }

    #[test]
    fn a_wish_of_another_shape_is_a_problem() {
        let problems = wanted(&json!({"state": ["users"], "dialogs": "yes", "http": ["ftp://a"]})).unwrap_err();
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(problems[0].contains("\"users\"; the scopes are conversation, user, private, bot"));
    }
}
