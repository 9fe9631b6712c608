//! The store of `storage.kind = "memory"`: nothing of it outlives the process or can be read by others, and a bad day of the
//! temporary folder ends in an error that says what to do.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, prlimit};
use serde_json::Value;

use crate::support::{Config, Host, command, expecting_replies, message};

const GRANTS: &str = "grants = { state = ['conversation'] }";

/// A configuration whose store is in memory, with its temporary files in this folder. `first` is what a shell does before it
/// becomes the host.
fn config(folder: &Path, first: &str) -> Config {
    let shell = format!("export TMPDIR='{}'{first}", folder.display());
    let config = Config::new().set("storage.kind", "'memory'").launcher(command::after(&shell));
    config.bot("bot", &[]).plugin("bot", "scripted", GRANTS)
}

fn says(conversation: &str, text: &str) -> Value {
    let mut activity = expecting_replies(message(text));
    activity["conversation"]["id"] = conversation.into();
    activity
}

async fn say(host: &Host, conversation: &str, text: &str) -> String {
    let replies = host.post("bot", &says(conversation, text)).await.replies();
    replies[0]["text"].as_str().unwrap_or_default().to_owned()
}

/// Leaves more state in the store than it keeps in memory.
async fn fill(host: &Host) {
    for number in 0..100 {
        let text = format!("set conversation name \"{}\"", "x".repeat(40_000));
        assert_eq!(say(host, &format!("filled-{number}"), &text).await, "done");
    }
}

/// The files that the host has open in a folder.
fn open_files(host: &Host, folder: &Path) -> Vec<PathBuf> {
    let all = fs::read_dir(format!("/proc/{}/fd", host.pid().as_raw_nonzero())).unwrap();
    let all = all.filter_map(|entry| Some(entry.ok()?.path()));
    all.filter(|entry| fs::read_link(entry).is_ok_and(|file| file.starts_with(folder))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_it_can_be_found_while_the_host_runs_or_after_it_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(mut host) = Host::start(config(folder.path(), "")).await else { return };
    fill(&host).await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "its file has no name");
    let files = open_files(&host, folder.path());
    assert!(
        files.iter().any(|file| fs::metadata(file).unwrap().len() > 1 << 20),
        "what is too much for memory: {files:?}"
    );
    for file in files {
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{}: {mode:o}", file.display());
    }
    assert!(!host.data().join("turntable.db").exists());
    assert_eq!(say(&host, "c", "add conversation count").await, "1");
    host.again(None).await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    assert_eq!(say(&host, "c", "add conversation count").await, "1", "nothing outlives the process");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_folder_that_is_removed_while_the_host_runs_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let Some(host) = Host::start(config(folder.path(), "")).await else { return };
    assert_eq!(say(&host, "c", "add conversation count").await, "1");
    folder.close().unwrap();
    fill(&host).await;
    assert_eq!(say(&host, "c", "add conversation count").await, "2");
}

/// The host opens its file when it first needs it, and then SQLite takes the next folder. Root may write to the folder
/// nevertheless.
#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_folder_that_becomes_read_only_while_the_host_runs_does_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let Some(host) = Host::start(config(folder.path(), "")).await else { return };
    assert_eq!(say(&host, "c", "add conversation count").await, "1");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o555)).unwrap();
    fill(&host).await;
    assert_eq!(say(&host, "c", "add conversation count").await, "2");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
}

/// SQLite takes the next folder for temporary files.
#[tokio::test(flavor = "multi_thread")]
async fn a_temporary_folder_that_cannot_be_used_is_passed_over() {
    let missing = Path::new("/this folder does not exist");
    let Some(host) = Host::start(config(missing, "")).await else { return };
    fill(&host).await;
    assert_eq!(say(&host, "c", "add conversation count").await, "1");
}

/// A limit on the size of files stands for a folder that takes no more: it needs no privilege, and it can be lifted.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_with_a_full_temporary_folder_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let full = config(folder.path(), "; trap '' XFSZ && ulimit -S -f 0");
    let Some(said) = Host::fails_to_start(full).await else { return };
    assert!(said.contains("the temporary file of `storage.kind") && said.contains("set TMPDIR"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_full_temporary_folder_refuses_is_run_when_there_is_room_again() {
    let folder = tempfile::tempdir().unwrap();
    // By default the system ends a process that reaches the limit.
    let Some(host) = Host::start(config(folder.path(), "; trap '' XFSZ")).await else { return };
    assert_eq!(say(&host, "c", "add conversation count").await, "1");
    let limit = |bytes| {
        let limit = Rlimit { current: bytes, maximum: None };
        prlimit(Some(host.pid()), Resource::Fsize, limit).unwrap().current
    };
    let unlimited = limit(Some(1 << 16));
    let value = "x".repeat(40_000);
    let mut stored = 0;
    let refused = loop {
        let activity = says(&format!("full-{stored}"), &format!("set conversation name \"{value}\""));
        let answer = host.post("bot", &activity).await;
        if answer.status != 200 {
            assert_eq!(answer.status, 503, "{}", answer.text);
            assert!(answer.headers.contains_key("retry-after"));
            break activity;
        }
        stored += 1;
        assert!(stored < 500, "the store holds more than its memory and its folder");
    };
    host.logged("the temporary file of `storage.kind").await;
    limit(unlimited);

    // The channel sends it again; nothing of the first run is there, and nothing of the others is lost.
    assert_eq!(host.post("bot", &refused).await.replies()[0]["text"], "done");
    for number in [0, stored / 2, stored] {
        let name = say(&host, &format!("full-{number}"), "get conversation name").await;
        assert!(name.len() > value.len(), "{number}: {name}");
    }
    assert_eq!(say(&host, "c", "add conversation count").await, "2");
}
