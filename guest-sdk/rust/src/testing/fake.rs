//! The host's side of a turn in a test.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde_json::Value;

use super::Call;
use super::answer::{Answer, LogLine, Sent, SentAs};
use crate::activity::wire::Wire;
use crate::invoke::{InvokeResponse, NOT_IMPLEMENTED};
use crate::turn::Host;
use crate::{Activity, Fault, Result};

/// What a test prescribes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(crate) settings: BTreeMap<String, Value>,
    pub(crate) refusals: Vec<(Call, Fault)>,
}

/// The host during one turn.
pub(crate) struct FakeHost {
    script: Script,
    incoming: Activity,
    seen: RefCell<Answer>,
    /// How much of what was sent is flushed, and so survives a fault.
    flushed: RefCell<usize>,
}

/// Types that only the host sends.
const HOST_TYPES: &[&str] = &["invokeResponse", "delay"];

impl FakeHost {
    pub(crate) fn new(script: Script, incoming: Activity) -> Self {
        let seen = RefCell::new(Answer::new(Ok(crate::Flow::Next)));
        Self { script, incoming, seen, flushed: RefCell::new(0) }
    }

    /// Ends the turn: a fault drops what was staged.
    pub(crate) fn end(&self, result: Result) -> Answer {
        let mut answer = self.seen.borrow().clone();
        if result.is_err() {
            answer.sent.truncate(*self.flushed.borrow());
            answer.response = None;
        }
        if self.incoming.kind == "invoke" && answer.response.is_none() {
            let status = if result.is_err() { 500 } else { NOT_IMPLEMENTED };
            answer.response = Some(InvokeResponse::status(status));
        }
        answer.result = result;
        answer
    }

    fn stage(&self, call: Call, sent_as: SentAs, text: &str) -> Result<String> {
        self.check(call)?;
        let activity = self.complete(activity_of(text)?, sent_as);
        let sent = &mut self.seen.borrow_mut().sent;
        let id = format!("tt-{:026}", sent.len() + 1);
        sent.push(Sent { id: id.clone(), sent_as, activity });
        Ok(id)
    }

    /// Fills in what the host fills in.
    fn complete(&self, mut activity: Activity, sent_as: SentAs) -> Activity {
        let incoming = &self.incoming;
        activity.id = None;
        activity.timestamp = None;
        activity.from = activity.from.or_else(|| incoming.recipient.clone());
        activity.recipient = activity.recipient.or_else(|| incoming.from.clone());
        activity.conversation = activity.conversation.or_else(|| incoming.conversation.clone());
        activity.channel_id = activity.channel_id.or_else(|| incoming.channel_id.clone());
        activity.service_url = activity.service_url.or_else(|| incoming.service_url.clone());
        activity.locale = activity.locale.or_else(|| incoming.locale.clone());
        if sent_as == SentAs::Reply {
            activity.reply_to_id = activity.reply_to_id.or_else(|| incoming.id.clone());
        }
        activity
    }

    fn check(&self, call: Call) -> Result<()> {
        match self.script.refusals.iter().find(|(refused, _)| *refused == call) {
            Some((_, fault)) => Err(fault.clone()),
            None => Ok(()),
        }
    }

    /// An id is good where this turn sent it, or where it is one of the channel's.
    fn check_id(&self, id: &str) -> Result<()> {
        let known = !id.starts_with("tt-") || self.seen.borrow().sent.iter().any(|sent| sent.id == id);
        if !id.is_empty() && known { Ok(()) } else { Err(Fault::invalid(format!("no activity has the id `{id}`"))) }
    }
}

impl Host for FakeHost {
    fn reply(&self, activity: &str) -> Result<String> {
        self.stage(Call::Reply, SentAs::Reply, activity)
    }

    fn send(&self, activity: &str) -> Result<String> {
        self.stage(Call::Send, SentAs::Send, activity)
    }

    fn update(&self, id: &str, activity: &str) -> Result<()> {
        self.check(Call::Update)?;
        self.check_id(id)?;
        let activity = self.complete(activity_of(activity)?, SentAs::Update);
        self.seen.borrow_mut().sent.push(Sent { id: id.to_owned(), sent_as: SentAs::Update, activity });
        Ok(())
    }

    fn delete(&self, id: &str) -> Result<()> {
        self.check(Call::Delete)?;
        self.check_id(id)?;
        let activity = Activity::default();
        self.seen.borrow_mut().sent.push(Sent { id: id.to_owned(), sent_as: SentAs::Delete, activity });
        Ok(())
    }

    fn flush(&self) -> Result<()> {
        self.check(Call::Flush)?;
        *self.flushed.borrow_mut() = self.seen.borrow().sent.len();
        Ok(())
    }

    fn respond(&self, status: u32, body: Option<&str>) -> Result<()> {
        self.check(Call::Respond)?;
        if self.incoming.kind != "invoke" {
            return Err(Fault::invalid("the turn is no invoke"));
        }
        let status = u16::try_from(status)
            .ok()
            .filter(|status| (200..600).contains(status))
            .ok_or_else(|| Fault::invalid(format!("the status {status} is not between 200 and 599")))?;
        let body = body.map(serde_json::from_str).transpose()?;
        self.seen.borrow_mut().response = Some(InvokeResponse { status, body });
        Ok(())
    }

    fn setting(&self, key: &str) -> Option<String> {
        self.script.settings.get(key).map(Value::to_string)
    }

    fn setting_keys(&self) -> Vec<String> {
        self.script.settings.keys().cloned().collect()
    }

    fn log(&self, level: &str, message: &str, fields: Vec<(String, String)>) {
        let line = LogLine { level: level.to_owned(), message: message.to_owned(), fields };
        self.seen.borrow_mut().log.push(line);
    }
}

fn activity_of(text: &str) -> Result<Activity> {
    let activity =
        Activity::read(serde_json::from_str(text)?).map_err(|_| Fault::invalid("an activity is a JSON object"))?;
    if activity.kind.is_empty() {
        return Err(Fault::invalid("the activity has no `type`"));
    }
    if HOST_TYPES.contains(&activity.kind.as_str()) {
        return Err(Fault::invalid(format!("only the host sends `{}`", activity.kind)));
    }
    Ok(activity)
}
