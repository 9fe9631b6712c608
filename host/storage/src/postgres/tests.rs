//! The conformance suite over a real server, and what other hosts and a failing database do to a store.

mod failures;
mod hosts;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, OnceLock};

use super::*;
use crate::conformance::{answer, bounds, commit, conforms, mark, send, turn};
use crate::testing::server::Server;
use crate::testing::{conversation, settings, skip};
use crate::{
    Delivery, Expected, FrameTag, InboxEntry, OutboxAction, ScopeOwner, StateScope, StateValue, StateWrite, Storage,
    StoredStack, TurnCommit,
};
use turntable_activity::ConversationKey;
use turntable_config::{Source, StorageKind};

/// One server for all tests. A test that restarts its server starts one of its own.
static SERVER: LazyLock<Option<Server>> = LazyLock::new(Server::start);

/// Settings with room for a hundred of everything.
fn roomy() -> Channel {
    let mut roomy = settings();
    (roomy.outbox_rows_max, roomy.dead_letters_max) = (100, 100);
    (roomy.redelivery_marks_max, roomy.id_map_entries_max) = (100, 100);
    roomy
}

/// A database of its own for a test.
struct Database {
    folder: tempfile::TempDir,
    name: String,
}

impl Database {
    fn new(server: &Server) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("test{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let url = server.database(&name);
        Self::at(name, &url)
    }

    /// A database that is there already, at another address.
    fn at(name: String, url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("url");
        std::fs::write(&path, url).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        Self { folder, name }
    }

    fn settings(&self) -> Settings {
        let url = Some(Source::File(self.folder.path().join("url")));
        Settings { kind: StorageKind::Postgres, url, connections: 4, ..Settings::in_data_dir(self.folder.path()) }
    }

    async fn try_open(&self, channel: &Channel) -> anyhow::Result<PostgresStorage> {
        PostgresStorage::open(&self.settings(), &Tls::default(), channel, Handle::current()).await
    }

    async fn open(&self) -> PostgresStorage {
        self.try_open(&roomy()).await.unwrap()
    }

    async fn refusal(&self) -> String {
        match self.try_open(&roomy()).await {
            Ok(_) => panic!("it should be refused"),
            Err(error) => format!("{error:#}"),
        }
    }
}

/// The shared server, or none if PostgreSQL is not installed.
fn server() -> Option<&'static Server> {
    static TOLD: OnceLock<()> = OnceLock::new();
    let server = SERVER.as_ref();
    if server.is_none() {
        TOLD.get_or_init(|| skip("PostgreSQL is not installed"));
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_conforms() {
    let Some(server) = server() else { return };
    conforms(&Database::new(server).open().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_stays_within_its_bounds() {
    let Some(server) = server() else { return };
    let runtime = Handle::current();
    bounds::conform(|| {
        let database = Database::new(server);
        let open = async move { database.try_open(&settings()).await.unwrap() };
        tokio::task::block_in_place(|| runtime.block_on(open))
    })
    .await;
}

/// One write of a counter, which relies on the one before.
fn count_to(number: usize) -> StateWrite {
    let etag = |number: usize| Arc::from(format!("e{number}"));
    let value = StateValue { value: number.to_string().into(), etag: etag(number) };
    let expected = if number == 1 { Expected::Absent } else { Expected::Etag(etag(number - 1)) };
    StateWrite { scope: counter(), key: "count".into(), value: Some(value), expected }
}

fn counter() -> StateScope {
    StateScope { bot: "bot".into(), namespace: "plugin:p".into(), owner: ScopeOwner::Bot }
}

async fn lease(storage: &PostgresStorage, of: &ConversationKey, owner: &str) -> Fence {
    match storage.lease(of, &owner.into(), std::time::Duration::from_secs(60)).await.unwrap() {
        crate::Lease::Granted(fence) => fence,
        held => panic!("{held:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_survives_the_end_of_a_host() {
    let Some(server) = server() else { return };
    let (database, one) = (Database::new(server), conversation("c"));
    {
        let storage = database.open().await;
        assert!(matches!(storage.accept(&mark("m"), &turn()).await.unwrap(), Accepted::New));
        let kept = InboxEntry { turn_id: "kept".into(), conversation: one.clone(), activity: "{}".into() };
        storage.add_to_inbox(kept).await.unwrap();
        let frame = FrameTag { plugin: "p".into(), dialog: "d".into(), state_version: 3 };
        let turn = TurnCommit {
            writes: vec![count_to(1)],
            stack: Some(Some(StoredStack { text: "[]".into(), frames: vec![frame] })),
            record: Some((mark("m"), answer(201))),
            ..commit(&one, vec![send("tt-1"), send("tt-2")])
        };
        storage.commit(turn).await.unwrap();
        let row = storage.claim_outbox(&one).await.unwrap().unwrap();
        storage.note_delivery(&row, Delivery::Done { channel_id: "c1".into() }).await.unwrap();
        storage.close().await.unwrap();
    }
    let storage = database.open().await;
    let found = storage.accept(&mark("m"), &turn()).await.unwrap();
    assert!(
        matches!(found, Accepted::Duplicate { turn_id, answer: found } if found == answer(201) && turn_id == turn())
    );
    assert_eq!(&*storage.load_state(&counter()).await.unwrap()["count"].value, "1");
    assert_eq!(storage.load_stack(&one).await.unwrap().as_deref(), Some("[]"));
    assert_eq!(storage.frames("bot").await.unwrap()[0].1, 1);
    assert_eq!(storage.outbox_depth().await.unwrap(), 1);
    assert_eq!(storage.host_id(&one, "c1").await.unwrap().as_deref(), Some("tt-1"));
    let left = storage.leftovers().await.unwrap();
    assert_eq!((left.activities.len(), left.outbox), (1, vec![(one.clone(), 1)]));
    // The turn of the kept activity ends, under the id that it was kept with.
    storage.commit(TurnCommit { turn_id: "kept".into(), ..commit(&one, Vec::new()) }).await.unwrap();
    assert!(storage.leftovers().await.unwrap().activities.is_empty());
}

/// Outsiders choose ids: with characters that PostgreSQL has no text for, and longer than its indexes take.
#[tokio::test(flavor = "multi_thread")]
async fn every_id_that_the_host_accepts_is_kept() {
    let Some(server) = server() else { return };
    let storage = Database::new(server).open().await;
    let noise: String = (0..1_024 / 2).map(|n| char::from_u32(0x80 + n * 7_919 % 0x700).unwrap()).collect();
    for id in ["\0", "a\u{1}0\0b", noise.as_str()] {
        let place = conversation(id);
        let key = DeduplicationKey { conversation: place.clone(), kind: id.into(), id: id.into(), body: None };
        assert!(matches!(storage.accept(&key, &turn()).await.unwrap(), Accepted::New));
        let owner = ScopeOwner::Private(place.channel.clone(), id.into(), id.into());
        let scope = StateScope { owner, ..counter() };
        let turn = TurnCommit {
            record: Some((key.clone(), answer(200))),
            writes: vec![StateWrite { scope: scope.clone(), key: "\0".into(), ..count_to(1) }],
            ..commit(&place, vec![OutboxAction::Delete { target: id.into() }, send("tt-noise")])
        };
        storage.commit(turn).await.unwrap();
        assert!(matches!(storage.accept(&key, &"again".into()).await.unwrap(), Accepted::Duplicate { .. }));
        assert_eq!(storage.load_state(&scope).await.unwrap().keys().collect::<Vec<_>>(), [&Arc::from("\0")]);
        let row = storage.claim_outbox(&place).await.unwrap().unwrap();
        assert!(matches!(&row.action, OutboxAction::Delete { target } if **target == *id));
        storage.note_delivery(&row, Delivery::Done { channel_id: "".into() }).await.unwrap();
        let row = storage.claim_outbox(&place).await.unwrap().unwrap();
        storage.note_delivery(&row, Delivery::Done { channel_id: id.into() }).await.unwrap();
        assert_eq!(storage.host_id(&place, id).await.unwrap().as_deref(), Some("tt-noise"));
    }
}
