//! Checks the files and folders that the host would use, without changing them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::config::{Config, Keys, StorageKind};
use crate::http::admin::{Setting, load_token};

/// The first bytes of every SQLite file.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// Returns the problems of the files and folders of a configuration, with the keys that name them. Sections with problems
/// are skipped. If `runtime` has problems, all are skipped, because the default paths depend on its data folder.
pub(super) fn problems(config: &Config, is_sound: impl Fn(&str) -> bool) -> Vec<(Keys, String)> {
    if !is_sound("runtime") {
        return Vec::new();
    }
    let (runtime, admin, storage) = (&config.runtime, &config.admin, &config.storage);
    let token = Some(&admin.token_file).filter(|path| admin.listen.is_some() && path.exists());
    let store = Some(&storage.path).filter(|_| storage.kind == StorageKind::Sqlite);
    let found = [
        ("runtime.data-dir", no_folder(&runtime.data_dir)),
        ("runtime.cache-dir", no_folder(&runtime.cache_dir)),
        ("admin.token-file", token.and_then(|path| unreadable_key(Setting::AdminTokenFile, path))),
        ("storage.path", store.and_then(|path| no_store(path))),
    ];
    let keys = |key: &str| key.split('.').map(ToOwned::to_owned).collect();
    let found = found.into_iter().filter(|(key, _)| key.split_once('.').is_some_and(|(section, _)| is_sound(section)));
    found.filter_map(|(key, why)| Some((keys(key), why?))).collect()
}

/// Returns why the key file that a setting names cannot be used, or none.
pub(super) fn unreadable_key(setting: Setting, path: &Path) -> Option<String> {
    if !path.exists() {
        return Some(format!("the key file {} does not exist; create it with at least 32 characters", path.display()));
    }
    load_token(setting, path).err().map(|error| format!("{error:#}"))
}

/// Returns why a folder cannot exist or be created, or none.
fn no_folder(path: &Path) -> Option<String> {
    let existing = path.ancestors().find(|path| path.exists())?;
    (!existing.is_dir())
        .then(|| format!("the folder {} cannot be created, because {} is a file", path.display(), existing.display()))
}

/// Returns why a file cannot be used as a store, or none. An absent or empty file can.
fn no_store(path: &Path) -> Option<String> {
    if !path.exists() {
        return path.parent().and_then(no_folder);
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(SQLITE.len() as u64).read_to_end(&mut head));
    match read {
        Err(error) => Some(format!("the store {} cannot be read: {error}", path.display())),
        Ok(_) if head.is_empty() || head == SQLITE => None,
        Ok(_) => {
            Some(format!("{} is not a store, because it is not a file of SQLite; name another file", path.display()))
        }
    }
}
