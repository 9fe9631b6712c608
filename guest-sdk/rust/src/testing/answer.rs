//! The result of a turn, with assertions that read like a conversation.

use crate::invoke::InvokeResponse;
use crate::{Activity, Flow, Frame, Result, Value};

/// The result of a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The result of the handlers.
    pub result: Result,
    /// The activities that were sent, in order. After a fault only those that were flushed.
    pub sent: Vec<Sent>,
    /// The response to an invoke: 501 if the plugin set none, 500 after a fault.
    pub response: Option<InvokeResponse>,
    /// The lines that were logged, in order.
    pub log: Vec<LogLine>,
    /// The dialog stack after the turn, top first.
    pub stack: Vec<Frame>,
    /// The deliveries that were staged, in order. After a fault only those that were flushed.
    pub asked: Vec<Asked>,
    /// How often a waiting dialog was asked to repeat its question, including dialogs of other plugins.
    pub reprompts: usize,
}

/// One activity that was sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Sent {
    /// The host id of the activity.
    pub id: String,
    /// The function that sent it.
    pub sent_as: SentAs,
    /// The activity as the host would send it. Empty for a deletion.
    pub activity: Activity,
}

/// The function that sent an activity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentAs {
    /// `Turn::reply`.
    Reply,
    /// `Turn::send`.
    Send,
    /// `Turn::update`.
    Update,
    /// `Turn::delete`.
    Delete,
}

/// One delivery that was staged with `Turn::conversations`. The test host does not deliver it. To test what happens then, pass
/// the event to [`TestHost::takes`](crate::testing::TestHost::takes).
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The id of the delivery.
    pub id: String,
    /// The name and time of a timer.
    pub timer: Option<(String, String)>,
    /// The reference of the conversation.
    pub reference: String,
    /// `now`, `when-idle`, `interrupt` or `cancel`.
    pub mode: String,
    /// The content: `{"activity": …}`, `{"event": …}` or `{"dialog": …, "options": …}`.
    pub content: Value,
}

/// One line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// `trace`, `debug`, `info`, `warn` or `error`.
    pub level: String,
    /// The constant message.
    pub message: String,
    /// The fields.
    pub fields: Vec<(String, String)>,
}

impl Answer {
    pub(super) fn new(result: Result) -> Self {
        Self {
            result,
            sent: Vec::new(),
            response: None,
            log: Vec::new(),
            stack: Vec::new(),
            asked: Vec::new(),
            reprompts: 0,
        }
    }

    /// Returns the texts of the messages that were sent, in order.
    pub fn texts(&self) -> Vec<&str> {
        self.messages().map(|activity| activity.text.as_deref().unwrap_or_default()).collect()
    }

    /// Returns the messages that were sent, in order.
    pub fn messages(&self) -> impl Iterator<Item = &Activity> {
        self.sent
            .iter()
            .filter(|sent| matches!(sent.sent_as, SentAs::Reply | SentAs::Send))
            .map(|sent| &sent.activity)
            .filter(|activity| activity.kind == "message")
    }

    /// Asserts that exactly one message was sent, with this text.
    #[track_caller]
    pub fn replies(self, text: &str) -> Self {
        assert_eq!(self.texts(), [text], "what the plugin said; the turn was {:?}", self.result);
        self
    }

    /// Asserts that these messages were sent, in this order.
    #[track_caller]
    pub fn says<const N: usize>(self, texts: [&str; N]) -> Self {
        assert_eq!(self.texts(), texts, "what the plugin said; the turn was {:?}", self.result);
        self
    }

    /// Asserts that a dialog waits on top of the stack.
    #[track_caller]
    pub fn waits_in(self, dialog: &str) -> Self {
        let top = self.stack.first().map(|frame| frame.dialog.as_str());
        assert_eq!(top, Some(dialog), "the top of the stack; the turn was {:?}", self.result);
        self
    }

    /// Asserts that no dialog is on the stack.
    #[track_caller]
    pub fn ends_dialogs(self) -> Self {
        assert!(self.stack.is_empty(), "the stack is {:?}; the turn was {:?}", self.stack, self.result);
        self
    }

    /// Asserts that nothing was sent.
    #[track_caller]
    pub fn silent(self) -> Self {
        assert!(self.sent.is_empty(), "the plugin sent {:?}", self.sent);
        self
    }

    /// Asserts that the handlers returned `Handled`.
    #[track_caller]
    pub fn handled(self) -> Self {
        assert_eq!(self.result, Ok(Flow::Handled));
        self
    }

    /// Asserts that the handlers returned `Next`.
    #[track_caller]
    pub fn passes(self) -> Self {
        assert_eq!(self.result, Ok(Flow::Next));
        self
    }

    /// Asserts that the handlers failed with a fault of this code.
    #[track_caller]
    pub fn fails(self, code: &str) -> Self {
        let found = self.result.as_ref().err().map(|fault| fault.code.as_str());
        assert_eq!(found, Some(code), "the code of the fault; the turn was {:?}", self.result);
        self
    }

    /// Asserts the status of the response to an invoke.
    #[track_caller]
    pub fn responds(self, status: u16) -> Self {
        let found = self.response.as_ref().map(|response| response.status);
        assert_eq!(found, Some(status), "the answer was {:?}", self.response);
        self
    }

    /// Asserts that a line with this message was logged.
    #[track_caller]
    pub fn logs(self, message: &str) -> Self {
        let found = self.log.iter().any(|line| line.message == message);
        assert!(found, "`{message}` is not in the log: {:?}", self.log);
        self
    }
}
