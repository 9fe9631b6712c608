//! New conversations with users whom a bot has met. The channel opens one on `POST /v3/conversations` with a body of
//! `ConversationParameters`, and answers `{id, activityId?, serviceUrl?}`.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

use super::Turns;
use crate::activity::{ConversationKey, Object};
use crate::channel::{Address, ChannelError, Opened};
use crate::clock::now_ms;
use crate::json;
use crate::storage::StorageError;
use crate::storage::notifications::Reference;

/// Why a conversation was not opened.
#[derive(Debug)]
pub enum NotOpened {
    /// What the channel said.
    Channel(ChannelError),
    /// What the store said; the channel may have opened it.
    Storage(StorageError),
}

impl From<StorageError> for NotOpened {
    fn from(error: StorageError) -> Self {
        Self::Storage(error)
    }
}

/// By bot, the keys of idempotency of requests that open conversations: the same request at the same time would open two.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys(Arc<Mutex<HashSet<BotKey>>>);

type BotKey = (Arc<str>, Arc<str>);

/// Holds a key until it is dropped.
#[derive(Debug)]
pub struct KeyClaim {
    keys: Keys,
    key: BotKey,
}

impl Drop for KeyClaim {
    fn drop(&mut self) {
        self.keys.lock().remove(&self.key);
    }
}

impl Keys {
    fn lock(&self) -> MutexGuard<'_, HashSet<BotKey>> {
        self.0.lock()
    }
}

impl Turns {
    /// Claims a key of idempotency of a bot. None: somebody holds it.
    pub fn claim_key(&self, bot: &str, key: &str) -> Option<KeyClaim> {
        let key: BotKey = (bot.into(), key.into());
        self.keys.lock().insert(key.clone()).then(|| KeyClaim { keys: self.keys.clone(), key })
    }

    /// Opens a conversation with the user of a reference, at the channel through which they were heard, and keeps how it is
    /// reached. A channel may well answer with the conversation that there is: Teams has one with each user.
    pub async fn open(&self, known: &Reference) -> Result<Reference, NotOpened> {
        let text: Value = json::value(&known.text).unwrap_or_default();
        let service_url = text["serviceUrl"].as_str().unwrap_or_default();
        let at = Address { conversation: known.conversation.clone(), service_url: service_url.into() };
        let deliveries = &self.services.deliveries;
        let opened = deliveries.open(&at, parameters(&text)).await.map_err(NotOpened::Channel)?;
        let admitted = |url: &Arc<str>| deliveries.admits(&known.conversation, url);
        let service_url = opened.service_url.clone().filter(admitted).unwrap_or(at.service_url);
        let reference = opened_reference(known, &opened, text, &service_url);
        self.services.storage.add_reference(reference.clone()).await?;
        Ok(reference)
    }
}

/// The body: a conversation of two. Where the channel has tenants, it is in that of the conversation that is known.
fn parameters(known: &Value) -> Object {
    let mut parameters = Object::new();
    parameters.insert("isGroup".to_owned(), false.into());
    parameters.insert("bot".to_owned(), known["bot"].clone());
    parameters.insert("members".to_owned(), json!([known["user"]]));
    if let Some(tenant) = known["conversation"]["tenantId"].as_str() {
        parameters.insert("tenantId".to_owned(), tenant.into());
        parameters.insert("channelData".to_owned(), json!({ "tenant": { "id": tenant } }));
    }
    parameters
}

/// Returns how a new conversation with the user of a known one is reached.
fn opened_reference(known: &Reference, opened: &Opened, mut text: Value, service_url: &str) -> Reference {
    let conversation: Arc<str> = opened.conversation.clone();
    let tenant = text["conversation"]["tenantId"].take();
    text["conversation"] = json!({ "id": &*conversation, "isGroup": false });
    if tenant.is_string() {
        text["conversation"]["tenantId"] = tenant;
    }
    text["serviceUrl"] = service_url.into();
    Reference {
        conversation: ConversationKey { conversation, ..known.conversation.clone() },
        user: known.user.clone(),
        text: text.to_string().into(),
        seen_ms: now_ms() / 60_000 * 60_000,
        gone: None,
    }
}
