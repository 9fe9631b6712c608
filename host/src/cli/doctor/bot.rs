//! Checks of registered bots: names, clock, keys, token, connectors, and the messaging endpoint.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{anyhow, bail};
use serde_json::Value;
use tokio::runtime::Handle;
use turntable_auth::{Auth, Identity, KeysProbe};
use url::Url;

use super::Finding;
use crate::config::{BotSpec, Config, Registration};

/// By how much the clock of this machine may differ from those of issuers.
const CLOCK_MAX: Duration = Duration::from_secs(60);
/// Time for a call to the messaging endpoint.
const ENDPOINT_MAX: Duration = Duration::from_secs(10);

/// Returns the findings about a bot, or about all.
pub(super) async fn findings(
    config: &Config,
    only: Option<&str>,
    endpoint: Option<&str>,
) -> anyhow::Result<Vec<Finding>> {
    if let Some(name) = only
        && !config.bots.contains_key(name)
    {
        let known: Vec<&str> = config.bots.keys().map(String::as_str).collect();
        bail!("{} has no bot `{name}`; it has {}", config.path.display(), known.join(", "));
    }
    let auth = Auth::new(&config.tls, Handle::current())?;
    let mut findings = Vec::new();
    for bot in config.bots.values().filter(|bot| only.is_none_or(|only| *bot.name == *only)) {
        findings.extend(of_bot(&auth, bot).await?.into_iter().map(|finding| finding.of(&bot.name)));
        if let Some(endpoint) = endpoint {
            findings.push(messaging_endpoint(bot, endpoint).await.of(&bot.name));
        }
    }
    Ok(findings)
}

async fn of_bot(auth: &Auth, bot: &BotSpec) -> anyhow::Result<Vec<Finding>> {
    let Some(registration) = &bot.registration else {
        let meaning = "the bot has no `app-id`, so it is served on loopback only and calls no channel";
        return Ok(vec![Finding::passed("registration", meaning)]);
    };
    auth.register(&bot.name, Some(registration))?;
    let identity = auth.identity(&bot.name).ok_or_else(|| anyhow!("the bot has no identity"))?;
    let meaning = format!("app {} in the cloud {}", registration.app_id, registration.cloud.name);
    let mut findings = vec![Finding::passed("registration", meaning)];
    let probes = identity.probe_keys().await;
    findings.push(names(registration).await);
    findings.extend(probes.iter().map(keys));
    findings.push(clock(&probes));
    findings.extend(outgoing(&identity, registration).await);
    Ok(findings)
}

/// Looks up the names of all servers of the cloud.
async fn names(registration: &Registration) -> Finding {
    let cloud = &registration.cloud;
    let mut failed = Vec::new();
    for url in [&cloud.channel_metadata, &cloud.entra_metadata, &cloud.login] {
        let Some(host) = Url::parse(url).ok().and_then(|url| url.host_str().map(ToOwned::to_owned)) else { continue };
        let port = 443;
        if let Err(error) = tokio::net::lookup_host((host.trim_matches(['[', ']']), port)).await {
            failed.push(format!("{host}: {error}"));
        }
    }
    match failed.is_empty() {
        true => Finding::passed("dns", "the names of the cloud's servers are found"),
        false => Finding::failed("dns", failed.join("; "), "Check the resolver of this machine and its connection."),
    }
}

fn keys(probe: &KeysProbe) -> Finding {
    match &probe.answer {
        Ok((count, _)) => Finding::passed("keys", format!("{} leads to {count} keys", probe.metadata)),
        Err(error) => Finding::failed(
            "keys",
            format!("{} leads to no keys: {error:#}", probe.metadata),
            "Allow the host to call this server. If a proxy of yours replaces certificates, add its authority to \
             `tls.root-certificates`. Without keys the bot answers 503.",
        ),
    }
}

/// Compares the clock with the answers of key servers.
fn clock(probes: &[KeysProbe]) -> Finding {
    let dates = probes.iter().filter_map(|probe| probe.answer.as_ref().ok()?.1.as_deref());
    let Some(date) = dates.filter_map(|date| httpdate::parse_http_date(date).ok()).next() else {
        return Finding::skipped("clock", "no server said what time it is", "Make the check `keys` pass first.");
    };
    let now = SystemTime::now();
    let off = now.duration_since(date).unwrap_or_else(|error| error.duration());
    match off <= CLOCK_MAX {
        true => Finding::passed("clock", format!("the clock differs by {} s from that of a key server", off.as_secs())),
        false => Finding::failed(
            "clock",
            format!("the clock differs by {} s from that of a key server", off.as_secs()),
            "Set the clock, for example with NTP. From 300 s on, valid tokens are refused.",
        ),
    }
}

/// Gets a token, and calls the configured connectors with it.
async fn outgoing(identity: &Arc<Identity>, registration: &Registration) -> Vec<Finding> {
    let mut findings = Vec::new();
    if registration.credential.is_none() {
        let meaning = "the bot has no credential, so it can answer in HTTP responses only";
        findings.push(Finding::failed(
            "token",
            meaning,
            "Set `auth.secret`, `auth.certificate` or `auth.federated-token-file`.",
        ));
    } else {
        findings.push(match identity.probe_token().await {
            Ok(()) => Finding::passed("token", "the token server gave a token for channels"),
            Err(error) => Finding::failed(
                "token",
                format!("{error:#}"),
                "Check `app-id`, `auth.tenant` and the credential. AADSTS7000215 means a wrong secret, AADSTS7000222 an expired \
                 one, AADSTS700016 a wrong tenant.",
            ),
        });
    }
    let has_token = findings.iter().all(|finding| finding.outcome == super::Outcome::Passed);
    if registration.service_origins.is_empty() {
        let meaning = "no connector is configured; those of channels are known when they call";
        findings.push(Finding::skipped("connector", meaning, "Send the bot a message through its channel."));
    }
    for origin in &registration.service_origins {
        if !has_token {
            findings.push(Finding::skipped(
                "connector",
                format!("{origin} was not called"),
                "Make the check `token` pass first.",
            ));
            continue;
        }
        findings.push(match identity.probe_connector(origin).await {
            Ok(status @ (401 | 403)) => Finding::failed(
                "connector",
                format!("{origin} answered {status}"),
                "The connector does not accept the bot: check that its channel is connected to this app id.",
            ),
            Ok(status) => Finding::passed("connector", format!("{origin} answered {status}, so it accepts the token")),
            Err(error) => Finding::failed("connector", format!("{origin}: {error:#}"), "Allow the host to call it."),
        });
    }
    findings
}

/// Calls the messaging endpoint without a token.
async fn messaging_endpoint(bot: &BotSpec, endpoint: &str) -> Finding {
    const CHECK: &str = "endpoint";
    let answer = match ask(endpoint).await {
        Ok(answer) => answer,
        Err(error) => {
            let remedy = "Check the name, the certificate and the proxy in front of the host.";
            return Finding::failed(CHECK, format!("{endpoint}: {error:#}"), remedy);
        }
    };
    let (status, code) = (answer.0, answer.1.as_str());
    match (status, code, bot.registration.is_some()) {
        (401, "Unauthorized", true) => Finding::passed(CHECK, format!("{endpoint} asks for a token")),
        (421, ..) => Finding::failed(
            CHECK,
            format!("{endpoint} answered 421"),
            "Add the name in the URL to `server.host-names`, or let the proxy keep the `Host` of its own.",
        ),
        (404, ..) => Finding::failed(
            CHECK,
            format!("{endpoint} answered 404"),
            format!("Use the path /api/bots/{}/messages.", bot.name),
        ),
        _ => Finding::failed(
            CHECK,
            format!("{endpoint} answered {status} to a request without a token"),
            "The URL does not lead to a bot of this host that has an `app-id`.",
        ),
    }
}

/// Returns the status, and the code of the protocol's error body.
async fn ask(endpoint: &str) -> anyhow::Result<(u16, String)> {
    let client =
        reqwest::Client::builder().timeout(ENDPOINT_MAX).redirect(reqwest::redirect::Policy::none()).build()?;
    let request = client.post(endpoint).header("content-type", "application/json").body("{}");
    let response = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = response.status().as_u16();
    let body: Value = response.json().await.unwrap_or_default();
    Ok((status, body["error"]["code"].as_str().unwrap_or_default().to_owned()))
}
