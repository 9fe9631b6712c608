//! Two bots are registered.

use turntable_sdk::prelude::*;

#[derive(Default)]
struct One;

impl Bot for One {}

#[derive(Default)]
struct Two;

impl Bot for Two {}

turntable_sdk::register!(One);
turntable_sdk::register!(Two);

fn main() {}
