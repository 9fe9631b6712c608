//! The host as the component's imports give it: conversions, and nothing else.

use crate::bindings::exports::turntable::bot::bot_handler as exported;
use crate::bindings::turntable::bot::{config, log, turn, types};
use crate::turn::{Host, Meta};
use crate::{Fault, Flow, Result};

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

fn fault_in(fault: types::Fault) -> Fault {
    let types::Fault { code, message, retry_after_ms, detail } = fault;
    Fault { code, message, retry_after_ms, detail }
}
