//! The registration promises dialogs, and the type has none.

use turntable_sdk::prelude::*;

#[derive(Default)]
struct Echo;

impl Bot for Echo {}

turntable_sdk::register!(Echo, dialogs);

fn main() {}
