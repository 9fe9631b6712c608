//! Arguments before clap reads them: a value may begin with a hyphen.
//!
//! Ids of groups (`-1001234`), temperatures and lists do. Clap takes them for options, or, told otherwise, takes options for
//! values. So what follows an option that wants a value is its value, unless it is an option of the command, or looks like one
//! with a typing error.

use std::ffi::{OsStr, OsString};

use clap::{Arg, Command};

/// How much a word must look like an option to be taken for a typing error in it, from 0 to 1; clap suggests from the same on.
const SIMILAR_MIN: f64 = 0.7;

/// Returns the arguments with each such value joined to its option, as in `--conversation=-1001234`. The command is built.
pub(super) fn joined(root: &Command, arguments: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments = arguments.into_iter();
    // The name of the program.
    let mut joined: Vec<OsString> = arguments.next().into_iter().collect();
    let mut command = root;
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            joined.push(argument);
            break;
        }
        if let Some(subcommand) = argument.to_str().and_then(|name| command.find_subcommand(name)) {
            command = subcommand;
        }
        let wants_value = option(command, &argument).is_some_and(|option| option.get_action().takes_values());
        let next = if wants_value { arguments.next() } else { None };
        match next {
            Some(value) if begins_with_hyphen(&value) && !is_option(command, &value) => {
                joined.push([&*argument, OsStr::new("="), &value].into_iter().collect());
            }
            next => {
                joined.push(argument);
                joined.extend(next);
            }
        }
    }
    joined.extend(arguments);
    joined
}

fn begins_with_hyphen(argument: &OsStr) -> bool {
    argument.as_encoded_bytes().starts_with(b"-") && argument != "-"
}

/// The option that an argument names, without a value.
fn option<'a>(command: &'a Command, argument: &OsStr) -> Option<&'a Arg> {
    let name = argument.to_str()?.strip_prefix('-')?;
    let is_named = |option: &&Arg| match name.strip_prefix('-') {
        Some(long) => option.get_long() == Some(long),
        None => option.get_short().is_some_and(|short| name.strip_prefix(short) == Some("")),
    };
    command.get_arguments().find(is_named)
}

/// Whether an argument is an option of the command, or one with a typing error.
fn is_option(command: &Command, argument: &OsStr) -> bool {
    let name = argument.to_str().and_then(|text| text.split('=').next()).unwrap_or_default();
    if name == "--" || option(command, OsStr::new(name)).is_some() {
        return true;
    }
    let Some(long) = name.strip_prefix("--") else { return false };
    let is_word = !long.is_empty() && long.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    is_word && command.get_arguments().filter_map(Arg::get_long).any(|known| strsim::jaro(known, long) >= SIMILAR_MIN)
}
