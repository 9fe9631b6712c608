//! Forgetting in the database. Bytes of what is deleted stay in its files until PostgreSQL reuses their pages.

use std::sync::Arc;

use async_trait::async_trait;
use turntable_activity::json;

use super::PostgresStorage;
use super::columns::{Key, channel_column, person, place, place_in};
use super::database::{Failure, Session};
use super::param::{Columns, Param, params};
use crate::privacy::{Forgotten, Privacy};
use crate::{RUNS_ALONE_MAX, StorageError};
use turntable_activity::{ChannelInstance, ConversationKey};

/// What deletes the rows of a conversation, and what they are to an operator.
const OF_CONVERSATION: &[(&str, &str)] = &[
    ("DELETE FROM turntable.stacks WHERE place = $1", "dialogs"),
    ("DELETE FROM turntable.frames WHERE place = $1", "frames"),
    ("DELETE FROM turntable.outbox WHERE place = $1", "undelivered"),
    ("DELETE FROM turntable.dead_letters WHERE place = $1", "dead_letters"),
    ("DELETE FROM turntable.notifications WHERE place = $1", "notifications"),
    ("DELETE FROM turntable.contact_users WHERE place = $1", "users"),
    ("DELETE FROM turntable.contacts WHERE place = $1", "references"),
    ("DELETE FROM turntable.transcript_items WHERE place = $1", "transcript"),
    ("DELETE FROM turntable.transcript_users WHERE place = $1", "transcript_users"),
    ("DELETE FROM turntable.transcripts WHERE place = $1", "transcripts"),
    ("DELETE FROM turntable.ids WHERE place = $1", "ids"),
    ("DELETE FROM turntable.records WHERE place = $1", "answers"),
    ("DELETE FROM turntable.state WHERE place = $1", "state"),
];

/// The same for a user in a conversation with others.
const OF_MEMBER: &[(&str, &str)] = &[
    ("DELETE FROM turntable.transcript_items WHERE place = $1 AND person_id = $2", "transcript"),
    ("DELETE FROM turntable.transcript_users WHERE place = $1 AND person_id = $2", "transcript_users"),
    ("DELETE FROM turntable.contact_users WHERE place = $1 AND person_id = $2", "users"),
    ("DELETE FROM turntable.notifications WHERE place = $1 AND person_id = $2", "notifications"),
];

#[async_trait]
impl Privacy for PostgresStorage {
    async fn forget_conversation(&self, conversation: &ConversationKey) -> Result<Forgotten, StorageError> {
        let key = place(conversation);
        let forget = move |session: Session| async move { forget_conversation(&session, key).await };
        let forgotten = self.database.write("forget_conversation", false, forget).await;
        self.known.forget(conversation);
        if let Ok(forgotten) = &forgotten {
            self.undelivered.remove(conversation, forgotten.0.get("undelivered").copied().unwrap_or(0));
        }
        forgotten
    }

    async fn forget_member(&self, conversation: &ConversationKey, user: &str) -> Result<Forgotten, StorageError> {
        let (key, whose) = (place(conversation), person(&conversation.bot, &conversation.channel, user));
        let user: Arc<str> = user.into();
        let forget = move |session: Session| {
            let user = user.clone();
            async move { forget_member(&session, key, whose, &user).await }
        };
        let forgotten = self.database.write("forget_member", false, forget).await;
        self.known.forget(conversation);
        forgotten
    }

    async fn forget_user(&self, bot: &str, channel: &ChannelInstance, user: &str) -> Result<Forgotten, StorageError> {
        let (whose, user) = (person(bot, channel, user), user.to_owned());
        let nowhere = place_in(bot, &channel_column(channel), "");
        let forget = move |session: Session| {
            let user = user.clone();
            async move {
                let mut forgotten = Forgotten::default();
                let state = "DELETE FROM turntable.state WHERE person = $1";
                forgotten.add("state", count(session.changed(state, &params![whose]).await?));
                forgotten.add("broadcasts", forget_targets(&session, nowhere, &user).await?);
                Ok(forgotten)
            }
        };
        self.database.write("forget_user", false, forget).await
    }

    async fn conversations_of(
        &self,
        bot: &str,
        channel: &ChannelInstance,
        user: &str,
    ) -> Result<Vec<(Arc<str>, bool)>, StorageError> {
        let sql = "SELECT conversation, NOT EXISTS (SELECT FROM turntable.contact_users AS o WHERE o.place = found.place \
                   AND o.person <> $1) AND NOT EXISTS (SELECT FROM turntable.transcript_users AS o WHERE o.place = found.place \
                   AND o.person <> $1) FROM (SELECT u.place, c.conversation FROM turntable.contact_users AS u \
                   JOIN turntable.contacts AS c USING (place) WHERE u.person = $1 \
                   UNION SELECT place, conversation FROM turntable.transcript_users WHERE person = $1) AS found";
        let found = params![person(bot, channel, user)];
        self.all("conversations_of", sql, &found, |row| Ok((row.text(0)?, row.try_get(1)?))).await
    }
}

async fn forget_conversation(session: &Session, key: Key) -> Result<Forgotten, Failure> {
    let mut forgotten = Forgotten::default();
    forgotten.add("broadcasts", forget_targets(session, key, "").await?);
    for (sql, what) in OF_CONVERSATION {
        forgotten.add(what, count(session.changed(sql, &params![key]).await?));
    }
    let sql = "DELETE FROM turntable.inbox WHERE place = $1 AND runs_alone >= $2";
    forgotten.add("given_up", count(session.changed(sql, &params![key, RUNS_ALONE_MAX]).await?));
    Ok(forgotten)
}

async fn forget_member(session: &Session, key: Key, whose: Key, user: &str) -> Result<Forgotten, Failure> {
    let mut forgotten = Forgotten::default();
    let of = params![key, user];
    let sql = "UPDATE turntable.transcripts SET (activities, bytes) = (SELECT transcripts.activities - count(*), \
               transcripts.bytes - coalesce(sum(octet_length(activity)), 0) FROM turntable.transcript_items \
               WHERE place = $1 AND person_id = $2) WHERE place = $1";
    session.run(sql, &of).await?;
    for (sql, what) in OF_MEMBER {
        forgotten.add(what, count(session.changed(sql, &of).await?));
    }
    let sql = "DELETE FROM turntable.state WHERE place = $1 AND person = $2 AND kind = 'private'";
    forgotten.add("state", count(session.changed(sql, &params![key, whose]).await?));
    forgotten.add("dead_letters", forget_letters(session, key, user).await?);
    forget_contact(session, key, user).await?;
    // A redelivery is still known as one, but gets no text any more.
    let sql = "UPDATE turntable.records SET answer = NULL WHERE answer IS NOT NULL AND place = $1";
    forgotten.add("answers", count(session.changed(sql, &params![key]).await?));
    Ok(forgotten)
}

/// Deletes the dead letters that a user was to get.
async fn forget_letters(session: &Session, key: Key, user: &str) -> Result<usize, Failure> {
    let sql = "SELECT sequence, activity FROM turntable.dead_letters WHERE place = $1 AND activity IS NOT NULL";
    let mut found = Vec::new();
    for row in session.rows(sql, &params![key]).await? {
        let activity = row.text(1)?;
        let recipient = json::object(&activity).ok().and_then(|letter| {
            letter.get("recipient").and_then(|to| to.get("id")).and_then(|id| id.as_str().map(ToOwned::to_owned))
        });
        if recipient.as_deref() == Some(user) {
            found.push(row.try_get(0)?);
        }
    }
    let sql = "DELETE FROM turntable.dead_letters WHERE sequence = ANY($1)";
    Ok(count(session.changed(sql, &[Param::Ints(found)]).await?))
}

/// The conversation is still reached, as nobody's.
async fn forget_contact(session: &Session, key: Key, user: &str) -> Result<(), Failure> {
    let sql = "SELECT reference FROM turntable.contacts WHERE place = $1 AND person_id = $2 FOR UPDATE";
    let Some(row) = session.first(sql, &params![key, user]).await? else { return Ok(()) };
    let mut reference = json::object(&row.text(0)?).unwrap_or_default();
    reference.insert("user".into(), serde_json::json!({ "id": "" }));
    let reference = serde_json::Value::Object(reference).to_string();
    let sql = "UPDATE turntable.contacts SET person_id = '', reference = $2 WHERE place = $1";
    session.run(sql, &params![key, &reference]).await?;
    Ok(())
}

async fn forget_targets(session: &Session, key: Key, user: &str) -> Result<usize, Failure> {
    let row = session.first("SELECT turntable.forget_targets($1, $2)", &params![key, user]).await?;
    Ok(count(row.map_or(Ok(0), |row| row.number(0))?))
}

fn count(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}
