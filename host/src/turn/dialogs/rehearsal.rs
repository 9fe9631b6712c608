//! Asks another component what would become of dialogs that wait if it served.
//!
//! The component gets no turn, so it can send and store nothing: every function that needs one returns fault `denied`.

use std::sync::Arc;
use std::time::Duration;

use crate::config::OnNewer;
use crate::dialog::{Call, Fate, Frame, Rehearsal, Reply, Step};
use crate::plugin::{Done, Entry, Event, Failure, Instance, Meta, Outcome, Plugin, Runtime};
use crate::storage::FrameTag;
use crate::turn::stack;

/// As much of a guest's error as a dry run shows.
const WHY_CHARS_MAX: usize = 200;

/// A component that dialogs are given to, to see what it would do.
pub(crate) struct Rehearsing<'a> {
    pub(crate) runtime: &'a Runtime,
    pub(crate) plugin: &'a Arc<Plugin>,
    pub(crate) on_newer: OnNewer,
}

impl Rehearsing<'_> {
    /// Returns what would become of the frames with this tag on a stored stack. A stack that cannot be read has none.
    pub(crate) async fn fates(&self, tag: &FrameTag, stack: &str) -> Result<Vec<Fate>, Failure> {
        let frames = stack::read(stack).unwrap_or_default().frames;
        let mut fates = Vec::new();
        for (position, frame) in frames.iter().enumerate() {
            if stack::tag(frame) == *tag {
                fates.push(self.fate(frame, position + 1).await?);
            }
        }
        Ok(fates)
    }

    async fn fate(&self, frame: &Frame, depth: usize) -> Result<Fate, Failure> {
        let version = self.plugin.dialog_version(&frame.dialog);
        let mut rehearsal = Rehearsal::of(frame, depth, version, self.on_newer == OnNewer::Hold);
        loop {
            match &rehearsal {
                Rehearsal::Ends(fate) => return Ok(fate.clone()),
                Rehearsal::Asks { call, .. } => {
                    let reply = self.ask(call).await?;
                    rehearsal = rehearsal.answered(reply);
                }
            }
        }
    }

    /// Sends one event to an instance of its own. An error is the host's.
    async fn ask(&self, call: &Call) -> Result<Reply, Failure> {
        let event = Event { kind: call.event, name: call.dialog.clone(), data: call.data.clone() };
        let meta = Meta {
            turn_id: "".into(),
            bot: self.plugin.bot.clone(),
            channel_id: "".into(),
            conversation_id: "".into(),
            kind: "".into(),
            trigger: format!("dialog:{}", call.dialog),
            locale: None,
            replies_to: None,
            spoken: None,
            frame: Some((call.frame.clone(), call.depth)),
        };
        let outcome = match Instance::new(self.runtime, self.plugin, &meta.turn_id, Duration::ZERO).await {
            Ok(mut instance) => instance.call(None, &meta, Entry::Dialog(&event, call.state.as_deref())).await.outcome,
            Err(failure) => Outcome::Failed(failure),
        };
        let why = |failure: &Failure| failure.to_string().chars().take(WHY_CHARS_MAX).collect();
        match outcome {
            Outcome::Done(Done::Step(step)) => {
                Ok(Reply::Step(Step { kind: step.kind, state: step.state, data: step.data }))
            }
            Outcome::Done(Done::Flow(_)) => Err(Failure::Host("on-dialog returned no step".to_owned())),
            Outcome::Failed(failure @ Failure::Host(_)) => Err(failure),
            Outcome::Failed(failure @ Failure::Fault(_)) => Ok(Reply::Fault(why(&failure))),
            Outcome::Failed(failure) => Ok(Reply::Failed(why(&failure))),
        }
    }
}
