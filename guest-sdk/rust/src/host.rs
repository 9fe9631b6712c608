//! Implements `Host` with the imports of the component. It only converts types.

mod http;

use crate::bindings::exports::turntable::bot::bot_handler as exported;
use crate::bindings::turntable::bot::{config, conversations, dialogs, log, state, text_stream, turn, types};
use crate::http::{Reply, Request};
use crate::stack::Frame;
use crate::state::Entry;
use crate::turn::{Host, Meta};
use crate::{Fault, Flow, Result, Step};

/// The imports of the component.
pub(crate) struct Imports;

impl Host for Imports {
    fn reply(&self, activity: &str) -> Result<String> {
        turn::reply(activity).map_err(fault_in)
    }

    fn send(&self, activity: &str) -> Result<String> {
        turn::send(activity).map_err(fault_in)
    }

    fn update(&self, id: &str, activity: &str) -> Result<()> {
        turn::update(id, activity).map_err(fault_in)
    }

    fn delete(&self, id: &str) -> Result<()> {
        turn::delete(id).map_err(fault_in)
    }

    fn flush(&self) -> Result<()> {
        turn::flush().map_err(fault_in)
    }

    fn respond(&self, status: u32, body: Option<&str>) -> Result<()> {
        turn::respond(status, body).map_err(fault_in)
    }

    fn setting(&self, key: &str) -> Option<String> {
        config::get(key)
    }

    fn setting_keys(&self) -> Vec<String> {
        config::keys()
    }

    fn log(&self, level: &str, message: &str, fields: Vec<(String, String)>) {
        log::write(level, message, &fields);
    }

    fn state_get(&self, scope: &str, key: &str) -> Result<Option<Entry>> {
        let entry = state::get(scope, key).map_err(fault_in)?;
        Ok(entry.map(|state::Entry { value, etag }| Entry { value, etag }))
    }

    fn state_set(&self, scope: &str, key: &str, value: &str, etag: Option<&str>) -> Result<String> {
        state::set(scope, key, value, etag).map_err(fault_in)
    }

    fn state_remove(&self, scope: &str, key: &str, etag: Option<&str>) -> Result<()> {
        state::remove(scope, key, etag).map_err(fault_in)
    }

    fn begin(&self, dialog: &str, options: &str) -> Result<String> {
        dialogs::begin(dialog, options).map_err(fault_in)
    }

    fn replace(&self, dialog: &str, options: &str) -> Result<String> {
        dialogs::replace(dialog, options).map_err(fault_in)
    }

    fn cancel_all(&self) -> Result<u32> {
        dialogs::cancel_all().map_err(fault_in)
    }

    fn reprompt(&self) -> Result<bool> {
        dialogs::reprompt().map_err(fault_in)
    }

    fn stack(&self) -> Result<Vec<Frame>> {
        let frames = dialogs::stack().map_err(fault_in)?;
        Ok(frames.into_iter().map(frame_in).collect())
    }

    fn reference(&self) -> Result<String> {
        conversations::reference().map_err(fault_in)
    }

    fn notify(&self, reference: &str, mode: &str, content: &str) -> Result<String> {
        conversations::notify(reference, mode, content).map_err(fault_in)
    }

    fn schedule(&self, name: &str, at: &str, reference: &str, mode: &str, content: &str) -> Result<String> {
        conversations::schedule(name, at, reference, mode, content).map_err(fault_in)
    }

    fn cancel(&self, id: &str) -> Result<bool> {
        conversations::cancel(id).map_err(fault_in)
    }

    fn http(&self, request: Request) -> Result<Reply> {
        http::send(&request)
    }

    fn stream_open(&self, informative: Option<&str>) -> Result<String> {
        text_stream::open(informative).map_err(fault_in)
    }

    fn stream_append(&self, id: &str, text: &str) -> Result<()> {
        text_stream::append(id, text).map_err(fault_in)
    }

    fn stream_close(&self, id: &str, activity: &str) -> Result<()> {
        text_stream::close(id, activity).map_err(fault_in)
    }

    fn since_epoch_ms(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

pub(crate) fn meta_in(meta: types::TurnMeta) -> Meta {
    Meta {
        turn_id: meta.turn_id,
        bot_id: meta.bot_id,
        channel_id: meta.channel_id,
        conversation_id: meta.conversation_id,
        kind: meta.kind,
        trigger: meta.trigger,
        locale: meta.locale,
        budget_ms: meta.budget_ms,
        extra: meta.extra,
    }
}

pub(crate) fn flow_out(flow: Flow) -> exported::Flow {
    match flow {
        Flow::Next => exported::Flow::Next,
        Flow::Handled => exported::Flow::Handled,
    }
}

pub(crate) fn fault_out(fault: Fault) -> exported::Fault {
    let Fault { code, message, retry_after_ms, detail } = fault;
    exported::Fault { code, message, retry_after_ms, detail }
}

pub(crate) fn step_out(step: Step) -> types::Step {
    let Step { kind, state, data } = step;
    types::Step { kind: kind.to_owned(), state: state.map(|state| state.to_string()), data: data.to_string() }
}

fn frame_in(frame: dialogs::Frame) -> Frame {
    let dialogs::Frame { id, plugin, dialog, waits_for } = frame;
    Frame { id, plugin, dialog, waits_for }
}

fn fault_in(fault: types::Fault) -> Fault {
    let types::Fault { code, message, retry_after_ms, detail } = fault;
    Fault { code, message, retry_after_ms, detail }
}
