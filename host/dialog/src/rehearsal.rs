//! What would become of a waiting dialog if another component served: found out by asking that component, without a turn.

use serde_json::json;

use super::machine::{Call, Step};
use super::stack::Frame;
use super::versions::{self, Plan, plan};

/// What would become of a frame.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
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

/// What a component made of a question.
#[derive(Debug, Clone)]
pub enum Reply {
    /// It returned a step.
    Step(Step),
    /// It returned a fault.
    Fault(String),
    /// It failed otherwise, for this reason.
    Failed(String),
}

/// A dry run of one frame: questions to the component until its fate is known.
#[derive(Debug, Clone)]
pub enum Rehearsal {
    /// The component gets this event; [`Rehearsal::answered`] takes what it makes of it.
    Asks {
        /// The event.
        call: Call,
        /// The fate where the component does not object.
        otherwise: Fate,
    },
    /// The fate is known.
    Ends(Fate),
}

impl Fate {
    /// The fate in one word.
    pub fn label(&self) -> &'static str {
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
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Reset(why) => Some(why),
            Self::Fail(why) => Some(why),
            _ => None,
        }
    }
}

impl Rehearsal {
    /// Begins the dry run of a frame at this depth (1 is the bottom of the stack), whose dialog has this version in the
    /// component; none: the component has no such dialog. Decides as the machine does when the next message comes.
    pub fn of(frame: &Frame, depth: usize, version: Option<u64>, holds_newer: bool) -> Self {
        let ask = |event: &'static str, data: &str, otherwise| {
            let call = Call::of(frame, depth, event, data.into());
            Self::Asks { call, otherwise }
        };
        match plan(frame, version, holds_newer) {
            Plan::Begin => Self::Ends(Fate::Continue),
            Plan::Continue if !frame.has_begun() || frame.state.is_none() => Self::Ends(Fate::Continue),
            Plan::Continue => ask("rehearse", "null", Fate::Continue),
            Plan::Migrate => {
                let data = json!({ "from": frame.state_version, "to": version });
                ask("migrate", &data.to_string(), Fate::Migrate)
            }
            Plan::Restore => {
                let state = frame.previous.as_ref().and_then(|previous| previous.state.clone());
                let call = Call { state, ..Call::of(frame, depth, "rehearse", "null".into()) };
                Self::Asks { call, otherwise: Fate::Restore }
            }
            Plan::Hold => Self::Ends(Fate::Hold),
            Plan::Reset(why) => Self::Ends(Fate::Reset(why)),
        }
    }

    /// Goes on with what the component made of the question.
    #[must_use]
    pub fn answered(self, reply: Reply) -> Self {
        let Self::Asks { call, otherwise } = self else { return self };
        match (call.event, reply) {
            (_, Reply::Failed(why)) | ("migrate", Reply::Fault(why)) => Self::Ends(Fate::Fail(why)),
            ("migrate", Reply::Step(step)) if step.kind == "accept" => {
                let state = step.state.map(Into::into).or_else(|| call.state.clone());
                let call = Call { event: "rehearse", data: "null".into(), state, ..call };
                Self::Asks { call, otherwise }
            }
            ("migrate", Reply::Step(_)) => Self::Ends(Fate::Reset(versions::NOT_MIGRATED)),
            (_, Reply::Step(step)) if step.kind == "reject" => Self::Ends(Fate::Reset(versions::UNFIT)),
            (_, Reply::Step(step)) if step.kind == "accept" && step.state.is_some() => Self::Ends(Fate::Migrate),
            // One that does not know the question, and says so by a step or a fault, goes on as far as its version says.
            (_, Reply::Step(_) | Reply::Fault(_)) => Self::Ends(otherwise),
        }
    }
}
