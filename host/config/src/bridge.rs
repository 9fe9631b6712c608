//! Reads a `[[bots.NAME.plugins]]` entry with `bridge`: a bot in a process of its own, as the last handler.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use url::{Host, Url};

use super::bots::{bad_name, limits};
use super::table::Table;
use super::text::is_name;
use super::{Limits, OnFailure, PluginSpec};

/// A bot of another SDK that gets what no plugin has handled.
#[derive(Debug, Clone, PartialEq)]
pub struct Bridge {
    /// `name`, unique within the bot. Default: `bridge`.
    pub name: Arc<str>,
    /// `bridge`: the messaging endpoint of the other bot. `http` is for loopback only.
    pub url: Url,
    /// `bridge-callback`: the URL at which the other bot reaches the public listener. Default: the address of the listener.
    pub callback: Option<Arc<str>>,
    /// `bridge-app-id`: the app id of the other bot. Calls to it carry a token that the host signs. Default: none, so that
    /// calls are anonymous.
    pub app_id: Option<Arc<str>>,
    /// `bridge-settle-ms`, default 0: how long a turn waits for sends after the other bot has answered. For bots that
    /// answer before their turn ends.
    pub settle: Duration,
    /// `bridge-wait-ms`, default 120,000: how long a turn waits for the other bot while that is down.
    pub wait: Duration,
    /// `on-failure`, default `fail-turn`.
    pub on_failure: OnFailure,
    /// `grants.conversations`, default false: the other bot may read and remove members, create conversations and use
    /// the other calls of the connector.
    pub conversations: bool,
    /// `limits`: `wall-ms`, `sends-per-turn` and `bytes-per-send` apply.
    pub limits: Limits,
}

/// Reads an entry. `earlier` are the plugins before it.
pub(super) fn bridge(mut table: Table<'_>, bot_limits: &Limits, earlier: &[PluginSpec]) -> Option<Bridge> {
    let url = url(&mut table);
    if table.has("component") {
        table.problem(
            table.span_of("component"),
            format!("`{}` and `bridge` exclude each other; make them two entries", table.path("component")),
        );
        table.value("component");
    }
    let name = name(&mut table, earlier);
    let callback = callback(&mut table, url.as_ref());
    let app_id = app_id(&mut table);
    let (mut settle, mut wait) = (Duration::ZERO, Duration::from_millis(120_000));
    table.millis("bridge-settle-ms", &mut settle, 0..=60_000);
    table.millis("bridge-wait-ms", &mut wait, 0..=3_600_000);
    let mut on_failure = OnFailure::FailTurn;
    let choices = [("fail-turn", OnFailure::FailTurn), ("continue", OnFailure::Continue)];
    table.choice("on-failure", &mut on_failure, &choices);
    let mut conversations = false;
    let mut grants = table.table("grants");
    grants.bool("conversations", &mut conversations);
    grants.finish();
    let limits = limits(table.table("limits"), bot_limits);
    table.finish();
    Some(Bridge { name: name?, url: url?, callback, app_id, settle, wait, on_failure, conversations, limits })
}

fn url(table: &mut Table<'_>) -> Option<Url> {
    let (text, span) = table.string("bridge")?;
    let path = table.path("bridge");
    let read = http_url(text).and_then(|url| match url.scheme() == "https" || is_loopback(&url) {
        true => Ok(url),
        false => Err("has plain `http` to another machine; use `https`, or an address of loopback".to_owned()),
    });
    read.map_err(|why| table.problem(span, format!("`{path}` {why}"))).ok()
}

fn callback(table: &mut Table<'_>, bridge: Option<&Url>) -> Option<Arc<str>> {
    let Some((text, span)) = table.string("bridge-callback") else {
        if bridge.is_some_and(|url| !is_loopback(url)) && !table.has("bridge-callback") {
            let message = "is missing; the other bot is on another machine, so it needs a URL of the public listener";
            table.problem(table.span_of("bridge"), format!("`{}` {message}", table.path("bridge-callback")));
        }
        return None;
    };
    match http_url(text) {
        Ok(_) => Some(text.trim_end_matches('/').into()),
        Err(why) => {
            table.problem(span, format!("`{}` {why}", table.path("bridge-callback")));
            None
        }
    }
}

fn app_id(table: &mut Table<'_>) -> Option<Arc<str>> {
    let (text, span) = table.string("bridge-app-id")?;
    if text.is_empty() || text.len() > 128 || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        table.problem(span, format!("`{}` is not an app id, such as a GUID", table.path("bridge-app-id")));
        return None;
    }
    Some(text.into())
}

fn name(table: &mut Table<'_>, earlier: &[PluginSpec]) -> Option<Arc<str>> {
    let (name, span): (&str, Range<usize>) = match table.string("name") {
        Some(typed) => typed,
        None if table.has("name") => return None,
        None => ("bridge", table.span()),
    };
    if !is_name(name) {
        table.problem(span, bad_name("plugin", name));
        return None;
    }
    if earlier.iter().any(|plugin| *plugin.name == *name) {
        table.problem(span, format!("the bot already has a plugin \"{name}\"; give the bridge another `name`"));
        return None;
    }
    Some(name.into())
}

/// Reads a URL without user name, query and fragment.
fn http_url(text: &str) -> Result<Url, String> {
    let url =
        Url::parse(text).map_err(|_| "is not a URL, such as \"http://127.0.0.1:3999/api/messages\"".to_owned())?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("is not an `http` or `https` URL".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err("must have no user name, query or fragment".to_owned());
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}
