//! Components of modules: what the compilers of Go and C write for WASI 0.1 becomes a component of the contract.
//!
//! **The decision that is hidden here** is how a module becomes a component: which adapter brings WASI 0.1 to WASI 0.2, and
//! how the contract is attached. Authors need no tools beside their compiler. The crate opens no files but those of the
//! contract.

use std::path::Path;

use anyhow::Context;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Returns the component of a module whose imports and exports are those of a world of the contract.
///
/// `wit` is the folder of the contract. The component imports only what the module imports.
///
/// # Errors
///
/// The contract cannot be read, or the module does not fit the world: an export is missing or has another signature, or an
/// import is unknown. The error names it.
pub fn component(module: &[u8], wit: &Path, world: &str) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(wit).with_context(|| format!("the contract in {}", wit.display()))?;
    let world = resolve.select_world(&[package], Some(world))?;
    let mut module = module.to_vec();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
    ComponentEncoder::default()
        .validate(true)
        .module(&module)?
        .adapter(WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER)?
        // The adapter needs memory before the runtime of Go has started, so the allocator of the module cannot give it.
        .realloc_via_memory_grow(true)
        .encode()
}

#[cfg(test)]
mod tests;
