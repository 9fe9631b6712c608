//! The `turntable` binary.
fn main() {}
