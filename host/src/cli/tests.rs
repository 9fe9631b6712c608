//! The help texts, as users read them, and the rules they follow.

use clap::CommandFactory;
use similar_asserts::assert_eq;

use super::*;

/// Returns the long help of every command, one after the other, 100 columns wide.
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

/// Every argument says what it is for, in a phrase that begins with a capital letter and has no full stop.
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
