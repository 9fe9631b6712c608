//! Access control: which requests the listeners refuse, and to which addresses replies never go.

use std::fs;

use crate::support::raw::{self, RawAnswer, request};
use crate::support::{Config, Host, message, turntable};

const MESSAGES: &str = "/api/bots/bot/messages";
const JSON: (&str, &str) = ("Content-Type", "application/json");
const OWN: &str = "a listener of this host, which is never called, whatever channel.connector-origins says";
const HOST: (&str, &str) = ("Host", "localhost");

async fn start() -> Option<Host> {
    Host::start(Config::new().bot("bot", &["hostile"])).await
}

/// Sends an activity with these headers. Without them every open listener would accept it.
async fn knock(host: &Host, headers: &[(&str, &str)]) -> RawAnswer {
    let mut activity = message("hi");
    activity["deliveryMode"] = "expectReplies".into();
    raw::send(&host.url(""), &request("POST", MESSAGES, headers, &activity.to_string())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_answers_under_its_own_names_only() {
    let config = Config::new().set("server.host-names", "['bots.example']").bot("bot", &["hostile"]);
    let Some(host) = Host::start(config).await else { return };
    for name in ["localhost", "localhost:1", "127.0.0.1", "[::1]:3978", "BOTS.example"] {
        assert_eq!(knock(&host, &[("Host", name), JSON]).await.status, 200, "{name}");
    }
    for name in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "0.0.0.0", "10.0.0.1"] {
        let answer = knock(&host, &[("Host", name), JSON]).await;
        assert_eq!((answer.status, answer.code()), (421, "MisdirectedRequest".to_owned()), "{name}");
        let admin = raw::send(&host.admin_url(), &request("GET", "/healthz", &[("Host", name)], "")).await;
        assert_eq!((admin.status, admin.code()), (421, "MisdirectedRequest".to_owned()), "{name}");
    }
    let admin = raw::send(&host.admin_url(), &request("GET", "/healthz", &[("Host", "bots.example")], "")).await;
    assert_eq!(admin.status, 421, "further names are names of the public listener");
    for url in [host.url(""), host.admin_url()] {
        assert_eq!(raw::send(&url, &request("GET", "/healthz", &[], "")).await.status, 400);
        assert_eq!(raw::send(&url, &request("GET", "/healthz", &[HOST, HOST], "")).await.status, 400);
        let absolute = request("GET", "http://evil.example/healthz", &[HOST], "");
        assert_eq!(raw::send(&url, &absolute).await.status, 421, "the target names the server, too");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_of_strangers_are_refused() {
    let config = Config::new().set("server.allowed-origins", "['https://friend.example']").bot("bot", &["hostile"]);
    let Some(host) = Host::start(config).await else { return };
    for foreign in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Origin", "http://localhost:1"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        let answer = knock(&host, &[HOST, JSON, foreign]).await;
        assert_eq!((answer.status, answer.code()), (403, "ForeignOrigin".to_owned()), "{foreign:?}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{answer:?}");
        let admin = raw::send(&host.admin_url(), &request("GET", "/healthz", &[HOST, foreign], "")).await;
        assert_eq!(admin.status, 403, "{foreign:?}");
    }
    let own = host.url("");
    let name = own.strip_prefix("http://").unwrap();
    for welcome in [("Origin", &*own), ("Origin", "https://friend.example"), ("Sec-Fetch-Site", "none")] {
        assert_eq!(knock(&host, &[("Host", name), JSON, welcome]).await.status, 200, "{welcome:?}");
    }
    let friend = request("GET", "/healthz", &[HOST, ("Origin", "https://friend.example")], "");
    assert_eq!(raw::send(&host.admin_url(), &friend).await.status, 403, "no page has business there");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_json_by_their_type() {
    let Some(host) = start().await else { return };
    assert_eq!(knock(&host, &[HOST]).await.code(), "UnsupportedMediaType");
    for foreign in ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16", "json"] {
        let answer = knock(&host, &[HOST, ("Content-Type", foreign)]).await;
        assert_eq!((answer.status, answer.code()), (415, "UnsupportedMediaType".to_owned()), "{foreign}");
    }
    assert_eq!(knock(&host, &[HOST, JSON, JSON]).await.status, 415, "two are ambiguous");
    for fine in ["application/json", "application/json; charset=utf-8", "APPLICATION/JSON;charset=\"UTF-8\""] {
        assert_eq!(knock(&host, &[HOST, ("Content-Type", fine)]).await.status, 200, "{fine}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_api_takes_its_token_from_the_header_only() {
    let Some(host) = start().await else { return };
    let token = fs::read_to_string(host.token_file()).unwrap().trim().to_owned();
    let ask = async |path: &str, authorization: Option<&str>| {
        let headers: Vec<(&str, &str)> =
            [HOST].into_iter().chain(authorization.map(|value| ("Authorization", value))).collect();
        raw::send(&host.admin_url(), &request("GET", path, &headers, "")).await
    };
    assert_eq!(ask("/v1/bots", Some(&format!("Bearer {token}"))).await.status, 200);
    let wrong = "0".repeat(token.len());
    for path in ["/v1/bots", "/v1/bots/bot", "/v1/bots/nobody", "/v1/bots/bot/turns", "/metrics"] {
        for authorization in
            [None, Some("Bearer"), Some(&*token), Some(&format!("Bearer {wrong}")), Some(&format!("Basic {token}"))]
        {
            let answer = ask(path, authorization).await;
            assert_eq!((answer.status, answer.code()), (401, "Unauthorized".to_owned()), "{path} {authorization:?}");
        }
    }
    for query in ["token", "access_token", "authorization"] {
        assert_eq!(ask(&format!("/v1/bots?{query}={token}"), None).await.status, 401, "{query}");
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(host.token_file()).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
}

/// A `serviceUrl` from an unauthenticated sender must not make the host call any address.
#[tokio::test(flavor = "multi_thread")]
async fn replies_go_neither_to_strangers_nor_to_the_host_itself() {
    let Some(host) = start().await else { return };
    let before = requests(&host).await;
    // 198.51.100.0/24 is reserved for documentation.
    for (url, says) in [
        ("http://198.51.100.1:3978".to_owned(), "connector-origins"),
        ("http://connector.example".to_owned(), "connector-origins"),
        ("http://127.0.0.1.evil.example".to_owned(), "connector-origins"),
        (host.url(""), OWN),
        (host.url("").replace("127.0.0.1", "localhost"), OWN),
        (host.admin_url(), OWN),
    ] {
        let mut activity = message("hi");
        activity["serviceUrl"] = url.as_str().into();
        assert_eq!(host.post("bot", &activity).await.status, 200);
        let conversation = activity["conversation"]["id"].as_str().unwrap();
        let why = host.logged(&format!("\"conversation\":\"{conversation}\"")).await;
        assert!(why.contains("dead letter") && why.contains(says), "{url}: {why}");
        let letter = host.dead_letter("bot", &activity).await;
        assert_eq!(letter["service_url"], url, "{letter:#}");
        assert!(letter["why"].as_str().unwrap().contains(says), "{letter:#}");
    }
    assert_eq!(requests(&host).await, before, "the host called itself");
}

/// Returns how many requests went to a route of the connector protocol, which the host does not serve.
async fn requests(host: &Host) -> u64 {
    let metrics = host.admin("GET", "/metrics", Vec::new()).await.text;
    let counts = metrics.lines().filter(|line| line.starts_with("turntable_http_requests_total{"));
    let unknown = counts.filter(|line| line.contains("route=\"none\""));
    unknown.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_tokens_for_anybody_exist_in_development_only() {
    for (mode, there) in [("production", false), ("development", true)] {
        let config = Config::new().set("server.mode", &format!("'{mode}'")).bot("bot", &["hostile"]);
        let Some(host) = Host::start(config).await else { return };
        let name = host.url("").replace("http://", "");
        let generate = request("POST", "/v3/directline/tokens/generate", &[("Host", &name), JSON], "{}");
        let generated = raw::send(&host.url(""), &generate).await;
        assert_eq!(generated.status, if there { 200 } else { 401 }, "{mode}: {generated:?}");
        let page = raw::send(&host.url(""), &request("GET", "/", &[("Host", &name)], "")).await;
        assert_eq!(page.status, if there { 200 } else { 404 }, "{mode}");
        if there {
            assert!(
                page.headers.get("content-security-policy").is_some_and(|policy| !policy.contains("unsafe-inline"))
            );
            let foreign = request(
                "POST",
                "/v3/directline/tokens/generate",
                &[("Host", &name), JSON, ("Origin", "https://evil.example")],
                "{}",
            );
            assert_eq!(raw::send(&host.url(""), &foreign).await.status, 403);
        }
    }
}

#[test]
fn bots_without_identity_are_not_served_to_the_network() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("turntable.toml");
    fs::write(&file, "server.listen = '0.0.0.0:0'\nadmin.listen = 'off'\n[bots.bot]\n").unwrap();
    let ended = turntable(&["serve", file.to_str().unwrap()], "");
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("allow-anonymous-remote"), "{}", ended.stderr);
}

/// Kubernetes mounts a secret as links to a file of mode 0440.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_read_as_container_platforms_mount_them() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let config = Config::new().set("admin.token-file", "'token'").bot("bot", &["echo"]);
    let folder = config.data().parent().unwrap().to_owned();
    let day = folder.join("..day");
    fs::create_dir(&day).unwrap();
    let secret = day.join("token");
    fs::write(&secret, "x".repeat(64)).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o440)).unwrap();
    symlink("..day", folder.join("..data")).unwrap();
    symlink("..data/token", folder.join("token")).unwrap();
    let Some(mut host) = Host::start(config).await else { return };
    let token = folder.join("token").to_str().unwrap().to_owned();
    let bots = turntable(&["bots", "--admin-url", &host.admin_url(), "--token-file", &token], "");
    assert_eq!(bots.code, Some(0), "{bots:?}");
    host.ends().await;
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o444)).unwrap();
    let said = host.refuses_to_start().await;
    assert!(said.contains("its mode is 0444") && said.contains("`defaultMode: 0440`"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_chat_page_says_how_to_get_one() {
    let Some(host) = Host::start(Config::new().bot("bot", &["echo"])).await else { return };
    let page = reqwest::get(host.url("/")).await.unwrap();
    assert_eq!(page.status(), 404);
    let text = page.text().await.unwrap();
    assert!(text.contains("turntable serve --dev"), "{text}");
}
