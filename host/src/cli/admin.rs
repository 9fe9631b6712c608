//! Client of the admin API of a running host.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use reqwest::{Client, Method, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::terminal::printable;
use crate::config;
use crate::registry::{BotStatus, Rehearsal, Swap};

/// Time limit of a call. A deployment compiles, which may take two minutes by default (`runtime.compile-ms`).
const CALL_TIMEOUT: Duration = Duration::from_secs(300);
/// The largest allowed `runtime.component-bytes-max`.
const COMPONENT_BYTES_MAX: u64 = 1 << 30;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments that locate the admin API.
#[derive(Debug, clap::Args)]
pub(super) struct AdminArgs {
    /// Configuration of the running host, to find address and token of its admin API; ignored if both are given
    #[arg(long, value_name = "FILE", default_value = "turntable.toml")]
    config: PathBuf,
    /// Address of the admin API [default: `admin.listen` of the configuration]
    #[arg(long, env = "TURNTABLE_ADMIN_URL", hide_env_values = true, value_name = "URL")]
    admin_url: Option<String>,
    /// File with the token of the admin API [default: `admin.token-file` of the configuration]
    #[arg(long, env = "TURNTABLE_TOKEN_FILE", hide_env_values = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// An error response of the host.
#[derive(Debug, Deserialize)]
pub(super) struct Refused {
    /// The error code.
    pub(super) code: String,
    /// The error text, for people.
    pub(super) message: String,
    /// The individual problems, if there are several.
    #[serde(default)]
    pub(super) problems: Vec<String>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", printable(&self.message), printable(&self.code))?;
        self.problems.iter().try_for_each(|problem| write!(f, "\n  - {}", printable(problem)))
    }
}

impl std::error::Error for Refused {}

/// The admin API of one host.
pub(super) struct Admin {
    client: Client,
    base: Url,
    token: String,
    token_file: PathBuf,
}

impl Admin {
    /// Determines the address and the token. Does not connect yet.
    pub(super) fn find(args: &AdminArgs) -> anyhow::Result<Self> {
        let (url, token_file) = match (&args.admin_url, &args.token_file) {
            (Some(url), Some(file)) => (url.clone(), file.clone()),
            (url, file) => {
                let (configured_url, configured_file) = configured(&args.config)?;
                let url = url.clone().or(configured_url);
                (url.with_context(|| unknown_address(&args.config))?, file.clone().unwrap_or(configured_file))
            }
        };
        let base = Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        let base = base.with_context(|| format!("`{url}` is not a URL such as http://127.0.0.1:3979"))?;
        let token = fs::read_to_string(&token_file).with_context(|| {
            format!("cannot read the admin token {}; the host creates it when it starts", token_file.display())
        })?;
        Ok(Self { client: client()?, base, token: token.trim().to_owned(), token_file })
    }

    /// Returns the status of all bots.
    pub(super) async fn bots(&self) -> anyhow::Result<Vec<BotStatus>> {
        self.call(Method::GET, &["bots"], None).await
    }

    /// Returns the status of one bot.
    pub(super) async fn bot(&self, bot: &str) -> anyhow::Result<BotStatus> {
        self.call(Method::GET, &["bots", bot], None).await
    }

    /// Deploys a component.
    pub(super) async fn deploy(&self, bot: &str, plugin: &str, component: Vec<u8>) -> anyhow::Result<Swap> {
        self.call(Method::PUT, &["bots", bot, "plugins", plugin], Some(component)).await
    }

    /// Makes a dry run of a deployment.
    pub(super) async fn rehearse(&self, bot: &str, plugin: &str, component: Vec<u8>) -> anyhow::Result<Rehearsal> {
        let admin = self.with_query(Some("dry-run=true"));
        admin.call(Method::PUT, &["bots", bot, "plugins", plugin], Some(component)).await
    }

    /// Calls `reload` or `rollback` of a bot.
    pub(super) async fn swap(&self, bot: &str, action: &str) -> anyhow::Result<Swap> {
        self.call(Method::POST, &["bots", bot, action], None).await
    }

    /// Enables or disables a bot.
    pub(super) async fn set_enabled(&self, bot: &str, enabled: bool) -> anyhow::Result<BotStatus> {
        self.call(Method::POST, &["bots", bot, if enabled { "enable" } else { "disable" }], None).await
    }

    /// Returns the dead letters of a bot, as JSON of the admin API.
    pub(super) async fn dead_letters(&self, bot: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        self.call(Method::GET, &["bots", bot, "dead-letters"], None).await
    }

    /// Retries a dead letter, or deletes it.
    pub(super) async fn end_dead_letter(&self, bot: &str, sequence: u64, retry: bool) -> anyhow::Result<()> {
        let sequence = sequence.to_string();
        let path = ["bots", bot, "dead-letters", &sequence, "retry"];
        let (method, path) = if retry { (Method::POST, &path[..]) } else { (Method::DELETE, &path[..4]) };
        self.call::<serde_json::Value>(method, path, None).await.map(drop)
    }

    /// Returns the Direct Line secrets of a bot that exist, without their text.
    pub(super) async fn site_secrets(&self, bot: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        self.call(Method::GET, &["bots", bot, "directline", "secrets"], None).await
    }

    /// Makes a Direct Line secret, or revokes it.
    pub(super) async fn site_secret(&self, bot: &str, slot: u8, make: bool) -> anyhow::Result<serde_json::Value> {
        let method = if make { Method::POST } else { Method::DELETE };
        self.call(method, &["bots", bot, "directline", "secrets", &slot.to_string()], None).await
    }

    /// Sends a notification and returns its outcome.
    pub(super) async fn notify(&self, bot: &str, body: &serde_json::Value) -> anyhow::Result<serde_json::Value> {
        self.call(Method::POST, &["bots", bot, "notifications"], Some(body.to_string().into_bytes())).await
    }

    /// Returns a list of entries that belong to a bot, with all pages.
    pub(super) async fn list(&self, bot: &str, what: &str) -> anyhow::Result<Vec<serde_json::Value>> {
        let mut page = self.with_query(None);
        let mut all: Vec<serde_json::Value> = Vec::new();
        loop {
            let entries: Vec<serde_json::Value> = page.call(Method::GET, &["bots", bot, what], None).await?;
            let place = entries.last().and_then(|last| last["place"].as_u64());
            all.extend(entries);
            match place {
                Some(place) => page = self.with_query(Some(&format!("after={place}"))),
                None => return Ok(all),
            }
        }
    }

    /// Cancels a notification.
    pub(super) async fn cancel_notification(&self, bot: &str, id: &str) -> anyhow::Result<()> {
        self.call::<serde_json::Value>(Method::DELETE, &["bots", bot, "notifications", id], None).await.map(drop)
    }

    /// Calls a route of a bot and returns the JSON of the response.
    pub(super) async fn ask(
        &self,
        method: Method,
        bot: &str,
        route: &[&str],
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<serde_json::Value> {
        self.ask_for(method, bot, route, query, body).await
    }

    /// Like [`Admin::ask`], with a typed response.
    pub(super) async fn ask_for<T: DeserializeOwned>(
        &self,
        method: Method,
        bot: &str,
        route: &[&str],
        query: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<T> {
        let mut admin = self.with_query(None);
        if !query.is_empty() {
            admin.base.query_pairs_mut().extend_pairs(query);
        }
        admin.call(method, &[&["bots", bot], route].concat(), body).await
    }

    fn with_query(&self, query: Option<&str>) -> Self {
        let mut base = self.base.clone();
        base.set_query(query);
        Self { client: self.client.clone(), base, token: self.token.clone(), token_file: self.token_file.clone() }
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        body: Option<Vec<u8>>,
    ) -> anyhow::Result<T> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow!("{} cannot have a path", self.base))?
            .pop_if_empty()
            .push("v1")
            .extend(path);
        let mut request = self.client.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header(reqwest::header::CONTENT_TYPE, "application/wasm").body(body);
        }
        let response = request.send().await.with_context(|| {
            format!(
                "cannot reach the admin API at {}; check that the host runs and `admin.listen` is not \"off\"",
                self.base
            )
        })?;
        let unauthorized = response.status() == StatusCode::UNAUTHORIZED;
        answer(response).await.map_err(|error| match unauthorized {
            true => error.context(format!(
                "the host at {} does not accept the token in {}; name the configuration of that host with --config, or its \
                 token file with --token-file",
                self.base,
                self.token_file.display()
            )),
            false => error,
        })
    }
}

/// Returns an HTTP client without proxy and redirects, and with time limits.
pub(super) fn client() -> anyhow::Result<Client> {
    Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(CALL_TIMEOUT)
        .build()
        .context("cannot create an HTTP client")
}

/// Returns the JSON of a response, or the host's error as [`Refused`].
pub(super) async fn answer<T: DeserializeOwned>(response: Response) -> anyhow::Result<T> {
    #[derive(Deserialize)]
    struct Failure {
        error: Refused,
    }
    let (status, url) = (response.status(), response.url().clone());
    let body = response.bytes().await.with_context(|| format!("the response of {url} was interrupted"))?;
    if status.is_success() {
        return serde_json::from_slice(&body)
            .with_context(|| format!("{url} answered {status} with an unexpected body"));
    }
    match serde_json::from_slice::<Failure>(&body) {
        Ok(failure) => Err(failure.error.into()),
        Err(_) => bail!("{url} answered {status}"),
    }
}

/// Reads a component from a file of any kind, such as a pipe.
pub(super) fn read_component(path: &Path) -> anyhow::Result<Vec<u8>> {
    let say = || format!("cannot read the component {}", path.display());
    let mut component = Vec::new();
    let file = fs::File::open(path).with_context(say)?;
    file.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut component).with_context(say)?;
    if component.len() as u64 > COMPONENT_BYTES_MAX {
        bail!("{}: it is larger than the {COMPONENT_BYTES_MAX} bytes that a host accepts at most", say());
    }
    Ok(component)
}

/// Returns the admin URL, if the configuration fixes its port, and the token file.
fn configured(path: &Path) -> anyhow::Result<(Option<String>, PathBuf)> {
    let config = config::load_sections(path, &["admin", "runtime"]).map_err(|problems| {
        anyhow!("{problems}\nthe address of the host is unknown; name its configuration with --config, or give --admin-url and --token-file")
    })?;
    let url = config.admin.listen.filter(|address| address.port() != 0).map(|address| format!("http://{address}"));
    Ok((url, config.admin.token_file))
}

fn unknown_address(config: &Path) -> String {
    format!("{} has no fixed `admin.listen`; give --admin-url", config.display())
}
