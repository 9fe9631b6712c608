//! Builds of Python projects. A virtual environment in the cache has componentize-py; it runs the build script of the
//! SDK.

use std::path::Path;
use std::process::Command;

use anyhow::bail;

use super::Project;
use super::tools::{output, run};

const INSTALL_PYTHON: &str = "install Python 3.10 or newer with venv (on Debian the package python3-venv)";
/// Prints `good` if this Python can make virtual environments and is new enough.
const CHECK: &str = "import sys, venv, ensurepip; print('good' if sys.version_info >= (3, 10) else 'old')";

/// Builds the component.
pub(super) fn build(project: &Project) -> anyhow::Result<()> {
    let sdk = project.sdk.join("guest-sdk/python");
    let requirements = sdk.join("tools/requirements.txt");
    let install = |folder: &Path| virtual_environment(folder, &requirements);
    let tools = project.tools.set("python", &requirements, "the toolchain for Python", install)?;
    let mut python = Command::new(tools.join("bin/python"));
    python.arg(sdk.join("build.py")).arg("--project").arg(&project.folder).arg("--wit").arg(project.sdk.join("wit"));
    python.arg("--out").arg(&project.out);
    run(&mut python, "delete the cache folder and run `turntable build --install`")
}

/// Makes a virtual environment with the packages of a file.
pub(super) fn virtual_environment(folder: &Path, requirements: &Path) -> anyhow::Result<()> {
    let Some(python) = ["python3", "python"]
        .into_iter()
        .find(|python| output(Command::new(python).args(["-c", CHECK])).is_some_and(|answer| answer == "good"))
    else {
        bail!("no usable `python3` was found; {INSTALL_PYTHON}");
    };
    run(Command::new(python).args(["-m", "venv"]).arg(folder), INSTALL_PYTHON)?;
    let mut pip = Command::new(folder.join("bin/pip"));
    pip.args(["install", "--quiet", "--disable-pip-version-check", "-r"]).arg(requirements);
    run(&mut pip, INSTALL_PYTHON)
}
