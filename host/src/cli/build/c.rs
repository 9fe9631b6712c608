//! Builds of C projects. A virtual environment of Python in the cache has zig, whose C compiler brings its own libc.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use super::Project;
use super::python::virtual_environment;
use super::tools::run;

const REGISTER: &str = "bot.c must define the bot: `const tt_bot turntable_bot = { … };`";
const WARNINGS: [&str; 4] = ["-Wall", "-Werror=return-type", "-Werror=implicit-function-declaration", "-Werror=format"];

/// Builds the component of all C files in the folder of the project and in its folder `src`.
pub(super) fn build(project: &Project) -> anyhow::Result<()> {
    let sdk = project.sdk.join("guest-sdk/c");
    let requirements = sdk.join("tools/requirements.txt");
    let install = |folder: &Path| virtual_environment(folder, &requirements);
    let tools = project.tools.set("zig", &requirements, "the toolchain for C", install)?;
    let mut sources = files(&project.folder)?;
    sources.extend(files(&project.folder.join("src"))?);
    check_sources(&sources)?;
    let module = project.out.with_extension("module");
    let mut zig = Command::new(tools.join("bin/python"));
    zig.args(["-m", "ziglang", "cc", "--target=wasm32-wasi", "-mexec-model=reactor", "-std=c11", "-Os", "-s"]);
    zig.args(WARNINGS).arg("-I").arg(sdk.join("include")).args(&sources).args(files(&sdk.join("src"))?);
    zig.arg("-o").arg(&module).current_dir(&project.folder);
    zig.env("ZIG_GLOBAL_CACHE_DIR", project.tools.cache.join("zig-cache"));
    zig.env("ZIG_LOCAL_CACHE_DIR", project.tools.cache.join("zig-cache"));
    run(&mut zig, "delete the cache folder and run `turntable build --install`")?;
    super::componentize(&module, project, REGISTER)
}

/// Returns the C files of a folder, sorted; none if there is no folder.
fn files(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry.with_context(|| format!("{} cannot be read", folder.display()))?.path();
        if path.extension() == Some(OsStr::new("c")) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Finds a project without a bot, which the linker would report by the name of a symbol alone.
fn check_sources(sources: &[PathBuf]) -> anyhow::Result<()> {
    for path in sources {
        let text = fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
        if String::from_utf8_lossy(&text).contains("turntable_bot") {
            return Ok(());
        }
    }
    bail!("no C file defines the bot; {REGISTER}")
}
