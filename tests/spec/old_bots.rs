//! Bridged bots of unmodified SDKs: `botbuilder` and `@microsoft/agents-hosting` from npm, `botbuilder-core` from PyPI.
//!
//! The bots are `tests/clients/old-bot.mjs` and `tests/clients/old_bot.py`. They speak to nobody but the host.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::clients;
use crate::support::{Behaviour, Config, Connector, Host, expecting_replies, message, rounds, skip, turntable, within};

/// A bot of an SDK in a process of its own. Dropping it kills the process.
struct OldBot {
    sdk: &'static str,
    address: SocketAddr,
    child: Child,
}

impl OldBot {
    /// Starts a bot. None: its packages are not installed, which is then reported.
    async fn start(sdk: &'static str) -> Option<Self> {
        Self::start_with(sdk, &[]).await
    }

    /// Starts a bot with more arguments.
    async fn start_with(sdk: &'static str, more: &[&str]) -> Option<Self> {
        let address = free();
        let child = spawn(sdk, address, more)?;
        let mut bot = Self { sdk, address, child };
        bot.listens().await;
        Some(bot)
    }

    async fn listens(&mut self) {
        let mut lines = BufReader::new(self.child.stdout.take().unwrap()).lines();
        let listens = async { while lines.next_line().await.unwrap().expect("the bot starts") != "listening" {} };
        within("the start of the bot", listens).await;
    }

    /// Returns the entry of the configuration, with more TOML for it. The bot has all the time that it needs.
    fn entry(&self, more: &str) -> String {
        let time = "limits.wall-ms = 300000";
        format!("[[bots.bot.plugins]]\nbridge = 'http://{}/api/messages'\n{time}\n{more}\n", self.address)
    }

    /// Kills the bot with SIGKILL, and starts it again.
    async fn again(&mut self) {
        self.child.kill().await.unwrap();
        self.child = spawn(self.sdk, self.address, &[]).unwrap();
        self.listens().await;
    }

    async fn get(&self, path: &str) -> Value {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = within("the bot", client.get(format!("http://{}{path}", self.address)).send()).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default()
    }
}

/// Returns an address. A port that is free now is expected to be free a moment later.
fn free() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn spawn(sdk: &str, address: SocketAddr, more: &[&str]) -> Option<Child> {
    let folder = clients::folder();
    let mut command = if sdk == "python" {
        let python: PathBuf = folder.join("python/bin/python");
        if !python.is_file() {
            skip("the clients of PyPI are not installed; `make clients` does it");
            return None;
        }
        let mut command = Command::new(python);
        command.arg(folder.join("old_bot.py"));
        command
    } else {
        if !clients::can_run() {
            return None;
        }
        let mut command = Command::new("node");
        command.arg(folder.join("old-bot.mjs")).arg(sdk);
        command
    };
    command.arg(address.port().to_string()).args(more).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    Some(command.spawn().expect("the bot starts"))
}

/// A configuration in which callers wait for as long as a bot needs on a busy machine.
fn patient() -> Config {
    Config::new().set("server.expect-replies-deadline-ms", "120000").set("server.invoke-deadline-ms", "120000")
}

/// What works behind a bridge with every SDK.
async fn works(sdk: &'static str) -> Option<(OldBot, Host, Connector)> {
    let old = OldBot::start(sdk).await?;
    let config = patient().bot("bot", &[]).entry(&old.entry("grants = { conversations = true }"));
    let (host, connector) = (Host::start(config).await.unwrap(), Connector::start().await);
    host.bot("bot").says("hi").replies("Old: hi").says("two").replies("Old: one").replies("Old: two").await;
    host.bot("bot").says("edit").replies("Old: final").await;
    let mut arrival = message("");
    (arrival["type"], arrival["membersAdded"]) = ("conversationUpdate".into(), json!([{ "id": "ann" }]));
    host.bot("bot").sends(arrival).replies("Old: welcome").await;
    assert_eq!(host.post("bot", &connector.message("hi")).await.status, 200);
    assert_eq!(connector.calls(1).await[0].text(), "Old: hi");
    old.get("/proactive?text=later").await;
    let calls = connector.calls(2).await;
    assert_eq!((calls[1].text(), &calls[1].body["conversation"]), ("later", &calls[0].body["conversation"]));
    Some((old, host, connector))
}

/// The answer of an invoke passes through.
async fn invokes(host: &Host) {
    for (name, status, body) in [("echo", 200, json!({ "echo": { "a": 1 } })), ("other", 501, Value::Null)] {
        let mut invoke = message("");
        (invoke["type"], invoke["name"], invoke["value"]) = ("invoke".into(), name.into(), json!({ "a": 1 }));
        let answer = host.post("bot", &invoke).await;
        assert_eq!((answer.status, answer.json()), (status, body), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_of_botbuilder_for_javascript_works_behind_a_bridge() {
    let Some((_old, host, connector)) = works("botbuilder").await else { return };
    invokes(&host).await;
    let members = json!([{ "id": "ann" }, { "id": "bot" }]).to_string().into_bytes();
    connector.plan(Behaviour::Answer(200, "application/json", "", members));
    let activity = connector.message("members");
    let answer = host.post("bot", &activity).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let calls = connector.calls(4).await;
    assert_eq!(
        calls[2].path,
        format!("/v3/conversations/{}/members", activity["conversation"]["id"].as_str().unwrap())
    );
    assert_eq!(calls[3].text(), "Old: ann and bot");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_of_the_agents_sdk_works_behind_a_bridge() {
    let Some((_old, host, _connector)) = works("agents-hosting").await else { return };
    invokes(&host).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_of_botbuilder_for_python_works_behind_a_bridge() {
    let Some(_works) = works("python").await else { return };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_of_botbuilder_takes_the_tokens_of_the_host_for_those_of_its_channel() {
    const APP: &str = "44444444-4444-4444-4444-444444444444";
    let address = free();
    let issuer = format!("http://{address}/api/bots/bot/bridge");
    let Some(old) = OldBot::start_with("botbuilder", &[APP, &issuer]).await else { return };
    let entry = old.entry(&format!("bridge-app-id = '{APP}'"));
    let config = patient().set("server.listen", &format!("'{address}'")).bot("bot", &[]).entry(&entry);
    let Some(host) = Host::start(config).await else { return };
    invokes(&host).await;
    host.reconfigure("bot", &format!("bridge-app-id = '{APP}'"), "").await;
    let said = host.post("bot", &expecting_replies(message("hi"))).await.replies();
    assert!(said[0]["text"].as_str().unwrap().contains("something went wrong"), "{said:#?}");
    let record = host.last_turn("bot").await;
    assert!(record["calls"][0]["error"].as_str().unwrap().contains("bridge-app-id"), "{record:#}");
}

/// The bot counts nothing here: its own state dies with it. What counts is that each message is answered, and in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_is_killed_under_load_loses_no_message_and_no_order() {
    const CONVERSATIONS: usize = 4;
    let kills = rounds(1, 20);
    let Some(mut old) = OldBot::start("botbuilder").await else { return };
    let config = patient().set("server.acknowledge-ms", "100").bot("bot", &[]).entry(&old.entry(""));
    let (host, connector) = (Host::start(config).await.unwrap(), Connector::start().await);
    let mut sent = 0;
    for kill in 0..kills {
        for number in sent..sent + 10 {
            for conversation in 0..CONVERSATIONS {
                let mut activity = connector.message(&number.to_string());
                activity["conversation"]["id"] = format!("c{conversation}").into();
                let status = host.post("bot", &activity).await.status;
                assert!(matches!(status, 200 | 202), "{status}");
            }
            if number == sent + 4 {
                old.again().await;
            }
        }
        sent += 10;
        connector.calls(sent * CONVERSATIONS).await;
        println!("killed {} times, {} messages", kill + 1, sent * CONVERSATIONS);
    }
    for conversation in 0..CONVERSATIONS {
        let path = format!("/c{conversation}/");
        let calls = connector.calls_now();
        let said: Vec<_> = calls.iter().filter(|call| call.path.contains(&path)).map(|call| call.text()).collect();
        let wanted: Vec<_> = (0..sent).map(|number| format!("Old: {number}")).collect();
        assert_eq!(said, wanted, "c{conversation}");
    }
}

/// A user is in a dialog of the old bot. Its state is imported, a component takes the dialog over, and the user goes on where
/// they were. Everything else stays with the old bot.
#[tokio::test(flavor = "multi_thread")]
async fn a_dialog_moves_into_a_component_while_a_user_is_in_it() {
    let Some(mut old) = OldBot::start("botbuilder").await else { return };
    let config = patient().bot("other", &["scripted"]).bot("bot", &[]).entry(&old.entry(""));
    let Some(mut host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    let mut message = connector.message("ask");
    for (number, (says, hears)) in [("ask", "Where to?"), ("Rome", "When?")].into_iter().enumerate() {
        (message["text"], message["id"]) = (says.into(), format!("old-{number}").into());
        assert_eq!(host.post("bot", &message).await.status, 200);
        assert_eq!(connector.calls(number + 1).await[number].text(), hears);
    }

    host.ends().await;
    let state = old.get("/state").await;
    let component = "[[bots.bot.plugins]]\ncomponent = 'components/scripted.wasm'\n\
                     grants = { state = ['conversation'], dialogs = true }\n";
    host.edit("[[bots.bot.plugins]]\n", &format!("{component}[[bots.bot.plugins]]\n"));
    let imported = import(&host, &state, &["--dry-run"]);
    assert_eq!((&imported["conversations"], &imported["values"]["imported"]), (&json!(1), &json!(1)), "{imported:#}");
    assert_eq!(import(&host, &state, &[])["values"]["imported"], 1);
    let again = import(&host, &state, &[]);
    assert_eq!((&again["values"]["imported"], &again["values"]["known"]), (&json!(0), &json!(1)), "{again:#}");
    // The next version of the old bot has no such dialog.
    old.again().await;
    host.again(None).await;

    message["deliveryMode"] = "expectReplies".into();
    (message["text"], message["id"]) = ("get conversation DialogState".into(), "look".into());
    let found = host.post("bot", &message).await.replies();
    let found: Value = serde_json::from_str(found[0]["text"].as_str().unwrap()).unwrap();
    let city = found["dialogStack"][0]["state"]["values"]["city"].as_str().unwrap();
    let steps = json!([
        { "kind": "wait", "say": format!("When to {city}?"), "quiet": true },
        { "kind": "done", "say": format!("Booked {city}"), "quiet": true }
    ]);
    let body = json!({
        "target": { "channel": "test", "conversation": message["conversation"]["id"] }, "mode": "interrupt",
        "dialog": { "plugin": "scripted", "id": "script" }, "options": { "steps": steps }
    });
    let begun = host.admin("POST", "/v1/bots/bot/notifications", body.to_string().into_bytes()).await;
    assert!(matches!(begun.status, 200 | 202), "{}", begun.text);
    assert_eq!(connector.calls(3).await[2].text(), "When to Rome?");
    for (says, hears) in [("tomorrow", "Booked Rome"), ("pass", "Old: pass")] {
        (message["text"], message["id"]) = (says.into(), says.into());
        let replies = host.post("bot", &message).await.replies();
        assert_eq!(replies.last().unwrap()["text"], hears, "{replies:#?}");
    }
}

/// Imports a state into the plugin `scripted` and returns the report.
fn import(host: &Host, state: &Value, more: &[&str]) -> Value {
    host.write_secret("state.json", &state.to_string());
    let place = |path: PathBuf| path.to_str().unwrap().to_owned();
    let (config, file) = (place(host.config()), place(host.config().with_file_name("state.json")));
    let mut words = vec!["import", "bot-state", &file, "--bot", "bot", "--plugin", "scripted", "--json"];
    words.extend(["--config", &config]);
    words.extend(more);
    let ended = turntable(&words, "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).unwrap()
}
