//! The trait `Bot`, which every plugin implements.

use crate::activity::{ChannelAccount, MessageReaction, TokenResponse};
use crate::invoke::{AdaptiveCardAction, InvokeResponse, Search, TokenExchange};
use crate::{Flow, Manifest, Result, Turn};

/// The logic of a bot: one handler for each kind of activity. Every handler has a default that returns [`Flow::Next`].
///
/// The SDK creates the type with [`Default`] for every turn, so its fields do not outlive the turn. The table shows which
/// handlers an activity reaches. The handlers in the column "then" run only if the first handler did not return
/// [`Flow::Handled`]. [`on_turn_end`](Self::on_turn_end) runs last in every turn that did not fail.
///
/// | activity | handler | then |
/// | --- | --- | --- |
/// | a message that a route matched | `on_route` | |
/// | `message` | `on_message` | |
/// | `messageUpdate` | `on_message_update` | |
/// | `messageDelete` | `on_message_delete` | |
/// | `conversationUpdate` | `on_conversation_update` | `on_members_added`, or `on_members_removed` if nobody joined |
/// | `messageReaction` | `on_message_reaction` | `on_reactions_added`, `on_reactions_removed` |
/// | `event` | `on_event` | `on_token_response` (`tokens/response`) |
/// | `invoke` | `on_invoke` | `on_adaptive_card_action` (`adaptiveCard/action`), `on_search` (`application/search`), `on_sign_in_verify` (`signin/verifyState`), `on_sign_in_exchange` (`signin/tokenExchange`) |
/// | `endOfConversation` | `on_end_of_conversation` | |
/// | `typing` | `on_typing` | |
/// | `installationUpdate` | `on_installation_update` | `on_installation_added` (`add`, `add-upgrade`), `on_installation_removed` (`remove`, `remove-upgrade`) |
/// | `command` | `on_command` | |
/// | `commandResult` | `on_command_result` | |
/// | anything else | `on_unrecognized` | |
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a bot",
    label = "this type has no handlers",
    note = "implement `turntable_sdk::Bot` for it; every handler has a default, so `impl Bot for {Self} {{}}` is enough to start"
)]
pub trait Bot {
    /// Returns the manifest. The SDK calls it once before the plugin serves. The same settings must give the same manifest.
    fn manifest(&self) -> Manifest {
        Manifest::new()
    }

    /// Handles every activity. The default calls the handlers of the table with [`dispatch`](crate::dispatch). An
    /// implementation can call `dispatch` itself and do other work before or after it.
    fn on_turn(&mut self, turn: &mut Turn) -> Result
    where
        Self: Sized,
    {
        crate::dispatch(self, turn)
    }

    /// Runs last in a turn that did not fail. `flow` is the result of the handlers; the returned value replaces it.
    fn on_turn_end(&mut self, turn: &mut Turn, flow: Flow) -> Result {
        let _ = turn;
        Ok(flow)
    }

    /// A route of the manifest matched a message. `name` is the name of the route. The default calls
    /// [`on_message`](Self::on_message).
    fn on_route(&mut self, turn: &mut Turn, name: &str) -> Result {
        let _ = name;
        self.on_message(turn)
    }

    /// A user sent a message, or pressed a button that sends one.
    fn on_message(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// A user edited a message. The `id` of the activity is the id of the message.
    fn on_message_update(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// A user deleted a message. The `id` of the activity is the id of the message.
    fn on_message_delete(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// The members or the topic of the conversation changed.
    fn on_conversation_update(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// Members joined. `members` has at least one entry and never contains the bot itself.
    fn on_members_added(&mut self, turn: &mut Turn, members: &[ChannelAccount]) -> Result {
        let _ = members;
        pass(turn)
    }

    /// Members left, and nobody joined in the same activity. `members` has at least one entry and never contains the bot
    /// itself.
    fn on_members_removed(&mut self, turn: &mut Turn, members: &[ChannelAccount]) -> Result {
        let _ = members;
        pass(turn)
    }

    /// The reactions to a message changed. The `reply_to_id` of the activity is the id of the message.
    fn on_message_reaction(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// A user reacted to a message. `reactions` has at least one entry.
    fn on_reactions_added(&mut self, turn: &mut Turn, reactions: &[MessageReaction]) -> Result {
        let _ = reactions;
        pass(turn)
    }

    /// A user removed a reaction. `reactions` has at least one entry. It runs after `on_reactions_added` if both apply.
    fn on_reactions_removed(&mut self, turn: &mut Turn, reactions: &[MessageReaction]) -> Result {
        let _ = reactions;
        pass(turn)
    }

    /// An event arrived. An event has a `name` and expects no answer.
    fn on_event(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// The event `tokens/response` arrived: the user has signed in.
    fn on_token_response(&mut self, turn: &mut Turn, token: &TokenResponse) -> Result {
        let _ = token;
        pass(turn)
    }

    /// An invoke arrived, whose sender waits for the answer. None passes it to the handlers of single invokes and then to
    /// other plugins. If no plugin answers, the host answers 501.
    fn on_invoke(&mut self, turn: &mut Turn) -> Result<Option<InvokeResponse>> {
        let _ = turn;
        Ok(None)
    }

    /// The invoke `adaptiveCard/action` arrived: a user pressed an `Action.Execute`. The SDK answers 400 to values without an
    /// action or with another action, so they do not reach this handler. None passes the invoke on.
    fn on_adaptive_card_action(
        &mut self,
        turn: &mut Turn,
        action: &AdaptiveCardAction,
    ) -> Result<Option<InvokeResponse>> {
        let _ = (turn, action);
        Ok(None)
    }

    /// The invoke `application/search` arrived: a user types into a search field. The SDK answers 400 to values without a kind
    /// or text, so they do not reach this handler. None passes the invoke on.
    fn on_search(&mut self, turn: &mut Turn, search: &Search) -> Result<Option<InvokeResponse>> {
        let _ = (turn, search);
        Ok(None)
    }

    /// The invoke `signin/verifyState` arrived. `state` is the code of a sign-in that the user typed or the channel sent; it may
    /// be empty. None passes the invoke on.
    fn on_sign_in_verify(&mut self, turn: &mut Turn, state: &str) -> Result<Option<InvokeResponse>> {
        let _ = (turn, state);
        Ok(None)
    }

    /// The invoke `signin/tokenExchange` arrived: single sign-on offers a token. None passes the invoke on.
    fn on_sign_in_exchange(&mut self, turn: &mut Turn, exchange: &TokenExchange) -> Result<Option<InvokeResponse>> {
        let _ = (turn, exchange);
        Ok(None)
    }

    /// The other party ended the conversation. The `code` of the activity says why.
    fn on_end_of_conversation(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// The other party is typing.
    fn on_typing(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// The bot was installed or removed.
    fn on_installation_update(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// The bot was installed.
    fn on_installation_added(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// The bot was removed.
    fn on_installation_removed(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// A command arrived: the other party asks the bot to do something. The bot answers later with a `commandResult`.
    fn on_command(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// The answer to a command of this bot arrived.
    fn on_command_result(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// An activity arrived whose type this version of the SDK does not know.
    fn on_unrecognized(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }
}

fn pass(_turn: &mut Turn) -> Result {
    Ok(Flow::Next)
}
