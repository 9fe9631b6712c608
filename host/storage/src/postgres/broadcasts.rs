//! Broadcasts in the database. How a target ends is in the functions of the schema (`migrations/1.sql`).

use async_trait::async_trait;
use tokio_postgres::Row;

use super::PostgresStorage;
use super::columns::{channel_column, channel_of, person, place_in};
use super::database::{Failure, Session};
use super::param::{Columns, Param, params};
use crate::StorageError;
use crate::broadcasts::{
    AddedBroadcast, BROADCASTS_MAX, Broadcast, BroadcastState, Broadcasts, CROWDED, Counts, FailedTarget, Listed,
    TargetOutcome, Targets, notification_id,
};
use crate::failpoints::{self, Point};
use crate::notifications::{Mode, WAITING_MAX};

/// The columns that `broadcast_of` reads.
const BROADCAST: &str = "id, bot, mode, content, expires_ms, per_second, key, body, state, created_ms, started_ms, \
                         ended_ms, total, delivered, stopped, expired, failed, gone, unknown, cancelled";

#[async_trait]
impl Broadcasts for PostgresStorage {
    async fn add_broadcast(&self, broadcast: Broadcast, to: Targets) -> Result<AddedBroadcast, StorageError> {
        let work = std::sync::Arc::new((broadcast, to));
        let add = move |session: Session| {
            let work = work.clone();
            async move { add(&session, &work.0, &work.1).await }
        };
        // Its id tells whether it is stored already.
        self.database.write("add_broadcast", true, add).await
    }

    async fn broadcast(&self, bot: &str, id: &str) -> Result<Option<Broadcast>, StorageError> {
        let sql = format!("SELECT {BROADCAST} FROM turntable.broadcasts WHERE bot = $1 AND id = $2");
        self.first("broadcast", &sql, &params![bot, id], broadcast_of).await
    }

    async fn broadcasts(&self, bot: &str) -> Result<Vec<Broadcast>, StorageError> {
        let sql = format!("SELECT {BROADCAST} FROM turntable.broadcasts WHERE bot = $1 ORDER BY number DESC");
        self.all("broadcasts", &sql, &params![bot], broadcast_of).await
    }

    async fn open_broadcasts(&self) -> Result<Vec<Broadcast>, StorageError> {
        let sql = format!(
            "SELECT {BROADCAST} FROM turntable.broadcasts WHERE state = 'running' AND place_begun < place_last ORDER BY number"
        );
        self.all("open_broadcasts", &sql, &[], broadcast_of).await
    }

    async fn begin_targets(&self, id: &str, limit: usize) -> Result<usize, StorageError> {
        failpoints::reach(Point::Begin).await;
        let id = id.to_owned();
        let begin = move |session: Session| {
            let id = id.clone();
            async move { begin(&session, &id, limit).await }
        };
        // Where the answer is lost, further targets begin: sooner than the rate says, and once.
        let begun = self.database.write("begin_targets", true, begin).await;
        failpoints::reach(Point::Begun).await;
        begun
    }

    async fn switch_broadcast(
        &self,
        bot: &str,
        id: &str,
        to: BroadcastState,
    ) -> Result<Option<(bool, Broadcast)>, StorageError> {
        let (bot, id) = (bot.to_owned(), id.to_owned());
        let switch = move |session: Session| {
            let (bot, id) = (bot.clone(), id.clone());
            async move { switch(&session, &bot, &id, to).await }
        };
        self.database.write("switch_broadcast", false, switch).await
    }

    async fn failed_targets(
        &self,
        bot: &str,
        id: &str,
        after: u64,
        limit: usize,
    ) -> Result<Vec<FailedTarget>, StorageError> {
        let sql = "SELECT target, channel, conversation, person_id, outcome, why FROM turntable.broadcast_targets \
                   WHERE broadcast = (SELECT number FROM turntable.broadcasts WHERE bot = $1 AND id = $2) AND target > $3 \
                   AND outcome IS NOT NULL ORDER BY target LIMIT $4";
        self.all("failed_targets", sql, &params![bot, id, after, limit], |row| {
            Ok(FailedTarget {
                place: row.number(0)?,
                channel: channel_of(&row.text(1)?),
                conversation: row.text(2)?,
                user: row.text(3)?,
                outcome: TargetOutcome::named(&row.text(4)?).unwrap_or(TargetOutcome::Failed),
                why: row.optional_text(5)?,
            })
        })
        .await
    }
}

async fn find(session: &Session, bot: &str, id: &str) -> Result<Option<Broadcast>, Failure> {
    let sql = format!("SELECT {BROADCAST} FROM turntable.broadcasts WHERE bot = $1 AND id = $2");
    Ok(session.first(&sql, &params![bot, id]).await?.as_ref().map(broadcast_of).transpose()?)
}

async fn add(session: &Session, new: &Broadcast, to: &Targets) -> Result<AddedBroadcast, Failure> {
    // One broadcast of a bot is added at a time, so that its number stays within the bound. The lock ends with the transaction.
    session.run("SELECT pg_advisory_xact_lock(hashtextextended($1, 20))", &params![&new.bot]).await?;
    if let Some(stored) = find(session, &new.bot, &new.id).await? {
        return Ok(AddedBroadcast::New(stored));
    }
    if let Some((key, body)) = &new.key {
        let sql = format!("SELECT {BROADCAST} FROM turntable.broadcasts WHERE bot = $1 AND key = $2");
        if let Some(row) = session.first(&sql, &params![&new.bot, key]).await? {
            let known = broadcast_of(&row)?;
            let is_same = known.key.as_ref().is_some_and(|(_, known)| known == body);
            return Ok(if is_same { AddedBroadcast::Known(known) } else { AddedBroadcast::OtherBody });
        }
    }
    if !make_room(session, &new.bot).await? {
        return Ok(AddedBroadcast::TooMany);
    }
    let (key, body) = new.key.as_ref().map(|(key, body)| (&**key, *body)).unzip();
    let sql = "INSERT INTO turntable.broadcasts (id, bot, mode, content, expires_ms, per_second, key, body, state, created_ms) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING number";
    let (mode, state) = (new.mode.name(), new.state.name());
    let row = params![
        &new.id,
        &new.bot,
        mode,
        &new.content,
        new.expires_ms,
        new.per_second,
        key,
        body,
        state,
        new.created_ms
    ];
    let number: i64 = match session.first(sql, &row).await? {
        Some(row) => row.try_get(0)?,
        None => return Ok(AddedBroadcast::TooMany),
    };
    write_targets(session, number, &new.bot, to).await?;
    let sql = "UPDATE turntable.broadcasts SET (total, place_last) = (SELECT count(*), coalesce(max(target), 0) \
               FROM turntable.broadcast_targets WHERE broadcast = $1) WHERE number = $1";
    session.run(sql, &params![number]).await?;
    session.run("SELECT turntable.end_broadcast($1)", &params![number]).await?;
    Ok(AddedBroadcast::New(find(session, &new.bot, &new.id).await?.unwrap_or_else(|| new.clone())))
}

/// Forgets the oldest that have ended. False: there are too many that have not.
async fn make_room(session: &Session, bot: &str) -> Result<bool, Failure> {
    let sql = "WITH oldest AS (DELETE FROM turntable.broadcasts WHERE number IN (SELECT number FROM turntable.broadcasts \
               WHERE bot = $1 AND state IN ('done', 'cancelled') ORDER BY number LIMIT greatest(0, \
               (SELECT count(*) FROM turntable.broadcasts WHERE bot = $1) - $2)) RETURNING number) \
               DELETE FROM turntable.broadcast_targets WHERE broadcast IN (SELECT number FROM oldest)";
    session.run(sql, &params![bot, BROADCASTS_MAX - 1]).await?;
    let kept = session.first("SELECT count(*) FROM turntable.broadcasts WHERE bot = $1", &params![bot]).await?;
    let kept = kept.map_or(Ok(0), |row| row.number(0))?;
    Ok(kept < BROADCASTS_MAX as u64)
}

async fn write_targets(session: &Session, number: i64, bot: &str, to: &Targets) -> Result<(), Failure> {
    let entries = match to {
        Targets::Known(channel) => {
            let channel = channel.as_ref().map(channel_column);
            let sql = "INSERT INTO turntable.broadcast_targets (broadcast, target, place, channel, conversation, person_id) \
                       SELECT $1, number, place, channel, conversation, '' FROM turntable.contacts \
                       WHERE bot = $2 AND ($3 IS NULL OR channel = $3)";
            session.run(sql, &params![number, bot, channel.as_deref()]).await?;
            return Ok(());
        }
        Targets::Listed(entries) => entries,
    };
    // A user stands for the conversation in which the user was heard last. One of conversation and user is empty.
    let sql = "INSERT INTO turntable.broadcast_targets (broadcast, target, place, channel, conversation, person_id) \
               SELECT $1, l.target, coalesce(c.place, l.place), l.channel, coalesce(c.conversation, l.conversation), \
               CASE WHEN c.place IS NULL THEN l.person_id ELSE '' END \
               FROM unnest($2, $3, $4, $5, $6) WITH ORDINALITY AS l(place, channel, conversation, person_id, person, target) \
               LEFT JOIN LATERAL (SELECT u.place FROM turntable.contact_users AS u WHERE l.person_id <> '' \
               AND u.person = l.person ORDER BY u.number DESC LIMIT 1) AS latest ON true \
               LEFT JOIN turntable.contacts AS c ON c.place = latest.place ORDER BY l.target ON CONFLICT DO NOTHING";
    let parts = || {
        entries.iter().map(|entry| match entry {
            Listed::Conversation(channel, conversation) => (channel, &**conversation, ""),
            Listed::User(channel, user) => (channel, "", &**user),
        })
    };
    let channels: Vec<String> = parts().map(|(channel, ..)| channel_column(channel)).collect();
    let places = channels.iter().zip(parts()).map(|(channel, (_, id, _))| place_in(bot, channel, id).to_vec());
    let persons = parts().map(|(channel, _, user)| person(bot, channel, user).to_vec());
    let row = [
        number.into(),
        Param::Digests(places.collect()),
        Param::texts(channels.iter().map(|channel| Some(channel.as_str()))),
        Param::texts(parts().map(|(_, conversation, _)| Some(conversation))),
        Param::texts(parts().map(|(.., user)| Some(user))),
        Param::Digests(persons.collect()),
    ];
    session.run(sql, &row).await?;
    Ok(())
}

async fn switch(
    session: &Session,
    bot: &str,
    id: &str,
    to: BroadcastState,
) -> Result<Option<(bool, Broadcast)>, Failure> {
    let lock = "SELECT number FROM turntable.broadcasts WHERE bot = $1 AND id = $2 FOR UPDATE";
    session.run(lock, &params![bot, id]).await?;
    let Some(known) = find(session, bot, id).await? else { return Ok(None) };
    if known.state.has_ended() {
        return Ok(Some((false, known)));
    }
    if to == BroadcastState::Cancelled {
        cancel(session, bot, id).await?;
    } else {
        session.run("UPDATE turntable.broadcasts SET state = $1 WHERE id = $2", &params![to.name(), id]).await?;
    }
    Ok(find(session, bot, id).await?.map(|switched| (true, switched)))
}

/// Ends all that has not been said; what waits for the channel only is left to it.
async fn cancel(session: &Session, bot: &str, id: &str) -> Result<(), Failure> {
    let sql = "UPDATE turntable.broadcast_targets SET outcome = 'cancelled' WHERE outcome IS NULL AND turn IS NULL \
               AND broadcast = (SELECT number FROM turntable.broadcasts WHERE id = $1)";
    let cancelled = session.changed(sql, &params![id]).await?;
    // The ids of its notifications are between these two: a full stop comes after the hyphen.
    let sql = "UPDATE turntable.notifications SET ended = 'cancelled', ended_ms = turntable.now_ms(), content = '{}' \
               WHERE ended IS NULL AND bot = $1 AND id > $2 AND id < $3";
    session.run(sql, &params![bot, &format!("{id}-"), &format!("{id}.")]).await?;
    let sql = "UPDATE turntable.broadcasts SET state = 'cancelled', ended_ms = turntable.now_ms(), content = '{}', \
               cancelled = cancelled + $2 WHERE id = $1";
    session.run(sql, &params![id, cancelled]).await?;
    Ok(())
}

/// A target that begins, and why it needs no notification.
struct Beginning {
    target: i64,
    dead_end: Option<(TargetOutcome, Option<&'static str>)>,
}

async fn begin(session: &Session, id: &str, limit: usize) -> Result<usize, Failure> {
    let sql = "SELECT number, place_begun, coalesce(expires_ms < turntable.now_ms(), false) FROM turntable.broadcasts \
               WHERE id = $1 AND state = 'running' FOR UPDATE";
    let Some(running) = session.first(sql, &params![id]).await? else { return Ok(0) };
    let (number, begun, has_expired): (i64, i64, bool) =
        (running.try_get(0)?, running.try_get(1)?, running.try_get(2)?);
    let sql = "SELECT t.target, c.place IS NOT NULL, c.gone IS NOT NULL, (SELECT count(*) FROM turntable.notifications AS n \
               WHERE n.place = t.place AND n.ended IS NULL) FROM turntable.broadcast_targets AS t \
               LEFT JOIN turntable.contacts AS c ON c.place = t.place \
               WHERE t.broadcast = $1 AND t.target > $2 ORDER BY t.target LIMIT $3";
    let mut next = Vec::new();
    for row in session.rows(sql, &params![number, begun, limit]).await? {
        let (is_known, is_gone, waiting): (bool, bool, u64) = (row.try_get(1)?, row.try_get(2)?, row.number(3)?);
        let dead_end = match (has_expired, is_known, is_gone) {
            (true, ..) => Some((TargetOutcome::Expired, None)),
            (false, false, _) => Some((TargetOutcome::Unknown, None)),
            (false, true, true) => Some((TargetOutcome::Gone, None)),
            (false, true, false) if waiting >= WAITING_MAX as u64 => Some((TargetOutcome::Failed, Some(CROWDED))),
            (false, true, false) => None,
        };
        next.push(Beginning { target: row.try_get(0)?, dead_end });
    }
    settle_dead_ends(session, number, &next).await?;
    let added = notify(session, number, id, &next).await?;
    // Without a next target, all that were left were forgotten.
    let sql = "UPDATE turntable.broadcasts SET place_begun = coalesce($2, place_last), \
               started_ms = coalesce(started_ms, turntable.now_ms()) WHERE number = $1";
    session.run(sql, &params![number, next.last().map(|next| next.target)]).await?;
    Ok(added)
}

async fn settle_dead_ends(session: &Session, number: i64, next: &[Beginning]) -> Result<(), Failure> {
    let ends = || next.iter().filter_map(|next| next.dead_end.map(|(outcome, why)| (next.target, outcome, why)));
    if ends().next().is_none() {
        return Ok(());
    }
    let sql =
        "SELECT turntable.settle($1, target, outcome, why) FROM unnest($2, $3, $4) AS ended(target, outcome, why)";
    let row = [
        number.into(),
        Param::Ints(ends().map(|(target, ..)| target).collect()),
        Param::texts(ends().map(|(_, outcome, _)| Some(outcome.name()))),
        Param::texts(ends().map(|(.., why)| why)),
    ];
    session.run(sql, &row).await?;
    Ok(())
}

async fn notify(session: &Session, number: i64, id: &str, next: &[Beginning]) -> Result<usize, Failure> {
    let alive = || next.iter().filter(|next| next.dead_end.is_none()).map(|next| next.target);
    let ids: Vec<_> = alive().map(|target| notification_id(id, u64::try_from(target).unwrap_or_default())).collect();
    let sql = "INSERT INTO turntable.notifications (id, place, bot, channel, conversation, sender, name, mode, content, depth, \
               due_ms, expires_ms) SELECT b.id, t.place, w.bot, t.channel, t.conversation, '', '', w.mode, w.content, 1, \
               turntable.now_ms(), w.expires_ms FROM unnest($2, $3) WITH ORDINALITY AS b(target, id, position) \
               JOIN turntable.broadcast_targets AS t ON t.broadcast = $1 AND t.target = b.target \
               JOIN turntable.broadcasts AS w ON w.number = $1 ORDER BY b.position ON CONFLICT DO NOTHING";
    let row = [number.into(), Param::Ints(alive().collect()), Param::texts(ids.iter().map(|id| Some(&**id)))];
    let added = session.changed(sql, &row).await?;
    Ok(usize::try_from(added).unwrap_or(usize::MAX))
}

fn broadcast_of(row: &Row) -> Result<Broadcast, tokio_postgres::Error> {
    let mut counts = Counts { total: row.number(12)?, ..Counts::default() };
    for (place, count) in counts.ended.iter_mut().enumerate() {
        *count = row.number(13 + place)?;
    }
    Ok(Broadcast {
        id: row.text(0)?,
        bot: row.text(1)?,
        mode: Mode::named(&row.text(2)?).unwrap_or(Mode::WhenIdle),
        content: row.text(3)?,
        expires_ms: row.optional_number(4)?,
        per_second: u32::try_from(row.number(5)?).unwrap_or(u32::MAX),
        key: row.optional_text(6)?.zip(row.digest(7)?),
        state: BroadcastState::named(&row.text(8)?).unwrap_or(BroadcastState::Paused),
        created_ms: row.number(9)?,
        started_ms: row.optional_number(10)?,
        ended_ms: row.optional_number(11)?,
        counts,
    })
}
