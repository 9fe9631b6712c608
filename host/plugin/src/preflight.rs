//! What a component imports and exports, and everything that keeps it from running here.
//!
//! wasmtime's linker stops at the first missing import and calls it a wrong type; this lists all of them with hints.
//! Components are hostile bytes, so [`read`] runs in the compile worker only.

mod catalog;
mod render;

use std::collections::BTreeMap;
#[cfg(test)]
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use wit_parser::decoding::{DecodedWasm, decode};
use wit_parser::{Resolve, WorldItem, WorldKey};

use self::catalog::{CONTRACT, DRAFTS, WASI};

/// The interfaces of a component.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Preflight {
    /// What it needs.
    pub imports: Vec<Interface>,
    /// What it offers.
    pub exports: Vec<Interface>,
}

/// One imported or exported interface.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Interface {
    /// `namespace:package/interface@version`; a plain name for a function outside interfaces.
    pub name: String,
    /// Signature by function name.
    pub functions: BTreeMap<String, String>,
    /// The resource types that it defines.
    #[serde(default)]
    pub resources: Vec<String>,
}

/// The contract's package and version.
const PACKAGE: &str = "turntable:bot";
const VERSION: (u64, u64) = (0, 1);
const REQUIRED_EXPORT: &str = "bot-handler";
/// What a component may lack.
const OPTIONAL_EXPORTS: &[&str] = &["dialog-handler", "middleware"];

/// How a component becomes synchronous again.
pub(super) const SYNC_HINT: &str =
    "this host runs synchronous components on WASI 0.2 (componentize-qjs: build with `--sync`)";

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
        // A component may export several versions, for old hosts and new ones.
        let mut exports = self.exports.iter().filter(|export| Name::of(&export.name).path == wanted).peekable();
        let Some(first) = exports.peek() else {
            problems.push(format!(
                "exports no `{wanted}@0.1.0`; build it for a world of the contract, such as `{PACKAGE}/plugin`"
            ));
            return;
        };
        let first = first.name.clone();
        let Some(export) = exports.find(|export| Name::of(&export.name).is_ours()) else {
            problems.push(format!("exports `{first}`; this host calls {PACKAGE}@0.1.x"));
            return;
        };
        check_export(export, REQUIRED_EXPORT, problems);
        for optional in OPTIONAL_EXPORTS {
            let path = format!("{PACKAGE}/{optional}");
            let mut exports = self.exports.iter().map(|export| (Name::of(&export.name), export));
            if let Some((_, export)) = exports.find(|(name, _)| name.path == path && name.is_ours()) {
                check_export(export, optional, problems);
            }
        }
    }
}

/// Compares an exported interface with the contract's.
fn check_export(export: &Interface, interface: &str, problems: &mut Vec<String>) {
    let Some(catalog) = CONTRACT.get(interface) else { return };
    for (function, expected) in &catalog.functions {
        match export.functions.get(function) {
            None => problems.push(format!("exports `{}` without its function `{function}`", export.name)),
            Some(found) if found != expected => problems.push(format!(
                "exports `{}` with another `{function}`: expected {expected}, found {found}{}",
                export.name,
                sync_hint(found)
            )),
            Some(_) => {}
        }
    }
}

/// Whether a signature needs WASI 0.3's component model, and what to do about it.
fn sync_hint(signature: &str) -> String {
    match signature.starts_with("async ") || signature.contains("future<") || signature.contains("stream<") {
        true => format!("; {SYNC_HINT}"),
        false => String::new(),
    }
}

fn check_import(import: &Interface, problems: &mut Vec<String>) {
    // Types alone need no definition by the host.
    if import.functions.is_empty() && import.resources.is_empty() {
        return;
    }
    let name = Name::of(&import.name);
    if name.path.starts_with(&format!("{PACKAGE}/")) {
        return check_contract(import, &name, problems);
    }
    let is_wasi = name.path.starts_with("wasi:");
    if is_wasi && name.version.is_some_and(|version| (version.0, version.1) == (0, 3)) {
        return problems.push(format!("imports `{}`, WASI 0.3 (asynchronous): {SYNC_HINT}", import.name));
    }
    match WASI.get(name.path) {
        Some(known) if name.version.is_some_and(|version| (version.0, version.1) == (0, 2)) => {
            for function in import.functions.keys().filter(|function| !known.contains(&function.as_str())) {
                problems.push(format!(
                    "imports the function `{function}` of `{}`, which this host's WASI 0.2 does not have",
                    import.name
                ));
            }
        }
        _ if is_wasi => {
            problems.push(format!("imports `{}`, which is not part of WASI 0.2 as this host links it", import.name));
        }
        _ => problems.push(format!(
            "imports `{}`, which this host does not have; plugins get {PACKAGE} and WASI 0.2",
            import.name
        )),
    }
}

fn check_contract(import: &Interface, name: &Name<'_>, problems: &mut Vec<String>) {
    if !name.is_ours() {
        problems.push(format!(
            "imports `{}`; this host offers {PACKAGE}@0.1.x: use a newer host, or build for 0.1",
            import.name
        ));
        return;
    }
    let interface = name.path.rsplit('/').next().unwrap_or_default();
    // Linking within a minor version ignores the patch: it says which host has what this one lacks.
    let newer = match name.version {
        Some((_, _, patch)) if patch > 0 => format!("needs a host with {PACKAGE}@0.1.{patch} or newer"),
        _ => format!("{PACKAGE}@0.1.0 has none: was it built against another text of the contract?"),
    };
    let draft = DRAFTS.get(interface);
    let Some(catalog) = CONTRACT.get(interface) else {
        problems.push(match draft {
            Some(_) => format!("imports `{}`, a draft (`@unstable`) that no host of this release links", import.name),
            None => format!("imports `{}`, which this host does not have; {newer}", import.name),
        });
        return;
    };
    for (function, found) in &import.functions {
        match catalog.functions.get(function) {
            None if draft.is_some_and(|draft| draft.functions.contains_key(function)) => problems.push(format!(
                "imports the function `{function}` of `{}`, a draft (`@unstable`) that no host of this release links",
                import.name
            )),
            None => problems.push(format!(
                "imports the function `{function}` of `{}`, which this host does not have; {newer}",
                import.name
            )),
            Some(expected) if expected != found => problems.push(format!(
                "imports another `{function}` of `{}`: this host has {expected}, the component wants {found}{}",
                import.name,
                sync_hint(found)
            )),
            Some(_) => {}
        }
    }
}

/// The functions of WASI that the preflight takes for linked, by interface.
#[cfg(test)]
pub(super) fn wasi_functions() -> BTreeMap<String, BTreeSet<String>> {
    let owned = |functions: &Vec<&str>| functions.iter().map(|function| (*function).to_owned()).collect();
    WASI.iter().map(|(interface, functions)| ((*interface).to_owned(), owned(functions))).collect()
}

/// The functions of the contract by interface, and whether each is a draft.
#[cfg(test)]
pub(super) fn contract_functions() -> BTreeMap<String, BTreeMap<String, bool>> {
    let is_draft = |interface: &str, function: &str| {
        CONTRACT.get(interface).is_none_or(|stable| !stable.functions.contains_key(function))
    };
    let marked = |(interface, all): (&String, &Interface)| {
        let functions = all.functions.keys().map(|function| (function.clone(), is_draft(interface, function)));
        (interface.clone(), functions.collect())
    };
    DRAFTS.iter().map(marked).collect()
}

/// A name of an interface, taken apart.
struct Name<'a> {
    /// Without the version.
    path: &'a str,
    version: Option<(u64, u64, u64)>,
}

impl<'a> Name<'a> {
    /// No version, or a pre-release of one, is none that linking knows.
    fn of(name: &'a str) -> Self {
        let (path, version) = name.split_once('@').unwrap_or((name, ""));
        let mut parts = version.split('+').next().unwrap_or_default().split('.').map(str::parse);
        let version = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(major)), Some(Ok(minor)), Some(Ok(patch)), None) => Some((major, minor, patch)),
            _ => None,
        };
        Self { path, version }
    }

    /// Whether it is of the contract's minor version that this host serves.
    fn is_ours(&self) -> bool {
        self.version.is_some_and(|version| (version.0, version.1) == VERSION)
    }
}

fn interface(resolve: &Resolve, key: &WorldKey, item: &WorldItem) -> Option<Interface> {
    let name = resolve.name_world_key(key);
    match item {
        WorldItem::Interface { id, .. } => Some(render::interface(resolve, name, *id)),
        WorldItem::Function(function) => {
            let functions = BTreeMap::from([(name.clone(), render::signature(resolve, function))]);
            Some(Interface { name, functions, ..Interface::default() })
        }
        // Types need no definition by the host.
        WorldItem::Type { .. } => None,
    }
}

#[cfg(test)]
mod tests;
