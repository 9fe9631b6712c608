//! Executes commands on state and dialogs.
//!
//! **Messages** contain one command per line and run in one turn:
//!
//! - `get SCOPE KEY`, `set SCOPE KEY JSON`, `swap SCOPE KEY ETAG JSON` (`-` is the empty etag), `remove SCOPE KEY`, and
//!   `add SCOPE KEY`, which adds one to a number with its etag;
//! - `begin DIALOG OPTIONS`, `replace DIALOG OPTIONS`, `cancel-all`, `reprompt`, `stack`;
//! - `open LINE` (opens a stream; LINE may be missing), `append TEXT` (`_` stands for a blank), `close TEXT` (without TEXT: with what
//!   was appended), `sleep MS`, `spin`;
//! - `id TEXT` (reports whether the reply got an id), `try TEXT` (reports why the reply was refused), `revise TEXT`, `retract`,
//!   `typing`, `flush`, `trap`, `pass` (returns flow `next`);
//! - `reference`, `notify MODE CONTENT`, `notify-to REFERENCE MODE CONTENT`, `again MODE NAME` (an event that stages the same event
//!   again), `schedule NAME AT MODE CONTENT` (`_` stands for a blank in AT), `unschedule ID`.
//!
//! The answer to any other text is `heard: …`. An **invoke** named `obey` runs the commands in its text, and its value is its
//! response.
//!
//! **Dialogs** `script` and `child` follow the steps in their options,
//! `{"steps": [{"kind", "data", "say", "trap", "pad", "do"}, …]}`. Each event takes the next step. `do` is a command, and `pad` is the
//! number of spaces after its data. The dialog reports which event it got, unless the step has `"quiet": true`. After the last step
//! the dialog is done with the data of the event. `{"forever": "call"}` and `{"forever": "replace"}` never end, and
//! `{"forever": "wait"}` waits again after each event.
//!
//! Settings: `state-version`, `migrate` (`accept`, `reject`, `trap`), `routes` (as in the manifest).

#[allow(missing_docs, clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "dialog-plugin" });
}

use bindings::exports::turntable::bot::{bot_handler, dialog_handler};
use bindings::turntable::bot::types::{Event, Fault, Flow, Step, TurnMeta};
use bindings::turntable::bot::{config, conversations, dialogs, state, text_stream, turn};
use serde_json::{Value, json};
use std::sync::Mutex;
use std::time::Duration;

/// The stream that the turn has open.
static STREAM: Mutex<String> = Mutex::new(String::new());

struct Scripted;

impl bot_handler::Guest for Scripted {
    fn describe() -> String {
        let version = setting("state-version");
        let dialog = |id: &str| json!({ "id": id, "state-version": version.as_u64().unwrap_or(1) });
        json!({
            "name": "scripted", "version": "0.1.0", "roles": ["handler", "dialogs"],
            "dialogs": [dialog("script"), dialog("child")],
            "routes": setting("routes"),
            "wants": { "state": ["conversation", "user", "private", "bot"], "dialogs": true, "conversations": true }
        })
        .to_string()
    }

    fn on_activity(meta: TurnMeta, activity: String) -> Result<Flow, Fault> {
        let activity: Value = serde_json::from_str(&activity).unwrap_or_default();
        if meta.trigger.starts_with("route:") {
            say(&format!("{} {}", meta.trigger, activity["text"].as_str().unwrap_or_default()))?;
        }
        if meta.kind == "conversationUpdate" {
            return joined();
        }
        if meta.kind == "event" && meta.trigger != "activity" {
            say(&format!("{} {}", meta.trigger, activity["name"].as_str().unwrap_or_default()))?;
            for line in activity["value"]["then"].as_str().unwrap_or_default().lines() {
                obey(line)?;
            }
            return Ok(Flow::Handled);
        }
        let asked = meta.kind == "invoke" && activity["name"] == "obey";
        if meta.kind != "message" && !asked {
            return Ok(Flow::Next);
        }
        let text = match meta.trigger.strip_prefix("route:") {
            // The name of a route is the command that it runs, with two hyphens for a space.
            Some(route) => route.replace("--", " "),
            None => activity["text"].as_str().unwrap_or_default().to_owned(),
        };
        for line in text.lines() {
            obey(line)?;
        }
        if text.lines().last() == Some("pass") {
            return Ok(Flow::Next);
        }
        if asked {
            turn::respond(200, Some(&activity["value"].to_string()))?;
        }
        Ok(Flow::Handled)
    }
}

/// Welcomes each user once, in whichever conversation they join first.
fn joined() -> Result<Flow, Fault> {
    match state::get("user", "welcomed") {
        Ok(None) => {
            state::set("user", "welcomed", "true", Some(""))?;
            say("welcome")?;
        }
        Ok(Some(_)) => {}
        Err(fault) => say(&format!("no user: {}", fault.code))?,
    }
    Ok(Flow::Handled)
}

fn obey(line: &str) -> Result<(), Fault> {
    let words: Vec<&str> = line.splitn(5, ' ').collect();
    let rest = |from: usize| line.splitn(from + 1, ' ').nth(from).unwrap_or_default();
    match words[..] {
        ["get", scope, key] => match state::get(scope, key) {
            Ok(Some(entry)) => say(&entry.value),
            Ok(None) => say("none"),
            Err(fault) => refused(&fault),
        },
        ["etag", scope, key] => say(&state::get(scope, key)?.map_or_else(String::new, |entry| entry.etag)),
        ["set", scope, key, ..] => answered(state::set(scope, key, rest(3), None)),
        ["swap", scope, key, etag, ..] => {
            answered(state::set(scope, key, rest(4), Some(if etag == "-" { "" } else { etag })))
        }
        ["add", scope, key] => {
            let entry = state::get(scope, key)?;
            let (value, etag) = entry.map_or(("0".into(), String::new()), |entry| (entry.value, entry.etag));
            let sum = value.parse::<i64>().unwrap_or_default() + 1;
            state::set(scope, key, &sum.to_string(), Some(&etag))?;
            say(&sum.to_string())
        }
        ["remove", scope, key] => answered(state::remove(scope, key, None).map(|()| String::new())),
        ["begin", dialog, ..] => begun(dialogs::begin(dialog, options(rest(2)))),
        ["replace", dialog, ..] => begun(dialogs::replace(dialog, options(rest(2)))),
        ["cancel-all"] => match dialogs::cancel_all() {
            Ok(count) => say(&format!("cancelled {count}")),
            Err(fault) => refused(&fault),
        },
        ["reprompt"] => dialogs::reprompt().map(drop),
        ["stack"] => {
            let frames = dialogs::stack()?;
            let frame = |frame: &dialogs::Frame| format!("{}/{}:{}", frame.plugin, frame.dialog, frame.waits_for);
            say(&frames.iter().map(frame).collect::<Vec<_>>().join(" "))
        }
        ["id", ..] => {
            let id = turn::reply(&json!({ "type": "message", "text": rest(1) }).to_string())?;
            say(if id.is_empty() { "no id" } else { "an id" })
        }
        ["try", ..] => match turn::reply(&json!({ "type": "message", "text": rest(1) }).to_string()) {
            Ok(_) => Ok(()),
            Err(fault) => refused(&fault),
        },
        ["revise", ..] => {
            let id = turn::reply(r#"{"type":"message","text":"first"}"#)?;
            turn::flush()?;
            turn::update(&id, &json!({ "type": "message", "text": rest(1) }).to_string())
        }
        ["retract"] => {
            let id = turn::reply(r#"{"type":"message","text":"first"}"#)?;
            turn::flush()?;
            turn::delete(&id)
        }
        ["reference"] => match conversations::reference() {
            Ok(reference) => say(&reference),
            Err(fault) => refused(&fault),
        },
        ["notify", mode, ..] => asked(conversations::notify(&conversations::reference()?, mode, rest(2))),
        ["notify-to", reference, mode, ..] => asked(conversations::notify(reference, mode, rest(3))),
        ["again", mode, name] => {
            // An event that stages the same event again.
            let value = json!({ "then": line });
            let content = json!({ "event": { "name": name, "value": value } }).to_string();
            asked(conversations::notify(&conversations::reference()?, mode, &content))
        }
        ["schedule", name, at, mode, ..] => {
            let at = at.replace('_', " ");
            asked(conversations::schedule(name, &at, &conversations::reference()?, mode, rest(4)))
        }
        ["unschedule", id] => match conversations::cancel(id) {
            Ok(cancelled) => say(&format!("cancelled {cancelled}")),
            Err(fault) => refused(&fault),
        },
        ["open", ..] => {
            let line = Some(rest(1)).filter(|line| !line.is_empty());
            let id = text_stream::open(line)?;
            *STREAM.lock().unwrap() = id;
            Ok(())
        }
        ["append", ..] => text_stream::append(&STREAM.lock().unwrap(), &rest(1).replace('_', " ")),
        ["close", ..] => {
            let mut message = json!({ "type": "message" });
            if !rest(1).is_empty() {
                message["text"] = rest(1).into();
            }
            text_stream::close(&STREAM.lock().unwrap(), &message.to_string())
        }
        ["sleep", milliseconds] => {
            std::thread::sleep(Duration::from_millis(milliseconds.parse().unwrap_or_default()));
            Ok(())
        }
        ["spin"] => loop {
            std::hint::black_box(());
        },
        ["typing"] => turn::send(r#"{"type":"typing"}"#).map(drop),
        ["pass"] => Ok(()),
        ["respond"] => turn::respond(200, None),
        ["flush"] => turn::flush(),
        ["trap"] => trap(),
        _ => say(&format!("heard: {line}")),
    }
}

impl dialog_handler::Guest for Scripted {
    fn on_dialog(_meta: TurnMeta, event: Event, state: Option<String>) -> Result<Step, Fault> {
        match event.kind.as_str() {
            "cancelled" => {
                say(&format!("{} cancelled {}", event.name, event.data)).map(|()| step("ignored", Value::Null))
            }
            "migrate" => migrate(state),
            "validate" => validate(&event),
            kind => follow(kind, &event, state),
        }
    }
}

fn follow(kind: &str, event: &Event, state: Option<String>) -> Result<Step, Fault> {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    let mut script: Value = match kind {
        "begin" => data.clone(),
        _ => state.and_then(|state| serde_json::from_str(&state).ok()).unwrap_or_default(),
    };
    if let Some(kind @ ("call" | "replace")) = script["forever"].as_str() {
        let data = json!({ "dialog": "child", "options": script });
        return Ok(Step { kind: kind.into(), state: None, data: data.to_string() });
    }
    let waits_again = script["forever"] == "wait";
    let next = match script["steps"].as_array_mut() {
        Some(steps) if !steps.is_empty() && kind != "reprompt" => steps.remove(0),
        _ if kind == "reprompt" || waits_again => json!({ "kind": "wait" }),
        _ => json!({ "kind": "done", "data": data }),
    };
    if next["quiet"] != true {
        let brought = if kind == "continue" { data["text"].clone() } else { data };
        let shown = if kind == "begin" { String::new() } else { format!(" {brought}") };
        say(&format!("{} {kind}{shown}", event.name))?;
    }
    if let Some(text) = next["say"].as_str() {
        say(text)?;
    }
    if let Some(command) = next["do"].as_str() {
        obey(command)?;
    }
    if next["trap"] == true {
        trap()?;
    }
    let kind = next["kind"].as_str().unwrap_or_default().to_owned();
    let mut data = next["raw"].as_str().map_or_else(|| next["data"].to_string(), ToOwned::to_owned);
    data.push_str(&" ".repeat(next["pad"].as_u64().unwrap_or_default() as usize));
    Ok(Step { kind, state: Some(script.to_string()), data })
}

/// Accepts even numbers and every value that is not a number.
fn validate(event: &Event) -> Result<Step, Fault> {
    let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
    if data["value"].as_i64().is_none_or(|number| number % 2 == 0) {
        return Ok(step("accept", Value::Null));
    }
    Ok(step("reject", json!({ "retry": format!("{} is odd, said {}", data["value"], data["validator"]) })))
}

fn migrate(state: Option<String>) -> Result<Step, Fault> {
    match setting("migrate").as_str() {
        Some("trap") => trap().map(|()| step("ignored", Value::Null)),
        Some("accept") => {
            let mut script: Value = state.and_then(|state| serde_json::from_str(&state).ok()).unwrap_or_default();
            script["migrated"] = true.into();
            Ok(Step { kind: "accept".into(), state: Some(script.to_string()), data: "null".into() })
        }
        _ => Ok(step("reject", Value::Null)),
    }
}

fn step(kind: &str, data: Value) -> Step {
    Step { kind: kind.into(), state: None, data: data.to_string() }
}

fn setting(key: &str) -> Value {
    config::get(key).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn say(text: &str) -> Result<(), Fault> {
    turn::reply(&json!({ "type": "message", "text": text }).to_string()).map(drop)
}

fn refused(fault: &Fault) -> Result<(), Fault> {
    say(&format!("{}: {}", fault.code, fault.message))
}

fn answered(result: Result<String, Fault>) -> Result<(), Fault> {
    result.map_or_else(|fault| refused(&fault), |_| say("done"))
}

/// Reports the outcome of staging a notification. If it succeeded, it stores the id and reports nothing.
fn asked(result: Result<String, Fault>) -> Result<(), Fault> {
    match result {
        Ok(id) => match state::set("conversation", "asked", &json!(id).to_string(), None) {
            Ok(_) => Ok(()),
            Err(_) => say(&id),
        },
        Err(fault) => refused(&fault),
    }
}

fn options(text: &str) -> &str {
    if text.is_empty() { "null" } else { text }
}

fn begun(result: Result<String, Fault>) -> Result<(), Fault> {
    result.map_or_else(|fault| refused(&fault), |_| Ok(()))
}

fn trap() -> Result<(), Fault> {
    std::process::abort()
}

bindings::export!(Scripted with_types_in bindings);
