#![doc = include_str!("../README.md")]

mod activity;
#[cfg(target_family = "wasm")]
mod bindings;
mod bot;
mod dispatch;
mod fault;
#[cfg(target_family = "wasm")]
mod host;
mod invoke;
mod manifest;
mod register;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod turn;

// Listed by hand: what is generated stays private, and nothing becomes public by accident.
pub use activity::{
    Activity, Attachment, CardAction, CardImage, ChannelAccount, ConversationAccount, ConversationReference, Entity,
    HeroCard, Mention, MessageReaction, Object, SuggestedActions, TokenResponse,
};
pub use bot::Bot;
pub use dispatch::dispatch;
pub use fault::{Fault, Flow, Result};
pub use invoke::{AdaptiveCardAction, InvokeResponse, NOT_IMPLEMENTED, QueryOptions, Search, TokenExchange};
pub use manifest::{Manifest, Route};
pub use serde_json::{Value, json};
pub use turn::{Level, Meta, Turn};

/// What nearly every plugin uses.
pub mod prelude {
    pub use crate::Flow::{Handled, Next};
    pub use crate::{
        Activity, Attachment, Bot, CardAction, ChannelAccount, Fault, Flow, HeroCard, InvokeResponse, Level, Manifest,
        Result, Route, Turn,
    };
}

#[doc(hidden)]
pub mod __private {
    pub use crate::register::{PerTurn, Plugin};
}
