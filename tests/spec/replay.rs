//! Conversation files: conversion, and replay against a bot.

use std::path::Path;

use serde_json::{Value, json};
use similar_asserts::assert_eq;

use crate::support::command::Ended;
use crate::support::{Config, turntable};

/// The travel bot, with the plugins and grants that a booking needs.
fn travel() -> Config {
    let help = "grants = { dialogs = true }\nsettings.text = 'Say «book».'\nsettings.dialogs = \
                { 'travel/book' = 'I am booking a trip for you. Answer my question, or say «cancel».' }";
    Config::new().bot("travel", &[]).plugin("travel", "help", help).plugin(
        "travel",
        "travel",
        "grants = { state = ['user'], dialogs = true }",
    )
}

/// Replays a file against the default bot of a configuration. None if a component is missing.
fn replay(config: &Config, file: &str, more: &[&str]) -> Option<Ended> {
    let path = config.write()?;
    let args = ["replay", file, "--config", path.to_str().unwrap()];
    Some(turntable(&[&args[..], more].concat(), ""))
}

/// Writes a file and returns its path.
fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Returns the path of a file in `tests/data/replay`.
fn sample(name: &str) -> String {
    format!("{}/../tests/data/replay/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn a_chat_is_converted_to_a_transcript() {
    let printed = turntable(&["transcripts", "convert", &sample("sketch.chat")], "");
    assert_eq!(printed.code, Some(0), "{printed:?}");
    let activities: Vec<Value> = serde_json::from_str(&printed.stdout).unwrap();
    let told: Vec<Value> = activities
        .iter()
        .map(|activity| json!([activity["from"]["name"], activity["type"], activity["text"]]))
        .collect();
    let expected = json!([
        ["Ann", "conversationUpdate", null],
        ["Ann", "conversationUpdate", null],
        ["Travel", "message", "Welcome, Ann!"],
        ["Ann", "message", "book"],
        ["Travel", "typing", null],
        ["Travel", "message", "Where to?\nNot in winter."],
        ["Ann", "message", "Lisbon"],
        ["Travel", "message", ""],
    ]);
    assert_eq!(json!(told), expected);
    assert_eq!(activities[5]["suggestedActions"]["actions"][1]["title"], "Oslo");
    assert_eq!(activities[7]["attachments"][0]["content"]["type"], "AdaptiveCard");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sketch.transcript");
    let path = path.to_str().unwrap();
    let written = turntable(&["transcripts", "convert", &sample("sketch.chat"), "-o", path], "");
    assert_eq!((written.code, written.stdout.as_str()), (Some(0), ""), "{written:?}");
    assert_eq!(std::fs::read_to_string(path).unwrap(), printed.stdout);
    // The output is a transcript, and converting it again does not change it.
    assert_eq!(turntable(&["transcripts", "convert", path], "").stdout, printed.stdout);
}

#[test]
fn every_problem_of_a_chat_is_told_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.chat");
    std::fs::write(&path, "user=Ann\n\nAnn: hi [Delay=soon]\nbot: [Attachment=../secret]\n").unwrap();
    let path = path.to_str().unwrap();
    let told = turntable(&["transcripts", "convert", path], "");
    assert_eq!((told.code, told.stdout.as_str()), (Some(1), ""), "{told:?}");
    let expected = format!(
        "{path}:3: `[Delay=soon]`: give a number of milliseconds, at most 86400000\n\
         {path}:4: attachment ../secret is outside of the folder of the chat; move the file there\n"
    );
    assert_eq!(told.stderr, expected);
}

#[test]
fn a_bot_that_says_the_same_replays_without_difference() {
    let Some(ended) = replay(&travel(), &sample("travel.chat"), &[]) else { return };
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.ends_with("\nno difference in 11 answers\n"), "{}", ended.stdout);
    let part = "\n  Ann: help\n  bot: I am booking a trip for you.";
    assert!(ended.stdout.contains(part), "{}", ended.stdout);
}

#[test]
fn what_a_bot_says_otherwise_is_shown_where_it_says_it() {
    let folder = tempfile::tempdir().unwrap();
    let chat = std::fs::read_to_string(sample("travel.chat")).unwrap();
    let changed = chat
        .replace("When do you want to go to Rome?", "When do you want to leave for Rome?")
        .replace("  title=Your trip to Rome", "  title=Your trip to the sea")
        .replace("Travel: You have no trips. Say «book» to book one.\n[Suggestions=book]\n", "")
        .replace("Ann.\nAnn: my trips", "Ann.\nTravel: Enjoy!\nAnn: my trips");
    let file = written(folder.path(), "changed.chat", &changed);
    let Some(ended) = replay(&travel(), &file, &["--bot", "travel"]) else { return };
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let golden = sample("changed.diff");
    if std::env::var_os("TURNTABLE_RECORD").is_some() {
        std::fs::write(&golden, &ended.stdout).unwrap();
    }
    assert_eq!(ended.stdout, std::fs::read_to_string(golden).unwrap(), "set TURNTABLE_RECORD=1 to record it anew");
}

/// A converted chat is replayed like the chat. Ids, times and channel data of other hosts are not differences.
#[test]
fn transcripts_are_replayed_whatever_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let converted = turntable(&["transcripts", "convert", &sample("travel.chat")], "");
    let mut activities: Vec<Value> = serde_json::from_str(&converted.stdout).unwrap();
    for (number, activity) in activities.iter_mut().enumerate() {
        activity["timestamp"] = "2031-01-01T00:00:00Z".into();
        activity["channelData"] = json!({ "tenant": number });
        if activity["from"]["role"] == "bot" {
            activity["id"] = format!("other-{number}").into();
            activity["inputHint"] = "acceptingInput".into();
        }
    }
    let file = json!({ "name": "of another host", "transcript": activities }).to_string();
    let file = written(folder.path(), "a.transcript", &format!("\u{feff}{file}"));
    let Some(ended) = replay(&travel(), &file, &["--json"]) else { return };
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(report["equal"], true);
    let step = &report["steps"][3];
    assert_eq!(step["user"], json!(["Ann: help"]));
    assert_eq!(step["lines"][1]["said"], "both");
}

/// Updates and deletions, messages of the bot before and after the users', responses to invokes, and a plugin that fails.
#[test]
fn everything_that_leaves_the_bot_is_compared() {
    let user = json!({ "id": "u", "role": "user" });
    let heard =
        |kind: &str, text: &str| json!({ "type": kind, "text": text, "from": user, "conversation": { "id": "c" } });
    let said = |id: &str, kind: &str, text: &str| json!({ "type": kind, "id": id, "text": text, "from": { "id": "b", "role": "bot" } });
    let notice = r#"{"activity":{"type":"message","text":"by the way"}}"#;
    let dialog = r#"{"steps":[{"kind":"wait"},{"kind":"done"}]}"#;
    let failed = "Sorry, something went wrong on my side. Please try again.";
    let mut invoke = heard("invoke", "add conversation sum");
    invoke["name"] = "obey".into();
    invoke["value"] = 7.into();
    let mut answer = said("", "invokeResponse", "");
    answer["value"] = json!({ "status": 200, "body": 7 });
    let transcript = json!([
        heard("message", "revise second"),
        said("1", "message", "first"),
        said("1", "messageUpdate", "second"),
        heard("message", "retract"),
        said("2", "message", "first"),
        said("2", "messageDelete", ""),
        heard("message", &format!("notify when-idle {notice}\ntyping\nbegin script {dialog}")),
        said("", "typing", ""),
        said("3", "message", "script begin"),
        heard("message", "bye"),
        said("4", "message", "script continue \"bye\""),
        said("5", "message", "by the way"),
        invoke,
        said("6", "message", "1"),
        answer,
        heard("message", "trap"),
        said("7", "message", failed),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let file = written(folder.path(), "a.transcript", &transcript.to_string());
    let grants = "grants = { state = ['conversation'], dialogs = true, conversations = true }";
    let config = Config::new().bot("bot", &[]).plugin("bot", "scripted", grants);
    let Some(ended) = replay(&config, &file, &[]) else { return };
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("  bot: [update of «first»]\n       second\n"), "{}", ended.stdout);

    // Members that a host does not store are not differences. A new failure is reported with its reason.
    let mut activities = transcript.as_array().unwrap().clone();
    activities.retain(|activity| activity["type"] != "invokeResponse");
    activities.pop();
    let file = written(folder.path(), "a.transcript", &json!(activities).to_string());
    let ended = replay(&config, &file, &[]).unwrap();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().filter(|line| line.starts_with(['-', '+', '!'])).collect();
    assert_eq!(lines[0], format!("+ bot: {failed}"));
    assert!(lines.len() == 2 && lines[1].starts_with("! scripted, activity: trap: "), "{lines:?}");
}

#[test]
fn users_may_speak_another_language() {
    let Some(ended) = replay(&travel(), &sample("travel.chat"), &["--locale", "de-DE"]) else { return };
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let question = "+ bot: Where to? (1) Lisbon, (2) Oslo oder (3) Rome";
    assert!(ended.stdout.contains(question), "{}", ended.stdout);
}

/// A replay does not start a host: it binds no port, writes no file, and works beside a host with the same folder.
#[test]
fn a_replay_leaves_no_trace() {
    let config = travel().set("server.listen", "'127.0.0.1:1'").set("runtime.data-dir", "'data'");
    let Some(file) = config.write() else { return };
    let folder = file.parent().unwrap();
    let names = || {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = names();
    let ended = replay(&config, &sample("travel.chat"), &[]).unwrap();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(names(), before);
}

#[test]
fn what_cannot_be_replayed_is_no_difference() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| written(folder.path(), name, text);
    let broken = file("broken.transcript", "[\n {\"type\":\"message\"},\n 7\n]");
    let nobody = file("nobody.transcript", r#"[{"type":"message","text":"hi","from":{"id":"u"}}]"#);
    let silent = file("silent.transcript", r#"[{"type":"message","text":"hi","from":{"id":"b","role":"bot"}}]"#);
    let chat = file("a.chat", "hi\n");
    let cases = [
        (&*broken, &[][..], "broken.transcript:3: entry 2: is not an object"),
        (&chat, &[], "a.chat:1: this text has no speaker; begin the line with `bot:` or `user:`"),
        (&nobody, &[], "nobody.transcript: nothing identifies the bot"),
        (&silent, &[], "silent.transcript: no user says anything"),
        ("/nowhere/a.transcript", &[], "error: /nowhere/a.transcript: does not exist"),
        (&sample("travel.chat"), &["--bot", "nobody"], "has no bot `nobody`; it has broken, travel"),
        (&sample("travel.chat"), &[], "has no default bot; choose one with --bot: broken, travel"),
        (&sample("travel.chat"), &["--bot", "broken"], "the bot `broken` cannot be loaded:\n  - no-component: "),
        (&sample("travel.chat"), &["--config", "/nowhere/turntable.toml"], "/nowhere/turntable.toml: "),
    ];
    let no_component = file("no-component.wasm", "no component");
    let config = travel().bot("broken", &[]);
    let Some(path) = config.write() else { return };
    let mut text = std::fs::read_to_string(&path).unwrap();
    text.push_str(&format!("[[bots.broken.plugins]]\ncomponent = '{no_component}'\n"));
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    for (file, more, said) in cases {
        let mut args = vec!["replay", file];
        args.extend(more);
        if !more.contains(&"--config") {
            args.extend(["--config", path]);
        }
        let ended = turntable(&args, "");
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(said), "{args:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{args:?}");
    }
}

/// What other tools keep is read, and the channel on which the bot hears it is told.
#[test]
fn transcripts_of_other_tools_are_replayed_on_the_channel_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let said = |role: u8, text: &str| {
        let activity = json!({ "type": "message", "timestamp": 1_663_765_489, "from": { "id": "x", "role": role } });
        let Value::Object(mut activity) = activity else { unreachable!() };
        activity.insert("text".to_owned(), text.into());
        activity
    };
    let activities = [said(1, "hi"), said(0, "Echo: hi"), said(1, "ho"), said(0, "Echo: ho")];
    let config = Config::new().bot("echo", &["echo"]);
    let wrapped = json!({ "activities": activities, "watermark": "3" }).to_string();
    let lines = activities.map(|activity| json!(activity).to_string()).join("\n");
    for (name, text) in [("wrapped.json", wrapped), ("lines.jsonl", lines)] {
        let file = written(folder.path(), name, &text);
        let Some(ended) = replay(&config, &file, &[]) else { return };
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let heading = "bot echo, channel replay (assumed, because the file names none; choose one with --channel)\n";
        assert!(ended.stdout.starts_with(heading) && ended.stdout.contains("no difference in 2 answers"), "{ended:?}");
        let chosen = replay(&config, &file, &["--channel", "msteams", "--json"]).unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(&chosen.stdout).unwrap()["channels"],
            json!(["msteams"]),
            "{chosen:?}"
        );
    }
}

/// If neither the file nor the command line names a channel, one is assumed and reported.
#[test]
fn a_channel_that_is_assumed_is_told_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new().bot("echo", &["echo"]);
    let user = json!({ "id": "u", "role": "user" });
    let said = |text: &str, channel: Option<&str>| {
        let mut said = json!({ "type": "message", "text": text, "from": user });
        if let Some(channel) = channel {
            said["channelId"] = channel.into();
        }
        said
    };
    let mixed = json!([said("a", Some("msteams")), said("b", None)]).to_string();
    let named = json!([said("a", Some("replay")), said("b", Some("chatdown"))]).to_string();
    let assumed =
        |channel: &str| format!("{channel} (assumed, because the file names none; choose one with --channel)");
    for (name, text, args, told, json_told) in [
        ("a.chat", "user: hi\n", &[][..], assumed("chatdown"), json!([["chatdown"], ["chatdown"]])),
        ("b.chat", "channelId=slack\nuser: hi\n", &[], "slack".to_owned(), json!([["slack"], []])),
        ("c.chat", "channelId=chatdown\nuser: hi\n", &[], "chatdown".to_owned(), json!([["chatdown"], []])),
        ("d.chat", "user: hi\n", &["--channel", "chatdown"], "chatdown".to_owned(), json!([["chatdown"], []])),
        ("e.json", &*mixed, &[], format!("msteams, {}", assumed("replay")), json!([["msteams", "replay"], ["replay"]])),
        ("f.json", &*named, &[], "replay, chatdown".to_owned(), json!([["replay", "chatdown"], []])),
    ] {
        let file = written(folder.path(), name, text);
        let Some(ended) = replay(&config, &file, args) else { return };
        assert_eq!(ended.stdout.lines().next(), Some(&*format!("bot echo, channel {told}")), "{name}: {ended:?}");
        let ended = replay(&config, &file, &[args, &["--json"]].concat()).unwrap();
        let report: Value = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(json!([report["channels"], report["channels_assumed"]]), json_told, "{name}: {ended:?}");
    }
}

#[test]
fn a_chat_with_a_stranger_or_with_itself_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new().bot("echo", &["echo"]);
    let file = written(folder.path(), "a.chat", "user=Ann\n\nAnn: hi\nBob: ho\nbot: Echo: hi\nBob: ho\n");
    let Some(ended) = replay(&config, &file, &[]) else { return };
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stderr.starts_with(&format!("{file}:4: warning: the header does not name `Bob`")), "{ended:?}");
    let heading = "bot echo, channel chatdown (assumed, because the file names none; choose one with --channel)\n";
    assert!(ended.stdout.starts_with(heading), "{ended:?}");
    let file = written(folder.path(), "b.chat", "user: hi\nbot: [Attachment=b.chat]\n");
    let ended = replay(&config, &file, &[]).unwrap();
    let told = format!("error: {file}:2: attachment b.chat is this chat itself; name another file\n");
    assert_eq!((ended.code, ended.stderr), (Some(2), told));
}
