#![doc = include_str!("../README.md")]

mod activity;
#[cfg(target_family = "wasm")]
mod bindings;
mod bot;
mod conversations;
mod dialog;
mod dispatch;
mod fault;
#[cfg(target_family = "wasm")]
mod host;
pub mod http;
mod invoke;
mod manifest;
mod middleware;
pub mod prompt;
mod read;
mod register;
mod stack;
mod state;
mod stream;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod turn;

// The list is explicit so that generated code stays private and nothing becomes public by accident.
pub use activity::{
    Activity, Attachment, CardAction, CardImage, ChannelAccount, ConversationAccount, ConversationReference, Entity,
    HeroCard, Mention, MessageReaction, Object, SuggestedActions, TokenResponse,
};
pub use bot::Bot;
pub use conversations::{Conversations, Delivery, When};
pub use dialog::{
    Check, Dialog, DialogSet, Dialogs, Dialogue, Event, Migration, Once, Outcome, Step, StraightLine, Verdict,
    Waterfall, WaterfallStep,
};
pub use dispatch::dispatch;
pub use fault::{Fault, Flow, Result};
pub use invoke::{AdaptiveCardAction, InvokeResponse, NOT_IMPLEMENTED, QueryOptions, Search, TokenExchange};
pub use manifest::{After, Manifest, Route};
pub use middleware::{Middleware, Passage, sender};
pub use prompt::Prompt;
pub use serde_json::{Value, json};
pub use stack::{Frame, Stack};
pub use state::{Scope, State, Stored};
pub use stream::TextStream;
pub use turn::{Level, Meta, Turn};

/// The types that nearly every plugin uses, among them every type in the signature of a handler, a dialog, a hook or
/// middleware. The functions that create prompts are in [`prompt`].
pub mod prelude {
    pub use crate::Flow::{Handled, Next};
    pub use crate::{
        Activity, AdaptiveCardAction, Attachment, Bot, CardAction, ChannelAccount, Check, Delivery, Dialog, DialogSet,
        Dialogs, Dialogue, Event, Fault, Flow, HeroCard, InvokeResponse, Level, Manifest, MessageReaction, Meta,
        Middleware, Migration, Once, Outcome, Passage, Result, Route, Scope, Search, Step, StraightLine, TextStream,
        TokenExchange, TokenResponse, Turn, Value, Verdict, Waterfall, WaterfallStep, When, json,
    };
}

#[doc(hidden)]
pub mod __private {
    pub use crate::register::{PerTurn, Plugin};
    #[cfg(target_family = "wasm")]
    pub use crate::{bindings::dialogs, bindings::middleware, register::component::Component};
}
