//! The entry of activities, with native middleware in place of plugins.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use futures_util::FutureExt;
use tempfile::TempDir;

use super::middleware::{Outgoing, Verdict};
use super::*;
use crate::activity::{Activity, ChannelInstance, ConversationKey};
use crate::channel::connector::Connector;
use crate::channel::testing::settings;
use crate::config::{self, Allocator, BotSpec, Config};
use crate::plugin::Fault;
use crate::registry::Registry;
use crate::storage::sqlite::SqliteStorage;
use crate::threads::Guests;

/// Panics in the first turn it sees, and counts all.
struct PanicsOnce(Arc<AtomicU32>);

#[async_trait]
impl Middleware for PanicsOnce {
    async fn on_turn(&self, turn: &mut Turn, next: Next<'_>) -> Result<(), TurnError> {
        assert!(self.0.fetch_add(1, Ordering::Relaxed) > 0, "on purpose");
        next.run(turn).await
    }
}

/// An entry with one bot that has no plugins.
async fn entry(folder: &TempDir, middleware: Vec<Box<dyn Middleware>>) -> Arc<Turns> {
    let runtime = config::Runtime {
        data_dir: folder.path().to_owned(),
        allocator: Allocator::OnDemand,
        ..config::Runtime::default()
    };
    let config = Config {
        path: PathBuf::new(),
        overrides: config::Overrides::default(),
        server: config::Server::default(),
        admin: config::Admin::default(),
        runtime,
        channel: settings(),
        storage: config::Storage::in_data_dir(std::path::Path::new(".")),
        tls: config::Tls::default(),
        bots: BTreeMap::from([("bot".to_owned(), BotSpec::new("bot"))]),
        default_bot: None,
    };
    let plugins = Runtime::uncached(&config.runtime).unwrap();
    let registry = Arc::new(Registry::new(&config, plugins.clone()).unwrap());
    registry.load_all().await;
    let storage: Arc<dyn Storage> = Arc::new(SqliteStorage::temporary(&config.channel).unwrap());
    let connector = Arc::new(Connector::new(&config.channel, Vec::new(), None).unwrap());
    let handle = tokio::runtime::Handle::current();
    let deliveries =
        Arc::new(Deliveries::new(&config.channel, storage.clone(), connector.clone(), connector, handle.clone()));
    let services =
        Services { storage, deliveries, plugins, notification_bytes_max: 1 << 20, due: Arc::default(), bridges: None };
    Arc::new(Turns::new(&config.server, &config.runtime, services, registry, middleware, Guests::on(handle)))
}

fn inbound(id: &str) -> Inbound {
    let text = format!(r#"{{"type":"message","id":"{id}","channelId":"test","conversation":{{"id":"c"}}}}"#);
    let key =
        ConversationKey { bot: "bot".into(), channel: ChannelInstance::Wire("test".into()), conversation: "c".into() };
    Inbound { key, activity: Arc::new(Activity::parse(&text).unwrap()), request_id: "r".into() }
}

/// A redelivery that came during the panic learns of it, and one that comes after it runs the turn.
#[tokio::test]
async fn a_panic_in_a_turn_is_a_failure_of_the_host() {
    let (folder, seen) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU32::new(0)));
    let turns = entry(&folder, vec![Box::new(PanicsOnce(seen.clone()))]).await;
    let first = turns.accept(inbound("1")).await.unwrap();
    let during = turns.accept(inbound("1")).await.unwrap();
    assert_eq!(first.answer.await.unwrap().status, 503);
    assert_eq!(during.answer.await.unwrap().status, 503);

    let after = turns.accept(inbound("1")).await.unwrap();
    assert_eq!(after.answer.await.unwrap().status, 200);
    let again = turns.accept(inbound("1")).await.unwrap();
    assert_eq!(again.answer.await.unwrap().status, 200);
    assert_eq!(seen.load(Ordering::Relaxed), 2, "the last one got the stored answer");
    assert_eq!(turns.running(), 0);
}

/// Fails like a host that is out of disk, so often, once the activity is kept.
struct Fails {
    times: AtomicU32,
    kept: Arc<tokio::sync::Semaphore>,
}

#[async_trait]
impl Middleware for Fails {
    async fn on_turn(&self, turn: &mut Turn, next: Next<'_>) -> Result<(), TurnError> {
        let _kept = self.kept.acquire().await.unwrap();
        let left = self.times.load(Ordering::Relaxed);
        if left == 0 {
            return next.run(turn).await;
        }
        self.times.store(left - 1, Ordering::Relaxed);
        Err(TurnError::Host("on purpose".into()))
    }
}

/// A caller that was told that its activity is taken sends it no more, so the host runs it until it does not fail.
#[tokio::test]
async fn a_kept_activity_whose_turn_fails_in_the_host_runs_again() {
    let (folder, kept) = (tempfile::tempdir().unwrap(), Arc::new(tokio::sync::Semaphore::new(0)));
    let turns = entry(&folder, vec![Box::new(Fails { times: AtomicU32::new(2), kept: kept.clone() })]).await;
    let first = turns.accept(inbound("1")).await.unwrap();
    assert!(first.keep().await);
    kept.add_permits(1);
    assert_eq!(first.answer.await.unwrap().status, 503);
    // The next turn of the conversation waits behind it.
    let next = turns.accept(inbound("2")).await.unwrap();
    assert_eq!(next.answer.await.unwrap().status, 200);
    let again = turns.accept(inbound("1")).await.unwrap();
    assert_eq!(again.answer.await.unwrap().status, 200);
    let records = turns.recent("bot");
    assert_eq!(records.len(), 4, "two that failed, and one for each activity");
}

#[tokio::test]
async fn a_turn_that_failed_in_the_host_cannot_be_kept_any_more() {
    let (folder, kept) = (tempfile::tempdir().unwrap(), Arc::new(tokio::sync::Semaphore::new(1)));
    let turns = entry(&folder, vec![Box::new(Fails { times: AtomicU32::new(1), kept })]).await;
    let mut first = turns.accept(inbound("1")).await.unwrap();
    assert_eq!((&mut first.answer).await.unwrap().status, 503);
    let next = turns.accept(inbound("2")).await.unwrap();
    assert_eq!(next.answer.await.unwrap().status, 200);
    assert!(!first.keep().await, "its caller sends it again");
}

/// Delivers what it has, once the activity is kept, and fails then.
struct FlushesAndFails {
    runs: Arc<AtomicU32>,
    kept: Arc<tokio::sync::Semaphore>,
}

#[async_trait]
impl Middleware for FlushesAndFails {
    async fn on_turn(&self, turn: &mut Turn, next: Next<'_>) -> Result<(), TurnError> {
        let _kept = self.kept.acquire().await.unwrap();
        if self.runs.fetch_add(1, Ordering::Relaxed) > 1 {
            return next.run(turn).await;
        }
        turn.effects.flush().await.unwrap();
        Err(TurnError::Host("on purpose".into()))
    }
}

/// From a flush on a turn happens at most once, also one whose activity has no id by which it would be known again.
#[tokio::test]
async fn a_kept_activity_that_was_flushed_does_not_run_again() {
    for id in ["1", ""] {
        let (folder, kept) = (tempfile::tempdir().unwrap(), Arc::new(tokio::sync::Semaphore::new(0)));
        let runs = Arc::new(AtomicU32::new(0));
        let turns = entry(&folder, vec![Box::new(FlushesAndFails { runs: runs.clone(), kept: kept.clone() })]).await;
        let first = turns.accept(inbound(id)).await.unwrap();
        assert!(first.keep().await);
        kept.add_permits(1);
        assert_eq!(first.answer.await.unwrap().status, 503);
        let next = turns.accept(inbound("2")).await.unwrap();
        assert_eq!(next.answer.await.unwrap().status, 503);
        assert_eq!(runs.load(Ordering::Relaxed), 2, "one run for each activity, whose id is {id:?}");
    }
}

/// Panics in its first turn while it holds the lock of what is staged.
struct PanicsUnderLock(Arc<AtomicU32>);

#[async_trait]
impl Middleware for PanicsUnderLock {
    async fn on_turn(&self, turn: &mut Turn, next: Next<'_>) -> Result<(), TurnError> {
        {
            let _staging = turn.effects.staging();
            assert!(self.0.fetch_add(1, Ordering::Relaxed) > 0, "on purpose");
        }
        next.run(turn).await
    }
}

#[tokio::test]
async fn a_panic_under_the_lock_of_a_turn_fails_that_turn_alone() {
    let (folder, seen) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU32::new(0)));
    let turns = entry(&folder, vec![Box::new(PanicsUnderLock(seen.clone()))]).await;
    let first = turns.accept(inbound("1")).await.unwrap();
    let next = turns.accept(inbound("2")).await.unwrap();
    assert_eq!(first.answer.await.unwrap().status, 503);
    assert_eq!(next.answer.await.unwrap().status, 200, "the next turn of the conversation");
    let again = turns.accept(inbound("1")).await.unwrap();
    assert_eq!(again.answer.await.unwrap().status, 200, "the channel sends it again");
}

/// Suspends what the sender `suspended` sends, for ever.
struct Suspends;

#[async_trait]
impl Middleware for Suspends {
    /// Sends through itself: once so that the send is cut while it is suspended, and once while that is so.
    async fn on_turn(&self, turn: &mut Turn, next: Next<'_>) -> Result<(), TurnError> {
        let effects = turn.effects.clone();
        let message = || json!({ "type": "message", "text": "hello" }).as_object().cloned().unwrap();
        let mut suspended = Box::pin(effects.send(0, "suspended", message(), false));
        assert!(suspended.as_mut().now_or_never().is_none());
        effects.send(0, hooks::HOST, message(), false).await?;
        drop(suspended);
        assert_eq!(effects.staging().actions().len(), 1, "what was cut is not staged");
        next.run(turn).await
    }

    async fn on_outgoing(&self, _turn: &TurnContext, sender: &str, _outgoing: &Outgoing) -> Result<Verdict, Fault> {
        if sender == "suspended" {
            std::future::pending::<()>().await;
        }
        Ok(Verdict::Pass)
    }
}

#[tokio::test]
async fn a_sender_that_is_cut_while_middleware_holds_its_send_leaves_nothing_and_no_lock() {
    let folder = tempfile::tempdir().unwrap();
    let turns = entry(&folder, vec![Box::new(Suspends)]).await;
    for id in ["1", "2"] {
        let ticket = turns.accept(inbound(id)).await.unwrap();
        assert_eq!(ticket.answer.await.unwrap().status, 200);
    }
    assert!(turns.recent("bot").iter().all(|record| record.sent.len() == 1));
}

/// Begins a flush in its first turn, and lets go of it before it has ended.
struct DropsItsFlush;

#[async_trait]
impl Middleware for DropsItsFlush {
    async fn on_turn(&self, turn: &mut Turn, next: Next<'_>) -> Result<(), TurnError> {
        let message = json!({ "type": "message", "text": "hello" }).as_object().cloned().unwrap();
        turn.send(message, false).await?;
        assert!(Box::pin(turn.effects.flush()).now_or_never().is_none(), "the flush is a task of its own");
        turn.effects.end_flush().await.map_err(TurnError::Storage)?;
        {
            let staging = turn.effects.staging();
            assert!(staging.has_flushed() && staging.actions().is_empty());
        }
        next.run(turn).await
    }
}

/// What a flush stored is known to the turn, whatever became of the guest that asked for it.
#[tokio::test]
async fn a_flush_ends_although_who_asked_for_it_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let turns = entry(&folder, vec![Box::new(DropsItsFlush)]).await;
    let ticket = turns.accept(inbound("1")).await.unwrap();
    assert_eq!(ticket.answer.await.unwrap().status, 200);
    assert_eq!(turns.recent("bot")[0].sent.len(), 1);
}

/// A stack that this host cannot read is emptied with the next turn, not stumbled over for ever.
#[test]
fn an_unreadable_stack_is_none() {
    assert!(stack::read("[{\"id\": \"secret text of a user\"").is_none());
    assert!(stack::read("[]").is_some());
}

/// Two who read it while it was due begin it one after the other; only the first of its times has come.
#[tokio::test]
async fn a_timer_that_was_read_twice_is_due_once() {
    let folder = tempfile::tempdir().unwrap();
    let turns = entry(&folder, Vec::new()).await;
    let text = r#"{"type":"message","id":"1","channelId":"test","serviceUrl":"http://localhost:9/","conversation":{"id":"c"},
        "from":{"id":"ann"},"recipient":{"id":"bot"}}"#;
    let met = Inbound { activity: Arc::new(Activity::parse(text).unwrap()), ..inbound("1") };
    assert_eq!(turns.accept(met).await.unwrap().answer.await.unwrap().status, 200);
    let content = proactive::Content::read(&json!({ "activity": { "type": "message", "text": "tick" } })).unwrap();
    let mut timer = proactive::from_operator(inbound("1").key, crate::storage::notifications::Mode::Now, &content);
    timer.cron = Some("0 0 1 1 * UTC".into());
    turns.services.storage.add_notification(timer.clone()).await.unwrap();
    for sends in [1, 0] {
        let ticket = turns.begin(timer.clone(), "turn".into()).await.unwrap();
        let answer = ticket.answer.await.unwrap().body.unwrap();
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["sends"], sends);
    }
    let kept = turns.services.storage.notification("bot", &timer.id).await.unwrap().unwrap();
    assert!(kept.ended.is_none() && kept.due_ms > timer.due_ms, "{kept:?}");
}
