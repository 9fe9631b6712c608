//! Conversations in specs: `host.bot("echo").says("hi").replies("Echo: hi").await`.

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::host::Host;

/// Returns a message as a channel would send it, in a new conversation. Specs may change its members.
pub(crate) fn message(text: &str) -> Value {
    let number = next_number();
    json!({
        "type": "message",
        "id": format!("m{number}"),
        "channelId": "test",
        "serviceUrl": "http://127.0.0.1:9",
        "conversation": { "id": format!("c{number}") },
        "from": { "id": "user", "role": "user" },
        "recipient": { "id": "bot", "role": "bot" },
        "text": text
    })
}

/// Returns the activity with `deliveryMode: expectReplies`.
pub(crate) fn expecting_replies(mut activity: Value) -> Value {
    activity["deliveryMode"] = "expectReplies".into();
    activity
}

fn next_number() -> u64 {
    static NUMBER: AtomicU64 = AtomicU64::new(1);
    NUMBER.fetch_add(1, Ordering::Relaxed)
}

/// An HTTP answer of the host.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    /// Returns the body as JSON, or null if it is not JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// Returns the activities in an answer to `expectReplies`.
    pub(crate) fn replies(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text);
        let content_type = self.headers["content-type"].to_str().unwrap();
        assert!(content_type.starts_with("application/json"), "{content_type}");
        self.json()["activities"].as_array().cloned().unwrap_or_default()
    }
}

/// A builder of a conversation. Awaiting it runs the conversation with the bot, with `expectReplies`.
pub(crate) struct Conversation<'h> {
    host: &'h Host,
    bot: String,
    id: String,
    steps: Vec<Step>,
}

enum Step {
    /// Sends an activity of the user.
    Sends(Value),
    /// The next reply of the bot must satisfy this check.
    Replies(String, Box<dyn Fn(&Value) -> bool + Send>),
}

impl<'h> Conversation<'h> {
    pub(super) fn new(host: &'h Host, bot: &str) -> Self {
        Self { host, bot: bot.to_owned(), id: format!("dialogue{}", next_number()), steps: Vec::new() }
    }

    /// Adds a message of the user.
    pub(crate) fn says(self, text: &str) -> Self {
        self.sends(message(text))
    }

    /// Sends an activity of the user.
    pub(crate) fn sends(mut self, mut activity: Value) -> Self {
        activity["conversation"]["id"] = self.id.as_str().into();
        self.steps.push(Step::Sends(expecting_replies(activity)));
        self
    }

    /// Expects that the next reply of the bot has this text.
    pub(crate) fn replies(self, text: &str) -> Self {
        let expected = text.to_owned();
        self.replies_with(&format!("the text {text:?}"), move |activity| activity["text"] == expected.as_str())
    }

    /// Expects that the next reply of the bot satisfies a check, which `what` describes.
    pub(crate) fn replies_with(mut self, what: &str, check: impl Fn(&Value) -> bool + Send + 'static) -> Self {
        self.steps.push(Step::Replies(what.to_owned(), Box::new(check)));
        self
    }

    /// Runs the conversation. Unexpected and missing replies fail the spec.
    async fn hold(self) {
        let mut pending: Vec<Value> = Vec::new();
        for step in self.steps {
            match step {
                Step::Sends(activity) => {
                    assert!(pending.is_empty(), "{} also said {pending:#?}", self.bot);
                    pending = self.host.post(&self.bot, &activity).await.replies();
                }
                Step::Replies(what, check) => {
                    assert!(!pending.is_empty(), "{} said nothing more where it should reply {what}", self.bot);
                    let reply = pending.remove(0);
                    assert!(check(&reply), "{} should reply {what}, but said {reply:#}", self.bot);
                }
            }
        }
        assert!(pending.is_empty(), "{} also said {pending:#?}", self.bot);
    }
}

impl<'h> IntoFuture for Conversation<'h> {
    type Output = ();
    type IntoFuture = Pin<Box<dyn Future<Output = ()> + Send + 'h>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.hold())
    }
}
