//! Tables that number their rows and keep the newest.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use super::index::Lookup;
use super::run;
use crate::StorageError;

/// Keeps the newest entries of a table that numbers them: at least `max`, and a hundredth more until it looks again.
pub(super) fn forget_oldest(connection: &Connection, table: &str, newest: i64, max: usize) -> Result<(), StorageError> {
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    if newest % (max / 100).max(1) != 0 {
        return Ok(());
    }
    let sql = format!("DELETE FROM {table} WHERE number <= ?");
    run(connection, &sql, params![newest.saturating_sub(max)]).map(drop)
}

/// Reads the row of a table that the query's columns are of: the one that was found, or the newest of all.
pub(super) fn find<T>(
    connection: &Connection,
    sql: &str,
    columns: &[&dyn ToSql],
    found: Lookup,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Option<T>> {
    match found {
        Lookup::At(number) => {
            let at: &[&dyn ToSql] = params![number];
            let mut statement = connection.prepare_cached(&format!("{sql} AND number = ?"))?;
            statement.query_row(&*[columns, at].concat(), read).optional()
        }
        Lookup::Absent => Ok(None),
        Lookup::Unknown => {
            let mut statement = connection.prepare_cached(&format!("{sql} ORDER BY number DESC LIMIT 1"))?;
            statement.query_row(columns, read).optional()
        }
    }
}
