//! Transcripts, for operators: `/v1/bots/{bot}/transcripts`, on the admin listener. Pages and continuation tokens follow
//! the transcript stores of the Bot Framework SDKs.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET …/transcripts?continuation=TOKEN` | `{"items":[{…}, …],"continuationToken":…}`, without what was said |
//! | `GET …/transcripts/activities?channel=…&conversation=…&since=TIME&continuation=TOKEN` | the same, of activities in the order in which they were said, all or since a time (RFC 3339 with an offset) |
//! | `GET …/transcripts/file?channel=…&conversation=…` | a `.transcript` file: an array of activities |
//! | `PUT …/transcripts/file?channel=…&conversation=…` | the body, a `.transcript` file in either shape, becomes the transcript of the conversation; 409 where it has one |
//! | `DELETE …/transcripts?channel=…&conversation=…` | `{"channel","conversation"}`; 404 where it has none |
//!
//! A page has 20 entries, or `limit`, at most 500; the token is absent at the end. What nobody said anything in has an empty
//! transcript. Each activity has the channel's id, where the channel gave one. What is imported counts from its import: for
//! `since`, and for how long it is kept.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};

use super::admin::Admin;
use super::body;
use super::error::{HttpError, code};
use super::request::Query;
use crate::activity::{ChannelInstance, ConversationKey, Object};
use crate::clock::now_ms;
use crate::json;
use crate::storage::transcripts::{Transcript, TranscriptItem};
use crate::storage::{Storage, StorageError};
use crate::transcript;

/// Entries of a page: how many by default, and at most.
const PAGE: usize = 20;
const PAGE_MAX: usize = 500;
/// The largest `.transcript` file that is taken, in bytes.
const FILE_BYTES_MAX: usize = 16 << 20;
/// So many problems of a file are told.
const PROBLEMS_TOLD: usize = 20;

pub(super) fn routes() -> Router<Arc<Admin>> {
    Router::new()
        .route("/v1/bots/{bot}/transcripts", get(list).delete(delete))
        .route("/v1/bots/{bot}/transcripts/activities", get(activities))
        .route("/v1/bots/{bot}/transcripts/file", get(export).put(import))
}

#[derive(Deserialize)]
struct Page {
    #[serde(default, rename = "continuation")]
    after: u64,
    limit: Option<usize>,
    since: Option<String>,
}

#[derive(Deserialize)]
struct Of {
    channel: String,
    conversation: String,
}

async fn list(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    let found = admin.app.storage.transcripts(bot.name(), page.after, page.limit()).await?;
    let last = found.last().map(|transcript| transcript.place);
    Ok(page.answer(found.iter().map(shown).collect(), last))
}

async fn activities(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(of): Query<Of>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, HttpError> {
    let conversation = of.key(admin.bot(&name)?.name());
    let found = admin.app.storage.transcript(&conversation, page.since_ms()?, page.after, page.limit()).await?;
    let last = found.last().map(|(place, _)| *place);
    Ok(page.answer(found.into_iter().map(|(_, activity)| Value::Object(activity)).collect(), last))
}

/// Written page by page, so that a long transcript takes no more memory than a short one.
async fn export(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(of): Query<Of>,
) -> Result<Response, HttpError> {
    let conversation = of.key(admin.bot(&name)?.name());
    let export = Export { storage: admin.app.storage.clone(), conversation, after: Some(0), is_first: true };
    let pages = stream::try_unfold(export, async |mut export| {
        Ok::<_, StorageError>(export.next().await?.map(|text| (text, export)))
    });
    let headers = [
        (CONTENT_TYPE, "application/json; charset=utf-8"),
        (CONTENT_DISPOSITION, "attachment; filename=\"conversation.transcript\""),
    ];
    Ok((headers, Body::from_stream(pages)).into_response())
}

struct Export {
    storage: Arc<dyn Storage>,
    conversation: ConversationKey,
    /// None: all is written.
    after: Option<u64>,
    is_first: bool,
}

impl Export {
    async fn next(&mut self) -> Result<Option<Bytes>, StorageError> {
        let Some(after) = self.after else { return Ok(None) };
        let page = self.storage.transcript(&self.conversation, 0, after, PAGE_MAX).await?;
        let last = page.last().map(|(place, _)| *place);
        let mut text = String::new();
        for (_, activity) in page {
            text.push_str(if std::mem::take(&mut self.is_first) { "[\n" } else { ",\n" });
            text.push_str(&Value::Object(activity).to_string());
        }
        self.after = last;
        if self.after.is_none() {
            text.push_str(if self.is_first { "[]\n" } else { "\n]\n" });
        }
        Ok(Some(text.into()))
    }
}

async fn import(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(of): Query<Of>,
    request: Request,
) -> Result<Json<Value>, HttpError> {
    let conversation = of.key(admin.bot(&name)?.name());
    let file = body::read(request, FILE_BYTES_MAX, "16 MiB").await?;
    let text = json::decoded(&file).map_err(|error| HttpError::bad_argument(error.to_string()))?;
    let activities = transcript::file::parse(text).map_err(|problems| {
        let lines = problems.iter().map(|problem| format!("line {}: {}", problem.line, problem.message));
        HttpError::bad_argument("the body is no transcript").problems(lines.take(PROBLEMS_TOLD).collect())
    })?;
    if activities.is_empty() {
        return Err(HttpError::bad_argument("the transcript has no activities"));
    }
    let now = now_ms();
    let items: Vec<TranscriptItem> = activities.into_iter().map(|activity| item(activity, now)).collect();
    let count = items.len();
    if !admin.app.storage.import_transcript(&conversation, items).await? {
        let message = "the conversation has a transcript; delete it first";
        return Err(HttpError::new(StatusCode::CONFLICT, code::CONFLICT, message));
    }
    Ok(Json(json!({ "channel": of.channel, "conversation": of.conversation, "activities": count })))
}

async fn delete(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
    Query(of): Query<Of>,
) -> Result<Json<Value>, HttpError> {
    let bot = admin.bot(&name)?;
    if !admin.app.storage.delete_transcript(&of.key(bot.name())).await? {
        return Err(HttpError::not_found("the conversation has no transcript"));
    }
    tracing::info!(bot = %name, "a transcript is deleted");
    Ok(Json(json!({ "channel": of.channel, "conversation": of.conversation })))
}

impl Of {
    fn key(&self, bot: &Arc<str>) -> ConversationKey {
        let channel = ChannelInstance::named(&self.channel);
        ConversationKey { bot: bot.clone(), channel, conversation: self.conversation.as_str().into() }
    }
}

impl Page {
    fn limit(&self) -> usize {
        self.limit.unwrap_or(PAGE).clamp(1, PAGE_MAX)
    }

    fn since_ms(&self) -> Result<u64, HttpError> {
        let Some(since) = &self.since else { return Ok(0) };
        let time: jiff::Timestamp = since.parse().map_err(|_| {
            HttpError::bad_argument("`since` is no time (RFC 3339 with an offset, such as 2027-01-01T09:00:00Z)")
        })?;
        Ok(u64::try_from(time.as_millisecond()).unwrap_or(0))
    }

    /// A page that is full may have a next one.
    fn answer(&self, items: Vec<Value>, last: Option<u64>) -> Json<Value> {
        let is_full = items.len() == self.limit();
        let mut answer = json!({});
        answer["items"] = items.into();
        if let Some(last) = last.filter(|_| is_full) {
            answer["continuationToken"] = last.to_string().into();
        }
        Json(answer)
    }
}

fn shown(transcript: &Transcript) -> Value {
    let time =
        |ms: u64| jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX)).map(|time| time.to_string());
    json!({
        "channel": transcript.conversation.channel.to_string(),
        "conversation": &*transcript.conversation.conversation,
        "created": time(transcript.first_ms).unwrap_or_default(),
        "last": time(transcript.last_ms).unwrap_or_default(),
        "activities": transcript.activities,
        "bytes": transcript.bytes,
    })
}

/// An activity of a file. Its own time is another's word: a conversation of years ago would be deleted at once, and one from
/// the future never.
fn item(activity: Object, at_ms: u64) -> TranscriptItem {
    let account = |member: &str| activity.get(member).and_then(|account| account["id"].as_str()).unwrap_or_default();
    let by_bot = activity.get("from").is_some_and(|from| from["role"] == "bot");
    let user = account(if by_bot { "recipient" } else { "from" }).into();
    TranscriptItem { at_ms, user, host_id: "".into(), activity: Value::Object(activity).to_string().into() }
}
