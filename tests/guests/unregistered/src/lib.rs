//! A plugin whose author forgot `turntable_sdk::register!`. Nothing but `tests/spec/sdk.rs` builds it as a component.

use turntable_sdk::prelude::*;

/// A bot that nobody registers.
#[derive(Default)]
pub struct Forgotten;

impl Bot for Forgotten {}
