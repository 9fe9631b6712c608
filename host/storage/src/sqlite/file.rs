//! The file: who may open it, how it is made, migrated and checked.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{FlockOperation, flock, statfs};

use super::{failed, schema};
use turntable_config::Durability;

/// Network file systems: SQLite's locks and its shared memory are not to be trusted there.
const NETWORK_FILE_SYSTEMS: &[(u32, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0102_1997, "9P"),
    (0x5346_414f, "AFS"),
    (0x0bd0_0bd0, "Lustre"),
];

/// Pages kept in memory by each connection, in KiB.
const CACHE_KIB: i64 = 8 << 10;

/// A store's file, held by this process alone.
pub(super) struct StoreFile {
    path: PathBuf,
    durability: Durability,
    _lock: File,
}

impl StoreFile {
    /// Takes the file, makes or migrates it, and checks it after a stop that was not clean.
    pub(super) fn open(path: &Path, durability: Durability) -> anyhow::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        refuse_network(folder)?;
        let lock = lock(path)?;
        // SQLite would make it readable for everyone.
        OpenOptions::new().create(true).append(true).mode(0o600).open(path).with_context(|| {
            format!("cannot write {}; storage.path must be in a folder that this user may write", path.display())
        })?;
        let file = Self { path: path.to_owned(), durability, _lock: lock };
        let was_clean = std::fs::metadata(wal(path)).map_or(true, |wal| wal.len() == 0);
        let connection = file.connect_without_writing_back();
        if let Ok(connection) = &connection {
            refuse_foreign(connection, path)?;
        }
        let mut connection = connection.and_then(|connection| {
            connection.pragma_update(None, "journal_mode", "WAL")?;
            Ok(connection)
        });
        if let (Ok(connection), false) = (&connection, was_clean) {
            let found = check(connection)?;
            if !found.is_empty() {
                return Err(broken(path, &found.join("; ")));
            }
        }
        match &mut connection {
            Ok(connection) => {
                migrate(connection, path)?;
                write_back(connection);
                connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
            }
            Err(error) => return Err(refused(path, error)),
        }
        Ok(file)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens a connection with this store's settings.
    pub(super) fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = self.connect_without_writing_back()?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(connection)
    }

    /// The same; what a killed process left in the log is not written back when it closes, as the file may be refused.
    fn connect_without_writing_back(&self) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(
            &self.path,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE,
        )?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.pragma_update(
            None,
            "synchronous",
            match self.durability {
                Durability::Full => "FULL",
                Durability::Process => "NORMAL",
            },
        )?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        // The log is written back by its own thread (`checkpoint.rs`), and what a savepoint may undo needs no file.
        connection.pragma_update(None, "wal_autocheckpoint", 0)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "foreign_keys", "OFF")?;
        connection.set_prepared_statement_cache_capacity(128);
        Ok(connection)
    }
}

/// Empties the log that a killed process left, which may be what fills a small disk.
fn write_back(connection: &Connection) {
    if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
        tracing::warn!(%error, "the log of the store could not be written back into its file at the start");
    }
}

/// What SQLite finds wrong with the file; nothing where it is whole.
pub(super) fn check(connection: &Connection) -> anyhow::Result<Vec<String>> {
    let mut statement = connection.prepare("PRAGMA quick_check(10)")?;
    let found = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>();
    match found {
        Ok(found) => Ok(found.into_iter().filter(|line| line != "ok").collect()),
        Err(error) => Ok(vec![error.to_string()]),
    }
}

/// Why the file cannot be opened, and what to do: it is not damaged where it only cannot be written.
fn refused(path: &Path, error: &rusqlite::Error) -> anyhow::Error {
    match error.sqlite_error_code() {
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => {
            let path = path.display();
            anyhow::anyhow!(
                "cannot write {path}: {error}; storage.path must be in a folder that this user may write, and every file \
                 beside it named like it must be this user's"
            )
        }
        Some(
            ErrorCode::DiskFull | ErrorCode::SystemIoFailure | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked,
        ) => {
            anyhow::anyhow!("{:#}", failed(&format!("cannot open the store {}", path.display()), error))
        }
        _ => broken(path, &error.to_string()),
    }
}

fn broken(path: &Path, why: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "the store {} cannot be used: {why}. Nothing was changed in it. Put a backup in its place, or move it away \
         (with its -wal file) and the host begins with an empty one",
        path.display()
    )
}

fn migrate(connection: &mut Connection, path: &Path) -> anyhow::Result<()> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0));
    let version = version.map_err(|error| refused(path, &error))?;
    if version > schema::VERSION {
        bail!(
            "the store {} has schema {version}, written by a newer Turntable; this one knows up to {}. Use the newer one, \
             or a backup from before its first start",
            path.display(),
            schema::VERSION
        );
    }
    let found = tables(connection).map_err(|error| refused(path, &error))?;
    if version == schema::VERSION {
        return match schema::TABLES.iter().find(|table| !found.iter().any(|name| name == *table)) {
            Some(lacking) => Err(broken(path, &format!("it has no table `{lacking}`"))),
            None => Ok(()),
        };
    }
    schema::migrate(connection, version).with_context(|| format!("cannot migrate {}", path.display()))
}

/// Refuses the database of another program before anything is changed in it. One that cannot be read is refused later.
fn refuse_foreign(connection: &Connection, path: &Path) -> anyhow::Result<()> {
    let version = connection.pragma_query_value(None, "user_version", |row| row.get::<_, usize>(0));
    match (version, tables(connection)) {
        (Ok(0), Ok(found)) if !found.is_empty() => bail!(
            "{} is a database of another program, with the table `{}`; give this host another storage.path. Nothing was \
             changed in it",
            path.display(),
            found.join("`, `")
        ),
        _ => Ok(()),
    }
}

/// The tables of a file, by name, without those of SQLite itself.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}

/// Takes the lock file beside the store. It holds the process id, for the message that the next one prints.
fn lock(path: &Path) -> anyhow::Result<File> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&name).with_context(
            || format!("cannot write {}; storage.path must be in a folder that this user may write", name.display()),
        )?;
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        let holder =
            if holder.trim().is_empty() { "another process".into() } else { format!("process {}", holder.trim()) };
        bail!("the store {} is in use by {holder}; stop it, or give this host another storage.path", path.display());
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id()).with_context(|| format!("cannot write {}", name.display()))?;
    Ok(file)
}

fn refuse_network(folder: &Path) -> anyhow::Result<()> {
    let Ok(found) = statfs(folder) else { return Ok(()) };
    let kind = found.f_type as u32;
    if let Some((_, name)) = NETWORK_FILE_SYSTEMS.iter().find(|(magic, _)| *magic == kind) {
        bail!(
            "{} is on a network file system ({name}), where SQLite can lose what it committed; set storage.path to a local disk",
            folder.display()
        );
    }
    Ok(())
}

/// The path of the write-ahead log of a store.
pub(super) fn wal(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push("-wal");
    name.into()
}
