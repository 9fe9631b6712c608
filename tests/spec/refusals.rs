//! Refusals: a client can read the reason even while it still sends, and the connection continues or is announced to end.

use std::process::Stdio;

use reqwest::Version;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::raw::{self, RawAnswer, exchange, request};
use crate::support::{Config, Connector, Host, message, skip, within};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const HOST: (&str, &str) = ("Host", "localhost");

async fn start() -> Option<Host> {
    let config = Config::new().set("server.mode", "'development'").set("server.default-bot", "'bot'");
    let config = config.bot("bot", &["echo"]).bot("secret", &[]);
    let config =
        config.set("clouds.none", "{ channel-metadata = 'http://127.0.0.1:9', entra-metadata = 'http://127.0.0.1:9' }");
    let config = config.bot_key("app-id", "'00000000-0000-0000-0000-000000000001'").bot_key("auth.cloud", "'none'");
    Host::start(config.plugin("secret", "echo", "")).await
}

/// Requests that are answered before their body is read: listener, method, path, headers, status.
type Refused = (&'static str, &'static str, &'static str, Vec<(&'static str, &'static str)>, u16);

fn refused() -> Vec<Refused> {
    let generate = "/v3/directline/tokens/generate";
    vec![
        ("public", "POST", "/api/bots/secret/messages", vec![HOST, JSON], 401),
        ("public", "POST", "/api/bots/nobody/messages", vec![HOST, JSON], 404),
        ("public", "POST", "/nothing", vec![HOST, JSON], 404),
        ("public", "PUT", "/api/messages", vec![HOST, JSON], 405),
        ("public", "DELETE", "/api/bots/bot/messages", vec![HOST, JSON], 405),
        ("public", "POST", "/api/bots/bot/messages", vec![HOST, ("Content-Type", "text/plain")], 415),
        ("public", "POST", "/api/bots/bot/messages", vec![HOST], 415),
        ("public", "POST", "/api/bots/bot/messages", vec![HOST, JSON, ("Content-Encoding", "gzip")], 415),
        ("public", "POST", "/api/bots/bot/messages", vec![HOST, JSON, ("Origin", "https://evil.example")], 403),
        ("public", "POST", "/api/bots/bot/messages", vec![("Host", "evil.example"), JSON], 421),
        ("public", "POST", "/api/bots/bot/notifications", vec![HOST, JSON], 401),
        ("public", "POST", generate, vec![HOST, ("Content-Type", "text/plain")], 415),
        ("public", "POST", generate, vec![HOST, JSON, ("Content-Encoding", "br")], 415),
        ("public", "POST", generate, vec![HOST, JSON, ("Origin", "https://evil.example")], 403),
        ("public", "POST", "/v3/directline/tokens/refresh", vec![HOST, JSON], 401),
        ("public", "POST", "/v3/directline/conversations", vec![HOST, JSON], 401),
        ("public", "POST", "/v3/directline/conversations/c/activities", vec![HOST, JSON], 401),
        ("public", "POST", "/v3/directline/conversations/c/upload", vec![HOST, ("Content-Type", "image/png")], 401),
        ("public", "PUT", "/v3/directline/conversations", vec![HOST, JSON], 405),
        ("public", "POST", "/page.js", vec![HOST, JSON], 405),
        ("admin", "PUT", "/v1/bots/bot/plugins/echo", vec![HOST], 401),
        ("admin", "POST", "/v1/bots/bot/notifications", vec![HOST, JSON], 401),
        ("admin", "POST", "/healthz", vec![HOST], 405),
        ("admin", "POST", "/v1/nothing", vec![HOST], 404),
        ("admin", "POST", "/v1/bots", vec![("Host", "evil.example")], 421),
    ]
}

/// More than the bytes that arrive with the head of a request.
fn large() -> String {
    "x".repeat(1 << 20)
}

fn is_closed(answer: &RawAnswer) -> bool {
    answer.headers.get("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_body_is_dropped_and_its_connection_goes_on() {
    let Some(host) = start().await else { return };
    let body = large();
    for (listener, method, path, headers, status) in refused() {
        let what = format!("{method} {path} {headers:?}");
        let url = if listener == "admin" { host.admin_url() } else { host.url("") };
        let mut stream = raw::connect(&url).await;
        let refused = exchange(&mut stream, &request(method, path, &headers, &body)).await;
        assert_eq!(refused.status, status, "{what}: {refused:?}");
        assert!(!refused.code().is_empty() && !is_closed(&refused), "{what}: {refused:?}");
        let next = exchange(&mut stream, &request("GET", "/nothing", &[HOST], "")).await;
        assert_eq!(next.status, 404, "{what}: the next request on the connection");
    }
}

/// If the body never arrives or its sender waits for `100 Continue`, the answer is sent and announces the end of the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_a_body_that_does_not_come_ends_the_connection_aloud() {
    let Some(host) = start().await else { return };
    for (more, why) in [
        ("Content-Length: 5000000\r\n", "silent"),
        ("Transfer-Encoding: chunked\r\n", "silent, in chunks"),
        ("Content-Length: 5\r\nExpect: 100-continue\r\n", "waiting for «100 Continue»"),
    ] {
        let head = request("POST", "/nothing", &[HOST, JSON], "").replace("\r\n\r\n", &format!("\r\n{more}\r\n"));
        let mut stream = raw::connect(&host.url("")).await;
        let refused = exchange(&mut stream, &head).await;
        assert_eq!((refused.status, is_closed(&refused)), (404, true), "{why}: {refused:?}");
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0, "{why}");
    }
    // A request that is accepted gets `100 Continue`.
    let mut activity = message("hi");
    activity["deliveryMode"] = "expectReplies".into();
    let body = activity.to_string();
    let headers = [HOST, JSON, ("Expect", "100-continue"), ("Content-Length", &body.len().to_string())];
    let mut stream = raw::connect(&host.url("")).await;
    let asked = exchange(&mut stream, &request("POST", "/api/bots/bot/messages", &headers, "")).await;
    assert_eq!(asked.status, 100);
    let answer = exchange(&mut stream, &body).await;
    assert_eq!((answer.status, is_closed(&answer)), (200, false));
}

/// With a body above the limit of what is dropped, a client that writes everything before it reads still gets the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_far_too_large_does_not_cost_the_answer() {
    let Some(host) = start().await else { return };
    for length in [9 << 20, 24 << 20] {
        for path in ["/api/bots/bot/messages", "/nothing"] {
            let headers = [HOST, JSON, ("Content-Length", &length.to_string())];
            let mut stream = raw::connect(&host.url("")).await;
            stream.write_all(request("POST", path, &headers, "").as_bytes()).await.unwrap();
            let chunk = vec![b'x'; 1 << 20];
            for _ in 0..length >> 20 {
                within("the host to read on", stream.write_all(&chunk)).await.unwrap();
            }
            let answer = exchange(&mut stream, "").await;
            let wanted = if path == "/nothing" { 404 } else { 413 };
            assert_eq!((answer.status, is_closed(&answer)), (wanted, true), "{length} bytes to {path}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_has_no_connection_to_close() {
    let Some(host) = start().await else { return };
    let client = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    for (path, megabytes, status) in [
        ("/nothing", 3, 404),
        ("/api/bots/secret/messages", 3, 401),
        ("/api/bots/bot/messages", 3, 413),
        ("/api/bots/bot/messages", 20, 413),
        ("/nothing", 20, 404),
        ("/nothing", 0, 404),
    ] {
        let request = client.post(host.url(path)).header("content-type", "application/json");
        let send = request.body("x".repeat(megabytes << 20)).send();
        let answer = within("an answer", send).await.unwrap();
        assert_eq!((answer.version(), answer.status().as_u16()), (Version::HTTP_2, status), "{path}");
        assert!(!answer.headers().contains_key("connection"), "{path}");
        assert!(answer.json::<Value>().await.unwrap()["error"]["code"].is_string(), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_client_that_keeps_its_connections_reads_every_answer() {
    let Some(host) = start().await else { return };
    let script = r#"
        const [http, http2] = [require('http'), require('http2')];
        const [base] = process.argv.slice(1);
        const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
        const ask = (method, path, bytes) => new Promise((resolve, reject) => {
            const headers = { 'content-type': 'application/json', 'content-length': bytes };
            const request = http.request(base + path, { method, agent, headers }, answer => {
                answer.resume();
                answer.on('end', () => resolve(answer.statusCode));
            });
            request.on('error', reject);
            request.end(Buffer.alloc(bytes, 120));
        });
        (async () => {
            for (const [method, path, bytes] of [
                ['POST', '/nothing', 3 << 20], ['POST', '/api/bots/secret/messages', 3 << 20], ['PUT', '/api/messages', 3 << 20],
                ['POST', '/api/bots/bot/messages', 3 << 20], ['POST', '/api/bots/bot/messages', 20 << 20],
                ['POST', '/v3/directline/conversations', 3 << 20], ['POST', '/nothing', 20 << 20], ['GET', '/nothing', 0],
            ]) console.log(await ask(method, path, bytes));
            agent.destroy();
// Node does not read answers while it has more than 10 MB to send.
            const session = http2.connect(base, { maxSessionMemory: 64 });
            const stream = (path, bytes) => new Promise((resolve, reject) => {
                const request = session.request({ ':method': 'POST', ':path': path, 'content-type': 'application/json' });
                let status;
                request.on('response', headers => { status = headers[':status']; });
                request.on('error', reject);
                request.resume();
                request.on('close', () => resolve(status));
                request.end(Buffer.alloc(bytes, 120));
            });
            for (const [path, bytes] of [['/nothing', 3 << 20], ['/nothing', 20 << 20], ['/api/bots/bot/messages', 20 << 20],
                ['/nothing', 0]]) console.log(await stream(path, bytes));
            session.destroy();
        })().catch(error => { console.error(error); process.exit(1); });
    "#;
    let mut node = tokio::process::Command::new("node");
    node.args(["-e", script, &host.url("")]).stdin(Stdio::null()).kill_on_drop(true);
    let Ok(output) = within("the end of the script", node.output()).await else { return skip("node is not installed") };
    let said = String::from_utf8(output.stdout.clone()).unwrap();
    let statuses: Vec<&str> = said.lines().collect();
    let of_http_1 = ["404", "401", "405", "413", "413", "401", "404", "404"];
    let of_http_2 = ["404", "404", "413", "404"];
    assert_eq!(statuses, [&of_http_1[..], &of_http_2].concat(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_body_is_refused_everywhere_and_identity_is_none() {
    let Some(host) = start().await else { return };
    let token = std::fs::read_to_string(host.token_file()).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let of_admin = [("Authorization", &*bearer), JSON];
    for (url, method, path, headers) in [
        (host.url(""), "POST", "/api/messages", &[JSON][..]),
        (host.url(""), "POST", "/api/bots/bot/messages", &[JSON]),
        (host.url(""), "POST", "/v3/directline/tokens/generate", &[JSON]),
        (host.admin_url(), "PUT", "/v1/bots/bot/plugins/echo", &of_admin),
        (host.admin_url(), "POST", "/v1/bots/bot/notifications", &of_admin),
        (host.admin_url(), "POST", "/v1/bots/bot/broadcasts", &of_admin),
        (host.admin_url(), "PUT", "/v1/bots/bot/transcripts/file?channel=c&conversation=c", &of_admin),
    ] {
        for encoding in ["gzip", "GZIP", "br", "identity, deflate"] {
            let headers = [&[HOST, ("Content-Encoding", encoding)], headers].concat();
            let answer = raw::send(&url, &request(method, path, &headers, "{}")).await;
            assert_eq!((answer.status, answer.code()), (415, "UnsupportedMediaType".to_owned()), "{path}: {answer:?}");
            assert_eq!(answer.headers.get("accept-encoding").map(String::as_str), Some("identity"), "{path}");
            assert!(answer.body.contains("Content-Encoding"), "{path}: {answer:?}");
        }
    }
    let mut activity = message("hi");
    activity["deliveryMode"] = "expectReplies".into();
    for encoding in ["identity", "Identity"] {
        let headers = [HOST, JSON, ("Content-Encoding", encoding)];
        let text = request("POST", "/api/bots/bot/messages", &headers, &activity.to_string());
        assert_eq!(raw::send(&host.url(""), &text).await.status, 200, "{encoding}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_at_the_end_of_a_path_does_not_matter() {
    let Some(host) = start().await else { return };
    let token = std::fs::read_to_string(host.token_file()).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let mut activity = message("hi");
    activity["deliveryMode"] = "expectReplies".into();
    let activity = activity.to_string();
    for (url, method, path, body) in [
        (host.url(""), "POST", "/api/bots/bot/messages", &*activity),
        (host.url(""), "POST", "/v3/directline/tokens/generate?bot=bot", "{}"),
        (host.url(""), "GET", "/v3/directline/session/getsessionid", ""),
        (host.url(""), "GET", "/dev/bots", ""),
        (host.url(""), "GET", "/page.css", ""),
        (host.admin_url(), "GET", "/healthz", ""),
        (host.admin_url(), "GET", "/v1/bots", ""),
        (host.admin_url(), "GET", "/v1/bots/bot/turns", ""),
        (host.admin_url(), "GET", "/metrics", ""),
    ] {
        let (path, query) =
            path.split_once('?').map_or((path, String::new()), |(path, query)| (path, format!("?{query}")));
        for slash in ["", "/"] {
            // Only the admin API knows this token; elsewhere it would be a wrong one.
            let is_admin = url == host.admin_url();
            let headers = [HOST, JSON, ("Authorization", &*bearer)];
            let headers = if is_admin { &headers[..] } else { &headers[..2] };
            let answer = raw::send(&url, &request(method, &format!("{path}{slash}{query}"), headers, body)).await;
            assert_eq!(answer.status, 200, "{method} {path}{slash}{query}: {answer:?}");
        }
    }
    let wrong = raw::send(&host.url(""), &request("GET", "/api/messages/", &[HOST], "")).await;
    assert_eq!((wrong.status, &*wrong.headers["allow"]), (405, "POST"));
    assert_eq!(raw::send(&host.url(""), &request("GET", "/", &[HOST], "")).await.status, 200, "the page");
}

/// Every route names its methods in a 405, after the checks of the client.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_method_learns_the_right_ones_on_every_route() {
    let Some(host) = start().await else { return };
    let token = std::fs::read_to_string(host.token_file()).unwrap();
    let bearer = format!("Bearer {}", token.trim());
    let (public, admin) = (host.url(""), host.admin_url());
    for (url, path, methods) in [
        (&public, "/api/messages", &["POST"][..]),
        (&public, "/api/bots/bot/messages", &["POST"]),
        (&public, "/api/bots/bot/notifications", &["POST"]),
        (&public, "/v3/directline/tokens/generate", &["POST"]),
        (&public, "/v3/directline/tokens/refresh", &["POST"]),
        (&public, "/v3/directline/conversations", &["POST"]),
        (&public, "/v3/directline/conversations/c", &["GET", "HEAD"]),
        (&public, "/v3/directline/conversations/c/activities", &["GET", "HEAD", "POST"]),
        (&public, "/v3/directline/conversations/c/upload", &["POST"]),
        (&public, "/v3/directline/conversations/c/stream", &["GET", "HEAD"]),
        (&public, "/v3/directline/session/getsessionid", &["GET", "HEAD"]),
        (&public, "/v3/attachments/a/views/original", &["GET", "HEAD"]),
        (&public, "/", &["GET", "HEAD"]),
        (&public, "/dev/bots", &["GET", "HEAD"]),
        (&public, "/dev/turns", &["GET", "HEAD"]),
        (&admin, "/healthz", &["GET", "HEAD"]),
        (&admin, "/readyz", &["GET", "HEAD"]),
        (&admin, "/metrics", &["GET", "HEAD"]),
        (&admin, "/v1/bots", &["GET", "HEAD"]),
        (&admin, "/v1/bots/bot", &["GET", "HEAD"]),
        (&admin, "/v1/bots/bot/plugins/echo", &["PUT"]),
        (&admin, "/v1/bots/bot/reload", &["POST"]),
        (&admin, "/v1/bots/bot/notifications", &["GET", "HEAD", "POST"]),
        (&admin, "/v1/bots/bot/notifications/n", &["DELETE", "GET", "HEAD"]),
        (&admin, "/v1/bots/bot/broadcasts", &["GET", "HEAD", "POST"]),
        (&admin, "/v1/bots/bot/transcripts/file", &["GET", "HEAD", "PUT"]),
        (&admin, "/v1/bots/bot/users", &["DELETE"]),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "QUERY"] {
            if methods.contains(&method) {
                continue;
            }
            let headers = [HOST, JSON, ("Authorization", &*bearer)];
            let answer = raw::send(url, &request(method, path, &headers, "{}")).await;
            assert_eq!((answer.status, answer.code()), (405, "MethodNotAllowed".to_owned()), "{method} {path}");
            let mut allowed: Vec<&str> = answer.headers["allow"].split(',').map(str::trim).collect();
            allowed.sort_unstable();
            assert_eq!(allowed, methods, "{method} {path}");
        }
    }
}

/// An idle connection is closed when its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn how_long_a_connection_is_kept_is_a_setting() {
    for of_admin in [false, true] {
        let config = Config::new().set("server.keep-alive-ms", "50").bot("bot", &["echo"]);
        let Some(host) = Host::start(config).await else { return };
        let url = if of_admin { host.admin_url() } else { host.url("") };
        // On a slow machine the time may be over before the request arrives. Then the request is repeated.
        let answered_and_closed = async {
            loop {
                let (mut stream, mut all) = (raw::connect(&url).await, Vec::new());
                let request = request("GET", "/nothing", &[HOST], "");
                let is_closed = stream.write_all(request.as_bytes()).await.is_ok();
                if is_closed && stream.read_to_end(&mut all).await.is_ok() && all.starts_with(b"HTTP/1.1 404") {
                    break;
                }
            }
        };
        within("the end of an idle connection", answered_and_closed).await;
    }
}

/// A URL that can never be called is an error of the sender. Which origins are allowed is the operator's decision.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_url_that_cannot_be_used_is_refused() {
    let Some(host) = start().await else { return };
    for url in ["not a url", "ftp://localhost/", "http://", "/v3", "http://user:secret@localhost/", "urn:a:b"] {
        let mut activity = message("hi");
        activity["serviceUrl"] = url.into();
        let refused = host.post("bot", &activity).await;
        assert_eq!((refused.status, &refused.json()["error"]["code"]), (400, &json!("BadArgument")), "{url}");
        assert!(refused.text.contains("serviceUrl") && !refused.text.contains("secret"), "{url}: {}", refused.text);
        // An activity that is answered in the response needs no such URL.
        activity["deliveryMode"] = "expectReplies".into();
        assert_eq!(host.post("bot", &activity).await.replies()[0]["text"], "Echo: hi", "{url}");
    }
    assert_eq!(host.admin("GET", "/v1/bots/bot/dead-letters", Vec::new()).await.json(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_development_any_port_of_this_machine_may_be_a_connector() {
    // The specs' configuration sets the origins, but this spec needs the default.
    for (mode, is_answered) in [("development", true), ("production", false)] {
        let config = Config::new().set("server.mode", &format!("'{mode}'")).unset("channel.connector-origins");
        let Some(host) = Host::start(config.bot("bot", &["echo"])).await else { return };
        let connector = Connector::start().await;
        let activity = connector.message("hi");
        assert_eq!(host.post("bot", &activity).await.status, 200);
        if is_answered {
            assert_eq!(connector.calls(1).await[0].text(), "Echo: hi");
            assert_eq!(host.status("bot").await["refused_origins"], json!([]));
            continue;
        }
        // In production the operator finds the origin in status, log and metrics.
        host.dead_letter("bot", &activity).await;
        let origin = connector.service_url();
        let refused = host.status("bot").await["refused_origins"][0].clone();
        assert_eq!((&refused["origin"], &refused["count"]), (&json!(origin), &json!(1)), "{refused:#}");
        let logged = host.logged("\"ERROR\"").await;
        assert!(logged.contains(&origin) && logged.contains("channel.connector-origins"), "{logged}");
        let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
        assert!(metrics.contains("turntable_origins_refused_total{bot=\"bot\"} 1"), "{metrics}");
        let config = host.config();
        let listed = crate::support::turntable(
            &["bots", "--config", config.to_str().unwrap(), "--admin-url", &host.admin_url()],
            "",
        );
        assert!(listed.stdout.contains(&origin), "{listed:?}");
        assert!(connector.calls_now().is_empty());
    }
}

/// The `X-Turn-Id` of a redelivery is the id of the turn that ran, and its record can be read.
#[tokio::test(flavor = "multi_thread")]
async fn a_redelivery_names_the_turn_that_ran() {
    let Some(mut host) = Host::start(Config::new().bot("bot", &["hostile"])).await else { return };
    let connector = Connector::start().await;
    let activity = connector.message("flush-then-slow 300");
    let turn = |answer: &crate::support::Answer| answer.headers["x-turn-id"].to_str().unwrap().to_owned();
    let (first, during) = tokio::join!(host.post("bot", &activity), async {
        connector.calls(1).await;
        host.post("bot", &activity).await
    });
    let ran = turn(&first);
    assert_eq!(host.last_turn("bot").await["turn_id"], ran.as_str());
    assert_eq!(turn(&during), ran, "while it ran");
    assert_eq!(turn(&host.post("bot", &activity).await), ran, "once it was over");
    host.again(None).await;
    assert_eq!(turn(&host.post("bot", &activity).await), ran, "after a restart");
    assert_eq!(host.last_turn("bot").await, Value::Null, "no other turn ran");
}
