//! Output: text to stdout without a panic when nobody reads it, colours on a terminal only.

use std::env;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde_json::Value;

/// Whether text for this stream may have colours. Nothing else decides it, for commands, help and log.
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

/// Where a command prints its result.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    colours: bool,
}

/// How a piece of text is meant.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// What the eye shall find.
    Strong,
    /// All is well.
    Good,
    /// Something is wrong.
    Bad,
    /// Of less importance.
    Dim,
}

impl Terminal {
    /// Returns stdout, in colours where [`has_colours`] says so.
    pub(super) fn stdout() -> Self {
        Self { colours: has_colours(&io::stdout()) }
    }

    /// Returns stdout without colours.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self { colours: false }
    }

    /// Writes one line. Fails with `BrokenPipe` where the reader is gone; `cli::main` ends quietly then.
    pub(super) fn line(self, text: impl Display) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        stdout.flush()
    }

    /// Returns the text in a style, or as it is where there are no colours.
    pub(super) fn paint(self, style: Style, text: impl Display) -> String {
        let code = match style {
            Style::Strong => "1",
            Style::Good => "32",
            Style::Bad => "31",
            Style::Dim => "2",
        };
        if self.colours { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_string() }
    }
}

impl Terminal {
    /// Prints a list of the admin API: as JSON, or these members of each entry as a table; `none` where there is nothing.
    pub(super) fn list(self, entries: &[Value], columns: &[&str], none: &str, as_json: bool) -> anyhow::Result<()> {
        if as_json {
            return Ok(self.line(serde_json::to_string_pretty(entries)?)?);
        }
        if entries.is_empty() {
            return Ok(self.line(none)?);
        }
        Ok(self.line(self.table(entries, columns))?)
    }

    /// Returns these members of each entry as a table with a header.
    pub(super) fn table(self, entries: &[Value], columns: &[&str]) -> String {
        let cell = |value: &Value| match value {
            Value::String(text) if !text.is_empty() => printable(text),
            Value::String(_) | Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        let header = columns.iter().map(|column| column.replace('_', " ").to_uppercase()).collect();
        let rows = entries.iter().map(|entry| columns.iter().map(|column| cell(&entry[*column])).collect());
        let mut lines = aligned(&std::iter::once(header).chain(rows).collect::<Vec<_>>());
        if let Some(header) = lines.first_mut() {
            *header = self.paint(Style::Strong, &header);
        }
        lines.join("\n")
    }
}

/// Returns a text from elsewhere without the characters that steer a terminal or turn the direction of a line; line breaks and
/// tabs stay.
pub(super) fn printable(text: &str) -> String {
    let turns = |char: &char| matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|char| (!char.is_control() || matches!(char, '\n' | '\t')) && !turns(char)).collect()
}

/// The same on one line: a text must not look like lines that were not there.
pub(super) fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t', '\u{2028}', '\u{2029}'], " ")
}

/// Returns rows with their columns aligned, two spaces apart, without spaces at line ends, each on one line. Styles must not be
/// inside.
pub(super) fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    rows.iter()
        .map(|row| {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let missing = width(column).unwrap_or(0) - cell.chars().count();
                format!("{cell}{}", " ".repeat(missing))
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
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

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(ToOwned::to_owned).to_vec();
        let rows = [row(["BOT", "STATE", "SINCE"]), row(["echo", "ok", ""])];
        assert_eq!(aligned(&rows), ["BOT   STATE  SINCE", "echo  ok"]);
        assert_eq!(aligned(&[row(["a\nb", "c", "d"])]), ["a b  c  d"]);
    }

    #[test]
    fn texts_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\x07\r\n\tc\u{9b}d\u{202e}e"), "a[31mb\n\tcde");
        assert_eq!(one_line("a\nbot: b\u{2028}c"), "a bot: b c");
    }
}
