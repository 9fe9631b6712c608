//! What this host links: the contract, from its own text, and WASI 0.2.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use wit_parser::{Resolve, SourceMap};

use super::{Interface, render};

const WIT: &[(&str, &str)] = &[
    ("types.wit", include_str!("../../../../wit/types.wit")),
    ("turn.wit", include_str!("../../../../wit/turn.wit")),
    ("config.wit", include_str!("../../../../wit/config.wit")),
    ("log.wit", include_str!("../../../../wit/log.wit")),
    ("bot-handler.wit", include_str!("../../../../wit/bot-handler.wit")),
    ("state.wit", include_str!("../../../../wit/state.wit")),
    ("conversations.wit", include_str!("../../../../wit/conversations.wit")),
    ("dialogs.wit", include_str!("../../../../wit/dialogs.wit")),
    ("middleware.wit", include_str!("../../../../wit/middleware.wit")),
    ("calls.wit", include_str!("../../../../wit/calls.wit")),
    ("text-stream.wit", include_str!("../../../../wit/text-stream.wit")),
    ("users.wit", include_str!("../../../../wit/users.wit")),
    ("worlds.wit", include_str!("../../../../wit/worlds.wit")),
];

/// The interfaces and functions of the contract that are no drafts, by name.
pub(super) static CONTRACT: LazyLock<BTreeMap<String, Interface>> = LazyLock::new(|| contract(false));
/// All of them, with the drafts.
pub(super) static DRAFTS: LazyLock<BTreeMap<String, Interface>> = LazyLock::new(|| contract(true));

/// The functions of WASI 0.2 by interface, without versions.
pub(super) static WASI: LazyLock<HashMap<&str, Vec<&str>>> = LazyLock::new(|| {
    let lines = include_str!("wasi.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some((words.next()?, words.collect()))
        })
        .collect()
});

fn contract(drafts: bool) -> BTreeMap<String, Interface> {
    let mut sources = SourceMap::new();
    for (name, text) in WIT {
        sources.push_str(name, *text);
    }
    let mut resolve = Resolve { all_features: drafts, ..Resolve::default() };
    // The text is part of this binary and a test reads it: it parses.
    let parsed = sources.parse().map_err(|(_, error)| error.to_string());
    if let Err(error) = parsed.and_then(|group| resolve.push_group(group).map_err(|error| error.to_string())) {
        tracing::error!(%error, "the embedded contract does not parse");
    }
    let interfaces = resolve.interfaces.iter();
    interfaces
        .filter_map(|(id, interface)| {
            let name = interface.name.clone()?;
            Some((name.clone(), render::interface(&resolve, name, id)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{CONTRACT, DRAFTS, WASI};

    #[test]
    fn the_embedded_contract_has_its_interfaces() {
        assert_eq!(
            CONTRACT.keys().collect::<Vec<_>>(),
            [
                "bot-handler",
                "config",
                "conversations",
                "dialog-handler",
                "dialogs",
                "log",
                "middleware",
                "state",
                "text-stream",
                "turn",
                "types"
            ]
        );
        assert!(DRAFTS.contains_key("calls"));
        assert_eq!(CONTRACT["config"].functions["get"], "func(key: string) -> option<string>");
        assert_eq!(
            CONTRACT["bot-handler"].functions["on-activity"],
            "func(meta: record { turn-id: string, bot-id: string, channel-id: string, conversation-id: string, \
             kind: string, trigger: string, locale: option<string>, budget-ms: u32, \
             extra: list<tuple<string, string>> }, activity: string) -> result<enum { next, handled }, \
             record { code: string, message: string, retry-after-ms: option<u32>, detail: option<string> }>"
        );
    }

    #[test]
    fn wasi_has_its_interfaces() {
        assert_eq!(WASI.len(), 29);
        assert_eq!(WASI["wasi:io/poll"], ["[method]pollable.ready", "[method]pollable.block", "poll"]);
        assert!(WASI["wasi:cli/terminal-input"].is_empty());
    }
}
