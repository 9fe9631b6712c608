//! Passes an activity to its handlers. The documentation of [`Bot`] has the table.

use serde_json::Value;

use crate::activity::wire::Wire;
use crate::activity::{ChannelAccount, TokenResponse};
use crate::invoke::{AdaptiveCardAction, InvokeResponse, Search, TokenExchange};
use crate::{Activity, Bot, Flow, Result, Turn};

/// Runs one turn: the handlers, then `on_turn_end`.
pub(crate) fn run<B: Bot>(bot: &mut B, turn: &mut Turn) -> Result {
    let flow = bot.on_turn(turn)?;
    bot.on_turn_end(turn, flow)
}

/// Calls the handlers of the turn's activity as the table of [`Bot`] shows. Call it if you override [`Bot::on_turn`].
pub fn dispatch<B: Bot>(bot: &mut B, turn: &mut Turn) -> Result {
    if let Some(route) = turn.route().map(str::to_owned) {
        return bot.on_route(turn, &route);
    }
    match turn.activity().kind.as_str() {
        "message" => bot.on_message(turn),
        "messageUpdate" => bot.on_message_update(turn),
        "messageDelete" => bot.on_message_delete(turn),
        "conversationUpdate" => conversation_update(bot, turn),
        "messageReaction" => message_reaction(bot, turn),
        "event" => event(bot, turn),
        "invoke" => invoke(bot, turn),
        "endOfConversation" => bot.on_end_of_conversation(turn),
        "typing" => bot.on_typing(turn),
        "installationUpdate" => installation_update(bot, turn),
        "command" => bot.on_command(turn),
        "commandResult" => bot.on_command_result(turn),
        _ => bot.on_unrecognized(turn),
    }
}

fn conversation_update<B: Bot>(bot: &mut B, turn: &mut Turn) -> Result {
    if bot.on_conversation_update(turn)? == Flow::Handled {
        return Ok(Flow::Handled);
    }
    let added = without_bot(turn.activity(), |activity| &activity.members_added);
    if !added.is_empty() {
        return bot.on_members_added(turn, &added);
    }
    let removed = without_bot(turn.activity(), |activity| &activity.members_removed);
    if removed.is_empty() { Ok(Flow::Next) } else { bot.on_members_removed(turn, &removed) }
}

fn message_reaction<B: Bot>(bot: &mut B, turn: &mut Turn) -> Result {
    if bot.on_message_reaction(turn)? == Flow::Handled {
        return Ok(Flow::Handled);
    }
    let added = turn.activity().reactions_added.clone();
    let removed = turn.activity().reactions_removed.clone();
    let mut flow = Flow::Next;
    if !added.is_empty() {
        flow = bot.on_reactions_added(turn, &added)?;
    }
    if !removed.is_empty() && bot.on_reactions_removed(turn, &removed)? == Flow::Handled {
        flow = Flow::Handled;
    }
    Ok(flow)
}

fn event<B: Bot>(bot: &mut B, turn: &mut Turn) -> Result {
    let flow = bot.on_event(turn)?;
    if flow == Flow::Handled || turn.activity().name.as_deref() != Some("tokens/response") {
        return Ok(flow);
    }
    let token: TokenResponse = value_of(turn);
    bot.on_token_response(turn, &token)
}

fn invoke<B: Bot>(bot: &mut B, turn: &mut Turn) -> Result {
    let answer = match bot.on_invoke(turn)? {
        Some(answer) => Some(answer),
        None => named_invoke(bot, turn)?,
    };
    match answer {
        Some(answer) => turn.respond(answer).map(|()| Flow::Handled),
        None => Ok(Flow::Next),
    }
}

fn named_invoke<B: Bot>(bot: &mut B, turn: &mut Turn) -> Result<Option<InvokeResponse>> {
    let value = turn.activity().value.as_ref();
    match turn.activity().name.as_deref() {
        Some("adaptiveCard/action") => match AdaptiveCardAction::read(value) {
            Ok(action) => bot.on_adaptive_card_action(turn, &action),
            Err(answer) => Ok(Some(answer)),
        },
        Some("application/search") => match Search::read(value, &turn.meta().channel_id) {
            Ok(search) => bot.on_search(turn, &search),
            Err(answer) => Ok(Some(answer)),
        },
        Some("signin/verifyState") => {
            let state =
                value.and_then(|value| value.get("state")).and_then(Value::as_str).unwrap_or_default().to_owned();
            bot.on_sign_in_verify(turn, &state)
        }
        Some("signin/tokenExchange") => {
            let exchange: TokenExchange = value_of(turn);
            bot.on_sign_in_exchange(turn, &exchange)
        }
        _ => Ok(None),
    }
}

fn installation_update<B: Bot>(bot: &mut B, turn: &mut Turn) -> Result {
    if bot.on_installation_update(turn)? == Flow::Handled {
        return Ok(Flow::Handled);
    }
    match turn.activity().action.as_deref() {
        Some("add" | "add-upgrade") => bot.on_installation_added(turn),
        Some("remove" | "remove-upgrade") => bot.on_installation_removed(turn),
        _ => Ok(Flow::Next),
    }
}

/// Returns the members that are not the bot, so that a bot does not greet itself.
fn without_bot(activity: &Activity, members: impl Fn(&Activity) -> &Vec<ChannelAccount>) -> Vec<ChannelAccount> {
    members(activity).iter().filter(|member| !activity.is_bot(member)).cloned().collect()
}

fn value_of<T: Wire + Default>(turn: &Turn) -> T {
    turn.activity().value.clone().and_then(|value| T::read(value).ok()).unwrap_or_default()
}
