//! Bridged bots: a bot of another SDK, in a process of its own, as the last handler of a bot.
//!
//! The host plays channel and connector for it. The turn posts the activity to the other bot, with a `serviceUrl` of the host,
//! and meanwhile performs the calls that the other bot makes there: its sends are staged like those of a plugin. The other
//! bot's part of the turn is over when it has answered and none of its calls is open. What it sends later is a proactive
//! message (`late.rs`).
//!
//! A bot that is down, or goes away during the call, gets the activity again once it is back, for up to `bridge-wait-ms`:
//! what it had staged is undone, and the conversation waits. Code of a bridged bot therefore runs at least once, like that of
//! a plugin.

mod answer;
mod exchange;
pub mod late;

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use turntable_auth::{BridgeIssuer, TICKET_KEY_BYTES, Ticket, Tickets};

use crate::activity::{Activity, ChannelInstance, ConversationKey};
use crate::channel::bridge::BridgeClient;
use crate::config::{self, Tls};
use crate::plugin::Fault;
use crate::secret;

/// Calls of one turn that wait at most; further callers wait for their place.
const CALLS_MAX: usize = 64;

/// The bridged bots of a host, and the turns that wait for one.
pub struct Bridges {
    client: BridgeClient,
    tickets: Tickets,
    /// Signs tokens for bridged bots with an app id. Its key is made when the first of them is needed.
    issuer: Mutex<Option<Arc<BridgeIssuer>>>,
    issuer_key: PathBuf,
    /// The public listener as local bots reach it.
    public: String,
    /// The runtime of the transport threads, to which connections belong.
    runtime: Handle,
    /// By conversation, the turn that waits for the bridged bot. There is at most one, because turns of a conversation
    /// do not overlap.
    open: Mutex<HashMap<ConversationKey, Door>>,
}

/// A way into the turn that waits for the bridged bot. The turn goes on when every door is dropped.
#[derive(Clone)]
pub struct Door {
    /// The activity that the bridged bot got.
    pub activity: Arc<Activity>,
    calls: mpsc::Sender<Call>,
}

/// What a bridged bot does to its conversation. The activities are JSON text.
#[derive(Debug, Clone)]
pub enum Change {
    /// Sends an activity, as a reply to another one unless the id is empty.
    Send {
        /// The activity.
        activity: Arc<str>,
        /// The id of the other one.
        reply_to: Arc<str>,
    },
    /// Replaces an activity.
    Update {
        /// Its id, of the host or of the channel.
        id: Arc<str>,
        /// What replaces it.
        activity: Arc<str>,
    },
    /// Deletes the activity with this id.
    Delete(Arc<str>),
}

/// A change that waits for the turn to perform it, and for the id that results.
struct Call {
    change: Change,
    done: oneshot::Sender<Result<Arc<str>, Fault>>,
}

/// An open turn. The entry ends with this value.
struct Open {
    bridges: Arc<Bridges>,
    key: ConversationKey,
    calls: mpsc::Receiver<Call>,
}

impl Bridges {
    /// Returns the bridges of a host that listens at `public`. The key of the tickets is in the data folder, and is created
    /// there if it is missing.
    ///
    /// # Errors
    /// The key cannot be read or created, or the HTTP client cannot be created.
    pub fn new(data_dir: &Path, tls: &Tls, public: SocketAddr, runtime: Handle) -> anyhow::Result<Self> {
        let path = data_dir.join("bridge-key");
        let make = || {
            let mut key = vec![0; TICKET_KEY_BYTES];
            getrandom::fill(&mut key).map_err(|error| anyhow::anyhow!("no random bits: {error}"))?;
            Ok(key)
        };
        let key = secret::read_or_create(&path, TICKET_KEY_BYTES as u64, make);
        let key = key.with_context(|| format!("the key of bridges, {}", path.display()))?;
        let key = <&[u8; TICKET_KEY_BYTES]>::try_from(key.as_slice())
            .with_context(|| format!("{} does not have {TICKET_KEY_BYTES} bytes; remove it", path.display()))?;
        Ok(Self {
            client: BridgeClient::new(tls)?,
            tickets: Tickets::new(key)?,
            issuer: Mutex::default(),
            issuer_key: data_dir.join("bridge-issuer-key"),
            public: format!("http://{}", reached_at(public)),
            runtime,
            open: Mutex::default(),
        })
    }

    /// Returns the `serviceUrl` that a bridged bot gets for activities of a channel with this `serviceUrl`.
    ///
    /// # Errors
    /// The ticket cannot be signed.
    pub fn service_url(
        &self,
        bridge: &config::Bridge,
        bot: &str,
        channel: &ChannelInstance,
        service_url: &str,
    ) -> anyhow::Result<String> {
        let ticket = Ticket { channel: channel.to_string(), service_url: service_url.to_owned() };
        Ok(format!("{}/{}", self.base(bridge, bot), self.tickets.write(bot, &ticket)?))
    }

    /// Returns the URL under which a bridged bot reaches the host, which is also the issuer of its tokens.
    pub fn base(&self, bridge: &config::Bridge, bot: &str) -> String {
        format!("{}/api/bots/{bot}/bridge", bridge.callback.as_deref().unwrap_or(&self.public))
    }

    /// Returns the issuer of tokens. Its key is in the data folder, and is created there if it is missing.
    ///
    /// # Errors
    /// The key cannot be read or created.
    pub fn issuer(&self) -> anyhow::Result<Arc<BridgeIssuer>> {
        let mut issuer = self.issuer.lock();
        if let Some(issuer) = &*issuer {
            return Ok(issuer.clone());
        }
        let read = || BridgeIssuer::new(&secret::read_or_create(&self.issuer_key, 16 << 10, BridgeIssuer::make_key)?);
        let made = Arc::new(read().with_context(|| format!("the key of tokens, {}", self.issuer_key.display()))?);
        Ok(issuer.insert(made).clone())
    }

    /// Reads the ticket in a `serviceUrl` of a bot. None: the host did not write it.
    pub fn ticket(&self, bot: &str, text: &str) -> Option<(ChannelInstance, String)> {
        let ticket = self.tickets.read(bot, text)?;
        Some((ChannelInstance::named(&ticket.channel), ticket.service_url))
    }

    /// Returns the door to the turn of a conversation that waits for the bridged bot. None: none does.
    pub fn door(&self, conversation: &ConversationKey) -> Option<Door> {
        self.open.lock().get(conversation).cloned()
    }

    fn open(self: &Arc<Self>, key: &ConversationKey, activity: &Arc<Activity>) -> Open {
        let (sender, calls) = mpsc::channel(CALLS_MAX);
        self.open.lock().insert(key.clone(), Door { activity: activity.clone(), calls: sender });
        Open { bridges: self.clone(), key: key.clone(), calls }
    }
}

impl Door {
    /// Returns whether a send belongs to the turn: it answers the activity of the turn, or none in particular.
    pub fn is_for(&self, reply_to: &str) -> bool {
        reply_to.is_empty() || reply_to == self.activity.id()
    }

    /// Lets the turn perform a change, and returns the id of what was sent. None: the turn ended without performing it.
    pub async fn perform(self, change: Change) -> Option<Result<Arc<str>, Fault>> {
        let (done, result) = oneshot::channel();
        self.calls.send(Call { change, done }).await.ok()?;
        drop(self);
        result.await.ok()
    }
}

impl Open {
    /// Lets nobody new in.
    fn shut(&self) {
        self.bridges.open.lock().remove(&self.key);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Returns the address at which a process on this machine reaches a listener.
fn reached_at(mut listener: SocketAddr) -> SocketAddr {
    match listener {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => listener.set_ip(Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => listener.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    listener
}
