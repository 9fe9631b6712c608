//! Checks of the machine: folders, files with secrets, the store, the disk, the allocator.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Finding;
use crate::config::{Allocator, Config, StorageKind};
use crate::http::admin::{Setting, load_token};
use crate::plugin::Runtime;
use crate::storage::{postgres, sqlite};

/// Free space below which the store may soon fail.
const FREE_BYTES_MIN: u64 = 256 << 20;

/// Returns the findings about the machine.
pub(super) async fn findings(config: &Config) -> Vec<Finding> {
    let mut findings = vec![data_folder(&config.runtime.data_dir)];
    findings.extend(secrets(config));
    findings.push(match config.storage.kind {
        StorageKind::Postgres => database(config).await,
        StorageKind::Sqlite | StorageKind::Memory => store(config),
    });
    findings.push(disk(&config.storage.path));
    findings.push(allocator(config));
    findings
}

fn data_folder(path: &Path) -> Finding {
    const CHECK: &str = "data-folder";
    let shown = path.display();
    match fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Finding::passed(CHECK, format!("{shown} does not exist yet; the host creates it"))
        }
        Err(error) => Finding::failed(
            CHECK,
            format!("{shown} cannot be read: {error}"),
            "Give the host's user access to the folder.",
        ),
        Ok(folder) if !folder.is_dir() => {
            Finding::failed(CHECK, format!("{shown} is not a folder"), "Name another folder in `runtime.data-dir`.")
        }
        Ok(folder) if folder.mode() & 0o022 != 0 => Finding::failed(
            CHECK,
            format!("others may write {shown}, so they could replace components and keys"),
            format!("Run `chmod go-w {shown}`."),
        ),
        Ok(_) => Finding::passed(CHECK, format!("only its owner may write {shown}")),
    }
}

fn secrets(config: &Config) -> Vec<Finding> {
    const CHECK: &str = "secrets";
    let admin = config.admin.listen.map(|_| (None, Setting::AdminTokenFile, &config.admin.token_file));
    let keys = config
        .bots
        .values()
        .filter_map(|bot| Some((Some(&bot.name), Setting::NotifyKeyFile, bot.notify_key_file.as_ref()?)));
    let check = |(bot, setting, path): (Option<&std::sync::Arc<str>>, Setting, &std::path::PathBuf)| {
        let finding = match load_token(setting, path) {
            Ok(_) => Finding::passed(CHECK, format!("{} can be used", path.display())),
            Err(_) if bot.is_none() && !path.exists() => {
                Finding::passed(CHECK, format!("{} does not exist yet; the host creates it", path.display()))
            }
            Err(error) => Finding::failed(CHECK, format!("{error:#}"), "Follow the advice in the message."),
        };
        match bot {
            Some(bot) => finding.of(bot),
            None => finding,
        }
    };
    admin.into_iter().chain(keys).map(check).collect()
}

fn store(config: &Config) -> Finding {
    const CHECK: &str = "store";
    let path = &config.storage.path;
    if config.storage.kind == StorageKind::Memory {
        return Finding::passed(CHECK, "the store is kept in memory; all data ends with the host");
    }
    if !path.exists() {
        return Finding::passed(CHECK, format!("{} does not exist yet; the host creates it", path.display()));
    }
    match sqlite::check(path) {
        Ok(found) if found.is_empty() => Finding::passed(CHECK, format!("{} has no damage", path.display())),
        Ok(found) => Finding::failed(CHECK, found.join("; "), "Replace the store with a backup, or move it away."),
        Err(error) if error.to_string().contains("is in use by") => {
            Finding::skipped(CHECK, format!("{error:#}"), "A running host owns the store. Stop the host to check it.")
        }
        Err(error) => Finding::failed(CHECK, format!("{error:#}"), "Name a file of this host in `storage.path`."),
    }
}

async fn database(config: &Config) -> Finding {
    const CHECK: &str = "store";
    match postgres::check(&config.storage, &config.tls).await {
        Ok(found) if found.is_empty() => Finding::passed(CHECK, "the database of `storage.url` can be used"),
        Ok(found) => Finding::failed(CHECK, found.join("; "), "Restore the database from a backup."),
        Err(error) => Finding::failed(CHECK, format!("{error:#}"), "Follow the advice in the message."),
    }
}

fn disk(store: &Path) -> Finding {
    const CHECK: &str = "disk";
    let existing = store.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    match rustix::fs::statvfs(existing) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let meaning = format!("{} MiB are free at {}", free >> 20, existing.display());
            match free >= FREE_BYTES_MIN {
                true => Finding::passed(CHECK, meaning),
                false => Finding::failed(CHECK, meaning, "Free some space: a full disk makes turns fail with 503."),
            }
        }
        Err(error) => Finding::skipped(CHECK, format!("the free space is unknown: {error}"), "Look at it with `df`."),
    }
}

fn allocator(config: &Config) -> Finding {
    const CHECK: &str = "allocator";
    match (Runtime::uncached(&config.runtime), config.runtime.allocator) {
        (Ok(runtime), _) if runtime.pooling => Finding::passed(CHECK, "instances come from a pool"),
        (Ok(_), Allocator::OnDemand) => Finding::passed(CHECK, "instances are allocated on demand, as configured"),
        (Ok(_), _) => Finding::passed(CHECK, "instances are allocated on demand, because the pool does not fit here"),
        (Err(error), _) => Finding::failed(
            CHECK,
            format!("{error:#}"),
            "Lower `runtime.instances-max`, allow more address space, or set `runtime.allocator = \"auto\"`.",
        ),
    }
}
