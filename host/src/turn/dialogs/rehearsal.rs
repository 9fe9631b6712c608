//! What would become of dialogs that wait if another component served: found out by asking that component.
//!
//! The component gets no turn, so it can send and store nothing: every function that needs one returns fault `denied`.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use super::{Status, versions};
use crate::config::OnNewer;
use crate::plugin::{Done, Entry, Event, Failure, Instance, Meta, Outcome, Plugin, Runtime, Step};
use crate::storage::FrameTag;
use crate::turn::stack::{Frame, Stack};

/// As much of a guest's error as a dry run shows.
const WHY_CHARS_MAX: usize = 200;

/// What would become of a frame.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// It goes on from its state.
    Continue,
    /// It goes on from a state that the component makes of this one.
    Migrate,
    /// It goes on from the older state that was kept before a migration.
    Restore,
    /// It waits for a component that knows its state.
    Hold,
    /// It is taken off the stack, and the user is told.
    Reset(&'static str),
    /// The component fails; three such turns take it off the stack.
    Fail(String),
}

impl Fate {
    fn failed(failure: &Failure) -> Self {
        Self::Fail(failure.to_string().chars().take(WHY_CHARS_MAX).collect())
    }

    /// The fate in one word.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Continue => "continue",
            Self::Migrate => "migrate",
            Self::Restore => "restore",
            Self::Hold => "hold",
            Self::Reset(_) => "reset",
            Self::Fail(_) => "fail",
        }
    }

    /// Why it does not go on, where it does not.
    pub(crate) fn why(&self) -> Option<&str> {
        match self {
            Self::Reset(why) => Some(why),
            Self::Fail(why) => Some(why),
            _ => None,
        }
    }
}

/// A component that dialogs are given to, to see what it would do.
pub(crate) struct Rehearsing<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) plugin: &'a Arc<Plugin>,
    pub(crate) on_newer: OnNewer,
}

impl Rehearsing<'_> {
    /// Returns what would become of the frames with this tag on a stored stack. A stack that cannot be read has none.
    pub(crate) async fn fates(&self, tag: &FrameTag, stack: &str) -> Result<Vec<Fate>, Failure> {
        let frames = Stack::read(stack).unwrap_or_default().frames;
        let mut fates = Vec::new();
        for (position, frame) in frames.iter().enumerate() {
            if frame.tag() == *tag {
                fates.push(self.fate(frame, position + 1).await?);
            }
        }
        Ok(fates)
    }

    /// Decides as `Turn::ready` does.
    async fn fate(&self, frame: &Frame, depth: usize) -> Result<Fate, Failure> {
        let Some(version) = self.plugin.dialog_version(&frame.dialog) else {
            return Ok(Fate::Reset(versions::GONE));
        };
        if matches!(frame.status, Status::Begin { .. }) || frame.state.is_none() {
            return Ok(Fate::Continue);
        }
        let state = frame.state.as_deref();
        if version == frame.state_version {
            return self.goes_on(frame, depth, state, Fate::Continue).await;
        }
        if version > frame.state_version {
            let data = json!({ "from": frame.state_version, "to": version }).to_string();
            return match self.ask(frame, depth, "migrate", &data, state).await? {
                Ok(step) if step.kind == "accept" => {
                    self.goes_on(frame, depth, step.state.as_deref().or(state), Fate::Migrate).await
                }
                Ok(_) => Ok(Fate::Reset(versions::NOT_MIGRATED)),
                Err(failure) => Ok(Fate::failed(&failure)),
            };
        }
        match &frame.previous {
            Some(previous) if previous.state_version == version => {
                self.goes_on(frame, depth, previous.state.as_deref(), Fate::Restore).await
            }
            _ if self.on_newer == OnNewer::Hold => Ok(Fate::Hold),
            _ => Ok(Fate::Reset(versions::NEWER)),
        }
    }

    /// Asks whether the dialog can go on from a state. One that does not know the question, and says so by a step or a
    /// fault, can as far as its version says.
    async fn goes_on(&self, frame: &Frame, depth: usize, state: Option<&str>, if_so: Fate) -> Result<Fate, Failure> {
        Ok(match self.ask(frame, depth, "rehearse", "null", state).await? {
            Ok(step) if step.kind == "reject" => Fate::Reset(versions::UNFIT),
            Ok(step) if step.kind == "accept" && step.state.is_some() => Fate::Migrate,
            Ok(_) | Err(Failure::Fault(_)) => if_so,
            Err(failure) => Fate::failed(&failure),
        })
    }

    /// Sends one event to an instance of its own. The inner error is the component's, the outer one the host's.
    async fn ask(
        &self,
        frame: &Frame,
        depth: usize,
        kind: &'static str,
        data: &str,
        state: Option<&str>,
    ) -> Result<Result<Step, Failure>, Failure> {
        let event = Event { kind, name: frame.dialog.clone(), data: data.into() };
        let meta = Meta {
            turn_id: "".into(),
            bot: self.plugin.bot.clone(),
            channel_id: "".into(),
            conversation_id: "".into(),
            kind: "".into(),
            trigger: format!("dialog:{}", frame.dialog),
            locale: None,
            replies_to: None,
            spoken: None,
            frame: Some((frame.id.clone(), depth)),
        };
        let mut instance = match Instance::new(self.runtime, self.plugin, &meta.turn_id, Duration::ZERO).await {
            Ok(instance) => instance,
            Err(failure @ Failure::Host(_)) => return Err(failure),
            Err(failure) => return Ok(Err(failure)),
        };
        let called = instance.call(None, &meta, Entry::Dialog(&event, state)).await;
        match called.outcome {
            Outcome::Done(Done::Step(step)) => Ok(Ok(step)),
            Outcome::Failed(failure @ Failure::Host(_)) => Err(failure),
            Outcome::Failed(failure) => Ok(Err(failure)),
            Outcome::Done(Done::Flow(_)) => Err(Failure::Host("on-dialog returned no step".to_owned())),
        }
    }
}
