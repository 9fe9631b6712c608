//! Builds of Rust projects, with the author's cargo.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use super::Project;
use super::tools::{output, run};

const TARGET: &str = "wasm32-wasip2";
const INSTALL_RUST: &str = "install Rust from https://rustup.rs";

/// Builds the component with `cargo build --release`.
pub(super) fn build(project: &Project) -> anyhow::Result<()> {
    add_target(project)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--lib", "--target", TARGET, "--message-format", "json-render-diagnostics"]);
    cargo.current_dir(&project.folder).stderr(std::process::Stdio::inherit());
    let ended = cargo.output().with_context(|| format!("`cargo` could not start; {INSTALL_RUST}"))?;
    if !ended.status.success() {
        bail!("the build failed: `cargo` ended with {}", ended.status);
    }
    let component = component_of(&String::from_utf8_lossy(&ended.stdout), &project.folder)?;
    std::fs::copy(&component, &project.out).with_context(|| format!("{component} cannot be copied"))?;
    Ok(())
}

/// Returns the component that cargo reports for the project's own package.
fn component_of(messages: &str, folder: &Path) -> anyhow::Result<String> {
    let manifest = folder.join("Cargo.toml");
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest))
        .flat_map(|message| message["filenames"].as_array().cloned().unwrap_or_default())
        .filter_map(|file| file.as_str().map(str::to_owned))
        .find(|file| file.ends_with(".wasm"))
        .context("cargo built no component; Cargo.toml needs `[lib]` with `crate-type = [\"cdylib\"]`")
}

/// Adds the target with rustup if it is missing and may be installed.
fn add_target(project: &Project) -> anyhow::Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(&project.folder);
    let Some(libraries) = output(&mut rustc) else { bail!("`rustc` does not run or is too old; {INSTALL_RUST}") };
    if Path::new(&libraries).is_dir() {
        return Ok(());
    }
    let remedy = format!("rustup target add {TARGET}");
    if !project.tools.installs {
        bail!("Rust has no standard library for {TARGET}. Run `{remedy}`, or `turntable build --install`");
    }
    let mut rustup = Command::new("rustup");
    run(rustup.args(["target", "add", TARGET]).current_dir(&project.folder), INSTALL_RUST)
}
