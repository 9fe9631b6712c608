//! Keys of BotState documents, as the SDKs write them.

use crate::activity::ChannelInstance;
use crate::storage::ScopeOwner;

/// Whose document a key names.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// State of a user, a conversation, or a user in a conversation.
    State(ScopeOwner),
    /// Sign-in state of the Agents SDK.
    SignIn,
}

/// Reads a key: `{channel}/users/{user}`, `{channel}/conversations/{conversation}`, or the latter with `/users/{user}`. SDKs for
/// JavaScript add a slash and a namespace, which is empty by default. None: it is another key.
pub(super) fn read(key: &str) -> Option<Key> {
    let (channel, rest) = key.split_once('/')?;
    if channel == "auth" {
        return Some(Key::SignIn);
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let instance = ChannelInstance::Wire(Some(channel).filter(|channel| !channel.is_empty())?.into());
    let given = |id: &str| Some(id).filter(|id| !id.is_empty()).map(Into::into);
    let owner = match rest.split_once('/')? {
        ("users", user) => ScopeOwner::User(instance, given(user)?),
        ("conversations", conversation) => match conversation.rsplit_once("/users/") {
            Some((conversation, user)) => ScopeOwner::Private(instance, given(conversation)?, given(user)?),
            None => ScopeOwner::Conversation(instance, given(conversation)?),
        },
        _ => return None,
    };
    Some(Key::State(owner))
}

/// Restores the key from the id of a Cosmos DB document without `realId`: `*` and two hexadecimal digits stand for a character
/// that ids cannot have.
pub(super) fn from_cosmos(id: &str) -> String {
    let mut parts = id.split('*');
    let mut key = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code {
            Some(code) => {
                key.push(char::from(code));
                key.push_str(part.get(2..).unwrap_or_default());
            }
            None => {
                key.push('*');
                key.push_str(part);
            }
        }
    }
    key
}

/// Restores the key from the name of a blob: percent-encoded, and by the SDK for .NET with `+` for a space.
pub(super) fn from_blob(name: &str) -> Option<String> {
    let spaced = name.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(channel: &str) -> ChannelInstance {
        ChannelInstance::Wire(channel.into())
    }

    #[test]
    fn keys_of_all_sdks_name_the_same_owners() {
        let teams = || wire("msteams");
        let state = |owner| Some(Key::State(owner));
        let user = || state(ScopeOwner::User(teams(), "29:1a/b".into()));
        assert_eq!(read("msteams/users/29:1a/b"), user());
        assert_eq!(read("msteams/users/29:1a/b/"), user(), "botbuilder for JavaScript");
        let conversation = || state(ScopeOwner::Conversation(teams(), "19:x;messageid=1".into()));
        assert_eq!(read("msteams/conversations/19:x;messageid=1/"), conversation());
        let private = state(ScopeOwner::Private(teams(), "19:x".into(), "29:1".into()));
        assert_eq!(read("msteams/conversations/19:x/users/29:1"), private);
        assert_eq!(read("auth/msteams/29:1"), Some(Key::SignIn));
        for other in ["", "x", "msteams", "msteams/", "msteams/users/", "/users/u", "msteams/teams/t", "my-own-key"] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn encoded_names_are_restored() {
        assert_eq!(from_cosmos("msteams*2fusers*2f29:1*3fx"), "msteams/users/29:1?x");
        assert_eq!(from_cosmos("a*zz*2"), "a*zz*2", "what is no code stays");
        assert_eq!(from_blob("msteams%2fconversations%2f19%3ax+y").as_deref(), Some("msteams/conversations/19:x y"));
        assert_eq!(from_blob("msteams%2Fusers%2F29%3A1").as_deref(), Some("msteams/users/29:1"));
        assert_eq!(from_blob("%FF"), None);
    }
}
