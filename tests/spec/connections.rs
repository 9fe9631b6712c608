//! Connections: a client that ends its sending side gets its answer, and one that is gone occupies nothing.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::raw::{self, request};
use crate::support::{Config, Host, expecting_replies, message, within};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const HOST: (&str, &str) = ("Host", "localhost");

/// Sends a request, ends the sending side, and returns everything that arrives.
async fn half_closed(url: &str, request: &str) -> String {
    let mut stream = raw::connect(url).await;
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    within("an answer after the end of the request", stream.read_to_end(&mut answer)).await.unwrap();
    String::from_utf8(answer).unwrap()
}

/// Returns the JSON at the end of an answer.
fn body(answer: &str) -> Value {
    serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap_or_default()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_ends_its_side_reads_the_answer() {
    let config = Config::new().set("server.mode", "'development'").bot("bot", &["echo"]).bot("slow", &[]);
    let config = config.plugin("slow", "hostile", "limits.wall-ms = 60000");
    let Some(host) = Host::start(config).await else { return };
    let public = host.url("");
    for (bot, text, said) in [("bot", "hi", "Echo: hi"), ("slow", "slow 500", "second")] {
        let activity = expecting_replies(message(text)).to_string();
        let path = format!("/api/bots/{bot}/messages");
        let answer = half_closed(&public, &request("POST", &path, &[HOST, JSON], &activity)).await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(said), "{text}: {answer}");
    }
    let generate = request("POST", "/v3/directline/tokens/generate", &[HOST, JSON], r#"{"bot":"bot"}"#);
    let generated = half_closed(&public, &generate).await;
    let token = body(&generated)["token"].as_str().unwrap_or_else(|| panic!("{generated}")).to_owned();
    let bearer = format!("Bearer {token}");
    let begin = request("POST", "/v3/directline/conversations", &[HOST, JSON, ("Authorization", &bearer)], "{}");
    let conversation = body(&half_closed(&public, &begin).await)["conversationId"].as_str().unwrap().to_owned();
    let path = format!("/v3/directline/conversations/{conversation}/activities");
    let say = r#"{"type":"message","from":{"id":"u"},"text":"hi"}"#;
    let said = half_closed(&public, &request("POST", &path, &[HOST, JSON, ("Authorization", &bearer)], say)).await;
    assert!(said.starts_with("HTTP/1.1 200") && body(&said)["id"].is_string(), "{said}");

    let admin = host.admin_url();
    let token = format!("Bearer {}", std::fs::read_to_string(host.token_file()).unwrap().trim());
    let authorized = [HOST, ("Authorization", &*token)];
    let bots = half_closed(&admin, &request("GET", "/v1/bots", &authorized, "")).await;
    assert!(bots.starts_with("HTTP/1.1 200") && bots.contains("\"slow\""), "{bots}");
    let reload = half_closed(&admin, &request("POST", "/v1/bots/bot/reload", &authorized, "")).await;
    assert!(reload.starts_with("HTTP/1.1 200"), "{reload}");
    let refused = half_closed(&admin, &request("GET", "/v1/bots", &[HOST], "")).await;
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
}

/// A body that is shorter than its `Content-Length` is refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_breaks_off_is_no_turn() {
    let Some(host) = Host::start(Config::new().bot("bot", &["echo"])).await else { return };
    let whole = request("POST", "/api/bots/bot/messages", &[HOST, JSON], &expecting_replies(message("hi")).to_string());
    let answer = half_closed(&host.url(""), &whole[..whole.len() - 1]).await;
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(host.last_turn("bot").await, Value::Null);
}

/// The feed of the chat page never ends, and the number of its connections is limited.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_gone_gives_its_place_back() {
    let config = Config::new().set("server.mode", "'development'").bot("bot", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let feed = request("GET", "/dev/turns", &[HOST], "");
    let open = async || {
        let mut stream = raw::connect(&host.url("")).await;
        stream.write_all(feed.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        within("a feed", stream.read_exact(&mut status)).await.unwrap();
        (String::from_utf8(status.to_vec()).unwrap(), stream)
    };
    let mut readers = Vec::new();
    loop {
        let (status, stream) = open().await;
        if status != "HTTP/1.1 200" {
            assert_eq!(status, "HTTP/1.1 429");
            break;
        }
        readers.push(stream);
    }
    assert_eq!(readers.len(), 32);
    // One client closes its socket, and one ends only its sending side.
    drop(readers.pop());
    readers[0].shutdown().await.unwrap();
    let again = async {
        let mut opened = Vec::new();
        while opened.len() < 2 {
            let (status, stream) = open().await;
            if status == "HTTP/1.1 200" {
                opened.push(stream);
            }
        }
    };
    within("the places of readers that are gone", again).await;
}
