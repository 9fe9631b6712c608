//! The manifest that `describe` returns.

use serde::Deserialize;

/// What a plugin says of itself (`wit/manifest.schema.json`).
#[derive(Debug, Clone, Deserialize)]
pub struct Manifest {
    /// The plugin's own name.
    pub name: String,
    /// The plugin's version.
    pub version: String,
}
