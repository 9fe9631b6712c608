//! Grants: capabilities that a plugin requests in its manifest and the operator allows in the configuration. Both must
//! agree.

use std::sync::Arc;

use crate::{HttpGrant, HttpRule};

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
    /// `http`: the requests that the plugin may send to servers. The first entry that covers a request counts.
    pub http: Vec<HttpGrant>,
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
    /// Returns the grants that both the plugin wants and the operator allows.
    pub fn both(wanted: &Self, granted: &Self) -> Self {
        Self {
            state: wanted.state.iter().copied().filter(|scope| granted.state.contains(scope)).collect(),
            shared_state: granted.shared_state.clone(),
            dialogs: wanted.dialogs && granted.dialogs,
            middleware: wanted.middleware && granted.middleware,
            conversations: wanted.conversations && granted.conversations,
            http: both_http(&wanted.http, &granted.http),
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
        let given = |rule: &HttpRule| granted.http.iter().any(|grant| grant.rule.and(rule).is_some());
        let rules = wanted.http.iter().map(|grant| &grant.rule).filter(|rule| !given(rule));
        lacking.extend(rules.map(|rule| format!("http = [{rule}]")));
        lacking
    }
}

/// Returns the requests that both sides cover, in the order of the operator's grants, with their addresses and credentials.
fn both_http(wanted: &[HttpGrant], granted: &[HttpGrant]) -> Vec<HttpGrant> {
    let both = |grant: &HttpGrant| {
        let rules = wanted.iter().filter_map(|wanted| grant.rule.and(&wanted.rule));
        rules.map(|rule| HttpGrant { rule, ..grant.clone() }).collect::<Vec<_>>()
    };
    granted.iter().flat_map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::{Grants, Scope};
    use crate::{HttpGrant, HttpRule};

    #[test]
    fn both_must_allow() {
        let wanted = Grants { state: vec![Scope::User, Scope::Bot], dialogs: true, ..Grants::default() };
        let granted = Grants { state: vec![Scope::User, Scope::Conversation], ..Grants::default() };
        let grants = Grants::both(&wanted, &granted);
        assert_eq!((grants.state, grants.dialogs), (vec![Scope::User], false));
        assert_eq!(Grants::lacking(&wanted, &granted), ["state = [\"bot\"]", "dialogs = true"]);
    }

    #[test]
    fn a_plugin_may_send_the_requests_that_both_cover() {
        let http = |urls: &[&str]| {
            let grants = urls.iter().map(|url| HttpGrant::of(HttpRule::parse(url).unwrap()));
            Grants { http: grants.collect(), ..Grants::default() }
        };
        let wanted = http(&["https://*.example.org", "https://other.example"]);
        let granted = http(&["https://a.example.org/v1/", "https://b.example"]);
        let urls: Vec<String> = Grants::both(&wanted, &granted).http.iter().map(|grant| grant.rule.url()).collect();
        assert_eq!(urls, ["https://a.example.org/v1/"]);
        assert_eq!(Grants::lacking(&wanted, &granted), ["http = [{ url = \"https://other.example/\" }]"]);
    }
}
