//! Bounds the calls that are under way at once, so that one silent peer cannot take all of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Calls under way at once.
const CALLS_MAX: usize = 256;
/// Calls under way at once to one origin.
const CALLS_PER_ORIGIN_MAX: usize = 64;
/// Idle origins are forgotten when there are more than that.
const ORIGINS_REMEMBERED: usize = 256;

pub(super) struct Slots {
    all: Arc<Semaphore>,
    by_origin: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// The right to make one call, until it is dropped.
pub(super) struct Slot {
    _origin: Option<OwnedSemaphorePermit>,
    _all: Option<OwnedSemaphorePermit>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { all: Arc::new(Semaphore::new(CALLS_MAX)), by_origin: Mutex::default() }
    }

    /// Waits for a slot, first among the calls to the same origin: whoever waits there holds nothing that others need.
    pub(super) async fn acquire(&self, service_url: &str) -> Slot {
        // The semaphores are never closed, so each wait ends with a permit.
        let origin = self.origin(service_url).acquire_owned().await.ok();
        let all = self.all.clone().acquire_owned().await.ok();
        Slot { _origin: origin, _all: all }
    }

    fn origin(&self, service_url: &str) -> Arc<Semaphore> {
        let origin = Url::parse(service_url).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
        let mut by_origin = self.by_origin.lock().unwrap_or_else(PoisonError::into_inner);
        if by_origin.len() >= ORIGINS_REMEMBERED {
            // A permit and everyone who waits for one hold the semaphore too.
            by_origin.retain(|_, calls| Arc::strong_count(calls) > 1);
        }
        by_origin.entry(origin).or_insert_with(|| Arc::new(Semaphore::new(CALLS_PER_ORIGIN_MAX))).clone()
    }
}
