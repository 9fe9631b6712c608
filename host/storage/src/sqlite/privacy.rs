//! Forgetting in the file. Bytes of what is deleted may stay in free pages until `turntable store compact`.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::cache::Cache;
use super::columns::{channel_column, columns};
use super::index::Numbers;
use super::writer::Undo;
use super::{SqliteStorage, broadcasts, failed, run};
use crate::privacy::{Forgotten, Privacy};
use crate::{RUNS_ALONE_MAX, StorageError};
use turntable_activity::{ChannelInstance, ConversationKey};

/// Tables whose rows belong to a conversation, and what they are to an operator.
const TABLES: &[(&str, &str)] = &[
    ("stacks", "dialogs"),
    ("frames", "frames"),
    ("outbox", "undelivered"),
    ("dead_letters", "dead_letters"),
    ("notifications", "notifications"),
    ("contact_users", "users"),
    ("contacts", "references"),
    ("transcript_items", "transcript"),
    ("transcript_users", "transcript_users"),
    ("transcripts", "transcripts"),
];

#[async_trait]
impl Privacy for SqliteStorage {
    async fn forget_conversation(&self, conversation: &ConversationKey) -> Result<Forgotten, StorageError> {
        let key = conversation.clone();
        let (cache, of) = (self.cache.clone(), key.clone());
        let follow = move |_: &mut Forgotten| {
            cache.values.clear();
            cache.stacks.clear();
            cache.outbox.forget(&of);
            cache.ids.forget(&of);
            cache.records.forget(&of);
        };
        let known = self.cache.clone();
        let forget = move |connection: &Connection| forget_conversation(connection, &known, &key);
        let forgotten = self.database.write_then(Undo::Itself, false, forget, follow).await;
        self.known.forget(conversation);
        forgotten
    }

    async fn forget_member(&self, conversation: &ConversationKey, user: &str) -> Result<Forgotten, StorageError> {
        let (key, user) = (conversation.clone(), user.to_owned());
        let (cache, known) = (self.cache.clone(), self.cache.clone());
        let forget = move |connection: &Connection| forget_member(connection, &known, &key, &user);
        let forgotten = self.database.write_then(Undo::Itself, false, forget, move |_| cache.values.clear()).await;
        self.known.forget(conversation);
        forgotten
    }

    async fn forget_user(&self, bot: &str, channel: &ChannelInstance, user: &str) -> Result<Forgotten, StorageError> {
        let (bot, channel, user) = (bot.to_owned(), channel_column(channel), user.to_owned());
        let cache = self.cache.clone();
        let forget = move |connection: &Connection| {
            let mut count = 0;
            for namespace in namespaces(connection, &bot)? {
                let sql = "DELETE FROM state WHERE bot = ? AND namespace = ? AND scope IN ('user', 'private') \
                               AND channel = ? AND user = ?";
                count += run(connection, sql, params![bot, namespace, channel, user])?;
            }
            let mut forgotten = Forgotten::default();
            forgotten.add("state", count);
            forgotten.add("broadcasts", broadcasts::forget_user(connection, &bot, &channel, &user)?);
            Ok(forgotten)
        };
        self.database.write_then(Undo::Itself, false, forget, move |_| cache.values.clear()).await
    }

    async fn conversations_of(
        &self,
        bot: &str,
        channel: &ChannelInstance,
        user: &str,
    ) -> Result<Vec<(Arc<str>, bool)>, StorageError> {
        let channel = channel_column(channel);
        self.read("conversations_of", |connection| {
            let mut statement = connection.prepare_cached(
                "SELECT conversation, NOT EXISTS (SELECT 1 FROM contact_users AS o WHERE o.bot = ?1 AND o.channel = ?2 \
                 AND o.conversation = found.conversation AND o.user <> ?3) AND NOT EXISTS (SELECT 1 FROM transcript_users \
                 AS o WHERE o.bot = ?1 AND o.channel = ?2 AND o.conversation = found.conversation AND o.user <> ?3) \
                 FROM (SELECT conversation FROM contact_users WHERE bot = ?1 AND channel = ?2 AND user = ?3 \
                 UNION SELECT conversation FROM transcript_users WHERE bot = ?1 AND channel = ?2 AND user = ?3) AS found",
            )?;
            statement.query_map(params![bot, channel, user], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }
}

pub(super) fn forget_conversation(
    connection: &Connection,
    cache: &Cache,
    key: &ConversationKey,
) -> Result<Forgotten, StorageError> {
    let (bot, channel, conversation) = columns(key);
    let of = params![bot, channel, conversation];
    let mut forgotten = Forgotten::default();
    forgotten.add("broadcasts", broadcasts::forget(connection, key)?);
    for (table, what) in TABLES {
        let sql = format!("DELETE FROM {table} WHERE bot = ? AND channel = ? AND conversation = ?");
        forgotten.add(what, run(connection, &sql, of)?);
    }
    forgotten.add("ids", of_conversation(connection, "DELETE FROM ids WHERE", key, cache.ids.of(key))?);
    forgotten.add("answers", of_conversation(connection, "DELETE FROM marks WHERE", key, cache.records.of(key))?);
    for namespace in namespaces(connection, bot)? {
        let sql = "DELETE FROM state WHERE bot = ? AND namespace = ? AND scope IN ('conversation', 'private') \
                   AND channel = ? AND conversation = ?";
        forgotten.add("state", run(connection, sql, params![bot, namespace, channel, conversation])?);
    }
    let sql = "DELETE FROM kept WHERE bot = ? AND channel = ? AND conversation = ? AND runs_alone >= ?";
    forgotten.add("given_up", run(connection, sql, params![bot, channel, conversation, RUNS_ALONE_MAX])?);
    Ok(forgotten)
}

fn forget_member(
    connection: &Connection,
    cache: &Cache,
    key: &ConversationKey,
    user: &str,
) -> Result<Forgotten, StorageError> {
    let (bot, channel, conversation) = columns(key);
    let of = params![bot, channel, conversation, user];
    let mut forgotten = Forgotten::default();
    let sizes = "SELECT count(*), ifnull(sum(octet_length(activity)), 0) FROM transcript_items \
                 WHERE bot = ? AND channel = ? AND conversation = ? AND user = ?";
    let (items, bytes): (usize, u64) = connection
        .prepare_cached(sizes)
        .and_then(|mut sizes| sizes.query_row(of, |row| Ok((row.get(0)?, row.get(1)?))))
        .map_err(|error| failed("read", &error))?;
    let sql = "UPDATE transcripts SET activities = activities - ?, bytes = bytes - ? \
               WHERE bot = ? AND channel = ? AND conversation = ?";
    run(connection, sql, params![items, bytes, bot, channel, conversation])?;
    for (table, what) in
        [("transcript_items", "transcript"), ("transcript_users", "transcript_users"), ("contact_users", "users")]
    {
        let sql = format!("DELETE FROM {table} WHERE bot = ? AND channel = ? AND conversation = ? AND user = ?");
        forgotten.add(what, run(connection, &sql, of)?);
    }
    for namespace in namespaces(connection, bot)? {
        let sql = "DELETE FROM state WHERE bot = ? AND namespace = ? AND scope = 'private' AND channel = ? \
                   AND conversation = ? AND user = ?";
        forgotten.add("state", run(connection, sql, params![bot, namespace, channel, conversation, user])?);
    }
    let sql = "DELETE FROM dead_letters WHERE bot = ? AND channel = ? AND conversation = ? \
               AND json_extract(activity, '$.recipient.id') = ?";
    forgotten.add("dead_letters", run(connection, sql, of)?);
    let sql = "DELETE FROM notifications WHERE bot = ? AND channel = ? AND conversation = ? AND user = ?";
    forgotten.add("notifications", run(connection, sql, of)?);
    let sql = "UPDATE contacts SET user = '', text = json_set(text, '$.user', json('{\"id\":\"\"}')) \
               WHERE bot = ? AND channel = ? AND conversation = ? AND user = ?";
    run(connection, sql, of)?;
    // A redelivery is still known as one, but gets no text any more.
    let sql = "UPDATE marks SET answer = NULL WHERE answer IS NOT NULL AND";
    forgotten.add("answers", of_conversation(connection, sql, key, cache.records.of(key))?);
    Ok(forgotten)
}

/// Runs a statement for each row of a conversation in a table without an index of conversations. None: not all are known yet.
fn of_conversation(
    connection: &Connection,
    sql: &str,
    key: &ConversationKey,
    rows: Option<Numbers>,
) -> Result<usize, StorageError> {
    let (bot, channel, conversation) = columns(key);
    let sql = format!("{sql} bot = ? AND channel = ? AND conversation = ?");
    let Some(Numbers { numbers, newest }) = rows else {
        return run(connection, &sql, params![bot, channel, conversation]);
    };
    let mut changed = run(connection, &format!("{sql} AND number > ?"), params![bot, channel, conversation, newest])?;
    let sql = format!("{sql} AND number = ?");
    for number in numbers {
        changed += run(connection, &sql, params![bot, channel, conversation, number])?;
    }
    Ok(changed)
}

/// The namespaces of a bot's state, each found by one step through the index.
fn namespaces(connection: &Connection, bot: &str) -> Result<Vec<String>, StorageError> {
    let mut found: Vec<String> = Vec::new();
    let sql = "SELECT min(namespace) FROM state WHERE bot = ? AND namespace > ?";
    let mut statement = connection.prepare_cached(sql).map_err(|error| failed("prepare", &error))?;
    loop {
        let last = found.last().map_or("", String::as_str);
        let next: Option<String> =
            statement.query_row(params![bot, last], |row| row.get(0)).map_err(|error| failed("read", &error))?;
        match next {
            Some(next) => found.push(next),
            None => return Ok(found),
        }
    }
}
