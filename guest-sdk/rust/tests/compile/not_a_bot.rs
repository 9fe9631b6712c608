//! The registered type has no handlers.

#[derive(Default)]
struct Echo;

turntable_sdk::register!(Echo);

fn main() {}
