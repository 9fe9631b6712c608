//! Limits concurrent calls, so that one unresponsive peer cannot occupy all of them.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Maximum number of concurrent calls.
const CALLS_MAX: usize = 256;
/// Maximum number of concurrent calls to one origin.
const CALLS_PER_ORIGIN_MAX: usize = 64;
/// Number of origins above which idle ones are removed.
const ORIGINS_REMEMBERED: usize = 256;

pub(super) struct Slots {
    all: Arc<Semaphore>,
    by_origin: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Permission to make one call. Released on drop.
pub(super) struct Slot {
    _origin: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(CALLS_MAX)), by_origin: Mutex::default() }
    }

    /// Waits for a slot of the origin, then for one of all calls. A call that waits for its origin holds no global
    /// slot.
    pub(super) async fn acquire(&self, service_url: &str) -> Slot {
        // The semaphores are never closed, so each wait ends with a permit.
        let origin = self.origin(service_url).acquire_owned().await.ok();
        let all = self.all.clone().acquire_owned().await.ok();
        Slot { _origin: origin, _all: all }
    }

    fn origin(&self, service_url: &str) -> Arc<Semaphore> {
        let origin = Url::parse(service_url).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        let mut by_origin = self.by_origin.lock();
        if by_origin.len() >= ORIGINS_REMEMBERED {
            // Permits and waiting calls hold a reference to the semaphore too.
            by_origin.retain(|_, calls| Arc::strong_count(calls) > 1);
        }
        by_origin.entry(origin).or_insert_with(|| Arc::new(Semaphore::new(CALLS_PER_ORIGIN_MAX))).clone()
    }
}
