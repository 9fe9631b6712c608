//! Routes over a dialog that waits: the question before one interrupts, and what the dialog does afterwards.

use std::sync::Arc;

use serde_json::{Value, json};

use super::super::stack::{Frame, Status};
use super::{Machine, Offer, Run, may_answer};
use crate::prompt::Prompt;

/// Answers to «shall I interrupt?» that are not understood count as a no after so many.
const CONFIRM_ATTEMPTS_MAX: u32 = 3;

/// The stack as a route finds it; see [`Machine::interrupted`].
#[derive(Debug)]
pub struct Interruption {
    frames: Vec<Frame>,
    reprompts: u32,
}

impl Machine<'_> {
    /// Asks before a route interrupts the dialog that waits. The answer runs the route, or repeats the question.
    pub fn confirm_route(&mut self, plugin: Arc<str>, route: &str, question: &str) -> Run {
        let definition = json!({ "kind": "confirm", "prompt": question });
        let activity = self.scene.activity.text().clone();
        let status =
            Status::Confirm { definition: definition.clone(), attempt: 0, plugin, route: route.to_owned(), activity };
        let id = self.scene.catalog.frame_id();
        let frames = &mut self.stack.frames;
        // The newest question stands. Were they piled up, the users of a group could make the stack grow without end.
        frames.pop_if(|top| top.is_confirmation());
        frames.push(Frame::with_status(id.clone(), &"turntable".into(), "confirm", status.clone()));
        let mut run = Run { is_over: true, ..Run::default() };
        self.ask(&mut run, &definition, 0, None);
        self.wait(&id, "begin", status);
        run
    }

    /// Drops the question whether a route may interrupt where the dialog below gets its answer: in a group, whoever
    /// asked to interrupt and fell silent must not keep the others from going on.
    pub fn lapse_confirmation(&mut self) {
        let activity = self.scene.activity;
        let [.., below, top] = self.stack.frames.as_slice() else { return };
        let is_for_below = below.asked.is_some() && below.waits() && may_answer(below, activity);
        if top.is_confirmation() && activity.kind() == "message" && is_for_below && !may_answer(top, activity) {
            self.stack.frames.pop();
        }
    }

    /// Remembers the stack before a route runs.
    pub fn interruption(&self) -> Interruption {
        Interruption { frames: self.stack.frames.clone(), reprompts: self.progress.reprompts }
    }

    /// Has the dialog that waits repeat its question, if the route left the stack alone and nobody has repeated it yet.
    /// True: a run goes on with that.
    pub fn interrupted(&mut self, before: &Interruption) -> bool {
        self.progress.reprompts == before.reprompts && self.stack.frames == before.frames && self.stack.ask_again()
    }

    /// Takes the message of the turn as the answer to «shall I interrupt?».
    pub(super) fn answer_confirmation(&mut self, run: &mut Run, frame: &Frame) {
        let Status::Confirm { definition, attempt, plugin, route, activity } = &frame.status else { return };
        let answer = Prompt::parse(definition).ok().and_then(|prompt| self.recognized(&prompt).ok());
        if answer.is_none() && attempt + 1 < CONFIRM_ATTEMPTS_MAX {
            let asked = self.stack.frame_mut(&frame.id).map(|frame| &mut frame.status);
            if let Some(Status::Confirm { attempt, .. }) = asked {
                *attempt += 1;
            }
            self.ask(run, definition, attempt + 1, Some(frame));
            return;
        }
        self.stack.frames.pop();
        // A route that went in a swap is none: what it interrupted goes on.
        if answer == Some(Value::Bool(true)) && self.scene.catalog.has_route(plugin, route) {
            let (plugin, route, activity) = (plugin.clone(), route.clone(), activity.clone());
            run.offer = Offer::Route { plugin, route, activity };
        } else {
            self.stack.ask_again();
        }
    }
}
