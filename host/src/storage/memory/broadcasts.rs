//! Broadcasts in memory.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::notifications::Proactive;
use super::{MemoryStorage, State};
use crate::activity::{ChannelInstance, ConversationKey};
use crate::storage::broadcasts::{
    AddedBroadcast, BROADCASTS_MAX, Broadcast, BroadcastState, Broadcasts, CROWDED, FailedTarget, Listed,
    TargetOutcome, Targets, notification_id, target_of,
};
use crate::storage::notifications::{End, Notification, WAITING_MAX};
use crate::storage::{Delivery, OutboxRow, StorageError};
use crate::turn::proactive::now_ms;

/// What is known, oldest first.
#[derive(Default)]
pub(super) struct Kept {
    all: Vec<Held>,
    /// The broadcast and the place that a turn was about, until the channel took its rows.
    turns: HashMap<Arc<str>, (Arc<str>, u64)>,
}

struct Held {
    broadcast: Broadcast,
    /// The place of the last target that began.
    place: u64,
    /// The place of the last of all.
    last_place: u64,
    /// Whom it has yet to reach, and whom it did not.
    targets: BTreeMap<u64, Target>,
}

struct Target {
    channel: ChannelInstance,
    conversation: Arc<str>,
    user: Arc<str>,
    outcome: Option<TargetOutcome>,
    why: Option<Arc<str>>,
    /// The turn that was about it, and the rows of the outbox that the channel has not taken.
    turn: Option<(Arc<str>, usize)>,
}

impl Held {
    fn settle(&mut self, place: u64, outcome: TargetOutcome, why: Option<&str>) -> Option<Arc<str>> {
        let target = self.targets.get_mut(&place)?;
        let was_cancelled = match target.outcome {
            None => false,
            Some(TargetOutcome::Cancelled) if outcome != TargetOutcome::Cancelled => true,
            Some(_) => return None,
        };
        (target.outcome, target.why) = (Some(outcome), why.map(Into::into));
        let turn = target.turn.take().map(|(turn, _)| turn);
        if outcome == TargetOutcome::Delivered {
            self.targets.remove(&place);
        }
        self.count(outcome, 1);
        if was_cancelled {
            self.count(TargetOutcome::Cancelled, -1);
        }
        self.end_where_done();
        turn
    }

    fn count(&mut self, outcome: TargetOutcome, by: i64) {
        let place = TargetOutcome::ALL.iter().position(|(_, known)| *known == outcome);
        if let Some(count) = place.and_then(|place| self.broadcast.counts.ended.get_mut(place)) {
            *count = count.saturating_add_signed(by);
        }
    }

    /// What it said is kept no longer than it takes to say it.
    fn end_where_done(&mut self) {
        let broadcast = &mut self.broadcast;
        if !broadcast.state.has_ended() && broadcast.counts.waiting() == 0 {
            broadcast.state = BroadcastState::Done;
            (broadcast.ended_ms, broadcast.content) = (Some(now_ms()), "{}".into());
        }
    }

    fn cancel(&mut self) {
        let mut cancelled = 0;
        for target in self.targets.values_mut().filter(|target| target.outcome.is_none() && target.turn.is_none()) {
            target.outcome = Some(TargetOutcome::Cancelled);
            cancelled += 1;
        }
        self.count(TargetOutcome::Cancelled, cancelled);
        self.broadcast.state = BroadcastState::Cancelled;
        (self.broadcast.ended_ms, self.broadcast.content) = (Some(now_ms()), "{}".into());
    }
}

impl Kept {
    fn find(&mut self, id: &str) -> Option<&mut Held> {
        self.all.iter_mut().find(|held| *held.broadcast.id == *id)
    }

    fn settle(&mut self, id: &str, place: u64, outcome: TargetOutcome, why: Option<&str>) {
        let turn = self.find(id).and_then(|held| held.settle(place, outcome, why));
        if let Some(turn) = turn {
            self.turns.remove(&turn);
        }
    }

    /// What a turn means for the target that it was about. One that found its notification ended means nothing: whoever
    /// ended that has said so. `sends` is how many rows of it are in the outbox.
    pub(super) fn note_turn(&mut self, turn_id: &Arc<str>, ended: Option<&(Arc<str>, End)>, sends: usize) {
        let Some((id, End::Done(how))) = ended else { return };
        let Some((broadcast, place)) = target_of(id) else { return };
        let outcome = TargetOutcome::named(how).unwrap_or(TargetOutcome::Failed);
        if outcome == TargetOutcome::Cancelled {
            return;
        }
        let target = self.find(broadcast).and_then(|held| held.targets.get_mut(&place));
        if let Some(target) = target.filter(|_| outcome == TargetOutcome::Delivered && sends > 0) {
            target.turn = Some((turn_id.clone(), sends));
            self.turns.insert(turn_id.clone(), (broadcast.into(), place));
            return;
        }
        let why = (outcome == TargetOutcome::Failed).then_some("the turn failed; the log says why");
        self.settle(broadcast, place, outcome, why);
    }

    /// What the channel said to a row of a turn that was about a target.
    pub(super) fn note_row(&mut self, row: &OutboxRow, delivery: &Delivery) {
        let Some((id, place)) = self.turns.get(&row.turn_id).cloned() else { return };
        let (outcome, why) = match delivery {
            Delivery::Dead { why, gone: true } => (TargetOutcome::Gone, Some(why)),
            Delivery::Dead { why, gone: false } => (TargetOutcome::Failed, Some(why)),
            Delivery::Done { .. } => {
                let target = self.find(&id).and_then(|held| held.targets.get_mut(&place));
                if let Some((_, sends)) = target.and_then(|target| target.turn.as_mut()).filter(|(_, sends)| *sends > 1)
                {
                    *sends -= 1;
                    return;
                }
                (TargetOutcome::Delivered, None)
            }
        };
        self.settle(&id, place, outcome, why.map(String::as_str));
    }

    /// What cancelling a notification means for the target that it stands for.
    pub(super) fn note_cancelled(&mut self, notification: &str) {
        if let Some((id, place)) = target_of(notification) {
            self.settle(id, place, TargetOutcome::Cancelled, None);
        }
    }

    /// Forgets that a conversation was a target, and returns of how many broadcasts.
    pub(super) fn forget(&mut self, conversation: &ConversationKey) -> usize {
        let named = |target: &Target| {
            (&target.channel, &target.conversation) == (&conversation.channel, &conversation.conversation)
        };
        self.forget_targets(&conversation.bot, named)
    }

    /// Forgets that a list named a user whom the bot had not met.
    pub(super) fn forget_user(&mut self, bot: &str, channel: &ChannelInstance, user: &str) -> usize {
        let named =
            |target: &Target| target.conversation.is_empty() && target.channel == *channel && *target.user == *user;
        self.forget_targets(bot, named)
    }

    fn forget_targets(&mut self, bot: &str, named: impl Fn(&Target) -> bool) -> usize {
        let mut count = 0;
        for held in self.all.iter_mut().filter(|held| *held.broadcast.bot == *bot) {
            let places = held.targets.iter().filter(|(_, target)| named(target)).map(|(place, _)| *place);
            for place in places.collect::<Vec<_>>() {
                if let Some(turn) = held.settle(place, TargetOutcome::Unknown, None) {
                    self.turns.remove(&turn);
                }
                held.targets.remove(&place);
                count += 1;
            }
        }
        count
    }

    /// Forgets the oldest that have ended. False: there are too many that have not.
    fn make_room(&mut self, bot: &str) -> bool {
        let of_bot = |held: &Held| *held.broadcast.bot == *bot;
        while self.all.iter().filter(|held| of_bot(held)).count() >= BROADCASTS_MAX {
            let oldest = self.all.iter().position(|held| of_bot(held) && held.broadcast.state.has_ended());
            let Some(oldest) = oldest else { return false };
            self.all.remove(oldest);
        }
        true
    }

    fn add(&mut self, proactive: &Proactive, new: Broadcast, to: &Targets) -> AddedBroadcast {
        if let Some((key, body)) = &new.key {
            let same = |held: &&Held| {
                held.broadcast.bot == new.bot && held.broadcast.key.as_ref().is_some_and(|(known, _)| known == key)
            };
            if let Some(known) = self.all.iter().find(same).map(|held| &held.broadcast) {
                let same = known.key.as_ref().is_some_and(|(_, known)| known == body);
                return if same { AddedBroadcast::Known(known.clone()) } else { AddedBroadcast::OtherBody };
            }
        }
        if !self.make_room(&new.bot) {
            return AddedBroadcast::TooMany;
        }
        let targets = targets_of(proactive, &new.bot, to);
        let last_place = targets.last_key_value().map_or(0, |(place, _)| *place);
        let mut held = Held { broadcast: new, place: 0, last_place, targets };
        held.broadcast.counts.total = u64::try_from(held.targets.len()).unwrap_or(u64::MAX);
        held.end_where_done();
        let added = held.broadcast.clone();
        self.all.push(held);
        AddedBroadcast::New(added)
    }

    fn begin(&mut self, proactive: &mut Proactive, id: &str, limit: usize) -> usize {
        let Some(held) = self.find(id).filter(|held| held.broadcast.state == BroadcastState::Running) else { return 0 };
        let next = held.targets.range(held.place + 1..).take(limit);
        let next: Vec<(u64, ConversationKey)> =
            next.map(|(place, target)| (*place, target.key(&held.broadcast.bot))).collect();
        let now = now_ms();
        let mut added = 0;
        for (place, conversation) in &next {
            match dead_end(proactive, &held.broadcast, conversation, now) {
                Some((outcome, why)) => drop(held.settle(*place, outcome, why)),
                None => {
                    proactive.add(&notification(&held.broadcast, *place, conversation, now));
                    added += 1;
                }
            }
        }
        // All that are left were forgotten.
        held.place = next.last().map_or(held.last_place, |(place, _)| *place);
        held.broadcast.started_ms.get_or_insert(now);
        added
    }
}

impl Target {
    fn key(&self, bot: &Arc<str>) -> ConversationKey {
        let (channel, conversation) = (self.channel.clone(), self.conversation.clone());
        ConversationKey { bot: bot.clone(), channel, conversation }
    }
}

fn notification(broadcast: &Broadcast, place: u64, conversation: &ConversationKey, now: u64) -> Notification {
    Notification {
        id: notification_id(&broadcast.id, place),
        conversation: conversation.clone(),
        user: "".into(),
        sender: "".into(),
        name: "".into(),
        mode: broadcast.mode,
        content: broadcast.content.clone(),
        depth: 1,
        due_ms: now,
        cron: None,
        expires_ms: broadcast.expires_ms,
        key: None,
        ended: None,
    }
}

/// Why a target needs no notification.
fn dead_end(
    proactive: &Proactive,
    broadcast: &Broadcast,
    conversation: &ConversationKey,
    now: u64,
) -> Option<(TargetOutcome, Option<&'static str>)> {
    if broadcast.expires_ms.is_some_and(|expires| expires < now) {
        return Some((TargetOutcome::Expired, None));
    }
    match proactive.known(conversation) {
        None => Some((TargetOutcome::Unknown, None)),
        Some(reference) if reference.gone.is_some() => Some((TargetOutcome::Gone, None)),
        Some(_) if proactive.count_waiting(conversation) >= WAITING_MAX => Some((TargetOutcome::Failed, Some(CROWDED))),
        Some(_) => None,
    }
}

fn targets_of(proactive: &Proactive, bot: &str, to: &Targets) -> BTreeMap<u64, Target> {
    let target = |channel: &ChannelInstance, conversation: &Arc<str>, user: &str| Target {
        channel: channel.clone(),
        conversation: conversation.clone(),
        user: user.into(),
        outcome: None,
        why: None,
        turn: None,
    };
    let entries = match to {
        Targets::Met(channel) => {
            let met = proactive.met(bot).filter(|(_, key)| channel.as_ref().is_none_or(|only| key.channel == *only));
            return met.map(|(place, key)| (place, target(&key.channel, &key.conversation, ""))).collect();
        }
        Targets::Listed(entries) => entries,
    };
    let resolved = entries.iter().map(|entry| match entry {
        Listed::Conversation(channel, conversation) => target(channel, conversation, ""),
        Listed::User(channel, user) => match proactive.latest(bot, channel, user) {
            Some(latest) => target(channel, &latest.conversation.conversation, ""),
            None => target(channel, &"".into(), user),
        },
    });
    let mut seen = HashSet::new();
    let once = (1_u64..)
        .zip(resolved)
        .filter(|(_, target)| seen.insert((target.channel.clone(), target.conversation.clone(), target.user.clone())));
    once.collect()
}

#[async_trait]
impl Broadcasts for MemoryStorage {
    async fn add_broadcast(&self, broadcast: Broadcast, to: Targets) -> Result<AddedBroadcast, StorageError> {
        let mut state = self.state();
        let State { proactive, broadcasts, .. } = &mut *state;
        Ok(broadcasts.add(proactive, broadcast, &to))
    }

    async fn broadcast(&self, bot: &str, id: &str) -> Result<Option<Broadcast>, StorageError> {
        let mut state = self.state();
        let found = state.broadcasts.find(id).filter(|held| *held.broadcast.bot == *bot);
        Ok(found.map(|held| held.broadcast.clone()))
    }

    async fn broadcasts(&self, bot: &str) -> Result<Vec<Broadcast>, StorageError> {
        let state = self.state();
        let all = state.broadcasts.all.iter().rev().map(|held| &held.broadcast);
        Ok(all.filter(|broadcast| *broadcast.bot == *bot).cloned().collect())
    }

    async fn open_broadcasts(&self) -> Result<Vec<Broadcast>, StorageError> {
        let state = self.state();
        let open = |held: &&Held| held.broadcast.state == BroadcastState::Running && held.place < held.last_place;
        Ok(state.broadcasts.all.iter().filter(open).map(|held| held.broadcast.clone()).collect())
    }

    async fn begin_targets(&self, id: &str, limit: usize) -> Result<usize, StorageError> {
        let mut state = self.state();
        let State { proactive, broadcasts, .. } = &mut *state;
        Ok(broadcasts.begin(proactive, id, limit))
    }

    async fn switch_broadcast(
        &self,
        bot: &str,
        id: &str,
        to: BroadcastState,
    ) -> Result<Option<(bool, Broadcast)>, StorageError> {
        let mut state = self.state();
        let State { proactive, broadcasts, .. } = &mut *state;
        let Some(held) = broadcasts.find(id).filter(|held| *held.broadcast.bot == *bot) else { return Ok(None) };
        if held.broadcast.state.has_ended() {
            return Ok(Some((false, held.broadcast.clone())));
        }
        if to == BroadcastState::Cancelled {
            held.cancel();
            proactive.cancel_all(|notification| target_of(notification).is_some_and(|(known, _)| *known == *id));
        } else {
            held.broadcast.state = to;
        }
        Ok(Some((true, held.broadcast.clone())))
    }

    async fn failed_targets(
        &self,
        bot: &str,
        id: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<FailedTarget>, StorageError> {
        let mut state = self.state();
        let found = state.broadcasts.find(id).filter(|held| *held.broadcast.bot == *bot);
        let Some(held) = found else { return Ok(Vec::new()) };
        let ended = held.targets.range(after.saturating_add(1)..).filter_map(|(place, target)| {
            Some(FailedTarget {
                place: *place,
                channel: target.channel.clone(),
                conversation: target.conversation.clone(),
                user: target.user.clone(),
                outcome: target.outcome?,
                why: target.why.clone(),
            })
        });
        Ok(ended.take(limit).collect())
    }
}
