//! The SDK as authors of plugins use it to build a component.

use std::path::Path;
use std::process::Command;

use crate::support::{component, turntable};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The README of the SDK.
const README: &str = include_str!("../../guest-sdk/rust/README.md");

/// Native builds cannot detect a missing registration. The linker of the component names it.
#[test]
fn a_plugin_that_registers_no_bot_does_not_link() {
    // If Rust guests cannot be built, `component` has printed it.
    if component("portable-rust").is_none() {
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../guest-sdk/toolchain.sh");
    let output = Command::new(script)
        .args(["rust", "unregistered"])
        // The cargo that runs this spec sets it for its own compiler, but guests may use another compiler.
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "it was built: {said}");
    assert!(said.contains("turntable_sdk::register!(YourBot)"), "{said}");
}

/// The test host needs the dialogs and prompts of the host; components get them from the host that runs them.
#[test]
fn no_component_carries_the_dialog_machine() {
    let tree = |target: &str| {
        let arguments = ["tree", "--locked", "--offline", "-p", "echo", "-e", "normal", "--target", target];
        let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!tree("wasm32-wasip2").contains("turntable-dialog"));
    assert!(tree("x86_64-unknown-linux-gnu").contains("turntable-dialog"));
}

/// Both kinds of plugins use one build of the SDK. Only `register!(…, dialogs)` makes the difference.
#[test]
fn only_a_plugin_with_dialogs_exports_their_handler() {
    for (name, has_dialogs) in [("echo", false), ("cancel", false), ("settings", true), ("travel", true)] {
        let Some(path) = component(name) else { continue };
        let ended = turntable(&["inspect", path.to_str().unwrap()], "");
        let exports = ended.stdout.lines().any(|line| line.starts_with("exports") && line.contains("dialog-handler"));
        assert_eq!(exports, has_dialogs, "{name}: {}", ended.stdout);
    }
}

/// The examples of `turntable.toml` are valid configurations, with the component at the path that they name.
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

/// The README lists all keys of a bot and all limits, with their defaults.
#[test]
fn the_keys_of_its_readme_are_all_and_have_their_defaults() {
    /// Returns the keys and values of a section, without comments.
    fn keys<'t>(text: &'t str, section: &str, mark: &str) -> Vec<(&'t str, &'t str)> {
        let lines = text.split(&format!("\n{section}")).nth(1).unwrap().lines().skip(1);
        let section = lines.take_while(|line| !line.starts_with('[') && !line.starts_with("```"));
        let entries = section.filter_map(|line| line.strip_prefix(mark).unwrap_or(line).split_once(" = "));
        let is_key = |key: &str| key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        let entries = entries.map(|(key, value)| (key, value.split(" #").next().unwrap_or_default().trim()));
        entries.filter(|(key, _)| is_key(key)).collect()
    }
    let reference = include_str!("../../plugins/turntable.toml");
    let limits = keys(README, "[bots.desk.plugins.limits]", "");
    assert_eq!(limits, keys(reference, "[bots.demo.limits]", "#"));
    assert!(limits.len() > 10, "{limits:?}");
    let of_bot = |text, section, mark| {
        let names = keys(text, section, mark).into_iter().filter(|(key, _)| *key != "title");
        names.map(|(key, value)| format!("{key} = {value}")).collect::<Vec<_>>()
    };
    let told = of_bot(README, "[bots.desk]\ntitle", "");
    let known = of_bot(reference, "[bots.demo]", "#");
    assert_eq!(told, known, "the keys of a bot");
}
