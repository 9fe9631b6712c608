//! Problems with the store's file: each gives an error that says what is wrong, and no data is lost.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rusqlite::Connection;
use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::{Value, json};

use crate::support::{Config, Connector, Host, command, expecting_replies, message, skip, turntable, within};

const GRANTS: &str = "grants = { state = ['conversation', 'bot'], dialogs = true }";

fn config() -> Config {
    Config::new().bot("bot", &[]).plugin("bot", "scripted", GRANTS)
}

fn store(host: &Host) -> PathBuf {
    host.data().join("turntable.db")
}

/// Runs a `turntable store` command for the store of a host.
fn operate(host: &Host, command: &str) -> command::Ended {
    let config = host.data().with_file_name("turntable.toml");
    turntable(&["store", command, "--config", config.to_str().unwrap()], "")
}

/// Sends a message in the conversation of these specs, and returns the texts of the replies.
async fn say(host: &Host, text: &str) -> Vec<String> {
    let mut activity = expecting_replies(message(text));
    activity["conversation"]["id"] = "c".into();
    let replies = host.post("bot", &activity).await.replies();
    replies.iter().map(|reply| reply["text"].as_str().unwrap_or_default().to_owned()).collect()
}

/// Stores a value and begins a dialog that waits.
async fn converse(host: &Host) {
    let steps = json!({ "steps": [{ "kind": "wait", "quiet": true }, { "kind": "done" }] });
    assert_eq!(say(host, &format!("set conversation name \"Ann\"\nbegin script {steps}")).await, ["done"]);
}

/// Checks that the value and the dialog of [`converse`] are there.
async fn goes_on(host: &Host) {
    assert_eq!(say(host, "on").await, ["script continue \"on\""]);
    assert_eq!(say(host, "get conversation name").await, ["\"Ann\""]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_another_host_has_is_refused_with_its_process() {
    let Some(host) = Host::start(config()).await else { return };
    converse(&host).await;
    let path = store(&host);
    let second = config().set("storage.path", &format!("'{}'", path.display()));
    let Some(said) = Host::fails_to_start(second).await else { return };
    let pid = host.pid().as_raw_nonzero();
    assert!(said.contains(&format!("{} is in use by process {pid}; stop it", path.display())), "{said}");
    // The operator's commands cannot open it either.
    let ended = operate(&host, "compact");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains(&format!("is in use by process {pid}")), "{ended:?}");
    goes_on(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_killed_host_is_free() {
    let Some(mut host) = Host::start(config()).await else { return };
    converse(&host).await;
    host.again(None).await;
    goes_on(&host).await;
}

/// After a clean stop the next start does not check the whole file.
#[tokio::test(flavor = "multi_thread")]
async fn a_graceful_stop_leaves_everything_in_the_file_and_nothing_in_the_log() {
    let Some(mut host) = Host::start(config()).await else { return };
    for _ in 0..8 {
        converse(&host).await;
        assert!(host.ends().await.success());
        let log = fs::metadata(store(&host).with_extension("db-wal")).map_or(0, |log| log.len());
        assert_eq!(log, 0);
        host.again(None).await;
        goes_on(&host).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_may_not_be_written_is_refused_and_nothing_in_it_is_lost() {
    let Some(launcher) = bound_by_permissions() else { return };
    let Some(mut host) = Host::start(config().launcher(launcher.clone())).await else { return };
    converse(&host).await;
    host.ends().await;
    let (folder, file) = (host.data(), store(&host));
    write_back(&file);
    for (path, mode) in [(&folder, 0o500), (&file, 0o400)] {
        let before = fs::read(&file).unwrap();
        let usual = fs::metadata(path).unwrap().permissions();
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        let said = host.refuses_to_start().await;
        fs::set_permissions(path, usual).unwrap();
        assert!(said.contains("storage.path must be in a folder that this user may write"), "{mode:o}: {said}");
        assert!(fs::read(&file).unwrap() == before, "{mode:o}: it was changed");
    }
    host.again(None).await;
    goes_on(&host).await;

    // The store does not exist yet.
    let config = config().launcher(launcher);
    let folder = config.data().join("read-only");
    fs::create_dir(&folder).unwrap();
    fs::set_permissions(&folder, Permissions::from_mode(0o500)).unwrap();
    let config = config.set("storage.path", &format!("'{}'", folder.join("turntable.db").display()));
    let Some(said) = Host::fails_to_start(config).await else { return };
    assert!(said.contains("storage.path must be in a folder that this user may write"), "{said}");
}

/// Checkpoints everything into the file and removes the files beside it. If SQLite's files existed, a read-only folder would
/// not matter.
fn write_back(file: &Path) {
    let connection = Connection::open(file).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    assert!(!file.with_extension("db-wal").exists() && !file.with_extension("db-shm").exists());
}

/// A launcher for hosts that respect file permissions. For root it drops the capabilities that bypass permissions.
fn bound_by_permissions() -> Option<Vec<String>> {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o500)).unwrap();
    let bound = |words: &[String]| {
        let words = [words, &["test".into(), "-w".into(), folder.path().to_str().unwrap().into()]].concat();
        Command::new(&words[0]).args(&words[1..]).output().is_ok_and(|output| output.status.code() == Some(1))
    };
    let give_up = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"].map(str::to_owned);
    let found = [Vec::new(), give_up.into()].into_iter().find(|words| bound(words));
    if found.is_none() {
        skip("file permissions do not bind this user, and it cannot give that up with setpriv");
    }
    found
}

/// A limit on the size of files simulates a full disk. It needs no privilege, and it can be lifted.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_disk_refuses_is_run_when_there_is_room_again() {
    // By default the system kills a process that reaches the limit.
    let Some(mut host) = Host::start(config().launcher(command::after("trap '' XFSZ"))).await else { return };
    let connector = Connector::start().await;
    converse(&host).await;
    let log = fs::metadata(store(&host).with_extension("db-wal")).unwrap().len();
    let unlimited = limit_file_size(&host, Some(log));
    let mut activity = connector.message("add conversation count");
    let refused = host.post("bot", &activity).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    assert!(refused.headers.contains_key("retry-after"));
    host.logged("the disk cannot be read or written").await;
    limit_file_size(&host, unlimited);

    // The channel sends the activity again. The first run has left nothing.
    assert_eq!(host.post("bot", &activity).await.status, 200);
    activity["id"] = message("")["id"].clone();
    assert_eq!(host.post("bot", &activity).await.status, 200);
    let texts: Vec<String> = connector.calls(2).await.iter().map(|call| call.text().to_owned()).collect();
    assert_eq!(texts, ["1", "2"]);
    host.again(None).await;
    goes_on(&host).await;
}

/// Sets the soft limit, which the process may raise again, and returns the earlier limit.
fn limit_file_size(host: &Host, bytes: Option<u64>) -> Option<u64> {
    let before = prlimit(Some(host.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
    assert_eq!(before.maximum, None, "this machine limits the size of files");
    before.current
}

/// Programs that use SQLite's lock but not the host's, such as an open SQLite shell.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_program_locks_makes_turns_wait_and_then_fail_with_the_reason() {
    let Some(mut host) = Host::start(config()).await else { return };
    converse(&host).await;
    let other = Connection::open(store(&host)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let activity = expecting_replies(message("add conversation count"));
    let refused = host.post("bot", &activity).await;
    assert_eq!(refused.status, 503, "{}", refused.text);
    host.logged("another program has locked the file").await;
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(host.post("bot", &activity).await.replies()[0]["text"], "1");
    goes_on(&host).await;

    // A program that holds the lock before the host starts.
    host.ends().await;
    other.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    other.execute_batch("BEGIN EXCLUSIVE; COMMIT").unwrap();
    let said = host.refuses_to_start().await;
    assert!(said.contains("another program has locked the file"), "{said}");
    assert!(said.contains(&store(&host).display().to_string()) && !said.contains("backup"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_on_a_full_disk_says_what_it_could_not_write() {
    let full = config().launcher(command::after("trap '' XFSZ && ulimit -S -f 0"));
    let Some(said) = Host::fails_to_start(full).await else { return };
    assert!(said.contains("turntable.db") && said.contains("File too large"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_refused_and_left_as_it_is() {
    let Some(mut host) = Host::start(config()).await else { return };
    converse(&host).await;
    host.ends().await;
    let file = store(&host);
    write_back(&file);
    let whole = fs::read(&file).unwrap();
    let garbage = b"this is no database, and long enough to be looked at".repeat(100);
    fs::write(&file, &garbage).unwrap();
    let said = host.refuses_to_start().await;
    assert!(said.contains(&file.display().to_string()) && said.contains("Put a backup in its place"), "{said}");
    assert!(fs::read(&file).unwrap() == garbage, "it was changed");
    let ended = operate(&host, "check");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    // The advice in the error works.
    fs::write(&file, whole).unwrap();
    host.again(None).await;
    goes_on(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_store_is_refused_and_left_as_it_is() {
    let Some(mut host) = Host::start(config()).await else { return };
    converse(&host).await;
    host.ends().await;
    let file = store(&host);
    let version = set_version(&file, 99);
    let before = fs::read(&file).unwrap();
    let said = host.refuses_to_start().await;
    assert!(said.contains("has schema 99, written by a newer Turntable"), "{said}");
    assert!(fs::read(&file).unwrap() == before, "it was changed");
    set_version(&file, version);
    host.again(None).await;
    goes_on(&host).await;
}

/// Returns the earlier value.
fn set_version(file: &Path, version: i64) -> i64 {
    let connection = Connection::open(file).unwrap();
    let before = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    connection.pragma_update(None, "user_version", version).unwrap();
    before
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_store_is_brought_up_to_date_with_all_that_is_in_it() {
    let Some(mut host) = Host::start(config()).await else { return };
    converse(&host).await;
    let answered = expecting_replies(message("add conversation count"));
    let answer = host.post("bot", &answered).await.text;
    // A message that the channel does not accept waits in the store.
    let connector = Connector::start().await;
    connector.plan(crate::support::Behaviour::Stall);
    assert_eq!(host.post("bot", &connector.message("waits")).await.status, 200);
    connector.calls(1).await;
    host.kill();
    host.ends().await;
    as_of_the_first_release(&store(&host));

    host.again(None).await;
    goes_on(&host).await;
    assert_eq!(host.post("bot", &answered).await.text, answer, "a redelivery");
    let texts: Vec<Value> = connector.calls(2).await.iter().map(|call| call.body["text"].clone()).collect();
    assert_eq!(texts, ["heard: waits", "heard: waits"]);
    host.ends().await;
    let ended = operate(&host, "check");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

/// A stack that this host cannot read is emptied. A user who answers one of its questions gets the `dialog-reset-text`, and
/// the answer is not used for anything else.
#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_cannot_be_read_is_a_reset_that_is_said() {
    let config = Config::new().bot("bot", &[]).bot_key("dialog-reset-text", "'Bitte von vorn.'");
    let Some(mut host) = Host::start(config.plugin("bot", "scripted", GRANTS)).await else { return };
    converse(&host).await;
    host.kill();
    host.ends().await;
    let connection = Connection::open(store(&host)).unwrap();
    assert_eq!(connection.execute("UPDATE stacks SET text = '[{\"id\": 1'", []).unwrap(), 1);
    drop(connection);
    host.again(None).await;
    assert_eq!(say(&host, "on").await, ["Bitte von vorn."]);
    assert_eq!(say(&host, "on").await, ["heard: on"]);
    assert_eq!(say(&host, "get conversation name").await, ["\"Ann\""], "what the conversation keeps is there");
}

/// Replaces this store by one of the first schema version with the same rows.
fn as_of_the_first_release(file: &Path) {
    let now = file.with_extension("now");
    write_back(file);
    fs::rename(file, &now).unwrap();
    let connection = Connection::open(file).unwrap();
    connection.execute_batch(include_str!("../../host/storage/src/sqlite/migrations/1.sql")).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    connection.execute("ATTACH ? AS now", [now.to_str().unwrap()]).unwrap();
    let names = |sql: &str| -> Vec<String> {
        let mut statement = connection.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for table in names("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'") {
        let columns = names(&format!("SELECT name FROM pragma_table_info('{table}', 'main')")).join(", ");
        let copy = format!("INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}");
        connection.execute(&copy, []).unwrap();
    }
}

/// Components, pins, keys and the store itself are for the host's user only.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_may_read_what_the_host_keeps() {
    let config = config();
    let components = config.data().join("components");
    fs::create_dir(&components).unwrap();
    fs::set_permissions(&components, Permissions::from_mode(0o755)).unwrap();
    let Some(host) = Host::start(config).await else { return };
    converse(&host).await;
    let swapped = host.deploy("bot", "scripted", fs::read(host.component("scripted")).unwrap()).await;
    assert_eq!(swapped.status, 200, "{}", swapped.text);
    let mut folders = vec![host.data()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let found = entry.metadata().unwrap();
            let mode = found.permissions().mode() & 0o777;
            assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", entry.path().display());
            folders.extend(found.is_dir().then(|| entry.path()));
        }
    }
}

/// Asks the admin listener whether the host is ready.
async fn ready(host: &Host) -> (u16, Value) {
    let answer = host.admin("GET", "/readyz", Vec::new()).await;
    (answer.status, answer.json()["store"].clone())
}

/// Waits until the host says that it is ready, or that it is not.
async fn becomes(host: &Host, status: u16) {
    within("the change of readiness", async { while ready(host).await.0 != status {} }).await;
}

/// SQLite would go on with a file that nobody finds again.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_removed_or_replaced_is_noticed_and_nothing_is_accepted() {
    for (ending, replaced) in [("", false), ("-wal", false), ("", true)] {
        let Some(host) = Host::start(config()).await else { return };
        converse(&host).await;
        assert_eq!(ready(&host).await, (200, "ok".into()));
        let file = PathBuf::from(format!("{}{ending}", store(&host).display()));
        if replaced {
            let beside = file.with_extension("copy");
            fs::copy(&file, &beside).unwrap();
            fs::rename(beside, &file).unwrap();
        } else {
            fs::remove_file(&file).unwrap();
        }
        // No request makes the host look.
        let line = host.logged("the store is lost").await;
        assert!(line.contains(&file.display().to_string()) && line.contains("\"ERROR\""), "{line}");
        assert_eq!(ready(&host).await, (503, "failing".into()));
        assert_eq!(host.post("bot", &expecting_replies(message("hello"))).await.status, 503);
        assert_eq!(host.admin("GET", "/healthz", Vec::new()).await.status, 200);
    }
}

/// Nothing is sent to a host that is not ready, so it finds out by itself that the disk takes writes again.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_whose_store_takes_no_writes_is_not_ready_until_it_does() {
    let Some(host) = Host::start(config().launcher(command::after("trap '' XFSZ"))).await else { return };
    converse(&host).await;
    let unlimited = limit_file_size(&host, Some(1));
    assert_eq!(host.post("bot", &expecting_replies(message("add conversation count"))).await.status, 503);
    becomes(&host, 503).await;
    host.logged("the store takes no writes").await;
    let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
    assert!(metrics.lines().any(|line| line == "turntable_store_healthy 0"), "{metrics}");
    assert_eq!(host.admin("GET", "/healthz", Vec::new()).await.status, 200);
    limit_file_size(&host, unlimited);
    becomes(&host, 200).await;
    host.logged("the store takes writes again").await;
    goes_on(&host).await;
}

/// The log of the store fills a small disk long before it would be written back. The turn at which it is full is refused, and
/// the next ones succeed.
#[tokio::test(flavor = "multi_thread")]
async fn a_small_disk_is_not_wedged_by_the_log_of_the_store() {
    const LOG_BYTES: u64 = 512 << 10;
    let Some(mut host) = Host::start(config().launcher(command::after("trap '' XFSZ"))).await else { return };
    converse(&host).await;
    // The file itself is smaller than this and does not grow, because each turn changes the same value.
    limit_file_size(&host, Some(LOG_BYTES));
    let (mut refused, mut counted) = (0, 0);
    while refused < 3 {
        let answer = host.post("bot", &expecting_replies(message("add bot count"))).await;
        match answer.status {
            503 => refused += 1,
            _ => {
                counted += 1;
                assert_eq!(answer.replies()[0]["text"], counted.to_string(), "nothing is lost");
                assert!(counted < 2_000, "the log never reaches {LOG_BYTES} bytes");
            }
        }
    }
    becomes(&host, 200).await;
    limit_file_size(&host, None);
    host.again(None).await;
    goes_on(&host).await;
    println!("{counted} turns, {refused} refused at a full disk");
}
