//! What a component imports and exports, and everything that keeps it from running here.
//!
//! wasmtime's linker stops at the first missing import and calls it a wrong type; this lists all of them with hints.
//! Components are hostile bytes, so [`read`] runs in the compile worker only.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use wit_parser::decoding::{DecodedWasm, decode};
use wit_parser::{
    Function, InterfaceId, Resolve, SourceMap, Stability, Type, TypeDefKind, TypeId, WorldItem, WorldKey,
};

/// The interfaces of a component.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Preflight {
    /// What it needs.
    pub imports: Vec<Interface>,
    /// What it offers.
    pub exports: Vec<Interface>,
}

/// One imported or exported interface.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Interface {
    /// `namespace:package/interface@version`; a plain name for a function outside interfaces.
    pub name: String,
    /// Signature by function name.
    pub functions: BTreeMap<String, String>,
}

/// The contract's package and version.
const PACKAGE: &str = "turntable:bot";
const VERSION: (u64, u64) = (0, 1);
const REQUIRED_EXPORT: &str = "bot-handler";

/// What wasmtime-wasi 48 and wasmtime-wasi-http 48 link, all of WASI 0.2.
const WASI: &[(&str, &[&str])] = &[
    ("wasi:io", &["error", "poll", "streams"]),
    ("wasi:clocks", &["monotonic-clock", "wall-clock"]),
    ("wasi:random", &["random", "insecure", "insecure-seed"]),
    (
        "wasi:cli",
        &[
            "environment",
            "exit",
            "stdin",
            "stdout",
            "stderr",
            "terminal-input",
            "terminal-output",
            "terminal-stdin",
            "terminal-stdout",
            "terminal-stderr",
        ],
    ),
    ("wasi:filesystem", &["types", "preopens"]),
    (
        "wasi:sockets",
        &["network", "instance-network", "ip-name-lookup", "tcp", "tcp-create-socket", "udp", "udp-create-socket"],
    ),
    ("wasi:http", &["types", "outgoing-handler"]),
];

/// Says by name what a file is, if it is no component. Looks at its first bytes only.
pub fn refuse_by_name(bytes: &[u8]) -> Option<String> {
    let why = match bytes {
        [] => "the file is empty",
        [0, b'a', b's', b'm', 0x0d, 0, 1, 0, ..] => return None,
        [0, b'a', b's', b'm', 1, 0, 0, 0, ..] => {
            "this is a core module, not a component; build it for wasm32-wasip2, or wrap it with `wasm-tools component new`"
        }
        [0, b'a', b's', b'm', ..] if bytes.len() >= 8 => {
            "this WebAssembly file has a version that this host does not know"
        }
        [0, b'a', b's', b'm', ..] => "the file is truncated",
        [0x7f, b'E', b'L', b'F', ..] => {
            "this is compiled code (.cwasm) or a native program; upload the component itself, the host compiles it"
        }
        [0x1f, 0x8b, ..] => "this is a gzip file; unpack it first",
        _ if bytes.trim_ascii_start().starts_with(b"(") => "this is WebAssembly text; the host takes binary components",
        _ => "this is not a WebAssembly file",
    };
    Some(why.to_owned())
}

/// Reads the interfaces of a component. The error says what is malformed.
pub fn read(component: &[u8]) -> Result<Preflight, String> {
    match decode(component) {
        Ok(DecodedWasm::Component(resolve, world)) => {
            let Some(world) = resolve.worlds.get(world) else { return Err("the component has no world".into()) };
            let side = |items: &mut dyn Iterator<Item = (&WorldKey, &WorldItem)>| {
                items.filter_map(|(key, item)| interface(&resolve, key, item)).collect()
            };
            Ok(Preflight { imports: side(&mut world.imports.iter()), exports: side(&mut world.exports.iter()) })
        }
        Ok(DecodedWasm::WitPackage(..)) => Err("this is an encoded WIT package, not a component with code".into()),
        Err(error) => Err(format!("the component is malformed: {error:#}")),
    }
}

impl Preflight {
    /// Lists everything that keeps the component from running as a plugin of this host.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for import in &self.imports {
            check_import(import, &mut problems);
        }
        self.check_exports(&mut problems);
        problems
    }

    fn check_exports(&self, problems: &mut Vec<String>) {
        let wanted = format!("{PACKAGE}/{REQUIRED_EXPORT}");
        let Some(export) = self.exports.iter().find(|export| Name::of(&export.name).path == wanted) else {
            problems.push(format!(
                "exports no `{wanted}@0.1.0`; build it for a world of the contract, such as `{PACKAGE}/plugin`"
            ));
            return;
        };
        let version = Name::of(&export.name).version;
        if version.is_some_and(|version| (version.0, version.1) != VERSION) {
            problems.push(format!("exports `{}`; this host calls {PACKAGE}@0.1.x", export.name));
            return;
        }
        let Some(catalog) = CONTRACT.get(REQUIRED_EXPORT) else { return };
        for (function, expected) in &catalog.functions {
            match export.functions.get(function) {
                None => problems.push(format!("exports `{}` without its function `{function}`", export.name)),
                Some(found) if found != expected => problems.push(format!(
                    "exports `{}` with another `{function}`: expected {expected}, found {found}",
                    export.name
                )),
                Some(_) => {}
            }
        }
    }
}

fn check_import(import: &Interface, problems: &mut Vec<String>) {
    let name = Name::of(&import.name);
    if name.path.starts_with(&format!("{PACKAGE}/")) {
        return check_contract(import, &name, problems);
    }
    let Some((package, interface)) = name.path.split_once('/') else {
        problems.push(format!("imports `{}`, which this host does not have", import.name));
        return;
    };
    let Some((_, interfaces)) = WASI.iter().find(|(known, _)| *known == package) else {
        problems.push(format!(
            "imports `{}`, which this host does not have; plugins get {PACKAGE} and WASI 0.2",
            import.name
        ));
        return;
    };
    match name.version {
        Some((0, 2, _)) if interfaces.contains(&interface) => {}
        Some((0, 3, _)) => problems.push(format!(
            "imports `{}`: WASI 0.3 (asynchronous) is not linked; build for WASI 0.2 (componentize-qjs: `--sync`)",
            import.name
        )),
        _ => problems.push(format!("imports `{}`, which is not part of WASI 0.2 as this host links it", import.name)),
    }
}

fn check_contract(import: &Interface, name: &Name<'_>, problems: &mut Vec<String>) {
    let interface = name.path.rsplit('/').next().unwrap_or_default();
    if name.version.is_some_and(|version| (version.0, version.1) != VERSION) {
        problems.push(format!(
            "imports `{}`; this host offers {PACKAGE}@0.1.x: use a newer host, or build for 0.1",
            import.name
        ));
        return;
    }
    let Some(catalog) = CONTRACT.get(interface) else {
        problems.push(match DRAFTS.contains(&interface.to_owned()) {
            true => format!("imports `{}`, a draft (`@unstable`) that no host of this release links", import.name),
            false => format!("imports `{}`, which this host does not have; it may be newer than the host", import.name),
        });
        return;
    };
    for (function, found) in &import.functions {
        match catalog.functions.get(function) {
            None => problems.push(format!(
                "imports the function `{function}` of `{}`, which this host does not have; use a host whose {PACKAGE} is newer",
                import.name
            )),
            Some(expected) if expected != found => problems.push(format!(
                "imports another `{function}` of `{}`: this host has {expected}, the component wants {found}",
                import.name
            )),
            Some(_) => {}
        }
    }
}

/// A name of an interface, taken apart.
struct Name<'a> {
    /// Without the version.
    path: &'a str,
    version: Option<(u64, u64, u64)>,
}

impl<'a> Name<'a> {
    fn of(name: &'a str) -> Self {
        let (path, version) = name.split_once('@').unwrap_or((name, ""));
        let mut parts = version.split(['.', '-', '+']).map(str::parse);
        let version = match (parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch))) => Some((major, minor, patch)),
            _ => None,
        };
        Self { path, version }
    }
}

// === the contract that this host links ===

const WIT: &[(&str, &str)] = &[
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("turn.wit", include_str!("../../../wit/turn.wit")),
    ("config.wit", include_str!("../../../wit/config.wit")),
    ("log.wit", include_str!("../../../wit/log.wit")),
    ("bot-handler.wit", include_str!("../../../wit/bot-handler.wit")),
    ("state.wit", include_str!("../../../wit/state.wit")),
    ("conversations.wit", include_str!("../../../wit/conversations.wit")),
    ("dialogs.wit", include_str!("../../../wit/dialogs.wit")),
    ("middleware.wit", include_str!("../../../wit/middleware.wit")),
    ("calls.wit", include_str!("../../../wit/calls.wit")),
    ("text-stream.wit", include_str!("../../../wit/text-stream.wit")),
    ("users.wit", include_str!("../../../wit/users.wit")),
    ("worlds.wit", include_str!("../../../wit/worlds.wit")),
];

/// The stable interfaces, by name.
static CONTRACT: LazyLock<BTreeMap<String, Interface>> = LazyLock::new(|| contract(true));
/// The names of the unstable ones.
static DRAFTS: LazyLock<Vec<String>> = LazyLock::new(|| contract(false).into_keys().collect());

fn contract(stable: bool) -> BTreeMap<String, Interface> {
    let mut sources = SourceMap::new();
    for (name, text) in WIT {
        sources.push_str(name, *text);
    }
    let mut resolve = Resolve { all_features: true, ..Resolve::default() };
    // The text is part of this binary and a test reads it: it parses.
    let parsed = sources.parse().map_err(|(_, error)| error.to_string());
    if let Err(error) = parsed.and_then(|group| resolve.push_group(group).map_err(|error| error.to_string())) {
        tracing::error!(%error, "the embedded contract does not parse");
    }
    let wanted = |stability: &Stability| matches!(stability, Stability::Unstable { .. }) != stable;
    let interfaces = resolve.interfaces.iter().filter(|(_, interface)| wanted(&interface.stability));
    interfaces
        .filter_map(|(id, interface)| {
            let name = interface.name.clone()?;
            Some((name.clone(), Interface { name, functions: functions(&resolve, id) }))
        })
        .collect()
}

fn interface(resolve: &Resolve, key: &WorldKey, item: &WorldItem) -> Option<Interface> {
    let name = resolve.name_world_key(key);
    match item {
        WorldItem::Interface { id, .. } => Some(Interface { name, functions: functions(resolve, *id) }),
        WorldItem::Function(function) => {
            Some(Interface { functions: BTreeMap::from([(name.clone(), signature(resolve, function))]), name })
        }
        // Types need no definition by the host.
        WorldItem::Type { .. } => None,
    }
}

fn functions(resolve: &Resolve, id: InterfaceId) -> BTreeMap<String, String> {
    let interface = resolve.interfaces.get(id);
    let functions = interface.into_iter().flat_map(|interface| &interface.functions);
    functions.map(|(name, function)| (name.clone(), signature(resolve, function))).collect()
}

/// Renders a signature with every named type spelled out: two functions match if and only if this text does.
fn signature(resolve: &Resolve, function: &Function) -> String {
    let parameters: Vec<String> =
        function.params.iter().map(|param| format!("{}: {}", param.name, render(resolve, &param.ty, 0))).collect();
    let result = function.result.as_ref().map(|ty| format!(" -> {}", render(resolve, ty, 0))).unwrap_or_default();
    format!("func({}){result}", parameters.join(", "))
}

/// Types nest as deep as the component says; what lies deeper than this is not one of the contract's.
const RENDER_DEPTH_MAX: usize = 12;

fn render(resolve: &Resolve, ty: &Type, depth: usize) -> String {
    match ty {
        Type::Id(id) if depth < RENDER_DEPTH_MAX => render_named(resolve, *id, depth + 1),
        Type::Id(_) => "…".into(),
        plain => format!("{plain:?}").to_lowercase(),
    }
}

fn render_named(resolve: &Resolve, id: TypeId, depth: usize) -> String {
    let Some(named) = resolve.types.get(id) else { return "?".into() };
    let of = |ty: &Type| render(resolve, ty, depth);
    let optional = |ty: &Option<Type>| ty.as_ref().map_or_else(|| "_".into(), of);
    match &named.kind {
        TypeDefKind::Type(alias) => of(alias),
        TypeDefKind::Option(inner) => format!("option<{}>", of(inner)),
        TypeDefKind::List(inner) => format!("list<{}>", of(inner)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", optional(&result.ok), optional(&result.err)),
        TypeDefKind::Tuple(tuple) => {
            format!("tuple<{}>", tuple.types.iter().map(of).collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Record(record) => {
            let fields = record.fields.iter().map(|field| format!("{}: {}", field.name, of(&field.ty)));
            format!("record {{ {} }}", fields.collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Enum(cases) => {
            format!("enum {{ {} }}", cases.cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>().join(", "))
        }
        // The contract has none of the others; their name is enough to tell them apart.
        other => format!("{} {}", other.as_str(), named.name.as_deref().unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::{CONTRACT, DRAFTS, read, refuse_by_name};

    #[test]
    fn the_embedded_contract_has_its_interfaces() {
        assert_eq!(CONTRACT.keys().collect::<Vec<_>>(), ["bot-handler", "config", "log", "turn", "types"]);
        assert!(DRAFTS.contains(&"state".to_owned()) && DRAFTS.contains(&"dialog-handler".to_owned()));
        assert_eq!(CONTRACT["config"].functions["get"], "func(key: string) -> option<string>");
    }

    #[test]
    fn files_that_are_no_components_are_refused_by_name() {
        for (bytes, part) in [
            (&b""[..], "empty"),
            (b"\0asm\x01\0\0\0", "core module"),
            (b"\0asm", "truncated"),
            (b"\x7fELF\x02", ".cwasm"),
            (b" (component)", "text"),
            (b"#!/bin/sh", "not a WebAssembly file"),
        ] {
            assert!(refuse_by_name(bytes).unwrap().contains(part), "{part}");
        }
        assert_eq!(refuse_by_name(b"\0asm\x0d\0\x01\0"), None);
    }

    #[test]
    fn every_problem_of_a_component_is_listed() {
        let component = wat::parse_str(
            r#"(component
                (import "turntable:bot/config@0.1.9" (instance
                    (export "get" (func (param "key" string) (result (option string))))
                    (export "watch" (func (param "key" string)))))
                (import "turntable:bot/turn@0.2.0" (instance (export "reply" (func))))
                (import "turntable:bot/state@0.1.0" (instance (export "get" (func))))
                (import "wasi:io/poll@0.2.9" (instance (export "poll" (func))))
                (import "wasi:io/poll@0.3.0" (instance (export "poll" (func))))
                (import "acme:files/all@1.0.0" (instance (export "open" (func)))))"#,
        )
        .unwrap();
        let problems = read(&component).unwrap().problems();
        let wanted =
            ["`watch`", "turn@0.2.0", "state@0.1.0`, a draft", "wasi:io/poll@0.3.0", "acme:files/all", "bot-handler"];
        for part in wanted {
            assert!(problems.iter().any(|problem| problem.contains(part)), "{part} is not in {problems:#?}");
        }
        assert_eq!(problems.len(), wanted.len(), "{problems:#?}");
    }
}
