//! Lists the files that the crate embeds: the contract, the SDKs, the crates that the test host of the Rust SDK needs,
//! and the templates of projects.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Folders and files of the repository.
const EMBEDDED: &[&str] = &[
    "Cargo.toml",
    "LICENSE",
    "wit",
    "guest-sdk/rust/Cargo.toml",
    "guest-sdk/rust/README.md",
    "guest-sdk/rust/src",
    "guest-sdk/typescript",
    "guest-sdk/python",
    "guest-sdk/go",
    "guest-sdk/c",
    "host/activity/Cargo.toml",
    "host/activity/src",
    "host/dialog/Cargo.toml",
    "host/dialog/src",
    "host/scaffold/templates",
];

/// Names of files and folders that no project needs.
const LEFT_OUT: &[&str] = &["tests", "tests.rs", "node_modules", "__pycache__", "build", "dist"];

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for path in EMBEDDED {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
        collect(&root, PathBuf::from(path), &mut files)?;
    }
    files.sort();
    let entries: String = files
        .iter()
        .map(|path| {
            let name = path.to_string_lossy().replace('\\', "/");
            format!("    ({name:?}, include_bytes!({:?})),\n", root.join(path))
        })
        .collect();
    let table = format!(
        "/// Paths in the repository and contents.\npub(crate) static FILES: &[(&str, &[u8])] = &[\n{entries}];\n"
    );
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("embedded.rs"), table)
}

fn collect(root: &Path, path: PathBuf, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let full = root.join(&path);
    if full.is_file() {
        files.push(path);
        return Ok(());
    }
    let in_template = path.starts_with("host/scaffold/templates");
    for entry in fs::read_dir(&full)? {
        let name = entry?.file_name();
        // Tools leave caches behind, and npm reads the one file whose name begins with a dot.
        let is_hidden = |name: &str| name.starts_with('.') && name != ".npmrc";
        let is_left_out = name.to_str().is_some_and(|name| {
            LEFT_OUT.contains(&name) || name.ends_with(".egg-info") || name.ends_with("_test.go") || is_hidden(name)
        });
        if in_template || !is_left_out {
            collect(root, path.join(name), files)?;
        }
    }
    Ok(())
}
