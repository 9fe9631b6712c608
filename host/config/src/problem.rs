//! Problems of a configuration, with their positions.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line in the file, counted from 1. 0 if the problem concerns the file as a whole.
    pub line: usize,
    /// Column in the line, in characters, counted from 1. 0 if the problem concerns the file as a whole.
    pub column: usize,
    /// What is wrong and what to do about it.
    pub message: String,
    /// Byte range in the file.
    #[serde(skip)]
    span: Range<usize>,
}

/// All problems of one file, in the order of its lines.
#[derive(Debug, Clone)]
pub struct Problems {
    path: PathBuf,
    text: String,
    list: Vec<Problem>,
}

impl Problems {
    /// Returns one problem that concerns the file as a whole.
    pub fn of_file(path: &Path, message: String) -> Self {
        Self {
            path: path.to_owned(),
            text: String::new(),
            list: vec![Problem { line: 0, column: 0, message, span: 0..0 }],
        }
    }

    /// Returns an empty list for a file.
    pub fn none(path: &Path) -> Self {
        Self { path: path.to_owned(), text: String::new(), list: Vec::new() }
    }

    /// Converts byte ranges to positions and sorts by position. A message that repeats at the same position is kept
    /// once.
    pub(super) fn locate(path: &Path, text: &str, found: Vec<(Range<usize>, String)>) -> Self {
        let mut list: Vec<Problem> = found
            .into_iter()
            .map(|(span, message)| {
                let (line, column) = position(text, span.start);
                Problem { line, column, message, span }
            })
            .collect();
        sort(&mut list);
        Self { path: path.to_owned(), text: text.to_owned(), list }
    }

    /// Adds other problems of the same file.
    pub fn with(mut self, others: Self) -> Self {
        self.list.extend(others.list);
        sort(&mut self.list);
        if self.text.is_empty() {
            self.text = others.text;
        }
        self
    }

    /// The problems in the order of the file's lines.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns each problem as one line, `FILE:LINE:COLUMN: MESSAGE`.
    pub fn lines(&self) -> Vec<String> {
        self.list.iter().map(|problem| self.line_of(problem)).collect()
    }

    /// Returns each problem with an excerpt of the file, for people.
    pub fn excerpts(&self) -> String {
        self.list.iter().map(|problem| self.excerpt(problem)).collect::<Vec<_>>().join("\n")
    }

    fn line_of(&self, problem: &Problem) -> String {
        let path = self.path.display();
        match problem {
            Problem { line: 0, message, .. } => format!("{path}: {message}"),
            Problem { line, column, message, .. } => format!("{path}:{line}:{column}: {message}"),
        }
    }

    fn excerpt(&self, problem: &Problem) -> String {
        let Some(line) = problem.line.checked_sub(1).and_then(|index| self.text.lines().nth(index)) else {
            return format!("{}\n", self.line_of(problem));
        };
        let gutter = " ".repeat(problem.line.to_string().len());
        let indent: String =
            line.chars().take(problem.column - 1).map(|char| if char == '\t' { '\t' } else { ' ' }).collect();
        let marked = self.text.get(problem.span.clone()).and_then(|text| text.lines().next()).unwrap_or_default();
        let marks = "^".repeat(marked.chars().count().max(1));
        let (path, Problem { line: number, column, message, .. }) = (self.path.display(), problem);
        format!(
            "{message}\n{gutter}--> {path}:{number}:{column}\n{gutter} |\n{number} | {line}\n{gutter} | {indent}{marks}\n"
        )
    }
}

fn sort(list: &mut Vec<Problem>) {
    list.sort_by_key(|problem| (problem.line, problem.column));
    list.dedup();
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Returns the line and column of a byte offset, both counted from 1. Columns are counted in characters.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_from_one() {
        let text = "a = 1\nß = \"ü\" # x\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, text.find('#').unwrap()), (2, 9));
        assert_eq!(position(text, 10_000), (3, 1));
    }

    #[test]
    fn excerpts_mark_what_is_meant() {
        let text = "[server]\nlistn = 3\n";
        let problems = Problems::locate(Path::new("t.toml"), text, vec![(9..14, "unknown key".into())]);
        assert_eq!(problems.to_string(), "t.toml:2:1: unknown key");
        assert_eq!(problems.excerpts(), "unknown key\n --> t.toml:2:1\n  |\n2 | listn = 3\n  | ^^^^^\n");
    }
}
