//! What authors of plugins meet when they build a component.

use std::path::Path;
use std::process::Command;

use crate::support::{component, turntable};

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

/// Both kinds come from one SDK in one build: `register!(…, dialogs)` makes the difference.
#[test]
fn only_a_plugin_with_dialogs_exports_their_handler() {
    for (name, has_dialogs) in [("echo", false), ("cancel", false), ("settings", true), ("travel", true)] {
        let Some(path) = component(name) else { continue };
        let ended = turntable(&["inspect", path.to_str().unwrap()], "");
        let exports = ended.stdout.lines().any(|line| line.starts_with("exports") && line.contains("dialog-handler"));
        assert_eq!(exports, has_dialogs, "{name}: {}", ended.stdout);
    }
}
