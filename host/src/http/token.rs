//! The admin token: 256 random bits in a file that only its owner reads.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use rustix::fs::OFlags;
use subtle::ConstantTimeEq;

/// The shortest token that an operator may choose, in characters.
const TOKEN_CHARS_MIN: usize = 32;
/// The longest, in bytes.
const TOKEN_BYTES_MAX: u64 = 1_024;

/// A secret that admin callers present. Its `Debug` does not show it.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// The secret itself, to be put into an `Authorization` header and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in a time that depends on lengths only.
    pub fn matches(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Reads the token, or makes one where there is no file: mode 0600, its folder created where it is missing.
///
/// # Errors
/// As [`load`], and where the file cannot be written.
pub fn load_or_create(path: &Path) -> anyhow::Result<Token> {
    if !exists(path)? {
        create(path).with_context(|| format!("cannot create the admin token file {}", path.display()))?;
    }
    load(path)
}

/// Reads the token.
///
/// # Errors
/// Where the file is absent, no regular file, readable for group or others, another user's, or holds no usable token.
pub fn load(path: &Path) -> anyhow::Result<Token> {
    read(path).with_context(|| format!("the admin token file {} cannot be used", path.display()))
}

fn exists(path: &Path) -> anyhow::Result<bool> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).with_context(|| format!("cannot look at {}", path.display())),
    }
}

fn create(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(|error| anyhow::anyhow!("no random bits: {error}"))?;
    let mut name = [0; 8];
    getrandom::fill(&mut name).map_err(|error| anyhow::anyhow!("no random bits: {error}"))?;
    // Complete before it has its name, so that no reader finds half a token.
    let temporary = folder.join(format!(".admin-token-{}", hex::encode(name)));
    let written = write_private(&temporary, &hex::encode(bits)).and_then(|()| match fs::hard_link(&temporary, path) {
        // Another host was faster: its token counts.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&temporary);
    written?;
    removed?;
    Ok(())
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

fn read(path: &Path) -> anyhow::Result<Token> {
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits())?;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    check_private(&file)?;
    let mut text = String::new();
    file.take(TOKEN_BYTES_MAX + 1).read_to_string(&mut text)?;
    let token = text.trim();
    ensure!(
        text.len() as u64 <= TOKEN_BYTES_MAX && token.len() >= TOKEN_CHARS_MIN,
        "it must hold {TOKEN_CHARS_MIN} to {TOKEN_BYTES_MAX} characters; delete it to have a new one made"
    );
    ensure!(
        token.bytes().all(|byte| byte.is_ascii_graphic()),
        "the token must be one line of visible ASCII characters"
    );
    Ok(Token(token.to_owned()))
}

/// Looks at the open file, not at its name, which may mean another file by now.
fn check_private(file: &File) -> anyhow::Result<()> {
    let metadata = file.metadata()?;
    ensure!(metadata.is_file(), "it is not a regular file");
    let (mode, user) = (metadata.mode() & 0o7777, rustix::process::geteuid().as_raw());
    if mode & 0o077 != 0 {
        bail!("its mode is {mode:04o}, and others may read or write it; run `chmod 600` on it, or delete it");
    }
    ensure!(metadata.uid() == user, "it belongs to user {} and the host runs as {user}", metadata.uid());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_token_is_made_once_and_is_private() {
        let folder = folder();
        let path = folder.path().join("a/b/admin-token");
        let token = load_or_create(&path).unwrap();
        assert_eq!(token.expose().len(), 64);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
        assert_eq!(load_or_create(&path).unwrap().expose(), token.expose());
        assert!(!format!("{token:?}").contains(token.expose()));
        assert!(token.matches(token.expose()) && !token.matches("") && !token.matches(&token.expose()[1..]));
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        for mode in [0o640, 0o604, 0o666] {
            let folder = folder();
            let path = folder.path().join("token");
            load_or_create(&path).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = format!("{:#}", load_or_create(&path).unwrap_err());
            assert!(error.contains("chmod 600") && error.contains(&format!("{mode:04o}")), "{error}");
        }
    }

    #[test]
    fn what_holds_no_token_is_refused() {
        let folder = folder();
        for (name, text) in [("empty", ""), ("short", "secret"), ("lines", &*"abcdefgh ".repeat(5))] {
            let path = folder.path().join(name);
            write_private(&path, text).unwrap();
            assert!(load_or_create(&path).is_err(), "{name}");
        }
        let link = folder.path().join("link");
        symlink(folder.path().join("elsewhere"), &link).unwrap();
        assert!(load_or_create(&link).is_err(), "a link is not followed");
        assert!(load_or_create(folder.path()).is_err(), "a folder is no token");
        assert!(load(&folder.path().join("absent")).is_err());
    }
}
