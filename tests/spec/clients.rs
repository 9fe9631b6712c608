//! Unmodified clients against the local channel: npm clients under Node, and the chat page in Chromium.
//!
//! The scripts are in `tests/clients`. A script exits with 0 if all checks passed, and with 3 if it found no browser.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{Config, Host, skip};

/// Longer than every timeout in a script, so that the script itself can report what did not happen.
const SCRIPT_MAX: Duration = Duration::from_secs(300);
const NO_BROWSER: i32 = 3;
/// The grants of the plugin `travel`.
const TRAVELS: &str = "grants = { state = ['user'], dialogs = true }";

#[tokio::test(flavor = "multi_thread")]
async fn the_npm_direct_line_client_talks_to_a_bot() {
    if !can_run() {
        return;
    }
    let config = Config::new().set("server.mode", "'development'").bot("echo", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    run("directlinejs.mjs", &[host.url("").as_ref(), "echo".as_ref()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn web_chat_talks_to_a_bot_from_an_origin_that_is_allowed() {
    if !can_run() {
        return;
    }
    // The script serves the page with Web Chat. A port that is free now is expected to be free a moment later.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origin = format!("http://{free}");
    let config = Config::new()
        .set("server.mode", "'development'")
        .set("server.allowed-origins", &format!("['{origin}']"))
        .bot("bot", &[])
        .plugin("bot", "help", "settings.text = 'Say anything.'")
        .plugin("bot", "welcome", "")
        .plugin("bot", "echo", "")
        .bot("told", &[])
        .plugin("told", "travel", TRAVELS)
        .plugin("told", "hostile", "");
    let Some(host) = Host::start(config).await else { return };
    run("webchat.mjs", &[host.url("").as_ref(), "bot".as_ref(), origin.as_ref(), "told".as_ref()]).await;
}

/// The Playground's connector answers DELETE with 501, which gives a dead letter. Everything else arrives.
#[tokio::test(flavor = "multi_thread")]
async fn the_agents_playground_is_a_channel() {
    if !can_run() {
        return;
    }
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = Config::new()
        .set("channel.connector-origins", &format!("['http://localhost:{free}']"))
        .bot("bot", &[])
        .plugin("bot", "cancel", "grants = { dialogs = true }")
        .plugin("bot", "travel", TRAVELS)
        .plugin("bot", "hostile", "");
    let Some(host) = Host::start(config).await else { return };
    let endpoint = host.url("/api/bots/bot/messages");
    if !run("playground.mjs", &[endpoint.as_ref(), free.to_string().as_ref()]).await {
        return;
    }
    let letters = host.admin("GET", "/v1/bots/bot/dead-letters", Vec::new()).await.json();
    let actions: Vec<&Value> = letters.as_array().unwrap().iter().map(|letter| &letter["action"]).collect();
    assert_eq!(actions, ["delete"], "{letters:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chat_page_works_by_keyboard_and_on_a_phone() {
    if !can_run() {
        return;
    }
    let config = Config::new()
        .set("server.mode", "'development'")
        .set("server.host-names", "['turntable.test']")
        .bot("bot", &["welcome", "hostile"]);
    let Some(host) = Host::start(config).await else { return };
    run("page.mjs", &[host.url("/").as_ref(), "bot".as_ref(), &host.component("hostile")]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chat_page_shows_markdown_and_runs_none_of_it() {
    if !can_run() {
        return;
    }
    let config = Config::new().set("server.mode", "'development'").bot("echo", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    run("markdown.mjs", &[host.url("/").as_ref()]).await;
}

/// Node counts the steps, so this needs neither a browser nor a host.
#[tokio::test(flavor = "multi_thread")]
async fn markdown_takes_steps_in_proportion_to_the_text() {
    if !can_run() {
        return;
    }
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/page");
    run("markdown-steps.mjs", &[page.as_ref()]).await;
}

/// Runs a script. The spec fails or skips as the script's exit code says. Returns true if the script ran and all checks passed.
pub(super) async fn run(script: &str, args: &[&Path]) -> bool {
    let mut command = Command::new("node");
    command.arg(folder().join(script)).args(args).stdin(Stdio::null()).kill_on_drop(true);
    let output: Output = timeout(SCRIPT_MAX, command.output()).await.expect("the script ends").expect("node starts");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.code() {
        Some(0) => true,
        Some(NO_BROWSER) => {
            skip(said(&output.stderr).trim());
            false
        }
        _ => panic!("{script}: {}\n{}\n{}", output.status, said(&output.stdout), said(&output.stderr)),
    }
}

/// Returns true if node and the packages are installed, or prints what is missing.
pub(super) fn can_run() -> bool {
    let has_node = std::process::Command::new("node").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !has_node {
        skip("node is not installed");
    } else if !folder().join("node_modules").is_dir() {
        skip("the npm clients are not installed; `make clients` does it");
    } else {
        return true;
    }
    false
}

/// Returns the folder of the clients.
pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/clients")
}
