//! Builds of Go projects, with the author's own compiler, or with one in the cache that comes from PyPI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::Project;
use super::python::virtual_environment;
use super::tools::{output, run};

const INSTALL_GO: &str = "install Go 1.24 or newer from https://go.dev/dl";
/// The oldest release of Go that exports functions to WebAssembly, as 1.MINOR.
const GO_MINOR_MIN: u32 = 24;
const REGISTER: &str = "add `func init() { turntable.Register(&bot) }`";
/// Packages that compile, but whose use fails in a component, with the reason.
const REFUSED: [(&str, &str); 6] = [
    ("net", "a bot has no sockets"),
    ("net/http", "this release has no outbound HTTP in Go"),
    ("os/exec", "a bot has no processes"),
    ("plugin", "a bot has no native code"),
    ("C", "a bot has no native code"),
    ("database/sql", "a bot has no sockets"),
];

/// Builds the component.
pub(super) fn build(project: &Project) -> anyhow::Result<()> {
    check_sources(&project.folder)?;
    let compiler = compiler(project)?;
    let module = project.out.with_extension("module");
    let mut go = Command::new(compiler);
    go.args(["build", "-trimpath", "-ldflags=-s -w", "-buildmode=c-shared", "-o"]).arg(&module).arg(".");
    go.current_dir(&project.folder).env("GOOS", "wasip1").env("GOARCH", "wasm").env("GOWORK", "off");
    run(&mut go, INSTALL_GO)?;
    super::componentize(&module, project, REGISTER)
}

/// Returns the author's `go` if it is new enough, or the one in the cache.
fn compiler(project: &Project) -> anyhow::Result<PathBuf> {
    let version = output(Command::new("go").args(["env", "GOVERSION"])).unwrap_or_default();
    let minor = version.strip_prefix("go1.").and_then(|rest| rest.split(['.', 'r', 'b', '-', ' ']).next());
    if minor.and_then(|minor| minor.parse::<u32>().ok()).is_some_and(|minor| minor >= GO_MINOR_MIN) {
        return Ok(PathBuf::from("go"));
    }
    let requirements = project.sdk.join("guest-sdk/go/tools/requirements.txt");
    let install = |folder: &Path| virtual_environment(folder, &requirements);
    let tools = project.tools.set("go", &requirements, "Go 1.24 or newer", install)?;
    Ok(tools.join("bin/go"))
}

/// Finds mistakes that the compiler does not report, because they are only mistakes in a component.
fn check_sources(folder: &Path) -> anyhow::Result<()> {
    let (mut registers, mut has_sources) = (false, false);
    for path in sources(folder)? {
        let text = fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let shown = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        has_sources = true;
        registers |= text.contains("turntable.Register(");
        for (index, line) in text.lines().enumerate() {
            if let Some((package, reason)) = refused(line) {
                bail!("{shown}:{}:1: a bot cannot use the package `{package}`: {reason}", index + 1);
            }
        }
    }
    match (has_sources, registers) {
        (true, true) => Ok(()),
        (true, false) => bail!("no file of package main registers the bot; {REGISTER}"),
        _ => bail!("{} has no Go file; write bot.go with package main, and {REGISTER}", folder.display()),
    }
}

/// Returns the files of package main that a build compiles, sorted.
fn sources(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("{} cannot be read", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.ends_with(".go") && !name.ends_with("_test.go") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Returns the refused package that a line imports: `"net/http"`, `alias "net/http"`, or one of them after `import`.
fn refused(line: &str) -> Option<(&'static str, &'static str)> {
    let line = line.split("//").next().unwrap_or_default().trim();
    let spec = line.strip_prefix("import").map_or(line, str::trim);
    let path = spec.strip_suffix('"')?;
    let (before, path) = path.split_once('"')?;
    let is_import = before.trim().chars().all(|char| char.is_alphanumeric() || char == '_' || char == '.');
    REFUSED.into_iter().find(|(package, _)| is_import && path == *package)
}

#[cfg(test)]
mod tests;
