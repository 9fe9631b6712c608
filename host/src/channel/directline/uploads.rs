//! Files that clients uploaded, kept in memory for up to a day.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use super::DirectLine;

/// Maximum age of a file.
const LIFE_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// Maximum size of all files, raised if needed to four files of the largest allowed size. The oldest are removed first.
const BYTES_MAX: usize = 64 << 20;
/// Maximum number of files. The oldest are removed first.
const FILES_MAX: usize = 4_096;

/// The uploaded files, by ids that cannot be guessed.
pub struct Uploads {
    bytes_max: usize,
    files: Mutex<Files>,
}

#[derive(Default)]
struct Files {
    by_id: HashMap<String, Stored>,
    /// Oldest first.
    order: VecDeque<String>,
    bytes: usize,
}

struct Stored {
    conversation: Arc<str>,
    upload: Arc<Upload>,
    at: Instant,
}

/// One uploaded file.
#[derive(Debug, Clone)]
pub struct Upload {
    /// The name that the client gave the file. It is text to display, never a path.
    pub name: String,
    /// The media type that the client gave the file.
    pub content_type: String,
    /// The content.
    pub bytes: Bytes,
}

impl Uploads {
    pub(super) fn new(upload_bytes_max: usize) -> Self {
        Self { bytes_max: BYTES_MAX.max(upload_bytes_max.saturating_mul(4)), files: Mutex::default() }
    }

    /// Stores a file of a conversation and returns its id.
    ///
    /// # Errors
    /// The operating system provides no random bits.
    pub fn put(&self, conversation: &Arc<str>, upload: Upload) -> anyhow::Result<String> {
        let id = DirectLine::new_id()?;
        let mut files = self.lock();
        files.bytes += upload.bytes.len();
        files.order.push_back(id.clone());
        files.by_id.insert(
            id.clone(),
            Stored { conversation: conversation.clone(), upload: Arc::new(upload), at: Instant::now() },
        );
        files.trim(self.bytes_max);
        Ok(id)
    }

    /// Returns a file, unless it was removed.
    pub fn get(&self, id: &str) -> Option<Arc<Upload>> {
        let mut files = self.lock();
        files.trim(self.bytes_max);
        files.by_id.get(id).map(|stored| stored.upload.clone())
    }

    /// Returns the size of all files.
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Deletes the files of a conversation.
    pub(super) fn forget(&self, conversation: &str) {
        let mut files = self.lock();
        let Files { by_id, order, bytes } = &mut *files;
        by_id.retain(|_, stored| {
            let goes = *stored.conversation == *conversation;
            if goes {
                *bytes -= stored.upload.bytes.len();
            }
            !goes
        });
        order.retain(|id| by_id.contains_key(id));
    }

    fn lock(&self) -> MutexGuard<'_, Files> {
        self.files.lock()
    }
}

impl Files {
    fn trim(&mut self, bytes_max: usize) {
        while let Some(oldest) = self.order.front() {
            let is_old = self.by_id.get(oldest).is_none_or(|stored| stored.at.elapsed() > LIFE_MAX);
            if !is_old && self.bytes <= bytes_max && self.order.len() <= FILES_MAX {
                return;
            }
            if let Some(stored) = self.by_id.remove(oldest) {
                self.bytes -= stored.upload.bytes.len();
            }
            self.order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(bytes: usize) -> Upload {
        Upload { name: "a".into(), content_type: "image/png".into(), bytes: vec![0; bytes].into() }
    }

    #[test]
    fn the_oldest_files_make_room() {
        let uploads = Uploads::new(BYTES_MAX / 4);
        let first = uploads.put(&"c".into(), upload(BYTES_MAX / 2)).unwrap();
        let second = uploads.put(&"c".into(), upload(BYTES_MAX / 2)).unwrap();
        assert!(uploads.get(&first).is_some() && uploads.get(&second).is_some());
        let third = uploads.put(&"c".into(), upload(1)).unwrap();
        assert!(uploads.get(&first).is_none());
        assert_eq!(uploads.get(&third).unwrap().bytes.len(), 1);
        assert_eq!(third.len(), 32);
    }

    #[test]
    fn there_is_a_bound_on_their_number_too() {
        let uploads = Uploads::new(1);
        let first = uploads.put(&"c".into(), upload(0)).unwrap();
        for _ in 0..FILES_MAX {
            uploads.put(&"c".into(), upload(0)).unwrap();
        }
        assert!(uploads.get(&first).is_none());
        assert_eq!(uploads.lock().by_id.len(), FILES_MAX);
    }

    #[test]
    fn a_conversation_that_is_forgotten_takes_its_files_along() {
        let uploads = Uploads::new(0);
        let (gone, stays) =
            (uploads.put(&"gone".into(), upload(5)).unwrap(), uploads.put(&"c".into(), upload(7)).unwrap());
        uploads.forget("gone");
        assert!(uploads.get(&gone).is_none() && uploads.get(&stays).is_some());
        assert_eq!(uploads.lock().bytes, 7);
    }
}
