//! The registered bot cannot be built.

use turntable_sdk::prelude::*;

struct Echo {
    _greeting: String,
}

impl Bot for Echo {}

turntable_sdk::register!(Echo);

fn main() {}
