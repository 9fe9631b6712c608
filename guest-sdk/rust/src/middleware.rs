//! Middleware: plugins that intercept the activities that enter and leave a turn.

use serde_json::Value;

use crate::{Activity, Bot, Fault, Result, Turn};

/// A bot that intercepts activities. Register it with `turntable_sdk::register!(YourBot, middleware)`. The manifest then lists
/// the role and asks for the grant `middleware`.
///
/// The middleware plugins of a bot are layers around its turns, and the first one in the configuration is the outermost.
/// Incoming activities pass the layers from the outside in, outgoing activities from the inside out. What a hook sends passes
/// only the layers outside it. A hook can use state, but not `flush` and dialogs. `middleware.wit` has the whole contract.
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
    /// Handles an incoming activity before routes, dialogs and handlers. A replacement keeps the accounts, the conversation and
    /// the type.
    fn on_receive(&mut self, turn: &mut Turn) -> Result<Passage> {
        let _ = turn;
        Ok(Passage::Pass)
    }

    /// Handles an outgoing activity, including `typing`, each piece of a stream, and prompts and error replies of the host.
    /// [`sender`] returns who sends it.
    fn on_send(&mut self, turn: &mut Turn, activity: &Activity) -> Result<Passage> {
        let _ = (turn, activity);
        Ok(Passage::Pass)
    }

    /// Handles an activity that replaces another. Its `id` is the id that the plugin passed to `update`.
    fn on_update(&mut self, turn: &mut Turn, activity: &Activity) -> Result<Passage> {
        let _ = (turn, activity);
        Ok(Passage::Pass)
    }

    /// Handles the deletion of an activity. It can be passed or stopped, but not replaced.
    fn on_delete(&mut self, turn: &mut Turn, id: &str) -> Result<Passage> {
        let _ = (turn, id);
        Ok(Passage::Pass)
    }

    /// Runs at the end of the turn. `outcome` is `completed`, `failed` or `stopped`. It runs only if the incoming activity passed
    /// this layer.
    fn after_turn(&mut self, turn: &mut Turn, outcome: &str) -> Result<()> {
        let _ = (turn, outcome);
        Ok(())
    }
}

/// What happens to an intercepted activity.
#[derive(Debug, Clone, PartialEq)]
pub enum Passage {
    /// It continues unchanged.
    Pass,
    /// It is replaced by this activity.
    Replace(Box<Activity>),
    /// It goes no further. Its sender gets an empty id.
    Stop,
}

impl Passage {
    /// Replaces the activity by this one.
    pub fn replace(activity: impl Into<Activity>) -> Self {
        Self::Replace(Box::new(activity.into()))
    }
}

/// Returns who sends the intercepted activity: the name of a plugin, or `turntable` for the host. Empty for an incoming activity.
pub fn sender(turn: &Turn) -> &str {
    turn.meta().extra("sender").unwrap_or_default()
}

/// An event as the contract passes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HookEvent<'a> {
    pub(crate) kind: &'a str,
    pub(crate) data: &'a str,
}

/// Calls the hook of an event. Returns none if this SDK does not know the event.
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
                Passage::Replace(_) => return Err(Fault::invalid("a deletion cannot be replaced; pass or stop it")),
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
