//! Credentials that the host puts on requests: read from their file, placed, and kept out of everything else.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use anyhow::Context;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use turntable_config::secret::read_credential;
use turntable_config::{Credential, CredentialPlace};
use url::Url;

use crate::scrub::Scrubber;

/// The credential of a grant. It reads its file again when that changes, so a secret is rotated without a reload.
pub struct CredentialSource {
    credential: Credential,
    read: Mutex<Option<(Version, Arc<Secret>)>>,
}

/// The value of a credential. It has no `Debug` and no `Display`, so that it gets into no log.
pub struct Secret {
    /// With the text around it.
    value: String,
    scrubber: Scrubber,
}

/// What changes when somebody replaces or rewrites a file.
#[derive(PartialEq, Eq)]
struct Version {
    inode: (u64, u64),
    modified: (i64, i64),
    changed: (i64, i64),
    bytes: u64,
}

impl CredentialSource {
    /// Returns the credential without reading its file.
    #[must_use]
    pub fn new(credential: Credential) -> Self {
        Self { credential, read: Mutex::default() }
    }

    /// Returns the place in words, such as `header authorization`.
    #[must_use]
    pub fn place(&self) -> String {
        self.credential.place.named()
    }

    /// Returns the value that the file has now.
    ///
    /// # Errors
    /// The file is gone or cannot be used. The error does not contain the value.
    pub fn secret(&self) -> anyhow::Result<Arc<Secret>> {
        let file = &self.credential.file;
        let metadata = std::fs::metadata(file).with_context(|| format!("the file {}", file.display()))?;
        let version = Version {
            inode: (metadata.dev(), metadata.ino()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
            bytes: metadata.len(),
        };
        let mut read = self.read.lock();
        if let Some((known, secret)) = &*read
            && *known == version
        {
            return Ok(secret.clone());
        }
        let bytes = read_credential(file).with_context(|| format!("the file {}", file.display()))?;
        let text = String::from_utf8(bytes).context("the credential is not text")?;
        let scrubber = Scrubber::new(text.as_bytes())?;
        let secret = Arc::new(Secret { value: self.credential.format.replacen("{}", &text, 1), scrubber });
        *read = Some((version, secret.clone()));
        Ok(secret)
    }

    /// Puts the credential on a request, in the place of what the plugin set there.
    ///
    /// # Errors
    /// The value cannot stand in its place.
    pub fn put(&self, secret: &Secret, url: &mut Url, headers: &mut HeaderMap) -> anyhow::Result<()> {
        match &self.credential.place {
            CredentialPlace::Header(name) => {
                let mut value =
                    HeaderValue::from_str(&secret.value).map_err(|_| anyhow::anyhow!("it fits no header"))?;
                value.set_sensitive(true);
                headers.insert(HeaderName::from_bytes(name.as_bytes())?, value);
            }
            CredentialPlace::Query(name) => {
                let is_ours = |other: &str| other.eq_ignore_ascii_case(name);
                if url.query_pairs().any(|(other, _)| is_ours(&other)) {
                    let pairs = url.query_pairs().into_owned();
                    let others: Vec<_> = pairs.filter(|(other, _)| !is_ours(other)).collect();
                    url.query_pairs_mut().clear().extend_pairs(others);
                }
                url.query_pairs_mut().append_pair(name, &secret.value);
            }
        }
        Ok(())
    }
}

impl Secret {
    /// Returns what finds the secret in an answer.
    #[must_use]
    pub fn scrubber(&self) -> &Scrubber {
        &self.scrubber
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    use super::*;

    fn write(path: &Path, text: &str) {
        let _ = std::fs::remove_file(path);
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    fn source(folder: &Path, place: CredentialPlace, format: &str) -> CredentialSource {
        CredentialSource::new(Credential { place, format: format.to_owned(), file: folder.join("key") })
    }

    #[test]
    fn it_takes_the_place_of_what_the_plugin_set() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("key"), "secret-1\n");
        let mut url = Url::parse("https://a.example/x?a=1&KEY=mine&%6bey=mine&b").unwrap();
        let mut headers = HeaderMap::new();
        headers.append("authorization", HeaderValue::from_static("mine"));
        headers.append("authorization", HeaderValue::from_static("mine too"));
        let header = source(folder.path(), CredentialPlace::Header("authorization".to_owned()), "Bearer {}");
        header.put(&header.secret().unwrap(), &mut url, &mut headers).unwrap();
        let values: Vec<_> = headers.get_all("authorization").iter().collect();
        assert_eq!(values, ["Bearer secret-1"]);
        assert_eq!(format!("{values:?}"), "[Sensitive]");
        let query = source(folder.path(), CredentialPlace::Query("key".to_owned()), "{}");
        query.put(&query.secret().unwrap(), &mut url, &mut headers).unwrap();
        assert_eq!(url.query(), Some("a=1&b=&key=secret-1"));
    }

    #[test]
    fn a_new_file_counts_at_once_and_a_missing_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let source = source(folder.path(), CredentialPlace::Header("x".to_owned()), "{}");
        for value in ["secret-one", "secret-two"] {
            write(&path, value);
            assert_eq!(source.secret().unwrap().value, value);
        }
        std::fs::remove_file(&path).unwrap();
        let told = format!("{:#}", source.secret().err().unwrap());
        assert!(told.contains("key") && !told.contains("secret-two"), "{told}");
    }
}
