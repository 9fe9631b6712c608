//! Tests of the help texts and of their rules.

use clap::CommandFactory;
use similar_asserts::assert_eq;

use super::*;

/// Returns the long help of every command, 100 columns wide.
fn help() -> String {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut text = format!("$ turntable --help\n{}", command.render_long_help());
    for name in command.get_subcommands().map(|command| command.get_name().to_owned()).collect::<Vec<_>>() {
        let subcommand = command.find_subcommand_mut(&name).filter(|command| !command.is_hide_set() && name != "help");
        if let Some(subcommand) = subcommand {
            text.push_str(&format!("\n$ turntable {name} --help\n{}", subcommand.render_long_help()));
        }
    }
    let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
    trimmed.join("\n") + "\n"
}

#[test]
fn the_arguments_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_texts_are_as_recorded() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/cli/help.txt");
    if std::env::var_os("TURNTABLE_RECORD").is_some() {
        std::fs::write(path, help()).unwrap();
    }
    assert_eq!(help(), std::fs::read_to_string(path).unwrap(), "set TURNTABLE_RECORD=1 to record it anew");
}

/// The help of every argument is a phrase that begins with a capital letter and has no full stop.
#[test]
fn every_argument_is_explained() {
    for command in Cli::command().get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(!about.is_empty() && !about.ends_with('.'), "{}: {about}", command.get_name());
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let well_formed = help.starts_with(char::is_uppercase) && !help.ends_with('.');
            assert!(well_formed, "{} {}: {help:?}", command.get_name(), argument.get_id());
        }
    }
}

#[test]
fn values_may_begin_with_a_hyphen() {
    let mut command = Cli::command();
    command.build();
    let joined = |line: &str| {
        let words = std::iter::once("turntable").chain(line.split(' ')).map(Into::into);
        let joined = arguments::joined(&command, words);
        joined.iter().skip(1).map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    for (line, expected) in [
        ("notify b --conversation -1001234 --text -5", "notify b --conversation=-1001234 --text=-5"),
        ("notify b --user -1 --new", "notify b --user=-1 --new"),
        ("notify b --user 1 --text --- --json", "notify b --user 1 --text=--- --json"),
        ("notify b --text --Abc1", "notify b --text=--Abc1"),
        ("notify b --text -x --event -e", "notify b --text=-x --event=-e"),
        ("references forget b --channel -c --conversation -1", "references forget b --channel=-c --conversation=-1"),
        ("transcripts export b --conversation -1 -o -", "transcripts export b --conversation=-1 -o -"),
        ("inspect --set -a=-1 f.wasm", "inspect --set=-a=-1 f.wasm"),
        ("chat --user -1 --bot chat", "chat --user=-1 --bot chat"),
        // Options are not joined, even with typing errors.
        ("notify b --text --json", "notify b --text --json"),
        ("notify b --text --conversation=-1", "notify b --text --conversation=-1"),
        ("notify b --channel --usr 1", "notify b --channel --usr 1"),
        ("notify b --text -h", "notify b --text -h"),
        ("notify b -- --text -1", "notify b -- --text -1"),
        ("notify b --text -- -1", "notify b --text -- -1"),
        ("notify --text", "notify --text"),
        // Positional values.
        ("notify -1001234 --json", "notify --json -- -1001234"),
        ("notify b --json -1", "notify b --json -- -1"),
        ("notifications cancel b -1 --config c", "notifications cancel b --config c -- -1"),
        ("notifications cancel -b i --config -c", "notifications cancel -b i --config=-c"),
        ("notifications cancel -bot i --config -c", "notifications cancel --config=-c -- -bot i"),
        ("deploy -1 p --dry-run f.wasm", "deploy --dry-run -- -1 p f.wasm"),
        ("deploy -1 p -- -f.wasm", "deploy -- -1 p -f.wasm"),
        ("replay -1.chat --bot b", "replay --bot b -- -1.chat"),
        ("replay -Group=a.chat", "replay -- -Group=a.chat"),
        ("replay ---", "replay -- ---"),
        ("bots --", "bots --"),
        // Unknown options.
        ("bots --unknown", "bots --unknown"),
        ("bots --un-known=-1", "bots --un-known=-1"),
        ("bots -x", "bots -x"),
        ("bots -json", "bots -json"),
        ("bots -", "bots -"),
        ("bots -h", "bots -h"),
        ("transcripts export b --conversation 1 -oFILE", "transcripts export b --conversation 1 -oFILE"),
        ("-1 bots", "-1 bots"),
        ("notifications -1 list", "notifications -1 list"),
    ] {
        assert_eq!(joined(line), expected, "{line}");
    }
}

/// Every option with a value accepts one that begins with a hyphen.
#[test]
fn every_option_of_every_command_takes_such_a_value() {
    fn walk(command: &clap::Command, path: &[String], tried: &mut usize) {
        for option in command.get_arguments().filter(|option| option.get_action().takes_values()) {
            let Some(long) = option.get_long() else { continue };
            let words = path.iter().cloned().chain([format!("--{long}"), "-1001234".to_owned()]).map(Into::into);
            let mut root = Cli::command();
            root.build();
            let joined = arguments::joined(&root, words);
            assert_eq!(joined.last().unwrap(), &*format!("--{long}=-1001234"), "{path:?}");
            *tried += 1;
        }
        for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
            walk(subcommand, &[path, &[subcommand.get_name().to_owned()]].concat(), tried);
        }
    }
    let mut command = Cli::command();
    command.build();
    let mut tried = 0;
    walk(&command, &["turntable".to_owned()], &mut tried);
    assert!(tried > 60, "only {tried} options");
}

/// Every positional value of every command may begin with a hyphen, and an unknown option is named.
#[test]
fn every_positional_of_every_command_takes_such_a_value() {
    fn walk(command: &clap::Command, path: &[String], tried: &mut usize) {
        if command.get_positionals().next().is_some() {
            let joined = |word: &str| {
                let mut root = Cli::command();
                root.build();
                let words = path.iter().cloned().chain([word.to_owned()]).map(Into::into);
                (arguments::joined(&root, words), root)
            };
            let (words, _) = joined("-1001234");
            assert_eq!(words[path.len()..], ["--", "-1001234"], "{path:?}");
            let (words, root) = joined("--no-such-option");
            let error = root.try_get_matches_from(words).unwrap_err();
            assert_eq!(error.kind(), clap::error::ErrorKind::UnknownArgument, "{path:?}: {error}");
            assert!(error.to_string().contains("'--no-such-option'"), "{path:?}: {error}");
            *tried += 1;
        }
        for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
            walk(subcommand, &[path, &[subcommand.get_name().to_owned()]].concat(), tried);
        }
    }
    let mut command = Cli::command();
    command.build();
    let mut tried = 0;
    walk(&command, &["turntable".to_owned()], &mut tried);
    assert!(tried > 15, "only {tried} commands");
}
