//! References and notifications in the database.

use async_trait::async_trait;
use tokio_postgres::Row;
use turntable_activity::json;

use super::PostgresStorage;
use super::columns::{Key, channel_column, conversation_of, person, place};
use super::database::{Batch, Failure, Session};
use super::param::{Columns, Param, params};
use crate::StorageError;
use crate::broadcasts::target_of;
use crate::notifications::{
    Added, End, Mode, Notification, Notifications, ProactiveChanges, Reference, ReferenceFilter,
};
use turntable_activity::{ChannelInstance, ConversationKey};

/// How long an ended notification is remembered, for those who ask about it or send it again: a day.
const REMEMBERED_MS: u64 = 24 * 3600 * 1000;

/// The columns that `reference_of` reads.
const REFERENCE: &str = "bot, channel, conversation, person_id, reference, seen_ms, gone";
/// The columns that `notification_of` reads.
const NOTIFICATION: &str = "bot, channel, conversation, id, sender, name, mode, content, depth, due_ms, cron, expires_ms, \
                            key, body, ended, person_id";
const FORGET_ENDED: &str = "DELETE FROM turntable.notifications WHERE id IN (SELECT id FROM turntable.notifications \
    WHERE ended IS NOT NULL AND ended_ms < turntable.now_ms() - $1 LIMIT 1000 FOR UPDATE SKIP LOCKED)";
const REPLACE_NAMED: &str = "UPDATE turntable.notifications SET ended = 'cancelled', ended_ms = turntable.now_ms(), \
    content = '{}' WHERE ended IS NULL AND place = $1 AND sender = $2 AND name = $3";
const ADD: &str = "INSERT INTO turntable.notifications (id, place, bot, channel, conversation, sender, name, mode, content, \
    depth, due_ms, cron, expires_ms, key, body, person_id) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16) ON CONFLICT DO NOTHING";
const CANCEL: &str = "WITH ended AS (UPDATE turntable.notifications SET ended = 'cancelled', ended_ms = turntable.now_ms(), \
    content = '{}' WHERE bot = $1 AND id = $2 AND ended IS NULL RETURNING 1) \
    SELECT turntable.settle_notified($3, $4, 'cancelled', NULL) FROM ended";
const MEET_USER: &str = "WITH met AS (INSERT INTO turntable.contacts (place, bot, channel, conversation, person_id, reference, \
    seen_ms) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (place) DO UPDATE SET number = nextval('turntable.numbers'), \
    person_id = excluded.person_id, reference = excluded.reference, seen_ms = excluded.seen_ms, gone = NULL RETURNING number) \
    INSERT INTO turntable.contact_users (place, person_id, person, reference, number) SELECT $1, $5, $8, $6, number FROM met \
    ON CONFLICT (place, person_id) DO UPDATE SET reference = excluded.reference, number = excluded.number";
const MEET_NOBODY: &str = "INSERT INTO turntable.contacts (place, bot, channel, conversation, person_id, reference, seen_ms) \
    VALUES ($1, $2, $3, $4, '', $5, $6) ON CONFLICT (place) DO UPDATE SET reference = excluded.reference, \
    seen_ms = excluded.seen_ms, gone = NULL";
/// What else is kept of a conversation stays when it is forgotten; who asks to be forgotten later must be found by it.
const KEEP_USERS: &str = "INSERT INTO turntable.transcript_users (place, person_id, person, conversation) \
    SELECT u.place, u.person_id, u.person, c.conversation FROM turntable.contact_users AS u \
    JOIN turntable.contacts AS c USING (place) WHERE u.place = $1 ON CONFLICT DO NOTHING";

#[async_trait]
impl Notifications for PostgresStorage {
    async fn reference(&self, conversation: &ConversationKey) -> Result<Option<Reference>, StorageError> {
        let sql = format!("SELECT {REFERENCE} FROM turntable.contacts WHERE place = $1");
        self.first("reference", &sql, &params![place(conversation)], reference_of).await
    }

    async fn latest_reference(
        &self,
        bot: &str,
        channel: &ChannelInstance,
        user: &str,
    ) -> Result<Option<Reference>, StorageError> {
        let sql = "SELECT c.bot, c.channel, c.conversation, u.person_id, u.reference, c.seen_ms, c.gone \
                   FROM turntable.contact_users AS u JOIN turntable.contacts AS c USING (place) \
                   WHERE u.person = $1 ORDER BY u.number DESC LIMIT 1";
        self.first("latest_reference", sql, &params![person(bot, channel, user)], reference_of).await
    }

    async fn references(
        &self,
        bot: &str,
        of: &ReferenceFilter,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Reference)>, StorageError> {
        let channel = of.channel.as_ref().map(channel_column);
        let sql = format!(
            "SELECT {REFERENCE}, number FROM turntable.contacts AS c WHERE bot = $1 AND number > $2 \
             AND ($3 IS NULL OR channel = $3) AND ($4 IS NULL OR EXISTS (SELECT FROM turntable.contact_users AS u \
             WHERE u.place = c.place AND u.person_id = $4)) ORDER BY number LIMIT $5"
        );
        let found = params![bot, after, channel.as_deref(), &of.user, limit];
        self.all("references", &sql, &found, |row| Ok((row.number(7)?, reference_of(row)?))).await
    }

    async fn add_reference(&self, reference: Reference) -> Result<(), StorageError> {
        let mut met = ProactiveChanges { reference: Some(reference.clone()), ..ProactiveChanges::default() };
        keep_user(self, &mut met).await?;
        let Some((sql, row)) = met.reference.as_ref().map(meet) else { return Ok(()) };
        self.database.run("add_reference", true, sql, row).await?;
        self.known.stored(reference);
        Ok(())
    }

    async fn forget_reference(&self, conversation: &ConversationKey) -> Result<bool, StorageError> {
        let key = place(conversation);
        let forget = move |session: Session| async move { forget_in(&session, key).await };
        let forgotten = self.database.write("forget_reference", false, forget).await;
        // Only now: a commit meanwhile may have noted what this has undone.
        self.known.forget(conversation);
        forgotten
    }

    async fn mark_gone(&self, conversation: &ConversationKey, why: &str) -> Result<(), StorageError> {
        let sql = "UPDATE turntable.contacts SET gone = $2 WHERE place = $1";
        let marked = self.database.run("mark_gone", true, sql, params![place(conversation), why]).await;
        self.known.forget(conversation);
        marked.map(drop)
    }

    async fn add_notification(&self, notification: Notification) -> Result<Added, StorageError> {
        let add = move |session: Session| {
            let notification = notification.clone();
            async move { add_in(&session, &notification).await }
        };
        // Its id tells whether it is stored already.
        self.database.write("add_notification", true, add).await
    }

    async fn notification_of_key(&self, bot: &str, key: &str) -> Result<Option<Notification>, StorageError> {
        let sql = format!(
            "SELECT {NOTIFICATION} FROM turntable.notifications WHERE bot = $1 AND key = $2 \
             AND (ended IS NULL OR ended_ms >= turntable.now_ms() - $3)"
        );
        self.first("notification_of_key", &sql, &params![bot, key, REMEMBERED_MS], notification_of).await
    }

    async fn notification(&self, bot: &str, id: &str) -> Result<Option<Notification>, StorageError> {
        let sql = format!("SELECT {NOTIFICATION} FROM turntable.notifications WHERE bot = $1 AND id = $2");
        self.first("notification", &sql, &params![bot, id], notification_of).await
    }

    async fn notifications(&self, bot: &str, limit: usize) -> Result<Vec<Notification>, StorageError> {
        let sql = format!(
            "SELECT {NOTIFICATION} FROM turntable.notifications WHERE bot = $1 AND ended IS NULL \
             ORDER BY due_ms, number LIMIT $2"
        );
        self.all("notifications", &sql, &params![bot, limit], notification_of).await
    }

    async fn cancel_notification(&self, bot: &str, id: &str) -> Result<bool, StorageError> {
        let (broadcast, target) = target_of(id).unwrap_or(("", 0));
        // A notification that is no target's settles nothing, and is one row all the same.
        let cancel = params![bot, id, broadcast, target];
        Ok(self.database.run("cancel_notification", false, CANCEL, cancel).await?.rows.len() == 1)
    }

    async fn withdraw_notification(&self, bot: &str, id: &str) -> Result<(), StorageError> {
        let sql = "DELETE FROM turntable.notifications WHERE bot = $1 AND id = $2 AND ended IS NULL";
        self.database.run("withdraw_notification", true, sql, params![bot, id]).await.map(drop)
    }

    async fn waiting(&self, conversation: &ConversationKey) -> Result<usize, StorageError> {
        let sql = "SELECT count(*) FROM turntable.notifications WHERE ended IS NULL AND place = $1";
        let count = self.first("waiting", sql, &params![place(conversation)], |row| row.number(0)).await?;
        Ok(usize::try_from(count.unwrap_or_default()).unwrap_or(usize::MAX))
    }

    async fn waiting_bytes(&self, bot: &str) -> Result<u64, StorageError> {
        let sql = "SELECT coalesce(sum(octet_length(content)), 0)::bigint FROM turntable.notifications \
                   WHERE ended IS NULL AND bot = $1";
        Ok(self.first("waiting_bytes", sql, &params![bot], |row| row.number(0)).await?.unwrap_or_default())
    }

    async fn due(
        &self,
        now_ms: u64,
        after: Option<&Notification>,
        limit: usize,
    ) -> Result<Vec<Notification>, StorageError> {
        let (after_ms, after) = after.map_or((0, ""), |after| (after.due_ms, &after.id));
        let sql = format!(
            "SELECT {NOTIFICATION} FROM turntable.notifications AS n WHERE ended IS NULL AND NOT held AND due_ms <= $1 \
             AND (due_ms, number) > ($2, coalesce((SELECT number FROM turntable.notifications WHERE id = $3), 0)) \
             AND NOT EXISTS (SELECT FROM turntable.notifications AS e WHERE e.ended IS NULL AND NOT e.held \
             AND e.place = n.place AND (e.due_ms, e.number) < (n.due_ms, n.number)) ORDER BY due_ms, number LIMIT $4"
        );
        self.all("due", &sql, &params![now_ms, after_ms, after, limit], notification_of).await
    }

    async fn next_due(&self, now_ms: u64) -> Result<Option<u64>, StorageError> {
        let sql = "SELECT min(due_ms) FROM turntable.notifications WHERE ended IS NULL AND NOT held AND due_ms > $1";
        let next = self.first("next_due", sql, &params![now_ms], |row| row.optional_number(0)).await?;
        Ok(next.flatten())
    }

    async fn next_held(&self, conversation: &ConversationKey) -> Result<Option<Notification>, StorageError> {
        let sql = format!(
            "SELECT {NOTIFICATION} FROM turntable.notifications WHERE ended IS NULL AND held AND place = $1 \
             ORDER BY due_ms, number LIMIT 1"
        );
        self.first("next_held", &sql, &params![place(conversation)], notification_of).await
    }
}

/// Keeps the user who was heard last, where a reference has none.
pub(super) async fn keep_user(storage: &PostgresStorage, changes: &mut ProactiveChanges) -> Result<(), StorageError> {
    let Some(reference) = changes.reference.as_mut().filter(|reference| reference.user.is_empty()) else {
        return Ok(());
    };
    let sql = "SELECT reference FROM turntable.contacts WHERE place = $1";
    let known = storage.first("reference", sql, &params![place(&reference.conversation)], |row| row.text(0)).await?;
    let (Some(Ok(mut known)), Ok(mut text)) = (known.map(|known| json::object(&known)), json::object(&reference.text))
    else {
        return Ok(());
    };
    if let Some(user) = known.shift_remove("user") {
        text.insert("user".into(), user);
        reference.text = serde_json::Value::Object(text).to_string().into();
    }
    Ok(())
}

/// What a turn changes.
pub(super) fn change(batch: &mut Batch, conversation: &ConversationKey, key: Key, changes: &ProactiveChanges) {
    if changes.removed {
        for sql in FORGET {
            batch.push(sql, params![key]);
        }
    } else if let Some(reference) = &changes.reference {
        let (sql, row) = meet(reference);
        batch.push(sql, row);
    }
    if let Some((id, how)) = &changes.ended {
        end(batch, id, how);
    }
    if !changes.added.is_empty() {
        batch.push(FORGET_ENDED, params![REMEMBERED_MS]);
    }
    for new in &changes.added {
        if !new.name.is_empty() {
            batch.push(REPLACE_NAMED, params![place(&new.conversation), &new.sender, &new.name]);
        }
        batch.push(ADD, columns_of(new));
    }
    for id in &changes.cancelled {
        let (broadcast, target) = target_of(id).unwrap_or(("", 0));
        batch.push(CANCEL, params![&conversation.bot, id, broadcast, target]);
    }
}

fn end(batch: &mut Batch, id: &str, how: &End) {
    match how {
        // What it said is kept no longer than it takes to say it.
        End::Done(how) => batch.push(
            "UPDATE turntable.notifications SET ended = $2, ended_ms = turntable.now_ms(), content = '{}' \
             WHERE id = $1 AND ended IS NULL",
            params![id, *how],
        ),
        End::Again(due_ms) => batch.push(
            "UPDATE turntable.notifications SET due_ms = $2, held = false WHERE id = $1 AND ended IS NULL",
            params![id, *due_ms],
        ),
        End::Held => {
            batch.push("UPDATE turntable.notifications SET held = true WHERE id = $1 AND ended IS NULL", params![id]);
        }
    }
}

fn meet(reference: &Reference) -> (&'static str, Vec<Param>) {
    let Reference { conversation: of, user, text, seen_ms, .. } = reference;
    let (key, channel) = (place(of), channel_column(&of.channel));
    if user.is_empty() {
        return (MEET_NOBODY, params![key, &of.bot, &channel, &of.conversation, text, *seen_ms].into());
    }
    let whose = person(&of.bot, &of.channel, user);
    (MEET_USER, params![key, &of.bot, &channel, &of.conversation, user, text, *seen_ms, whose].into())
}

/// What forgets a conversation, in order.
const FORGET: [&str; 5] = [
    "SELECT turntable.forget_targets($1, '')",
    "DELETE FROM turntable.notifications WHERE place = $1",
    KEEP_USERS,
    "DELETE FROM turntable.contact_users WHERE place = $1",
    "DELETE FROM turntable.contacts WHERE place = $1",
];

async fn forget_in(session: &Session, key: Key) -> Result<bool, Failure> {
    let mut forgotten = 0;
    for sql in FORGET {
        forgotten = session.changed(sql, &params![key]).await?;
    }
    Ok(forgotten > 0)
}

async fn add_in(session: &Session, new: &Notification) -> Result<Added, Failure> {
    session.run(FORGET_ENDED, &params![REMEMBERED_MS]).await?;
    if let Some(known) = known_by_key(session, new).await? {
        return Ok(known);
    }
    if !new.name.is_empty() {
        let timers = params![place(&new.conversation), &new.sender, &new.name];
        session.run(REPLACE_NAMED, &timers).await?;
    }
    if session.changed(ADD, &columns_of(new)).await? > 0 {
        return Ok(Added::New);
    }
    // Another call has used the key meanwhile, or this one is a repetition.
    Ok(known_by_key(session, new).await?.unwrap_or(Added::New))
}

async fn known_by_key(session: &Session, new: &Notification) -> Result<Option<Added>, Failure> {
    let Some((key, body)) = &new.key else { return Ok(None) };
    let sql = format!("SELECT {NOTIFICATION} FROM turntable.notifications WHERE bot = $1 AND key = $2");
    let Some(row) = session.first(&sql, &params![&new.conversation.bot, key]).await? else { return Ok(None) };
    let known = notification_of(&row)?;
    Ok(Some(match &known.key {
        _ if known.id == new.id => Added::New,
        Some((_, asked)) if asked == body => Added::Known(Box::new(known)),
        _ => Added::OtherBody,
    }))
}

fn columns_of(new: &Notification) -> Vec<Param> {
    let of = &new.conversation;
    let (key, body) = new.key.as_ref().map(|(key, body)| (&**key, *body)).unzip();
    params![
        &new.id,
        place(of),
        &of.bot,
        &channel_column(&of.channel),
        &of.conversation,
        &new.sender,
        &new.name,
        new.mode.name(),
        &new.content,
        new.depth,
        new.due_ms,
        &new.cron,
        new.expires_ms,
        key,
        body,
        &new.user,
    ]
    .into()
}

pub(super) fn reference_of(row: &Row) -> Result<Reference, tokio_postgres::Error> {
    Ok(Reference {
        conversation: conversation_of(row, 0)?,
        user: row.text(3)?,
        text: row.text(4)?,
        seen_ms: row.number(5)?,
        gone: row.optional_text(6)?,
    })
}

fn notification_of(row: &Row) -> Result<Notification, tokio_postgres::Error> {
    let key = row.optional_text(12)?.zip(row.digest(13)?);
    Ok(Notification {
        conversation: conversation_of(row, 0)?,
        id: row.text(3)?,
        sender: row.text(4)?,
        name: row.text(5)?,
        mode: Mode::named(&row.text(6)?).unwrap_or(Mode::WhenIdle),
        content: row.text(7)?,
        depth: u32::try_from(row.number(8)?).unwrap_or(u32::MAX),
        due_ms: row.number(9)?,
        cron: row.optional_text(10)?,
        expires_ms: row.optional_number(11)?,
        key,
        ended: row.optional_text(14)?,
        user: row.text(15)?,
    })
}
