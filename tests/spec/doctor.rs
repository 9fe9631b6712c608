//! `turntable doctor` says what a bot needs, what is missing, and what to do.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use similar_asserts::assert_eq;

use crate::support::tls::Certificate;
use crate::support::{Behaviour, Config, Connector, Host, Issuer, turntable};

const SECRET: &str = "canary-secret";

/// Returns the exit code and the outcome of each check of the bot. No output contains the secret.
fn outcomes(arguments: &[&str]) -> (Option<i32>, BTreeMap<String, String>, String) {
    let ended = turntable(&[&["doctor", "bot", "--json"], arguments].concat(), "");
    assert!(!format!("{ended:?}").contains("canary"), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    assert_eq!(report["ok"], ended.code == Some(0));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().unwrap();
    for check in checks {
        assert_eq!(check["outcome"] == "passed", check["remedy"].is_null(), "{check}");
    }
    let outcomes = checks.iter().map(|check| (text(&check["check"]), text(&check["outcome"]))).collect();
    (ended.code, outcomes, ended.stdout)
}

/// Writes a configuration with a registered bot and returns its path.
fn write(config: Config, secret: &str) -> Option<(Config, String)> {
    let folder = config.data().parent().unwrap().to_owned();
    let path = folder.join("secret");
    std::fs::write(&path, secret).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    std::fs::set_permissions(config.data(), std::fs::Permissions::from_mode(0o700)).unwrap();
    let file = config.write()?;
    Some((config, file.to_str().unwrap().to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_has_all_it_needs_passes() {
    let issuer = Issuer::start().await;
    let certificate = Certificate::of(&["127.0.0.1"]);
    let connector = Connector::with_tls(&certificate).await;
    let config = Config::new().set("tls.root-certificates", "['root.pem']");
    certificate.write(&config.data().parent().unwrap().join("root.pem"));
    let more = format!("service-origins = ['{}'], secret = 'file:secret'", connector.service_url());
    let config = issuer.bot(config, "bot", &more).plugin("bot", "echo", "");
    let Some((config, file)) = write(config, SECRET) else { return };
    let (code, found, text) = outcomes(&["--config", &file]);
    assert_eq!(code, Some(0), "{text}");
    let names: Vec<&str> = found.keys().map(String::as_str).collect();
    let wanted = [
        "allocator",
        "clock",
        "configuration",
        "connector",
        "data-folder",
        "disk",
        "dns",
        "keys",
        "registration",
        "secrets",
        "store",
        "token",
    ];
    assert_eq!(names, wanted);
    assert!(found.values().all(|outcome| outcome == "passed"), "{text}");
    assert_eq!(connector.calls(1).await[0].path, "/v3/conversations");

    connector.plan(Behaviour::Status(403));
    let (code, found, text) = outcomes(&["--config", &file]);
    assert_eq!((code, &*found["connector"]), (Some(1), "failed"), "{text}");
    issuer.answers_token_with(401, &format!("{{\"error\":\"invalid_client\",\"error_description\":\"{SECRET}\"}}"));
    let (code, found, text) = outcomes(&["--config", &file]);
    assert_eq!((code, &*found["token"], &*found["connector"]), (Some(1), "failed", "skipped"), "{text}");
    issuer.answers(500, "");
    let (code, found, text) = outcomes(&["--config", &file]);
    assert_eq!((code, &*found["keys"], &*found["clock"]), (Some(1), "failed", "skipped"), "{text}");
    std::fs::set_permissions(config.data(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let (code, found, text) = outcomes(&["--config", &file]);
    assert_eq!((code, &*found["data-folder"]), (Some(1), "failed"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoint_is_asked_as_a_channel_reaches_it() {
    let issuer = Issuer::start().await;
    let config = issuer.bot(Config::new(), "bot", "").plugin("bot", "echo", "");
    let Some(host) = Host::start(config).await else { return };
    let file = host.config().to_str().unwrap().to_owned();
    let ask = |path: &str| outcomes(&["--config", &file, "--endpoint", &host.url(path)]);
    let (_, found, text) = ask("/api/bots/bot/messages");
    assert_eq!((&*found["endpoint"], &*found["store"]), ("passed", "skipped"), "{text}");
    assert_eq!(&*found["token"], "failed", "the bot has no credential: {text}");
    let (code, found, text) = ask("/api/bots/nobody/messages");
    assert_eq!((code, &*found["endpoint"]), (Some(1), "failed"), "{text}");
    assert!(text.contains("/api/bots/bot/messages"), "{text}");
    let (_, found, _) = outcomes(&["--config", &file, "--endpoint", "http://127.0.0.1:9/"]);
    assert_eq!(&*found["endpoint"], "failed");
}

#[test]
fn a_wrong_configuration_is_the_first_thing_to_mend() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("turntable.toml");
    std::fs::write(&file, "colour = 'red'\n").unwrap();
    let ended = turntable(&["doctor", "--config", file.to_str().unwrap()], "");
    assert_eq!(ended.code, Some(1));
    assert!(ended.stdout.contains("failed   configuration: ") && ended.stdout.contains("`colour`"), "{}", ended.stdout);
}
