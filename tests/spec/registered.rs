//! Bots with an app id answer over TLS with tokens of their own, and only to those who may have one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use similar_asserts::assert_eq;

use crate::support::issuer::{AGENT, TENANT, TOKEN_CANARY};
use crate::support::tls::Certificate;
use crate::support::{APP, Behaviour, Config, Connector, Host, Issuer, Token, turntable};

const PATH: &str = "/api/bots/bot/messages";
/// The client secret, by which leaks are found.
const SECRET: &str = "canary-secret";

/// A channel with TLS, an issuer, and a registered bot.
struct Stage {
    issuer: Issuer,
    connector: Connector,
    host: Host,
}

fn write_private(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

impl Stage {
    /// Starts a bot whose secret is in a file.
    async fn with_secret() -> Option<Self> {
        Self::start("secret = 'file:secret'", &Certificate::of(&["localhost", "127.0.0.1"])).await
    }

    async fn start(auth: &str, certificate: &Certificate) -> Option<Self> {
        let issuer = Issuer::start().await;
        let connector = Connector::with_tls(certificate).await;
        let config = Config::new().set("channel.unreachable-ms", "1").set("tls.root-certificates", "['root.pem']");
        let folder = folder(&config);
        certificate.write(&folder.join("root.pem"));
        write_private(&folder.join("secret"), &format!("{SECRET}\n"));
        let more = format!("skill-callers = ['{AGENT}'], service-origins = ['{}'], {auth}", connector.service_url());
        let config = config.launcher(vec!["env".into(), format!("BOT_SECRET={SECRET}")]);
        let host = Host::start(issuer.bot(config, "bot", &more).plugin("bot", "echo", "")).await?;
        Some(Self { issuer, connector, host })
    }

    /// Says something through the channel.
    async fn says(&self, text: &str) -> Value {
        let activity = self.message(text);
        let bearer = Token::channel(&self.connector.service_url()).bearer();
        let answer = self.host.post_to(PATH, &[("authorization", &bearer)], &activity).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        activity
    }

    fn message(&self, text: &str) -> Value {
        let mut activity = self.connector.message(text);
        activity["channelId"] = "msteams".into();
        activity
    }

    /// Checks that neither the log nor what operators see contains a secret or a token.
    async fn leaks_nothing(self) {
        let mut seen = String::new();
        for path in ["/v1/bots/bot", "/v1/bots/bot/turns", "/v1/bots/bot/dead-letters", "/metrics"] {
            seen += &self.host.admin("GET", path, Vec::new()).await.text;
        }
        let (_, log) = self.host.stop().await;
        for text in log.iter().chain([&seen]) {
            assert!(!text.contains(SECRET) && !text.contains(TOKEN_CANARY), "{text}");
        }
    }
}

fn folder(config: &Config) -> PathBuf {
    config.data().parent().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_goes_over_tls_with_one_token_for_all() {
    for source in ["file:secret", "env:BOT_SECRET", &format!("command:echo {SECRET}")] {
        let certificate = Certificate::of(&["localhost", "127.0.0.1"]);
        let Some(stage) = Stage::start(&format!("secret = '{source}'"), &certificate).await else { return };
        let says = (0..20).map(|number| {
            let stage = &stage;
            async move { stage.says(&format!("hi {number}")).await }
        });
        futures_util::future::join_all(says).await;
        let calls = stage.connector.calls(20).await;
        assert!(calls.iter().all(|call| call.authorization == format!("Bearer {TOKEN_CANARY}1")), "{calls:?}");
        let asked = stage.issuer.asked();
        assert_eq!(asked.len(), 1, "one request for all conversations");
        let form = &asked[0].form;
        assert_eq!(asked[0].target, format!("/{TENANT}/oauth2/v2.0/token"));
        let wanted = [
            ("client_id", APP),
            ("client_secret", SECRET),
            ("grant_type", "client_credentials"),
            ("scope", "https://channel.test/.default"),
        ];
        assert!(form.iter().map(|(key, value)| (&**key, &**value)).eq(wanted), "{form:?}");
        stage.leaks_nothing().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_replaced_once() {
    let Some(stage) = Stage::with_secret().await else { return };
    stage.connector.plan(Behaviour::Status(401));
    stage.says("hi").await;
    let calls = stage.connector.calls(2).await;
    let tokens: Vec<&str> = calls.iter().map(|call| &*call.authorization).collect();
    assert_eq!(tokens, [format!("Bearer {TOKEN_CANARY}1"), format!("Bearer {TOKEN_CANARY}2")]);
    stage.connector.plan(Behaviour::Status(401)).plan(Behaviour::Status(401));
    let said = stage.says("again").await;
    let letter = stage.host.dead_letter("bot", &said).await;
    assert!(letter["why"].as_str().unwrap().starts_with("refused with 401"), "{letter}");
    assert_eq!(stage.connector.calls_now().len(), 4, "no third attempt");
    stage.leaks_nothing().await;
}

/// What a channel proved is stored, so that the bot can speak first after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_bot_speaks_first_after_a_restart() {
    let Some(mut stage) = Stage::with_secret().await else { return };
    // The origin is not configured: only the channel's token speaks for it.
    let listed = format!("service-origins = ['{}']", stage.connector.service_url());
    stage.host.reconfigure("bot", &listed, "service-origins = []").await;
    let said = stage.says("hi").await;
    stage.connector.calls(1).await;
    stage.host.ends().await;
    stage.host.again(None).await;
    let notify = |host: &Host| {
        let target = json!({ "channel": "msteams", "conversation": said["conversation"]["id"] });
        let body = json!({ "target": target, "activity": { "type": "message", "text": "news" } });
        let (url, token) = (format!("{}/v1/bots/bot/notifications", host.admin_url()), host.token_file());
        async move {
            let token = std::fs::read_to_string(token).unwrap();
            let request = reqwest::Client::new().post(url).bearer_auth(token.trim()).json(&body);
            request.send().await.unwrap().text().await.unwrap()
        }
    };
    let answer = notify(&stage.host).await;
    let calls = stage.connector.calls(2).await;
    assert_eq!((calls[1].text(), calls[1].authorization.starts_with("Bearer ")), ("news", true), "{answer}");
    // The proof was for the app id of the bot. Another registration has to hear from the channel first.
    stage.host.reconfigure("bot", APP, "99999999-9999-9999-9999-999999999999").await;
    notify(&stage.host).await;
    let letter = stage.host.dead_letter("bot", &said).await;
    assert!(letter["why"].as_str().unwrap().contains("neither proved by a token of the channel"), "{letter}");
    assert_eq!(stage.connector.calls_now().len(), 2);
}

/// A valid token of a channel proves an origin, but it opens no door into the own network.
#[tokio::test(flavor = "multi_thread")]
async fn inner_addresses_get_no_token() {
    let Some(stage) = Stage::with_secret().await else { return };
    let port = stage.connector.service_url().rsplit_once(':').unwrap().1.to_owned();
    for url in [
        "https://10.0.0.1/".to_owned(),
        "https://192.168.1.1/".to_owned(),
        "https://172.16.0.1/".to_owned(),
        "https://169.254.169.254/metadata/".to_owned(),
        "https://168.63.129.16/".to_owned(),
        "https://100.64.0.1/".to_owned(),
        "https://0.0.0.0/".to_owned(),
        format!("https://127.0.0.2:{port}/"),
        format!("https://0x7f000002:{port}/"),
        format!("https://0177.0.0.2:{port}/"),
        format!("https://2130706434:{port}/"),
        format!("https://127.2:{port}/"),
        format!("https://127.0.0.2.:{port}/"),
        format!("https://[::1]:{port}/"),
        format!("https://[::ffff:127.0.0.2]:{port}/"),
        format!("https://[64:ff9b::7f00:2]:{port}/"),
        format!("https://[fd00::1]:{port}/"),
        format!("https://[fe80::1]:{port}/"),
        format!("https://１２７.0.0.2:{port}/"),
        format!("https://127。0。0。2:{port}/"),
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        "http://channel.example/".to_owned(),
    ] {
        let mut activity = stage.message("hi");
        activity["serviceUrl"] = url.as_str().into();
        let bearer = Token::channel(&url).bearer();
        let answer = stage.host.post_to(PATH, &[("authorization", &bearer)], &activity).await;
        assert_eq!(answer.status, 200, "{url}: the token is valid");
        let letter = stage.host.dead_letter("bot", &activity).await;
        let why = letter["why"].as_str().unwrap();
        assert!(why.contains("address") || why.contains("gets no token"), "{url}: {why}");
    }
    assert!(stage.connector.calls_now().is_empty() && stage.issuer.asked().is_empty(), "no token was even made");
}

/// URLs that no reply can go to are refused at once, also with a token that names them.
#[tokio::test(flavor = "multi_thread")]
async fn urls_with_tricks_are_refused() {
    let Some(stage) = Stage::with_secret().await else { return };
    let service = stage.connector.service_url();
    let authority = service.strip_prefix("https://").unwrap();
    for url in [
        format!("https://user@{authority}/"),
        format!("https://channel.example@{authority}/"),
        format!("https://{authority}/?a=b"),
        format!("https://{authority}/#a"),
        format!("ftp://{authority}/"),
        "https://".to_owned(),
        "not a url".to_owned(),
    ] {
        let mut activity = stage.message("hi");
        activity["serviceUrl"] = url.as_str().into();
        let bearer = Token::channel(&url).bearer();
        let answer = stage.host.post_to(PATH, &[("authorization", &bearer)], &activity).await;
        assert!([400, 403].contains(&answer.status), "{url}: {}", answer.status);
    }
    assert!(stage.connector.calls_now().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_gets_no_token() {
    let Some(stage) = Stage::with_secret().await else { return };
    let elsewhere = Connector::start().await;
    stage.connector.plan(Behaviour::Redirect(elsewhere.service_url()));
    let said = stage.says("hi").await;
    let letter = stage.host.dead_letter("bot", &said).await;
    assert!(letter["why"].as_str().unwrap().contains("are not followed"), "{letter}");
    assert!(elsewhere.calls_now().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_for_another_name_is_not_trusted() {
    let Some(stage) = Stage::start("secret = 'file:secret'", &Certificate::of(&["other.test"])).await else { return };
    let said = stage.says("hi").await;
    let letter = stage.host.dead_letter("bot", &said).await;
    let why = letter["why"].as_str().unwrap();
    assert!(why.starts_with("not delivered") && why.contains("certificate"), "{letter}");
    assert!(stage.connector.calls_now().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_server_in_trouble_is_told_without_what_it_said() {
    let quote = format!("{{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: {SECRET} is wrong\"}}");
    for (status, body, wanted) in [
        (401, &*quote, "the token server answered 401: invalid_client (AADSTS7000215)"),
        (500, &*format!("<html>{SECRET}"), "the token server answered 500"),
        (429, "", "the token server answered 429"),
        (302, "", "the token server answered 302"),
        (200, &*format!("<html>{SECRET}"), "the token server's answer is not JSON"),
        (200, "{}", "the token server's answer has no usable `access_token`"),
        (200, &*format!("{{\"access_token\":\"{TOKEN_CANARY}\\n\",\"expires_in\":1}}"), "has no usable `access_token`"),
        (200, &*format!("{{\"access_token\":\"{TOKEN_CANARY}\"}}"), "has no usable `expires_in`"),
        (200, &*"x".repeat(2 << 20), "the answer is larger than"),
    ] {
        let Some(stage) = Stage::with_secret().await else { return };
        stage.issuer.answers_token_with(status, body);
        let said = stage.says("hi").await;
        let letter = stage.host.dead_letter("bot", &said).await;
        assert!(letter["why"].as_str().unwrap().contains(wanted), "{wanted}: {letter}");
        assert!(stage.connector.calls_now().is_empty());
        stage.leaks_nothing().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_cannot_be_used_is_told_by_its_source() {
    for (auth, wanted) in [
        ("", "the bot has no credential"),
        ("secret = 'env:NO_SUCH_VARIABLE'", "the secret `env:NO_SUCH_VARIABLE` cannot be used"),
        ("secret = 'file:absent'", "absent` cannot be used"),
        ("secret = 'command:false'", "the command failed"),
        ("certificate = 'absent.pem'", "absent.pem"),
        ("federated-token-file = 'absent'", "absent` cannot be used"),
    ] {
        let Some(stage) = Stage::start(auth, &Certificate::of(&["127.0.0.1"])).await else { return };
        let said = stage.says("hi").await;
        let letter = stage.host.dead_letter("bot", &said).await;
        assert!(letter["why"].as_str().unwrap().contains(wanted), "{wanted}: {letter}");
        assert!(stage.issuer.asked().is_empty());
    }
}

/// The assertion names the certificate, and is signed with its key.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_signs_an_assertion() {
    let names = Certificate::of(&["localhost", "127.0.0.1"]);
    let key = rcgen::KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap();
    let app = rcgen::CertificateParams::new(["bot.test".to_owned()]).unwrap().self_signed(&key).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (pem, private) = (folder.path().join("bot.pem"), folder.path().join("bot.key"));
    std::fs::write(&pem, app.pem()).unwrap();
    write_private(&private, &key.serialize_pem());
    let auth = format!("certificate = '{}', certificate-key = 'file:{}'", pem.display(), private.display());
    let Some(stage) = Stage::start(&auth, &names).await else { return };
    stage.says("hi").await;
    stage.connector.calls(1).await;
    let asked = stage.issuer.asked();
    let form = &asked[0].form;
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert!(!form.contains_key("client_secret"));
    let parts: Vec<&str> = form["client_assertion"].split('.').collect();
    let read = |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
    let (header, claims) = (read(parts[0]), read(parts[1]));
    assert_eq!((&header["alg"], &header["x5c"]), (&json!("RS256"), &json!([STANDARD.encode(app.der())])));
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!(APP), &json!(APP)));
    assert!(claims["aud"].as_str().unwrap().ends_with(&asked[0].target), "{claims}");
    let public = aws_lc_rs::signature::UnparsedPublicKey::new(
        &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256,
        rcgen::PublicKeyData::der_bytes(&key).to_vec(),
    );
    let message = format!("{}.{}", parts[0], parts[1]);
    public.verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(parts[2]).unwrap()).unwrap();
    stage.leaks_nothing().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn identities_of_platforms_need_no_secret() {
    let certificate = Certificate::of(&["localhost", "127.0.0.1"]);
    let Some(stage) = Stage::start("federated-token-file = 'secret'", &certificate).await else { return };
    stage.says("hi").await;
    stage.connector.calls(1).await;
    assert_eq!(stage.issuer.asked()[0].form["client_assertion"], SECRET);
    stage.leaks_nothing().await;

    let Some(stage) = Stage::start("type = 'managed'", &certificate).await else { return };
    stage.says("hi").await;
    let calls = stage.connector.calls(1).await;
    assert!(calls[0].authorization.starts_with("Bearer "), "{calls:?}");
    let asked = &stage.issuer.asked()[0];
    assert_eq!(asked.headers["metadata"], "true");
    let form: Vec<(&str, &str)> = asked.form.iter().map(|(key, value)| (&**key, &**value)).collect();
    assert_eq!(form, [("api-version", "2018-02-01"), ("client_id", APP), ("resource", "https://channel.test")]);
    stage.leaks_nothing().await;
}

/// An agent gets a token for itself, at an origin that the configuration lists.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_gets_a_token_for_itself() {
    let Some(stage) = Stage::with_secret().await else { return };
    let bearer = Token::app_v2(AGENT).bearer();
    let activity = stage.message("hi");
    assert_eq!(stage.host.post_to(PATH, &[("authorization", &bearer)], &activity).await.status, 200);
    assert_eq!(stage.connector.calls(1).await[0].text(), "Echo: hi");
    assert_eq!(stage.issuer.asked()[0].form["scope"], format!("{AGENT}/.default"));
}

/// Problems of credentials are told at the configuration, and no secret is repeated.
#[test]
fn a_secret_in_the_configuration_is_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("turntable.toml");
    let text =
        format!("[bots.bot]\napp-id = '{APP}'\nauth.secret = '{SECRET}'\nauth.certificate = 'a.pem'\nplugins = []\n");
    std::fs::write(&path, text).unwrap();
    let ended = turntable(&["check", "--offline", path.to_str().unwrap()], "");
    assert!(
        ended.stdout.contains("3:15: `bots.bot.auth.secret` must say where the secret is: \"env:NAME\""),
        "{ended:?}"
    );
    assert!(!format!("{ended:?}").contains(SECRET), "{ended:?}");
}
