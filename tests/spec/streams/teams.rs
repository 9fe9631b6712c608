//! A personal chat of Teams that enforces the rules of its streams, and refuses as Teams does.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::{message, within};

/// Least time between two parts of a stream.
const PACE: Duration = Duration::from_millis(1_000);

/// What Teams says to the second piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    Yes,
    Exceeded,
    NotAllowed,
    Cancelled,
    Throttled,
    OutOfOrder,
}

/// A running simulator.
pub(super) struct Teams {
    address: std::net::SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    says: Says,
    chat: Mutex<Chat>,
    /// Messages so far.
    count: watch::Sender<usize>,
}

#[derive(Default)]
struct Chat {
    /// Texts of the messages.
    texts: Vec<String>,
    pieces: usize,
    shown: String,
    sequence: u64,
    last: Option<Instant>,
    /// Whether the stream takes nothing more.
    over: bool,
    updated: bool,
    said: bool,
    problems: Vec<String>,
}

impl Teams {
    pub(super) async fn start() -> Self {
        Self::saying(Says::Yes).await
    }

    pub(super) async fn saying(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { says, chat: Mutex::default(), count: watch::Sender::new(0) });
        let router = Router::new().fallback(take).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    /// A message of the user.
    pub(super) fn message(&self, script: &str) -> Value {
        let mut activity = message(script);
        activity["channelId"] = "msteams".into();
        activity["conversation"]["conversationType"] = "personal".into();
        activity["serviceUrl"] = format!("http://{}", self.address).into();
        activity
    }

    /// Waits for the first message, and returns the number of pieces before it and its text. Fails if a rule was broken.
    pub(super) async fn ended(&self) -> (usize, String) {
        let texts = self.texts().await;
        assert_eq!(texts.len(), 1, "{texts:?}");
        (self.shared.chat.lock().unwrap().pieces, texts[0].clone())
    }

    /// Waits for the first message, and returns the texts of all. Fails if a rule was broken.
    pub(super) async fn texts(&self) -> Vec<String> {
        let mut count = self.shared.count.subscribe();
        let said = async { count.wait_for(|count| *count > 0).await.map(|_| ()) };
        within("a message in Teams", said).await.unwrap();
        let chat = self.shared.chat.lock().unwrap();
        assert!(chat.problems.is_empty(), "{:?}", chat.problems);
        chat.texts.clone()
    }

    pub(super) fn was_updated(&self) -> bool {
        self.shared.chat.lock().unwrap().updated
    }
}

async fn take(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap_or_default();
    let activity: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let mut chat = shared.chat.lock().unwrap();
    let answer = chat.take(&parts.method, &activity, shared.says);
    let count = chat.texts.len();
    drop(chat);
    shared.count.send_replace(count);
    answer
}

impl Chat {
    fn take(&mut self, method: &Method, activity: &Value, says: Says) -> Response {
        let info = activity["entities"].as_array().and_then(|all| all.iter().find(|one| one["type"] == "streaminfo"));
        let text = activity["text"].as_str().unwrap_or_default();
        match (method, info) {
            (&Method::PUT, None) => {
                self.updated = true;
                self.texts.push(text.to_owned());
                (StatusCode::OK, Json(json!({ "id": "stream" }))).into_response()
            }
            (_, None) => {
                if activity["type"] == "message" {
                    self.texts.push(text.to_owned());
                }
                (StatusCode::CREATED, Json(json!({ "id": "message" }))).into_response()
            }
            (_, Some(info)) => self.stream(&activity["type"], info, text, says),
        }
    }

    fn stream(&mut self, kind: &Value, info: &Value, text: &str, says: Says) -> Response {
        if self.last.replace(Instant::now()).is_some_and(|last| last.elapsed() < PACE) {
            self.problems.push(format!("{info} came too early"));
        }
        if self.over {
            return not_allowed("Content stream is not allowed on an already completed streamed message");
        }
        if kind == "message" {
            return self.end(info, text);
        }
        let first = self.sequence == 0;
        let sequence = info["streamSequence"].as_u64().unwrap_or_default();
        if sequence <= self.sequence || first != info.get("streamId").is_none() || text.is_empty() {
            self.problems.push(format!("{info} of {text:?} after {}", self.sequence));
        }
        self.sequence = sequence;
        if !first && !std::mem::replace(&mut self.said, true) {
            match says {
                Says::Yes => {}
                Says::Exceeded => return self.refuse("Message exceeded streaming time"),
                Says::NotAllowed => return self.refuse("Content stream is not allowed"),
                Says::Cancelled => return self.refuse("Content stream was canceled by user."),
                Says::Throttled => return (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "1")]).into_response(),
                Says::OutOfOrder => {
                    let body = json!({ "error": { "code": "ContentStreamSequenceOrderPreConditionFailed" } });
                    return (StatusCode::ACCEPTED, Json(body)).into_response();
                }
            }
        }
        if info["streamType"] == "streaming" {
            if !text.starts_with(&self.shown) {
                self.problems.push(format!("{text:?} does not continue {:?}", self.shown));
            }
            text.clone_into(&mut self.shown);
        }
        self.pieces += 1;
        match first {
            true => (StatusCode::CREATED, Json(json!({ "id": "stream" }))).into_response(),
            false => StatusCode::ACCEPTED.into_response(),
        }
    }

    fn end(&mut self, info: &Value, text: &str) -> Response {
        if info.get("streamSequence").is_some() || info["streamId"] != "stream" {
            self.problems.push(format!("{info} of the last message"));
        }
        if text.is_empty() || !text.contains(&self.shown) {
            let body = json!({ "error": { "code": "BadArgument", "message": "the text lacks what was streamed" } });
            self.problems.push(format!("{text:?} lacks {:?}", self.shown));
            return (StatusCode::BAD_REQUEST, Json(body)).into_response();
        }
        self.over = true;
        self.texts.push(text.to_owned());
        (StatusCode::CREATED, Json(json!({ "id": "stream" }))).into_response()
    }

    fn refuse(&mut self, why: &str) -> Response {
        self.over = true;
        not_allowed(why)
    }
}

fn not_allowed(why: &str) -> Response {
    let body = json!({ "error": { "code": "ContentStreamNotAllowed", "message": why } });
    (StatusCode::FORBIDDEN, Json(body)).into_response()
}
