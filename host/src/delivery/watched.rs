//! Outcomes of the rows of a turn, for the code that started the turn.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::watch;

/// How the delivery of a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The channel accepted the row.
    Delivered,
    /// The channel accepts nothing for the conversation any more.
    Gone,
    /// The row became a dead letter.
    Dead,
}

/// The turns that are being watched.
#[derive(Default)]
pub(super) struct Watched(Mutex<HashMap<Arc<str>, watch::Sender<Vec<Outcome>>>>);

/// Receives the outcomes of the rows of a turn until it is dropped.
pub struct DeliveryWatch {
    watched: Arc<Watched>,
    turn_id: Arc<str>,
    outcomes: watch::Receiver<Vec<Outcome>>,
}

impl Watched {
    pub(super) fn watch(self: &Arc<Self>, turn_id: Arc<str>) -> DeliveryWatch {
        let (sender, outcomes) = watch::channel(Vec::new());
        self.lock().insert(turn_id.clone(), sender);
        DeliveryWatch { watched: self.clone(), turn_id, outcomes }
    }

    pub(super) fn note(&self, turn_id: &str, outcome: Outcome) {
        if let Some(sender) = self.lock().get(turn_id) {
            sender.send_modify(|outcomes| outcomes.push(outcome));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, watch::Sender<Vec<Outcome>>>> {
        self.0.lock()
    }
}

impl DeliveryWatch {
    /// Waits until `rows` rows have ended, and returns their outcomes.
    pub async fn ended(&mut self, rows: usize) -> Vec<Outcome> {
        // The sender exists until this value is dropped.
        let ended = self.outcomes.wait_for(|outcomes| outcomes.len() >= rows).await;
        ended.map(|outcomes| outcomes.clone()).unwrap_or_default()
    }
}

impl Drop for DeliveryWatch {
    fn drop(&mut self) {
        self.watched.lock().remove(&self.turn_id);
    }
}
