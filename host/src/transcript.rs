//! Conversations as files: `.transcript`, which programs write, and `.chat`, which people write.
//!
//! [`read`] reads either format. [`steps`] separates the user's side from the bot's, and [`diff`] compares what a bot
//! says now with what it said before.

pub mod chat;
pub mod diff;
pub mod file;
mod foreign;
pub mod steps;

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::chat::Converted;
use crate::activity::Object;

/// Maximum size of a file, in bytes.
pub const FILE_BYTES_MAX: u64 = 32 << 20;

/// Maximum size of a `.chat`, in bytes. It is smaller because one byte can expand to about a hundred.
pub const CHAT_BYTES_MAX: u64 = 4 << 20;

/// Maximum number of activities in one file.
pub const ACTIVITIES_MAX: usize = 100_000;

/// Maximum number of problems that are printed. One mistake early in a file can cause hundreds.
const TOLD_MAX: usize = 20;

/// One problem of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Line in the file, counted from 1. 0 if the problem concerns the file as a whole.
    pub line: usize,
    /// What is wrong and what to do about it.
    pub message: String,
}

/// The content of a file.
#[derive(Debug)]
pub struct Transcript {
    /// The activities, in their order.
    pub activities: Vec<Object>,
    /// Lines whose meaning may differ from what the author intended.
    pub warnings: Problems,
    /// The channel that the activities were given, if the file names none.
    pub channel_assumed: Option<&'static str>,
}

/// All problems of one file, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    path: PathBuf,
    list: Vec<Problem>,
}

impl Problem {
    /// Returns a problem in a line, counted from 1.
    pub fn at(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }

    /// Returns one problem that concerns the file as a whole.
    fn of_file(message: impl Into<String>) -> Vec<Self> {
        vec![Self::at(0, message)]
    }
}

impl Problems {
    /// The problems in the order of the file's lines.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }
}

impl Problems {
    /// Returns each problem as one line with its position. A long list is cut.
    pub fn lines(&self) -> Vec<String> {
        let path = self.path.display();
        let line = |Problem { line, message }: &Problem| match line {
            0 => format!("{path}: {message}"),
            line => format!("{path}:{line}: {message}"),
        };
        let mut lines: Vec<String> = self.list.iter().take(TOLD_MAX).map(line).collect();
        if self.list.len() > TOLD_MAX {
            lines.push(format!("{path}: and {} more", self.list.len() - TOLD_MAX));
        }
        lines
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

impl std::error::Error for Problems {}

/// Reads the activities of a file, in their order. A name that ends in `.chat` selects the chatdown format.
///
/// # Errors
/// All problems of the file, each with its line.
pub fn read(path: &Path) -> Result<Transcript, Problems> {
    let is_chat = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("chat"));
    let problems = |mut list: Vec<Problem>| {
        list.sort_by_key(|problem| problem.line);
        Problems { path: path.to_owned(), list }
    };
    let text = text_of(path, if is_chat { CHAT_BYTES_MAX } else { FILE_BYTES_MAX });
    let read = text.and_then(|text| match is_chat {
        true => chat::parse(&text, path),
        false => Ok(Converted { activities: file::parse(&text)?, warnings: Vec::new(), channel_assumed: None }),
    });
    let Converted { activities, warnings, channel_assumed } = read.map_err(problems)?;
    Ok(Transcript { activities, warnings: problems(warnings), channel_assumed })
}

/// Reads a UTF-8 text file and removes a byte order mark.
fn text_of(path: &Path, bytes_max: u64) -> Result<String, Vec<Problem>> {
    let bytes = bounded(path, bytes_max).map_err(Problem::of_file)?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(Problem::of_file("is encoded in UTF-16; save it as UTF-8"));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        vec![Problem::at(line, "contains bytes that are not UTF-8; save the file as UTF-8")]
    })?;
    Ok(text.strip_prefix('\u{feff}').map(ToOwned::to_owned).unwrap_or(text))
}

/// Reads a regular file of at most `bytes_max` bytes. The error text does not contain the path.
fn bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, String> {
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => "does not exist".to_owned(),
        _ => format!("cannot be read: {error}"),
    };
    // Check the type before opening the file, because opening a pipe waits for a writer.
    if !std::fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("is not a regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(cannot)?;
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("is larger than {bytes_max} bytes; split it"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(name: &str, bytes: &[u8]) -> Result<Vec<Object>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let prefix = format!("{}/", folder.path().display());
        let read = read(&path).map_err(|problems| problems.to_string().replace(&prefix, ""))?;
        Ok(read.activities)
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let text = "\u{feff}[{\"type\":\"message\",\"text\":\"ü\"}]";
        assert_eq!(read_bytes("a.transcript", text.as_bytes()).unwrap()[0]["text"], "ü");
        assert_eq!(read_bytes("a.CHAT", "\u{feff}user: hi".as_bytes()).unwrap()[1]["text"], "hi");
    }

    #[test]
    fn files_that_are_no_text_are_named_as_what_they_are() {
        assert_eq!(read_bytes("a.chat", b"\xff\xfea\0").unwrap_err(), "a.chat: is encoded in UTF-16; save it as UTF-8");
        let latin = "a.chat:2: contains bytes that are not UTF-8; save the file as UTF-8";
        assert_eq!(read_bytes("a.chat", b"user: a\nbot: \xe4\n").unwrap_err(), latin);
        let folder = tempfile::tempdir().unwrap();
        let problem = |path: &Path| read(path).unwrap_err().list()[0].message.clone();
        assert_eq!(problem(folder.path()), "is not a regular file");
        assert_eq!(problem(&folder.path().join("none.chat")), "does not exist");
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "12345").unwrap();
        assert_eq!(bounded(&path, 5).unwrap(), b"12345");
        assert_eq!(bounded(&path, 4).unwrap_err(), "is larger than 4 bytes; split it");
    }

    #[test]
    fn a_long_list_of_problems_is_cut() {
        let text = format!("[{}]", vec!["1"; 30].join(",\n"));
        let told = read_bytes("a.transcript", text.as_bytes()).unwrap_err();
        assert_eq!(told.lines().count(), 21, "{told}");
        assert_eq!(told.lines().last(), Some("a.transcript: and 10 more"));
    }
}
