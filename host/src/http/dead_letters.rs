//! Dead letters, for operators: `/v1/bots/{bot}/dead-letters` on the admin listener.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET …` | `[{…}, …]`, newest first, without activity text |
//! | `POST …/retry` | `{"retried":…,"left":…}`: all that are there, oldest first, are in the outbox again, as far as it has room |
//! | `POST …/{sequence}/retry` | `{"sequence":…}`: it is in the outbox again, behind what waits there |
//! | `DELETE …/{sequence}` | `{"sequence":…}`: it is forgotten |

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};

use super::admin::Admin;
use super::error::HttpError;
use crate::json;
use crate::storage::{DeadLetter, OutboxAction, StorageError};

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/v1/bots/{bot}/dead-letters", get(list))
        .route("/v1/bots/{bot}/dead-letters/retry", post(retry_all))
        .route("/v1/bots/{bot}/dead-letters/{sequence}", delete(drop_one))
        .route("/v1/bots/{bot}/dead-letters/{sequence}/retry", post(retry))
}

async fn list(State(admin): State<Arc<Admin>>, Path(name): Path<String>) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let letters = admin.app.storage.dead_letters(bot.name()).await?;
    let letters: Vec<_> = letters.iter().map(Letter::of).collect();
    Ok(Json(json!(letters)))
}

async fn retry(
    State(admin): State<Arc<Admin>>,
    Path((name, sequence)): Path<(String, u64)>,
) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let retried = admin.app.storage.retry_dead_letter(bot.name(), sequence).await?;
    let conversation = retried.ok_or_else(|| no_dead_letter(&name, sequence))?;
    admin.app.deliveries.wake(&conversation, 1);
    tracing::info!(bot = %name, sequence, "dead letter is tried again");
    Ok(Json(json!({ "sequence": sequence })))
}

/// Retries the letters that there are now. One that fails again gets another number and is not retried twice.
async fn retry_all(State(admin): State<Arc<Admin>>, Path(name): Path<String>) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let storage = &admin.app.storage;
    let letters = storage.dead_letters(bot.name()).await?;
    let (all, mut retried) = (letters.len(), 0);
    for sequence in letters.into_iter().rev().map(|letter| letter.row.sequence) {
        match storage.retry_dead_letter(bot.name(), sequence).await {
            Ok(Some(conversation)) => admin.app.deliveries.wake(&conversation, 1),
            // Somebody else retried or dropped it.
            Ok(None) => {}
            Err(StorageError::Full(why)) => {
                tracing::warn!(bot = %name, retried, left = all - retried, why, "the outbox has no room for dead letters");
                break;
            }
            Err(error) => return Err(error.into()),
        }
        retried += 1;
    }
    tracing::info!(bot = %name, retried, "dead letters are tried again");
    Ok(Json(json!({ "retried": retried, "left": all - retried })))
}

async fn drop_one(
    State(admin): State<Arc<Admin>>,
    Path((name, sequence)): Path<(String, u64)>,
) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    if !admin.app.storage.drop_dead_letter(bot.name(), sequence).await? {
        return Err(no_dead_letter(&name, sequence));
    }
    tracing::info!(bot = %name, sequence, "dead letter is dropped");
    Ok(Json(json!({ "sequence": sequence })))
}

fn no_dead_letter(bot: &str, sequence: u64) -> HttpError {
    HttpError::not_found(format!("the bot `{bot}` has no dead letter {sequence}"))
}

/// A dead letter as operators see it: what it was and why it died, not what it said.
#[derive(Debug, Serialize)]
struct Letter<'a> {
    bot: &'a str,
    channel: String,
    conversation: &'a str,
    service_url: &'a str,
    turn_id: &'a str,
    sequence: u64,
    /// `send`, `update` or `delete`.
    action: &'static str,
    /// Host id of a send; target of an update or delete.
    id: &'a str,
    /// `type` of the activity; absent for a delete.
    kind: Option<String>,
    why: &'a str,
    /// Milliseconds since 1970.
    at_ms: u64,
}

impl<'a> Letter<'a> {
    fn of(letter: &'a DeadLetter) -> Self {
        let row = &letter.row;
        let (action, id, activity) = match &row.action {
            OutboxAction::Send { host_id, activity } => ("send", host_id, Some(activity)),
            OutboxAction::Update { target, activity } => ("update", target, Some(activity)),
            OutboxAction::Delete { target } => ("delete", target, None),
        };
        Self {
            bot: &row.conversation.bot,
            channel: row.conversation.channel.to_string(),
            conversation: &row.conversation.conversation,
            service_url: &row.service_url,
            turn_id: &row.turn_id,
            sequence: row.sequence,
            action,
            id,
            kind: activity.and_then(|activity| kind_of(activity)),
            why: &letter.why,
            at_ms: letter.at_ms,
        }
    }
}

/// Returns the `type` of a stored activity.
fn kind_of(activity: &str) -> Option<String> {
    let activity = json::object(activity).ok()?;
    activity.get("type").and_then(Value::as_str).map(ToOwned::to_owned)
}
