//! Reads what SDKs have stored: documents of Cosmos DB, blobs, files, and conversation references within them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::Report;
use super::keys::{self, Key};
use crate::activity::Object;
use crate::json;
use crate::storage::ScopeOwner;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Nesting of objects in which references are looked for.
const DEPTH_MAX: usize = 32;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// By owner, the properties of the document.
    pub(super) state: BTreeMap<ScopeOwner, Object>,
    /// Conversation references, in the order in which they were found.
    pub(super) references: Vec<Value>,
}

/// By key, when the document was written and what it says.
type Found = BTreeMap<String, (u64, Object)>;

impl Documents {
    /// Reads a file or a folder.
    ///
    /// # Errors
    /// A file cannot be read. What is in it and is not understood is a part of the report.
    pub(super) fn read(path: &Path, report: &mut Report) -> anyhow::Result<Self> {
        let (mut found, mut documents) = (Found::new(), Self::default());
        let metadata = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?;
        if metadata.is_dir() {
            blobs(path, path, &mut found, report)?;
        } else {
            let text = read(path)?;
            match json::value(&text) {
                // A document alone looks like a line of them.
                Ok(Value::Object(object)) if !is_document(&object) && !is_reference(&object) => {
                    for (key, value) in object {
                        add(&mut found, &key, 0, value, report);
                    }
                }
                Ok(Value::Array(values)) => {
                    for (number, value) in values.into_iter().enumerate() {
                        documents.take(&format!("element {number}"), value, &mut found, report);
                    }
                }
                Ok(value) => documents.take("the file", value, &mut found, report),
                Err(_) => {
                    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                        let place = format!("line {}", number + 1);
                        match json::value(line) {
                            Ok(value) => documents.take(&place, value, &mut found, report),
                            Err(error) => report.unknown.push(format!("{place}: not JSON: {error}")),
                        }
                    }
                }
            }
        }
        documents.sort(found, report);
        Ok(documents)
    }

    /// Takes a document of Cosmos DB or a reference.
    fn take(&mut self, place: &str, value: Value, found: &mut Found, report: &mut Report) {
        let Value::Object(mut object) = value else {
            report.unknown.push(format!("{place}: not an object"));
            return;
        };
        if is_reference(&object) {
            self.references.push(object.into());
            return;
        }
        if !is_document(&object) {
            report.unknown.push(format!("{place}: neither a document with `id` and `document` nor a reference"));
            return;
        }
        let text = |member: &str| object.get(member).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (id, real_id) = (text("id"), text("realId"));
        let written = object.get("_ts").and_then(Value::as_u64).unwrap_or_default();
        // The id may be cut and hashed.
        let key = if real_id.is_empty() { keys::from_cosmos(&id) } else { real_id };
        let document = object.shift_remove("document").unwrap_or_default();
        add(found, &key, written, document, report);
    }

    /// Sorts the documents by owner, and looks for references in all of them.
    fn sort(&mut self, found: Found, report: &mut Report) {
        for (key, (_, object)) in found {
            let object = plain(object.into());
            look_for_references(&object, 0, &mut self.references);
            let Value::Object(object) = object else { continue };
            match keys::read(&key) {
                Some(Key::State(owner)) => {
                    report.documents += 1;
                    *match &owner {
                        ScopeOwner::User(..) => &mut report.users,
                        ScopeOwner::Private(..) => &mut report.private,
                        _ => &mut report.conversations,
                    } += 1;
                    self.state.entry(owner).or_default().extend(object);
                }
                Some(Key::SignIn) => report.sign_ins += 1,
                None => report.unknown.push(format!("`{}`: not a key of BotState", shortened(&key))),
            }
        }
    }
}

/// Reads the blobs of a folder. Their names are their paths, in which a tool that downloads blobs may have made folders.
fn blobs(root: &Path, folder: &Path, found: &mut Found, report: &mut Report) -> anyhow::Result<()> {
    let mut entries = fs::read_dir(folder)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read {}", folder.display()))?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        // Links are not followed: they may lead out of the folder, or round in circles.
        let kind = entry.file_type().with_context(|| format!("cannot read {}", path.display()))?;
        if kind.is_dir() {
            blobs(root, &path, found, report)?;
            continue;
        }
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let Some(key) = keys::from_blob(&name).filter(|_| kind.is_file()) else {
            report.unknown.push(format!("{name}: not a blob of BotState"));
            continue;
        };
        match json::value(&read(&path)?) {
            Ok(value) => add(found, &key, 0, value, report),
            Err(error) => report.unknown.push(format!("{name}: not JSON: {error}")),
        }
    }
    Ok(())
}

/// Adds a document. Of several with the same key, the newest counts.
fn add(found: &mut Found, key: &str, written: u64, value: Value, report: &mut Report) {
    // `MemoryStorage` has texts of JSON instead of objects.
    let value = match value {
        Value::String(text) => json::value(&text).unwrap_or(Value::String(text)),
        value => value,
    };
    let Value::Object(mut object) = value else {
        report.unknown.push(format!("`{}`: the document is not an object", shortened(key)));
        return;
    };
    for member in ["eTag", "ETag", "etag", "_etag"] {
        object.shift_remove(member);
    }
    match found.get(key) {
        Some((earlier, _)) if *earlier > written => report.orphans += 1,
        Some(_) => {
            report.orphans += 1;
            found.insert(key.to_owned(), (written, object));
        }
        None => {
            found.insert(key.to_owned(), (written, object));
        }
    }
}

/// Removes what the SDKs for .NET add to objects: names of types, and objects around lists.
fn plain(value: Value) -> Value {
    match value {
        Value::Object(mut object) => {
            object.shift_remove("$type");
            object.shift_remove("$typeAssembly");
            match object.shift_remove("$values") {
                Some(values @ Value::Array(_)) if object.is_empty() => plain(values),
                Some(values) => {
                    object.insert("$values".to_owned(), values);
                    object.into_iter().map(|(name, value)| (name, plain(value))).collect()
                }
                None => object.into_iter().map(|(name, value)| (name, plain(value))).collect(),
            }
        }
        Value::Array(values) => values.into_iter().map(plain).collect(),
        value => value,
    }
}

fn look_for_references(value: &Value, depth: usize, references: &mut Vec<Value>) {
    match value {
        Value::Object(object) if is_reference(object) => references.push(value.clone()),
        _ if depth == DEPTH_MAX => {}
        Value::Object(object) => object.values().for_each(|value| look_for_references(value, depth + 1, references)),
        Value::Array(values) => values.iter().for_each(|value| look_for_references(value, depth + 1, references)),
        _ => {}
    }
}

fn is_document(object: &Object) -> bool {
    object.get("id").is_some_and(Value::is_string) && object.get("document").is_some_and(Value::is_object)
}

fn is_reference(object: &Object) -> bool {
    let given = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|text| !text.is_empty());
    let conversation = object.get("conversation").and_then(|conversation| conversation.get("id"));
    given(conversation) && given(object.get("serviceUrl")) && given(object.get("channelId"))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let size = fs::metadata(path).with_context(|| format!("cannot read {}", path.display()))?.len();
    anyhow::ensure!(size <= FILE_BYTES_MAX, "{} is larger than 1 GiB; split it", path.display());
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn shortened(key: &str) -> String {
    key.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn names_of_types_are_dropped_and_never_resolved() {
        let stored = json!({
            "$type": "System.Collections.Generic.Dictionary`2", "name": "Ann",
            "DialogState": { "$type": "D", "$typeAssembly": "A", "dialogStack": { "$type": "L", "$values": [{ "$type": "I", "id": "d" }] } }
        });
        assert_eq!(plain(stored), json!({ "name": "Ann", "DialogState": { "dialogStack": [{ "id": "d" }] } }));
    }
}
