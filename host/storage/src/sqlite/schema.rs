//! The schema, and the migrations that lead to it.

use rusqlite::{Connection, TransactionBehavior};

/// Each migration brings the schema from its position to the next; `user_version` says how many were done.
const MIGRATIONS: &[&str] = &[
    include_str!("migrations/1.sql"),
    include_str!("migrations/2.sql"),
    include_str!("migrations/3.sql"),
    include_str!("migrations/4.sql"),
    include_str!("migrations/5.sql"),
    include_str!("migrations/6.sql"),
    include_str!("migrations/7.sql"),
    include_str!("migrations/8.sql"),
    include_str!("migrations/9.sql"),
    include_str!("migrations/10.sql"),
    include_str!("migrations/11.sql"),
];

/// The version that the last migration leaves.
pub(super) const VERSION: usize = MIGRATIONS.len();

/// The tables that the last migration leaves. Three have names that the code no longer uses, because renaming a table is no
/// reason to migrate a store: `marks` are deduplication records, `kept` is the inbox, `contacts` are known conversations.
pub(super) const TABLES: &[&str] = &[
    "state",
    "stacks",
    "frames",
    "outbox",
    "dead_letters",
    "ids",
    "marks",
    "kept",
    "contacts",
    "contact_users",
    "notifications",
    "transcripts",
    "transcript_items",
    "transcript_users",
    "broadcasts",
    "broadcast_targets",
    "proofs",
];

/// Brings a database from a version to the newest one, in one transaction.
pub(super) fn migrate(connection: &mut Connection, from: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    for migration in MIGRATIONS.iter().skip(from) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()
}
