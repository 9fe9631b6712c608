//! Projects of bots: what `turntable new` writes.
//!
//! **The decision that is hidden here** is which files a new project has, and what an SDK consists of. Both are
//! embedded in the binary, so that a project can be created without a network and without this repository. The crate
//! does no I/O.

mod project;

pub use project::{File, NAME_RULE, files, is_name};

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// A language that has an SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Rust, with cargo.
    Rust,
    /// TypeScript, with Node.
    TypeScript,
    /// JavaScript, with Node. It has the SDK of TypeScript.
    JavaScript,
    /// Python, with componentize-py.
    Python,
    /// Go, with its own compiler.
    Go,
    /// C, with zig cc.
    C,
}

impl Language {
    /// Every language, in the order in which they are offered.
    pub const ALL: [Self; 6] = [Self::Rust, Self::TypeScript, Self::JavaScript, Self::Python, Self::Go, Self::C];

    /// Returns the name for command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::TypeScript => "typescript",
            Self::JavaScript => "javascript",
            Self::Python => "python",
            Self::Go => "go",
            Self::C => "c",
        }
    }

    /// Finds a language by its name or its usual abbreviation.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "rust" | "rs" => Some(Self::Rust),
            "typescript" | "ts" => Some(Self::TypeScript),
            "javascript" | "js" => Some(Self::JavaScript),
            "python" | "py" => Some(Self::Python),
            "go" | "golang" => Some(Self::Go),
            "c" => Some(Self::C),
            _ => None,
        }
    }

    /// Paths of the repository that belong to the SDK of the language.
    fn sdk(self) -> &'static [&'static str] {
        match self {
            Self::Rust => &["Cargo.toml", "guest-sdk/rust/", "host/activity/", "host/dialog/"],
            Self::TypeScript | Self::JavaScript => &["guest-sdk/typescript/"],
            Self::Python => &["guest-sdk/python/"],
            Self::Go => &["guest-sdk/go/"],
            Self::C => &["guest-sdk/c/"],
        }
    }
}

/// What the bot of a new project does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// Repeats what the user says.
    Echo,
    /// Asks some questions and remembers the answers.
    Dialog,
    /// Changes what enters and leaves other bots.
    Middleware,
}

impl Template {
    /// Every template, in the order in which they are offered.
    pub const ALL: [Self; 3] = [Self::Echo, Self::Dialog, Self::Middleware];

    /// Returns the name for command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Dialog => "dialog",
            Self::Middleware => "middleware",
        }
    }

    /// Finds a template by its name.
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.name() == name)
    }
}

/// Returns the contract and the SDK of a language, with paths as in the repository.
///
/// A build needs them beside each other: the SDKs refer to the contract as `../../wit`.
pub fn sdk(language: Language) -> impl Iterator<Item = File> {
    let belongs = move |path: &str| {
        path == "LICENSE" || path.starts_with("wit/") || language.sdk().iter().any(|prefix| path.starts_with(prefix))
    };
    FILES.iter().filter(move |(path, _)| belongs(path)).map(|(path, contents)| match *path {
        "Cargo.toml" => File { path: (*path).to_owned(), contents: workspace(contents).into() },
        _ => File { path: (*path).to_owned(), contents: (*contents).into() },
    })
}

/// Returns the manifest of the repository's workspace with only the crates that belong to the SDK.
fn workspace(manifest: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(manifest);
    let lines = text.lines().filter(|line| !line.starts_with("default-members")).map(|line| {
        let is_members = line.starts_with("members");
        if is_members { "members = [\"guest-sdk/rust\", \"host/activity\", \"host/dialog\"]" } else { line }
    });
    lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests;
