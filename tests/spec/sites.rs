//! Direct Line in production: sites talk to a bot with a secret, and their visitors with tokens that come from it.

use serde_json::{Value, json};
use similar_asserts::assert_eq;

use crate::clients;
use crate::support::{Config, Host, turntable};

const GENERATE: &str = "/v3/directline/tokens/generate";
const START: &str = "/v3/directline/conversations";
const SITE: &str = "https://shop.example";

async fn start() -> Option<Host> {
    let config = Config::new().set("server.allowed-origins", &format!("['{SITE}', 'https://other.example']"));
    Host::start(config.bot("bot", &["echo"]).bot("other", &["echo"])).await
}

/// Runs `turntable directline secrets` and returns what it prints.
fn secrets(host: &Host, arguments: &[&str]) -> String {
    let (url, file) = (host.admin_url(), host.token_file());
    let access = ["--admin-url", &url, "--token-file", file.to_str().unwrap()];
    let ended = turntable(&[&["directline", "secrets"], arguments, &access[..]].concat(), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    ended.stdout.trim().to_owned()
}

async fn post(host: &Host, path: &str, bearer: &str, origin: Option<&str>, body: &Value) -> (u16, Value) {
    let authorization = format!("Bearer {bearer}");
    let mut headers = vec![("authorization", &*authorization)];
    headers.extend(origin.map(|origin| ("origin", origin)));
    let answer = host.post_to(path, &headers, body).await;
    (answer.status, answer.json())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_gets_tokens_for_its_visitors() {
    let Some(host) = start().await else { return };
    assert_eq!(host.post_to(GENERATE, &[], &json!({})).await.status, 401, "nobody else does");
    let secret = secrets(&host, &["rotate", "bot", "1"]);
    let wanted = json!({ "user": { "id": "dl_ann", "name": "Ann" }, "trustedOrigins": [SITE] });
    let (status, made) = post(&host, GENERATE, &secret, None, &wanted).await;
    assert_eq!(status, 200, "{made}");
    let token = made["token"].as_str().unwrap();
    assert!(!token.contains(&secret) && made["expires_in"] == 1_800);
    let (status, _) = post(&host, START, token, Some("https://other.example"), &json!({})).await;
    assert_eq!(status, 403, "the token trusts one origin");
    let (status, opened) = post(&host, START, token, Some(SITE), &json!({ "user": { "id": "dl_ben" } })).await;
    assert_eq!((status, &opened["conversationId"]), (201, &made["conversationId"]));
    let activities = format!("{START}/{}/activities", opened["conversationId"].as_str().unwrap());
    let said = json!({ "type": "message", "text": "hi", "from": { "id": "dl_ben" } });
    let (status, _) = post(&host, &activities, token, Some(SITE), &said).await;
    assert_eq!(status, 200);
    let heard = reqwest::Client::new().get(host.url(&activities)).bearer_auth(token).send().await.unwrap();
    let heard: Value = heard.json().await.unwrap();
    assert_eq!(heard["activities"][0]["from"]["id"], "dl_ann", "the token is bound to its user");
    assert_eq!(heard["activities"][1]["text"], "Echo: hi");
    let (status, refreshed) = post(&host, "/v3/directline/tokens/refresh", token, Some(SITE), &json!({})).await;
    assert_eq!((status, &refreshed["conversationId"]), (200, &made["conversationId"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_talks_to_its_own_bot_only() {
    let Some(host) = start().await else { return };
    let secret = secrets(&host, &["rotate", "bot", "1"]);
    let others = secrets(&host, &["rotate", "other", "1"]);
    let (status, opened) = post(&host, START, &secret, None, &json!({ "user": { "id": "dl_ann" } })).await;
    assert_eq!(status, 201, "{opened}");
    let activities = format!("{START}/{}/activities", opened["conversationId"].as_str().unwrap());
    let said = json!({ "type": "message", "text": "hi", "from": { "id": "dl_ann" } });
    assert_eq!(post(&host, &activities, &secret, None, &said).await.0, 200);
    assert_eq!(post(&host, &activities, &others, None, &said).await.0, 404, "the conversation is of another bot");
    // The name of another bot in the request or in the secret changes nothing.
    let named = json!({ "bot": "other" });
    assert_eq!(post(&host, GENERATE, &secret, None, &named).await.0, 200);
    let swapped = secret.replace("bot.", "other.");
    for wrong in
        [&*swapped, "bot.", "bot.x", "nobody.x", ".", "bot", &secret[..secret.len() - 1], &format!("{secret}x")]
    {
        assert_eq!(post(&host, GENERATE, wrong, None, &json!({})).await.0, 403, "{wrong}");
        assert_eq!(post(&host, START, wrong, None, &json!({})).await.0, 403, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_replaced_without_a_gap_and_end_with_their_tokens() {
    let Some(mut host) = start().await else { return };
    let (first, second) = (secrets(&host, &["rotate", "bot", "1"]), secrets(&host, &["rotate", "bot", "2"]));
    let token = async |host: &Host, secret: &str| {
        let (status, made) = post(host, GENERATE, secret, None, &json!({})).await;
        (status, made["token"].as_str().unwrap_or_default().to_owned())
    };
    let (old, kept) = (token(&host, &first).await.1, token(&host, &second).await.1);
    let replaced = secrets(&host, &["rotate", "bot", "1"]);
    assert_eq!((token(&host, &first).await.0, token(&host, &second).await.0), (403, 200));
    assert_eq!(token(&host, &replaced).await.0, 200);
    assert_eq!(post(&host, START, &old, None, &json!({})).await.0, 403, "its tokens end with it");
    assert_eq!(post(&host, START, &kept, None, &json!({})).await.0, 201);
    host.again(None).await;
    assert_eq!((token(&host, &replaced).await.0, token(&host, &second).await.0), (200, 200), "a restart keeps them");
    secrets(&host, &["revoke", "bot", "2"]);
    assert_eq!(token(&host, &second).await.0, 403);
    let listed: Value = serde_json::from_str(&secrets(&host, &["list", "bot", "--json"])).unwrap();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["slot"]), (1, &json!(1)));
    let kept = std::fs::read_to_string(host.data().join("directline/bot.json")).unwrap();
    assert!(!kept.contains(replaced.split_once('.').unwrap().1), "only a hash is stored: {kept}");
    let (_, log) = host.stop().await;
    assert!(log.iter().all(|line| !line.contains(replaced.split_once('.').unwrap().1)));
}

/// The npm client with a secret, as a trusted program uses it, and with a token that a site gave it.
#[tokio::test(flavor = "multi_thread")]
async fn the_npm_direct_line_client_talks_with_secret_and_token() {
    if !clients::can_run() {
        return;
    }
    let Some(host) = start().await else { return };
    let secret = secrets(&host, &["rotate", "bot", "1"]);
    let (url, page) = (host.url(""), "production.mjs");
    clients::run(page, &[url.as_ref(), "secret".as_ref(), secret.as_ref()]).await;
    let (_, made) = post(&host, GENERATE, &secret, None, &json!({ "user": { "id": "dl_ann" } })).await;
    clients::run(page, &[url.as_ref(), "token".as_ref(), made["token"].as_str().unwrap().as_ref()]).await;
}
