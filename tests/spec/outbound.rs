//! Outbound HTTP by grant: what a guest may reach, and what servers and guests cannot do to the host.

use serde_json::{Value, json};

use crate::support::server::{Sends, Server, Then};
use crate::support::{Config, Host, expecting_replies, message};

const AMPLE: &str = "limits.cpu-ms = 60000\nlimits.wall-ms = 120000\nlimits.http-requests-per-turn = 2000";

/// A host whose hostile bot has these grants (each in TOML), and asks for every request.
async fn host(grants: &[String], more: &str) -> Option<Host> {
    host_wanting("{ url = 'http://*/', methods = ['*'] }", grants, more).await
}

async fn host_wanting(wants: &str, grants: &[String], more: &str) -> Option<Host> {
    let text = format!("{AMPLE}\n{more}\nsettings.http = [{wants}]\ngrants.http = [{}]", grants.join(", "));
    // However slow the machine is, the answer is the bot's.
    let config = Config::new().set("server.expect-replies-deadline-ms", "600000");
    Host::start(config.bot("hostile", &[]).plugin("hostile", "hostile", &text).bot("echo", &["echo"])).await
}

fn granted(url: &str) -> String {
    format!("{{ url = '{url}', methods = ['*'] }}")
}

/// Sends requests, and returns their results and their records.
pub(crate) async fn send(host: &Host, requests: &Value) -> (Value, Value) {
    let answer = host.post("hostile", &expecting_replies(message(&format!("http {requests}")))).await;
    let results = serde_json::from_str(answer.replies()[0]["text"].as_str().unwrap()).unwrap();
    (results, host.last_turn("hostile").await["calls"][0]["http"].clone())
}

fn get(authority: &str, path: &str) -> Value {
    json!({ "authority": authority, "path": path })
}

/// An echo server: the body is the request.
fn echo(request: &str) -> Sends {
    Sends::answer("200 OK", "x-one: 1\r\n", request)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_granted_request_arrives_and_its_answer_comes_back() {
    let server = Server::start(echo).await;
    let to = server.authority();
    let Some(host) = host(&[granted(&format!("http://{to}/v1/"))], "").await else { return };
    let body = "x".repeat(50_000);
    let request = json!({ "method": "POST", "authority": to, "path": "/v1/things?key=value", "body": body,
                          "headers": [["x-mine", "yes"], ["content-length", "50000"]] });
    let (results, records) = send(&host, &json!([request])).await;
    let answer = &results[0];
    assert_eq!(answer["status"], 200, "{results:#}");
    let text = answer["body"].as_str().unwrap();
    assert!(text.starts_with("POST /v1/things?key=value HTTP/1.1\r\n"), "{text:.200}");
    assert!(text.contains(&format!("\r\nhost: {to}\r\n")) && text.contains("\r\nx-mine: yes\r\n"), "{text:.200}");
    assert!(text.ends_with(&body));
    assert!(answer["headers"].as_array().unwrap().contains(&json!(["x-one", "1"])), "{answer:.300}");
    let record = &records[0];
    assert_eq!(record["outcome"], "answered", "{record:#}");
    assert_eq!((&record["origin"], &record["path"]), (&json!(format!("http://{to}")), &json!("/v1/things")));
    assert_eq!((&record["method"], &record["status"]), (&json!("POST"), &json!(200)));
    assert_eq!((&record["bytes_out"], &record["address"]), (&json!(50_000), &json!(to)));
    assert!(record["bytes_in"].as_u64().unwrap() > 50_000);
    assert!(!record.to_string().contains("value"), "no query: {record:#}");
    let line = host.logged("outbound HTTP").await;
    assert!(line.contains("\"outcome\":\"answered\"") && !line.contains("value"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_what_is_missing() {
    let server = Server::start(echo).await;
    let to = server.authority();
    let grants = [format!("{{ url = 'http://{to}/v1/' }}")];
    let wants = format!("{{ url = 'http://wanted.example/' }}, {{ url = 'http://{to}/v1/' }}");
    let Some(host) = host_wanting(&wants, &grants, "").await else { return };
    let requests = json!([
        get(&to, "/v2/"),
        { "method": "POST", "authority": to, "path": "/v1/", "body": "x" },
        get("wanted.example", "/"),
        get("other.example", "/"),
    ]);
    let (results, records) = send(&host, &requests).await;
    let why = |index: usize| records[index]["why"].as_str().unwrap_or_default().to_owned();
    for index in 0..4 {
        assert_eq!(results[index]["error"], "ErrorCode::HttpRequestDenied", "{index}");
        assert_eq!(records[index]["outcome"], "denied", "{index}");
    }
    let has = format!("of this path and method; it has {{ url = \"http://{to}/v1/\" }}");
    assert!(why(0).contains(&has), "{}", why(0));
    assert!(why(1).contains("methods = [\"POST\"]") && why(1).contains(&has), "{}", why(1));
    assert!(why(2).contains("http = [{ url = \"http://wanted.example/\""), "{}", why(2));
    assert!(why(2).contains("the operator's `grants.http` does not cover the request"), "{}", why(2));
    assert!(why(3).contains("the manifest's `wants.http` does not cover the request"), "{}", why(3));
    assert_eq!(server.seen().0, 0);
}

/// Each trick asks for something that no grant covers. The servers that it wants to reach see no connection.
#[tokio::test(flavor = "multi_thread")]
async fn no_trick_reaches_a_server_without_a_grant() {
    let (victim, narrow) = (Server::start(echo).await, Server::start(echo).await);
    let (v, n) = (victim.address.port(), narrow.authority());
    let grants = [
        granted(&format!("http://{n}/only/")),
        // Names that are granted, and lead to this machine.
        granted(&format!("http://localhost:{v}")),
        granted(&format!("http://*.example.org:{v}")),
        granted(&format!("http://public.example:{v}")),
    ];
    let Some(host) = host(&grants, "").await else { return };
    let hosts = [
        "127.0.0.1",
        "127.1",
        "127.0.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",
        "127.0.0.1.",
        "127.255.255.254",
        "127.0.0.2",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:0:127.0.0.1]",
        "localhost",
        "LOCALHOST",
        "LocalHost",
        "localhost.",
        "public.example@127.0.0.1",
        "127.0.0.1%2f",
        "x@localhost",
        "localhost%00",
        "169.254.169.254",
        "metadata.google.internal",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.0.1",
        "100.64.0.1",
        "198.18.0.1",
        "192.0.0.1",
        "[fe80::1]",
        "[fc00::1]",
        "[ff02::1]",
        "255.255.255.255",
        "evil.example.org.localhost",
        "example.org",
        "aexample.org",
        ".example.org",
        "xn--",
        "a b",
        "[::1",
        "%6c%6f%63%61%6c",
        "１２７.0.0.1",
        "ⓛocalhost",
        "127。0。0。1",
        "localhost\t",
        "public.example#@localhost",
        "public.example\\@localhost",
    ];
    let mut requests: Vec<Value> = hosts.iter().map(|host| get(&format!("{host}:{v}"), "/")).collect();
    let paths = [
        "/",
        "/only",
        "/only/../admin",
        "/only/%2e%2e/admin",
        "/only/.%2e/admin",
        "/only/..;/admin",
        "/only//admin",
        "/only/%2fadmin",
        "/only/\\admin",
        "/only/%5c..%5cadmin",
        "/only/%252e%252e/",
        "/ONLY/",
        "//only/",
        "/only/..%00/",
        "/./other/",
        "*",
        "http://elsewhere/only/",
        "@x/only/",
        "/only/../only/../x",
    ];
    requests.extend(paths.iter().map(|path| get(&n, path)));
    for (method, scheme) in [("CONNECT", "http"), ("TRACE", "http"), ("GET", "https"), ("GET", "file"), ("GET", "ftp")]
    {
        requests.push(json!({ "method": method, "scheme": scheme, "authority": n, "path": "/only/" }));
    }
    // Headers that would lead a proxy or the server elsewhere are not the guest's to set.
    for header in ["host", "Host", "transfer-encoding", "connection", "upgrade", "proxy-authorization"] {
        requests.push(json!({ "authority": n, "path": "/only/", "headers": [[header, "elsewhere"]] }));
    }
    assert!(requests.len() >= 80, "{}", requests.len());
    for some in requests.chunks(20) {
        let (results, _) = send(&host, &json!(some)).await;
        for (result, request) in results.as_array().unwrap().iter().zip(some) {
            assert!(result["error"].is_string(), "{request} was answered: {result}");
        }
    }
    assert_eq!(victim.seen().0, 0, "{:?}", victim.seen());
    assert_eq!(narrow.seen().0, 0, "{:?}", narrow.seen());
    // Spellings of what is granted are what is granted.
    let (results, _) = send(&host, &json!([get(&n.replace("127.0.0.1", "0x7f.1"), "/only/x")])).await;
    assert_eq!(results[0]["status"], 200, "{results:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_reaches_an_inner_address_only_if_that_is_granted() {
    let server = Server::start(echo).await;
    let url = format!("http://localhost:{}", server.address.port());
    let request = json!([get(&format!("LOCALHOST:{}", server.address.port()), "/")]);
    let Some(host) = host(&[granted(&url)], "").await else { return };
    let (results, records) = send(&host, &request).await;
    assert_eq!(results[0]["error"], "ErrorCode::DestinationIpProhibited", "{records:#}");
    assert!(records[0]["why"].as_str().unwrap().contains("which is a loopback address"), "{records:#}");
    assert_eq!(server.seen().0, 0);
    let grant = format!("{{ url = '{url}', methods = ['*'], addresses = ['127.0.0.1', '::1'] }}");
    let Some(host) = self::host(&[grant], "").await else { return };
    let (results, _) = send(&host, &request).await;
    assert_eq!(results[0]["status"], 200, "{results:#}");
    assert!(server.seen().1[0].contains(&format!("\r\nhost: localhost:{}\r\n", server.address.port())));
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_the_guests_to_follow() {
    let target = Server::start(echo).await;
    let location = format!("location: http://{}/\r\n", target.authority());
    let server = Server::start(move |_| Sends::answer("302 Found", &location, "")).await;
    let Some(host) = host(&[granted(&format!("http://{}", server.authority()))], "").await else { return };
    let (results, _) = send(&host, &json!([get(&server.authority(), "/")])).await;
    assert_eq!(results[0]["status"], 302, "{results:#}");
    assert_eq!(target.seen().0, 0);
}

/// Servers that are slow, endless or wrong end with an error that names the limit, and the host goes on.
#[tokio::test(flavor = "multi_thread")]
async fn bad_servers_end_with_an_error_that_names_the_limit() {
    let server = Server::start(|request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let head = "HTTP/1.1 200 OK\r\n";
        let huge = format!("{head}x-big: {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(40_000));
        let many = format!("{head}{}content-length: 0\r\n\r\n", "a: b\r\n".repeat(200));
        let endless = format!("{head}connection: close\r\n\r\n");
        match path {
            "/silent" => Sends::bytes("", Then::Hang),
            "/half-head" => Sends::bytes(head, Then::Hang),
            "/continues" => Sends::bytes("", Then::Repeat(b"HTTP/1.1 103 Early Hints\r\n\r\n".to_vec())),
            "/endless-head" => Sends::bytes(head, Then::Repeat(b"x-y: zzzzzzzzzzzzzzzzzzzzzzzz\r\n".to_vec())),
            "/huge-head" => Sends::bytes(huge, Then::GoOn),
            "/many-heads" => Sends::bytes(many, Then::Close),
            "/endless" => Sends::bytes(endless, Then::Repeat(vec![b'x'; 16 << 10])),
            "/stalls" => Sends::bytes(format!("{endless}begin"), Then::Hang),
            "/short" => Sends::bytes(format!("{head}content-length: 100\r\n\r\nshort"), Then::Close),
            "/two-lengths" => {
                Sends::bytes(format!("{head}content-length: 1\r\ncontent-length: 2\r\n\r\nxx"), Then::Close)
            }
            "/bad-length" => Sends::bytes(format!("{head}content-length: -1\r\n\r\n"), Then::Close),
            "/bad-chunk" => Sends::bytes(format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n"), Then::Close),
            "/cut-chunk" => Sends::bytes(format!("{head}transfer-encoding: chunked\r\n\r\n9\r\nabc"), Then::Close),
            "/no-http" => Sends::bytes("SSH-2.0-OpenSSH_9\r\n", Then::Close),
            "/closes" => Sends::bytes("", Then::Close),
            _ => Sends::answer("200 OK", "", "good"),
        }
    })
    .await;
    let to = server.authority();
    let bytes = "limits.http-response-bytes = '256 KiB'\nlimits.http-first-byte-ms = 600000\nlimits.http-ms = 600000";
    let ample = [
        ("/endless-head", "", ""),
        ("/huge-head", "HttpResponseHeaderSectionSize", "http-response-fields-bytes (32768)"),
        ("/many-heads", "HttpResponseHeaderSectionSize", "http-response-fields-bytes (32768)"),
        ("/endless", "http-response-bytes (262144)", "http-response-bytes (262144)"),
        ("/short", "ended before the response did", "ended before the response did"),
        ("/two-lengths", "HttpProtocolError", "protocol"),
        ("/bad-length", "HttpProtocolError", "protocol"),
        ("/bad-chunk", "broke the protocol", "protocol"),
        ("/cut-chunk", "", ""),
        ("/no-http", "HttpProtocolError", "protocol"),
        ("/closes", "HttpResponseIncomplete", "ended before the response did"),
    ];
    each_fails(&to, bytes, &ample).await;
    let brief = "limits.http-first-byte-ms = 300\nlimits.http-connect-ms = 300";
    let slow = [
        ("/silent", "ConnectionReadTimeout", "http-first-byte-ms (300)"),
        ("/half-head", "ConnectionReadTimeout", "http-first-byte-ms (300)"),
        ("/continues", "", ""),
    ];
    each_fails(&to, brief, &slow).await;
    each_fails(&to, "limits.http-ms = 1500", &[("/stalls", "", "http-ms (1500)")]).await;
}

/// Asks for each path of the server, with these limits. The guest gets the error, the record names it, and the host goes on.
async fn each_fails(to: &str, limits: &str, cases: &[(&str, &str, &str)]) {
    let Some(host) = host(&[granted(&format!("http://{to}"))], limits).await else { return };
    for (path, code, says) in cases {
        let (results, records) = send(&host, &json!([get(to, path)])).await;
        let told = results[0]["error"].as_str().or(results[0]["broke"].as_str()).unwrap_or_default();
        assert!(!told.is_empty() && told.contains(code), "{path}: {results:.500}");
        assert_eq!(records[0]["outcome"], "failed", "{path}: {records:#}");
        let why = records[0]["why"].as_str().unwrap_or_default();
        assert!(why.contains(says), "{path}: {why}");
        host.bot("echo").says("well?").replies("Echo: well?").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_that_opens_a_thousand_requests_is_bounded() {
    let server = Server::start(|_| Sends::bytes("", Then::Hang)).await;
    let to = server.authority();
    let limits = "limits.http-requests-at-once = 3\nlimits.http-connect-ms = 200\nlimits.http-first-byte-ms = 2000\n\
                  limits.http-request-bytes = 10";
    let grants = [granted(&format!("http://{to}"))];
    let Some(host) = host(&grants, limits).await else { return };
    host.reconfigure("hostile", "limits.http-requests-per-turn = 2000", "limits.http-requests-per-turn = 20").await;
    let thousand: Vec<Value> = (0..1_000).map(|_| json!({ "authority": to, "path": "/" })).collect();
    let (results, records) = send(&host, &json!(thousand)).await;
    let count =
        |code: &str| results.as_array().unwrap().iter().filter(|result| result.to_string().contains(code)).count();
    assert_eq!(count("http-requests-per-turn (20)"), 980);
    assert_eq!(count("ConnectionLimitReached"), 17, "{records:#}");
    assert_eq!(records.as_array().unwrap().len(), 21, "one record for all that are too many");
    assert!(records.to_string().contains("http-requests-at-once (3)"), "{records:#}");
    assert!(server.seen().0 <= 3, "{}", server.seen().0);
    let request = json!({ "method": "POST", "authority": to, "path": "/", "body": "more than ten bytes" });
    let (_, records) = send(&host, &json!([request])).await;
    assert!(records[0]["why"].as_str().unwrap().contains("http-request-bytes (10)"), "{records:#}");
}

/// While a guest waits for a server it uses no CPU time and no permit of slow guests.
#[tokio::test(flavor = "multi_thread")]
async fn waiting_is_not_computing() {
    let server = Server::start(|_| Sends::bytes("", Then::Hang)).await;
    let grants = [granted(&format!("http://{}", server.authority()))];
    let Some(host) = host(&grants, "limits.http-first-byte-ms = 1500\nlimits.http-connect-ms = 500").await else {
        return;
    };
    host.reconfigure("hostile", "limits.cpu-ms = 60000", "limits.cpu-ms = 300").await;
    let (results, _) = send(&host, &json!([get(&server.authority(), "/")])).await;
    assert_eq!(results[0]["error"], "ErrorCode::ConnectionReadTimeout", "{results:#}");
    let call = host.last_turn("hostile").await["calls"][0].clone();
    assert!(call["duration_us"].as_u64().unwrap() >= 1_500_000, "{call:#}");
    assert!(call["cpu_us"].as_u64().unwrap() < 300_000, "{call:#}");
}

/// The client of the Rust SDK: bodies both ways, and faults that name what is missing.
#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_the_sdk_sends_and_tells() {
    let server = Server::start(|request| match request.split(' ').nth(1).unwrap_or_default() {
        "/endless" => Sends::bytes("HTTP/1.1 200 OK\r\n\r\n", Then::Repeat(vec![b'x'; 16 << 10])),
        _ => Sends::answer("201 Created", "content-type: text/plain\r\n", request),
    })
    .await;
    let url = format!("http://{}", server.authority());
    let limits = format!("{AMPLE}\nlimits.http-response-bytes = '128 KiB'");
    let more = format!("{limits}\ngrants.http = [{{ url = '{url}', methods = ['GET', 'POST'] }}]");
    let config = Config::new().set("server.invoke-deadline-ms", "600000");
    let config = config.bot("builders", &[]).plugin("builders", "builders", &more);
    let Some(host) = Host::start(config).await else { return };
    let ask = async |value: Value| {
        let mut invoke = message("");
        (invoke["type"], invoke["name"], invoke["value"]) = ("invoke".into(), "http".into(), value);
        host.post("builders", &invoke).await.json()
    };
    let long = "ü".repeat(40_000);
    let answer = ask(json!({ "method": "POST", "url": format!("{url}/a?b=c"), "json": { "long": long } })).await;
    assert_eq!((&answer["status"], &answer["type"]), (&json!(201), &json!("text/plain")), "{answer:.500}");
    let text = answer["text"].as_str().unwrap();
    assert!(
        text.starts_with("POST /a?b=c HTTP/1.1\r\n") && text.contains("content-type: application/json\r\n"),
        "{text:.300}"
    );
    assert!(text.ends_with(&format!("{{\"long\":\"{long}\"}}")));
    let cases = [
        (
            json!({ "url": "http://127.0.0.1:1/x" }),
            "needs the grant http = [{ url = \"http://127.0.0.1:1/\", methods = [\"GET\"] }]",
        ),
        (json!({ "method": "PUT", "url": url }), "methods = [\"PUT\"]"),
        (json!({ "url": "nonsense" }), "its URL has no scheme"),
        (json!({ "url": format!("{url}/endless") }), "quota: the limit http-response-bytes (131072) is reached"),
    ];
    for (value, says) in cases {
        let answer = ask(value).await.to_string().replace("\\\"", "\"");
        assert!(answer.contains(says), "{answer} does not say {says}");
    }
}
