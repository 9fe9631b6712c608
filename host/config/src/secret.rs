//! Reads files that hold a secret, checks their permissions, and creates them.
//!
//! The host creates secret files with mode 0600. Container platforms mount secrets differently: as a symbolic link
//! (Kubernetes links `key` through `..data` to the current file), owned by root, and readable by a group. So links are
//! followed, and the rules apply to the opened file:
//!
//! - The owner is the user of the host, or root.
//! - Only the owner may write it, and only owner and group may read it.
//! - The group may read it only if root owns it or nobody may write it (0440). A file of a user with mode 0640 is
//!   refused, because that mode is usually the accidental result of a umask.
//!
//! The host never creates a file through a link.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::ops::RangeInclusive;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use rustix::fs::OFlags;

/// Reads a secret of at most `bytes_max` bytes. If the file does not exist, it is created with the bytes that `make`
/// returns.
///
/// # Errors
/// Those of [`read`]; `make` fails; or the file cannot be created.
pub fn read_or_create(
    path: &Path,
    bytes_max: u64,
    make: impl FnOnce() -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Vec<u8>> {
    match fs::symlink_metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            create(path, &make()?).with_context(|| format!("cannot create {}", path.display()))?;
        }
        Err(error) => return Err(error).with_context(|| format!("cannot read the metadata of {}", path.display())),
    }
    read(path, bytes_max)
}

/// Reads a secret of at most `bytes_max` bytes.
///
/// # Errors
/// The file is absent, not a regular file or too large, or other users may read or write it.
pub fn read(path: &Path, bytes_max: u64) -> anyhow::Result<Vec<u8>> {
    // Opening a pipe must not block until something is written to it.
    let file = OpenOptions::new().read(true).custom_flags(i32::try_from(OFlags::NONBLOCK.bits())?).open(path);
    let file = file.map_err(|error| dangling(path).unwrap_or_else(|| error.into()))?;
    check(&file)?;
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= bytes_max, "it is larger than {bytes_max} bytes");
    Ok(bytes)
}

/// The shortest and the longest credential, in bytes. A shorter one would be found by chance in harmless answers, from which
/// the host removes credentials.
const CREDENTIAL_BYTES: RangeInclusive<usize> = 8..=4_096;

/// Reads a credential that the host sends to servers: one line of printable ASCII. A line break at its end is removed.
///
/// # Errors
/// Those of [`read`]; the text is too short, too long or not one line of printable ASCII. No error contains the text.
pub fn read_credential(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut secret = read(path, *CREDENTIAL_BYTES.end() as u64 + 2)?;
    while secret.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        secret.pop();
    }
    let (min, max) = (CREDENTIAL_BYTES.start(), CREDENTIAL_BYTES.end());
    ensure!(CREDENTIAL_BYTES.contains(&secret.len()), "it has {} bytes, not {min} to {max}", secret.len());
    ensure!(secret.iter().all(u8::is_ascii_graphic), "it is not one line of printable ASCII without spaces");
    Ok(secret)
}

/// Returns the error for a symbolic link whose target does not exist.
fn dangling(path: &Path) -> Option<anyhow::Error> {
    let target = fs::read_link(path).ok().filter(|_| !path.exists())?;
    let target = target.display();
    Some(anyhow::anyhow!(
        "it is a symbolic link to {target}, which does not exist; mount the secret, or remove the link"
    ))
}

/// Checks the open file instead of its path, because the path may lead to another file by now.
fn check(file: &File) -> anyhow::Result<()> {
    let metadata = file.metadata()?;
    ensure!(metadata.is_file(), "it is not a regular file");
    let (mode, owner, user) = (metadata.mode() & 0o777, metadata.uid(), rustix::process::geteuid().as_raw());
    ensure!(
        owner == user || owner == 0,
        "it belongs to user {owner}, but the host runs as user {user}; run `chown {user}` on it, or run the host as \
         {owner}"
    );
    let for_group = if owner == 0 || mode & 0o222 == 0 { 0o040 } else { 0 };
    if mode & 0o077 & !for_group != 0 {
        bail!(
            "its mode is {mode:04o}, and others may read or write it; run `chmod 600` on it. A secret that a platform mounts \
             needs mode 0400 or 0440: in Kubernetes `defaultMode: 0440` with `fsGroup`, in Docker `mode: 0400` with `uid`"
        );
    }
    Ok(())
}

/// Creates the file with mode 0600, and its folder if that is missing.
fn create(path: &Path, secret: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    // Write the file under a temporary name, so that a reader never finds half a secret.
    let temporary = folder.join(format!(".secret-{}.tmp", ulid::Ulid::new()));
    let written = write_private(&temporary, secret).and_then(|()| match fs::hard_link(&temporary, path) {
        // Another host created the file first, so its secret is used.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    });
    let removed = fs::remove_file(&temporary);
    written?;
    removed?;
    Ok(())
}

/// Replaces a file, which only the host may read then, and creates its folder if that is missing. A reader finds the old
/// contents or the new ones, whole.
///
/// # Errors
/// The file cannot be written. The old one is still there.
pub fn replace(path: &Path, contents: &[u8]) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temporary = folder.join(format!(".{}.tmp", ulid::Ulid::new()));
    let written = fs::create_dir_all(folder)
        .and_then(|()| write_private(&temporary, contents))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // Best effort: the write has failed already, and a leftover file is harmless.
        let _ = fs::remove_file(&temporary);
    }
    written.with_context(|| format!("cannot write {}", path.display()))
}

fn write_private(path: &Path, secret: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(secret)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use super::*;

    const BYTES_MAX: u64 = 8;

    fn file(folder: &Path, mode: u32, owner: Option<u32>) -> std::path::PathBuf {
        let path = folder.join(format!("{mode:o}-{owner:?}"));
        fs::write(&path, "secret").unwrap();
        chown(&path, owner, None).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    #[test]
    fn a_secret_is_made_once_and_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/key");
        assert_eq!(read_or_create(&path, BYTES_MAX, || Ok(b"first".to_vec())).unwrap(), b"first");
        assert_eq!(read_or_create(&path, BYTES_MAX, || Ok(b"second".to_vec())).unwrap(), b"first");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn hosts_that_start_at_once_get_one_secret() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = |number: u8| read_or_create(&path, BYTES_MAX, || Ok(vec![number])).unwrap();
        let secrets: Vec<Vec<u8>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|number| scope.spawn(move || made(number))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(secrets.iter().all(|secret| *secret == secrets[0]));
    }

    #[test]
    fn modes_that_only_owner_and_platform_read_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        for mode in [0o600, 0o400, 0o440, 0o700] {
            assert_eq!(read(&file(folder.path(), mode, None), BYTES_MAX).unwrap(), b"secret", "{mode:o}");
        }
        // Kubernetes mounts a secret with `defaultMode: 0600` and `fsGroup` with mode 0640.
        let of_root = read(&file(folder.path(), 0o640, None), BYTES_MAX);
        assert_eq!(of_root.is_ok(), is_root(), "{of_root:?}");
        for mode in [0o644, 0o444, 0o604, 0o660, 0o620, 0o602, 0o666] {
            let told = read(&file(folder.path(), mode, None), BYTES_MAX).unwrap_err().to_string();
            assert!(told.contains(&format!("its mode is {mode:04o}")) && told.contains("`chmod 600`"), "{told}");
            assert!(told.contains("`defaultMode: 0440`"), "{told}");
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        if !is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let told = read(&file(folder.path(), 0o400, Some(4242)), BYTES_MAX).unwrap_err().to_string();
        assert!(told.starts_with("it belongs to user 4242, but the host runs as user 0; run `chown 0`"), "{told}");
    }

    #[test]
    fn links_are_followed_to_the_file_that_counts() {
        let folder = tempfile::tempdir().unwrap();
        let day = folder.path().join("..2026_11_29");
        fs::create_dir(&day).unwrap();
        let good = file(&day, 0o440, None);
        symlink("..2026_11_29", folder.path().join("..data")).unwrap();
        let key = folder.path().join("key");
        symlink(Path::new("..data").join(good.file_name().unwrap()), &key).unwrap();
        assert_eq!(read_or_create(&key, BYTES_MAX, || panic!("it is there")).unwrap(), b"secret");

        let open = folder.path().join("open");
        symlink(file(&day, 0o644, None), &open).unwrap();
        assert!(read(&open, BYTES_MAX).unwrap_err().to_string().contains("its mode is 0644"), "that of the file");
    }

    #[test]
    fn nothing_is_created_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (link, target) = (folder.path().join("link"), folder.path().join("elsewhere"));
        symlink(&target, &link).unwrap();
        let told = read_or_create(&link, BYTES_MAX, || Ok(vec![1])).unwrap_err().to_string();
        assert!(
            told.starts_with("it is a symbolic link to ") && told.contains("mount the secret, or remove the link"),
            "{told}"
        );
        assert!(!target.exists());
        let circle = folder.path().join("circle");
        symlink(&circle, &circle).unwrap();
        read_or_create(&circle, BYTES_MAX, || Ok(vec![1])).unwrap_err();
    }

    #[test]
    fn a_credential_is_one_line_of_printable_text() {
        let folder = tempfile::tempdir().unwrap();
        let read = |text: &str| {
            let path = folder.path().join("credential");
            let _ = fs::remove_file(&path);
            write_private(&path, text.as_bytes()).unwrap();
            read_credential(&path).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(read("sk-12345678\r\n").unwrap(), b"sk-12345678");
        for bad in ["", "short", "two\nlines of it", "with a space", "ünïcode-secret"] {
            let told = read(bad).unwrap_err();
            assert!(bad.is_empty() || !told.contains(bad), "{told}");
        }
    }

    #[test]
    fn what_is_no_small_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(folder.path(), BYTES_MAX).unwrap_err().to_string(), "it is not a regular file");
        assert!(read(&folder.path().join("absent"), BYTES_MAX).is_err());
        let path = folder.path().join("long");
        write_private(&path, b"123456789").unwrap();
        assert_eq!(read(&path, BYTES_MAX).unwrap_err().to_string(), "it is larger than 8 bytes");
    }
}
