//! Metrics that every turn records, looked up once for each set of labels. A lookup in the recorder copies and hashes
//! every label.

use std::collections::BTreeMap;

use parking_lot::RwLock;

/// The labels of a metric beside the name of what it counts.
type Labels = (&'static str, &'static str, u16);

/// Handles of one metric, by the name of a bot or a route and the other labels.
pub(super) struct Known<M>(RwLock<ByName<M>>);

type ByName<M> = BTreeMap<Box<str>, Vec<(Labels, M)>>;

impl<M> Known<M> {
    pub(super) const fn new() -> Self {
        Self(RwLock::new(BTreeMap::new()))
    }

    /// Records with the handle for these labels. `look_up` makes it where they are new.
    pub(super) fn record(&self, name: &str, labels: Labels, look_up: impl FnOnce() -> M, record: impl FnOnce(&M)) {
        if let Some(handle) = find(&self.0.read(), name, labels) {
            return record(handle);
        }
        let mut known = self.0.write();
        if find(&known, name, labels).is_none() {
            known.entry(name.into()).or_default().push((labels, look_up()));
        }
        if let Some(handle) = find(&known, name, labels) {
            record(handle);
        }
    }

    /// Forgets all handles: they belong to the recorder that was installed when they were looked up.
    pub(super) fn forget(&self) {
        self.0.write().clear();
    }
}

fn find<'k, M>(known: &'k ByName<M>, name: &str, labels: Labels) -> Option<&'k M> {
    known.get(name)?.iter().find(|(known, _)| *known == labels).map(|(_, handle)| handle)
}
