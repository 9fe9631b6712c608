//! Security of the local Direct Line, tested with raw sockets: what each token allows, and how uploads are served.

use base64::Engine;
use serde_json::{Value, json};

use crate::support::raw::{self, RawAnswer, request};
use crate::support::{Config, Host, within};

const JSON: (&str, &str) = ("Content-Type", "application/json");
const FRIEND: &str = "https://friend.example";

async fn start() -> Option<Host> {
    let config = Config::new().set("server.mode", "'development'");
    Host::start(config.set("server.allowed-origins", &format!("['{FRIEND}']")).bot("bot", &["echo"])).await
}

/// A client with a token, and the conversation that the token is for.
struct Client<'h> {
    host: &'h Host,
    token: String,
    conversation: String,
    stream_url: String,
}

impl<'h> Client<'h> {
    async fn new(host: &'h Host) -> Self {
        let generated = ask(host, "POST", "/v3/directline/tokens/generate", &[JSON], "{}").await;
        assert_eq!(generated.status, 200, "{generated:?}");
        let token = body(&generated)["token"].as_str().unwrap().to_owned();
        let bearer = format!("Bearer {token}");
        let path = "/v3/directline/conversations";
        let opened = ask(host, "POST", path, &[JSON, ("Authorization", &bearer)], "").await;
        assert_eq!(opened.status, 201, "{opened:?}");
        let opened = body(&opened);
        let member = |name: &str| opened[name].as_str().unwrap().to_owned();
        Self { host, token, conversation: member("conversationId"), stream_url: member("streamUrl") }
    }

    fn path(&self, rest: &str) -> String {
        format!("/v3/directline/conversations/{}/{rest}", self.conversation)
    }

    /// Sends a request with the client's token.
    async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> RawAnswer {
        let bearer = format!("Bearer {}", self.token);
        let headers: Vec<_> = [("Authorization", &*bearer)].into_iter().chain(headers.iter().copied()).collect();
        ask(self.host, method, path, &headers, body).await
    }

    /// Waits until the history of the conversation contains a text, and returns the history.
    async fn hears(&self, text: &str) -> String {
        let find = async {
            loop {
                let history = self.ask("GET", &self.path("activities"), &[], "").await.body;
                if history.contains(text) {
                    return history;
                }
            }
        };
        within(&format!("{text} in the history"), Box::pin(find)).await
    }

    /// Opens the stream as a browser or a program would, and returns the status.
    async fn upgrade(&self, path: &str, more: &[(&str, &str)]) -> u16 {
        let headers = [
            ("Connection", "Upgrade"),
            ("Upgrade", "websocket"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ];
        let headers: Vec<_> = headers.into_iter().chain(more.iter().copied()).collect();
        ask(self.host, "GET", path, &headers, "").await.status
    }

    /// Path and query of the stream in the last answer.
    fn stream(&self) -> &str {
        let start = self.stream_url.find("/v3/").unwrap();
        &self.stream_url[start..]
    }
}

async fn ask(host: &Host, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> RawAnswer {
    let name = host.url("").replace("http://", "");
    let headers: Vec<_> = [("Host", &*name)].into_iter().chain(headers.iter().copied()).collect();
    let mut text = request(method, path, &headers, body);
    if method == "POST" && body.is_empty() {
        text = text.replace("\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n");
    }
    raw::send(&host.url(""), &text).await
}

fn body(answer: &RawAnswer) -> Value {
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_opens_its_own_conversation_only() {
    let Some(host) = start().await else { return };
    let (ann, bob) = (Client::new(&host).await, Client::new(&host).await);
    assert_ne!(ann.conversation, bob.conversation);
    // 128 random bits take 22 characters of base64 and 26 of base32.
    assert!(ann.conversation.len() >= 22, "{}", ann.conversation);
    let activity = json!({ "type": "message", "from": { "id": "ann" }, "text": "hi" }).to_string();
    for (method, path, text) in [
        ("GET", bob.path("activities"), ""),
        ("POST", bob.path("activities"), &*activity),
        ("GET", format!("/v3/directline/conversations/{}", bob.conversation), ""),
    ] {
        let strangers = ann.ask(method, &path, &[JSON], text).await;
        assert_eq!((strangers.status, strangers.code()), (403, "Forbidden".to_owned()), "{method} {path}");
        for authorization in [None, Some("Bearer"), Some("Bearer e30.e30.e30")] {
            let headers: Vec<_> = authorization.map(|value| ("Authorization", value)).into_iter().collect();
            let nobodys = ask(&host, method, &path, &[&headers[..], &[JSON]].concat(), text).await;
            assert!(matches!(nobodys.status, 401 | 403), "{method} {path} {authorization:?}: {nobodys:?}");
        }
    }
    let heard = body(&bob.ask("GET", &bob.path("activities"), &[], "").await);
    assert!(!heard.to_string().contains("\"hi\""), "{heard:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_opened_once_by_its_own_url_from_a_known_page() {
    let Some(host) = start().await else { return };
    let (ann, bob) = (Client::new(&host).await, Client::new(&host).await);
    for foreign in [("Origin", "https://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")] {
        assert_eq!(ann.upgrade(ann.stream(), &[foreign]).await, 403, "{foreign:?}");
    }
    let of_bob = ann.stream().replace(&ann.conversation, &bob.conversation);
    assert_eq!(ann.upgrade(&of_bob, &[]).await, 403, "another conversation");
    assert_eq!(ann.upgrade(ann.stream().split('?').next().unwrap(), &[]).await, 401, "no ticket");
    let own = host.url("");
    assert_eq!(ann.upgrade(ann.stream(), &[("Origin", &own)]).await, 101);
    assert_eq!(ann.upgrade(ann.stream(), &[("Origin", &own)]).await, 403, "used before");
    assert_eq!(bob.upgrade(bob.stream(), &[("Origin", FRIEND)]).await, 101);
}

/// A browser lets a page read an answer only if this header names the page's origin. The header never contains `*`.
#[tokio::test(flavor = "multi_thread")]
async fn only_configured_origins_may_read_answers() {
    let Some(host) = start().await else { return };
    let client = Client::new(&host).await;
    let path = client.path("activities");
    for (method, origin, status, allowed) in [
        ("OPTIONS", FRIEND, 204, Some(FRIEND)),
        ("GET", FRIEND, 200, Some(FRIEND)),
        ("GET", &*host.url(""), 200, None),
        ("OPTIONS", "https://evil.example", 403, None),
        ("GET", "https://evil.example", 403, None),
        ("GET", "https://friend.example.evil.example", 403, None),
        ("GET", "null", 403, None),
    ] {
        let answer = client.ask(method, &path, &[("Origin", origin)], "").await;
        let named = answer.headers.get("access-control-allow-origin").map(String::as_str);
        assert_eq!((answer.status, named), (status, allowed), "{method} from {origin}");
    }
    let refused = ask(&host, "GET", &path, &[], "").await;
    assert!(!refused.headers.contains_key("access-control-allow-origin"), "{refused:?}");
}

/// An upload may be a malicious page, so the host serves it as a download that cannot run scripts.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_is_served_as_a_harmless_attachment() {
    let Some(host) = start().await else { return };
    let client = Client::new(&host).await;
    let page = "<script>fetch('/v3/directline/tokens/generate',{method:'POST'})</script>";
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"../../etc/passwd.html\"\r\n\
         Content-Type: text/html\r\n\r\n{page}\r\n--b--\r\n"
    );
    let path = format!("{}?userId=ann", client.path("upload"));
    let taken = client.ask("POST", &path, &[("Content-Type", "multipart/form-data; boundary=b")], &form).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    let heard = body(&client.ask("GET", &client.path("activities"), &[], "").await);
    let activities = heard["activities"].as_array().unwrap();
    let attachment =
        activities.iter().find_map(|activity| activity["attachments"].as_array()?.first()).expect("an attachment");
    assert_eq!(attachment["name"], "passwd.html", "a name is no path: {attachment:#}");
    let url = attachment["contentUrl"].as_str().unwrap();
    assert!(url.starts_with(&host.url("/v3/attachments/")) && !url.contains("passwd"), "{url}");

    let served = ask(&host, "GET", &url.replace(&host.url(""), ""), &[], "").await;
    assert_eq!((served.status, &*served.body), (200, page));
    assert_eq!(served.headers["content-type"], "application/octet-stream");
    assert_eq!(served.headers["x-content-type-options"], "nosniff");
    assert!(served.headers["content-disposition"].starts_with("attachment; "), "{served:?}");
    assert!(served.headers["content-security-policy"].starts_with("sandbox"), "{served:?}");
    for path in ["/v3/attachments/../views/original", "/v3/attachments/%2e%2e%2fcode-key/views/original"] {
        assert_eq!(ask(&host, "GET", path, &[], "").await.status, 404, "{path}");
    }
}

/// A client whose JSON library capitalises names is understood too.
#[tokio::test(flavor = "multi_thread")]
async fn members_count_in_any_case() {
    let Some(host) = start().await else { return };
    for (sent, user) in [
        (json!({ "User": { "Id": "dl_1", "Name": "Ann" }, "TrustedOrigins": [FRIEND] }), json!("dl_1")),
        (json!({ "USER": { "ID": "dl_1" }, "trustedorigins": [FRIEND], "Bot": "bot" }), json!("dl_1")),
        (json!({ "user": { "id": "dl_1" }, "User": { "Id": "dl_2" }, "trustedOrigins": [FRIEND] }), json!("dl_1")),
        (json!({ "USER": { "ID": "dl_1" }, "User": { "Id": "dl_2" }, "TrustedOrigins": [FRIEND] }), json!("dl_2")),
    ] {
        let path = "/v3/directline/tokens/generate";
        let generated = body(&ask(&host, "POST", path, &[JSON], &sent.to_string()).await);
        let token = generated["token"].as_str().unwrap();
        let claims = base64::prelude::BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
        let claims: Value = serde_json::from_slice(&claims).unwrap();
        assert_eq!((&claims["user"], &claims["origins"]), (&user, &json!([FRIEND])), "{sent}");
    }
    // The message is from the user of the token, and it reaches the bot.
    let client = Client::new(&host).await;
    let said = json!({ "Type": "message", "From": { "Id": "ann" }, "Text": "hi", "Value": { "Id": 1 } }).to_string();
    let taken = client.ask("POST", &client.path("activities"), &[JSON], &said).await;
    assert_eq!(taken.status, 200, "{taken:?}");
    let heard = client.hears(r#""text":"Echo: hi""#).await;
    assert!(heard.contains(r#""text":"hi""#), "{heard}");
}

/// File names in RFC 5987 encoding are decoded. The unit tests of file names have many more cases.
#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_an_upload_is_what_its_sender_calls_it() {
    let Some(host) = start().await else { return };
    for (disposition, name) in [
        ("filename*=utf-8''%C3%A4.png", "ä.png"),
        ("filename=\"a.png\"; filename*=UTF-8'de'%C3%A4.png", "ä.png"),
        ("filename=\"%C3%A4.png\"", "ä.png"),
        ("filename*0*=utf-8''%C3; filename*1*=%A4.png", "ä.png"),
        ("filename*=windows-1252''%E4.png", "ä.png"),
        ("filename=\"=?utf-8?B?w6QucG5n?=\"", "ä.png"),
        ("filename=\"photo_\u{202e}gnp.exe\"", "photo_gnp.exe"),
    ] {
        let client = Client::new(&host).await;
        let path = format!("{}?userId=ann", client.path("upload"));
        let part = format!("--b\r\nContent-Disposition: form-data; name=\"f\"; {disposition}\r\n\r\nx\r\n--b--\r\n");
        let form = client.ask("POST", &path, &[("Content-Type", "multipart/form-data; boundary=b")], &part).await;
        let single = ("Content-Disposition", &*format!("attachment; {disposition}"));
        let alone = client.ask("POST", &path, &[("Content-Type", "image/png"), single], "x").await;
        assert_eq!((form.status, alone.status), (200, 200), "{disposition}: {form:?}, {alone:?}");
        let heard = body(&client.ask("GET", &client.path("activities"), &[], "").await);
        let attachments =
            heard["activities"].as_array().unwrap().iter().filter_map(|said| said["attachments"].as_array());
        let names: Vec<&Value> = attachments.flatten().map(|attachment| &attachment["name"]).collect();
        assert_eq!(names, [name, name], "{disposition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_and_half_characters_come_back_as_they_are_kept() {
    let Some(host) = start().await else { return };
    let client = Client::new(&host).await;
    let data = r#"{"lat":31.245270191439438,"id":1234567890123456789012345,"one":1.0,"huge":1e400,"zero":-0}"#;
    let sent = format!(
        r#"{{"type":"message","text":"hi \ud83d","from":{{"id":"ann"}},"channelData":{{"data":{data}}},"value":{data}}}"#
    );
    let answer = client.ask("POST", &client.path("activities"), &[JSON], &sent).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let history = client.hears("Echo: hi").await;
    for kept in [format!(r#""data":{data}"#), format!(r#""value":{data}"#), "Echo: hi \u{fffd}".to_owned()] {
        assert!(history.contains(&kept), "{kept}: {history}");
    }
    let utf_16 = format!("\u{feff}{}", sent.chars().flat_map(|c| [c, '\0']).collect::<String>());
    let answer = client.ask("POST", &client.path("activities"), &[JSON], &utf_16).await;
    assert!(answer.status == 400 && answer.body.contains("UTF-16"), "{answer:?}");
}
