//! Direct Line secrets, for operators: `/v1/bots/{bot}/directline/secrets` on the admin listener.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET …` | `[{"slot":1,"created":…}, …]`: the secrets that exist |
//! | `POST …/{slot}` | `{"slot":1,"secret":…}`: a new secret, shown this once; the one before and its tokens end |
//! | `DELETE …/{slot}` | `{"slot":1}`: the secret and its tokens end; 404 where there is none |

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::admin::Admin;
use super::error::HttpError;
use crate::channel::directline::SLOTS;

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/v1/bots/{bot}/directline/secrets", get(list))
        .route("/v1/bots/{bot}/directline/secrets/{slot}", post(rotate).delete(revoke))
}

async fn list(State(admin): State<Arc<Admin>>, Path(name): Path<String>) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let slots = admin.app.site_secrets.of(bot.name()).map_err(HttpError::internal)?;
    let kept = slots
        .iter()
        .zip(1..)
        .filter_map(|(secret, slot)| Some(json!({ "slot": slot, "created": secret.as_ref()?.created })));
    Ok(Json(kept.collect()))
}

async fn rotate(
    State(admin): State<Arc<Admin>>,
    Path((name, slot)): Path<(String, String)>,
) -> Result<Json<Value>, HttpError> {
    let (bot, slot) = (admin.bot(&name)?, numbered(&slot)?);
    let secret = admin.app.site_secrets.rotate(bot.name(), slot).map_err(HttpError::internal)?;
    tracing::info!(bot = %bot.name(), slot, "an operator made a Direct Line secret");
    Ok(Json(json!({ "slot": slot, "secret": secret })))
}

async fn revoke(
    State(admin): State<Arc<Admin>>,
    Path((name, slot)): Path<(String, String)>,
) -> Result<Json<Value>, HttpError> {
    let (bot, slot) = (admin.bot(&name)?, numbered(&slot)?);
    if !admin.app.site_secrets.revoke(bot.name(), slot).map_err(HttpError::internal)? {
        return Err(HttpError::not_found(format!("the bot has no Direct Line secret {slot}")));
    }
    tracing::info!(bot = %bot.name(), slot, "an operator revoked a Direct Line secret");
    Ok(Json(json!({ "slot": slot })))
}

fn numbered(slot: &str) -> Result<usize, HttpError> {
    let found = slot.parse().ok().filter(|slot| (1..=SLOTS).contains(slot));
    found.ok_or_else(|| HttpError::not_found("a bot has the Direct Line secrets 1 and 2"))
}
