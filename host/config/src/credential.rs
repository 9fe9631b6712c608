//! How a bot proves who it is: the keys `secret`, `certificate` and `federated-token-file` of `[bots.NAME.auth]`.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use secrecy::SecretString;

use super::read::beside;
use super::secret;
use super::table::Table;

/// The largest secret, in bytes. A private key has about 4 KiB.
const SECRET_BYTES_MAX: u64 = 64 << 10;
/// Time for a command that prints a secret.
const COMMAND_MAX: Duration = Duration::from_secs(10);

/// The credential of a bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppCredential {
    /// `secret`: a client secret of the app registration.
    Secret(Source),
    /// `certificate`: a certificate of the app registration, which signs an assertion.
    Certificate {
        /// PEM file with the certificate and those of its issuers.
        chain: PathBuf,
        /// `certificate-key`: its private key in PEM. Default: in the file of the certificate.
        key: Source,
    },
    /// `federated-token-file`: a token of another identity provider, as platforms of workloads mount it.
    Federated(PathBuf),
    /// `type = "managed"`: the identity of the machine.
    Managed,
}

/// Where a secret comes from. The source can be shown, the secret cannot.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// `env:NAME`: a variable of the environment.
    Environment(String),
    /// `file:PATH`: a file that only the host may read.
    File(PathBuf),
    /// `command:PROGRAM ARGUMENTS`: what a program prints. Arguments are separated by spaces; no shell is involved.
    Command(Vec<String>),
}

impl Source {
    /// Reads the secret. Line breaks at its end are removed. The call blocks for up to ten seconds.
    ///
    /// # Errors
    /// There is no secret, it is empty, or it contains characters that are not printable. The error names the source.
    pub fn read(&self) -> anyhow::Result<SecretString> {
        self.text().and_then(|text| one_line(&text)).with_context(|| format!("the secret `{self}` cannot be used"))
    }

    /// Reads a secret of several lines, such as a private key in PEM.
    ///
    /// # Errors
    /// There is no secret, or it is not text.
    pub fn read_lines(&self) -> anyhow::Result<SecretString> {
        self.text().map(SecretString::from).with_context(|| format!("the secret `{self}` cannot be used"))
    }

    fn text(&self) -> anyhow::Result<String> {
        let bytes = match self {
            Self::Environment(name) => match std::env::var_os(name) {
                Some(text) => std::os::unix::ffi::OsStringExt::into_vec(text),
                None => bail!("the environment has no variable {name}; set it before the host starts"),
            },
            Self::File(path) => secret::read(path, SECRET_BYTES_MAX)?,
            Self::Command(words) => printed(words)?,
        };
        String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("it is not text in UTF-8"))
    }
}

fn one_line(text: &str) -> anyhow::Result<SecretString> {
    let line = text.trim_end_matches(['\r', '\n']);
    ensure!(!line.is_empty(), "it is empty");
    ensure!(!line.contains(['\r', '\n']), "it has more than one line");
    ensure!(
        line.trim() == line && !line.contains(char::is_control),
        "it begins or ends with a space, or has control characters"
    );
    Ok(SecretString::from(line))
}

/// Runs a program and returns what it prints. Errors do not contain its output, because that may be a part of a secret.
fn printed(words: &[String]) -> anyhow::Result<Vec<u8>> {
    let (program, arguments) = words.split_first().context("the command is empty")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().context("the command cannot be started")?;
    let output = child.stdout.take().context("the command has no output")?;
    // A thread reads, so that a command that prints without end does not block.
    let reading = thread::spawn(move || {
        let mut bytes = Vec::new();
        output.take(SECRET_BYTES_MAX + 1).read_to_end(&mut bytes).map(|_| bytes)
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if started.elapsed() > COMMAND_MAX {
            let _ = child.kill();
            let _ = child.wait();
            bail!("the command did not end within 10 s");
        }
        thread::sleep(Duration::from_millis(5));
    };
    ensure!(status.success(), "the command failed: {status}");
    let bytes = reading.join().map_err(|_| anyhow::anyhow!("the output of the command cannot be read"))??;
    ensure!(bytes.len() as u64 <= SECRET_BYTES_MAX, "the command printed more than {SECRET_BYTES_MAX} bytes");
    Ok(bytes)
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            // Arguments of commands may be secrets themselves.
            Self::Command(words) => write!(f, "command:{} …", words.first().map_or("", String::as_str)),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Source({self})")
    }
}

/// Reads the credential of a bot.
pub(super) fn credential(table: &mut Table<'_>, is_managed: bool, folder: &Path) -> Option<AppCredential> {
    let secret = source(table, "secret", folder).map(AppCredential::Secret);
    let key = source(table, "certificate-key", folder);
    if key.is_some() && !table.has("certificate") {
        let message = format!("`{}` has no effect without `certificate`", table.path("certificate-key"));
        table.problem(table.span_of("certificate-key"), message);
    }
    let certificate = file(table, "certificate", folder).map(|chain| {
        let key = key.unwrap_or_else(|| Source::File(chain.clone()));
        AppCredential::Certificate { chain, key }
    });
    let federated = file(table, "federated-token-file", folder).map(AppCredential::Federated);
    let managed = is_managed.then_some(AppCredential::Managed);
    // A federated token or a certificate may stand in for a managed identity outside of its cloud.
    let given: Vec<AppCredential> = [secret, certificate, federated].into_iter().flatten().collect();
    if given.len() > 1 {
        let message =
            "the bot has more than one credential; keep one of `secret`, `certificate` and `federated-token-file`";
        table.problem(table.span(), message);
    }
    given.into_iter().next().or(managed)
}

/// Reads where a secret comes from.
pub(super) fn source(table: &mut Table<'_>, key: &'static str, folder: &Path) -> Option<Source> {
    let (text, span) = table.string(key)?;
    let words = |text: &str| text.split_whitespace().map(ToOwned::to_owned).collect::<Vec<_>>();
    let found = match text.split_once(':') {
        Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => {
            Some(Source::Environment(name.to_owned()))
        }
        Some(("file", path)) if !path.is_empty() => Some(Source::File(beside(folder, path))),
        Some(("command", command)) if !words(command).is_empty() => Some(Source::Command(words(command))),
        _ => None,
    };
    if found.is_none() {
        // The text is not repeated, because it may be a secret.
        let path = table.path(key);
        let message =
            format!("`{path}` must say where the secret is: \"env:NAME\", \"file:PATH\" or \"command:PROGRAM\"");
        table.problem(span, message);
    }
    found
}

fn file(table: &mut Table<'_>, key: &'static str, folder: &Path) -> Option<PathBuf> {
    let (text, span) = table.string(key)?;
    if text.is_empty() {
        table.problem(span, format!("`{}` is empty; give the path of a file", table.path(key)));
        return None;
    }
    Some(beside(folder, text))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use secrecy::ExposeSecret;

    use super::*;

    fn command(words: &[&str]) -> Source {
        Source::Command(words.iter().map(|word| (*word).to_owned()).collect())
    }

    #[test]
    fn a_secret_is_one_line_of_its_source() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let write = |text: &str, mode: u32| {
            let _ = fs::remove_file(&path);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let file = Source::File(path.clone());
        write("s3cret\r\n", 0o600);
        assert_eq!(file.read().unwrap().expose_secret(), "s3cret");
        assert_eq!(command(&["echo", "s3cret"]).read().unwrap().expose_secret(), "s3cret");
        for text in ["", "\n", "a\nb", " a", "a ", "a\tb"] {
            write(text, 0o600);
            assert!(file.read().is_err(), "{text:?}");
        }
        write("s3cret", 0o644);
        assert!(format!("{:#}", file.read().unwrap_err()).contains("its mode is 0644"));
        assert!(Source::Environment("TURNTABLE_NO_SUCH_VARIABLE".to_owned()).read().is_err());
    }

    #[test]
    fn a_command_that_fails_says_nothing_that_it_printed() {
        for words in [&["sh", "-c", "echo s3cret; exit 3"][..], &["/no/such/program"], &["yes", "s3cret"]] {
            let source = command(words);
            let said = format!("{:#} {source} {source:?}", source.read().unwrap_err());
            assert!(!said.contains("s3cret"), "{said}");
        }
    }
}
