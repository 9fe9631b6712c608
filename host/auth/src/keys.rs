//! The keys of issuers, each fetched from the OpenID metadata of its issuer.
//!
//! A key set is fetched in the background, before it is needed, and again every 12 hours or after the `max-age` of its
//! answer. A token whose key is known therefore causes no call. A token with an unknown key id causes a fetch, at most
//! once in [`REFETCH_MIN`], whoever asks and whatever comes of it. While the server does not answer, the keys that are
//! known stay valid, and tokens with other keys are answered 503, because they may be valid.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use parking_lot::Mutex;
use reqwest::header::{CACHE_CONTROL, DATE, HeaderMap};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::fetch::{self, Caller};
use crate::jwks::{self, Key, Keys};
use crate::refused::{Refused, shown};

/// Minimum time between fetches that unknown key ids cause.
const REFETCH_MIN: Duration = Duration::from_secs(60);
/// How long an id that the server does not have causes no fetch, and how many such ids are remembered.
const UNKNOWN_KEPT: Duration = Duration::from_secs(300);
const UNKNOWN_MAX: usize = 128;
/// How long a request waits for a fetch.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Time between background fetches, and its bounds where the server says `max-age`.
const REFRESH: Duration = Duration::from_hours(12);
const REFRESH_MIN: Duration = Duration::from_hours(1);
const REFRESH_MAX: Duration = Duration::from_hours(24);
/// Longest time between attempts while the server does not answer. The first is one second.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// The keys of one issuer.
pub(crate) struct KeyServer {
    metadata: String,
    caller: Caller,
    runtime: Handle,
    state: Mutex<State>,
    /// The number of fetches that have ended.
    ended: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    keys: Arc<Keys>,
    /// The error of the last fetch, if it failed.
    failure: Option<String>,
    is_fetching: bool,
    /// When an unknown key id caused the last fetch.
    caused: Option<Instant>,
    unknown: VecDeque<(String, Instant)>,
}

#[derive(Deserialize)]
struct Metadata {
    jwks_uri: String,
}

impl KeyServer {
    /// Returns the keys that this metadata leads to. They are fetched until the last reference is dropped.
    pub(crate) fn start(metadata: &str, caller: Caller, runtime: &Handle) -> Arc<Self> {
        let server = Arc::new(Self {
            metadata: metadata.to_owned(),
            caller,
            runtime: runtime.clone(),
            // The background task fetches first.
            state: Mutex::new(State { is_fetching: true, ..State::default() }),
            ended: watch::Sender::new(0),
        });
        runtime.spawn(refresh(Arc::downgrade(&server)));
        server
    }

    /// The URL of the metadata.
    pub(crate) fn metadata(&self) -> &str {
        &self.metadata
    }

    /// Fetches the keys for an operator. Returns their number, and the `Date` of the answer.
    pub(crate) async fn probe(&self) -> anyhow::Result<(usize, Option<String>)> {
        let Fetched { keys, date, .. } = fetch(&self.caller, &self.metadata).await?;
        Ok((keys.len(), date))
    }

    /// Returns a key. Fetches the keys if the id is unknown and that is allowed now.
    ///
    /// # Errors
    /// 401 if the issuer has no such key, 503 if that cannot be found out now.
    pub(crate) async fn key(self: &Arc<Self>, id: &str) -> Result<Arc<Key>, Refused> {
        let mut ended = self.ended.subscribe();
        {
            let mut state = self.state.lock();
            if let Some(key) = state.keys.get(id) {
                return Ok(key.clone());
            }
            let now = Instant::now();
            let may_fetch = state.caused.is_none_or(|caused| now.duration_since(caused) >= REFETCH_MIN);
            if !state.is_fetching && (state.is_unknown(id, now) || !may_fetch) {
                return state.refusal(id, &self.metadata);
            }
            if !state.is_fetching {
                (state.is_fetching, state.caused) = (true, Some(now));
                let server = self.clone();
                // A task of its own: the fetch counts even if the caller hangs up.
                self.runtime.spawn(async move { server.fetch().await });
            }
        }
        let _ = timeout(WAIT_MAX, ended.changed()).await;
        let mut state = self.state.lock();
        match state.keys.get(id) {
            Some(key) => Ok(key.clone()),
            None if state.is_fetching => {
                Err(Refused::unavailable(format!("{} has not answered within 5 s", self.metadata)))
            }
            None => state.refusal(id, &self.metadata),
        }
    }

    /// Fetches the keys and returns how long they are fresh, or none if that failed. The caller has set `is_fetching`.
    async fn fetch(&self) -> Option<Duration> {
        let fetched = fetch(&self.caller, &self.metadata).await;
        let mut state = self.state.lock();
        state.is_fetching = false;
        let fresh = match fetched {
            Ok(Fetched { keys, fresh, .. }) => {
                if state.failure.take().is_some() || state.keys.is_empty() {
                    tracing::info!(metadata = self.metadata, keys = keys.len(), "the keys of an issuer are loaded");
                }
                state.keys = Arc::new(keys);
                Some(fresh)
            }
            Err(error) => {
                let why = format!("{error:#}");
                tracing::warn!(
                    metadata = self.metadata,
                    error = why,
                    known = state.keys.len(),
                    "the keys of an issuer cannot be loaded; known keys stay valid"
                );
                state.failure = Some(why);
                None
            }
        };
        drop(state);
        self.ended.send_modify(|ended| *ended += 1);
        fresh
    }
}

impl State {
    fn is_unknown(&self, id: &str, now: Instant) -> bool {
        let is_same = |(unknown, since): &(String, Instant)| unknown == id && now.duration_since(*since) < UNKNOWN_KEPT;
        self.failure.is_none() && self.unknown.iter().any(is_same)
    }

    /// Refuses a key id that is not in the set, and remembers it.
    fn refusal(&mut self, id: &str, metadata: &str) -> Result<Arc<Key>, Refused> {
        if let Some(why) = &self.failure {
            return Err(Refused::unavailable(format!("the keys of {metadata} cannot be loaded: {why}")));
        }
        let now = Instant::now();
        if !self.is_unknown(id, now) {
            self.unknown.retain(|(unknown, _)| unknown != id);
            if self.unknown.len() == UNKNOWN_MAX {
                self.unknown.pop_front();
            }
            self.unknown.push_back((id.to_owned(), now));
        }
        Err(Refused::unauthenticated("key", format!("{metadata} has no key \"{}\"", shown(id))))
    }
}

/// Fetches the keys as long as the server is referenced.
async fn refresh(server: Weak<KeyServer>) {
    let mut retry = Duration::from_secs(1);
    loop {
        let Some(strong) = server.upgrade() else { return };
        strong.state.lock().is_fetching = true;
        let wait = match strong.fetch().await {
            Some(fresh) => {
                retry = Duration::from_secs(1);
                fresh
            }
            None => {
                let wait = retry;
                retry = (retry * 2).min(RETRY_MAX);
                wait
            }
        };
        drop(strong);
        tokio::time::sleep(varied(wait)).await;
    }
}

struct Fetched {
    keys: Keys,
    /// How long they are fresh.
    fresh: Duration,
    /// The `Date` of the answer.
    date: Option<String>,
}

async fn fetch(caller: &Caller, metadata: &str) -> anyhow::Result<Fetched> {
    let (_, body) = fetch::answer(caller.get(metadata)?).await.with_context(|| format!("GET {metadata}"))?;
    let found: Metadata = serde_json::from_slice(&body).context("the OpenID metadata is not JSON with `jwks_uri`")?;
    let uri = shown(&found.jwks_uri);
    let request = caller.get(&found.jwks_uri).with_context(|| format!("`jwks_uri` {uri}"))?;
    let (response, body) = fetch::answer(request).await.with_context(|| format!("GET {uri}"))?;
    let keys = jwks::keys(&body).with_context(|| format!("{uri} is not a key set"))?;
    ensure!(!keys.is_empty(), "{uri} has no usable key");
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok()).map(ToOwned::to_owned);
    Ok(Fetched { keys, fresh: freshness(response.headers()), date })
}

fn freshness(headers: &HeaderMap) -> Duration {
    let control = headers.get(CACHE_CONTROL).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let age = control.split(',').find_map(|part| part.trim().strip_prefix("max-age=")?.parse().ok());
    age.map_or(REFRESH, |age| Duration::from_secs(age).clamp(REFRESH_MIN, REFRESH_MAX))
}

/// Varies a time by a tenth, so that hosts that started together do not fetch together.
fn varied(time: Duration) -> Duration {
    let mut random = [0];
    let _ = getrandom::fill(&mut random);
    time.mul_f64(0.9 + f64::from(random[0]) / 255.0 * 0.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_how_long_keys_are_fresh_within_bounds() {
        let hours = |control: &str| {
            let headers = [(CACHE_CONTROL, control.parse().unwrap())].into_iter().collect();
            freshness(&headers).as_secs() / 3_600
        };
        assert_eq!(hours("public, max-age=28800"), 8);
        assert_eq!(
            (hours("max-age=5"), hours("max-age=99999999"), hours("no-store"), hours("max-age=x")),
            (1, 24, 12, 12)
        );
    }

    #[test]
    fn ids_that_a_server_does_not_have_are_forgotten_when_there_are_many() {
        let mut state = State::default();
        for number in 0..=UNKNOWN_MAX {
            assert!(state.refusal(&format!("k{number}"), "https://keys.test").is_err());
        }
        let now = Instant::now();
        assert_eq!(state.unknown.len(), UNKNOWN_MAX);
        assert!(!state.is_unknown("k0", now) && state.is_unknown("k1", now));
        assert!(!state.is_unknown("k1", now + UNKNOWN_KEPT));
    }
}
