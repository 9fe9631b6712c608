//! The command line as operators and scripts use it.

use serde_json::Value;
use similar_asserts::assert_eq;

use crate::support::command::turntable_with_bytes;
use crate::support::{Behaviour, Config, Connector, Host, component, expecting_replies, message, turntable, within};

/// Returns the arguments that select the admin API of a host.
fn admin(host: &Host) -> Vec<String> {
    let token_file = host.token_file().to_str().unwrap().to_owned();
    vec!["--admin-url".to_owned(), host.admin_url(), "--token-file".to_owned(), token_file]
}

fn with_admin(host: &Host, args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).chain(admin(host)).collect()
}

#[test]
fn wrong_usage_exits_with_2_and_failure_with_1() {
    let cases = [
        (vec!["nonsense"], 2, "unrecognized subcommand 'nonsense'"),
        (vec!["deploy", "bot"], 2, "required arguments were not provided"),
        (vec!["check", "/nowhere/turntable.toml"], 1, ""),
        (vec!["bots", "--config", "/nowhere/turntable.toml"], 1, "the address of the host is unknown"),
        (
            vec!["bots", "--admin-url", "ftp://x", "--token-file", "/nowhere"],
            1,
            "is not a URL such as http://127.0.0.1:3979",
        ),
        (
            vec!["bots", "--admin-url", "http://127.0.0.1:9", "--token-file", "/nowhere"],
            1,
            "cannot read the admin token /nowhere",
        ),
        (vec!["chat", "--url", "http://127.0.0.1:9"], 1, "cannot reach a host at http://127.0.0.1:9/"),
    ];
    for (args, code, said) in cases {
        let ended = turntable(&args, "");
        assert_eq!(ended.code, Some(code), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(said), "{args:?}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{args:?}: {ended:?}");
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    use std::process::Stdio;
    let mut child = crate::support::command::binary()
        .args(["check", "/nowhere/turntable.toml"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_are_shown_deployed_rolled_back_and_switched() {
    let config = Config::new().bot("demo", &["echo", "welcome"]);
    let Some(host) = Host::start(config).await else { return };

    let ended = turntable(&with_admin(&host, &["bots"]), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<Vec<&str>> = ended.stdout.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["BOT", "STATE", "GENERATION", "SINCE", "PLUGINS"]);
    assert_eq!(&lines[1][..3], ["demo", "serving", "1"]);

    // A component that differs from the one that serves under this name.
    let other = host.component("welcome");
    let ended = turntable(&with_admin(&host, &["deploy", "demo", "echo", other.to_str().unwrap()]), "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.starts_with("demo: generation 1 → 2 in "), "{}", ended.stdout);
    assert!(ended.stdout.contains("\n  echo     sha256:"), "{}", ended.stdout);
    assert!(ended.stdout.contains(" unchanged"), "{}", ended.stdout);

    let ended = turntable(&with_admin(&host, &["rollback", "demo", "--json"]), "");
    let swap: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(swap["bot"], "demo");
    assert_eq!(swap["digests"][0] != swap["digests"][1], true, "the first component serves again: {swap}");

    let ended = turntable(&with_admin(&host, &["disable", "demo"]), "");
    assert_eq!(ended.stdout, "demo: disabled: activities answer 503\n");
    let ended = turntable(&with_admin(&host, &["bots", "demo", "--json"]), "");
    assert_eq!(serde_json::from_str::<Value>(&ended.stdout).unwrap()["enabled"], false);
    let ended = turntable(&with_admin(&host, &["enable", "demo"]), "");
    assert_eq!(ended.stdout, "demo: enabled\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_deployment_lists_every_problem_and_changes_nothing() {
    let config = Config::new().bot("echo", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let broken = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(broken.path(), "not a component").unwrap();
    let ended = turntable(&with_admin(&host, &["deploy", "echo", "echo", broken.path().to_str().unwrap()]), "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("was not deployed; the previous component continues to serve"), "{}", ended.stderr);
    assert!(ended.stderr.contains("\n  - "), "each problem has a line: {}", ended.stderr);
    let ended = turntable(&with_admin(&host, &["deploy", "echo", "nothing", broken.path().to_str().unwrap()]), "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    host.bot("echo").says("still there?").replies("Echo: still there?").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_answers_each_line_of_a_pipe() {
    let config = Config::new().set("server.mode", "'development'").bot("echo", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let ended = turntable(&["chat", "--url", &host.url(""), "--bot", "echo"], "one\n\ntwo\n");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.stdout, "Echo: one\nEcho: two\n");
    let ended = turntable(&["chat", "--url", &host.url(""), "--bot", "nobody"], "one\n");
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

/// `chat` reads input in another encoding as far as it can.
#[tokio::test(flavor = "multi_thread")]
async fn chat_goes_on_after_a_line_that_is_not_utf_8() {
    let config = Config::new().set("server.mode", "'development'").bot("echo", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let args = ["chat", "--url", &host.url(""), "--bot", "echo"];
    let ended = turntable_with_bytes(&args, b"one\r\ngr\xfc\xdfe\ntwo");
    assert_eq!(
        (ended.code, &*ended.stdout),
        (Some(0), "Echo: one\nEcho: gr\u{fffd}\u{fffd}e\nEcho: two\n"),
        "{ended:?}"
    );
}

/// Like the other commands, `chat` finds the host by its configuration.
#[tokio::test(flavor = "multi_thread")]
async fn chat_finds_the_host_by_its_configuration() {
    let config = Config::new().set("server.mode", "'development'").bot("echo", &["echo"]);
    let Some(host) = Host::start(config).await else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("turntable.toml");
    let listen = host.url("").trim_start_matches("http://").trim_end_matches('/').to_owned();
    std::fs::write(&file, format!("server.listen = '{listen}'\n")).unwrap();
    let ended = turntable(&["chat", "--config", file.to_str().unwrap(), "--user", "-1"], "hi\n");
    assert_eq!((ended.code, &*ended.stdout), (Some(0), "Echo: hi\n"), "{ended:?}");
    let ended = turntable(&["chat", "--config", host.config().to_str().unwrap()], "hi\n");
    assert!(ended.code == Some(1) && ended.stderr.contains("no fixed port in `server.listen`"), "{ended:?}");
    assert!(ended.stderr.contains("--url"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chat_speaks_the_language_that_it_is_told() {
    let config = Config::new().set("server.mode", "'development'").bot("bot", &[]);
    let Some(host) = Host::start(config.plugin("bot", "cancel", "grants = { dialogs = true }")).await else { return };
    for (locale, said) in [("de-AT", "Es gibt nichts abzubrechen.\n"), ("fr", "")] {
        let args = ["chat", "--url", &host.url(""), "--bot", "bot", "--locale", locale];
        let ended = turntable(&args, "abbrechen\n");
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(0), said), "{ended:?}");
    }
}

/// `inspect` prints exports, imports and manifest. Its exit code says whether the component would serve.
#[test]
fn a_component_is_inspected_before_any_bot_runs_it() {
    let (Some(help), Some(surface)) = (component("help"), component("surface-rust")) else { return };
    let ended = turntable(&["inspect", help.to_str().unwrap()], "");
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for line in [
        "describes  help 0.1.0",
        "  route       help (score 0.9)",
        "  settings    text (required), dialogs",
        "exports  turntable:bot/bot-handler@0.1.0  describe on-activity",
        "imports  turntable:bot/turn@0.1.0  delete flush reply respond send update",
        "fit to serve on this host",
    ] {
        assert!(ended.stdout.lines().any(|found| found == line), "{line} is missing in {}", ended.stdout);
    }

    let with = |setting: &str| turntable(&["inspect", help.to_str().unwrap(), "--set", setting], "");
    assert_eq!(with("text=Help!").code, Some(0));
    let wrong = with("txt=5");
    assert_eq!(wrong.code, Some(1), "{wrong:?}");
    assert!(
        wrong.stdout.contains("not fit to serve") && wrong.stdout.contains("`txt`: the plugin has no such setting"),
        "{wrong:?}"
    );

    let ended = turntable(&["inspect", "--json", surface.to_str().unwrap()], "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&report["fit"], &report["manifest"]), (&Value::Bool(false), &Value::Null));
    let problems = report["problems"].as_array().unwrap();
    assert!(problems.len() > 1 && problems.iter().all(|problem| problem.as_str().unwrap().contains("a draft")));
}

/// `inspect` calls `describe` with the given settings and shows how it fails.
#[test]
fn inspecting_shows_why_a_component_is_not_fit() {
    let Some(hostile) = component("hostile") else { return };
    let hostile = hostile.to_str().unwrap().to_owned();
    let ended = turntable(&["inspect", "--set", "describe=trap", &hostile], "");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = ended.stdout.split_once("not fit to serve on this host\n").map(|(_, problems)| problems).unwrap();
    assert!(said.starts_with("  - describe: trap: ") && said.contains("describe was told to trap"), "{said}");

    let nowhere = turntable(&["inspect", "/nowhere/plugin.wasm"], "");
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.stderr.contains("cannot read the component /nowhere/plugin.wasm"), "{nowhere:?}");
}

/// If the host cannot be reached, the error says why and what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_cannot_be_reached_or_used_is_told_apart() {
    let config = Config::new().set("server.mode", "'production'");
    let Some(host) = Host::start(config.bot("echo", &["echo"])).await else { return };
    let chat = turntable(&["chat", "--url", &host.url("/")], "");
    assert!(chat.code == Some(1) && chat.stderr.contains("in development mode only"), "{chat:?}");
    assert!(chat.stderr.contains("--dev") && chat.stderr.contains("--url"), "{chat:?}");
    let nobody = turntable(&["chat", "--url", "http://127.0.0.1:1"], "");
    assert!(nobody.stderr.contains("cannot reach a host at http://127.0.0.1:1/"), "{nobody:?}");
    assert!(!nobody.stderr.contains("development"), "{nobody:?}");
    assert!(nobody.stderr.contains("--dev") && nobody.stderr.contains("--url"), "{nobody:?}");

    host.write_secret("other", &"x".repeat(64));
    let other = host.config().with_file_name("other");
    let asked = turntable(&["bots", "--admin-url", &host.admin_url(), "--token-file", other.to_str().unwrap()], "");
    assert_eq!(asked.code, Some(1));
    assert!(asked.stderr.contains(&format!("does not accept the token in {}", other.display())), "{asked:?}");
    let unknown =
        turntable(&with_admin(&host, &["deploy", "echo", "ecko", host.component("echo").to_str().unwrap()]), "");
    assert!(unknown.stderr.contains("no plugin `ecko`; it has echo"), "{unknown:?}");
    let large = host.config().with_file_name("large.wasm");
    std::fs::write(&large, vec![0; 20 << 20]).unwrap();
    for _ in 0..5 {
        let unknown = turntable(&with_admin(&host, &["deploy", "ecko", "echo", large.to_str().unwrap()]), "");
        assert!(unknown.stderr.contains("there is no bot `ecko`"), "{unknown:?}");
    }
}

/// If a port is in use, the error names the port and its setting.
#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_taken_stops_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for key in ["server.listen", "admin.listen"] {
        let config = Config::new().set(key, &format!("'{address}'")).bot("echo", &["echo"]);
        let Some(said) = Host::fails_to_start(config).await else { return };
        assert!(said.contains(&format!("cannot listen on {address} ({key})")), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_are_listed_tried_again_and_dropped() {
    let Some(host) = Host::start(Config::new().bot("bot", &["echo"])).await else { return };
    let connector = Connector::start().await;
    let listed = turntable(&with_admin(&host, &["dead-letters", "list", "bot"]), "");
    assert_eq!((listed.code, listed.stdout.trim()), (Some(0), "no dead letters"), "{listed:?}");
    connector.plan(Behaviour::Status(404)).plan(Behaviour::Status(404));
    for text in ["one", "two"] {
        let said = connector.message(text);
        assert_eq!(host.post("bot", &said).await.status, 200);
        host.dead_letter("bot", &said).await;
    }
    let listed = turntable(&with_admin(&host, &["dead-letters", "list", "bot"]), "");
    assert!(listed.stdout.starts_with("NUMBER  WHAT") && listed.stdout.contains("send message"), "{listed:?}");
    assert!(listed.stdout.contains(&connector.service_url()) && !listed.stdout.contains("Echo"), "{listed:?}");
    let json = turntable(&with_admin(&host, &["dead-letters", "list", "bot", "--json"]), "");
    let letters: Value = serde_json::from_str(&json.stdout).unwrap();
    let number = |index: usize| letters[index]["sequence"].to_string();

    let retried = turntable(&with_admin(&host, &["dead-letters", "retry", "bot", &number(1)]), "");
    assert_eq!(retried.code, Some(0), "{retried:?}");
    assert_eq!(connector.calls(3).await[2].text(), "Echo: one");
    let dropped = turntable(&with_admin(&host, &["dead-letters", "drop", "bot", &number(0)]), "");
    assert_eq!(dropped.code, Some(0), "{dropped:?}");
    let again = turntable(&with_admin(&host, &["dead-letters", "drop", "bot", &number(0)]), "");
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(again.stderr.contains("has no dead letter"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_of_a_stopped_host_is_checked_counted_and_compacted() {
    let Some(host) = Host::start(Config::new().bot("bot", &["echo"])).await else { return };
    host.bot("bot").says("hi").replies("Echo: hi").await;
    let folder = host.token_file().parent().unwrap().parent().unwrap().to_owned();
    let config = folder.join("turntable.toml").to_str().unwrap().to_owned();
    let store = |action: &str| turntable(&["store", action, "--config", &config], "");
    let running = store("stats");
    assert_eq!(running.code, Some(1), "{running:?}");
    assert!(running.stderr.contains("is in use by process"), "{running:?}");
    let (status, folder) = host.stop_and_keep().await;
    assert!(status.success());
    let counted = store("stats");
    assert_eq!(counted.code, Some(0), "{counted:?}");
    assert!(counted.stdout.lines().any(|line| line.starts_with("marks") && line.ends_with('1')), "{counted:?}");
    assert!(store("check").stdout.contains("no damage"));
    assert!(store("compact").stdout.contains("bytes before"));
    let path = folder.path().join(".turntable/turntable.db");
    std::fs::write(&path, "no database").unwrap();
    let damaged = store("check");
    assert_eq!(damaged.code, Some(1), "{damaged:?}");
    assert!(damaged.stderr.contains("cannot be used"), "{damaged:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_is_made_to_speak_and_what_it_has_yet_to_say_is_listed() {
    let Some(host) = Host::start(Config::new().bot("bot", &["scripted"])).await else { return };
    let connector = Connector::start().await;
    let mut activity = connector.message("hi");
    // Ids of Telegram groups begin with a hyphen.
    activity["conversation"]["id"] = "-1001234".into();
    assert_eq!(host.post("bot", &activity).await.status, 200);
    let to = ["--channel", "test", "--conversation", "-1001234"];
    let notify = |more: &[&str]| turntable(&with_admin(&host, &[&["notify", "bot"], &to[..], more].concat()), "");
    let said = notify(&["--text", "by the way", "--mode", "now"]);
    assert!(said.code == Some(0) && said.stdout.starts_with("delivered "), "{said:?}");
    assert_eq!(connector.calls(2).await[1].text(), "by the way");
    assert_eq!(notify(&["--text", "-5 °C", "--mode", "now"]).code, Some(0));
    assert_eq!(connector.calls(3).await[2].text(), "-5 °C");
    let mistyped = notify(&["--text", "hi", "--jsn"]);
    assert!(mistyped.code == Some(2) && mistyped.stderr.contains("'--jsn'"), "{mistyped:?}");
    assert!(mistyped.stderr.contains("'--json'"), "{mistyped:?}");
    let never = notify(&["--text", "hi", "--at", "0 0 30 2 * UTC"]);
    assert!(never.code == Some(1) && never.stderr.contains("never comes: in the next four years"), "{never:?}");
    let weekends = notify(&["--text", "hi", "--at", "0 9 * * SAT-SUN Europe/Berlin"]);
    assert!(weekends.code == Some(0) && weekends.stdout.starts_with("queued "), "{weekends:?}");
    let weekends = weekends.stdout.trim().trim_start_matches("queued ").to_owned();
    assert_eq!(turntable(&with_admin(&host, &["notifications", "cancel", "bot", &weekends]), "").code, Some(0));
    let later = notify(&["--event", "tick", "--value", "1", "--at", "2999-01-01T00:00:00Z", "--name", "far"]);
    assert!(later.code == Some(0) && later.stdout.starts_with("queued "), "{later:?}");
    let id = later.stdout.trim().trim_start_matches("queued ").to_owned();
    let listed = turntable(&with_admin(&host, &["notifications", "list", "bot"]), "");
    assert!(listed.stdout.contains(&id) && listed.stdout.contains("far"), "{listed:?}");
    assert_eq!(turntable(&with_admin(&host, &["notifications", "cancel", "bot", &id]), "").code, Some(0));
    let listed = turntable(&with_admin(&host, &["notifications", "list", "bot"]), "");
    assert_eq!(listed.stdout.trim(), "no pending notifications");
    for wrong in [&["--mode", "now"][..], &["--dialog", "book"], &["--event", "e", "--value", "{"]] {
        assert_eq!(notify(wrong).code, Some(1), "{wrong:?}");
    }
    let met = turntable(&with_admin(&host, &["references", "list", "bot"]), "");
    assert!(met.stdout.contains("test") && met.stdout.contains(&connector.service_url()), "{met:?}");
    let forget = [&["references", "forget", "bot"], &to[..]].concat();
    assert_eq!(turntable(&with_admin(&host, &forget), "").code, Some(0));
    let said = notify(&["--text", "still there?"]);
    assert!(said.code == Some(1) && said.stderr.contains("UnknownConversation"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broadcast_is_started_watched_and_ended() {
    let Some(host) = Host::start(Config::new().bot("bot", &["scripted"])).await else { return };
    let connector = Connector::start().await;
    let mut activity = connector.message("hi");
    activity["conversation"]["id"] = "c".into();
    assert_eq!(host.post("bot", &activity).await.status, 200);
    let ask = |words: &[&str]| turntable(&with_admin(&host, &[&["broadcast"], words].concat()), "");
    assert_eq!(ask(&["list", "bot"]).stdout.trim(), "no broadcasts");
    let started = ask(&["start", "bot", "--text", "sale", "--paused", "--channel", "test"]);
    assert!(started.code == Some(0) && started.stdout.starts_with("paused "), "{started:?}");
    assert!(started.stdout.trim().ends_with(": 1 conversations, 1 waiting"), "{started:?}");
    let id = started.stdout.split([' ', ':']).nth(1).unwrap().to_owned();
    assert!(ask(&["resume", "bot", &id]).stdout.starts_with("running "));
    assert_eq!(connector.calls(2).await[1].text(), "sale");
    let list = host.data().join("list.json");
    std::fs::write(&list, r#"[{"channel":"test","user":"nobody"}]"#).unwrap();
    let listed = ask(&["start", "bot", "--text", "sale", "--list", list.to_str().unwrap(), "--json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let second = listed["id"].as_str().unwrap().to_owned();
    let failures = async {
        loop {
            let failures = ask(&["failures", "bot", &second]);
            if failures.stdout.contains("nobody") {
                return failures;
            }
        }
    };
    let failures = within("the report", failures).await;
    assert!(failures.stdout.contains("unknown"), "{failures:?}");
    let all = ask(&["list", "bot"]);
    assert!(all.stdout.contains(&id) && all.stdout.contains(&second), "{all:?}");
    assert!(ask(&["show", "bot", &second]).stdout.contains("1 unknown"));
    let ended = ask(&["cancel", "bot", &second]);
    assert!(ended.code == Some(1) && ended.stderr.contains("has ended"), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn transcripts_are_listed_shown_moved_and_forgotten() {
    let config = Config::new().bot("bot", &[]).bot_key("transcripts", "{}").plugin("bot", "hostile", "");
    let Some(host) = Host::start(config).await else { return };
    let mut activity = expecting_replies(message("hi"));
    activity["conversation"]["id"] = "c".into();
    // The nesting depth that the host accepts.
    activity["channelData"] = (0..126).fold(Value::from(1), |inner, _| Value::from(vec![inner]));
    assert_eq!(host.post("bot", &activity).await.status, 200);
    let ask = |words: &[&str]| turntable(&with_admin(&host, words), "");
    let of = ["bot", "--channel", "test", "--conversation", "c"];
    let listed = ask(&["transcripts", "list", "bot"]);
    assert!(
        listed.code == Some(0) && listed.stdout.starts_with("CHANNEL") && listed.stdout.contains("test"),
        "{listed:?}"
    );
    let shown = ask(&[&["transcripts", "show"], &of[..]].concat());
    let lines: Vec<&str> = shown.stdout.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(lines, ["user: hi", "bot: ok: hi"], "{shown:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.transcript").display().to_string();
    let exported = ask(&[&["transcripts", "export"], &of[..], &["--output", &file]].concat());
    assert_eq!(exported.code, Some(0), "{exported:?}");
    let import = [&["transcripts", "import"], &of[..], &[&file]].concat();
    let refused = ask(&import);
    assert!(refused.code == Some(1) && refused.stderr.contains("delete it first"), "{refused:?}");
    assert_eq!(ask(&[&["transcripts", "delete"], &of[..]].concat()).code, Some(0));
    let imported = ask(&import);
    assert_eq!((imported.code, &*imported.stdout), (Some(0), "imported 2 activities\n"), "{imported:?}");
    let again = ask(&[&["transcripts", "show"], &of[..]].concat());
    assert_eq!(again.stdout, shown.stdout);
    let chat = folder.path().join("c.chat");
    std::fs::write(&chat, "user: hi\nuser: [Attachment=missing.json adaptivecard]\n").unwrap();
    let wrong = ask(&[&["transcripts", "import"], &of[..], &[&chat.display().to_string()]].concat());
    assert!(wrong.code == Some(1) && wrong.stderr.contains("c.chat:2: "), "{wrong:?}");
    let forgotten = ask(&[&["forget"], &of[..]].concat());
    assert!(forgotten.code == Some(0) && forgotten.stdout.starts_with("c is forgotten: "), "{forgotten:?}");
    let nothing = ask(&["forget", "bot", "--channel", "test", "--user", "nobody"]);
    assert_eq!(nothing.stdout, "nobody is forgotten: there was nothing\n", "{nothing:?}");
    assert_eq!(ask(&["transcripts", "list", "bot"]).stdout, "no transcripts\n");
}
