//! The tokens by which a bot proves itself to connectors: gets them, keeps them, renews them before they end.
//!
//! A token is kept by scope until it ends. Five minutes before its end, or after half of a short life, it is renewed while
//! callers still get the old one. One request at a time asks the token server for a scope.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail, ensure};
use parking_lot::Mutex;
use reqwest::{Certificate, RequestBuilder};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use turntable_config::{AppCredential, AppKind, Registration, Source};
use turntable_outbound::Reach;
use url::{Host, Url, form_urlencoded};

use crate::assertion::assertion;
use crate::fetch::{self, Caller};

/// Time before its end at which a token is no longer used.
const UNUSED_BEFORE_END: Duration = Duration::from_secs(60);
/// Time before its end at which a token with a long life is renewed.
const RENEWED_BEFORE_END: Duration = Duration::from_secs(300);
/// How long a failure is the answer to everybody, so that a queue of messages does not flood the token server.
const FAILURE_KEPT: Duration = Duration::from_secs(5);
/// The longest life that is believed.
const LIFE_MAX: Duration = Duration::from_hours(24);
/// Version of the API of the metadata service of Azure, and of App Service.
const IMDS_VERSION: &str = "2018-02-01";
const APP_SERVICE_VERSION: &str = "2019-08-01";

/// A token of the bot. It cannot be printed.
pub(crate) type Token = Arc<SecretString>;

/// Gets the tokens of one identity.
pub(crate) struct Tokens {
    registration: Arc<Registration>,
    caller: Caller,
    roots: Vec<Certificate>,
    runtime: Handle,
    held: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Held>>>>,
}

#[derive(Default)]
struct Held {
    token: Option<(Token, Times)>,
    failed: Option<(Instant, String)>,
    is_renewing: bool,
}

#[derive(Clone, Copy)]
struct Times {
    renew: Instant,
    end: Instant,
}

impl Tokens {
    pub(crate) fn new(
        registration: Arc<Registration>,
        caller: Caller,
        roots: Vec<Certificate>,
        runtime: Handle,
    ) -> Self {
        Self { registration, caller, roots, runtime, held: Mutex::default() }
    }

    /// Returns a token for a scope, such as `https://api.botframework.com/.default`.
    ///
    /// # Errors
    /// The token server does not give one. The error contains no secret.
    pub(crate) async fn get(self: &Arc<Self>, scope: &str) -> anyhow::Result<Token> {
        let slot = self.slot(scope);
        let mut held = slot.lock().await;
        let now = Instant::now();
        if let Some((token, times)) = &held.token
            && now < times.end
        {
            let token = token.clone();
            if now >= times.renew && !held.is_renewing && held.is_failure_over(now) {
                held.is_renewing = true;
                let (tokens, scope) = (self.clone(), scope.to_owned());
                self.runtime.spawn(async move { tokens.renew(&scope).await });
            }
            return Ok(token);
        }
        if let Some((at, why)) = &held.failed
            && now.duration_since(*at) < FAILURE_KEPT
        {
            bail!("{why}");
        }
        held.note(self.acquire(scope).await)
    }

    /// Forgets a token that a connector refused. A newer one stays.
    pub(crate) async fn forget(&self, scope: &str, refused: &Token) {
        let slot = self.slot(scope);
        let mut held = slot.lock().await;
        if held.token.as_ref().is_some_and(|(token, _)| Arc::ptr_eq(token, refused)) {
            held.token = None;
        }
    }

    async fn renew(&self, scope: &str) {
        let acquired = self.acquire(scope).await;
        let slot = self.slot(scope);
        let mut held = slot.lock().await;
        held.is_renewing = false;
        if let Err(error) = held.note(acquired) {
            tracing::warn!(app = &*self.registration.app_id, error = %format!("{error:#}"),
                "the token of a bot cannot be renewed; it is used until it ends");
        }
    }

    fn slot(&self, scope: &str) -> Arc<tokio::sync::Mutex<Held>> {
        self.held.lock().entry(scope.to_owned()).or_default().clone()
    }

    async fn acquire(&self, scope: &str) -> anyhow::Result<(Token, Times)> {
        let asked = Instant::now();
        let request = match &self.registration.credential {
            None => {
                bail!("the bot has no credential; set `auth.secret`, `auth.certificate` or `auth.federated-token-file`")
            }
            Some(AppCredential::Managed) => self.managed(scope)?,
            Some(credential) => self.client_credentials(scope, credential).await?,
        };
        let (status, body) = fetch::any_answer(request).await.context("the token server cannot be reached")?;
        ensure!((200..300).contains(&status), "the token server answered {status}{}", reason(&body));
        let answer: Map<String, Value> =
            serde_json::from_slice(&body).map_err(|_| anyhow::anyhow!("the token server's answer is not JSON"))?;
        let token = answer.get("access_token").and_then(Value::as_str).unwrap_or_default();
        let is_usable = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        ensure!(is_usable, "the token server's answer has no usable `access_token`");
        Ok((Arc::new(SecretString::from(token)), times(asked, life(&answer)?)))
    }

    async fn client_credentials(&self, scope: &str, credential: &AppCredential) -> anyhow::Result<RequestBuilder> {
        let registration = &self.registration;
        let tenant = match (registration.kind, &registration.tenant) {
            (AppKind::MultiTenant, _) | (_, None) => &*registration.cloud.login_tenant,
            (_, Some(tenant)) => tenant,
        };
        let server = format!("{}/{tenant}/oauth2/v2.0/token", registration.cloud.login.trim_end_matches('/'));
        let (credential, app_id, aud) = (credential.clone(), registration.app_id.clone(), server.clone());
        // Files and commands block.
        let proof = self.runtime.spawn_blocking(move || proof(&credential, &app_id, &aud)).await??;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        form.append_pair("client_id", &registration.app_id);
        form.append_pair("scope", scope);
        match &proof {
            Proof::Secret(secret) => form.append_pair("client_secret", secret.expose_secret()),
            Proof::Assertion(assertion) => form
                .append_pair("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
                .append_pair("client_assertion", assertion.expose_secret()),
        };
        let request = self.caller.post(&server).with_context(|| format!("the token server {server}"))?;
        Ok(request.header("content-type", "application/x-www-form-urlencoded").body(form.finish()))
    }

    /// Asks the machine for its identity: App Service if the platform says so in the environment, otherwise the metadata
    /// service.
    fn managed(&self, scope: &str) -> anyhow::Result<RequestBuilder> {
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        let (endpoint, version, header) = match (std::env::var("IDENTITY_ENDPOINT"), std::env::var("IDENTITY_HEADER")) {
            (Ok(endpoint), Ok(secret)) => (endpoint, APP_SERVICE_VERSION, ("x-identity-header", secret)),
            _ => (self.registration.cloud.identity_endpoint.clone(), IMDS_VERSION, ("metadata", "true".to_owned())),
        };
        let mut url = Url::parse(&endpoint).context("the endpoint of the managed identity is not a URL")?;
        url.query_pairs_mut()
            .append_pair("api-version", version)
            .append_pair("resource", resource)
            .append_pair("client_id", &self.registration.app_id);
        // The platform named this one address, which is an inner one.
        let granted: Vec<IpAddr> = match url.host() {
            Some(Host::Ipv4(address)) => vec![address.into()],
            Some(Host::Ipv6(address)) => vec![address.into()],
            Some(Host::Domain("localhost")) => vec![[127, 0, 0, 1].into(), std::net::Ipv6Addr::LOCALHOST.into()],
            _ => bail!("the endpoint of the managed identity must be an address or localhost"),
        };
        let caller = Caller::new(Reach::only(granted), &self.roots)?.with_plain_http();
        let mut secret = reqwest::header::HeaderValue::from_str(&header.1)
            .map_err(|_| anyhow::anyhow!("IDENTITY_HEADER is not the value of a header"))?;
        secret.set_sensitive(true);
        Ok(caller.get(url.as_str())?.header(header.0, secret))
    }
}

impl Held {
    fn note(&mut self, acquired: anyhow::Result<(Token, Times)>) -> anyhow::Result<Token> {
        match acquired {
            Ok((token, times)) => {
                self.token = Some((token.clone(), times));
                self.failed = None;
                Ok(token)
            }
            Err(error) => {
                self.failed = Some((Instant::now(), format!("{error:#}")));
                Err(error)
            }
        }
    }

    fn is_failure_over(&self, now: Instant) -> bool {
        self.failed.as_ref().is_none_or(|(at, _)| now.duration_since(*at) >= FAILURE_KEPT)
    }
}

enum Proof {
    Secret(SecretString),
    Assertion(SecretString),
}

fn proof(credential: &AppCredential, app_id: &str, server: &str) -> anyhow::Result<Proof> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    match credential {
        AppCredential::Secret(source) => source.read().map(Proof::Secret),
        AppCredential::Certificate { chain, key } => {
            assertion(app_id, server, chain, &key.read_lines()?, now).map(Proof::Assertion)
        }
        // The platform replaces the file, so it is read for each token.
        AppCredential::Federated(path) => Source::File(path.clone()).read().map(Proof::Assertion),
        AppCredential::Managed => bail!("a managed identity has no secret"),
    }
}

/// Returns the life of a token. Some servers write the number as text.
fn life(answer: &Map<String, Value>) -> anyhow::Result<Duration> {
    let seconds = match answer.get("expires_in") {
        Some(Value::Number(number)) => number.as_u64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let seconds = match (seconds, answer.get("expires_on").and_then(Value::as_str)) {
        (None, Some(end)) => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            end.parse::<u64>().ok().map(|end| end.saturating_sub(now))
        }
        (seconds, _) => seconds,
    };
    let seconds = seconds.context("the token server's answer has no usable `expires_in`")?;
    Ok(Duration::from_secs(seconds).min(LIFE_MAX))
}

fn times(asked: Instant, life: Duration) -> Times {
    let renew = life.saturating_sub(RENEWED_BEFORE_END).max(life / 2);
    Times { renew: asked + renew, end: asked + life.saturating_sub(UNUSED_BEFORE_END.min(life / 10)) }
}

/// Returns the error code of an answer of Entra, such as `invalid_client (AADSTS7000215)`. Nothing else of the answer is
/// repeated, because it could quote what was sent.
fn reason(body: &[u8]) -> String {
    let answer: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let text = |member: &str| answer.get(member).and_then(Value::as_str).unwrap_or_default();
    let is_code = |code: &&str| {
        (1..=40).contains(&code.len()) && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
    };
    let code = Some(text("error")).filter(is_code).map_or_else(String::new, |code| format!(": {code}"));
    let number = text("error_description")
        .strip_prefix("AADSTS")
        .map(|rest| rest.chars().take_while(char::is_ascii_digit).take(10).collect::<String>());
    match number.filter(|number| !number.is_empty()) {
        Some(number) => format!("{code} (AADSTS{number})"),
        None => code,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_life_of_a_token_is_a_number_or_a_text() {
        let seconds = |text: &str| life(&answer(text)).ok().map(|life| life.as_secs());
        assert_eq!(seconds(r#"{"expires_in":3599}"#), Some(3_599));
        assert_eq!(seconds(r#"{"expires_in":"3599"}"#), Some(3_599));
        assert_eq!(seconds(r#"{"expires_in":99999999999}"#), Some(86_400), "a longer life is not believed");
        assert_eq!(seconds(r#"{"expires_on":"1"}"#), Some(0));
        for text in ["{}", r#"{"expires_in":-1}"#, r#"{"expires_in":"soon"}"#, r#"{"expires_in":null}"#] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_token_is_renewed_before_it_ends() {
        let asked = Instant::now();
        for (life, renew, end) in [(3_600, 3_300, 3_540), (600, 300, 540), (100, 50, 90), (0, 0, 0)] {
            let found = times(asked, Duration::from_secs(life));
            let after = |time: Instant| time.duration_since(asked).as_secs();
            assert_eq!((after(found.renew), after(found.end)), (renew, end), "{life}");
        }
    }

    #[test]
    fn an_answer_is_told_by_its_codes_only() {
        let entra = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret s3cret"}"#;
        assert_eq!(reason(entra.as_bytes()), ": invalid_client (AADSTS7000215)");
        for text in ["s3cret", r#"{"error":"S3cret s3cret"}"#, r#"{"error":{"code":"s3cret"}}"#, r#"["s3cret"]"#] {
            assert_eq!(reason(text.as_bytes()), "", "{text}");
        }
    }
}
