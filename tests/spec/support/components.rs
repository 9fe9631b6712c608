//! Components that were built before the specs run.

use std::path::{Path, PathBuf};

use super::skip;

/// Returns the path of a built component. If it is missing, reports the skipped spec and returns none.
///
/// Components are in the folder `TURNTABLE_COMPONENTS`, by default `target/components`.
pub(crate) fn component(name: &str) -> Option<PathBuf> {
    let path = folder().join(format!("{name}.wasm"));
    if path.is_file() {
        return Some(path);
    }
    skip(&format!("the component {} is not built; `make plugins` builds it", path.display()));
    None
}

fn folder() -> PathBuf {
    match std::env::var_os("TURNTABLE_COMPONENTS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/components"),
    }
}

/// Returns the echo plugin with an additional core module that has many large functions.
pub(crate) fn compile_bomb(plugin: &Path) -> Vec<u8> {
    let body = "(local.set 0 (i64.mul (local.get 0) (i64.add (local.get 0) (i64.const 3))))".repeat(4_000);
    let functions = format!("(func (param i64) (result i64) {body} (local.get 0))").repeat(60);
    let module = wat::parse_str(format!("(module {functions})")).unwrap();
    let mut component = std::fs::read(plugin).unwrap();
    // A section of a component: the id (1 is a core module), then the length in LEB128.
    component.push(1);
    let mut length = module.len();
    while length >= 0x80 {
        component.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    component.push(length as u8);
    component.extend(module);
    component
}
