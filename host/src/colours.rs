//! Whether output has colours. Nothing else decides it, for commands, help and the log.

use std::env;
use std::ffi::OsString;
use std::io::IsTerminal;

/// Returns whether text for this stream may have colours.
///
/// A stream has colours if it is a terminal that knows them (`TERM` is set and not `dumb`), and if neither `NO_COLOR` (any
/// text) nor `CLICOLOR=0` forbids them.
pub(crate) fn has_colours(stream: &impl IsTerminal) -> bool {
    allows_colours(stream.is_terminal(), |name| env::var_os(name))
}

fn allows_colours(is_terminal: bool, variable: impl Fn(&str) -> Option<OsString>) -> bool {
    let set = |name| variable(name).filter(|value| !value.is_empty());
    is_terminal
        && set("NO_COLOR").is_none()
        && set("CLICOLOR").is_none_or(|value| value != "0")
        && set("TERM").is_some_and(|value| value != "dumb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_that_know_them_and_people_who_want_them() {
        type Case = (bool, &'static [(&'static str, &'static str)], bool);
        let cases: &[Case] = &[
            (true, &[("TERM", "xterm")], true),
            (false, &[("TERM", "xterm")], false),
            (false, &[("TERM", "xterm"), ("CLICOLOR_FORCE", "1")], false),
            (true, &[], false),
            (true, &[("TERM", "")], false),
            (true, &[("TERM", "dumb")], false),
            (true, &[("TERM", "xterm"), ("NO_COLOR", "1")], false),
            (true, &[("TERM", "xterm"), ("NO_COLOR", "0")], false),
            (true, &[("TERM", "xterm"), ("NO_COLOR", "")], true),
            (true, &[("TERM", "xterm"), ("CLICOLOR", "0")], false),
            (true, &[("TERM", "xterm"), ("CLICOLOR", "1")], true),
        ];
        for (is_terminal, variables, expected) in cases {
            let variable =
                |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
            assert_eq!(allows_colours(*is_terminal, variable), *expected, "{is_terminal} {variables:?}");
        }
    }
}
