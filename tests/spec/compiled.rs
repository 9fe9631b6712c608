//! Compiled code on disk: hosts with the same key share it, and a file that was tampered with is compiled again.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::{Config, Host};

/// Returns a folder for compiled code, and the configuration of a host that uses it.
fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn with_code_in(folder: &Path) -> Config {
    Config::new().set("runtime.cache-dir", &format!("'{}'", folder.display())).bot("bot", &["echo"])
}

async fn serves(host: &Host) {
    host.bot("bot").says("hi").replies("Echo: hi").await;
}

/// Returns the only file in the folder and its inode number, which changes with each compilation.
fn only_file(folder: &Path) -> (PathBuf, u64) {
    let files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "{files:?}");
    (files[0].clone(), fs::metadata(&files[0]).unwrap().ino())
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_with_one_key_share_compiled_code() {
    let folder = folder();
    // Both start at once. Each finds no compiled code, or the code that the other has just finished.
    let (one, other) = tokio::join!(Host::start(with_code_in(folder.path())), Host::start(with_code_in(folder.path())));
    let (Some(one), Some(other)) = (one, other) else { return };
    serves(&one).await;
    serves(&other).await;
    let compiled = only_file(folder.path());

    let Some(third) = Host::start(with_code_in(folder.path())).await else { return };
    serves(&third).await;
    assert_eq!(only_file(folder.path()), compiled, "the third host compiled nothing");
    // An operation on the bot of one host does not affect the other host.
    assert_eq!(one.admin("POST", "/v1/bots/bot/disable", Vec::new()).await.status, 200);
    serves(&other).await;
}

/// A component is compiled once for all bots that use it. Deploying it to another bot does not compile it again.
#[tokio::test(flavor = "multi_thread")]
async fn bots_share_the_code_of_one_component() {
    let folder = folder();
    let config = with_code_in(folder.path()).bot("other", &["echo"]).bot("third", &["help"]);
    let Some(host) = Host::start(config).await else { return };
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "echo and help");
    let echo = fs::read(host.component("echo")).unwrap();
    assert_eq!(host.deploy("third", "help", echo).await.status, 200);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    for bot in ["bot", "other", "third"] {
        host.bot(bot).says("hi").replies("Echo: hi").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_with_different_keys_do_not_meet_in_one_folder() {
    let folder = folder();
    let Some(one) = Host::start(with_code_in(folder.path())).await else { return };
    let (file, number) = only_file(folder.path());
    let Some(stranger) = Host::start(with_code_in(folder.path()).key(8)).await else { return };
    serves(&stranger).await;
    serves(&one).await;
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    assert_eq!(fs::metadata(file).unwrap().ino(), number, "the stranger leaves the file of the first alone");
}

/// A user who can write to the folder cannot make a host run code of theirs.
#[tokio::test(flavor = "multi_thread")]
async fn tampered_code_is_refused_and_compiled_anew() {
    let folder = folder();
    let Some(first) = Host::start(with_code_in(folder.path())).await else { return };
    drop(first);
    let (file, number) = only_file(folder.path());
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();

    let Some(second) = Host::start(with_code_in(folder.path())).await else { return };
    let line = second.logged("a file of compiled code is not used").await;
    assert!(line.contains("MAC is not this host's"), "{line}");
    serves(&second).await;
    let repaired = only_file(folder.path());
    assert!(repaired.0 == file && repaired.1 != number, "a new file took the place of the tampered one");

    let Some(third) = Host::start(with_code_in(folder.path())).await else { return };
    serves(&third).await;
    assert_eq!(only_file(folder.path()), repaired);
    let (_, log) = third.stop().await;
    assert!(!log.iter().any(|line| line.contains("is not used")), "{log:#?}");
}
