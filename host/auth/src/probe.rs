//! Asks the servers of an identity, for an operator who wants to know whether a bot could work.

use crate::Identity;
use crate::fetch;
use crate::outgoing::bearer;

/// The answer of one key server.
pub struct KeysProbe {
    /// The URL of the metadata.
    pub metadata: String,
    /// The number of usable keys, and the `Date` of the answer.
    pub answer: anyhow::Result<(usize, Option<String>)>,
}

impl Identity {
    /// Fetches the keys of channels and of Entra.
    pub async fn probe_keys(&self) -> [KeysProbe; 2] {
        let probe = async |server: &crate::keys::KeyServer| KeysProbe {
            metadata: server.metadata().to_owned(),
            answer: server.probe().await,
        };
        [probe(&self.channel_keys).await, probe(&self.entra_keys).await]
    }

    /// Gets a token for channels.
    ///
    /// # Errors
    /// The bot has no credential, or the token server does not accept it.
    pub async fn probe_token(&self) -> anyhow::Result<()> {
        self.tokens.get(&self.registration.cloud.scope).await.map(drop)
    }

    /// Calls a connector at an origin of `auth.service-origins` with a token, and returns the status of its answer.
    ///
    /// # Errors
    /// There is no token, or the connector cannot be reached.
    pub async fn probe_connector(&self, origin: &str) -> anyhow::Result<u16> {
        let token = self.tokens.get(&self.registration.cloud.scope).await?;
        let request = self.caller.get(&format!("{origin}/v3/conversations"))?;
        Ok(fetch::any_answer(bearer(request, &token)).await?.0)
    }
}
