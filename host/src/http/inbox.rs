//! Accepted activities that are given up, for operators: `/v1/bots/{bot}/inbox` on the admin listener.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET …` | `[{…}, …]`, oldest first, without activity text |
//! | `POST …/{number}/retry` | `{"number":…}`: it runs again |
//! | `DELETE …/{number}` | `{"number":…}`: it is forgotten, and its conversation gets no reply |

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::admin::Admin;
use super::error::HttpError;
use crate::app::App;
use crate::json;
use crate::storage::{GivenUp, StorageError};

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/v1/bots/{bot}/inbox", get(list))
        .route("/v1/bots/{bot}/inbox/{number}", delete(drop_one))
        .route("/v1/bots/{bot}/inbox/{number}/retry", post(retry))
}

/// Counts the activities of all bots that are given up.
pub(super) async fn given_up(app: &App) -> Result<usize, StorageError> {
    let mut count = 0;
    for bot in app.registry.bots() {
        count += app.storage.given_up(bot.name()).await?.len();
    }
    Ok(count)
}

async fn list(State(admin): State<Arc<Admin>>, Path(name): Path<String>) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let given_up = admin.app.storage.given_up(bot.name()).await?;
    Ok(Json(given_up.iter().map(shown).collect()))
}

async fn retry(
    State(admin): State<Arc<Admin>>,
    Path((name, number)): Path<(String, u64)>,
) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let taken = admin.app.storage.retry_given_up(bot.name(), number).await?;
    let entry = taken.ok_or_else(|| not_given_up(&name, number))?;
    tracing::info!(bot = %name, number, turn = %entry.turn_id, "an accepted activity runs again");
    admin.app.resume(entry).await;
    Ok(Json(json!({ "number": number })))
}

async fn drop_one(
    State(admin): State<Arc<Admin>>,
    Path((name, number)): Path<(String, u64)>,
) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    if !admin.app.storage.drop_given_up(bot.name(), number).await? {
        return Err(not_given_up(&name, number));
    }
    tracing::info!(bot = %name, number, "an accepted activity is dropped");
    Ok(Json(json!({ "number": number })))
}

fn not_given_up(bot: &str, number: u64) -> HttpError {
    HttpError::not_found(format!("the bot `{bot}` has no accepted activity {number} that is given up"))
}

/// The activity as operators see it: where it came from, not what it says.
fn shown(given_up: &GivenUp) -> Value {
    let entry = &given_up.entry;
    let activity = json::object(&entry.activity).unwrap_or_default();
    json!({
        "number": given_up.number,
        "bot": entry.conversation.bot,
        "channel": entry.conversation.channel.to_string(),
        "conversation": entry.conversation.conversation,
        "turn_id": entry.turn_id,
        "id": activity.get("id"),
        "kind": activity.get("type"),
        "timestamp": activity.get("timestamp"),
    })
}
