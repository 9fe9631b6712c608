//! Builds of TypeScript and JavaScript projects. Node runs the build script of the SDK; the bundler, the type checker
//! and QuickJS are packages in the cache.

use std::process::Command;

use anyhow::{Context, bail};

use super::Project;
use super::tools::{output, run};

const INSTALL_NODE: &str = "install Node 20 or newer from https://nodejs.org";
/// The oldest release of Node with which the tools run.
const NODE_MIN: u32 = 20;

/// Builds the component.
pub(super) fn build(project: &Project) -> anyhow::Result<()> {
    check_node()?;
    let sdk = project.sdk.join("guest-sdk/typescript");
    let sources = sdk.join("tools");
    let tools =
        project.tools.set("node", &sources.join("package-lock.json"), "the toolchain for TypeScript", |folder| {
            for file in ["package.json", "package-lock.json", ".npmrc"] {
                std::fs::copy(sources.join(file), folder.join(file))
                    .with_context(|| format!("{file} cannot be copied"))?;
            }
            // Not `npm ci`, because the lock file lacks optional packages of platforms that were never published.
            let mut npm = Command::new("npm");
            npm.args(["install", "--no-save", "--no-audit", "--no-fund", "--loglevel", "error"]).current_dir(folder);
            run(&mut npm, INSTALL_NODE)
        })?;
    let mut node = Command::new("node");
    node.arg(sdk.join("build.mjs")).arg("--project").arg(&project.folder).arg("--wit").arg(project.sdk.join("wit"));
    node.arg("--tools").arg(tools).arg("--out").arg(&project.out);
    run(&mut node, INSTALL_NODE)
}

fn check_node() -> anyhow::Result<()> {
    let Some(version) = output(Command::new("node").arg("--version")) else {
        bail!("`node` does not run; {INSTALL_NODE}")
    };
    let major = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= NODE_MIN => Ok(()),
        _ => bail!("Node {version} is too old; {INSTALL_NODE}"),
    }
}
