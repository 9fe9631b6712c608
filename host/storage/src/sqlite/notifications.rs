//! References and notifications in the file.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns::{channel_column, columns, conversation_of, integer};
use super::{SqliteStorage, broadcasts, failed, run};
use crate::StorageError;
use crate::notifications::{
    Added, End, Mode, Notification, Notifications, ProactiveChanges, Reference, ReferenceFilter,
};
use turntable_activity::{ChannelInstance, ConversationKey};

/// How long an ended notification is remembered, for those who ask about it or send it again: a day.
const REMEMBERED_MS: u64 = 24 * 3600 * 1000;

/// The columns that `reference_of` reads.
const REFERENCE: &str = "bot, channel, conversation, user, text, seen_ms, gone";
/// The columns that `notification_of` reads.
const NOTIFICATION: &str = "bot, channel, conversation, id, sender, name, mode, content, depth, due_ms, cron, expires_ms, \
                            key, body, ended, user";

#[async_trait]
impl Notifications for SqliteStorage {
    async fn reference(&self, conversation: &ConversationKey) -> Result<Option<Reference>, StorageError> {
        let (bot, channel, conversation) = columns(conversation);
        self.read("reference", |connection| {
            let sql = format!("SELECT {REFERENCE} FROM contacts WHERE bot = ? AND channel = ? AND conversation = ?");
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_row(params![bot, channel, conversation], reference_of).optional()
        })
    }

    async fn latest_reference(
        &self,
        bot: &str,
        channel: &ChannelInstance,
        user: &str,
    ) -> Result<Option<Reference>, StorageError> {
        self.read("latest_reference", |connection| {
            let sql = "SELECT c.bot, c.channel, c.conversation, u.user, u.text, c.seen_ms, c.gone FROM contact_users AS u \
                       JOIN contacts AS c USING (bot, channel, conversation) \
                       WHERE u.bot = ? AND u.channel = ? AND u.user = ? ORDER BY u.number DESC LIMIT 1";
            let mut statement = connection.prepare_cached(sql)?;
            statement.query_row(params![bot, channel_column(channel), user], reference_of).optional()
        })
    }

    async fn references(
        &self,
        bot: &str,
        of: &ReferenceFilter,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Reference)>, StorageError> {
        let (channel, user) = (of.channel.as_ref().map(channel_column), &of.user);
        self.read("references", |connection| {
            let sql = format!(
                "SELECT {REFERENCE}, number FROM contacts AS c WHERE bot = ?1 AND number > ?2 \
                 AND (?3 IS NULL OR channel = ?3) AND (?4 IS NULL OR EXISTS (SELECT 1 FROM contact_users AS u \
                 WHERE u.bot = c.bot AND u.channel = c.channel AND u.conversation = c.conversation AND u.user = ?4)) \
                 ORDER BY number LIMIT ?5"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            let found = params![bot, integer(after), channel, user, limit];
            let rows = statement.query_map(found, |row| Ok((row.get(7)?, reference_of(row)?)))?;
            rows.collect()
        })
    }

    async fn add_reference(&self, reference: Reference) -> Result<(), StorageError> {
        let met = reference.clone();
        self.database.write(move |connection| meet(connection, &met)).await?;
        self.known.stored(reference);
        Ok(())
    }

    async fn forget_reference(&self, conversation: &ConversationKey) -> Result<bool, StorageError> {
        let key = conversation.clone();
        let forgotten = self.database.write(move |connection| forget(connection, &key)).await;
        // Only now: a commit meanwhile may have noted what this has undone.
        self.known.forget(conversation);
        forgotten
    }

    async fn mark_gone(&self, conversation: &ConversationKey, why: &str) -> Result<(), StorageError> {
        let (key, why) = (conversation.clone(), why.to_owned());
        let marked = self.database.write(move |connection| {
            let (bot, channel, conversation) = columns(&key);
            let sql = "UPDATE contacts SET gone = ? WHERE bot = ? AND channel = ? AND conversation = ?";
            run(connection, sql, params![why, bot, channel, conversation]).map(drop)
        });
        let marked = marked.await;
        self.known.forget(conversation);
        marked
    }

    async fn add_notification(&self, notification: Notification) -> Result<Added, StorageError> {
        self.database.write(move |connection| add(connection, &notification)).await
    }

    async fn notification_of_key(&self, bot: &str, key: &str) -> Result<Option<Notification>, StorageError> {
        self.read("notification_of_key", |connection| {
            let sql = format!(
                "SELECT {NOTIFICATION} FROM notifications WHERE bot = ? AND key = ? AND (ended IS NULL OR ended_ms >= ?)"
            );
            let now = now_ms().saturating_sub(REMEMBERED_MS);
            connection.prepare_cached(&sql)?.query_row(params![bot, key, now], notification_of).optional()
        })
    }

    async fn notification(&self, bot: &str, id: &str) -> Result<Option<Notification>, StorageError> {
        self.read("notification", |connection| {
            let sql = format!("SELECT {NOTIFICATION} FROM notifications WHERE bot = ? AND id = ?");
            connection.prepare_cached(&sql)?.query_row(params![bot, id], notification_of).optional()
        })
    }

    async fn notifications(&self, bot: &str, limit: usize) -> Result<Vec<Notification>, StorageError> {
        self.read("notifications", |connection| {
            let sql = format!(
                "SELECT {NOTIFICATION} FROM notifications WHERE bot = ? AND ended IS NULL ORDER BY due_ms, number LIMIT ?"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map(params![bot, limit], notification_of)?.collect()
        })
    }

    async fn cancel_notification(&self, bot: &str, id: &str) -> Result<bool, StorageError> {
        let (bot, id) = (bot.to_owned(), id.to_owned());
        self.database.write(move |connection| cancel(connection, &bot, &id)).await
    }

    async fn withdraw_notification(&self, bot: &str, id: &str) -> Result<(), StorageError> {
        let (bot, id) = (bot.to_owned(), id.to_owned());
        let sql = "DELETE FROM notifications WHERE bot = ? AND id = ? AND ended IS NULL";
        self.database.write(move |connection| run(connection, sql, params![bot, id]).map(drop)).await
    }

    async fn waiting(&self, conversation: &ConversationKey) -> Result<usize, StorageError> {
        let (bot, channel, conversation) = columns(conversation);
        self.read("waiting", |connection| {
            let sql = "SELECT count(*) FROM notifications WHERE ended IS NULL AND bot = ? AND channel = ? AND conversation = ?";
            connection.prepare_cached(sql)?.query_row(params![bot, channel, conversation], |row| row.get(0))
        })
    }

    async fn waiting_bytes(&self, bot: &str) -> Result<u64, StorageError> {
        self.read("waiting_bytes", |connection| {
            // The length is in the header of a row, so the content is not read.
            let sql = "SELECT ifnull(sum(octet_length(content)), 0) FROM notifications WHERE ended IS NULL AND bot = ?";
            connection.prepare_cached(sql)?.query_row(params![bot], |row| row.get(0))
        })
    }

    async fn due(
        &self,
        now_ms: u64,
        after: Option<&Notification>,
        limit: usize,
    ) -> Result<Vec<Notification>, StorageError> {
        let (after_ms, after) = after.map_or((0, ""), |after| (after.due_ms, &after.id));
        self.read("due", |connection| {
            let sql = format!(
                "SELECT {NOTIFICATION} FROM notifications AS n WHERE ended IS NULL AND held = 0 AND due_ms <= ? \
                 AND (due_ms, number) > (?, ifnull((SELECT number FROM notifications WHERE id = ?), 0)) AND NOT EXISTS (SELECT 1 FROM notifications AS e WHERE e.ended IS NULL AND e.held = 0 AND e.bot = n.bot \
                 AND e.channel = n.channel AND e.conversation = n.conversation \
                 AND (e.due_ms, e.number) < (n.due_ms, n.number)) ORDER BY due_ms, number LIMIT ?"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_map(params![now_ms, after_ms, after, limit], notification_of)?.collect()
        })
    }

    async fn next_due(&self, now_ms: u64) -> Result<Option<u64>, StorageError> {
        self.read("next_due", |connection| {
            let sql = "SELECT min(due_ms) FROM notifications WHERE ended IS NULL AND held = 0 AND due_ms > ?";
            connection.prepare_cached(sql)?.query_row([now_ms], |row| row.get(0))
        })
    }

    async fn next_held(&self, conversation: &ConversationKey) -> Result<Option<Notification>, StorageError> {
        let (bot, channel, conversation) = columns(conversation);
        self.read("next_held", |connection| {
            let sql = format!(
                "SELECT {NOTIFICATION} FROM notifications WHERE ended IS NULL AND held = 1 AND bot = ? AND channel = ? \
                 AND conversation = ? ORDER BY due_ms, number LIMIT 1"
            );
            let mut statement = connection.prepare_cached(&sql)?;
            statement.query_row(params![bot, channel, conversation], notification_of).optional()
        })
    }
}

/// What a turn changes.
pub(super) fn change(
    connection: &Connection,
    conversation: &ConversationKey,
    changes: &ProactiveChanges,
) -> Result<(), StorageError> {
    if changes.removed {
        forget(connection, conversation)?;
    } else if let Some(reference) = &changes.reference {
        meet(connection, reference)?;
    }
    match &changes.ended {
        Some((id, End::Done(how))) => end(connection, id, how)?,
        Some((id, End::Again(due_ms))) => {
            let sql = "UPDATE notifications SET due_ms = ?, held = 0 WHERE id = ? AND ended IS NULL";
            run(connection, sql, params![due_ms, id])?;
        }
        Some((id, End::Held)) => {
            run(connection, "UPDATE notifications SET held = 1 WHERE id = ? AND ended IS NULL", [id])?;
        }
        None => {}
    }
    for notification in &changes.added {
        add(connection, notification)?;
    }
    for id in &changes.cancelled {
        cancel(connection, &conversation.bot, id)?;
    }
    Ok(())
}

fn meet(connection: &Connection, reference: &Reference) -> Result<(), StorageError> {
    let (bot, channel, conversation) = columns(&reference.conversation);
    if reference.user.is_empty() {
        // Who was heard last stays known.
        let sql = "UPDATE contacts SET text = json_set(?, '$.user', json_extract(text, '$.user')), seen_ms = ?, gone = NULL \
                   WHERE bot = ? AND channel = ? AND conversation = ?";
        let row = params![reference.text, reference.seen_ms, bot, channel, conversation];
        if run(connection, sql, row)? > 0 {
            return Ok(());
        }
    }
    // A new number each time: the greatest is the one that was heard last.
    let sql = "INSERT OR REPLACE INTO contacts (bot, channel, conversation, user, text, seen_ms, gone) \
               VALUES (?, ?, ?, ?, ?, ?, NULL)";
    let row = params![bot, channel, conversation, reference.user, reference.text, reference.seen_ms];
    run(connection, sql, row)?;
    if reference.user.is_empty() {
        return Ok(());
    }
    let sql = "INSERT OR REPLACE INTO contact_users (bot, channel, conversation, user, text, number) \
               VALUES (?, ?, ?, ?, ?, ?)";
    let number = connection.last_insert_rowid();
    run(connection, sql, params![bot, channel, conversation, reference.user, reference.text, number]).map(drop)
}

fn forget(connection: &Connection, conversation: &ConversationKey) -> Result<bool, StorageError> {
    broadcasts::forget(connection, conversation)?;
    let (bot, channel, conversation) = columns(conversation);
    let of = params![bot, channel, conversation];
    run(connection, "DELETE FROM notifications WHERE bot = ? AND channel = ? AND conversation = ?", of)?;
    // What else is kept of it stays; who asks to be forgotten later must be found by it.
    let sql = "INSERT OR IGNORE INTO transcript_users (bot, channel, conversation, user) \
               SELECT bot, channel, conversation, user FROM contact_users WHERE bot = ? AND channel = ? AND conversation = ?";
    run(connection, sql, of)?;
    run(connection, "DELETE FROM contact_users WHERE bot = ? AND channel = ? AND conversation = ?", of)?;
    let sql = "DELETE FROM contacts WHERE bot = ? AND channel = ? AND conversation = ?";
    run(connection, sql, of).map(|forgotten| forgotten > 0)
}

fn add(connection: &Connection, new: &Notification) -> Result<Added, StorageError> {
    let (bot, channel, conversation) = columns(&new.conversation);
    run(
        connection,
        "DELETE FROM notifications WHERE ended IS NOT NULL AND ended_ms < ?",
        [now_ms().saturating_sub(REMEMBERED_MS)],
    )?;
    if let Some((key, body)) = &new.key {
        let sql = format!("SELECT {NOTIFICATION} FROM notifications WHERE bot = ? AND key = ?");
        let known = connection.query_row(&sql, params![bot, key], notification_of).optional();
        match known.map_err(|error| failed("read", &error))? {
            Some(known) if known.key.as_ref().is_some_and(|(_, known)| known == body) => {
                return Ok(Added::Known(Box::new(known)));
            }
            Some(_) => return Ok(Added::OtherBody),
            None => {}
        }
    }
    if !new.name.is_empty() {
        let sql = "UPDATE notifications SET ended = 'cancelled', ended_ms = ?, content = '{}' WHERE ended IS NULL AND bot = ? \
                   AND channel = ? AND conversation = ? AND sender = ? AND name = ?";
        run(connection, sql, params![now_ms(), bot, channel, conversation, new.sender, new.name])?;
    }
    let (key, body) = new.key.as_ref().map(|(key, body)| (key, &body[..])).unzip();
    let sql = "INSERT INTO notifications (id, bot, channel, conversation, sender, name, mode, content, depth, due_ms, cron, \
               expires_ms, key, body, user) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let row = params![
        new.id,
        bot,
        channel,
        conversation,
        new.sender,
        new.name,
        new.mode.name(),
        new.content,
        new.depth,
        new.due_ms,
        new.cron,
        new.expires_ms,
        key,
        body,
        new.user
    ];
    run(connection, sql, row).map(|_| Added::New)
}

fn end(connection: &Connection, id: &str, how: &str) -> Result<(), StorageError> {
    // What it said is kept no longer than it takes to say it.
    let sql = "UPDATE notifications SET ended = ?, ended_ms = ?, content = '{}' WHERE id = ? AND ended IS NULL";
    run(connection, sql, params![how, now_ms(), id]).map(drop)
}

fn cancel(connection: &Connection, bot: &str, id: &str) -> Result<bool, StorageError> {
    let sql = "UPDATE notifications SET ended = 'cancelled', ended_ms = ?, content = '{}' \
               WHERE bot = ? AND id = ? AND ended IS NULL";
    let cancelled = run(connection, sql, params![now_ms(), bot, id])? > 0;
    if cancelled {
        broadcasts::note_cancelled(connection, id)?;
    }
    Ok(cancelled)
}

fn reference_of(row: &Row<'_>) -> rusqlite::Result<Reference> {
    Ok(Reference {
        conversation: conversation_of(row)?,
        user: row.get(3)?,
        text: row.get(4)?,
        seen_ms: row.get(5)?,
        gone: row.get(6)?,
    })
}

fn notification_of(row: &Row<'_>) -> rusqlite::Result<Notification> {
    let (key, body): (Option<Arc<str>>, Option<Vec<u8>>) = (row.get(12)?, row.get(13)?);
    let body = body.and_then(|body| <[u8; 32]>::try_from(body).ok());
    Ok(Notification {
        conversation: conversation_of(row)?,
        id: row.get(3)?,
        sender: row.get(4)?,
        name: row.get(5)?,
        mode: Mode::named(&row.get::<_, String>(6)?).unwrap_or(Mode::WhenIdle),
        content: row.get(7)?,
        depth: row.get(8)?,
        due_ms: row.get(9)?,
        cron: row.get(10)?,
        expires_ms: row.get(11)?,
        key: key.zip(body),
        ended: row.get(14)?,
        user: row.get(15)?,
    })
}

pub(super) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
