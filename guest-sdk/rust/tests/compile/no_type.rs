//! The registration names no type.

turntable_sdk::register!();

fn main() {}
