//! Calls every imported function and implements every exported one, including drafts. A host of this release does not load it and
//! names the drafts.

#[allow(missing_docs, clippy::all, reason = "generated")]
mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "full-plugin",
        features: ["calls", "user-tokens"],
    });
}

use bindings::exports::turntable::bot::{bot_handler, call_handler, dialog_handler, middleware};
use bindings::turntable::bot::types::{Event, Fault, Flow, Step, TurnMeta};
use bindings::turntable::bot::{calls, config, conversations, dialogs, log, state, text_stream, turn, users};

struct Surface;

impl bot_handler::Guest for Surface {
    fn describe() -> String {
        r#"{"name":"surface","version":"0.1.0","roles":["handler","dialogs","middleware","calls"]}"#.into()
    }

    fn on_activity(meta: TurnMeta, activity: String) -> Result<Flow, Fault> {
        log::write("info", &config::keys().join(","), &[("locale".into(), meta.locale.unwrap_or_default())]);
        let id = turn::send(&activity)?;
        turn::update(&id, &activity)?;
        turn::delete(&turn::reply(&activity)?)?;
        turn::flush()?;
        turn::respond(200, config::get("body").as_deref())?;
        let etag = state::get("user", "key")?.map(|entry| entry.etag);
        let etag = state::set("user", "key", "1", etag.as_deref())?;
        state::remove("user", "key", Some(&etag))?;
        let reference = conversations::reference()?;
        let notified = conversations::notify(&reference, "now", "{}")?;
        conversations::schedule("reminder", "2027-01-01T00:00:00Z", &reference, "when-idle", "{}")?;
        conversations::cancel(&notified)?;
        dialogs::begin("book", "{}")?;
        dialogs::replace("book", "{}")?;
        dialogs::reprompt()?;
        let depth = dialogs::stack()?.iter().filter(|frame| frame.waits_for == "message").count();
        log::write("debug", &depth.to_string(), &[]);
        dialogs::cancel_all()?;
        calls::act("call", "play", "{}")?;
        let stream = text_stream::open(Some("Looking that up"))?;
        text_stream::append(&stream, "text")?;
        text_stream::close(&stream, &activity)?;
        if users::get("graph", None)?.is_none() {
            users::sign_in("graph")?;
        }
        users::exchange("graph")?;
        users::sign_out("graph")?;
        Ok(Flow::Handled)
    }
}

fn echo(event: Event, state: Option<String>) -> Result<Step, Fault> {
    Ok(Step { kind: event.kind, state, data: event.data })
}

impl dialog_handler::Guest for Surface {
    fn on_dialog(_meta: TurnMeta, event: Event, state: Option<String>) -> Result<Step, Fault> {
        echo(event, state)
    }
}

impl middleware::Guest for Surface {
    fn on_event(_meta: TurnMeta, event: Event) -> Result<Step, Fault> {
        echo(event, None)
    }
}

impl call_handler::Guest for Surface {
    fn on_call(_meta: TurnMeta, event: Event, state: Option<String>) -> Result<Step, Fault> {
        echo(event, state)
    }
}

bindings::export!(Surface with_types_in bindings);
