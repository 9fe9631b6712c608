//! `config.wit`: the settings of the plugin.

use super::wit;
use crate::guest::GuestState;

impl wit::config::Host for GuestState {
    fn get(&mut self, key: String) -> anyhow::Result<Option<String>> {
        self.enter()?;
        Ok(self.plugin.settings.get(&key).cloned())
    }

    fn keys(&mut self) -> anyhow::Result<Vec<String>> {
        self.enter()?;
        Ok(self.plugin.settings.keys().cloned().collect())
    }
}
