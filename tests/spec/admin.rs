//! The admin API: its answers, its operations and its errors.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::raw::{self, request};
use crate::support::{Config, Connector, Host, message, within};

/// A host with two bots.
async fn start() -> Option<Host> {
    Host::start(Config::new().bot("echo", &["echo"]).bot("bot", &["hostile"])).await
}

async fn get(host: &Host, path: &str) -> Value {
    let answer = host.admin("GET", path, Vec::new()).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text);
    answer.json()
}

async fn post(host: &Host, path: &str) -> (u16, Value) {
    let answer = host.admin("POST", path, Vec::new()).await;
    (answer.status, answer.json())
}

/// Health and readiness need no token.
async fn probe(host: &Host, path: &str) -> (u16, Value) {
    let answer = raw::send(&host.admin_url(), &request("GET", path, &[("Host", "localhost")], "")).await;
    (answer.status, serde_json::from_str(&answer.body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_are_listed_by_name_and_shown_alike() {
    let Some(host) = start().await else { return };
    let bots = get(&host, "/v1/bots").await;
    let names: Vec<&Value> = bots.as_array().unwrap().iter().map(|bot| &bot["name"]).collect();
    assert_eq!(names, ["bot", "echo"]);
    assert_eq!(get(&host, "/v1/bots/echo").await, bots[1]);
    assert_eq!(
        (&bots[1]["enabled"], &bots[1]["generation"], &bots[1]["last_failure"]),
        (&json!(true), &json!(1), &Value::Null)
    );
    let plugin = &bots[1]["plugins"][0];
    assert_eq!(plugin["name"], "echo");
    assert_eq!(plugin["digest"].as_str().unwrap().rsplit(':').next().unwrap().len(), 64, "{plugin:#}");
    assert!(plugin["describes"].as_str().unwrap().starts_with("echo "), "{plugin:#}");
}

/// A disabled bot accepts nothing, not even into its queue. After it is enabled it serves the same generation.
#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_turned_off_and_on() {
    let Some(host) = start().await else { return };
    let (status, off) = post(&host, "/v1/bots/echo/disable").await;
    assert_eq!((status, &off["enabled"]), (200, &json!(false)));
    let refused = host.post("echo", &message("hi")).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (503, &json!("ServiceUnavailable")));
    host.bot("bot").says("hi").replies("ok: hi").await;
    assert_eq!(probe(&host, "/readyz").await.0, 200, "a disabled bot is waited for by nobody");

    let (status, on) = post(&host, "/v1/bots/echo/enable").await;
    assert_eq!((status, &on["enabled"], &on["generation"]), (200, &json!(true), &json!(1)));
    host.bot("echo").says("hi").replies("Echo: hi").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_reads_the_file_again() {
    let config = Config::new().set("runtime.watch", "false").bot("echo", &["echo"]).bot("bot", &["hostile"]);
    let Some(host) = Host::start(config).await else { return };
    let (status, same) = post(&host, "/v1/bots/echo/reload").await;
    assert_eq!((status, &same["from"], &same["to"]), (200, &json!(1), &json!(1)), "{same:#}");

    std::fs::copy(host.component("hostile"), host.component("echo")).unwrap();
    let (status, swap) = post(&host, "/v1/bots/echo/reload").await;
    assert_eq!((status, &swap["from"], &swap["to"]), (200, &json!(1), &json!(2)), "{swap:#}");
    host.bot("echo").says("hi").replies("ok: hi").await;

    std::fs::write(host.component("echo"), "no component").unwrap();
    let (status, failed) = post(&host, "/v1/bots/echo/reload").await;
    assert_eq!((status, &failed["error"]["code"]), (422, &json!("Unfit")), "{failed:#}");
    assert!(!failed["error"]["problems"].as_array().unwrap().is_empty(), "{failed:#}");
    assert_eq!(get(&host, "/v1/bots/echo").await["last_failure"]["cause"], "reload");
    host.bot("echo").says("still").replies("ok: still").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_tell_alive_and_ready_apart() {
    let Some(host) = start().await else { return };
    assert_eq!(probe(&host, "/healthz").await, (200, json!({ "status": "ok" })));
    assert_eq!(probe(&host, "/readyz").await, (200, json!({ "ready": true, "waiting": [], "store": "ok" })));
    drop(host);

    let config = Config::new().bot("broken", &[]).plugin("broken", "hostile", "settings.describe = 'trap'");
    let Some(host) = Host::start(config.bot("bot", &["hostile"])).await else { return };
    assert_eq!(probe(&host, "/healthz").await.0, 200);
    assert_eq!(probe(&host, "/readyz").await, (503, json!({ "ready": false, "waiting": ["broken"], "store": "ok" })));
    post(&host, "/v1/bots/broken/disable").await;
    assert_eq!(probe(&host, "/readyz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_a_code_and_say_what_to_do() {
    let Some(host) = start().await else { return };
    for (method, path, status, code) in [
        ("GET", "/v1/bots/nobody", 404, "BotNotFound"),
        ("GET", "/v1/bots/nobody/turns", 404, "BotNotFound"),
        ("GET", "/v1/bots/nobody/dead-letters", 404, "BotNotFound"),
        ("POST", "/v1/bots/nobody/reload", 404, "BotNotFound"),
        ("POST", "/v1/bots/nobody/enable", 404, "BotNotFound"),
        ("POST", "/v1/bots/nobody/rollback", 404, "BotNotFound"),
        ("PUT", "/v1/bots/nobody/plugins/echo", 404, "BotNotFound"),
        ("PUT", "/v1/bots/echo/plugins/nobody", 404, "PluginNotFound"),
        ("PUT", "/v1/bots/echo/plugins/echo", 422, "Unfit"),
        ("POST", "/v1/bots/echo/rollback", 409, "Conflict"),
        ("DELETE", "/v1/bots/echo", 405, "MethodNotAllowed"),
        ("GET", "/v2/bots", 404, "NotFound"),
    ] {
        let answer = host.admin(method, path, Vec::new()).await;
        let error = answer.json()["error"].clone();
        assert_eq!((answer.status, &error["code"]), (status, &json!(code)), "{method} {path}: {}", answer.text);
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{method} {path}");
        assert_eq!(answer.json().as_object().unwrap().len(), 1, "{}", answer.text);
    }
}

/// Dashboards depend on these names. If you change them on purpose, copy the output of this spec into the golden file.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_keep_their_names() {
    let config = Config::new().set("channel.rates.test", "{ conversation = ['2/24h'] }");
    let Some(host) = Host::start(config.bot("echo", &["echo"]).bot("bot", &["hostile"])).await else { return };
    let connector = Connector::start().await;
    let mut activity = connector.message("hi");
    // The second reply is delivered after the first was counted. The third has to wait because of the rate.
    for id in ["one", "two", "three"] {
        activity["id"] = id.into();
        host.post("bot", &activity).await;
    }
    let throttled = "turntable_deliveries_throttled_total{bot=\"bot\"} 1";
    let waits = async { while !host.admin("GET", "/metrics", Vec::new()).await.text.contains(throttled) {} };
    within("the third to wait", waits).await;
    let mut foreign = message("hi");
    foreign["serviceUrl"] = "http://192.0.2.1".into();
    host.post("echo", &foreign).await;
    host.dead_letter("echo", &foreign).await;
    host.deploy("bot", "hostile", std::fs::read(host.component("echo")).unwrap()).await;
    host.deploy("bot", "hostile", b"no component".to_vec()).await;

    let text = host.admin("GET", "/metrics", Vec::new()).await.text;
    let mut kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    kinds.sort_unstable();
    let mut found = String::new();
    for kind in kinds {
        writeln!(found, "{kind}").unwrap();
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/data/metrics.txt");
    let golden = std::fs::read_to_string(golden).unwrap_or_default();
    assert!(found == golden, "tests/data/metrics.txt should be\n{found}");
    assert!(
        text.contains("turntable_plugin_calls_total{bot=\"bot\",plugin=\"hostile\",outcome=\"handled\"} 3"),
        "{text}"
    );
}
