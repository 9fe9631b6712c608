//! The registration names something that no plugin has.

use turntable_sdk::prelude::*;

#[derive(Default)]
struct Echo;

impl Bot for Echo {}

turntable_sdk::register!(Echo, dialog);

fn main() {}
