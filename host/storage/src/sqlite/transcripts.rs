//! Transcripts in the file.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::columns::{columns, conversation_of, integer};
use super::{SqliteStorage, failed, run};
use crate::StorageError;
use crate::transcripts::{TRIMMED_MAX, Transcript, TranscriptItem, Transcripts, names_host_id, with_id};
use turntable_activity::json;
use turntable_activity::{ConversationKey, Object};

#[async_trait]
impl Transcripts for SqliteStorage {
    async fn transcripts(&self, bot: &str, after: u64, limit: usize) -> Result<Vec<Transcript>, StorageError> {
        self.read("transcripts", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT bot, channel, conversation, number, first_ms, last_ms, activities, bytes FROM transcripts \
                 WHERE bot = ? AND number > ? ORDER BY number LIMIT ?",
            )?;
            statement.query_map(params![bot, integer(after), limit], transcript_of)?.collect()
        })
    }

    async fn transcript(
        &self,
        conversation: &ConversationKey,
        since_ms: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Object)>, StorageError> {
        let (bot, channel, conversation) = columns(conversation);
        self.read("transcript", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT number, activity, channel_id FROM transcript_items WHERE bot = ? AND channel = ? \
                 AND conversation = ? AND number > ? AND at_ms >= ? ORDER BY number LIMIT ?",
            )?;
            let found = params![bot, channel, conversation, integer(after), integer(since_ms), limit];
            let rows = statement.query_map(found, |row| Ok((row.get(0)?, item(connection, row)?)))?;
            rows.collect()
        })
    }

    async fn import_transcript(
        &self,
        conversation: &ConversationKey,
        items: Vec<TranscriptItem>,
    ) -> Result<bool, StorageError> {
        let key = conversation.clone();
        self.database
            .write(move |connection| {
                let (bot, channel, conversation) = columns(&key);
                let sql = "SELECT 1 FROM transcripts WHERE bot = ? AND channel = ? AND conversation = ?";
                let has =
                    connection.prepare_cached(sql).and_then(|mut has| has.exists(params![bot, channel, conversation]));
                if has.map_err(|error| failed("read", &error))? {
                    return Ok(false);
                }
                append(connection, &key, &items).map(|()| true)
            })
            .await
    }

    async fn delete_transcript(&self, conversation: &ConversationKey) -> Result<bool, StorageError> {
        let conversation = conversation.clone();
        self.database.write(move |connection| delete(connection, &conversation)).await
    }

    async fn trim_transcripts(&self, bot: &str, before_ms: u64, bytes_max: u64) -> Result<usize, StorageError> {
        while let Some((conversation, excess)) =
            self.read("trim", |connection| oldest(connection, bot, before_ms, bytes_max))?
        {
            let trimmed =
                self.database.write(move |connection| trim(connection, &conversation, before_ms, excess)).await?;
            if trimmed > 0 {
                return Ok(trimmed);
            }
            // What it began with is gone already, and its place among the oldest is another now.
        }
        Ok(0)
    }
}

/// Appends what a turn said.
pub(super) fn append(
    connection: &Connection,
    conversation: &ConversationKey,
    items: &[TranscriptItem],
) -> Result<(), StorageError> {
    let (Some(first), Some(last)) = (items.first(), items.last()) else { return Ok(()) };
    let (bot, channel, conversation) = columns(conversation);
    for item in items {
        let sql = "INSERT INTO transcript_items (bot, channel, conversation, at_ms, user, host_id, activity) \
                   VALUES (?, ?, ?, ?, ?, ?, ?)";
        run(connection, sql, params![bot, channel, conversation, item.at_ms, item.user, item.host_id, item.activity])?;
    }
    let mut users: Vec<&str> = items.iter().map(|item| &*item.user).filter(|user| !user.is_empty()).collect();
    users.sort_unstable();
    users.dedup();
    for user in users {
        let sql = "INSERT OR IGNORE INTO transcript_users (bot, channel, conversation, user) VALUES (?, ?, ?, ?)";
        run(connection, sql, params![bot, channel, conversation, user])?;
    }
    let bytes: usize = items.iter().map(|item| item.activity.len()).sum();
    let sql = "INSERT INTO transcripts (bot, channel, conversation, first_ms, last_ms, activities, bytes) \
               VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (bot, channel, conversation) DO UPDATE SET \
               last_ms = excluded.last_ms, activities = activities + excluded.activities, bytes = bytes + excluded.bytes";
    run(connection, sql, params![bot, channel, conversation, first.at_ms, last.at_ms, items.len(), bytes]).map(drop)
}

/// Notes the channel's id of what the bot sent.
pub(super) fn note_id(connection: &Connection, host_id: &str, channel_id: &str) -> Result<(), StorageError> {
    let sql = "UPDATE transcript_items SET channel_id = ? WHERE host_id = ? AND host_id <> ''";
    run(connection, sql, params![channel_id, host_id]).map(drop)
}

/// Whether there is any transcript.
pub(super) fn any(connection: &Connection) -> rusqlite::Result<bool> {
    connection.prepare("SELECT 1 FROM transcripts LIMIT 1")?.exists([])
}

pub(super) fn delete(connection: &Connection, conversation: &ConversationKey) -> Result<bool, StorageError> {
    let (bot, channel, conversation) = columns(conversation);
    let of = params![bot, channel, conversation];
    run(connection, "DELETE FROM transcript_items WHERE bot = ? AND channel = ? AND conversation = ?", of)?;
    run(connection, "DELETE FROM transcript_users WHERE bot = ? AND channel = ? AND conversation = ?", of)?;
    let sql = "DELETE FROM transcripts WHERE bot = ? AND channel = ? AND conversation = ?";
    run(connection, sql, of).map(|deleted| deleted > 0)
}

/// The conversation whose first item must go, and how many bytes of the bot are too many.
fn oldest(
    connection: &Connection,
    bot: &str,
    before_ms: u64,
    bytes_max: u64,
) -> rusqlite::Result<Option<(ConversationKey, u64)>> {
    let sql = "SELECT bot, channel, conversation, first_ms FROM transcripts WHERE bot = ? ORDER BY first_ms LIMIT 1";
    let oldest = connection.prepare_cached(sql)?.query_row([bot], |row| Ok((conversation_of(row)?, row.get(3)?)));
    let Some((conversation, first_ms)): Option<(_, u64)> = oldest.optional()? else { return Ok(None) };
    let sql = "SELECT ifnull(sum(bytes), 0) FROM transcripts WHERE bot = ?";
    let bytes: u64 = connection.prepare_cached(sql)?.query_row([bot], |row| row.get(0))?;
    let excess = bytes.saturating_sub(bytes_max);
    Ok((first_ms < before_ms || excess > 0).then_some((conversation, excess)))
}

/// Deletes the first items of a conversation, those that are too old, and others while there are too many bytes.
fn trim(
    connection: &Connection,
    key: &ConversationKey,
    before_ms: u64,
    mut excess: u64,
) -> Result<usize, StorageError> {
    let (bot, channel, conversation) = columns(key);
    let first = || -> rusqlite::Result<Vec<(u64, u64, u64)>> {
        let mut statement = connection.prepare_cached(
            "SELECT number, at_ms, octet_length(activity) FROM transcript_items WHERE bot = ? AND channel = ? \
             AND conversation = ? ORDER BY number LIMIT ?",
        )?;
        let found = params![bot, channel, conversation, TRIMMED_MAX];
        statement.query_map(found, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
    };
    let items = first().map_err(|error| failed("read", &error))?;
    let goes = items.into_iter().take_while(|(_, at_ms, bytes)| {
        let goes = *at_ms < before_ms || excess > 0;
        excess = excess.saturating_sub(*bytes);
        goes
    });
    let (mut count, mut bytes, mut last) = (0, 0, 0);
    for (number, _, length) in goes {
        (count, bytes, last) = (count + 1, bytes + length, number);
    }
    let sql = "DELETE FROM transcript_items WHERE bot = ? AND channel = ? AND conversation = ? AND number <= ?";
    run(connection, sql, params![bot, channel, conversation, last])?;
    let sql =
        "SELECT at_ms FROM transcript_items WHERE bot = ? AND channel = ? AND conversation = ? ORDER BY number LIMIT 1";
    let next = connection.prepare_cached(sql).and_then(|mut next| {
        next.query_row(params![bot, channel, conversation], |row| row.get::<_, u64>(0)).optional()
    });
    match next.map_err(|error| failed("read", &error))? {
        Some(first_ms) => {
            let sql = "UPDATE transcripts SET first_ms = ?, activities = activities - ?, bytes = bytes - ? \
                       WHERE bot = ? AND channel = ? AND conversation = ?";
            run(connection, sql, params![first_ms, count, bytes, bot, channel, conversation])?;
        }
        None => _ = delete(connection, key)?,
    }
    Ok(count)
}

fn transcript_of(row: &Row<'_>) -> rusqlite::Result<Transcript> {
    Ok(Transcript {
        conversation: conversation_of(row)?,
        place: row.get(3)?,
        first_ms: row.get(4)?,
        last_ms: row.get(5)?,
        activities: row.get(6)?,
        bytes: row.get(7)?,
    })
}

/// Reads the activity in the second column, with the channel's id in the third.
fn item(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<Object> {
    let (text, channel_id): (String, String) = (row.get(1)?, row.get(2)?);
    let activity = json::object(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error)))?;
    let Some(target) = names_host_id(&activity) else { return Ok(with_id(activity, &channel_id)) };
    let sql = "SELECT channel_id FROM transcript_items WHERE host_id = ? AND host_id <> ''";
    let known = connection.prepare_cached(sql)?.query_row([target], |row| row.get::<_, String>(0)).optional()?;
    Ok(with_id(activity, &known.unwrap_or_default()))
}
