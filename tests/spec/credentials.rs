//! Credentials on the wire: servers get them, and neither guests nor logs nor records ever do.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::outbound::send;
use crate::support::server::{Sends, Server, Then};
use crate::support::{Config, Host};

const AMPLE: &str = "limits.cpu-ms = 60000\nlimits.wall-ms = 120000\nlimits.http-requests-per-turn = 2000";

/// A configuration whose hostile bot may call the server, with this credential.
fn config(server: &Server, credential: &str, key: &str) -> Config {
    let url = format!("http://{}/", server.authority());
    let config = Config::new().set("server.expect-replies-deadline-ms", "600000");
    config.write_secret("key", key);
    let grant = format!("{{ url = '{url}', methods = ['*'], credential = {{ {credential}, file = 'key' }} }}");
    let more = format!("{AMPLE}\nsettings.http = [{{ url = '{url}', methods = ['*'] }}]\ngrants.http = [{grant}]");
    config.bot("hostile", &[]).plugin("hostile", "hostile", &more)
}

fn get(server: &Server, path: &str) -> Value {
    json!([{ "authority": server.authority(), "path": path }])
}

/// The credential of a request, as the server got it.
fn received(request: &str) -> String {
    let header = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
    header.unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_puts_the_credential_in_the_place_of_the_guests_own() {
    let server = Server::start(|_| Sends::answer("200 OK", "", "fine")).await;
    let header = config(&server, "header = 'Authorization', format = 'Bearer {}'", "sk-header-1234567");
    let Some(host) = Host::start(header).await else { return };
    let forged = json!([{ "authority": server.authority(), "path": "/",
                          "headers": [["AUTHORIZATION", "mine"], ["authorization", "mine too"], ["accept-encoding", "gzip"]] }]);
    let (_, records) = send(&host, &forged).await;
    let request = server.seen().1.pop().unwrap();
    assert_eq!(received(&request), "sk-header-1234567");
    assert!(!request.contains("mine") && request.contains("\r\naccept-encoding: identity\r\n"), "{request}");
    assert_eq!(records[0]["credential"], "header authorization");

    let query = config(&server, "query = 'key'", "sk-query-1234567");
    let Some(host) = Host::start(query).await else { return };
    send(&host, &get(&server, "/x?a=1&key=mine&KEY=mine")).await;
    let request = server.seen().1.pop().unwrap();
    assert!(request.starts_with("GET /x?a=1&key=sk-query-1234567 HTTP/1.1\r\n"), "{request}");
    let (_, lines) = host.stop().await;
    assert!(!lines.join("\n").contains("sk-query"), "{lines:?}");
}

/// A new secret counts from the next request on. Without a secret, nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_rotated_without_a_reload() {
    let server = Server::start(|_| Sends::answer("200 OK", "", "fine")).await;
    let config = config(&server, "header = 'authorization', format = 'Bearer {}'", "sk-first-1234567");
    let Some(host) = Host::start(config).await else { return };
    send(&host, &get(&server, "/")).await;
    host.write_secret("key", "sk-second-1234567\n");
    send(&host, &get(&server, "/")).await;
    let requests = server.seen().1;
    assert_eq!(
        requests.iter().map(|request| received(request)).collect::<Vec<_>>(),
        ["sk-first-1234567", "sk-second-1234567"]
    );
    assert_eq!(host.status("hostile").await["generation"], 1);
    std::fs::remove_file(host.config().with_file_name("key")).unwrap();
    let (results, records) = send(&host, &get(&server, "/")).await;
    assert_eq!(results[0]["error"], "ErrorCode::ConfigurationError");
    let why = records[0]["why"].as_str().unwrap();
    assert!(why.contains("the credential for the header authorization cannot be used") && why.contains("key"), "{why}");
    assert_eq!(server.seen().1.len(), 2);
}

/// A server that has the secret sends it back in every way that servers do: 200 secrets, none of them seen by guest, log, record,
/// store or API.
#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_canaries_stay_hidden() {
    let server = Server::start(reflect).await;
    let config = config(&server, "header = 'authorization', format = 'Bearer {}'", "canary-000-Zx/+=\"&'q");
    let Some(host) = Host::start(config).await else { return };
    let mut seen = String::new();
    let mut canaries = Vec::new();
    for number in 0..200 {
        let canary = format!("canary-{number:03}-Zx/+=\"&'q{}", number * 7_919 % 10_007);
        host.write_secret("key", &canary);
        let way = WAYS[number % WAYS.len()];
        let (results, records) = send(&host, &get(&server, &format!("/{way}?size={}", 1 + number % 40))).await;
        assert_eq!(received(server.seen().1.last().unwrap()), canary, "the server gets it");
        seen.push_str(&format!("{way}: {results} {records}\n"));
        canaries.push(canary);
    }
    seen.push_str(&host.admin("GET", "/v1/bots/hostile/turns", Vec::new()).await.text);
    seen.push_str(&host.admin("GET", "/metrics", Vec::new()).await.text);
    for file in std::fs::read_dir(host.data()).unwrap().filter_map(|entry| std::fs::read(entry.unwrap().path()).ok()) {
        seen.push_str(&String::from_utf8_lossy(&file));
    }
    let (_, lines) = host.stop().await;
    seen.push_str(&lines.join("\n"));
    for canary in &canaries {
        for spelling in spellings(canary) {
            let line = seen.lines().find(|line| line.contains(&spelling));
            assert!(line.is_none(), "{spelling} is in {:.600}", line.unwrap_or_default());
        }
    }
    assert!(seen.contains("**********"), "the bodies came through, without the secret");
}

const WAYS: [&str; 16] = [
    "plain",
    "json",
    "base64",
    "base64url",
    "percent",
    "hex",
    "header",
    "header-name",
    "trailer",
    "chunked",
    "redirect",
    "error",
    "gzip",
    "utf16",
    "cut",
    "status-line",
];

fn spellings(secret: &str) -> Vec<String> {
    let json = serde_json::to_string(secret).unwrap();
    vec![
        secret.to_owned(),
        json.trim_matches('"').to_owned(),
        STANDARD.encode(secret)[..12].to_owned(),
        URL_SAFE_NO_PAD.encode(secret)[..12].to_owned(),
        percent(secret),
        secret.bytes().map(|byte| format!("{byte:02x}")).collect(),
    ]
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// Sends the secret of a request back in the way that its path says.
fn reflect(request: &str) -> Sends {
    let target = request.split(' ').nth(1).unwrap_or_default();
    let (way, size) = target.trim_start_matches('/').split_once("?size=").unwrap_or((target, "1"));
    let (secret, size) = (received(request), size.parse().unwrap_or(1));
    let ok = |body: String| Sends::answer("200 OK", "", body);
    match way {
        "json" => ok(json!({ "you": { "sent": format!("Bearer {secret}") } }).to_string()),
        "base64" => ok(STANDARD.encode(format!("Bearer {secret} and more"))),
        "base64url" => ok(URL_SAFE_NO_PAD.encode(format!("ab{secret}"))),
        "percent" => ok(format!("https://a.example/?token={}&x=1", percent(&secret))),
        "hex" => ok(secret.bytes().map(|byte| format!("{byte:02X}")).collect()),
        "header" => {
            Sends::answer("200 OK", &format!("x-you-sent: Bearer {secret}\r\nset-cookie: a={secret}\r\n"), "ok")
        }
        "header-name" => {
            let name: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            Sends::answer("200 OK", &format!("x-{name}: 1\r\n"), "ok")
        }
        "trailer" => Sends::chunked("trailer: x-sent\r\n", b"body", 2, &format!("x-sent: {secret}\r\n")),
        "chunked" => Sends::chunked("", format!("so {secret}, {secret}!").as_bytes(), size, ""),
        "redirect" => Sends::answer("302 Found", &format!("location: /?token={}\r\n", percent(&secret)), ""),
        "error" => Sends::answer("401 Unauthorized", "", format!("the key {secret} is wrong")),
        "gzip" => Sends::answer("200 OK", "content-encoding: gzip\r\n", format!("\x1f{secret}")),
        "utf16" => Sends::answer("200 OK", "", secret.bytes().flat_map(|byte| [byte, 0]).collect::<Vec<u8>>()),
        "cut" => {
            let (length, part) = (secret.len() + 100, &secret[..secret.len() - 1]);
            Sends::bytes(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nx {part}"), Then::Close)
        }
        "status-line" => Sends::bytes(format!("HTTP/1.1 200 {secret}\r\ncontent-length: 2\r\n\r\nok"), Then::Close),
        _ => ok(format!("you sent {secret}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_answer_to_a_credential_is_refused() {
    let server = Server::start(reflect).await;
    let config = config(&server, "header = 'authorization', format = 'Bearer {}'", "sk-zip-1234567");
    let Some(host) = Host::start(config).await else { return };
    let (results, records) = send(&host, &get(&server, "/gzip?size=1")).await;
    assert!(results[0]["error"].as_str().unwrap().contains("HttpResponseContentCoding"), "{results:#}");
    assert!(records[0]["why"].as_str().unwrap().contains("compressed the answer"), "{records:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_cannot_be_used_are_problems_of_the_configuration() {
    let server = Server::start(reflect).await;
    for (credential, key, says) in [
        ("header = 'authorization'", "short", "it has 5 bytes, not 8 to 4096"),
        ("header = 'authorization'", "two words here", "not one line of printable ASCII"),
        ("header = 'host'", "sk-12345678", "cannot go into a header of this name"),
        ("header = 'x', query = 'y'", "sk-12345678", "one of the two"),
        ("header = 'x', format = 'Bearer'", "sk-12345678", "must contain `{}` once"),
        ("header = 'x', formt = 'y'", "sk-12345678", "did you mean `format`?"),
    ] {
        let Some(output) = Host::fails_to_start(config(&server, credential, key)).await else { return };
        assert!(output.contains(says), "{output}");
        assert!(!output.contains(key), "{output}");
    }
}
