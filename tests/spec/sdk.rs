//! What authors of plugins meet when they build a component.

use std::path::Path;
use std::process::Command;

use crate::support::{component, turntable};

/// What a newcomer reads.
const README: &str = include_str!("../../guest-sdk/rust/README.md");

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

/// The examples of `turntable.toml` are configurations that this host takes, with the component where they say it is.
#[test]
fn the_configurations_of_its_readme_are_good() {
    let Some(built) = component("echo") else { return };
    let blocks: Vec<&str> = README.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    let configurations: Vec<&&str> = blocks.iter().filter(|block| block.contains("[bots.")).collect();
    assert_eq!(configurations.len(), 2, "of {} blocks", blocks.len());
    for text in configurations {
        let folder = tempfile::tempdir().unwrap();
        let release = folder.path().join("target/wasm32-wasip2/release");
        std::fs::create_dir_all(&release).unwrap();
        std::fs::copy(&built, release.join("echo.wasm")).unwrap();
        let file = folder.path().join("turntable.toml");
        std::fs::write(&file, text).unwrap();
        let ended = turntable(&["check", file.to_str().unwrap()], "");
        assert_eq!(ended.code, Some(0), "{ended:?}\n{text}");
    }
}

/// Its limits are the defaults of the host, as it says.
#[test]
fn the_limits_of_its_readme_are_the_defaults() {
    let reference = include_str!("../../plugins/turntable.toml");
    let limits = README.split("[bots.desk.plugins.limits]").nth(1).unwrap().split("```").next().unwrap();
    for line in limits.lines().skip(1).filter(|line| !line.is_empty()) {
        let (key, value) = line.split_once(" = ").unwrap();
        let stands = reference.lines().any(|known| {
            let known = known.trim_start_matches('#').trim();
            known.split_once(" = ").is_some_and(|(name, default)| name.trim() == key && default.trim() == value)
        });
        assert!(stands, "`{line}` is not in plugins/turntable.toml");
    }
}
