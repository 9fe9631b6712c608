//! What the chat page shows besides the conversation. Development mode only: without it no route here exists.
//!
//! | route | answer |
//! | --- | --- |
//! | `GET /dev/bots` | `[BotStatus, …]`, by name |
//! | `GET /dev/turns?bot=NAME` | Server-Sent Events, from now on or after `Last-Event-ID`; without `bot` those of every bot |
//!
//! Events of `/dev/turns`: `turn` with a `TurnRecord` as each turn ends, `missed` with `{"records":N}` where the reader was
//! too slow, or away too long, and the host dropped the oldest (of any bot). Every `turn` has an id, and so has a first frame
//! without data; a reader that comes back with `Last-Event-ID`, as browsers do by themselves, gets what ended meanwhile. The
//! feed ends when the host stops, or when the reader ends its side of the connection.
//!
//! Nobody proves who they are here, and records hold what plugins log. So pages of other origins are refused, and so is
//! everybody where the listener is not on loopback, unless `server.allow-anonymous-remote` says otherwise.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Version};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use futures_util::StreamExt;
use futures_util::stream::{Stream, unfold};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::{HttpError, code};
use super::guard::{self, Guard};
use super::request::Query;
use super::socket::Peer;
use crate::app::App;
use crate::registry::BotStatus;
use crate::turn::{FeedItem, RecordFeed};

/// Feeds that are open at once; a page has one.
const FEEDS_MAX: usize = 32;
const LAST_EVENT_ID: &str = "last-event-id";

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
    Json(dev.app.registry.bots().iter().map(|bot| dev.app.status(bot)).collect())
}

#[derive(Deserialize)]
struct Wanted {
    bot: Option<String>,
}

async fn turns(
    State(dev): State<Arc<Dev>>,
    Query(wanted): Query<Wanted>,
    version: Version,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> Result<Response, HttpError> {
    let bot = match wanted.bot.filter(|bot| !bot.is_empty()) {
        Some(name) => Some(dev.app.registry.bot(&name).ok_or_else(|| HttpError::bot_not_found(&name))?.name().clone()),
        None => None,
    };
    let place = dev.feeds.clone().try_acquire_owned().map_err(|_| {
        let message = format!("{FEEDS_MAX} feeds are open, which is the bound; close a page");
        HttpError::new(StatusCode::TOO_MANY_REQUESTS, code::THROTTLED, message).retry_after_default()
    })?;
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok());
    let feed = Feed { records: dev.app.turns.records(seen), bot, _place: place };
    // A page that is left or read anew must give its place back at once; HTTP/2 resets the stream.
    let peer = peer.filter(|_| version < Version::HTTP_2);
    let left = Box::pin(async move {
        match peer {
            Some(Extension(peer)) => peer.ended().await,
            None => std::future::pending().await,
        }
    });
    Ok(Sse::new(feed.events().take_until(left)).keep_alive(KeepAlive::default()).into_response())
}

struct Feed {
    records: RecordFeed,
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
            return Some(match self.records.next().await? {
                FeedItem::Start { place } => Event::default().id(place),
                FeedItem::Missed(records) => event("missed", &json!({ "records": records }).to_string()),
                FeedItem::Turn { record, .. } if self.bot.as_ref().is_some_and(|bot| *bot != record.bot) => continue,
                FeedItem::Turn { place, record } => event("turn", &serde_json::to_string(&*record).ok()?).id(place),
            });
        }
    }
}

fn event(name: &str, data: &str) -> Event {
    Event::default().event(name).data(data)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::Value;

    use super::*;
    use crate::turn::{Records, TurnRecord};

    fn record(bot: &str, id: &str) -> TurnRecord {
        TurnRecord {
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
        }
    }

    fn feed(bot: Option<&str>, records: RecordFeed) -> Feed {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        Feed { records, bot: bot.map(Into::into), _place: place }
    }

    /// One frame of a feed, as a browser reads it.
    #[derive(Debug, Default)]
    struct Frame {
        event: String,
        id: String,
        data: Value,
    }

    /// Returns what a feed sends until the host stops.
    async fn read(feed: Feed) -> Vec<Frame> {
        let body = Sse::new(feed.events()).into_response().into_body();
        let text = String::from_utf8(to_bytes(body, 1024 * 1024).await.unwrap().to_vec()).unwrap();
        let frames = text.split("\n\n").filter(|frame| !frame.is_empty());
        frames
            .map(|lines| {
                let mut frame = Frame::default();
                for line in lines.lines() {
                    match line.split_once(": ").unwrap() {
                        ("event", name) => frame.event = name.to_owned(),
                        ("id", id) => frame.id = id.to_owned(),
                        ("data", data) => frame.data = serde_json::from_str(data).unwrap(),
                        other => panic!("{other:?}"),
                    }
                }
                frame
            })
            .collect()
    }

    fn turns(frames: &[Frame]) -> Vec<&str> {
        let turns = frames.iter().filter(|frame| frame.event == "turn");
        turns.map(|frame| frame.data["turn_id"].as_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_feed_has_the_turns_of_its_bot_and_ends_with_the_host() {
        for (bot, wanted) in [(Some("a"), &["1", "3"][..]), (Some("c"), &[]), (None, &["1", "2", "3"])] {
            let records = Records::new();
            records.push(record("a", "before"));
            let feed = feed(bot, records.subscribe(None));
            for (bot, id) in [("a", "1"), ("b", "2"), ("a", "3")] {
                records.push(record(bot, id));
            }
            records.close();
            assert_eq!(turns(&read(feed).await), wanted, "{bot:?}");
        }
    }

    #[tokio::test]
    async fn a_slow_reader_learns_what_it_missed() {
        let records = Records::new();
        let feed = feed(Some("a"), records.subscribe(None));
        for id in 0..259 {
            records.push(record("a", &id.to_string()));
        }
        records.close();
        let frames = read(feed).await;
        assert_eq!((&*frames[1].event, &frames[1].data), ("missed", &json!({ "records": 3 })));
        let turns = turns(&frames);
        assert_eq!((turns.len(), turns[0]), (256, "3"));
    }

    /// Also one that saw no turn before it lost the feed: the first frame has an id.
    #[tokio::test]
    async fn a_reader_that_comes_back_gets_what_ended_meanwhile_once() {
        let records = Records::new();
        let (early, late) = (records.subscribe(None), records.subscribe(None));
        records.push(record("a", "1"));
        let ids = [early, late].map(|reader| feed(Some("a"), reader));
        records.push(record("b", "2"));
        records.push(record("a", "3"));
        let [early, mut late] = ids;
        let start = late.records.next().await;
        let Some(FeedItem::Start { place: start }) = start else { panic!("{start:?}") };
        drop((early, late));

        let again = feed(Some("a"), records.subscribe(Some(&start)));
        let mut after_first = records.subscribe(Some(&start));
        after_first.next().await;
        let Some(FeedItem::Turn { place: first, .. }) = after_first.next().await else { panic!() };
        let after_first = feed(Some("a"), records.subscribe(Some(&first)));
        records.push(record("a", "4"));
        records.close();
        assert_eq!(turns(&read(again).await), ["1", "3", "4"]);
        assert_eq!(turns(&read(after_first).await), ["3", "4"]);
    }

    #[tokio::test]
    async fn a_reader_of_another_run_gets_all_that_is_kept_and_one_with_nonsense_starts_now() {
        let records = Records::new();
        for id in 0..300 {
            records.push(record("a", &id.to_string()));
        }
        let restarted = feed(Some("a"), records.subscribe(Some("1-299")));
        let nonsense = feed(Some("a"), records.subscribe(Some("none; x")));
        records.close();
        let frames = read(restarted).await;
        assert_eq!(frames[1].data, json!({ "records": 44 }));
        assert_eq!(turns(&frames)[..2], ["44", "45"]);
        assert!(turns(&read(nonsense).await).is_empty());
    }
}
