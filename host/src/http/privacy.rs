//! Forgetting, for operators: `DELETE /v1/bots/{bot}/conversations` and `…/users`, on the admin listener.
//!
//! | route | what is forgotten |
//! | --- | --- |
//! | `DELETE …/conversations?channel=…&conversation=…` | all that the host holds of the conversation |
//! | `DELETE …/users?channel=…&user=…` | the user's state, the conversations in which nobody else was heard, and what is theirs in others |
//!
//! The answer counts what was forgotten: `{"forgotten":{"state":2,…},"conversations":[…]}`. It is 200 also where there was
//! nothing, so that it can be asked again. README, «What is kept, and for how long», says what that covers.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::delete;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::admin::Admin;
use super::error::HttpError;
use super::request::Query;
use crate::activity::{ChannelInstance, ConversationKey};
use crate::storage::privacy::Forgotten;

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/v1/bots/{bot}/conversations", delete(forget_conversation))
        .route("/v1/bots/{bot}/users", delete(forget_user))
}

#[derive(Deserialize)]
struct Conversation {
    channel: String,
    conversation: String,
}

#[derive(Deserialize)]
struct User {
    channel: String,
    user: String,
}

async fn forget_conversation(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(of): Query<Conversation>,
) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let channel = ChannelInstance::named(&of.channel);
    let key = ConversationKey { bot: bot.name().clone(), channel, conversation: of.conversation.as_str().into() };
    let forgotten = admin.app.turns.forget_conversation(&key).await?;
    Ok(answer(&admin, &forgotten, &[key]))
}

async fn forget_user(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(of): Query<User>,
) -> Result<Json<Value>, HttpError> {
    if of.user.is_empty() {
        return Err(HttpError::bad_argument("`user` is empty"));
    }
    let bot = admin.bot(&name)?;
    let channel = ChannelInstance::named(&of.channel);
    let (forgotten, theirs) = admin.app.turns.forget_user(bot.name(), &channel, &of.user).await?;
    Ok(answer(&admin, &forgotten, &theirs))
}

fn answer(admin: &Admin, forgotten: &Forgotten, conversations: &[ConversationKey]) -> Json<Value> {
    for key in conversations.iter().filter(|key| key.channel == ChannelInstance::LocalDirectLine) {
        admin.app.directline.forget(&key.bot, &key.conversation);
    }
    tracing::info!(conversations = conversations.len(), ?forgotten, "an operator had something forgotten");
    let ids: Vec<&str> = conversations.iter().map(|key| &*key.conversation).collect();
    Json(json!({ "forgotten": forgotten, "conversations": ids }))
}
