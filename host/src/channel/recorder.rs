//! A channel that delivers nothing and records the activities, in the form in which transcripts are stored.

use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use super::{Address, Channel, ChannelError, read};
use crate::activity::Object;

/// Accepts every activity and keeps it until [`Recorder::take`].
#[derive(Default)]
pub struct Recorder {
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    activities: Vec<Object>,
    /// Number of ids that were assigned.
    ids: u64,
}

impl Recorder {
    /// Takes the activities recorded since the last call, in order and with their assigned ids. An update is recorded
    /// as a `messageUpdate` with the new content, and a deletion as a `messageDelete`, each with the id of its target.
    pub fn take(&self) -> Vec<Object> {
        std::mem::take(&mut self.lock().activities)
    }

    fn note(&self, mut activity: Object, kind: Option<&str>, id: &str) {
        activity.insert("id".to_owned(), id.into());
        if let Some(kind) = kind {
            activity.insert("type".to_owned(), Value::from(kind));
        }
        self.lock().activities.push(activity);
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock()
    }
}

#[async_trait]
impl Channel for Recorder {
    async fn send(&self, _to: &Address, activity: &Arc<str>) -> Result<Arc<str>, ChannelError> {
        let id = {
            let mut noted = self.lock();
            noted.ids += 1;
            format!("replay-{}", noted.ids)
        };
        self.note(read(activity)?, None, &id);
        Ok(id.into())
    }

    async fn update(&self, _to: &Address, id: &str, activity: &Arc<str>) -> Result<(), ChannelError> {
        self.note(read(activity)?, Some("messageUpdate"), id);
        Ok(())
    }

    async fn delete(&self, _to: &Address, id: &str) -> Result<(), ChannelError> {
        self.note(Object::new(), Some("messageDelete"), id);
        Ok(())
    }
}
