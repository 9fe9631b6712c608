//! A plugin whose author forgot `turntable_sdk::register!`. Only `tests/spec/sdk.rs` builds it as a component.

use turntable_sdk::prelude::*;

/// A bot that is not registered.
#[derive(Default)]
pub struct Forgotten;

impl Bot for Forgotten {}
