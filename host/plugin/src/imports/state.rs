//! `state.wit`: values that outlive a turn.

use super::{HostResult, wit};
use crate::guest::GuestState;

impl wit::state::Host for GuestState {
    async fn get(&mut self, scope: String, key: String) -> HostResult<Option<wit::state::Entry>> {
        let turn = match self.enter_turn()? {
            Ok(turn) => turn,
            Err(fault) => return Ok(Err(fault)),
        };
        let entry = turn.state_get(&scope, &key).await;
        Ok(entry
            .map(|entry| {
                entry.map(|entry| wit::state::Entry { value: entry.value.to_string(), etag: entry.etag.to_string() })
            })
            .map_err(Into::into))
    }

    async fn set(&mut self, scope: String, key: String, value: String, etag: Option<String>) -> HostResult<String> {
        self.write_state(&scope, &key, Some(&value), etag.as_deref()).await
    }

    async fn remove(&mut self, scope: String, key: String, etag: Option<String>) -> HostResult<()> {
        Ok(self.write_state(&scope, &key, None, etag.as_deref()).await?.map(drop))
    }
}

impl GuestState {
    async fn write_state(
        &mut self,
        scope: &str,
        key: &str,
        value: Option<&str>,
        etag: Option<&str>,
    ) -> HostResult<String> {
        let turn = match self.enter_turn()? {
            Ok(turn) => turn,
            Err(fault) => return Ok(Err(fault)),
        };
        let etag = turn.state_set(scope, key, value, etag).await;
        Ok(etag.map(|etag| etag.to_string()).map_err(Into::into))
    }
}
