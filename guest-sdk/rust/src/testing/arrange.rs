//! Functions of a test host that set up and inspect state and dialogs.

use serde_json::{Value, json};
use turntable_dialog::{Frame, Known, Status};

use super::TestHost;
use super::memory::Place;
use crate::Scope;

impl<B> TestHost<B> {
    /// Stores a value for the user and conversation of this host.
    pub fn store(&self, scope: Scope, key: &str, value: impl Into<Value>) {
        self.memory.borrow_mut().write(self.place(scope, key), value.into().to_string());
    }

    /// Returns what is stored for the user and conversation of this host, or none.
    pub fn stored(&self, scope: Scope, key: &str) -> Option<Value> {
        let memory = self.memory.borrow();
        serde_json::from_str(&memory.values.get(&self.place(scope, key))?.value).ok()
    }

    /// Simulates another turn that writes this value during the next turn. A turn that relied on the old value runs again.
    pub fn meanwhile(&self, scope: Scope, key: &str, value: impl Into<Value>) {
        let write = (self.place(scope, key), value.into().to_string());
        self.memory.borrow_mut().meanwhile.push(write);
    }

    /// Puts a waiting dialog of another plugin on the stack. `waits_for` is `message` or `prompt:KIND`.
    pub fn interrupts(&self, plugin: &str, dialog: &str, waits_for: &str) {
        let mut memory = self.memory.borrow_mut();
        let known = Known { state_version: 0, send_bytes_max: usize::MAX, state_bytes_max: usize::MAX };
        let id = format!("frame-{}", memory.number());
        let mut frame = Frame::new(id.into(), &plugin.into(), dialog, known, Value::Null);
        frame.status = match waits_for.strip_prefix("prompt:") {
            Some(kind) => Status::Prompt { definition: json!({ "kind": kind }), attempt: 0 },
            None if waits_for == "child" => Status::Child,
            None => Status::Waiting { activities: Vec::new() },
        };
        memory.stacks.entry(self.conversation.clone()).or_default().push(frame);
    }

    /// Returns the dialog stack of the conversation, top first.
    pub fn stack(&self) -> Vec<crate::Frame> {
        self.memory.borrow().stage(&self.conversation).frames()
    }

    fn place(&self, scope: Scope, key: &str) -> Place {
        let (user, conversation) = (&self.user.id, &self.conversation);
        let owner = match scope {
            Scope::User => user.clone(),
            Scope::Private => format!("{}:{conversation}:{user}", conversation.len()),
            Scope::Conversation => conversation.clone(),
            Scope::Bot => "bot".to_owned(),
        };
        (scope.name().to_owned(), owner, key.to_owned())
    }
}
