//! The host's side of a turn in a test.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use serde_json::{Value, json};
use turntable_dialog::{Begin, Known, Refusal, Stack};

use super::Call;
use super::answer::{Answer, Asked, LogLine, Sent, SentAs};
use super::memory::{Memory, PLUGIN, Place, STATE_BYTES_MAX, Staged};
use super::server::Server;
use crate::activity::wire::Wire;
use crate::http::{Reply, Request};
use crate::invoke::{InvokeResponse, NOT_IMPLEMENTED};
use crate::stack::Frame;
use crate::state::Entry;
use crate::turn::Host;
use crate::{Activity, Fault, Result};

/// What a test prescribes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    pub(crate) settings: BTreeMap<String, Value>,
    pub(crate) refusals: Vec<(Call, Fault)>,
    /// The dialogs that may be begun, by id and version.
    pub(super) dialogs: Vec<(String, u32)>,
    /// Milliseconds since 1970.
    pub(super) now: u64,
    /// What answers HTTP requests.
    pub(super) server: Option<Server>,
}

/// A point that a turn can be rolled back to.
pub(super) struct Savepoint {
    staged: Staged,
    sent: usize,
    asked: usize,
}

/// The host during one turn.
pub(crate) struct FakeHost {
    script: Script,
    incoming: Activity,
    seen: RefCell<Answer>,
    memory: Rc<RefCell<Memory>>,
    staged: RefCell<Staged>,
    /// Whether `on-activity` runs: only there the stack may be changed.
    in_handler: Cell<bool>,
    /// How much of what was sent is flushed, and so survives a fault.
    flushed: RefCell<usize>,
    /// The open stream: its id and text.
    stream: RefCell<Option<(String, String)>>,
}

/// The most bytes of an activity or of a step's data.
const SEND_BYTES_MAX: usize = 256 << 10;
/// Types that only the host sends.
const HOST_TYPES: &[&str] = &["invokeResponse", "delay"];

impl FakeHost {
    pub(super) fn new(script: Script, incoming: Activity, memory: Rc<RefCell<Memory>>) -> Self {
        let seen = RefCell::new(Answer::new(Ok(crate::Flow::Next)));
        let conversation = incoming.conversation.as_ref().map(|it| it.id.clone()).unwrap_or_default();
        let staged = RefCell::new(memory.borrow().stage(&conversation));
        let in_handler = Cell::new(false);
        Self {
            script,
            incoming,
            seen,
            memory,
            staged,
            in_handler,
            flushed: RefCell::new(0),
            stream: RefCell::default(),
        }
    }

    pub(super) fn staged(&self) -> RefMut<'_, Staged> {
        self.staged.borrow_mut()
    }

    pub(super) fn enter_handler(&self, inside: bool) {
        self.in_handler.set(inside);
    }

    pub(super) fn savepoint(&self) -> Savepoint {
        let seen = self.seen.borrow();
        Savepoint { staged: self.staged.borrow().clone(), sent: seen.sent.len(), asked: seen.asked.len() }
    }

    /// Drops what was staged since, but not what was flushed.
    pub(super) fn roll_back(&self, to: &Savepoint) {
        let flushed = *self.flushed.borrow();
        self.seen.borrow_mut().sent.truncate(to.sent.max(flushed));
        self.seen.borrow_mut().asked.truncate(to.asked);
        self.seen.borrow_mut().response = None;
        let fresh = self.memory.borrow().stage(&to.staged.conversation);
        *self.staged.borrow_mut() = if flushed > to.sent { fresh } else { to.staged.clone() };
    }

    /// Makes real what is staged. False: the turn must run again.
    pub(super) fn commit(&self) -> bool {
        self.memory.borrow_mut().commit(&mut self.staged.borrow_mut())
    }

    pub(super) fn flush_staged(&self) -> Result<()> {
        if !self.commit() {
            return Err(Fault::conflict("somebody else wrote a value that this turn relied on"));
        }
        *self.flushed.borrow_mut() = self.seen.borrow().sent.len();
        Ok(())
    }

    /// Closes the stream that a handler left open.
    pub(super) fn close_stream(&self) {
        let open = self.stream.borrow().clone();
        if let Some((id, text)) = open
            && !text.is_empty()
        {
            // It stages a message, which nothing refuses.
            let _ = self.stream_close(&id, r#"{"type":"message"}"#);
        }
    }

    /// Whether something left already, so that the turn cannot run again.
    pub(super) fn has_flushed(&self) -> bool {
        *self.flushed.borrow() > 0
    }

    /// What is known of a dialog of the plugin.
    pub(super) fn known(&self, dialog: &str) -> Option<Known> {
        let (_, version) = self.script.dialogs.iter().find(|(id, _)| id == dialog)?;
        Some(Known {
            state_version: (*version).into(),
            send_bytes_max: SEND_BYTES_MAX,
            state_bytes_max: STATE_BYTES_MAX,
        })
    }

    pub(super) fn frame_id(&self) -> Arc<str> {
        format!("frame-{}", self.memory.borrow_mut().number()).into()
    }

    /// Changes the stack for a handler that begins a dialog.
    fn begun(
        &self,
        dialog: &str,
        options: &str,
        change: fn(&mut Stack, Begin<'_>) -> std::result::Result<Arc<str>, Refusal>,
    ) -> Result<String> {
        self.check_stack()?;
        let (id, plugin, known) = (self.frame_id(), PLUGIN.into(), self.known(dialog));
        let begin = Begin { id, plugin: &plugin, dialog, known, options };
        let id = change(&mut self.staged.borrow_mut().stack, begin);
        id.map(|id| id.to_string()).map_err(|refusal| Fault::new(refusal.code, refusal.message))
    }

    fn place(&self, scope: &str, key: &str) -> Place {
        let user = self.incoming.from.as_ref().map(|user| user.id.clone()).unwrap_or_default();
        let conversation = &self.staged.borrow().conversation;
        let owner = match scope {
            "user" => user,
            "private" if user.is_empty() => user,
            "private" => format!("{}:{conversation}:{user}", conversation.len()),
            "conversation" => conversation.clone(),
            _ => "bot".to_owned(),
        };
        (scope.to_owned(), owner, key.to_owned())
    }

    fn ask(&self, timer: Option<(String, String)>, reference: &str, mode: &str, content: &str) -> Result<String> {
        self.check(Call::Conversations)?;
        let content: Value = serde_json::from_str(content)?;
        if mode == "now" && !content["dialog"].is_null() {
            return Err(Fault::invalid("a dialog cannot be delivered `now`"));
        }
        let known = |id: &str| self.script.dialogs.iter().any(|(known, _)| known == id);
        if content["dialog"].as_str().is_some_and(|id| !known(id)) {
            return Err(Fault::invalid("the manifest of this plugin has no such dialog"));
        }
        let id = self.memory.borrow_mut().number().to_string();
        let (reference, mode) = (reference.to_owned(), mode.to_owned());
        self.seen.borrow_mut().asked.push(Asked { id: id.clone(), timer, reference, mode, content });
        Ok(id)
    }

    fn check_stack(&self) -> Result<()> {
        self.check(Call::Stack)?;
        if self.in_handler.get() {
            return Ok(());
        }
        Err(Fault::denied("a dialog changes the stack by the step that it returns"))
    }

    /// Ends the turn: a fault drops what was staged.
    pub(crate) fn end(&self, result: Result, reprompts: u32) -> Answer {
        let mut answer = self.seen.borrow().clone();
        self.memory.borrow_mut().asked.extend(answer.asked.iter().map(|asked| asked.id.clone()));
        answer.stack = self.staged.borrow().frames();
        answer.reprompts = usize::try_from(reprompts).unwrap_or(usize::MAX);
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
        if self.in_handler.get() { self.flush_staged() } else { Err(Fault::denied("return the step `flush` instead")) }
    }

    fn stream_open(&self, _informative: Option<&str>) -> Result<String> {
        self.check(Call::Stream)?;
        if !self.in_handler.get() {
            return Err(Fault::denied("not within `on-dialog` or `on-event`"));
        }
        if self.stream.borrow().is_some() {
            return Err(Fault::invalid("a stream is open in this turn: close it before you open another one"));
        }
        self.flush_staged()?;
        let id = self.frame_id().to_string();
        *self.stream.borrow_mut() = Some((id.clone(), String::new()));
        Ok(id)
    }

    fn stream_append(&self, id: &str, more: &str) -> Result<()> {
        match &mut *self.stream.borrow_mut() {
            Some((open, text)) if open == id => {
                text.push_str(more);
                Ok(())
            }
            _ => Err(Fault::invalid("no stream with this id is open in this turn")),
        }
    }

    fn stream_close(&self, id: &str, activity: &str) -> Result<()> {
        let open = self.stream.borrow_mut().take_if(|(open, _)| open == id);
        let Some((_, text)) = open else {
            return Err(Fault::invalid("no stream with this id is open in this turn"));
        };
        let mut activity = activity_of(activity)?;
        if activity.text.as_deref().unwrap_or_default().is_empty() {
            activity.text = Some(text);
        }
        self.stage(Call::Stream, SentAs::Reply, &Value::Object(activity.into_object()).to_string()).map(drop)
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

    fn reference(&self) -> Result<String> {
        self.check(Call::Conversations)?;
        Ok(json!({ "conversation": self.staged.borrow().conversation }).to_string())
    }

    fn notify(&self, reference: &str, mode: &str, content: &str) -> Result<String> {
        self.ask(None, reference, mode, content)
    }

    fn schedule(&self, name: &str, at: &str, reference: &str, mode: &str, content: &str) -> Result<String> {
        self.ask(Some((name.to_owned(), at.to_owned())), reference, mode, content)
    }

    fn cancel(&self, id: &str) -> Result<bool> {
        self.check(Call::Conversations)?;
        let mut seen = self.seen.borrow_mut();
        let before = seen.asked.len();
        seen.asked.retain(|asked| asked.id != id);
        Ok(seen.asked.len() < before || self.memory.borrow_mut().asked.remove(id))
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

    fn state_get(&self, scope: &str, key: &str) -> Result<Option<Entry>> {
        self.check(Call::State)?;
        self.staged.borrow().get(&self.place(scope, key))
    }

    fn state_set(&self, scope: &str, key: &str, value: &str, etag: Option<&str>) -> Result<String> {
        self.check(Call::State)?;
        let place = self.place(scope, key);
        let fresh = self.memory.borrow_mut().number().to_string();
        let entry = Entry { value: value.to_owned(), etag: fresh.clone() };
        self.staged.borrow_mut().set(place, Some(entry), etag)?;
        Ok(fresh)
    }

    fn state_remove(&self, scope: &str, key: &str, etag: Option<&str>) -> Result<()> {
        self.check(Call::State)?;
        let place = self.place(scope, key);
        self.staged.borrow_mut().set(place, None, etag)
    }

    fn begin(&self, dialog: &str, options: &str) -> Result<String> {
        self.begun(dialog, options, Stack::begin)
    }

    fn replace(&self, dialog: &str, options: &str) -> Result<String> {
        self.begun(dialog, options, Stack::replace)
    }

    fn cancel_all(&self) -> Result<u32> {
        self.check_stack()?;
        Ok(u32::try_from(self.staged.borrow_mut().stack.cancel_all()).unwrap_or(u32::MAX))
    }

    fn reprompt(&self) -> Result<bool> {
        self.check_stack()?;
        Ok(self.staged.borrow_mut().stack.ask_again())
    }

    fn stack(&self) -> Result<Vec<Frame>> {
        self.check(Call::Stack)?;
        Ok(self.staged.borrow().frames())
    }

    fn http(&self, request: Request) -> Result<Reply> {
        self.check(Call::Http)?;
        match &self.script.server {
            Some(server) => server.answer(&request),
            None => Err(Fault::denied("this test serves no HTTP requests; see `TestHost::serves`")),
        }
    }

    fn since_epoch_ms(&self) -> u64 {
        self.script.now
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
