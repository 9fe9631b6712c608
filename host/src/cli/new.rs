//! `turntable new`: creates the project of a bot.

use std::fs;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use turntable_scaffold::{Language, NAME_RULE, Template, files, is_name};

use super::terminal::Terminal;

/// Create the project of a bot in a new folder
///
/// The project has a bot, a configuration, a test and a copy of the SDK. Nothing is downloaded. On a terminal the
/// command asks for what the options leave out.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Name of the bot, its package and its folder
    #[arg(value_name = "NAME")]
    name: String,
    /// Language of the bot: rust, typescript, javascript, python, go or c
    #[arg(long, value_name = "LANGUAGE")]
    lang: Option<String>,
    /// What the bot does at first: echo, dialog or middleware
    #[arg(long, value_name = "TEMPLATE")]
    template: Option<String>,
    /// Folder in which the folder of the project is created
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    within: PathBuf,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    if !is_name(&args.name) {
        bail!("`{}` cannot be the name of a bot: {NAME_RULE}", args.name);
    }
    let within = if args.within == Path::new(".") { Path::new("") } else { &args.within };
    let folder = within.join(&args.name);
    check_empty(&folder)?;
    let language = language(args.lang.as_deref())?;
    let template = template(args.template.as_deref(), args.lang.is_none())?;
    write(&folder, language, template, &args.name)?;
    let shown = folder.display();
    Terminal::stdout().line(format!(
        "Created {shown}: a bot in {}, which starts as {}. Go on with:\n\n  cd {shown}\n  turntable build --install\n  \
         turntable serve",
        language.name(),
        template.name(),
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// Refuses a folder that has files, so that nothing is overwritten.
fn check_empty(folder: &Path) -> anyhow::Result<()> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_some()) {
        Ok(true) => bail!("the folder {} is not empty; choose another name, or delete the folder", folder.display()),
        Ok(false) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).with_context(|| format!("the folder {} cannot be used", folder.display())),
    }
}

fn write(folder: &Path, language: Language, template: Template, name: &str) -> anyhow::Result<()> {
    for file in files(name, language, template) {
        let path = folder.join(&file.path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("the folder {} cannot be created", parent.display()))?;
        fs::write(&path, &file.contents).with_context(|| format!("the file {} cannot be written", path.display()))?;
    }
    Ok(())
}

fn language(name: Option<&str>) -> anyhow::Result<Language> {
    let names = Language::ALL.map(Language::name);
    let name = match name {
        Some(name) => name.to_owned(),
        None => ask("Which language?", &names).context("choose a language with --lang")?,
    };
    Language::of(&name.to_lowercase()).with_context(|| unknown_language(&name.to_lowercase(), &names))
}

fn unknown_language(name: &str, names: &[&str]) -> String {
    let offered = names.join(", ");
    match name {
        "c++" | "cpp" | "zig" | "moonbit" => format!(
            "there is no SDK for {name} in this release. A component of any language that targets the contract in wit/ \
             runs, but \
             `turntable new` creates projects in {offered}"
        ),
        "c#" | "csharp" | "dotnet" | "java" | "kotlin" => {
            format!(
                "{name} does not compile to a component that a host could run well; `turntable new` creates projects in \
                 {offered}"
            )
        }
        _ => format!("`{name}` is not a language that `turntable new` knows: {offered}"),
    }
}

fn template(name: Option<&str>, asks: bool) -> anyhow::Result<Template> {
    let names = Template::ALL.map(Template::name);
    let name = match name {
        Some(name) => name.to_owned(),
        None if asks && io::stdin().is_terminal() => ask("What shall it do at first?", &names)?,
        None => Template::Echo.name().to_owned(),
    };
    Template::of(&name).with_context(|| format!("`{name}` is not a template: {}", names.join(", ")))
}

/// Asks on the terminal for one of some answers. Fails if there is no terminal.
fn ask(question: &str, answers: &[&str]) -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        bail!("one of {}", answers.join(", "));
    }
    let mut line = String::new();
    loop {
        eprint!("{question} ({}) ", answers.join(", "));
        io::stderr().flush()?;
        line.clear();
        if io::stdin().lock().read_line(&mut line)? == 0 {
            bail!("one of {}", answers.join(", "));
        }
        let answer = line.trim().to_lowercase();
        let matching: Vec<&&str> =
            answers.iter().filter(|known| !answer.is_empty() && known.starts_with(&answer)).collect();
        match matching.as_slice() {
            [one] => return Ok((**one).to_owned()),
            _ => super::complain(&format!("please choose one of {}", answers.join(", "))),
        }
    }
}
