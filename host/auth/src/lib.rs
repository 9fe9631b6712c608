//! Who calls a bot, and how a bot proves itself to those whom it calls.
//!
//! This crate hides which tokens are trusted and where keys come from. The rest of the host asks it
//! whether the sender of a request may talk to a bot, and makes the requests to connectors, so that no other code sees a
//! token of the bot. A bot with a registration has an [`Identity`].

mod acquire;
mod assertion;
mod fetch;
mod issuer;
mod jwks;
mod keys;
mod outgoing;
mod probe;
mod refused;
mod ticket;
mod token;

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use anyhow::Context;
use parking_lot::{Mutex, RwLock};
use reqwest::Certificate;
use tokio::runtime::Handle;
use turntable_config::{Registration, Tls};
use turntable_outbound::Reach;

use acquire::Tokens;
use fetch::Caller;
pub use issuer::BridgeIssuer;
use keys::KeyServer;
use outgoing::Proofs;
pub use outgoing::{Presented, Proof};
pub use probe::KeysProbe;
pub use refused::{Answer, Refused};
pub use ticket::{TICKET_KEY_BYTES, Ticket, Tickets};
use token::Issuer;

/// The identities of all bots that have a registration.
pub struct Auth {
    runtime: Handle,
    roots: Vec<Certificate>,
    servers: Mutex<HashMap<String, Weak<KeyServer>>>,
    bots: RwLock<HashMap<Arc<str>, Arc<Identity>>>,
    proofs: Proofs,
}

/// The identity of one bot under one registration.
pub struct Identity {
    registration: Arc<Registration>,
    channel_keys: Arc<KeyServer>,
    entra_keys: Arc<KeyServer>,
    bot: Arc<str>,
    reach: Reach,
    roots: Vec<Certificate>,
    caller: Caller,
    tokens: Arc<Tokens>,
    proofs: Proofs,
}

/// The sender of a request, whose token is valid for the bot.
pub struct Sender {
    caller: token::Caller,
    registration: Arc<Registration>,
}

impl Auth {
    /// Returns an empty set of identities. Keys are fetched in tasks of the runtime.
    ///
    /// # Errors
    /// A file of `tls.root-certificates` cannot be read or is not PEM.
    pub fn new(tls: &Tls, runtime: Handle) -> anyhow::Result<Self> {
        let mut roots = Vec::new();
        for path in &tls.root_certificates {
            let read = std::fs::read(path).map_err(anyhow::Error::from);
            let read = read.and_then(|pem| Ok(Certificate::from_pem_bundle(&pem)?));
            let certificates = read.with_context(|| format!("tls.root-certificates: {}", path.display()))?;
            anyhow::ensure!(!certificates.is_empty(), "tls.root-certificates: {} has no certificate", path.display());
            roots.extend(certificates);
        }
        Ok(Self { runtime, roots, servers: Mutex::default(), bots: RwLock::default(), proofs: Proofs::default() })
    }

    /// Gives a bot the identity of this registration, or takes its identity away.
    ///
    /// # Errors
    /// The HTTP client cannot be created. The bot then has no identity.
    pub fn register(&self, bot: &Arc<str>, registration: Option<&Arc<Registration>>) -> anyhow::Result<()> {
        if let (Some(known), Some(registration)) = (self.identity(bot), registration)
            && known.registration == *registration
        {
            return Ok(());
        }
        let identity = registration.map(|registration| self.identity_of(bot, registration)).transpose();
        let mut bots = self.bots.write();
        match identity {
            Ok(Some(identity)) => {
                bots.insert(bot.clone(), Arc::new(identity));
                Ok(())
            }
            Ok(None) => {
                bots.remove(bot);
                Ok(())
            }
            Err(error) => {
                bots.remove(bot);
                Err(error)
            }
        }
    }

    /// Returns the identity of a bot. None: it has no registration.
    pub fn identity(&self, bot: &str) -> Option<Arc<Identity>> {
        self.bots.read().get(bot).cloned()
    }

    fn identity_of(&self, bot: &Arc<str>, registration: &Arc<Registration>) -> anyhow::Result<Identity> {
        let cloud = &registration.cloud;
        let reach = Reach::public().and(cloud.inner_addresses.iter().copied());
        let caller = Caller::new(reach.clone(), &self.roots)?;
        let keys = |metadata: &str| self.keys_of(metadata, &caller, &cloud.inner_addresses);
        let (channel_keys, entra_keys) = (keys(&cloud.channel_metadata), keys(&cloud.entra_metadata));
        let tokens = Tokens::new(registration.clone(), caller.clone(), self.roots.clone(), self.runtime.clone());
        Ok(Identity {
            registration: registration.clone(),
            channel_keys,
            entra_keys,
            bot: bot.clone(),
            reach,
            roots: self.roots.clone(),
            caller,
            tokens: Arc::new(tokens),
            proofs: self.proofs.clone(),
        })
    }

    /// Returns the keys behind a URL of metadata. Bots with the same servers share them.
    fn keys_of(&self, metadata: &str, caller: &Caller, reach: &[std::net::IpAddr]) -> Arc<KeyServer> {
        let mut servers = self.servers.lock();
        servers.retain(|_, server| server.strong_count() > 0);
        let name = format!("{metadata} {reach:?}");
        if let Some(server) = servers.get(&name).and_then(Weak::upgrade) {
            return server;
        }
        let server = KeyServer::start(metadata, caller.clone(), &self.runtime);
        servers.insert(name, Arc::downgrade(&server));
        server
    }
}

impl Identity {
    /// The registration of the bot.
    pub fn registration(&self) -> &Arc<Registration> {
        &self.registration
    }

    /// Checks the token in the `Authorization` headers of a request. `now` is the time of day in seconds since 1970.
    ///
    /// # Errors
    /// The token is not valid for the bot, or the keys of its issuer are not known.
    pub async fn authenticate<'h>(
        &self,
        headers: impl IntoIterator<Item = &'h [u8]>,
        now: u64,
    ) -> Result<Sender, Refused> {
        let token = token::bearer(headers)?;
        let claimed = token::claimed(token, &self.registration)?;
        let keys = match claimed.issuer {
            Issuer::Channel => &self.channel_keys,
            Issuer::Entra(_) => &self.entra_keys,
        };
        let key = keys.key(&claimed.key_id).await?;
        let caller = token::verify(token, &claimed, &key, &self.registration, now)?;
        Ok(Sender { caller, registration: self.registration.clone() })
    }
}

impl Sender {
    /// Checks that the sender may send an activity with these members. Returns the name of the channel within the bot: the
    /// `channelId` of a channel's activity. Activities of apps have `CHANNEL#APP-ID`, so that an app cannot name a
    /// conversation of a channel.
    ///
    /// # Errors
    /// The sender may not speak for the channel, or may not name the `serviceUrl`.
    pub fn admit(&self, channel_id: &str, service_url: &str) -> Result<String, Refused> {
        self.caller.admit(channel_id, service_url, &self.registration)
    }
}
