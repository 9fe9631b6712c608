//! Grants: capabilities that a plugin requests in its manifest and the operator allows in the configuration. Both must
//! agree.

use std::sync::Arc;

use serde_json::{Map, Value};

/// Capabilities of one plugin. The default grants nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// `state`: the scopes whose values the plugin may read and write.
    pub state: Vec<Scope>,
    /// `shared-state`: a namespace that the plugin uses instead of its own. All plugins of the bot with the same
    /// namespace share their state. Only the operator sets it; a manifest cannot request it.
    pub shared_state: Option<Arc<str>>,
    /// `dialogs`: the plugin may own dialogs, and may begin, cancel and list the dialogs of the conversation.
    pub dialogs: bool,
    /// `middleware`: the plugin may see, change and stop everything that enters and leaves the bot.
    pub middleware: bool,
    /// `conversations`: the plugin may send into conversations of the bot later, and into others than the turn's.
    pub conversations: bool,
}

/// The scope of a state value, as `state.wit` defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `conversation`
    Conversation,
    /// `user`
    User,
    /// `private`: one user in one conversation.
    Private,
    /// `bot`
    Bot,
}

impl Scope {
    /// All scopes, by name.
    pub const ALL: [(&'static str, Self); 4] =
        [("conversation", Self::Conversation), ("user", Self::User), ("private", Self::Private), ("bot", Self::Bot)];

    /// Returns the scope of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(known, _)| *known == name).map(|(_, scope)| *scope)
    }

    /// Returns the name of the scope, as in the configuration.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, scope)| *scope == self).map_or("", |(name, _)| name)
    }
}

impl Grants {
    /// Reads the `wants` of a manifest. Unknown names are ignored, because later releases may define them. A known name
    /// with a value of the wrong type is added to `problems`.
    pub fn wanted(wants: &Map<String, Value>, problems: &mut Vec<String>) -> Self {
        let mut grants = Self::default();
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
        grants
    }

    /// Returns the grants that both the plugin wants and the operator allows.
    pub fn both(wanted: &Self, granted: &Self) -> Self {
        Self {
            state: wanted.state.iter().copied().filter(|scope| granted.state.contains(scope)).collect(),
            shared_state: granted.shared_state.clone(),
            dialogs: wanted.dialogs && granted.dialogs,
            middleware: wanted.middleware && granted.middleware,
            conversations: wanted.conversations && granted.conversations,
        }
    }

    /// Returns the grants that the plugin wants and the operator does not allow, as lines for the configuration.
    pub fn lacking(wanted: &Self, granted: &Self) -> Vec<String> {
        let scopes = wanted.state.iter().filter(|scope| !granted.state.contains(scope));
        let mut lacking: Vec<String> = scopes.map(|scope| format!("state = [\"{}\"]", scope.name())).collect();
        let flags = [
            ("dialogs", wanted.dialogs, granted.dialogs),
            ("middleware", wanted.middleware, granted.middleware),
            ("conversations", wanted.conversations, granted.conversations),
        ];
        let flags = flags.iter().filter(|(_, wanted, granted)| *wanted && !granted);
        lacking.extend(flags.map(|(name, ..)| format!("{name} = true")));
        lacking
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Grants, Scope};

    fn wanted(wants: &serde_json::Value) -> Result<Grants, Vec<String>> {
        let mut problems = Vec::new();
        let grants = Grants::wanted(wants.as_object().unwrap(), &mut problems);
        if problems.is_empty() { Ok(grants) } else { Err(problems) }
    }

    #[test]
    fn both_must_allow() {
        let wants = wanted(&json!({"state": ["user", "bot"], "dialogs": true, "later": 1})).unwrap();
        let granted = Grants { state: vec![Scope::User, Scope::Conversation], ..Grants::default() };
        let grants = Grants::both(&wants, &granted);
        assert_eq!((grants.state, grants.dialogs), (vec![Scope::User], false));
        assert_eq!(Grants::lacking(&wants, &granted), ["state = [\"bot\"]", "dialogs = true"]);
    }

    #[test]
    fn a_wish_of_another_shape_is_a_problem() {
        let problems = wanted(&json!({"state": ["users"], "dialogs": "yes"})).unwrap_err();
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[0].contains("\"users\"; the scopes are conversation, user, private, bot"));
    }
}
