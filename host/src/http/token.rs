//! The admin token: 256 random bits in a secret file.

use std::fmt;
use std::path::Path;

use anyhow::{Context, ensure};
use subtle::ConstantTimeEq;

use crate::secret;

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

/// A setting with the path of a secret file. Error texts name it.
#[derive(Debug, Clone, Copy)]
pub enum Setting {
    /// `admin.token-file`
    AdminTokenFile,
    /// `notify-key-file` of a bot.
    NotifyKeyFile,
}

impl Setting {
    fn name(self) -> &'static str {
        match self {
            Self::AdminTokenFile => "admin.token-file",
            Self::NotifyKeyFile => "notify-key-file",
        }
    }

    /// Returns the remedy for a file whose secret is too short or too long.
    fn advice(self) -> &'static str {
        match self {
            Self::AdminTokenFile => "delete it, and the host makes one at its next start",
            Self::NotifyKeyFile => "write another, such as 32 random bytes as hexadecimal digits",
        }
    }
}

/// Reads the admin token. If the file does not exist, creates it with a new token, readable only by its owner.
///
/// # Errors
/// Those of [`load`], or the file cannot be created.
pub fn load_or_create(path: &Path) -> anyhow::Result<Token> {
    token_of(Setting::AdminTokenFile, path, secret::read_or_create(path, TOKEN_BYTES_MAX, new_token))
}

/// Reads the secret in the file that a setting names.
///
/// # Errors
/// The file is absent, other users may read or change it, or it contains no usable secret.
pub fn load(setting: Setting, path: &Path) -> anyhow::Result<Token> {
    token_of(setting, path, secret::read(path, TOKEN_BYTES_MAX))
}

fn token_of(setting: Setting, path: &Path, text: anyhow::Result<Vec<u8>>) -> anyhow::Result<Token> {
    text.and_then(|text| parse(setting, &text))
        .with_context(|| format!("the file {} of `{}` cannot be used", path.display(), setting.name()))
}

fn new_token() -> anyhow::Result<Vec<u8>> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(|error| anyhow::anyhow!("no random bits: {error}"))?;
    Ok(format!("{}\n", hex::encode(bits)).into_bytes())
}

fn parse(setting: Setting, text: &[u8]) -> anyhow::Result<Token> {
    let token = text.trim_ascii();
    ensure!(
        token.len() >= TOKEN_CHARS_MIN,
        "it must hold {TOKEN_CHARS_MIN} to {TOKEN_BYTES_MAX} characters; {}",
        setting.advice()
    );
    ensure!(token.iter().all(u8::is_ascii_graphic), "it must hold one line of visible ASCII characters");
    Ok(Token(String::from_utf8(token.to_vec())?))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, text: &str) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    #[test]
    fn a_token_is_made_once_and_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/admin-token");
        let token = load_or_create(&path).unwrap();
        assert_eq!(token.expose().len(), 64);
        assert_eq!(load_or_create(&path).unwrap().expose(), token.expose());
        assert!(!format!("{token:?}").contains(token.expose()));
        assert!(token.matches(token.expose()) && !token.matches("") && !token.matches(&token.expose()[1..]));
    }

    #[test]
    fn what_is_wrong_with_the_file_is_told_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let told = || format!("{:#}", load_or_create(&path).unwrap_err());
        for text in ["", "secret", &*"abcdefgh ".repeat(5), &*"ä".repeat(32), &*"x".repeat(1_025)] {
            write(&path, text);
            let file = format!("the file {} of `admin.token-file` cannot be used: ", path.display());
            assert!(told().starts_with(&file), "{text}");
            let key = format!("{:#}", load(Setting::NotifyKeyFile, &path).unwrap_err());
            assert!(key.starts_with(&file.replace("admin.token-file", "notify-key-file")), "{key}");
            assert!(!key.contains("token"), "{key}");
        }
        write(&path, &"x".repeat(64));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(told().contains("its mode is 0644"), "{}", told());
    }
}
