//! Tests of lanes with the memory store and a scripted channel. Waits between attempts are recorded and end at once.

use std::cell::RefCell;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::channel::ChannelError;
use crate::channel::testing::{address, conversation, object, settings};
use crate::storage::notifications::ProactiveChanges;
use crate::storage::sqlite::SqliteStorage;
use crate::storage::{Fence, OutboxAction, TurnCommit};

/// A channel that records each call. It answers from its script, then with the ids `c1`, `c2`, ….
struct Scripted {
    calls: mpsc::UnboundedSender<String>,
    script: Mutex<VecDeque<Result<Arc<str>, ChannelError>>>,
    taken: Mutex<u32>,
    /// Calls in the conversation `held` wait for a permit.
    gate: Semaphore,
}

impl Scripted {
    async fn call(&self, to: &Address, what: String) -> Result<Arc<str>, ChannelError> {
        let conversation = &to.conversation.conversation;
        if **conversation == *"held" {
            self.gate.acquire().await.unwrap().forget();
        }
        self.calls.send(format!("{conversation} {what}")).unwrap();
        assert!(!what.contains("panic"), "on purpose");
        if let Some(scripted) = self.script.lock().pop_front() {
            return scripted;
        }
        let mut taken = self.taken.lock();
        *taken += 1;
        Ok(format!("c{taken}").into())
    }
}

#[async_trait]
impl Channel for Scripted {
    async fn send(&self, to: &Address, activity: &Arc<str>) -> Result<Arc<str>, ChannelError> {
        self.call(to, format!("POST {activity}")).await
    }

    async fn update(&self, to: &Address, id: &str, activity: &Arc<str>) -> Result<(), ChannelError> {
        self.call(to, format!("PUT {id} {activity}")).await.map(drop)
    }

    async fn delete(&self, to: &Address, id: &str) -> Result<(), ChannelError> {
        self.call(to, format!("DELETE {id}")).await.map(drop)
    }
}

thread_local! {
    static WAITS: RefCell<Vec<Duration>> = const { RefCell::new(Vec::new()) };
}

struct Fixture {
    deliveries: Deliveries,
    storage: Arc<SqliteStorage>,
    channel: Arc<Scripted>,
    calls: mpsc::UnboundedReceiver<String>,
}

impl Fixture {
    fn new(script: Vec<Result<Arc<str>, ChannelError>>) -> Self {
        Self::with(settings(), script)
    }

    fn with(mut settings: config::Channel, script: Vec<Result<Arc<str>, ChannelError>>) -> Self {
        let (sender, calls) = mpsc::unbounded_channel();
        let channel = Arc::new(Scripted {
            calls: sender,
            script: Mutex::new(script.into()),
            taken: Mutex::new(0),
            gate: Semaphore::new(0),
        });
        (settings.outbox_rows_max, settings.id_map_entries_max) = (1_000, 1_000);
        let storage = Arc::new(SqliteStorage::temporary(&settings).unwrap());
        // Each test has one thread, so what its lanes wait for is noted there.
        WAITS.take();
        let wait: Wait = |time| {
            WAITS.with_borrow_mut(|waits| waits.push(time));
            Box::pin(tokio::task::yield_now())
        };
        let courier = Courier::new(&settings, storage.clone(), channel.clone(), channel.clone(), wait);
        let deliveries = Deliveries::over(courier, Handle::current());
        Self { deliveries, storage, channel, calls }
    }

    /// Commits rows and wakes the lane, as a turn does.
    async fn commit(&self, id: &str, outbox: Vec<OutboxAction>) {
        let rows = outbox.len();
        let (key, service_url) = (conversation(id), "http://localhost".into());
        let (turn_id, record) = ("turn".into(), None);
        let commit = TurnCommit {
            conversation: key.clone(),
            service_url,
            turn_id,
            fence: Fence(0),
            outbox,
            writes: Vec::new(),
            stack: None,
            record,
            proactive: ProactiveChanges::default(),
            transcript: Vec::new(),
            ends_turn: true,
            builds_on: Vec::new(),
            made: None,
        };
        self.storage.commit(commit).await.unwrap();
        self.deliveries.wake(&key, rows);
    }

    fn now(&self, id: &str, host_id: &str, activity: &str) {
        self.deliveries.send_now(address(id, "http://localhost"), host_id.into(), object(activity));
    }

    async fn drained(&self) -> DrainReport {
        self.deliveries.drain(Instant::now() + Duration::from_secs(60)).await
    }

    fn all_calls(&mut self) -> Vec<String> {
        std::iter::from_fn(|| self.calls.try_recv().ok()).collect()
    }

    async fn dead(&self) -> Vec<String> {
        self.storage.dead_letters("bot").await.unwrap().into_iter().map(|letter| letter.why).collect()
    }
}

fn send(host_id: &str, activity: &str) -> OutboxAction {
    OutboxAction::Send { host_id: host_id.into(), activity: activity.into() }
}

fn text(host_id: &str, text: &str) -> OutboxAction {
    send(host_id, &format!(r#"{{"text":"{text}"}}"#))
}

fn unreachable() -> Result<Arc<str>, ChannelError> {
    Err(ChannelError::Unreachable { peer: "http://localhost".into(), why: "refused".to_owned() })
}

fn throttled(retry_after: u64) -> Result<Arc<str>, ChannelError> {
    Err(ChannelError::Throttled { why: "429".to_owned(), retry_after: Some(Duration::from_secs(retry_after)) })
}

fn refused() -> Result<Arc<str>, ChannelError> {
    Err(ChannelError::Refused { status: Some(403), fault: None, why: "no".to_owned() })
}

#[tokio::test]
async fn order_holds_while_a_row_is_tried_again() {
    let mut fixture = Fixture::new(vec![throttled(7), throttled(5)]);
    fixture.commit("a", vec![text("tt-1", "one"), text("tt-2", "two")]).await;
    fixture.commit("a", vec![text("tt-3", "three")]).await;
    assert_eq!(fixture.drained().await, DrainReport { delivered: 3, left: 0 });
    let expected = [
        r#"a POST {"text":"one"}"#,
        r#"a POST {"text":"one"}"#,
        r#"a POST {"text":"one"}"#,
        r#"a POST {"text":"two"}"#,
        r#"a POST {"text":"three"}"#,
    ];
    assert_eq!(fixture.all_calls(), expected);
    assert_eq!(WAITS.take(), [Duration::from_secs(7), Duration::from_secs(5)]);
    assert_eq!(fixture.storage.channel_id(&conversation("a"), "tt-3").await.unwrap().as_deref(), Some("c3"));
}

/// Nothing was sent, so the row waits in its place, and one conversation finds out that the channel is back.
#[tokio::test]
async fn what_cannot_be_reached_waits_and_its_conversations_stay_in_order() {
    let mut fixture = Fixture::new(vec![unreachable()]);
    fixture.commit("a", vec![text("tt-1", "one"), text("tt-2", "two")]).await;
    assert_eq!(fixture.calls.recv().await.unwrap(), r#"a POST {"text":"one"}"#);
    fixture.commit("b", vec![text("tt-3", "three")]).await;
    fixture.now("c", "tt-4", r#"{"type":"typing"}"#);
    assert_eq!(fixture.drained().await, DrainReport { delivered: 3, left: 0 });
    let calls = fixture.all_calls();
    let of = |id: &str| calls.iter().filter(|call| call.starts_with(id)).cloned().collect::<Vec<_>>();
    assert_eq!(of("a"), [r#"a POST {"text":"one"}"#, r#"a POST {"text":"two"}"#]);
    assert_eq!(of("b"), [r#"b POST {"text":"three"}"#]);
    assert_eq!(of("c"), Vec::<String>::new(), "typing is late and dropped");
    assert!(calls.iter().position(|call| call.starts_with('a')) < calls.iter().position(|call| call.starts_with('b')));
    assert_eq!(fixture.dead().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_stays_out_of_reach_becomes_dead_letters_oldest_first() {
    let brief = config::Channel { unreachable_wait: Duration::from_millis(20), ..settings() };
    let mut fixture = Fixture::with(brief, (0..1_000).map(|_| unreachable()).collect());
    fixture.commit("a", vec![text("tt-1", "one"), text("tt-2", "two")]).await;
    fixture.commit("a", vec![text("tt-3", "three")]).await;
    assert_eq!(fixture.drained().await, DrainReport { delivered: 0, left: 0 });
    let letters = fixture.storage.dead_letters("bot").await.unwrap();
    let sequences: Vec<u64> = letters.iter().rev().map(|letter| letter.row.sequence).collect();
    assert_eq!(sequences, [1, 2, 3]);
    assert_eq!(letters[2].why, "not delivered: refused; given up after channel.unreachable-ms");
    assert!(fixture.all_calls().iter().all(|call| call.starts_with("a POST")), "it was tried");
}

/// A 429 does not count as a failed attempt: the channel took nothing and says when it will.
#[tokio::test]
async fn a_channel_that_says_at_once_is_asked_again_at_a_pace() {
    let mut fixture = Fixture::new((0..3).map(|_| throttled(0)).collect());
    fixture.commit("a", vec![text("tt-1", "one")]).await;
    assert_eq!(fixture.drained().await, DrainReport { delivered: 1, left: 0 });
    assert_eq!(fixture.all_calls().len(), 4);
    let waits = WAITS.take();
    assert!(waits.iter().all(|wait| *wait >= Duration::from_millis(250)), "{waits:?}");

    let mut fixture = Fixture::new((0..20).map(|_| throttled(0)).collect());
    fixture.commit("a", vec![text("tt-1", "one")]).await;
    assert_eq!(fixture.drained().await, DrainReport { delivered: 0, left: 0 });
    assert_eq!(fixture.all_calls().len(), 11, "it is put off ten times");
    assert_eq!(fixture.dead().await, ["not delivered: 429; given up after ten answers like this one"]);
}

#[tokio::test]
async fn what_may_have_arrived_is_sent_again_where_the_operator_wants_that() {
    let settings = config::Channel { ambiguous: config::Ambiguous::Resend, ..settings() };
    let ambiguous = || Err(ChannelError::Ambiguous { why: "silence".to_owned(), retry_after: None });
    let mut fixture = Fixture::with(settings, vec![ambiguous(), Ok("c1".into())]);
    fixture.commit("c", vec![send("tt-1", r#"{"type":"message","text":"one"}"#)]).await;
    let calls = [fixture.calls.recv().await.unwrap(), fixture.calls.recv().await.unwrap()];
    assert_eq!(calls[0], calls[1]);
    assert_eq!(WAITS.take().len(), 1, "after a wait");
    fixture.drained().await;

    let settings = config::Channel { ambiguous: config::Ambiguous::Resend, ..self::settings() };
    let fixture = Fixture::with(settings, (0..3).map(|_| ambiguous()).collect());
    fixture.commit("c", vec![send("tt-1", r#"{"type":"message","text":"one"}"#)]).await;
    fixture.drained().await;
    let why = "may have been delivered: silence; given up after channel.send-attempts-max attempts";
    assert_eq!(fixture.dead().await, [why]);
}

#[tokio::test]
async fn what_was_refused_or_may_have_arrived_is_not_sent_again() {
    let ambiguous = Err(ChannelError::Ambiguous { why: "silence".to_owned(), retry_after: None });
    let mut fixture = Fixture::new(vec![refused(), ambiguous]);
    fixture.commit("a", vec![text("tt-1", "one"), text("tt-2", "two"), text("tt-3", "three")]).await;
    assert_eq!(fixture.drained().await, DrainReport { delivered: 1, left: 0 });
    assert_eq!(fixture.all_calls().len(), 3);
    assert_eq!(
        fixture.dead().await,
        [
            "may have been delivered: silence; not retried, because it could be delivered twice (channel.ambiguous is \"drop\")",
            "refused with 403: no",
        ]
    );
}

/// A POST has no idempotency key, but updates and deletions are idempotent.
#[tokio::test]
async fn an_update_or_deletion_that_may_have_arrived_is_asked_again() {
    let ambiguous = |after: Option<u64>| {
        Err(ChannelError::Ambiguous { why: "busy".to_owned(), retry_after: after.map(Duration::from_secs) })
    };
    let gone = || Err(ChannelError::Refused { status: Some(404), fault: None, why: "no such activity".to_owned() });
    let update = OutboxAction::Update { target: "theirs".into(), activity: r#"{"text":"new"}"#.into() };
    let delete = |id: &str| OutboxAction::Delete { target: id.into() };
    let mut fixture =
        Fixture::new(vec![ambiguous(Some(7)), Ok("".into()), ambiguous(None), gone(), gone(), ambiguous(None)]);
    fixture
        .commit("a", vec![update, delete("theirs"), delete("another"), text("tt-1", "one"), text("tt-2", "two")])
        .await;
    assert_eq!(fixture.drained().await, DrainReport { delivered: 3, left: 0 });
    let expected = [
        r#"a PUT theirs {"text":"new","id":"theirs"}"#,
        r#"a PUT theirs {"text":"new","id":"theirs"}"#,
        "a DELETE theirs",
        "a DELETE theirs",
        "a DELETE another",
        r#"a POST {"text":"one"}"#,
        r#"a POST {"text":"two"}"#,
    ];
    assert_eq!(fixture.all_calls(), expected);
    let dropped = "may have been delivered: busy; not retried, because it could be delivered twice (channel.ambiguous is \"drop\")";
    assert_eq!(fixture.dead().await, [dropped, "refused with 404: no such activity"]);
    let waits = WAITS.take();
    assert_eq!(waits[0], Duration::from_secs(7), "the channel said when");
    assert_eq!(waits.len(), 2, "{waits:?}");
}

/// A panic of the host affects one row. It is unknown whether the channel took it.
#[tokio::test]
async fn a_panic_ends_one_delivery_and_not_the_lane() {
    let mut fixture = Fixture::new(Vec::new());
    fixture.commit("a", vec![text("tt-1", "panic"), text("tt-2", "two")]).await;
    fixture.now("a", "tt-3", r#"{"type":"typing","text":"panic"}"#);
    fixture.commit("a", vec![text("tt-4", "four")]).await;
    assert_eq!(fixture.drained().await, DrainReport { delivered: 2, left: 0 });
    assert_eq!(fixture.all_calls().len(), 4);
    let dead = fixture.dead().await;
    assert!(dead[0].starts_with("may have been delivered: the host failed during the call; see its log"), "{dead:?}");
}

#[tokio::test]
async fn a_silent_channel_holds_up_its_own_conversation_only() {
    let mut fixture = Fixture::new(Vec::new());
    fixture.commit("held", vec![text("tt-1", "one"), text("tt-2", "two")]).await;
    fixture.commit("b", vec![text("tt-3", "three")]).await;
    assert_eq!(fixture.calls.recv().await.unwrap(), r#"b POST {"text":"three"}"#);
    assert_eq!(fixture.deliveries.drain(Instant::now()).await, DrainReport { delivered: 0, left: 2 });
    fixture.channel.gate.add_permits(2);
    assert_eq!(fixture.drained().await, DrainReport { delivered: 2, left: 0 });
    assert_eq!(fixture.all_calls(), [r#"held POST {"text":"one"}"#, r#"held POST {"text":"two"}"#]);
}

#[tokio::test]
async fn host_ids_become_the_channels() {
    let mut fixture = Fixture::new(Vec::new());
    let update = |target: &str| OutboxAction::Update { target: target.into(), activity: r#"{"text":"new"}"#.into() };
    fixture
        .commit(
            "a",
            vec![
                text("tt-1", "one"),
                send("tt-2", r#"{"replyToId":"tt-1"}"#),
                send("tt-3", r#"{"replyToId":"theirs"}"#),
                update("tt-1"),
                update("theirs"),
                OutboxAction::Delete { target: "tt-2".into() },
            ],
        )
        .await;
    fixture.drained().await;
    let expected = [
        r#"a POST {"text":"one"}"#,
        r#"a POST {"replyToId":"c1"}"#,
        r#"a POST {"replyToId":"theirs"}"#,
        r#"a PUT c1 {"text":"new","id":"c1"}"#,
        r#"a PUT theirs {"text":"new","id":"theirs"}"#,
        "a DELETE c2",
    ];
    assert_eq!(fixture.all_calls(), expected);
    assert_eq!(fixture.dead().await, Vec::<String>::new());
}

#[tokio::test]
async fn what_never_arrived_cannot_be_replied_to_or_changed() {
    let mut fixture = Fixture::new(vec![refused()]);
    let delete = OutboxAction::Delete { target: "tt-1".into() };
    fixture.commit("a", vec![text("tt-1", "one"), send("tt-2", r#"{"replyToId":"tt-1"}"#), delete]).await;
    fixture.drained().await;
    assert_eq!(fixture.all_calls(), [r#"a POST {"text":"one"}"#, "a POST {}"]);
    assert!(fixture.dead().await[0].contains("`tt-1` has no channel id"));
}

#[tokio::test]
async fn what_leaves_at_once_leaves_between_the_commits_around_it() {
    let mut fixture = Fixture::new(Vec::new());
    fixture.channel.gate.add_permits(1);
    fixture.commit("held", vec![text("tt-1", "one")]).await;
    fixture.calls.recv().await.unwrap();
    fixture.commit("held", vec![text("tt-2", "two")]).await;
    fixture.now("held", "tt-3", r#"{"type":"typing"}"#);
    fixture.commit("held", vec![text("tt-4", "four")]).await;
    fixture.channel.gate.add_permits(3);
    fixture.drained().await;
    let expected = [r#"held POST {"text":"two"}"#, r#"held POST {"type":"typing"}"#, r#"held POST {"text":"four"}"#];
    assert_eq!(fixture.all_calls(), expected);
}

const OPENING: &str = r#"{"type":"typing","text":"a","entities":[{"type":"streaminfo","streamSequence":1}]}"#;

fn piece(kind: &str) -> String {
    format!(
        r#"{{"type":"{kind}","text":"ab","entities":[{{"type":"streamInfo","streamId":"tt-1"}}],"channelData":{{"streamId":"tt-1","x":1}}}}"#
    )
}

#[tokio::test]
async fn pieces_of_a_stream_carry_the_channels_id() {
    let mut fixture = Fixture::new(vec![Ok("s1".into()), Ok("".into()), Ok("".into())]);
    fixture.now("a", "tt-1", OPENING);
    fixture.now("a", "tt-2", &piece("typing"));
    fixture.now("a", "tt-3", &piece("message"));
    fixture.drained().await;
    let expected = [
        format!("a POST {OPENING}"),
        format!("a POST {}", piece("typing").replace("tt-1", "s1")),
        format!("a POST {}", piece("message").replace("tt-1", "s1")),
    ];
    assert_eq!(fixture.all_calls(), expected);
    // The stream is one activity on the channel, so its last message can be updated by the id of the stream.
    assert_eq!(fixture.storage.channel_id(&conversation("a"), "tt-3").await.unwrap().as_deref(), Some("s1"));
}

#[tokio::test]
async fn the_end_of_a_stream_that_never_started_is_a_message() {
    let mut fixture = Fixture::new(vec![refused(), throttled(1)]);
    fixture.now("a", "tt-1", OPENING);
    fixture.now("a", "tt-2", &piece("typing"));
    fixture.now("a", "tt-3", &piece("message"));
    fixture.drained().await;
    let plain = r#"POST {"type":"message","text":"ab","channelData":{"x":1}}"#;
    assert_eq!(fixture.all_calls(), [format!("a POST {OPENING}"), format!("a {plain}"), format!("a {plain}")]);
}

#[tokio::test]
async fn too_many_typings_push_each_other_out_but_no_message() {
    let mut fixture = Fixture::new(Vec::new());
    // The channel holds the first activity, and the others wait behind it.
    fixture.commit("held", vec![text("tt-0", "zero")]).await;
    fixture.now("held", "tt-1", OPENING);
    for n in 0..EPHEMERALS_PER_CONVERSATION_MAX + 10 {
        fixture.now("held", "tt-n", &format!(r#"{{"type":"typing","n":{n}}}"#));
    }
    fixture.now("held", "tt-2", r#"{"type":"message","last":true}"#);
    fixture.channel.gate.add_permits(1_000);
    fixture.drained().await;
    let calls = fixture.all_calls();
    assert_eq!(calls.len(), 1 + EPHEMERALS_PER_CONVERSATION_MAX);
    assert_eq!(calls[1], format!("held POST {OPENING}"));
    assert!(calls[2].ends_with(r#"{"type":"typing","n":12}"#), "the oldest went first: {}", calls[2]);
    assert!(calls.last().unwrap().ends_with(r#"{"type":"message","last":true}"#));
}

/// Ephemeral activities do not wait for the rate limit, and rows do not overtake waiting activities.
#[tokio::test]
async fn typing_beyond_the_rate_is_dropped_and_messages_wait_in_order() {
    let rates = config::Rates { conversation: vec!["1/24h".parse().unwrap()], bot: Vec::new() };
    let mut limited = settings();
    limited.rates = [("test".to_owned(), rates)].into();
    let mut fixture = Fixture::with(limited, Vec::new());
    fixture.commit("a", vec![text("tt-1", "one")]).await;
    fixture.now("a", "tt-2", r#"{"type":"typing"}"#);
    fixture.now("b", "tt-3", r#"{"type":"typing"}"#);
    fixture.drained().await;
    assert_eq!(fixture.all_calls(), [r#"a POST {"text":"one"}"#, r#"b POST {"type":"typing"}"#]);
    assert!(WAITS.take().is_empty(), "nothing waited");
    fixture.commit("a", vec![text("tt-4", "two"), text("tt-5", "three")]).await;
    fixture.commit("c", vec![text("tt-6", "four")]).await;
    assert_eq!(fixture.calls.recv().await.unwrap(), r#"c POST {"text":"four"}"#);
    let wait = WAITS.take()[0];
    assert!(wait > Duration::from_secs(23 * 3_600), "{wait:?}");
    assert!(fixture.calls.try_recv().is_err(), "the others wait");
}
