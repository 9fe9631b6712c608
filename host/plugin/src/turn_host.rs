//! What a guest may ask of the turn that called it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Fault;

/// A turn, as one plugin reaches it while a call of that plugin runs.
///
/// The plugin runtime counts the calls and checks the grants that the contract names for whole interfaces. The turn does the
/// rest. A guest may be cut while one of the `async` functions waits. Its future is dropped then, and the caller of the guest
/// undoes what the call staged, so a function holds no lock while it waits and leaves nothing half done.
#[async_trait]
pub trait TurnHost: Send + Sync {
    /// Stages an activity, or sends it at once if it is ephemeral. `threaded` makes it a reply. Returns its host id; an empty
    /// one if middleware stopped it.
    async fn send(&self, activity: &str, threaded: bool) -> Result<Arc<str>, Fault>;

    /// Stages the replacement of an activity that was sent before.
    async fn update(&self, id: &str, activity: &str) -> Result<(), Fault>;

    /// Stages the deletion of an activity that was sent before.
    async fn delete(&self, id: &str) -> Result<(), Fault>;

    /// Sets the answer to an invoke.
    async fn respond(&self, status: u32, body: Option<&str>) -> Result<(), Fault>;

    /// Commits and delivers what is staged.
    async fn flush(&self) -> Result<(), Fault>;

    /// Opens a stream with an informative line and returns its id.
    async fn open_stream(&self, informative: Option<&str>) -> Result<Arc<str>, Fault>;

    /// Appends text to the stream.
    async fn append(&self, stream: &str, text: &str) -> Result<(), Fault>;

    /// Closes the stream with its final message.
    async fn close_stream(&self, stream: &str, activity: &str) -> Result<(), Fault>;

    /// Returns the CPU time that middleware of this turn has used. Middleware runs inside the calls of guests that send, and
    /// those guests do not pay for it.
    fn middleware_cpu(&self) -> Duration;

    /// Reads a value of state, as this turn sees it.
    async fn state_get(&self, scope: &str, key: &str) -> Result<Option<StateEntry>, Fault>;

    /// Stages a value of state, or with `None` its removal. Returns the new etag.
    async fn state_set(
        &self,
        scope: &str,
        key: &str,
        value: Option<&str>,
        etag: Option<&str>,
    ) -> Result<Arc<str>, Fault>;

    /// Pushes a dialog of the plugin and returns the id of its frame.
    fn begin_dialog(&self, dialog: &str, options: &str) -> Result<Arc<str>, Fault>;

    /// The same in the place of the top of the stack.
    fn replace_dialog(&self, dialog: &str, options: &str) -> Result<Arc<str>, Fault>;

    /// Takes every frame off the stack and returns how many there were.
    fn cancel_dialogs(&self) -> usize;

    /// Lets the top of the stack repeat its question. False if nothing waits that could.
    fn reprompt(&self) -> bool;

    /// Returns the frames of the stack, top first.
    fn dialogs(&self) -> Vec<DialogFrame>;

    /// Returns what a guest keeps to come back to the conversation of the turn.
    fn reference(&self) -> String;

    /// Stages a notification or a timer and returns its id.
    async fn notify(&self, request: NotificationRequest<'_>) -> Result<Arc<str>, Fault>;

    /// Stages the end of a notification that the plugin asked for. False if no such notification waits.
    async fn cancel_notification(&self, id: &str) -> Result<bool, Fault>;
}

/// A value of state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateEntry {
    /// JSON text.
    pub value: Arc<str>,
    /// Names this version of the value.
    pub etag: Arc<str>,
}

/// One frame of the dialog stack (`dialogs.wit`, `frame`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialogFrame {
    /// Id of the frame.
    pub id: Arc<str>,
    /// The plugin that owns the dialog.
    pub plugin: Arc<str>,
    /// The dialog.
    pub dialog: Arc<str>,
    /// What the frame waits for.
    pub waits_for: String,
}

/// What a plugin asks for with `notify` and `schedule` (`conversations.wit`).
#[derive(Debug, Clone, Copy)]
pub struct NotificationRequest<'a> {
    /// What `reference` returned for the conversation.
    pub reference: &'a str,
    /// `now`, `when-idle`, `interrupt` or `cancel`.
    pub mode: &'a str,
    /// JSON text.
    pub content: &'a str,
    /// Name and time of a timer.
    pub timer: Option<(&'a str, &'a str)>,
}
