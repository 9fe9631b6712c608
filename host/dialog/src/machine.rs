//! The machine: takes what a dialog wants next and does it, until the top of the stack waits.

mod confirm;
mod effect;
mod prompts;
mod run;
mod steps;

use std::sync::Arc;

use serde_json::json;

pub use self::confirm::Interruption;
pub use self::effect::{Broken, Call, Effect, Offer, Report, Step};
use self::run::{Awaits, Then};
pub use self::run::{Progress, Run};
use super::stack::{Frame, Previous, Stack, Status};
use super::versions::{self, Plan, plan};
use super::{EVENTS_MAX, FAILURES_MAX, Known, Refusal, Scene};
use crate::activity::Activity;

/// The dialogs of one turn: a view for one transition, made anew each time.
pub struct Machine<'t> {
    /// The stack of the conversation, as the turn has staged it.
    pub stack: &'t mut Stack,
    /// What lasts for the turn.
    pub progress: &'t mut Progress,
    /// What the turn is about.
    pub scene: Scene<'t>,
}

impl Machine<'_> {
    /// Offers the activity of the turn to the dialog on top; [`Run::end`] says whether it was taken.
    pub fn offer(&mut self) -> Result<Run, Broken> {
        let mut run = Run::default();
        let activity = self.scene.activity;
        let is_message = activity.kind() == "message";
        let Some(top) = self.stack.top().filter(|top| may_answer(top, activity)).cloned() else {
            return Ok(Run { is_over: true, ..run });
        };
        let takes = match &top.status {
            Status::Waiting { activities } => takes(activities, activity),
            // One that does not wait was to go on in an earlier turn, which failed: it does so now, and this message
            // answers nothing yet.
            _ => is_message,
        };
        if !takes {
            // What the handlers make of the activity is not this dialog's doing.
            self.progress.entered = None;
            return Ok(run);
        }
        self.progress.entered = Some(top.id.clone());
        (run.offered, run.offer) = (Some(top.id.clone()), Offer::Taken);
        match top.status {
            Status::Waiting { .. } => {
                self.deliver(&mut run, &top.id, Then::Event { kind: "continue", data: activity.text().clone() })?;
            }
            Status::Prompt { .. } => self.deliver(&mut run, &top.id, Then::Answer)?,
            Status::Confirm { .. } => self.answer_confirmation(&mut run, &top),
            Status::Begin { .. } | Status::Resume { .. } | Status::Child => {}
        }
        Ok(run)
    }

    /// Returns what is to be done next. None: the top waits, or nothing is left to do.
    pub fn next(&mut self, run: &mut Run) -> Result<Option<Effect>, Broken> {
        loop {
            if let Some(effect) = run.effects.pop_front() {
                return Ok(Some(effect));
            }
            if run.is_over || run.awaits.is_some() || !self.advance(run)? {
                return Ok(None);
            }
        }
    }

    /// Takes the step of the dialog that was called last.
    pub fn step(&mut self, run: &mut Run, step: &Step) -> Result<(), Broken> {
        let Some(awaits) = run.awaits.take() else { return Ok(()) };
        let (Awaits::Step { frame, .. } | Awaits::Verdict { frame, .. } | Awaits::Migration { frame, .. }) = &awaits;
        let Some(frame) = self.stack.frame(frame).cloned() else { return Ok(()) };
        // A prompt is sent, and the rest is stored like it.
        let bytes_max = self.known(&frame).map(|known| known.send_bytes_max);
        if let Some(max) = bytes_max.filter(|max| step.data.len() > *max) {
            return Err(broken(&frame, Refusal::quota("bytes-per-send", max)));
        }
        match awaits {
            Awaits::Step { event: "continue", .. } if step.kind == "ignored" => {
                run.offer = Offer::Left;
                self.progress.entered = None;
                Ok(())
            }
            Awaits::Step { event, .. } => self.apply(run, &frame, event, step),
            Awaits::Verdict { value, .. } => self.validated(run, &frame, value, step),
            Awaits::Migration { then, .. } => self.migrated(run, &frame, then, step),
        }
    }

    /// Counts a failed turn against the frame that it was about, after all that the turn staged was dropped. True: it
    /// failed too often and is off the stack. The caller tells the user and lets a run go on with what is left.
    pub fn count_failure(&mut self) -> bool {
        let Some(entered) = self.progress.entered.take() else { return false };
        let Some(position) = self.stack.frames.iter().position(|frame| frame.id == entered) else { return false };
        let Some(frame) = self.stack.frames.get_mut(position) else { return false };
        frame.failures += 1;
        if frame.failures < FAILURES_MAX {
            return false;
        }
        // What stands above it was its child or interrupted it; neither can return to it.
        self.stack.frames.truncate(position + 1);
        self.stack.hand_back(&entered, "failed", None);
        true
    }

    /// Decides what the stack does next. False: its top waits.
    fn advance(&mut self, run: &mut Run) -> Result<bool, Broken> {
        if !self.stack.cancelled.is_empty() {
            let (frame, reason) = self.stack.cancelled.remove(0);
            self.tell_cancelled(run, &frame, reason);
            return Ok(true);
        }
        let Some(top) = self.stack.top() else { return Ok(false) };
        let id = top.id.clone();
        let (kind, data) = match &top.status {
            Status::Begin { options } => ("begin", options.to_string()),
            Status::Resume { event } => ("resume", event.to_string()),
            Status::Child => {
                self.stack.resume(&id, "dialog", "failed", None);
                return Ok(true);
            }
            Status::Waiting { .. } | Status::Prompt { .. } | Status::Confirm { .. } => {
                return match std::mem::take(&mut self.stack.reprompt) {
                    true => self.ask_again(run, &id).map(|()| true),
                    false => Ok(false),
                };
            }
        };
        self.progress.entered.get_or_insert_with(|| id.clone());
        self.deliver(run, &id, Then::Event { kind, data: data.into() })?;
        Ok(true)
    }

    /// Asks the top to repeat its question.
    fn ask_again(&mut self, run: &mut Run, id: &Arc<str>) -> Result<(), Broken> {
        self.progress.reprompts += 1;
        let Some(top) = self.stack.frame(id).cloned() else { return Ok(()) };
        match &top.status {
            Status::Prompt { definition, .. } | Status::Confirm { definition, .. } => {
                self.ask(run, definition, 0, Some(&top));
                Ok(())
            }
            _ => self.deliver(run, id, Then::Event { kind: "reprompt", data: "null".into() }),
        }
    }

    /// Tells a frame that it is gone, if it is able to hear it.
    fn tell_cancelled(&mut self, run: &mut Run, frame: &Frame, reason: &str) {
        let is_known = self.known(frame).is_some_and(|known| known.state_version == frame.state_version);
        if !is_known || !frame.has_begun() || self.count_event(frame).is_err() {
            return;
        }
        let data = json!({ "reason": reason }).to_string();
        let call = Call { is_farewell: true, ..Call::of(frame, 0, "cancelled", data.into()) };
        run.effects.push_back(Effect::Call(call));
    }

    /// Gives a frame an event or an answer, after bringing its state to the version that serves.
    fn deliver(&mut self, run: &mut Run, id: &Arc<str>, then: Then) -> Result<(), Broken> {
        let Some(frame) = self.stack.frame(id).cloned() else { return Ok(()) };
        let version = self.known(&frame).map(|known| known.state_version);
        let serving = version.unwrap_or_default();
        match plan(&frame, version, self.scene.holds_newer) {
            Plan::Continue => {}
            Plan::Begin => self.set_version(&frame.id, serving, None),
            Plan::Migrate => {
                let data = json!({ "from": frame.state_version, "to": serving }).to_string();
                return self.call(run, &frame, "migrate", data.into(), Awaits::Migration { frame: id.clone(), then });
            }
            Plan::Restore => {
                if let Some(frame) = self.stack.frame_mut(id)
                    && let Some(previous) = frame.previous.take()
                {
                    (frame.state_version, frame.state) = (previous.state_version, previous.state);
                }
            }
            Plan::Hold => {
                run.is_over = true;
                if run.offered.as_ref() == Some(id) {
                    run.offer = Offer::Left;
                    self.progress.entered = None;
                }
                return Ok(());
            }
            Plan::Reset(why) => {
                self.reset(run, &frame, why);
                return Ok(());
            }
        }
        self.go_on(run, id, then)
    }

    /// Gives an event or an answer to a frame whose state is of the version that serves.
    fn go_on(&mut self, run: &mut Run, id: &Arc<str>, then: Then) -> Result<(), Broken> {
        let Some(frame) = self.stack.frame(id).cloned() else { return Ok(()) };
        match then {
            Then::Event { kind, data } => {
                self.call(run, &frame, kind, data, Awaits::Step { frame: id.clone(), event: kind })
            }
            Then::Answer => self.answer_prompt(run, &frame),
        }
    }

    fn call(
        &mut self,
        run: &mut Run,
        frame: &Frame,
        event: &'static str,
        data: Arc<str>,
        awaits: Awaits,
    ) -> Result<(), Broken> {
        self.count_event(frame)?;
        let depth = self.stack.frames.iter().position(|other| other.id == frame.id).map_or(0, |at| at + 1);
        run.effects.push_back(Effect::Call(Call::of(frame, depth, event, data)));
        run.awaits = Some(awaits);
        Ok(())
    }

    fn count_event(&mut self, frame: &Frame) -> Result<(), Broken> {
        self.progress.events += 1;
        match self.progress.events > EVENTS_MAX {
            true => Err(broken(frame, Refusal::quota("dialog-events-per-turn", EVENTS_MAX))),
            false => Ok(()),
        }
    }

    fn migrated(&mut self, run: &mut Run, frame: &Frame, then: Then, step: &Step) -> Result<(), Broken> {
        if step.kind != "accept" {
            self.reset(run, frame, versions::NOT_MIGRATED);
            return Ok(());
        }
        let Some(known) = self.known(frame) else { return Ok(()) };
        let kept = Previous { state_version: frame.state_version, state: frame.state.clone(), successes: 0 };
        self.keep_state(frame, step.state.as_deref())?;
        // A migration is not yet one of the successes that make the old state superfluous.
        self.set_version(&frame.id, known.state_version, Some(kept));
        self.go_on(run, &frame.id, then)
    }

    fn set_version(&mut self, id: &str, version: u64, previous: Option<Previous>) {
        if let Some(frame) = self.stack.frame_mut(id) {
            (frame.state_version, frame.previous) = (version, previous);
        }
    }

    /// Takes a frame that cannot go on off the stack, and tells the user once.
    fn reset(&mut self, run: &mut Run, frame: &Frame, why: &'static str) {
        run.effects.push_back(Effect::Report(Report::Reset { frame: Box::new(frame.clone()), why }));
        self.stack.hand_back(&frame.id, "failed", None);
        if self.progress.tell_of_reset() {
            run.effects.push_back(Effect::TellOfReset);
        }
    }

    fn known(&self, frame: &Frame) -> Option<Known> {
        self.scene.catalog.dialog(&frame.plugin, &frame.dialog)
    }
}

fn broken(frame: &Frame, refusal: Refusal) -> Broken {
    Broken { plugin: frame.plugin.clone(), refusal }
}

/// Whether the speaker is the one whom the frame asked.
fn may_answer(frame: &Frame, activity: &Activity) -> bool {
    frame.asked.as_deref().is_none_or(|asked| asked == activity.account("from"))
}

/// Whether a waiting frame gets an activity: messages, what belongs to signing in, and the types it asked for.
fn takes(activities: &[String], activity: &Activity) -> bool {
    let (kind, name) = (activity.kind(), activity.str("name"));
    kind == "message"
        || activities.iter().any(|wanted| wanted == kind)
        || (kind == "event" && name == "tokens/response")
        || (kind == "invoke" && matches!(name, "signin/verifyState" | "signin/tokenExchange" | "signin/failure"))
}

/// As much of a guest's word as an error carries.
fn shortened(word: &str) -> String {
    word.chars().take(64).collect()
}
