//! Transcripts in the database.

use async_trait::async_trait;
use turntable_activity::json;

use super::PostgresStorage;
use super::columns::{channel_column, conversation_of, person, place};
use super::database::{Batch, Failure, Session};
use super::param::{Columns, Param, params};
use crate::StorageError;
use crate::transcripts::{TRIMMED_MAX, Transcript, TranscriptItem, Transcripts, names_host_id, with_id};
use turntable_activity::{ConversationKey, Object};

const ADD_ITEMS: &str = "INSERT INTO turntable.transcript_items (place, at_ms, person_id, host_id, activity) \
    SELECT $1, at_ms, person_id, host_id, activity FROM unnest($2, $3, $4, $5) \
    WITH ORDINALITY AS said(at_ms, person_id, host_id, activity, position) ORDER BY position";
const ADD_USERS: &str = "INSERT INTO turntable.transcript_users (place, person_id, person, conversation) \
    SELECT $1, person_id, person, $2 FROM unnest($3, $4) AS said(person_id, person) ON CONFLICT DO NOTHING";
const ADD_UP: &str = "INSERT INTO turntable.transcripts AS known (place, bot, channel, conversation, first_ms, last_ms, \
    activities, bytes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (place) DO UPDATE SET \
    last_ms = excluded.last_ms, activities = known.activities + excluded.activities, bytes = known.bytes + excluded.bytes";

#[async_trait]
impl Transcripts for PostgresStorage {
    async fn transcripts(&self, bot: &str, after: u64, limit: usize) -> Result<Vec<Transcript>, StorageError> {
        let sql = "SELECT bot, channel, conversation, number, first_ms, last_ms, activities, bytes \
                   FROM turntable.transcripts WHERE bot = $1 AND number > $2 ORDER BY number LIMIT $3";
        self.all("transcripts", sql, &params![bot, after, limit], |row| {
            Ok(Transcript {
                conversation: conversation_of(row, 0)?,
                place: row.number(3)?,
                first_ms: row.number(4)?,
                last_ms: row.number(5)?,
                activities: row.number(6)?,
                bytes: row.number(7)?,
            })
        })
        .await
    }

    async fn transcript(
        &self,
        conversation: &ConversationKey,
        since_ms: u64,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Object)>, StorageError> {
        let sql = "SELECT number, activity, channel_id FROM turntable.transcript_items \
                   WHERE place = $1 AND number > $2 AND at_ms >= $3 ORDER BY number LIMIT $4";
        let found = params![place(conversation), after, since_ms, limit];
        let rows = self.all("transcript", sql, &found, |row| Ok((row.number(0)?, row.text(1)?, row.text(2)?))).await?;
        let mut items = Vec::with_capacity(rows.len());
        for (number, text, channel_id) in rows {
            let activity = json::object(&text);
            let activity =
                activity.map_err(|error| StorageError::Unavailable(anyhow::anyhow!("transcript: {error}")))?;
            let channel_id = match names_host_id(&activity) {
                None => channel_id,
                Some(target) => {
                    let sql = "SELECT channel_id FROM turntable.transcript_items WHERE host_id = $1 AND host_id <> ''";
                    let known = self.first("transcript", sql, &params![target], |row| row.text(0)).await?;
                    known.unwrap_or_else(|| "".into())
                }
            };
            items.push((number, with_id(activity, &channel_id)));
        }
        Ok(items)
    }

    async fn import_transcript(
        &self,
        conversation: &ConversationKey,
        items: Vec<TranscriptItem>,
    ) -> Result<bool, StorageError> {
        let work = std::sync::Arc::new((conversation.clone(), items));
        let import = move |session: Session| {
            let work = work.clone();
            async move { import(&session, &work.0, &work.1).await }
        };
        self.database.write("import_transcript", false, import).await
    }

    async fn delete_transcript(&self, conversation: &ConversationKey) -> Result<bool, StorageError> {
        let key = place(conversation);
        let delete = move |session: Session| async move { delete(&session, key).await };
        self.database.write("delete_transcript", false, delete).await
    }

    async fn trim_transcripts(&self, bot: &str, before_ms: u64, bytes_max: u64) -> Result<usize, StorageError> {
        loop {
            let bot = bot.to_owned();
            let trim = move |session: Session| {
                let bot = bot.clone();
                async move { trim_oldest(&session, &bot, before_ms, bytes_max).await }
            };
            match self.database.write("trim_transcripts", false, trim).await? {
                // What it began with is gone already, and its place among the oldest is another now.
                Some(0) => {}
                Some(trimmed) => return Ok(trimmed),
                None => return Ok(0),
            }
        }
    }
}

/// Appends what a turn said.
pub(super) fn append(batch: &mut Batch, conversation: &ConversationKey, items: &[TranscriptItem]) {
    for (sql, row) in appending(conversation, items) {
        batch.push(sql, row);
    }
}

fn appending(of: &ConversationKey, items: &[TranscriptItem]) -> Vec<(&'static str, Vec<Param>)> {
    let (Some(first), Some(last)) = (items.first(), items.last()) else { return Vec::new() };
    let key = place(of);
    let said = vec![
        key.into(),
        Param::Ints(items.iter().map(|item| i64::try_from(item.at_ms).unwrap_or(i64::MAX)).collect()),
        Param::texts(items.iter().map(|item| Some(&*item.user))),
        Param::texts(items.iter().map(|item| Some(&*item.host_id))),
        Param::texts(items.iter().map(|item| Some(&*item.activity))),
    ];
    let mut users: Vec<&str> = items.iter().map(|item| &*item.user).filter(|user| !user.is_empty()).collect();
    users.sort_unstable();
    users.dedup();
    let persons = users.iter().map(|user| person(&of.bot, &of.channel, user).to_vec()).collect();
    let mut heard = Vec::from(params![key, &of.conversation]);
    heard.push(Param::texts(users.iter().map(|user| Some(*user))));
    heard.push(Param::Digests(persons));
    let bytes: usize = items.iter().map(|item| item.activity.len()).sum();
    let channel = channel_column(&of.channel);
    let sum = params![key, &of.bot, &channel, &of.conversation, first.at_ms, last.at_ms, items.len(), bytes];
    vec![(ADD_ITEMS, said), (ADD_USERS, heard), (ADD_UP, sum.into())]
}

async fn import(session: &Session, conversation: &ConversationKey, items: &[TranscriptItem]) -> Result<bool, Failure> {
    let sql = "SELECT 1 FROM turntable.transcripts WHERE place = $1";
    if session.first(sql, &params![place(conversation)]).await?.is_some() {
        return Ok(false);
    }
    for (sql, row) in appending(conversation, items) {
        session.run(sql, &row).await?;
    }
    Ok(true)
}

async fn delete(session: &Session, key: super::Key) -> Result<bool, Failure> {
    session.run("DELETE FROM turntable.transcript_items WHERE place = $1", &params![key]).await?;
    session.run("DELETE FROM turntable.transcript_users WHERE place = $1", &params![key]).await?;
    Ok(session.changed("DELETE FROM turntable.transcripts WHERE place = $1", &params![key]).await? > 0)
}

/// Deletes the first items of the conversation whose first item must go. None: nothing is left to do.
async fn trim_oldest(session: &Session, bot: &str, before_ms: u64, bytes_max: u64) -> Result<Option<usize>, Failure> {
    let sql = "SELECT bot, channel, conversation, first_ms, \
               (SELECT sum(bytes)::bigint FROM turntable.transcripts WHERE bot = $1) FROM turntable.transcripts \
               WHERE bot = $1 ORDER BY first_ms LIMIT 1 FOR UPDATE";
    let Some(oldest) = session.first(sql, &params![bot]).await? else { return Ok(None) };
    let (key, first_ms) = (place(&conversation_of(&oldest, 0)?), oldest.number(3)?);
    let excess = oldest.optional_number(4)?.unwrap_or_default().saturating_sub(bytes_max);
    if first_ms >= before_ms && excess == 0 {
        return Ok(None);
    }
    trim(session, key, before_ms, excess).await.map(Some)
}

/// Deletes the first items of a conversation, those that are too old, and others while there are too many bytes.
async fn trim(session: &Session, key: super::Key, before_ms: u64, mut excess: u64) -> Result<usize, Failure> {
    let sql = "SELECT number, at_ms, octet_length(activity)::bigint FROM turntable.transcript_items WHERE place = $1 \
               ORDER BY number LIMIT $2";
    let (mut count, mut bytes, mut last) = (0_usize, 0, 0);
    for row in session.rows(sql, &params![key, TRIMMED_MAX]).await? {
        let (number, at_ms, length) = (row.number(0)?, row.number(1)?, row.number(2)?);
        if at_ms >= before_ms && excess == 0 {
            break;
        }
        excess = excess.saturating_sub(length);
        (count, bytes, last) = (count + 1, bytes + length, number);
    }
    session
        .run("DELETE FROM turntable.transcript_items WHERE place = $1 AND number <= $2", &params![key, last])
        .await?;
    let sql = "SELECT at_ms FROM turntable.transcript_items WHERE place = $1 ORDER BY number LIMIT 1";
    match session.first(sql, &params![key]).await? {
        Some(next) => {
            let sql = "UPDATE turntable.transcripts SET first_ms = $2, activities = activities - $3, bytes = bytes - $4 \
                       WHERE place = $1";
            session.run(sql, &params![key, next.number(0)?, count, bytes]).await?;
        }
        None => _ = delete(session, key).await?,
    }
    Ok(count)
}
