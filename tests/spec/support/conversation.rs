//! Conversations as a spec tells them: `host.bot("echo").says("hi").replies("Echo: hi").await`.

use std::future::IntoFuture;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::host::Host;

/// Returns a message as a channel would send it, in a conversation of its own. Change its members at will.
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

/// The same activity, answered with the bot's replies.
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
    pub(super) async fn of(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, text: response.text().await.unwrap() }
    }

    /// The body as JSON; null where it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or(Value::Null)
    }

    /// The activities of an answer to `expectReplies`.
    pub(crate) fn replies(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{}", self.text);
        let content_type = self.headers["content-type"].to_str().unwrap();
        assert!(content_type.starts_with("application/json"), "{content_type}");
        self.json()["activities"].as_array().cloned().unwrap_or_default()
    }
}

/// A dialogue in the making. Awaiting it holds the conversation with the bot, by `expectReplies`.
pub(crate) struct Conversation<'h> {
    host: &'h Host,
    bot: String,
    id: String,
    steps: Vec<Step>,
}

enum Step {
    /// The user's side sends an activity.
    Sends(Value),
    /// The bot's next reply satisfies this.
    Replies(String, Box<dyn Fn(&Value) -> bool + Send>),
}

impl<'h> Conversation<'h> {
    pub(super) fn new(host: &'h Host, bot: &str) -> Self {
        Self { host, bot: bot.to_owned(), id: format!("dialogue{}", next_number()), steps: Vec::new() }
    }

    /// The user says something.
    pub(crate) fn says(self, text: &str) -> Self {
        self.sends(message(text))
    }

    /// The user's side sends an activity.
    pub(crate) fn sends(mut self, mut activity: Value) -> Self {
        activity["conversation"]["id"] = self.id.as_str().into();
        self.steps.push(Step::Sends(expecting_replies(activity)));
        self
    }

    /// The bot's next reply has this text.
    pub(crate) fn replies(self, text: &str) -> Self {
        let expected = text.to_owned();
        self.replies_with(&format!("the text {text:?}"), move |activity| activity["text"] == expected.as_str())
    }

    /// The bot's next reply is as described.
    pub(crate) fn replies_with(mut self, what: &str, check: impl Fn(&Value) -> bool + Send + 'static) -> Self {
        self.steps.push(Step::Replies(what.to_owned(), Box::new(check)));
        self
    }

    /// Holds the conversation. Replies that no step expects fail the spec, as missing ones do.
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
