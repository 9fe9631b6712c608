//! What the chat page shows besides the conversation. Development mode only: without it no route here exists.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET /dev/bots` | `[BotStatus, …]`, by name |
//! | `GET /dev/turns?bot=NAME` | Server-Sent Events, from now on; without `bot` those of every bot |
//!
//! Events of `/dev/turns`: `turn` with a `TurnRecord` as each turn ends, `missed` with `{"records":N}` where the reader was
//! too slow and the host dropped the oldest. The feed ends when the host stops.
//!
//! Nobody proves who they are here, and records hold what plugins log. So pages of other origins are refused, and so is
//! everybody where the listener is not on loopback, unless `server.allow-anonymous-remote` says otherwise.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Query, Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use futures_util::stream::{Stream, unfold};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{HttpError, code};
use super::guard::{self, Guard};
use crate::app::App;
use crate::registry::BotStatus;
use crate::turn::TurnRecord;

/// Feeds that are open at once; a page has one.
const FEEDS_MAX: usize = 32;

struct Dev {
    app: Arc<App>,
    feeds: Arc<Semaphore>,
}

/// The routes of this module; none outside development mode.
pub fn routes(app: Arc<App>, guard: &Arc<Guard>) -> Router {
    if !app.config.server.development {
        return Router::new();
    }
    let dev = Arc::new(Dev { app, feeds: Arc::new(Semaphore::new(FEEDS_MAX)) });
    Router::new()
        .route("/dev/bots", get(bots))
        .route("/dev/turns", get(turns))
        .route_layer(from_fn_with_state(dev.clone(), require_local))
        .route_layer(from_fn_with_state(guard.clone(), guard::check_origin))
        .with_state(dev)
}

/// Middleware: refuses with 401 where anonymous callers may come from other machines.
async fn require_local(State(dev): State<Arc<Dev>>, request: Request, next: Next) -> Result<Response, HttpError> {
    if !dev.app.public.ip().is_loopback() && !dev.app.config.server.allow_anonymous_remote {
        return Err(HttpError::unauthorized().detail("development routes are for a loopback listener"));
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

async fn bots(State(dev): State<Arc<Dev>>) -> Json<Vec<BotStatus>> {
    Json(dev.app.registry.bots().iter().map(|bot| bot.status()).collect())
}

#[derive(Deserialize)]
struct Wanted {
    bot: Option<String>,
}

async fn turns(State(dev): State<Arc<Dev>>, Query(wanted): Query<Wanted>) -> Result<Response, HttpError> {
    let bot = match wanted.bot.filter(|bot| !bot.is_empty()) {
        Some(name) => Some(dev.app.registry.bot(&name).ok_or_else(|| HttpError::bot_not_found(&name))?.name().clone()),
        None => None,
    };
    let place = dev.feeds.clone().try_acquire_owned().map_err(|_| {
        let message = format!("{FEEDS_MAX} feeds are open, which is the bound; close a page");
        HttpError::new(StatusCode::TOO_MANY_REQUESTS, code::THROTTLED, message).retry_after_default()
    })?;
    let feed = Feed { records: dev.app.turns.records(), bot, _place: place };
    Ok(Sse::new(feed.events()).keep_alive(KeepAlive::default()).into_response())
}

struct Feed {
    records: Receiver<Arc<TurnRecord>>,
    bot: Option<Arc<str>>,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    fn events(self) -> impl Stream<Item = Result<Event, Infallible>> {
        unfold(self, async |mut feed| feed.next().await.map(|event| (Ok(event), feed)))
    }

    /// Returns the next event, or none when the host stops.
    async fn next(&mut self) -> Option<Event> {
        loop {
            match self.records.recv().await {
                Ok(record) if self.bot.as_ref().is_none_or(|bot| *bot == record.bot) => {
                    return Some(event("turn", &serde_json::to_string(&*record).ok()?));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(records)) => {
                    return Some(event("missed", &json!({ "records": records }).to_string()));
                }
                Err(RecvError::Closed) => return None,
            }
        }
    }
}

fn event(name: &str, data: &str) -> Event {
    Event::default().event(name).data(data)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use tokio::sync::broadcast;

    use super::*;

    fn record(bot: &str, id: &str) -> Arc<TurnRecord> {
        Arc::new(TurnRecord {
            turn_id: id.into(),
            bot: bot.into(),
            generation: 1,
            channel: "directline".into(),
            conversation: "c".into(),
            activity_id: "c|0000001".into(),
            kind: "message".into(),
            started_ms: 1,
            duration_us: 1,
            queued_us: 0,
            outcome: "completed",
            status: 200,
            calls: vec![],
            sent: vec!["tt-1".into()],
        })
    }

    /// Returns what a feed of `bot` sends of `records` until the host stops, as (event, data).
    async fn fed(bot: Option<&str>, capacity: usize, records: &[Arc<TurnRecord>]) -> Vec<(String, serde_json::Value)> {
        let (sender, receiver) = broadcast::channel(capacity);
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        let feed = Feed { records: receiver, bot: bot.map(Into::into), _place: place };
        for record in records {
            sender.send(record.clone()).unwrap();
        }
        drop(sender);
        let body = Sse::new(feed.events()).into_response().into_body();
        let text = String::from_utf8(to_bytes(body, 64 * 1024).await.unwrap().to_vec()).unwrap();
        let frames = text.split("\n\n").filter(|frame| !frame.is_empty());
        frames
            .map(|frame| {
                let (name, data) = frame.split_once('\n').unwrap();
                let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                (name.strip_prefix("event: ").unwrap().to_owned(), data)
            })
            .collect()
    }

    #[tokio::test]
    async fn a_feed_has_the_turns_of_its_bot_and_ends_with_the_host() {
        let records = [record("a", "1"), record("b", "2"), record("a", "3")];
        for (bot, wanted) in [(Some("a"), &["1", "3"][..]), (Some("c"), &[]), (None, &["1", "2", "3"])] {
            let events = fed(bot, 8, &records).await;
            let ids: Vec<_> = events.iter().map(|(_, data)| data["turn_id"].as_str().unwrap()).collect();
            assert_eq!(ids, wanted, "{bot:?}");
            assert!(events.iter().all(|(name, data)| name == "turn" && data["activity_id"] == "c|0000001"));
        }
    }

    #[tokio::test]
    async fn a_slow_reader_learns_what_it_missed() {
        let records: Vec<_> = (0..5).map(|id| record("a", &id.to_string())).collect();
        let events = fed(Some("a"), 2, &records).await;
        assert_eq!(events[0], ("missed".to_owned(), json!({ "records": 3 })));
        let ids: Vec<_> = events[1..].iter().map(|(_, data)| data["turn_id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["3", "4"]);
    }
}
