//! One conversation of the local Direct Line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use parking_lot::{Mutex, MutexGuard};
use serde_json::Value;

use super::identity::{Account, Identity};
use super::log::{Log, Stamp, StreamUsed, Subscription};
use crate::activity::{Activity, ActivityError, ChannelInstance, ConversationKey, Inbound, Object};

/// Properties of a new conversation.
#[derive(Debug, Clone)]
pub struct Start {
    /// `id` of the conversation.
    pub id: Arc<str>,
    /// The configured name of the bot.
    pub bot: Arc<str>,
    /// The title of the bot, which is its name on this channel.
    pub title: String,
    /// The user, if the client names one when it starts the conversation.
    pub user: Option<Account>,
    /// The locale for activities without one, or empty.
    pub locale: String,
}

/// A conversation: its members, history and subscriber.
pub struct Conversation {
    identity: Identity,
    user: Option<Account>,
    /// Held while an activity enters or leaves, so that bot and client see the same order.
    gate: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

struct State {
    log: Log,
    touched: Instant,
    knows_bot: bool,
    /// Ids of the users that were introduced to the bot.
    users: Vec<String>,
}

/// Maximum number of users per conversation that are introduced to the bot. Every user holds a token of the
/// conversation.
const USERS_MAX: usize = 64;

/// Exclusive access to the history of a conversation.
pub struct Door<'a> {
    conversation: &'a Conversation,
    _held: tokio::sync::MutexGuard<'a, ()>,
}

/// The `conversationUpdate` that tells the bot of a new member.
pub struct Introduction {
    /// The activity for the turn.
    pub inbound: Inbound,
    /// Id of the user. None if the bot itself joined.
    user: Option<String>,
}

/// An activity of the user with its id and position in the conversation.
pub struct Stamped {
    /// The activity for the turn.
    pub inbound: Inbound,
    stamp: Stamp,
}

impl Stamped {
    /// Returns the id of the activity on this channel.
    pub fn id(&self) -> &str {
        self.inbound.activity.id()
    }
}

impl Conversation {
    /// `of_all` is the size of the histories of all conversations.
    pub(super) fn new(start: Start, service_url: Arc<str>, of_all: Arc<AtomicUsize>) -> Self {
        let Start { id, bot, title, user, locale } = start;
        let state = State { log: Log::new(of_all), touched: Instant::now(), knows_bot: false, users: Vec::new() };
        let identity = Identity { conversation: id, bot, title, locale, service_url, is_group: AtomicBool::new(false) };
        Self { identity, user, gate: tokio::sync::Mutex::default(), state: Mutex::new(state) }
    }

    /// Returns `id` of the conversation.
    pub fn id(&self) -> &Arc<str> {
        &self.identity.conversation
    }

    /// Returns the configured name of the bot.
    pub fn bot(&self) -> &Arc<str> {
        &self.identity.bot
    }

    /// Waits for exclusive access to the history.
    pub async fn enter(&self) -> Door<'_> {
        Door { _held: self.gate.lock().await, conversation: self }
    }

    /// Returns the activity set that is newer than a watermark as JSON text, or the whole history without a watermark.
    pub fn since(&self, watermark: Option<u64>) -> String {
        self.state().log.since(watermark)
    }

    /// Issues a ticket for a stream. It is valid for one connection, until a newer ticket is used.
    pub fn issue_stream(&self) -> u64 {
        self.state().log.issue_stream()
    }

    /// Opens the stream of a ticket. An older stream closes with the reason `collision`.
    ///
    /// # Errors
    /// The ticket was used before, a newer one was used, or it was never issued.
    pub fn subscribe(&self, ticket: u64, watermark: Option<u64>) -> Result<Subscription, StreamUsed> {
        self.state().log.subscribe(ticket, watermark)
    }

    pub(super) fn touch(&self) {
        self.state().touched = Instant::now();
    }

    pub(super) fn used_at(&self) -> Instant {
        self.state().touched
    }

    pub(super) fn history_bytes(&self) -> usize {
        self.state().log.bytes()
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state().log.is_connected()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    fn inbound(&self, activity: &Object, request_id: &Arc<str>) -> Result<Inbound, ActivityError> {
        let key = ConversationKey {
            bot: self.identity.bot.clone(),
            channel: ChannelInstance::LocalDirectLine,
            conversation: self.identity.conversation.clone(),
        };
        let activity = Arc::new(Activity::from_object(activity)?);
        Ok(Inbound { key, activity, request_id: request_id.clone() })
    }

    fn activity_id(&self, stamp: &Stamp) -> String {
        format!("{}|{:07}", self.identity.conversation, stamp.sequence)
    }

    /// Parses the sequence number of an activity id of this conversation.
    fn sequence_of(&self, id: &str) -> Option<u64> {
        id.strip_prefix(&*self.identity.conversation)?.strip_prefix('|')?.parse().ok()
    }
}

impl Door<'_> {
    /// Returns the introductions that the bot has not had yet: of itself, then of the user for whom the conversation
    /// was started, then of `user`. A second user turns the conversation into a group. The caller confirms each one
    /// with [`Door::introduced`].
    ///
    /// # Errors
    /// The id of a user does not make a valid activity.
    pub fn introductions(
        &self,
        user: Option<&Account>,
        request_id: &Arc<str>,
    ) -> Result<Vec<Introduction>, ActivityError> {
        let conversation = self.conversation;
        let mut state = conversation.state();
        let mut new: Vec<&Account> = Vec::new();
        for user in conversation.user.as_ref().into_iter().chain(user) {
            let is_known = state.users.contains(&user.id) || new.iter().any(|known| known.id == user.id);
            if !is_known && state.users.len() + new.len() < USERS_MAX {
                new.push(user);
            }
        }
        if state.users.len() + new.len() > 1 {
            conversation.identity.is_group.store(true, Ordering::Relaxed);
        }
        let first = new.first().copied().or(conversation.user.as_ref());
        let bot = (!state.knows_bot).then_some((0, None));
        let users = (state.users.len() + 1..).zip(new.into_iter().map(Some));
        let mut introduce = |(number, member): (usize, Option<&Account>)| {
            let timestamp = state.log.stamp().timestamp;
            let activity = conversation.identity.introduction(member, first, number, &timestamp);
            let inbound = conversation.inbound(&activity, request_id)?;
            Ok(Introduction { inbound, user: member.map(|user| user.id.clone()) })
        };
        bot.into_iter().chain(users).map(&mut introduce).collect()
    }

    /// Confirms that the bot has been given an introduction.
    pub fn introduced(&self, introduction: &Introduction) {
        let mut state = self.conversation.state();
        match &introduction.user {
            None => state.knows_bot = true,
            Some(user) => state.users.push(user.clone()),
        }
    }

    /// Assigns an activity of the user its id and position. Clients do not see it before [`Door::echo`].
    ///
    /// # Errors
    /// The activity is invalid.
    pub fn stamp(&self, activity: Object, from: &Account, request_id: &Arc<str>) -> Result<Stamped, ActivityError> {
        let conversation = self.conversation;
        let stamp = conversation.state().log.stamp();
        let id = conversation.activity_id(&stamp);
        let activity = conversation.identity.inbound(activity, from, &id, &stamp.timestamp);
        Ok(Stamped { inbound: conversation.inbound(&activity, request_id)?, stamp })
    }

    /// Shows the client its own activity. `typing` and `conversationUpdate` are for the bot only and are not shown.
    pub fn echo(&self, stamped: Stamped) {
        let activity = &stamped.inbound.activity;
        if !matches!(activity.kind(), "typing" | "conversationUpdate") {
            let text = Value::Object(Identity::echo(activity.object())).to_string();
            self.conversation.state().log.append(stamped.stamp, text);
        }
    }

    /// Appends an activity of the bot and returns its id. `typing` is sent to the subscriber only.
    pub(super) fn send(&self, activity: &Object) -> Arc<str> {
        let conversation = self.conversation;
        let mut state = conversation.state();
        let stamp = state.log.stamp();
        let id = conversation.activity_id(&stamp);
        let activity = conversation.identity.outbound(activity, &id, &stamp.timestamp);
        let is_typing = activity.get("type").and_then(Value::as_str) == Some("typing");
        let text = Value::Object(activity).to_string();
        match is_typing {
            true => state.log.show(&text, None),
            false => state.log.append(stamp, text),
        }
        id.into()
    }

    /// Replaces an activity. Returns none if the history does not contain it.
    pub(super) fn update(&self, id: &str, activity: &Object) -> Option<()> {
        let conversation = self.conversation;
        let sequence = conversation.sequence_of(id)?;
        let text = |timestamp: &str| Value::Object(conversation.identity.outbound(activity, id, timestamp)).to_string();
        conversation.state().log.replace(sequence, text)
    }

    /// Replaces an activity by a notice of its deletion. Returns none if the history does not contain it.
    pub(super) fn delete(&self, id: &str) -> Option<()> {
        let conversation = self.conversation;
        let sequence = conversation.sequence_of(id)?;
        let text = |timestamp: &str| Value::Object(conversation.identity.deletion(id, timestamp)).to_string();
        conversation.state().log.replace(sequence, text)
    }
}
