//! What the preflight says this host links is what the linker holds: each function, and nothing else.

use wasmtime::Engine;
use wasmtime::component::ResourceType;

use super::*;
use crate::engine::code_settings;
use crate::preflight::{contract_functions, wasi_functions};

fn linker() -> Linker<GuestState> {
    let mut linker = Linker::new(&Engine::new(&code_settings()).unwrap());
    link(&mut linker).unwrap();
    linker
}

/// Whether the linker holds a function: it refuses to define one twice.
fn holds_function(linker: &Linker<GuestState>, interface: &str, function: &str) -> bool {
    let mut linker = linker.clone();
    let mut instance = linker.instance(interface).unwrap();
    instance.func_new(function, |_, _, _, _| Ok(())).is_err()
}

fn holds_resource(linker: &Linker<GuestState>, interface: &str, resource: &str) -> bool {
    let mut linker = linker.clone();
    let mut instance = linker.instance(interface).unwrap();
    instance.resource(resource, ResourceType::host::<()>(), |_, _| Ok(())).is_err()
}

/// The version of WASI whose WIT files `wasmtime-wasi` and `wasmtime-wasi-http` contain, and the version of those crates.
const WASI: (&str, &str) = ("0.2.12", "48.0.");

/// Functions in those WIT files that the crates do not link: unstable ones, and exports of guests.
const UNLINKED: &[(&str, &str)] = &[
    ("wasi:cli/run", "run"),
    ("wasi:clocks/timezone", "display"),
    ("wasi:clocks/timezone", "utc-offset"),
    ("wasi:http/incoming-handler", "handle"),
    ("wasi:sockets/network", "network-error-code"),
];

#[test]
fn the_catalogue_of_wasi_is_what_is_linked() {
    let linker = linker();
    for (interface, functions) in wasi_functions() {
        let full = format!("{interface}@{}", WASI.0);
        for function in &functions {
            assert!(holds_function(&linker, &full, function), "`{function}` of {full}");
        }
        // An interface without functions is there for its resource, which has the name of the interface.
        let resource = interface.rsplit('/').next().unwrap();
        assert!(!functions.is_empty() || holds_resource(&linker, &full, resource), "{full}");
    }
    for (interface, function) in UNLINKED {
        let full = format!("{interface}@{}", WASI.0);
        assert!(!holds_function(&linker, &full, function), "`{function}` of {full}");
    }
}

#[test]
fn the_catalogue_of_wasi_is_of_the_version_that_is_linked() {
    let lock = include_str!("../../../../Cargo.lock");
    for name in ["wasmtime-wasi", "wasmtime-wasi-http"] {
        let entry = format!("name = \"{name}\"\nversion = \"{}", WASI.1);
        assert!(
            lock.contains(&entry),
            "another minor version of {name} has other WIT files: compare them with preflight/wasi.txt and with UNLINKED"
        );
    }
}

#[test]
fn the_contract_is_linked_without_its_drafts() {
    let linker = linker();
    for (interface, functions) in contract_functions() {
        // What guests export, the host does not link.
        if interface.ends_with("-handler") || interface == "middleware" {
            continue;
        }
        let full = format!("turntable:bot/{interface}@0.1.0");
        for (function, draft) in functions {
            assert_eq!(holds_function(&linker, &full, &function), !draft, "`{function}` of {full}");
        }
    }
}
