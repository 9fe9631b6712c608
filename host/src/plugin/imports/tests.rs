//! What the preflight says this host links is what the linker holds: each function, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use wasmtime::Engine;
use wasmtime::component::ResourceType;
use wit_parser::Resolve;

use super::*;
use crate::plugin::engine::code_settings;
use crate::plugin::preflight::{contract_functions, wasi_functions};

/// Functions and resources by interface, without versions.
type Names = BTreeMap<String, BTreeSet<String>>;

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

/// The folder of a crate that this host is built with, as cargo knows it.
fn crate_folder(name: &str) -> PathBuf {
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--manifest-path"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml"))
        .output()
        .unwrap();
    let metadata: serde_json::Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let package = packages.iter().find(|package| package["name"] == name).unwrap();
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}

/// Every interface that those crates could link, with the unstable ones, and all that the linker holds of each.
fn linked_wasi() -> Names {
    let (linker, mut linked) = (linker(), Names::new());
    for folder in [crate_folder("wasmtime-wasi").join("src/p2/wit"), crate_folder("wasmtime-wasi-http").join("wit")] {
        let mut resolve = Resolve { all_features: true, ..Resolve::default() };
        resolve.push_dir(&folder).expect("those crates keep their WIT files there");
        for (id, interface) in resolve.interfaces.iter().filter(|(_, interface)| interface.name.is_some()) {
            let full = resolve.id_of(id).unwrap();
            let path = full.split('@').next().unwrap().to_owned();
            let functions = interface.functions.keys().filter(|function| holds_function(&linker, &full, function));
            let functions: BTreeSet<String> = functions.cloned().collect();
            if !functions.is_empty() || interface.types.keys().any(|name| holds_resource(&linker, &full, name)) {
                linked.insert(path, functions);
            }
        }
    }
    linked
}

#[test]
fn the_catalogue_of_wasi_is_what_is_linked() {
    similar_asserts::assert_eq!(wasi_functions(), linked_wasi());
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
