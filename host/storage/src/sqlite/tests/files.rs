//! The file: who may open it, and what is refused.

use super::*;

#[test]
fn a_file_that_cannot_be_used_is_refused_with_what_to_do() {
    let folder = Folder::new();
    let first = folder.open();
    let refusal = folder.refusal();
    assert!(refusal.contains(&format!("is in use by process {}", std::process::id())), "{refusal}");
    drop(first);

    // A newer schema.
    let connection = Connection::open(folder.path()).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let refusal = folder.refusal();
    assert!(refusal.contains("has schema 99, written by a newer Turntable"), "{refusal}");

    // No database at all.
    std::fs::write(folder.path(), "this is no database, but a text that is long enough to be one".repeat(100)).unwrap();
    let refusal = folder.refusal();
    assert!(refusal.contains("cannot be used") && refusal.contains("Put a backup in its place"), "{refusal}");

    // A database of somebody else.
    std::fs::remove_file(folder.path()).unwrap();
    Connection::open(folder.path()).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    let bytes = std::fs::read(folder.path()).unwrap();
    let refusal = folder.refusal();
    assert!(refusal.contains("is a database of another program, with the table `songs`"), "{refusal}");
    assert!(std::fs::read(folder.path()).unwrap() == bytes, "it was changed");

    // A table is gone.
    let lacking = Folder::new();
    drop(lacking.open());
    Connection::open(lacking.path()).unwrap().execute_batch("DROP TABLE marks").unwrap();
    let refusal = lacking.refusal();
    assert!(refusal.contains("cannot be used: it has no table `marks`"), "{refusal}");
    assert!(stats(&lacking.path()).unwrap_err().to_string().contains("it has no table `marks`"));

    // A folder that is a file.
    let file = Folder::new();
    std::fs::write(file.0.path().join("data"), "").unwrap();
    let refusal = file.refusal();
    assert!(refusal.contains("cannot make the folder"), "{refusal}");
}

#[test]
fn a_damaged_page_is_found_after_a_stop_that_was_not_clean() {
    let folder = Folder::new();
    drop(folder.open());
    let mut bytes = std::fs::read(folder.path()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..].fill(0xff);
    std::fs::write(folder.path(), bytes).unwrap();
    // What a killed process leaves beside its file.
    let mut wal = folder.path().into_os_string();
    wal.push("-wal");
    std::fs::write(wal, "x").unwrap();
    let refusal = folder.refusal();
    assert!(refusal.contains("cannot be used"), "{refusal}");
}

/// The log of a killed process is written back when a connection closes; not into a file that is refused.
#[test]
fn a_damaged_file_is_left_as_it_is_with_its_log() {
    let folder = Folder::new();
    drop(folder.open());
    let wal = folder.path().with_extension("db-wal");
    let connection = Connection::open(folder.path()).unwrap();
    connection.execute("INSERT INTO stacks VALUES ('bot', 'local', 'c', '[]')", []).unwrap();
    let (mut damaged, log) = (std::fs::read(folder.path()).unwrap(), std::fs::read(&wal).unwrap());
    assert!(!log.is_empty());
    drop(connection);
    let middle = damaged.len() / 2;
    damaged[middle..].fill(0xff);
    std::fs::write(folder.path(), &damaged).unwrap();
    std::fs::write(&wal, &log).unwrap();
    let refusal = folder.refusal();
    assert!(refusal.contains("Nothing was changed in it"), "{refusal}");
    assert!(std::fs::read(folder.path()).unwrap() == damaged, "the file was changed");
    assert!(std::fs::read(&wal).unwrap() == log, "the log was changed");
}

#[tokio::test]
async fn the_file_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let storage = folder.open();
    storage.commit(commit(&conversation("c"), vec![send("tt-1")])).await.unwrap();
    for name in ["turntable.db", "turntable.db-wal", "turntable.db-shm", "turntable.db.lock"] {
        let mode = std::fs::metadata(folder.path().with_file_name(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
}

#[test]
fn operators_check_count_and_compact() {
    let folder = Folder::new();
    assert!(check(&folder.path()).unwrap_err().to_string().contains("there is no store at"));
    drop(folder.open());
    assert!(check(&folder.path()).unwrap().is_empty());
    compact(&folder.path()).unwrap();
    let report = stats(&folder.path()).unwrap();
    assert!(report.bytes > 0 && report.entries.iter().all(|(_, count)| *count == 0), "{report:?}");
    let _held = folder.open();
    assert!(stats(&folder.path()).unwrap_err().to_string().contains("is in use by process"));
}

/// An earlier version of the host kept no turns with its marks.
#[tokio::test]
async fn a_mark_of_an_earlier_version_names_no_turn() {
    let folder = Folder::new();
    let done = TurnCommit { record: Some((mark("old"), answer(201))), ..commit(&conversation("c"), Vec::new()) };
    folder.open().commit(done).await.unwrap();
    let before =
        "ALTER TABLE marks DROP COLUMN turn_id; ALTER TABLE kept DROP COLUMN runs_alone; PRAGMA user_version = 8";
    Connection::open(folder.path()).unwrap().execute_batch(before).unwrap();
    let accepted = folder.open().accept(&mark("old"), &turn()).await.unwrap();
    let Accepted::Duplicate { turn_id, answer: found } = accepted else { panic!("{accepted:?}") };
    assert_eq!((&*turn_id, found), ("", answer(201)));
}
