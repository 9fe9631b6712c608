//! Components that were built before the specs run.

use std::path::{Path, PathBuf};

use super::skip;

/// Returns the path of a built component, or skips the running spec aloud and returns none.
///
/// They stand in the folder named by `TURNTABLE_COMPONENTS`, by default `target/components`.
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
