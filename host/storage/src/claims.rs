//! Claims of activities whose first run is going on in this process, and the redeliveries that wait for its answer.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::{Accepted, Answer, DeduplicationKey};

/// The running activities of this process.
#[derive(Default)]
pub(super) struct Claims(Mutex<HashMap<DeduplicationKey, Run>>);

struct Run {
    turn_id: Arc<str>,
    /// Dropped without a value when the run is released.
    answer: watch::Sender<Option<Answer>>,
    /// The answer of the last flush.
    flushed: Option<Answer>,
}

impl Claims {
    /// Claims an activity for a turn, or returns the run that has claimed it.
    pub(super) fn claim(&self, key: &DeduplicationKey, turn_id: &Arc<str>) -> Option<Accepted> {
        let mut running = self.0.lock();
        if let Some(run) = running.get(key) {
            return Some(Accepted::Running { turn_id: run.turn_id.clone(), answer: run.answer.subscribe() });
        }
        let run = Run { turn_id: turn_id.clone(), answer: watch::Sender::new(None), flushed: None };
        running.insert(key.clone(), run);
        None
    }

    /// Ends a claim with the answer of its run.
    pub(super) fn finish(&self, key: &DeduplicationKey, answer: Answer) {
        if let Some(run) = self.0.lock().remove(key) {
            run.answer.send_replace(Some(answer));
        }
    }

    /// Notes the answer of a flush, which is the answer of the run if its turn fails.
    pub(super) fn flushed(&self, key: &DeduplicationKey, answer: Answer) {
        if let Some(run) = self.0.lock().get_mut(key) {
            run.flushed = Some(answer);
        }
    }

    /// Ends a claim whose run failed: those that wait get the answer of the last flush, or none.
    pub(super) fn release(&self, key: &DeduplicationKey) {
        if let Some(Run { answer, flushed: Some(flushed), .. }) = self.0.lock().remove(key) {
            answer.send_replace(Some(flushed));
        }
    }
}
