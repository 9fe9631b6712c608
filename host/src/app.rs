//! The only constructor: a [`Config`] becomes a running [`App`].

use std::sync::Arc;

use crate::channel::directline::DirectLine;
use crate::config::Config;
use crate::delivery::Deliveries;
use crate::registry::Registry;
use crate::storage::Storage;
use crate::turn::Turns;

/// The parts of a running host, as the HTTP edge sees them.
pub struct App {
    /// The configuration it was built from.
    pub config: Arc<Config>,
    /// Bots, their generations and their status.
    pub registry: Arc<Registry>,
    /// The one entry of every activity.
    pub turns: Arc<Turns>,
    /// What outlives a turn.
    pub storage: Arc<dyn Storage>,
    /// The delivery lanes.
    pub deliveries: Arc<Deliveries>,
    /// The local Direct Line channel.
    pub directline: Arc<DirectLine>,
}
