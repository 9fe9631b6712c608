//! What an author implements.

use crate::activity::{ChannelAccount, MessageReaction, TokenResponse};
use crate::invoke::{AdaptiveCardAction, InvokeResponse, Search, TokenExchange};
use crate::{Flow, Manifest, Result, Turn};

/// A bot's logic: a handler for each kind of activity, all with a default that passes the activity on.
///
/// The type is built with [`Default`] for every turn: nothing in it outlives the turn. Handlers are called as this tree
/// shows; a handler on a branch that returns [`Flow::Handled`] cuts off what is under it. [`on_turn_end`](Self::on_turn_end)
/// comes last in every turn that did not fail.
///
/// | activity | handler | then |
/// | --- | --- | --- |
/// | one that a route matched | `on_route` | |
/// | `message` | `on_message` | |
/// | `messageUpdate` | `on_message_update` | |
/// | `messageDelete` | `on_message_delete` | |
/// | `conversationUpdate` | `on_conversation_update` | `on_members_added`, or else `on_members_removed` |
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
    /// Describes the plugin. It must return the same for the same settings; called once before the plugin serves.
    fn manifest(&self) -> Manifest {
        Manifest::new()
    }

    /// Takes every activity. The default calls the handler of the tree; who overrides it can call [`dispatch`](crate::dispatch)
    /// before, after or instead of own work.
    fn on_turn(&mut self, turn: &mut Turn) -> Result
    where
        Self: Sized,
    {
        crate::dispatch(self, turn)
    }

    /// Runs last in a turn that did not fail, whatever the handlers returned; `flow` is what they did return, and the
    /// returned one counts.
    fn on_turn_end(&mut self, turn: &mut Turn, flow: Flow) -> Result {
        let _ = turn;
        Ok(flow)
    }

    /// A route of the manifest matched a message. The default treats it as an ordinary message.
    fn on_route(&mut self, turn: &mut Turn, name: &str) -> Result {
        let _ = name;
        self.on_message(turn)
    }

    /// A user said something, or pressed a button that says it.
    fn on_message(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// A user changed a message; `id` of the activity is the message.
    fn on_message_update(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// A user deleted a message; `id` of the activity is the message.
    fn on_message_delete(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// Members or topic of the conversation changed.
    fn on_conversation_update(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// Somebody joined; `members` has at least one entry and never the bot itself.
    fn on_members_added(&mut self, turn: &mut Turn, members: &[ChannelAccount]) -> Result {
        let _ = members;
        pass(turn)
    }

    /// Somebody left, and nobody joined in the same activity; `members` has at least one entry and never the bot itself.
    fn on_members_removed(&mut self, turn: &mut Turn, members: &[ChannelAccount]) -> Result {
        let _ = members;
        pass(turn)
    }

    /// Reactions to a message changed; `reply_to_id` of the activity is the message.
    fn on_message_reaction(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// Somebody reacted to a message; `reactions` has at least one entry.
    fn on_reactions_added(&mut self, turn: &mut Turn, reactions: &[MessageReaction]) -> Result {
        let _ = reactions;
        pass(turn)
    }

    /// Somebody took a reaction back; `reactions` has at least one entry. Runs after `on_reactions_added` where both apply.
    fn on_reactions_removed(&mut self, turn: &mut Turn, reactions: &[MessageReaction]) -> Result {
        let _ = reactions;
        pass(turn)
    }

    /// Something happened that has a name and expects no answer.
    fn on_event(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// The event `tokens/response`: the user has signed in.
    fn on_token_response(&mut self, turn: &mut Turn, token: &TokenResponse) -> Result {
        let _ = token;
        pass(turn)
    }

    /// Somebody asks and waits for the answer. None leaves it to the handlers of single invokes, then to other plugins;
    /// where nobody answers, the host answers 501.
    fn on_invoke(&mut self, turn: &mut Turn) -> Result<Option<InvokeResponse>> {
        let _ = turn;
        Ok(None)
    }

    /// The invoke `adaptiveCard/action`. A value without an action, or with another one than `Action.Execute`, was
    /// answered with 400 already.
    fn on_adaptive_card_action(
        &mut self,
        turn: &mut Turn,
        action: &AdaptiveCardAction,
    ) -> Result<Option<InvokeResponse>> {
        let _ = (turn, action);
        Ok(None)
    }

    /// The invoke `application/search`. A value without kind or text was answered with 400 already.
    fn on_search(&mut self, turn: &mut Turn, search: &Search) -> Result<Option<InvokeResponse>> {
        let _ = (turn, search);
        Ok(None)
    }

    /// The invoke `signin/verifyState`: a user typed, or the channel sends, the code of a sign-in; `state` may be empty.
    fn on_sign_in_verify(&mut self, turn: &mut Turn, state: &str) -> Result<Option<InvokeResponse>> {
        let _ = (turn, state);
        Ok(None)
    }

    /// The invoke `signin/tokenExchange`: single sign-on offers a token.
    fn on_sign_in_exchange(&mut self, turn: &mut Turn, exchange: &TokenExchange) -> Result<Option<InvokeResponse>> {
        let _ = (turn, exchange);
        Ok(None)
    }

    /// The other party ended the conversation; `code` of the activity says why.
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

    /// Somebody asks the bot to do something; the answer is a `commandResult` sent later.
    fn on_command(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// The answer to a command that the bot sent.
    fn on_command_result(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }

    /// An activity of a type that this version of the SDK does not know.
    fn on_unrecognized(&mut self, turn: &mut Turn) -> Result {
        pass(turn)
    }
}

fn pass(_turn: &mut Turn) -> Result {
    Ok(Flow::Next)
}
