//! The host's own Direct Line 3.0 channel. Its conversations live in this process and are lost when it ends.
//!
//! [`DirectLine`] holds the conversations. A [`Conversation`] has a history, a watermark and a subscriber. Activities
//! of clients arrive through `http/directline.rs`, activities of bots through [`Channel`].
//!
//! The protocol sends sets of activities and has no frame for a change of an earlier one. So an update is sent as the
//! new activity with the id, the timestamp and the position of the old one, and a deletion as an activity of type
//! `messageDelete` in the same position. A client that polls with a watermark older than the change gets it.

mod conversation;
mod identity;
mod log;
mod secrets;
#[cfg(test)]
mod tests;
mod uploads;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use parking_lot::{Mutex, MutexGuard};

pub use self::conversation::{Conversation, Door, Introduction, Stamped, Start};
pub use self::identity::Account;
pub use self::log::{StreamUsed, Subscription};
pub use self::uploads::{Upload, Uploads};
use super::{Address, Channel, ChannelError};
use crate::config::Config;
pub use secrets::{Owner, SLOTS, Secrets};

/// `channelId` of every activity of this channel.
pub const CHANNEL_ID: &str = "directline";

/// Maximum number of conversations.
const CONVERSATIONS_MAX: usize = 2_048;
/// Idle time after which a conversation is deleted. Its client is told that the conversation has ended.
const IDLE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Minimum time between two searches for idle conversations.
const SWEEP_AFTER: Duration = Duration::from_secs(60);

/// The conversations of the local Direct Line and the files uploaded to them.
pub struct DirectLine {
    service_url: Arc<str>,
    conversations: Mutex<Conversations>,
    /// Bytes of the histories of all conversations, and their bound, `server.direct-line-history-bytes-max`.
    history_bytes: Arc<AtomicUsize>,
    history_bytes_max: usize,
    uploads: Uploads,
}

struct Conversations {
    by_id: HashMap<Arc<str>, Arc<Conversation>>,
    swept: Instant,
}

impl DirectLine {
    /// Returns the URL of the host for clients on this machine. A listener on all addresses is given as loopback.
    pub fn service_url(&self) -> &str {
        &self.service_url
    }

    /// Returns the channel of a host whose public listener is bound to `public`.
    pub fn new(config: &Config, public: SocketAddr) -> Self {
        Self {
            service_url: service_url(public),
            conversations: Mutex::new(Conversations { by_id: HashMap::new(), swept: Instant::now() }),
            history_bytes: Arc::default(),
            history_bytes_max: config.server.direct_line_history_bytes_max,
            uploads: Uploads::new(config.server.upload_bytes_max),
        }
    }

    /// Returns an id that cannot be guessed: 128 random bits in hexadecimal, because clients put ids into URLs
    /// unencoded.
    ///
    /// # Errors
    /// The operating system provides no random bits.
    pub fn new_id() -> anyhow::Result<String> {
        let mut bits = [0; 16];
        getrandom::fill(&mut bits)
            .map_err(|error| anyhow::anyhow!("the operating system provides no random bits: {error}"))?;
        Ok(hex::encode(bits))
    }

    /// Creates a conversation, or returns the existing one with this id. The flag is true if it is new.
    ///
    /// If there are too many conversations, the least recently used one is deleted, connected ones last.
    pub fn start(&self, start: Start) -> (Arc<Conversation>, bool) {
        let mut conversations = self.lock();
        conversations.sweep();
        if let Some(conversation) = conversations.by_id.get(&start.id) {
            return (conversation.clone(), false);
        }
        conversations.make_room();
        let id = start.id.clone();
        let conversation = Arc::new(Conversation::new(start, self.service_url.clone(), self.history_bytes.clone()));
        conversations.by_id.insert(id, conversation.clone());
        (conversation, true)
    }

    /// Returns a conversation that exists, and marks it as used.
    pub fn conversation(&self, id: &str) -> Option<Arc<Conversation>> {
        let mut conversations = self.lock();
        let conversation = conversations.by_id.get(id).cloned()?;
        conversation.touch();
        let mut excess = self.history_bytes().saturating_sub(self.history_bytes_max);
        // Somebody may still be at one that ends here, so its bytes are counted and not the sum read again.
        while excess > 0 && conversations.by_id.len() > 1 {
            let Some(ended) = conversations.end_oldest() else { break };
            excess = excess.saturating_sub(ended.history_bytes());
        }
        Some(conversation)
    }

    /// Returns the size of the histories of all conversations.
    pub fn history_bytes(&self) -> usize {
        self.history_bytes.load(Ordering::Relaxed)
    }

    /// Deletes a conversation of a bot and its uploads. Its client is told that the conversation has ended.
    pub fn forget(&self, bot: &str, id: &str) {
        let mut conversations = self.lock();
        if conversations.by_id.get(id).is_some_and(|conversation| **conversation.bot() == *bot) {
            conversations.by_id.remove(id);
            self.uploads.forget(id);
        }
    }

    /// Returns the uploaded files.
    pub fn uploads(&self) -> &Uploads {
        &self.uploads
    }

    fn find(&self, to: &Address) -> Result<Arc<Conversation>, ChannelError> {
        let found = self.conversation(&to.conversation.conversation);
        found.filter(|conversation| conversation.bot() == &to.conversation.bot).ok_or_else(|| ChannelError::Refused {
            status: Some(404),
            fault: None,
            why: "the Direct Line conversation does not exist; it was idle for too long or displaced by newer ones"
                .to_owned(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Conversations> {
        self.conversations.lock()
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
            if self.end_oldest().is_none() {
                return;
            }
        }
    }

    /// Ends the conversation that was used least recently, connected ones last.
    fn end_oldest(&mut self) -> Option<Arc<Conversation>> {
        let used =
            |(_, conversation): &(&Arc<str>, &Arc<Conversation>)| (conversation.is_connected(), conversation.used_at());
        let oldest = self.by_id.iter().min_by_key(used).map(|(id, _)| id.clone())?;
        self.by_id.remove(&oldest)
    }
}

#[async_trait]
impl Channel for DirectLine {
    async fn send(&self, to: &Address, activity: &Arc<str>) -> Result<Arc<str>, ChannelError> {
        let (conversation, activity) = (self.find(to)?, super::read(activity)?);
        // Wait for an activity that is arriving, so that its echo precedes the bot's answer.
        let door = conversation.enter().await;
        Ok(door.send(&activity))
    }

    async fn update(&self, to: &Address, id: &str, activity: &Arc<str>) -> Result<(), ChannelError> {
        let (conversation, activity) = (self.find(to)?, super::read(activity)?);
        let door = conversation.enter().await;
        door.update(id, &activity).ok_or_else(unknown_activity)
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
        fault: None,
        why: "activity not found: the history keeps only the newest activities of a conversation".to_owned(),
    }
}

/// Returns the URL under which a listener is reached from its own machine.
pub(crate) fn service_url(public: SocketAddr) -> Arc<str> {
    let ip = match public.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}/", SocketAddr::new(ip, public.port())).into()
}
