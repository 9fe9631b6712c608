//! Prepares arguments for clap, so that values may begin with a hyphen.
//!
//! Ids of groups (`-1001234`), temperatures, lists and file names do. Clap treats such values as options, or, if hyphens
//! are allowed in values, options as values. So the argument after an option with a value is its value, unless it is an
//! option of the command or similar to one, as after a typing error. An argument that follows no option is a positional
//! value under the same condition, unless it is written like an option (`--word`, `-w`): clap reports unknown options.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// Minimum similarity, from 0 to 1, of a word to an option that makes it a typing error. Clap uses the same threshold.
const SIMILAR_MIN: f64 = 0.7;

/// Returns the arguments in a form that clap reads as intended. `root` must be built.
///
/// A value with a hyphen is joined to its option, as in `--conversation=-1001234`. A positional value with a hyphen and
/// the positional values after it are moved to the end, after `--`.
pub(super) fn joined(root: &Command, arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter().peekable();
    // The first argument is the name of the program.
    let mut joined: Vec<OsString> = arguments.next().into_iter().collect();
    let mut at_end: Vec<OsString> = Vec::new();
    let mut command = root;
    while let Some(argument) = arguments.next_if(|argument| argument != "--") {
        if let Some(subcommand) = argument.to_str().and_then(|name| command.find_subcommand(name)) {
            command = subcommand;
        }
        let follows_one = !at_end.is_empty() && !begins_with_hyphen(&argument);
        if follows_one || is_hyphened_value(command, &argument) {
            at_end.push(argument);
            continue;
        }
        let wants_value = option(command, &argument).is_some_and(|option| option.get_action().takes_values());
        match arguments.next_if(|next| wants_value && next != "--") {
            Some(value) if begins_with_hyphen(&value) && !is_option(command, &value) => {
                joined.push([&*argument, OsStr::new("="), &value].into_iter().collect());
            }
            next => {
                joined.push(argument);
                joined.extend(next);
            }
        }
    }
    let escape = arguments.next().or((!at_end.is_empty()).then(|| "--".into()));
    joined.into_iter().chain(escape).chain(at_end).chain(arguments).collect()
}

fn begins_with_hyphen(argument: &OsStr) -> bool {
    argument.as_encoded_bytes().starts_with(b"-") && argument != "-"
}

/// Returns the option that an argument without a value names.
fn option<'a>(command: &'a Command, argument: &OsStr) -> Option<&'a Arg> {
    let name = argument.to_str()?.strip_prefix('-')?;
    let is_named = |option: &&Arg| match name.strip_prefix('-') {
        Some(long) => option.get_long() == Some(long),
        None => option.get_short().is_some_and(|short| name.strip_prefix(short) == Some("")),
    };
    command.get_arguments().find(is_named)
}

/// Returns whether an argument is an option of the command, or similar to one.
fn is_option(command: &Command, argument: &OsStr) -> bool {
    let name = argument.to_str().and_then(|text| text.split('=').next()).unwrap_or_default();
    if option(command, OsStr::new(name)).is_some() {
        return true;
    }
    name.strip_prefix("--").is_some_and(|long| is_word(long) && resembles_option(command, long))
}

/// Returns whether an argument that follows no option is a positional value of the command, although it begins with a
/// hyphen.
fn is_hyphened_value(command: &Command, argument: &OsStr) -> bool {
    if command.get_positionals().next().is_none() || !begins_with_hyphen(argument) || is_option(command, argument) {
        return false;
    }
    // All names of options are UTF-8.
    let Some(text) = argument.to_str() else { return true };
    let name = text.split('=').next().unwrap_or_default();
    let is_written_like_one = match (name.strip_prefix("--"), name.strip_prefix('-')) {
        (Some(long), _) => is_word(long),
        (None, Some(short)) => {
            let letters = short.chars().next().filter(|char| char.is_ascii_alphabetic());
            let has_option = |letter| command.get_arguments().any(|option| option.get_short() == Some(letter));
            // `-x`, `-oFILE`, and `-json` in place of `--json`.
            letters.is_some_and(|first| {
                short.chars().count() == 1 || has_option(first) || resembles_option(command, short)
            })
        }
        (None, None) => false,
    };
    !is_written_like_one
}

fn is_word(text: &str) -> bool {
    text.starts_with(|char: char| char.is_ascii_lowercase())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
}

fn resembles_option(command: &Command, word: &str) -> bool {
    command.get_arguments().filter_map(Arg::get_long).any(|known| strsim::jaro(known, word) >= SIMILAR_MIN)
}
