//! Middleware: what a plugin does with everything that enters and leaves a turn.

use serde_json::Value;

use crate::{Activity, Bot, Fault, Result, Turn};

/// A bot that intercepts. Register it with `turntable_sdk::register!(YourBot, middleware)`; the manifest then lists the
/// role and asks for the grant `middleware`.
///
/// The middleware plugins of a bot are layers around its turns, the first of the configuration outermost: what enters
/// passes them inwards, what leaves passes them outwards. `middleware.wit` has the whole contract. What a hook sends passes
/// the layers outside it only; it has state, but neither `flush` nor dialogs.
///
/// ```
/// use turntable_sdk::prelude::*;
/// use turntable_sdk::{Middleware, Passage};
///
/// #[derive(Default)]
/// struct Shout;
///
/// impl Bot for Shout {}
///
/// impl Middleware for Shout {
///     fn on_send(&mut self, _turn: &mut Turn, activity: &Activity) -> Result<Passage> {
///         let Some(text) = &activity.text else { return Ok(Passage::Pass) };
///         Ok(Passage::replace(Activity { text: Some(text.to_uppercase()), ..activity.clone() }))
///     }
/// }
///
/// turntable_sdk::register!(Shout, middleware);
/// # fn main() {}
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no middleware",
    label = "this type does not say what it intercepts",
    note = "implement `turntable_sdk::Middleware` for it, or register it without `, middleware`"
)]
pub trait Middleware: Bot {
    /// Takes the incoming activity, before routes, dialogs and handlers. A replacement keeps who, where and which type.
    fn on_receive(&mut self, turn: &mut Turn) -> Result<Passage> {
        let _ = turn;
        Ok(Passage::Pass)
    }

    /// Takes an activity that leaves: also `typing`, each piece of a stream, prompts and error replies of the host.
    /// [`sender`] says whose it is.
    fn on_send(&mut self, turn: &mut Turn, activity: &Activity) -> Result<Passage> {
        let _ = (turn, activity);
        Ok(Passage::Pass)
    }

    /// Takes an activity that replaces another; its `id` is the one that the update was asked with.
    fn on_update(&mut self, turn: &mut Turn, activity: &Activity) -> Result<Passage> {
        let _ = (turn, activity);
        Ok(Passage::Pass)
    }

    /// Takes the deletion of an activity. It can be stopped, not replaced.
    fn on_delete(&mut self, turn: &mut Turn, id: &str) -> Result<Passage> {
        let _ = (turn, id);
        Ok(Passage::Pass)
    }

    /// Hears how the turn ended: `completed`, `failed` or `stopped`. Only where the activity passed this layer.
    fn after_turn(&mut self, turn: &mut Turn, outcome: &str) -> Result<()> {
        let _ = (turn, outcome);
        Ok(())
    }
}

/// What middleware makes of what it takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Passage {
    /// It goes on as it is.
    Pass,
    /// It goes on as this activity.
    Replace(Box<Activity>),
    /// It goes no further. Whoever sent it gets an empty id.
    Stop,
}

impl Passage {
    /// It goes on as this activity.
    pub fn replace(activity: impl Into<Activity>) -> Self {
        Self::Replace(Box::new(activity.into()))
    }
}

/// Returns who sends what a hook takes: a plugin's name, or `turntable` for the host. Empty for what enters.
pub fn sender(turn: &Turn) -> &str {
    turn.meta().extra("sender").unwrap_or_default()
}

/// An event as it crosses the contract.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HookEvent<'a> {
    pub(crate) kind: &'a str,
    pub(crate) data: &'a str,
}

/// Calls the hook of an event. None: the SDK does not know the event.
pub(crate) fn take<B: Middleware + ?Sized>(
    bot: &mut B,
    turn: &mut Turn,
    event: HookEvent<'_>,
) -> Result<Option<Passage>> {
    let passage = match event.kind {
        "receive" => bot.on_receive(turn)?,
        "send" => bot.on_send(turn, &serde_json::from_str(event.data)?)?,
        "update" => bot.on_update(turn, &serde_json::from_str(event.data)?)?,
        "delete" => {
            let data: Value = serde_json::from_str(event.data)?;
            match bot.on_delete(turn, data["id"].as_str().unwrap_or_default())? {
                Passage::Replace(_) => return Err(Fault::invalid("a deletion cannot be replaced")),
                passage => passage,
            }
        }
        "turn-end" => {
            let data: Value = serde_json::from_str(event.data)?;
            bot.after_turn(turn, data["outcome"].as_str().unwrap_or_default())?;
            Passage::Pass
        }
        _ => return Ok(None),
    };
    Ok(Some(passage))
}
