//! A bot of another SDK behind a bridge: a real HTTP server that does what a spec says, through the `serviceUrl` that it gets.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::conversation::Answer;
use super::within;

type Handler = Arc<dyn Fn(Heard) -> Pin<Box<dyn Future<Output = Response> + Send>> + Send + Sync>;

/// One activity that the bot got.
#[derive(Clone)]
pub(crate) struct Heard {
    pub(crate) activity: Value,
    /// The `Authorization` header, or `""`.
    pub(crate) authorization: String,
    client: reqwest::Client,
}

/// A running bot. It stops when it is dropped.
pub(crate) struct OldBot {
    pub(crate) address: SocketAddr,
    heard: Arc<Mutex<Vec<Value>>>,
    count: watch::Sender<usize>,
    server: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    handler: Handler,
    heard: Arc<Mutex<Vec<Value>>>,
    count: watch::Sender<usize>,
    client: reqwest::Client,
}

impl OldBot {
    /// Starts a bot that answers each activity as the handler says.
    pub(crate) async fn start<F>(handler: impl Fn(Heard) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        Self::start_at("127.0.0.1:0".parse().unwrap(), handler).await
    }

    /// Starts a bot at an address, such as that of one that was stopped.
    pub(crate) async fn start_at<F>(address: SocketAddr, handler: impl Fn(Heard) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response> + Send + 'static,
    {
        // The bot that was at this address may be about to stop.
        let bind = async {
            loop {
                match TcpListener::bind(address).await {
                    Ok(listener) => return listener,
                    Err(_) => tokio::task::yield_now().await,
                }
            }
        };
        let listener = within("a free port", bind).await;
        let address = listener.local_addr().unwrap();
        let (heard, count) = (Arc::<Mutex<Vec<Value>>>::default(), watch::Sender::new(0));
        let handler: Handler = Arc::new(move |heard| Box::pin(handler(heard)));
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let shared = Shared { handler, heard: heard.clone(), count: count.clone(), client };
        let router = Router::new().fallback(take).with_state(shared);
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, heard, count, server }
    }

    /// Returns the entry of the configuration, with more TOML for it. The bot has all the time that it needs, unless that says
    /// otherwise.
    pub(crate) fn entry(&self, bot: &str, more: &str) -> String {
        let time = if more.contains("wall-ms") { "" } else { "limits.wall-ms = 300000" };
        format!("[[bots.{bot}.plugins]]\nbridge = 'http://{}/api/messages'\n{time}\n{more}\n", self.address)
    }

    /// Waits until the bot has got this many activities, and returns all.
    pub(crate) async fn heard(&self, at_least: usize) -> Vec<Value> {
        let mut count = self.count.subscribe();
        let enough = async { count.wait_for(|count| *count >= at_least).await.map(|_| ()) };
        within(&format!("activity {at_least} of the bridged bot"), enough).await.unwrap();
        self.heard.lock().unwrap().clone()
    }
}

impl Drop for OldBot {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(shared): State<Shared>, request: Request) -> Response {
    let authorization = request.headers().get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
    let bytes = axum::body::to_bytes(request.into_body(), 16 << 20).await.unwrap();
    let activity: Value = serde_json::from_slice(&bytes).unwrap();
    let number = {
        let mut heard = shared.heard.lock().unwrap();
        heard.push(activity.clone());
        heard.len()
    };
    shared.count.send_replace(number);
    (shared.handler)(Heard { activity, authorization, client: shared.client.clone() }).await
}

impl Heard {
    /// Returns the text of the activity, or `""`.
    pub(crate) fn text(&self) -> &str {
        self.activity["text"].as_str().unwrap_or_default()
    }

    /// Replies to the activity with a text, as SDKs do it.
    pub(crate) async fn reply(&self, text: &str) -> Answer {
        let id = self.activity["id"].as_str().unwrap_or_default();
        self.call("POST", &format!("{}/activities/{id}", self.conversation()), Some(&self.message(text))).await
    }

    /// Returns a message with a text that replies to the activity.
    pub(crate) fn message(&self, text: &str) -> Value {
        json!({
            "type": "message", "text": text, "replyToId": self.activity["id"], "channelId": self.activity["channelId"],
            "serviceUrl": self.activity["serviceUrl"], "conversation": self.activity["conversation"],
            "from": self.activity["recipient"], "recipient": self.activity["from"]
        })
    }

    /// Returns the path of the conversation.
    pub(crate) fn conversation(&self) -> String {
        format!("/v3/conversations/{}", self.activity["conversation"]["id"].as_str().unwrap())
    }

    /// Fetches a URL.
    pub(crate) async fn get(&self, url: &str) -> Answer {
        Answer::of(within("an answer", self.client.get(url).send()).await.unwrap()).await
    }

    /// Makes a call of the connector's API.
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        let base = self.activity["serviceUrl"].as_str().unwrap();
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.client.request(method, format!("{base}{path}"));
        if let Some(body) = body {
            request = request.json(body);
        }
        Answer::of(within("an answer of the connector side", request.send()).await.unwrap()).await
    }
}

/// An answer without a body.
pub(crate) fn status(status: u16) -> Response {
    Response::builder().status(status).body(axum::body::Body::empty()).unwrap()
}

/// An answer with JSON.
pub(crate) fn answer(status: u16, body: &Value) -> Response {
    use axum::response::IntoResponse;
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}
