//! Client of a Direct Line conversation, which polls for replies.

use std::time::Duration;

use anyhow::{Context, anyhow};
use jiff::tz::TimeZone;
use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use url::Url;

use crate::cli::admin::{Refused, answer, client};

/// Interval of polls while replies are expected.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// Time after the newest reply when the turn counts as answered. Replies of a turn are stored together.
const QUIET: Duration = Duration::from_millis(150);
/// Time after which a bot without replies counts as having nothing to say.
const SILENT: Duration = Duration::from_millis(750);
/// Maximum time to wait while replies keep coming.
const SETTLE_MAX: Duration = Duration::from_secs(30);

/// A conversation of one user with one bot.
pub(super) struct Conversation {
    client: Client,
    base: Url,
    id: String,
    token: String,
    user: Value,
    /// The locale of the user, a BCP-47 tag.
    locale: Option<String>,
    watermark: Option<String>,
}

#[derive(Deserialize)]
struct Started {
    #[serde(rename = "conversationId")]
    conversation_id: String,
    token: String,
}

#[derive(Deserialize)]
struct Posted {
    id: String,
}

#[derive(Deserialize)]
struct ActivitySet {
    activities: Vec<Value>,
    watermark: Option<String>,
}

impl Conversation {
    /// Requests a token for the bot and starts a conversation.
    pub(super) async fn start(
        url: &str,
        bot: Option<&str>,
        user: &str,
        locale: Option<String>,
    ) -> anyhow::Result<Self> {
        let base = Url::parse(url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.with_context(|| format!("`{url}` is not a URL such as http://127.0.0.1:3978"))?;
        let user = json!({ "id": format!("dl_{user}"), "name": user });
        let mut conversation =
            Self { client: client()?, base, id: String::new(), token: String::new(), user, locale, watermark: None };
        let mut wish = json!({ "user": conversation.user });
        if let Some(bot) = bot {
            wish["bot"] = bot.into();
        }
        let started = conversation.call(Method::POST, &["tokens", "generate"], Some(&wish)).await;
        let started: Started = started.map_err(|error| match error.downcast_ref::<Refused>() {
            Some(refused) if refused.code == "Unauthorized" => {
                error.context(format!(
                    "{url} issues no Direct Line tokens to this command. Hosts do so in development mode only: start it with `turntable serve \
                     --dev`, or name another host with --url"
                ))
            }
            _ => error,
        })?;
        conversation.token = started.token;
        let wish = json!({ "user": conversation.user });
        let started: Started = conversation.call(Method::POST, &["conversations"], Some(&wish)).await?;
        conversation.id = started.conversation_id;
        conversation.token = started.token;
        Ok(conversation)
    }

    /// Sends a message and returns its id. The host answers after the bot's turn.
    pub(super) async fn say(&self, text: &str) -> anyhow::Result<String> {
        let mut activity = json!({ "type": "message", "from": self.user, "text": text });
        if let Some(locale) = &self.locale {
            activity["locale"] = locale.as_str().into();
        }
        if let Some(zone) = TimeZone::system().iana_name() {
            activity["localTimezone"] = zone.into();
        }
        let posted: Posted =
            self.call(Method::POST, &["conversations", &self.id, "activities"], Some(&activity)).await?;
        Ok(posted.id)
    }

    /// Returns what the bot has sent since the last poll.
    pub(super) async fn poll(&mut self) -> anyhow::Result<Vec<Value>> {
        let set: ActivitySet = self.call(Method::GET, &["conversations", &self.id, "activities"], None).await?;
        // Keep the watermark if the set has none.
        self.watermark = set.watermark.or(self.watermark.take());
        let own = self.user["id"].clone();
        Ok(set.activities.into_iter().filter(|activity| activity["from"]["id"] != own).collect())
    }

    /// Returns what the bot sends until it stops. `sent` is the id of the message to be answered.
    pub(super) async fn settle(&mut self, sent: Option<&str>) -> anyhow::Result<Vec<Value>> {
        let start = Instant::now();
        let (mut heard, mut newest, mut answered) = (Vec::new(), start, sent.is_none());
        loop {
            let news = self.poll().await?;
            if !news.is_empty() {
                newest = Instant::now();
            }
            answered |= news.iter().any(|activity| activity["replyToId"].as_str() == sent);
            heard.extend(news);
            let patience = if answered { QUIET } else { SILENT };
            if newest.elapsed() > patience || start.elapsed() > SETTLE_MAX {
                return Ok(heard);
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let mut request = self.request(method, path)?;
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.with_context(|| {
            let base = &self.base;
            format!(
                "cannot reach a host at {base}; start one with `turntable serve --dev`, or name its address with --url"
            )
        })?;
        answer(response).await
    }

    fn request(&self, method: Method, path: &[&str]) -> anyhow::Result<RequestBuilder> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow!("{} cannot have a path", self.base))?
            .pop_if_empty()
            .extend(["v3", "directline"])
            .extend(path);
        if let Some(watermark) = &self.watermark
            && method == Method::GET
        {
            url.query_pairs_mut().append_pair("watermark", watermark);
        }
        let request = self.client.request(method, url);
        Ok(if self.token.is_empty() { request } else { request.bearer_auth(&self.token) })
    }
}
