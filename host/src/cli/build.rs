//! `turntable build`: builds the component of a project, in any language that has an SDK.

mod c;
mod go;
mod node;
mod python;
mod rust;
mod tools;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use turntable_scaffold::Language;

use super::terminal::Terminal;
use tools::Tools;

/// Build the component of a bot
///
/// The language follows from the files of the project: Cargo.toml, package.json, a Python file, go.mod or bot.c. Tools that are
/// missing are named, or with --install installed into a cache folder (TURNTABLE_CACHE, default ~/.cache/turntable).
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit codes: 0 built, 1 the bot has a mistake or a tool is missing, 2 wrong usage.")]
pub(super) struct Args {
    /// Folder of the project
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// File of the component, relative to the project
    #[arg(long, value_name = "FILE", default_value = "build/bot.wasm")]
    out: PathBuf,
    /// Install missing tools
    #[arg(long)]
    install: bool,
}

/// A project with everything that a build needs to know.
struct Project {
    folder: PathBuf,
    /// The folder that has `wit` and `guest-sdk`.
    sdk: PathBuf,
    tools: Tools,
    /// The file that the build writes. A running host watches the final file, so that one is replaced in one step.
    out: PathBuf,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let folder = args.folder.canonicalize();
    let folder = folder.with_context(|| format!("the folder {} cannot be read", args.folder.display()))?;
    let language = language_of(&folder)?;
    let target = folder.join(&args.out);
    let parent = target.parent().context("the file of the component has no folder")?;
    std::fs::create_dir_all(parent).with_context(|| format!("the folder {} cannot be created", parent.display()))?;
    let tools = Tools::new(args.install)?;
    let sdk = sdk_of(&folder, language, &tools)?;
    let project = Project { folder, sdk, tools, out: target.with_extension("wasm.new") };
    match language {
        Language::Rust => rust::build(&project)?,
        Language::TypeScript | Language::JavaScript => node::build(&project)?,
        Language::Python => python::build(&project)?,
        Language::Go => go::build(&project)?,
        Language::C => c::build(&project)?,
    }
    let bytes = std::fs::metadata(&project.out).context("the build wrote no component")?.len();
    std::fs::rename(&project.out, &target)
        .with_context(|| format!("the component {} cannot be written", target.display()))?;
    Terminal::stdout().line(format!("built {} ({} KiB)", args.out.display(), bytes.div_ceil(1024)))?;
    Ok(ExitCode::SUCCESS)
}

fn language_of(folder: &Path) -> anyhow::Result<Language> {
    let has = |file: &str| folder.join(file).is_file();
    if has("Cargo.toml") {
        return Ok(Language::Rust);
    }
    if has("package.json") {
        return Ok(if has("tsconfig.json") { Language::TypeScript } else { Language::JavaScript });
    }
    if has("pyproject.toml") || has("bot.py") {
        return Ok(Language::Python);
    }
    if has("go.mod") {
        return Ok(Language::Go);
    }
    if has("bot.c") {
        return Ok(Language::C);
    }
    bail!(
        "{} is not the project of a bot: it has no Cargo.toml, package.json, pyproject.toml, go.mod or bot.c. Create a project with \
         `turntable new NAME`, or name its folder",
        folder.display()
    )
}

/// Makes the component of a module that a compiler wrote for WASI 0.1, and deletes the module.
fn componentize(module: &Path, project: &Project, remedy: &str) -> anyhow::Result<()> {
    let bytes = std::fs::read(module).with_context(|| format!("{} cannot be read", module.display()))?;
    let component = turntable_componentize::component(&bytes, &project.sdk.join("wit"), "full-plugin");
    let component = component.with_context(|| format!("the module is no component of the contract; {remedy}"))?;
    std::fs::write(&project.out, component).with_context(|| format!("{} cannot be written", project.out.display()))?;
    std::fs::remove_file(module).with_context(|| format!("{} cannot be deleted", module.display()))
}

/// Returns the folder with the contract and the SDK: the project's own, or one that is written into the cache.
fn sdk_of(folder: &Path, language: Language, tools: &Tools) -> anyhow::Result<PathBuf> {
    let own = folder.join("turntable");
    if own.join("wit").is_dir() {
        return Ok(own);
    }
    let cached = tools.cache.join(format!("sdk-{}-{}", env!("CARGO_PKG_VERSION"), language.name()));
    for file in turntable_scaffold::sdk(language) {
        let path = cached.join(&file.path);
        if std::fs::read(&path).is_ok_and(|contents| contents == *file.contents) {
            continue;
        }
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).with_context(|| format!("{} cannot be created", parent.display()))?;
        }
        std::fs::write(&path, &file.contents).with_context(|| format!("{} cannot be written", path.display()))?;
    }
    Ok(cached)
}
