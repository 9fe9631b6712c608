//! Output to stdout, without a panic if nobody reads it. On a terminal only, text has colours and tables are cut to fit.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use serde_json::Value;
use terminal_size::terminal_size_of;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::colours::has_colours;

/// Width of a terminal that does not report its width, in columns.
const WIDTH_ASSUMED: usize = 80;
/// Minimum width of a cell that is cut, in columns.
const CELL_MIN: usize = 8;

/// The output of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terminal {
    colours: bool,
    /// Maximum width of tables, in columns. None if the output is not a terminal.
    width: Option<usize>,
}

/// The meaning of a piece of text, which decides its colour.
#[derive(Debug, Clone, Copy)]
pub(super) enum Style {
    /// Emphasized.
    Strong,
    /// Success.
    Good,
    /// Failure.
    Bad,
    /// Less important.
    Dim,
}

impl Terminal {
    /// Returns stdout, with colours if [`has_colours`] allows them.
    pub(super) fn stdout() -> Self {
        let stdout = io::stdout();
        let width = stdout.is_terminal().then(|| {
            let said = terminal_size_of(&stdout).map(|(width, _)| usize::from(width.0));
            said.filter(|width| *width > 0).unwrap_or(WIDTH_ASSUMED)
        });
        Self { colours: has_colours(&stdout), width }
    }

    /// Returns stdout that is not a terminal.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        Self { colours: false, width: None }
    }

    /// Writes one line. Fails with `BrokenPipe` if the reader has closed the pipe; `cli::main` treats that as success.
    pub(super) fn line(self, text: impl Display) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        stdout.flush()
    }

    /// Returns the text in a style, or unchanged if there are no colours.
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
    /// Prints a list of the admin API, as JSON or as a table of the members in `columns`. Prints `none` for an empty
    /// list.
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
            Value::String(text) if !text.is_empty() => text.clone(),
            Value::String(_) | Value::Null => "-".to_owned(),
            other => other.to_string(),
        };
        let header = columns.iter().map(|column| column.replace('_', " ").to_uppercase()).collect();
        let rows = entries.iter().map(|entry| columns.iter().map(|column| cell(&entry[*column])).collect());
        let mut lines = self.aligned(&std::iter::once(header).chain(rows).collect::<Vec<_>>());
        if let Some(header) = lines.first_mut() {
            *header = self.paint(Style::Strong, &header);
        }
        lines.join("\n")
    }
}

/// Removes control characters and characters that change the direction of text from untrusted text. Keeps line breaks
/// and tabs.
pub(super) fn printable(text: &str) -> String {
    let turns = |char: &char| matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().filter(|char| (!char.is_control() || matches!(char, '\n' | '\t')) && !turns(char)).collect()
}

/// Like [`printable`], on one line, so that untrusted text cannot fake further lines.
pub(super) fn one_line(text: &str) -> String {
    printable(text).replace(['\n', '\t', '\u{2028}', '\u{2029}'], " ")
}

/// Escapes the characters that [`one_line`] would remove or replace, as `\n` or `\u{1b}`. For cells of a table, where ids
/// must be shown completely.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '\n' | '\r' | '\t' => escaped.extend(char.escape_default()),
            '\u{2028}' | '\u{2029}' => escaped.extend(char.escape_unicode()),
            char if printable(char.encode_utf8(&mut [0; 4])).is_empty() => escaped.extend(char.escape_unicode()),
            char => escaped.push(char),
        }
    }
    escaped
}

impl Terminal {
    /// Formats rows with aligned columns, two spaces apart, one line per row and without trailing spaces. Cells must not
    /// contain styles. On a terminal, the widest cells are cut so that a row fits one line.
    pub(super) fn aligned(self, rows: &[Vec<String>]) -> Vec<String> {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| escaped(cell)).collect()).collect();
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let widest = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max();
        let natural = (0..columns).map(|column| widest(column).unwrap_or(0)).collect();
        let widths = match self.width {
            Some(width) => fitting(natural, width),
            None => natural,
        };
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| {
                let cell = cut(cell, *width);
                let missing = width.saturating_sub(cell.width());
                format!("{cell}{}", " ".repeat(missing))
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        rows.iter().map(line).collect()
    }
}

/// Returns the widths of columns, with the widest reduced until a row fits or all have the minimum width.
fn fitting(mut widths: Vec<usize>, total: usize) -> Vec<usize> {
    let room = total.saturating_sub(2 * widths.len().saturating_sub(1));
    widths.iter_mut().for_each(|width| *width = (*width).min(total.max(CELL_MIN)));
    while widths.iter().sum::<usize>() > room
        && let Some(widest) = widths.iter_mut().max().filter(|widest| **widest > CELL_MIN)
    {
        *widest -= 1;
    }
    widths
}

/// Cuts a text to a width. A text that is cut ends with `…`.
fn cut(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut left = width.saturating_sub(1);
    let fits = |char: &char| match left.checked_sub(char.width().unwrap_or(0)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    format!("{}…", text.chars().take_while(fits).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(ToOwned::to_owned).to_vec();
        let rows = [row(["BOT", "STATE", "SINCE"]), row(["echo", "ok", ""])];
        assert_eq!(Terminal::plain().aligned(&rows), ["BOT   STATE  SINCE", "echo  ok"]);
        assert_eq!(
            Terminal::plain().aligned(&[row(["日本", "c", "d"]), row(["a", "b", ""])]),
            ["日本  c  d", "a     b"]
        );
    }

    #[test]
    fn cells_show_what_would_steer_the_terminal() {
        let row = ["a\nb\t\r", "\x1b[31m\u{9b}c", "d\u{202e}\u{2028}é"].map(ToOwned::to_owned).to_vec();
        let expected = r"a\nb\t\r  \u{1b}[31m\u{9b}c  d\u{202e}\u{2028}é";
        assert_eq!(Terminal::plain().aligned(&[row]), [expected]);
    }

    #[test]
    fn the_widest_cells_are_cut_where_a_row_would_not_fit_the_terminal() {
        let long = "x".repeat(1_000);
        let rows = [
            ["NUMBER", "WHY", "URL"].map(ToOwned::to_owned).to_vec(),
            ["1".to_owned(), long.clone(), "https://example.org/abc".to_owned()].to_vec(),
            ["2".to_owned(), "日".repeat(30), "short".to_owned()].to_vec(),
        ];
        let at = |width| Terminal { colours: false, width }.aligned(&rows);
        for width in [30, 40, 80] {
            let lines = at(Some(width));
            assert!(lines.iter().all(|line| line.width() <= width), "{width}: {lines:#?}");
            assert!(lines[1].starts_with("1       xxx") && lines[1].contains('…'), "{width}: {lines:#?}");
        }
        assert_eq!(at(Some(40))[1], "1       xxxxxxxxxxxxxx…  https://exampl…");
        assert_eq!(at(Some(40))[2], "2       日日日日日日日…  short");
        // Narrower than any table.
        assert_eq!(at(Some(1))[1], "1       xxxxxxx…  https:/…");
        assert_eq!(at(Some(2_000)), at(None));
        assert!(at(None)[1].contains(&long));
    }

    #[test]
    fn texts_from_elsewhere_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[31mb\x07\r\n\tc\u{9b}d\u{202e}e"), "a[31mb\n\tcde");
        assert_eq!(one_line("a\nbot: b\u{2028}c"), "a bot: b c");
    }
}
