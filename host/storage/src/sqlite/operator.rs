//! What an operator does with the file of a stopped host.

use std::path::Path;

use anyhow::{Context, bail};
use serde::Serialize;

use super::file::{self, StoreFile};
use super::schema;
use turntable_config::Durability;

/// What is in a store.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes that `compact` would give back.
    pub free_bytes: u64,
    /// Entries by table.
    pub entries: Vec<(String, u64)>,
}

/// Checks a store and returns what is wrong with it.
pub fn check(path: &Path) -> anyhow::Result<Vec<String>> {
    let connection = open(path)?.connect()?;
    let mut found = file::check(&connection)?;
    let mut full = connection.prepare("PRAGMA integrity_check(100)")?;
    let lines = full.query_map([], |row| row.get::<_, String>(0))?;
    for line in lines {
        let line = line?;
        if line != "ok" && !found.contains(&line) {
            found.push(line);
        }
    }
    Ok(found)
}

/// Gives free pages back to the file system.
pub fn compact(path: &Path) -> anyhow::Result<()> {
    let connection = open(path)?.connect()?;
    connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE)").context("the store could not be compacted")
}

/// Counts what is in a store.
pub fn stats(path: &Path) -> anyhow::Result<Report> {
    let connection = open(path)?.connect()?;
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
    let page = pragma("page_size")?;
    let mut entries = Vec::new();
    for table in schema::TABLES {
        let count = connection.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0))?;
        entries.push(((*table).to_owned(), count));
    }
    Ok(Report { bytes: page * pragma("page_count")?, free_bytes: page * pragma("freelist_count")?, entries })
}

fn open(path: &Path) -> anyhow::Result<StoreFile> {
    if !path.is_file() {
        bail!("there is no store at {}", path.display());
    }
    StoreFile::open(path, Durability::Full)
}
