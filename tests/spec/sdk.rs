//! What authors of plugins meet when they build a component.

use std::path::Path;
use std::process::Command;

use crate::support::component;

/// Native builds cannot notice a missing registration; the linker of the component says by name what is missing.
#[test]
fn a_plugin_that_registers_no_bot_does_not_link() {
    // Where Rust guests cannot be built, this was said aloud.
    if component("portable-rust").is_none() {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk/toolchain.sh");
    let output = Command::new(script)
        .args(["rust", "unregistered"])
        // Set by the cargo that runs this spec, for its own compiler; guests may have another.
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it was built: {said}");
    assert!(said.contains("turntable_sdk::register!(YourBot)"), "{said}");
}
