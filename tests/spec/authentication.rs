//! Who may call a bot with an app id: channels, the Emulator and agents, with tokens that are really signed.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use similar_asserts::assert_eq;

use crate::support::issuer::{AGENT, TENANT, jwk, modulus, now};
use crate::support::{APP, Config, Connector, Host, Issuer, Token, expecting_replies, message};

const PATH: &str = "/api/bots/bot/messages";
const SERVICE: &str = "https://channel.example/teams/";
const AGENT_SERVICE: &str = "https://agents.example/skills/";
const OTHER_ID: &str = "99999999-9999-9999-9999-999999999999";

/// An activity of a channel, whose answer has the replies.
fn activity(service_url: &str) -> Value {
    let mut activity = expecting_replies(message("hi"));
    activity["channelId"] = "msteams".into();
    activity["serviceUrl"] = service_url.into();
    activity
}

async fn host(issuer: &Issuer) -> Option<Host> {
    let more = format!("skill-callers = ['{AGENT}'], service-origins = ['https://agents.example']");
    Host::start(issuer.bot(Config::new(), "bot", &more).plugin("bot", "echo", "")).await
}

async fn status(host: &Host, authorization: &str, activity: &Value) -> u16 {
    host.post_to(PATH, &[("authorization", authorization)], activity).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_tokens_of_every_kind_pass() {
    let issuer = Issuer::start().await;
    let Some(host) = host(&issuer).await else { return };
    let channel = || Token::channel(SERVICE);
    let valid = [
        ("a channel", channel(), SERVICE),
        ("another case of scheme and host, and no slash", channel(), "HTTPS://Channel.EXAMPLE/teams"),
        ("the default port", channel(), "https://channel.example:443/teams/"),
        ("no `nbf`", channel().without("nbf"), SERVICE),
        ("fractions of seconds", channel().with("exp", now() as f64 + 60.5), SERVICE),
        ("expired within the leeway", channel().with("exp", now() - 200), SERVICE),
        ("early within the leeway", channel().with("nbf", now() + 200), SERVICE),
        ("an app id in capitals", channel().with("aud", APP.to_uppercase()), SERVICE),
        ("the Emulator, version 1", Token::app(APP), AGENT_SERVICE),
        ("the Emulator, version 2", Token::app_v2(APP), AGENT_SERVICE),
        ("the Emulator without a version", Token::app(APP).without("ver"), AGENT_SERVICE),
        ("an agent, version 1", Token::app(AGENT), AGENT_SERVICE),
        ("an agent, version 2", Token::app_v2(AGENT), AGENT_SERVICE),
        ("the audience as api://", Token::app_v2(AGENT).with("aud", format!("api://{APP}")), AGENT_SERVICE),
        ("the audience as api://botid-", Token::app_v2(AGENT).with("aud", format!("api://botid-{APP}")), AGENT_SERVICE),
        ("an agent without a URL", Token::app(AGENT), "urn:botframework:websocket"),
    ];
    for (what, token, service_url) in valid {
        let answer = host.post_to(PATH, &[("authorization", &token.bearer())], &activity(service_url)).await;
        assert_eq!((what, answer.status), (what, 200), "{}", answer.text);
        assert_eq!(answer.replies()[0]["text"], "Echo: hi", "{what}");
    }
    assert_eq!(status(&host, &format!("bearer {}", channel().signed()), &activity(SERVICE)).await, 200);
    assert_eq!((issuer.fetches("channel"), issuer.fetches("entra")), (1, 1), "a warm validation makes no call");
}

/// What a token lacks, by the answer and the name of the check in the log.
fn refused() -> Vec<(&'static str, Token, u16, &'static str)> {
    let channel = || Token::channel(SERVICE);
    let app = || Token::app(AGENT);
    vec![
        ("signed by another key", channel().signed_by("other"), 401, "signature"),
        ("signed by the key of another issuer", channel().signed_by("entra"), 401, "signature"),
        ("the key id of another issuer", channel().signed_by("entra").header("kid", "e1"), 401, "key"),
        ("an unknown key id", channel().header("kid", "c9"), 401, "key"),
        ("no key id", channel().header("kid", Value::Null), 401, "key-id"),
        ("a key id that is a number", channel().header("kid", 1), 401, "key-id"),
        ("an empty key id", channel().header("kid", ""), 401, "key-id"),
        ("a key id with spaces", channel().header("kid", "c 1"), 401, "key-id"),
        ("a long key id", channel().header("kid", "c".repeat(129)), 401, "key-id"),
        ("no algorithm", channel().header("alg", Value::Null), 401, "algorithm"),
        ("algorithm none", channel().header("alg", "none"), 401, "algorithm"),
        ("algorithm NONE", channel().header("alg", "NONE"), 401, "algorithm"),
        ("algorithm HS256", channel().header("alg", "HS256"), 401, "algorithm"),
        ("algorithm ES256", channel().header("alg", "ES256"), 401, "algorithm"),
        ("algorithm PS256", channel().header("alg", "PS256"), 401, "algorithm"),
        ("algorithm RS512, which is not configured", channel().header("alg", "RS512"), 401, "algorithm"),
        ("another case of the algorithm", channel().header("alg", "rs256"), 401, "algorithm"),
        ("critical extensions", channel().header("crit", json!(["exp"])), 401, "form"),
        ("expired", channel().with("exp", now() - 301), 401, "time"),
        ("expired long ago", channel().with("exp", 0), 401, "time"),
        ("no `exp`", channel().without("exp"), 401, "time"),
        ("`exp` as text", channel().with("exp", (now() + 3_600).to_string()), 401, "time"),
        ("`exp` null", channel().with("exp", Value::Null), 401, "time"),
        ("early", channel().with("nbf", now() + 400), 401, "time"),
        ("`nbf` as text", channel().with("nbf", "0"), 401, "time"),
        ("`nbf` null", channel().with("nbf", Value::Null), 401, "time"),
        ("another audience", channel().with("aud", OTHER_ID), 401, "audience"),
        ("no audience", channel().without("aud"), 401, "audience"),
        ("a list of audiences", channel().with("aud", json!([APP])), 401, "audience"),
        ("the audience of a channel as api://", channel().with("aud", format!("api://{APP}")), 401, "audience"),
        ("another issuer", channel().with("iss", "https://evil.test"), 401, "issuer"),
        ("an issuer with a slash more", channel().with("iss", "https://channel.test/"), 401, "issuer"),
        ("no issuer", channel().without("iss"), 401, "issuer"),
        ("a list of issuers", channel().with("iss", json!(["https://channel.test"])), 401, "issuer"),
        ("no `serviceurl`", channel().without("serviceurl"), 403, "service-url"),
        ("an empty `serviceurl`", channel().with("serviceurl", ""), 403, "service-url"),
        ("another `serviceurl`", channel().with("serviceurl", "https://evil.example/teams/"), 403, "service-url"),
        (
            "another path of `serviceurl`",
            channel().with("serviceurl", "https://channel.example/amer/"),
            403,
            "service-url",
        ),
        (
            "another port of `serviceurl`",
            channel().with("serviceurl", "https://channel.example:8/teams/"),
            403,
            "service-url",
        ),
        (
            "another scheme of `serviceurl`",
            channel().with("serviceurl", "http://channel.example/teams/"),
            403,
            "service-url",
        ),
        (
            "a user in `serviceurl`",
            channel().with("serviceurl", "https://a@channel.example/teams/"),
            403,
            "service-url",
        ),
        ("`serviceurl` as a list", channel().with("serviceurl", json!([SERVICE])), 403, "service-url"),
        ("an issuer of Entra, signed by a channel", app().signed_by("channel"), 401, "signature"),
        ("the issuer of channels, signed by Entra", app().with("iss", "https://channel.test"), 401, "key"),
        ("no tenant", app().without("tid"), 401, "tenant"),
        ("a tenant that is not the issuer's", app().with("tid", OTHER_ID), 401, "tenant"),
        (
            "a tenant that is not configured",
            app().with("tid", OTHER_ID).with("iss", format!("https://sts.test/{OTHER_ID}/")),
            403,
            "tenant",
        ),
        (
            "an issuer with a path in its tenant",
            app().with("iss", format!("https://sts.test/{TENANT}/x/")),
            401,
            "issuer",
        ),
        ("no app id", app().without("appid"), 401, "caller"),
        ("the app id of version 2 in version 1", app().without("appid").with("azp", AGENT), 401, "caller"),
        ("an unknown version", app().with("ver", "3.0"), 401, "version"),
        ("a version that is a number", app().with("ver", 1), 401, "version"),
        ("an agent that is not allowed", Token::app(OTHER_ID), 403, "caller"),
        ("a token of a user", app().with("scp", "user_impersonation"), 403, "caller"),
        ("the audience of another app as api://", app().with("aud", format!("api://{OTHER_ID}")), 401, "audience"),
        ("an agent that names a channel's URL", app(), 403, "service-url"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn other_tokens_are_refused_with_one_answer() {
    let issuer = Issuer::start().await;
    let Some(host) = host(&issuer).await else { return };
    let mut told: BTreeMap<u16, String> = BTreeMap::new();
    for (number, (what, token, wanted, check)) in refused().into_iter().enumerate() {
        let id = format!("refused-{number}.");
        let headers = [("authorization", &*token.bearer()), ("x-request-id", &*id)];
        let answer = host.post_to(PATH, &headers, &activity(SERVICE)).await;
        assert_eq!((what, answer.status), (what, wanted), "{}", answer.text);
        assert_eq!(answer.text, *told.entry(wanted).or_insert(answer.text.clone()), "{what} learns nothing");
        let logged = host.logged(&id).await;
        assert!(logged.contains(&format!("check `{check}`")), "{what}: {logged}");
        let signature = token.signed();
        assert!(!logged.contains(signature.rsplit('.').next().unwrap()), "{what}: the token is not in the log");
    }
    assert_eq!(host.last_turn("bot").await, Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_token_is_refused() {
    let issuer = Issuer::start().await;
    let Some(host) = host(&issuer).await else { return };
    let token = Token::channel(SERVICE).signed();
    let message = Token::channel(SERVICE).message();
    let stripped = Token::channel(SERVICE).header("alg", "none").message();
    let with_public_key = Token::channel(SERVICE).header("alg", "HS256").message();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &modulus("channel")), with_public_key.as_bytes());
    let (head, signature) = token.rsplit_once('.').unwrap();
    let changed = format!("{}.{signature}", Token::channel("https://evil.example").message());
    for header in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer  x",
        "Basic YTpi",
        &token,
        &format!("Bearer {token} {token}"),
        &format!("Bearer\t{token}"),
        &format!("Digest {token}"),
        "Bearer a.b.c",
        "Bearer a.b",
        "Bearer ..",
        "Bearer eyJhbGciOiJub25lIn0.e30.",
        &format!("Bearer {stripped}."),
        &format!("Bearer {message}"),
        &format!("Bearer {message}."),
        &format!("Bearer {token}."),
        &format!("Bearer {token}=="),
        &format!("Bearer {head}.{}", &signature[..signature.len() - 8]),
        &format!("Bearer {}{token}", "x".repeat(16_384)),
        &format!("Bearer {with_public_key}.{}", URL_SAFE_NO_PAD.encode(tag)),
        &format!("Bearer {changed}"),
    ] {
        assert_eq!(status(&host, header, &activity(SERVICE)).await, 401, "{header}");
    }
    let bearer = format!("Bearer {token}");
    let twice = [("authorization", &*bearer), ("authorization", &*bearer)];
    assert_eq!(host.post_to(PATH, &twice, &activity(SERVICE)).await.status, 401, "two headers");
    assert_eq!(host.post("bot", &activity(SERVICE)).await.status, 401, "no header");
    assert_eq!(status(&host, &bearer, &activity(SERVICE)).await, 200);
    let json = host.post_to(PATH, &[], &json!("no activity")).await;
    assert_eq!(json.status, 401, "who sends no token learns nothing about the body");
}

/// A key speaks for the channels that it is endorsed for, and for no other.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_speaks_for_itself_only() {
    let issuer = Issuer::start().await;
    let key = |id: &str, more: Value| jwk("channel", id, &more);
    issuer.publish(
        "channel",
        vec![
            key("c1", json!({ "endorsements": ["msteams", "certified"] })),
            key("none", json!({})),
            key("null", json!({ "endorsements": null })),
            key("empty", json!({ "endorsements": [] })),
            key("slack", json!({ "endorsements": ["slack", "certified"] })),
            key("loose", json!({ "endorsements": ["msteams"] })),
        ],
    );
    let config = issuer.bot(Config::new(), "bot", "endorsements = ['certified']").plugin("bot", "echo", "");
    let Some(host) = Host::start(config).await else { return };
    let token = |id: &str| Token::channel(SERVICE).header("kid", id).bearer();
    for (id, wanted) in [("c1", 200), ("none", 403), ("null", 403), ("empty", 403), ("slack", 403), ("loose", 403)] {
        assert_eq!((id, status(&host, &token(id), &activity(SERVICE)).await), (id, wanted));
    }
    for channel in ["", "MSTEAMS", "directline#local", "slack"] {
        let mut activity = activity(SERVICE);
        activity["channelId"] = channel.into();
        assert_eq!(status(&host, &token("c1"), &activity).await, 403, "{channel}");
    }
}

/// Keys of Entra may be for one tenant only, and keys of a set that cannot sign are not used.
#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_used_for_what_it_is_made_for() {
    let issuer = Issuer::start().await;
    let key = |id: &str, more: Value| jwk("entra", id, &more);
    issuer.publish(
        "entra",
        vec![
            key("any", json!({ "issuer": "https://login.test/{tenantid}/v2.0" })),
            key("own", json!({ "issuer": format!("https://login.test/{TENANT}/v2.0") })),
            key("other", json!({ "issuer": format!("https://login.test/{OTHER_ID}/v2.0") })),
            key("enc", json!({ "use": "enc" })),
            key("ec", json!({ "kty": "EC" })),
            key("short", json!({ "n": URL_SAFE_NO_PAD.encode([0xff; 128]) })),
            key("one", json!({ "e": "AQ" })),
            key("alg", json!({ "alg": "RS512" })),
            key("twice", json!({})),
            key("twice", json!({ "use": null })),
            json!({ "kid": "half" }),
            json!(7),
        ],
    );
    let Some(host) = host(&issuer).await else { return };
    let mut answers = BTreeMap::new();
    for id in ["any", "own", "other", "enc", "ec", "short", "one", "alg", "twice", "half"] {
        let token = Token::app(AGENT).header("kid", id).bearer();
        answers.insert(id, status(&host, &token, &activity(AGENT_SERVICE)).await);
    }
    let refused = answers.iter().filter(|(_, status)| **status == 401).map(|(id, _)| *id);
    assert_eq!(refused.collect::<Vec<_>>(), ["alg", "ec", "enc", "half", "one", "other", "short", "twice"]);
    assert_eq!((answers["any"], answers["own"]), (200, 200));
}

/// An app chooses conversation ids itself, so it could name one of a channel.
#[tokio::test(flavor = "multi_thread")]
async fn conversations_of_an_app_are_not_those_of_a_channel() {
    let issuer = Issuer::start().await;
    let Some(host) = host(&issuer).await else { return };
    let mut said = activity(SERVICE);
    said["conversation"]["id"] = "shared".into();
    assert_eq!(status(&host, &Token::channel(SERVICE).bearer(), &said).await, 200);
    assert_eq!(host.last_turn("bot").await["channel"], "msteams");
    said["serviceUrl"] = AGENT_SERVICE.into();
    let answer = host.post_to(PATH, &[("authorization", &Token::app(AGENT).bearer())], &said).await;
    assert_eq!(answer.status, 200, "the same id is no redelivery");
    assert_eq!(host.last_turn("bot").await["channel"], format!("msteams#{AGENT}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_unknown_keys_causes_one_fetch() {
    let issuer = Issuer::start().await;
    let Some(host) = host(&issuer).await else { return };
    assert_eq!(status(&host, &Token::channel(SERVICE).bearer(), &activity(SERVICE)).await, 200);
    let flood = (0..200).map(|number| {
        let token = Token::channel(SERVICE).header("kid", format!("flood-{number}")).message() + ".AAAA";
        let host = &host;
        async move { status(host, &format!("Bearer {token}"), &activity(SERVICE)).await }
    });
    let answers = futures_util::future::join_all(flood).await;
    assert!(answers.iter().all(|status| *status == 401), "{answers:?}");
    assert_eq!(issuer.fetches("channel"), 2, "the first one and one for the flood");
    assert_eq!(issuer.fetches("entra"), 1);
    assert_eq!(status(&host, &Token::channel(SERVICE).bearer(), &activity(SERVICE)).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_rotates_under_load_without_a_failed_turn() {
    let issuer = Issuer::start().await;
    let Some(host) = host(&issuer).await else { return };
    let before = Token::channel(SERVICE).bearer();
    assert_eq!(status(&host, &before, &activity(SERVICE)).await, 200);
    let endorsed = json!({ "endorsements": ["msteams"] });
    issuer.publish("channel", vec![jwk("channel", "c1", &endorsed), jwk("other", "c2", &endorsed)]);
    let after = Token::channel(SERVICE).header("kid", "c2").signed_by("other").bearer();
    let load = (0..100).map(|number| {
        let (host, token) = (&host, if number % 2 == 0 { &before } else { &after });
        async move { status(host, token, &activity(SERVICE)).await }
    });
    let answers = futures_util::future::join_all(load).await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert_eq!(issuer.fetches("channel"), 2);
}

/// While the key server is down, known keys go on, and what cannot be checked is answered 503 so that it comes again.
#[tokio::test(flavor = "multi_thread")]
async fn an_outage_of_the_key_server_is_no_refusal() {
    for (code, body) in [(503, "down"), (200, "<html>"), (200, "{\"keys\":[]}"), (302, ""), (200, "null")] {
        let issuer = Issuer::start().await;
        let Some(host) = host(&issuer).await else { return };
        assert_eq!(status(&host, &Token::channel(SERVICE).bearer(), &activity(SERVICE)).await, 200);
        issuer.answers(code, body);
        let unknown = Token::channel(SERVICE).header("kid", "c2").bearer();
        let answer = host.post_to(PATH, &[("authorization", &unknown)], &activity(SERVICE)).await;
        assert_eq!(answer.status, 503, "{code} {body}");
        assert!(answer.headers.contains_key("retry-after"));
        assert_eq!(status(&host, &Token::channel(SERVICE).bearer(), &activity(SERVICE)).await, 200, "{code} {body}");
    }
    let issuer = Issuer::start().await;
    issuer.answers(500, "");
    let Some(host) = host(&issuer).await else { return };
    host.logged("the keys of an issuer cannot be loaded").await;
    assert_eq!(status(&host, &Token::channel(SERVICE).bearer(), &activity(SERVICE)).await, 503, "never loaded");
}

/// The list of callers and the app id are those of the configuration that was read last.
#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_who_may_call() {
    let issuer = Issuer::start().await;
    let Some(host) = host(&issuer).await else { return };
    let token = Token::app(AGENT).bearer();
    assert_eq!(status(&host, &token, &activity(AGENT_SERVICE)).await, 200);
    host.reconfigure("bot", &format!("skill-callers = ['{AGENT}']"), "skill-callers = []").await;
    assert_eq!(status(&host, &token, &activity(AGENT_SERVICE)).await, 403);
    assert_eq!((issuer.fetches("channel"), issuer.fetches("entra")), (1, 1), "the keys are still known");
}

/// A bot without an app id stays open on loopback, beside one with an app id.
#[tokio::test(flavor = "multi_thread")]
async fn a_bot_without_an_app_id_needs_no_token() {
    let issuer = Issuer::start().await;
    let config = issuer.bot(Config::new(), "bot", "").plugin("bot", "echo", "").bot("open", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let connector = Connector::start().await;
    assert_eq!(host.post("open", &connector.message("hi")).await.status, 200);
    assert_eq!(connector.calls(1).await[0].text(), "Echo: hi");
    assert_eq!(host.post("bot", &connector.message("hi")).await.status, 401);
}
