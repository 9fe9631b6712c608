//! Turntable: a WebAssembly plugin host for bots that speak the Activity protocol.
//!
//! The modules are listed in the order in which an activity passes them. `ARCHITECTURE.md` has a map and the
//! invariants.

pub use turntable_config as config;
use turntable_config::secret;

pub mod app;
pub mod http;
pub mod serve;

pub use turntable_activity as activity;
pub use turntable_activity::json;

pub mod turn;

pub use turntable_dialog as dialog;

pub mod registry;

pub use turntable_plugin as plugin;

pub mod delivery;

pub mod channel;

pub use turntable_storage as storage;

pub mod transcript;

mod budget;
pub mod cli;
mod clock;
mod colours;
pub mod telemetry;
pub use turntable_plugin::threads;
