//! The host's own Direct Line 3.0 channel: conversations that live in this process and are lost with it.
//!
//! [`DirectLine`] finds conversations, [`Conversation`] is one: its history, its watermark, its subscriber. The HTTP side
//! (`http/directline.rs`) brings activities in; what bots send arrives through [`Channel`].
//!
//! Direct Line has no frames for changes, so both travel as activities (`protocol/directline.md` §1 has nothing better):
//! an update is the new activity under the id, the timestamp and the place in the history of the old one; a deletion is an
//! activity of type `messageDelete` in its place. Pollers see either as soon as their watermark is older than the change.

mod conversation;
mod identity;
mod log;
#[cfg(test)]
mod tests;
mod uploads;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

pub use self::conversation::{Conversation, Door, Introduction, Stamped, Start};
pub use self::identity::Account;
pub use self::log::{StreamUsed, Subscription};
pub use self::uploads::{Upload, Uploads};
use super::{Address, Channel, ChannelError};
use crate::activity::Object;
use crate::config::Config;

/// `channelId` of every activity of this channel.
pub const CHANNEL_ID: &str = "directline";

/// Conversations kept at once. With the bound on each history, they take at most 1 GiB.
const CONVERSATIONS_MAX: usize = 2_048;
/// A conversation that nobody used for this long is forgotten; its client is told that it has ended.
const IDLE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// How often the idle ones are looked for, at most.
const SWEEP_AFTER: Duration = Duration::from_secs(60);

/// The conversations of the local Direct Line, and the files uploaded to them.
pub struct DirectLine {
    service_url: Arc<str>,
    conversations: Mutex<Conversations>,
    uploads: Uploads,
}

struct Conversations {
    by_id: HashMap<Arc<str>, Arc<Conversation>>,
    swept: Instant,
}

impl DirectLine {
    /// The URL under which this machine reaches the host; of a listener at all addresses, the one on loopback.
    pub fn service_url(&self) -> &str {
        &self.service_url
    }

    /// Makes the channel of a host whose public listener is bound to `public`.
    pub fn new(config: &Config, public: SocketAddr) -> Self {
        Self {
            service_url: service_url(public),
            conversations: Mutex::new(Conversations { by_id: HashMap::new(), swept: Instant::now() }),
            uploads: Uploads::new(config.server.upload_bytes_max),
        }
    }

    /// Returns an id nobody guesses: 128 random bits in hexadecimal, as clients put it into URLs unencoded.
    ///
    /// # Errors
    /// Where the system has no random bits.
    pub fn new_id() -> anyhow::Result<String> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits).map_err(|error| anyhow::anyhow!("no random bits: {error}"))?;
        Ok(hex::encode(bits))
    }

    /// Starts the conversation, or returns the one that was started under this id; true where it is new.
    ///
    /// With too many conversations the one that was used least recently is forgotten, a connected one last.
    pub fn start(&self, start: Start) -> (Arc<Conversation>, bool) {
        let mut conversations = self.lock();
        conversations.sweep();
        if let Some(conversation) = conversations.by_id.get(&start.id) {
            return (conversation.clone(), false);
        }
        conversations.make_room();
        let id = start.id.clone();
        let conversation = Arc::new(Conversation::new(start, self.service_url.clone()));
        conversations.by_id.insert(id, conversation.clone());
        (conversation, true)
    }

    /// Returns a conversation that was started and is not forgotten.
    pub fn conversation(&self, id: &str) -> Option<Arc<Conversation>> {
        let conversation = self.lock().by_id.get(id).cloned()?;
        conversation.touch();
        Some(conversation)
    }

    /// Forgets a conversation of a bot, and what was uploaded to it; its client is told that it has ended.
    pub fn forget(&self, bot: &str, id: &str) {
        let mut conversations = self.lock();
        if conversations.by_id.get(id).is_some_and(|conversation| **conversation.bot() == *bot) {
            conversations.by_id.remove(id);
            self.uploads.forget(id);
        }
    }

    /// The uploaded files.
    pub fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    fn find(&self, to: &Address) -> Result<Arc<Conversation>, ChannelError> {
        let found = self.conversation(&to.conversation.conversation);
        found.filter(|conversation| conversation.bot() == &to.conversation.bot).ok_or_else(|| ChannelError::Refused {
            status: Some(404),
            why: "the Direct Line conversation is forgotten: idle for too long, or too many newer ones".to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Conversations> {
        // Nothing under this lock panics half-way through a change, so a poisoned state is a whole one.
        self.conversations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Conversations {
    fn sweep(&mut self) {
        if self.swept.elapsed() >= SWEEP_AFTER {
            self.swept = Instant::now();
            self.by_id
                .retain(|_, conversation| conversation.is_connected() || conversation.used_at().elapsed() < IDLE_MAX);
        }
    }

    fn make_room(&mut self) {
        while self.by_id.len() >= CONVERSATIONS_MAX {
            let oldest = self
                .by_id
                .iter()
                .min_by_key(|(_, conversation)| (conversation.is_connected(), conversation.used_at()))
                .map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { return };
            self.by_id.remove(&oldest);
        }
    }
}

#[async_trait]
impl Channel for DirectLine {
    async fn send(&self, to: &Address, activity: &Object) -> Result<Arc<str>, ChannelError> {
        let conversation = self.find(to)?;
        // Waits for an activity that is just coming in: its echo stands before what the bot answers.
        let door = conversation.enter().await;
        Ok(door.send(activity))
    }

    async fn update(&self, to: &Address, id: &str, activity: &Object) -> Result<(), ChannelError> {
        let conversation = self.find(to)?;
        let door = conversation.enter().await;
        door.update(id, activity).ok_or_else(unknown_activity)
    }

    async fn delete(&self, to: &Address, id: &str) -> Result<(), ChannelError> {
        let conversation = self.find(to)?;
        let door = conversation.enter().await;
        door.delete(id).ok_or_else(unknown_activity)
    }
}

fn unknown_activity() -> ChannelError {
    ChannelError::Refused {
        status: Some(404),
        why: "the conversation has no such activity, or it is too old to be in the history".to_owned(),
    }
}

/// The URL under which a host that listens here is reached from its own machine.
pub(crate) fn service_url(public: SocketAddr) -> Arc<str> {
    let ip = match public.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}/", SocketAddr::new(ip, public.port())).into()
}
