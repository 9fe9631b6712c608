//! Middleware that follows the rules in its settings.
//!
//! The setting `rules` is `[{ on, if, do, with, times }, …]`. The first rule that matches decides. An event without a matching rule
//! passes. `on` is an event, `if` is a text that the event's data must contain, and `do` is one of
//!
//! - `mark`: appends `with` to `text` and replaces the activity;
//! - `become`: replaces the activity by the JSON in `with`;
//! - `raw`: replaces the activity by the text in `with`;
//! - `stop`: stops the activity;
//! - `send`: sends `with` as a message `times` times and passes;
//! - `count`: adds one to `seen` of the conversation and passes;
//! - `deny`: calls functions that are denied and sends the codes of the faults;
//! - `step`: returns the step `with`;
//! - `trap`, `fault`, `spin`, `sleep`: fails in this way.

#[allow(missing_docs, clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "middleware-plugin" });
}

use bindings::exports::turntable::bot::{bot_handler, middleware};
use bindings::turntable::bot::types::{Event, Fault, Flow, Step, TurnMeta};
use bindings::turntable::bot::{config, dialogs, state, turn};
use serde_json::{Value, json};

struct Interceptor;

impl bot_handler::Guest for Interceptor {
    fn describe() -> String {
        let mut manifest = json!({
            "name": "interceptor", "version": "0.1.0", "roles": ["middleware"],
            "wants": { "middleware": true, "state": ["conversation"], "dialogs": true }
        });
        if let Some(intercepts) = setting("intercepts").as_array() {
            manifest["intercepts"] = json!(intercepts);
        }
        manifest.to_string()
    }

    fn on_activity(_meta: TurnMeta, _activity: String) -> Result<Flow, Fault> {
        Ok(Flow::Next)
    }
}

impl middleware::Guest for Interceptor {
    fn on_event(_meta: TurnMeta, event: Event) -> Result<Step, Fault> {
        let rules = setting("rules");
        let fits = |rule: &&Value| {
            rule["on"] == event.kind.as_str()
                && rule["if"].as_str().is_none_or(|part| event.data.contains(part))
                && rule["from"].as_str().is_none_or(|sender| event.name == sender)
        };
        match rules.as_array().into_iter().flatten().find(fits) {
            Some(rule) => obey(rule, &event),
            None => Ok(step("pass", String::new())),
        }
    }
}

fn obey(rule: &Value, event: &Event) -> Result<Step, Fault> {
    let with = rule["with"].as_str().unwrap_or_default();
    match rule["do"].as_str().unwrap_or_default() {
        "mark" => {
            let mut activity: Value = serde_json::from_str(&event.data).unwrap_or_default();
            activity["text"] = format!("{}{with}", activity["text"].as_str().unwrap_or_default()).into();
            return Ok(step("replace", activity.to_string()));
        }
        "become" | "raw" => return Ok(step("replace", with.to_owned())),
        "stop" => return Ok(step("stop", String::new())),
        "step" => return Ok(step(with, "null".to_owned())),
        "send" => {
            for _ in 0..rule["times"].as_u64().unwrap_or(1) {
                say(&with.replace("DATA", &event.data))?;
            }
        }
        "count" => {
            let seen = state::get("conversation", "seen")?.and_then(|entry| entry.value.parse::<u64>().ok());
            state::set("conversation", "seen", &(seen.unwrap_or_default() + 1).to_string(), None)?;
        }
        "tell" => say(&state::get("conversation", "seen")?.map_or_else(String::new, |entry| entry.value))?,
        "deny" => {
            let code = |fault: Fault| fault.code;
            let codes = [
                turn::flush().map_err(code).err(),
                dialogs::cancel_all().map_err(code).err(),
                dialogs::stack().map_err(code).err(),
            ];
            say(&codes.into_iter().flatten().collect::<Vec<_>>().join(" "))?;
        }
        "trap" => std::process::abort(),
        "fault" => {
            return Err(Fault {
                code: "mine".into(),
                message: "on purpose".into(),
                retry_after_ms: None,
                detail: None,
            });
        }
        "spin" => loop {
            std::hint::black_box(());
        },
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
        // Uses CPU time, so that a spec can tell the hook's time from the sender's.
        "work" => {
            let mut sum = 0_u64;
            for number in 0..150_000_000_u64 {
                sum = std::hint::black_box(sum.wrapping_add(number));
            }
        }
        _ => {}
    }
    Ok(step("pass", String::new()))
}

fn step(kind: &str, data: String) -> Step {
    Step { kind: kind.into(), state: None, data }
}

fn setting(key: &str) -> Value {
    config::get(key).and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
}

fn say(text: &str) -> Result<(), Fault> {
    turn::send(&json!({ "type": "message", "text": text }).to_string()).map(drop)
}

bindings::export!(Interceptor with_types_in bindings);
