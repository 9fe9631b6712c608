//! State of a turn: scopes are read at their first use, without the lock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Effects;
use crate::plugin::{Fault, Plugin};
use crate::storage::{StateScope, StateValue, StorageError};
use crate::turn::contention::SEAT_HOLD_MIN;
use crate::turn::state::checked_scope;

/// How long a turn that flushed may hold up others while it waits for a further seat itself. It is short, because such
/// turns take their seats in the order in which they read, so two of them may wait for each other.
const LATE_SEAT_HOLD: Duration = Duration::from_millis(250);

impl Effects {
    /// Reads a value, as this turn sees it.
    pub(super) async fn state_get(&self, plugin: &Plugin, scope: &str, key: &str) -> Result<Option<StateValue>, Fault> {
        let scope = self.open(plugin, scope, key).await?;
        Ok(self.staging().state.get(&scope, key).cloned())
    }

    /// Stages a value, or with `None` its removal. Returns the new etag.
    pub(super) async fn state_set(
        &self,
        plugin: &Plugin,
        scope: &str,
        key: &str,
        value: Option<&str>,
        etag: Option<&str>,
    ) -> Result<Arc<str>, Fault> {
        let scope = self.open(plugin, scope, key).await?;
        self.staging().state.set(scope, key, value, etag, plugin.limits.state_bytes_per_scope)
    }

    /// Checks grant and key, and makes sure that the scope is loaded.
    async fn open(&self, plugin: &Plugin, scope: &str, key: &str) -> Result<StateScope, Fault> {
        let scope = checked_scope(&self.context.inbound, plugin, scope, key)?;
        let wanted = self.staging().wants_seat(&scope, key);
        if let Some(key) = wanted {
            self.staging().hold_seats(LATE_SEAT_HOLD);
            let hold = plugin.limits.cpu.max(SEAT_HOLD_MIN);
            let seats = self.context.contention.sit(BTreeSet::from([key.clone()]), hold).await;
            self.staging().sit(key, seats);
            self.staging().hold_seats(hold);
            self.load(&scope).await?;
        } else if !self.staging().state.is_loaded(&scope) {
            self.load(&scope).await?;
        }
        Ok(scope)
    }

    /// Reads a scope anew. What the turn wrote stays staged.
    async fn load(&self, scope: &StateScope) -> Result<(), Fault> {
        // A commit that becomes durable while the store is read may be in what is read or not.
        let open = self.staging().state.open_commits();
        let values = self.context.services.storage.load_state(scope).await.map_err(|error| unreadable(&error))?;
        self.staging().state.loaded(scope, values, &open);
        Ok(())
    }
}

fn unreadable(error: &StorageError) -> Fault {
    Fault { retry_after_ms: Some(1_000), ..Fault::new("unavailable", format!("state cannot be read: {error}")) }
}
