//! Plugins at run time: the only module that knows wasmtime.
//!
//! [`Runtime`] turns bytes into [`Code`] (checked, compiled, pre-linked; one per digest), a [`Plugin`] is code with one
//! bot's settings and limits, and an instance of it lives for one turn.

pub mod aot;
pub mod compile;
pub mod engine;
pub mod limits;
pub mod manifest;
pub mod preflight;

use std::sync::Arc;

pub use limits::Limits;
pub use manifest::Manifest;

/// One component of one bot, ready to serve.
pub struct Plugin {
    /// Name in the configuration.
    pub name: Arc<str>,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: Arc<str>,
}
