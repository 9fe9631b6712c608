//! Reads typed values from a TOML table and collects all problems.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::text::{bytes_of, nearest, shown_bytes};

/// The problems found so far, each with its byte range and its section.
#[derive(Debug, Default)]
pub(super) struct Found {
    list: RefCell<Vec<Finding>>,
    section: RefCell<String>,
}

#[derive(Debug)]
struct Finding {
    span: Range<usize>,
    message: String,
    section: String,
}

impl Found {
    /// Sets the section of the problems that follow: `admin`, `bots.NAME`, `bots.NAME.plugins[0]`, or empty for the file as
    /// a whole.
    pub(super) fn in_section(&self, section: &str) {
        section.clone_into(&mut self.section.borrow_mut());
    }

    /// Adds a problem.
    pub(super) fn add(&self, span: Range<usize>, message: impl Into<String>) {
        let section = self.section.borrow().clone();
        self.list.borrow_mut().push(Finding { span, message: message.into(), section });
    }

    /// Returns the number of problems so far.
    pub(super) fn count(&self) -> usize {
        self.list.borrow().len()
    }

    /// Returns the sections that have problems.
    pub(super) fn sections(&self) -> BTreeSet<String> {
        self.list.borrow().iter().map(|finding| finding.section.clone()).collect()
    }

    /// Returns the problems of the sections for which `matters` returns true.
    pub(super) fn into_list(self, matters: impl Fn(&str) -> bool) -> Vec<(Range<usize>, String)> {
        let mattering = self.list.into_inner().into_iter().filter(|finding| matters(&finding.section));
        mattering.map(|finding| (finding.span, finding.message)).collect()
    }
}

/// A value with its byte range in the file.
pub(super) type Node<'t> = &'t Spanned<DeValue<'t>>;

/// A table that is being read. Each reading method marks its key as known; [`Table::finish`] reports the other keys.
///
/// Methods that fill a slot leave it unchanged, so at its default, if the key is absent or its value is invalid.
pub(super) struct Table<'t> {
    name: String,
    entries: Option<&'t DeTable<'t>>,
    span: Range<usize>,
    found: &'t Found,
    known: Vec<&'static str>,
}

impl<'t> Table<'t> {
    /// Begins to read a table. `name` is its path for messages, empty for the whole file.
    pub(super) fn new(name: &str, entries: &'t DeTable<'t>, span: Range<usize>, found: &'t Found) -> Self {
        Self { name: name.to_owned(), entries: Some(entries), span, found, known: Vec::new() }
    }

    /// Returns the byte range of the table.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Returns the byte range of a key's value, or of the table if the key is absent.
    pub(super) fn span_of(&self, key: &str) -> Range<usize> {
        self.entries.and_then(|entries| entries.get(key)).map_or_else(|| self.span(), Spanned::span)
    }

    /// Returns whether the key exists.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.is_some_and(|entries| entries.contains_key(key))
    }

    /// Returns the keys and values with the byte ranges of the keys, for tables whose keys the operator chooses.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'t str, Range<usize>, Node<'t>)> {
        self.entries
            .into_iter()
            .flat_map(|entries| entries.iter())
            .map(|(key, value)| (key.get_ref().as_ref(), key.span(), value))
    }

    /// Returns the list of problems, for code that reads other values than tables.
    pub(super) fn found(&self) -> &'t Found {
        self.found
    }

    /// Reports a problem.
    pub(super) fn problem(&self, span: Range<usize>, message: impl Into<String>) {
        self.found.add(span, message);
    }

    /// Returns a value of any type.
    pub(super) fn value(&mut self, key: &'static str) -> Option<Node<'t>> {
        self.known.push(key);
        self.entries?.get(key)
    }

    /// Returns the table at this key, or an empty one if the key is absent or has another type.
    pub(super) fn table(&mut self, key: &'static str) -> Table<'t> {
        let name = self.path(key);
        let mut table = Table { name, entries: None, span: self.span(), found: self.found, known: Vec::new() };
        if let Some(node) = self.value(key) {
            table.span = node.span();
            match node.get_ref() {
                DeValue::Table(entries) => table.entries = Some(entries),
                other => self.wrong_type(key, node, "a table", other),
            }
        }
        table
    }

    /// Returns the elements of an array, or none if the key is absent or has another type.
    pub(super) fn array(&mut self, key: &'static str, wanted: &str) -> Option<Vec<Node<'t>>> {
        let node = self.value(key)?;
        match node.get_ref() {
            DeValue::Array(array) => Some(array.iter().collect()),
            other => {
                self.wrong_type(key, node, wanted, other);
                None
            }
        }
    }

    /// Returns a string with its byte range.
    pub(super) fn string(&mut self, key: &'static str) -> Option<(&'t str, Range<usize>)> {
        let node = self.value(key)?;
        match node.get_ref() {
            DeValue::String(text) => Some((text.as_ref(), node.span())),
            other => {
                self.wrong_type(key, node, "a string", other);
                None
            }
        }
    }

    /// Returns the strings of an array with their byte ranges.
    pub(super) fn strings(&mut self, key: &'static str) -> Option<Vec<(&'t str, Range<usize>)>> {
        let nodes = self.array(key, "an array of strings")?;
        let mut strings = Vec::with_capacity(nodes.len());
        for node in nodes {
            match node.get_ref() {
                DeValue::String(text) => strings.push((text.as_ref(), node.span())),
                other => self.wrong_type(key, node, "an array of strings", other),
            }
        }
        Some(strings)
    }

    /// Reads a boolean.
    pub(super) fn bool(&mut self, key: &'static str, slot: &mut bool) {
        let Some(node) = self.value(key) else { return };
        match node.get_ref() {
            DeValue::Boolean(value) => *slot = *value,
            other => self.wrong_type(key, node, "true or false", other),
        }
    }

    /// Reads a word that must be one of `choices`.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, slot: &mut T, choices: &[(&str, T)]) {
        let Some((word, span)) = self.string(key) else { return };
        match choices.iter().find(|(name, _)| *name == word) {
            Some((_, value)) => *slot = *value,
            None => {
                let names: Vec<String> = choices.iter().map(|(name, _)| format!("\"{name}\"")).collect();
                self.problem(span, format!("`{}` must be {}, not \"{word}\"", self.path(key), names.join(" or ")));
            }
        }
    }

    /// Reads a whole number within a range.
    pub(super) fn number<T: TryFrom<u64>>(&mut self, key: &'static str, slot: &mut T, range: RangeInclusive<u64>) {
        let Some(node) = self.value(key) else { return };
        match node.get_ref() {
            DeValue::Integer(number) => {
                let value = i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX);
                self.within(key, node.span(), value, slot, &range, &|bound| bound.to_string());
            }
            other => self.wrong_type(key, node, "a whole number", other),
        }
    }

    /// Reads a duration from a key that ends in `-ms`. The range is in milliseconds.
    pub(super) fn millis(&mut self, key: &'static str, slot: &mut Duration, range: RangeInclusive<u64>) {
        let mut value = u64::MAX;
        self.number(key, &mut value, range);
        if value != u64::MAX {
            *slot = Duration::from_millis(value);
        }
    }

    /// Reads a size in bytes: a whole number, or a string with a unit such as `"64 MiB"`.
    pub(super) fn bytes<T: TryFrom<u64>>(&mut self, key: &'static str, slot: &mut T, range: RangeInclusive<u64>) {
        let Some(node) = self.value(key) else { return };
        let value = match node.get_ref() {
            DeValue::Integer(number) => i128::from_str_radix(number.as_str(), number.radix()).unwrap_or(i128::MAX),
            DeValue::String(text) => match bytes_of(text) {
                Some(bytes) => i128::from(bytes),
                None => {
                    let path = self.path(key);
                    self.problem(
                        node.span(),
                        format!("`{path}` must be a size in bytes, as a number or as a string with the unit B, KiB, MiB or GiB, such as \"64 MiB\""),
                    );
                    return;
                }
            },
            other => {
                return self.wrong_type(key, node, "a whole number of bytes, or a string such as \"64 MiB\"", other);
            }
        };
        self.within(key, node.span(), value, slot, &range, &shown_bytes);
    }

    /// Reports all keys that were not read.
    pub(super) fn finish(self) {
        for (key, span, _) in self.names() {
            if self.known.contains(&key) {
                continue;
            }
            let path = self.path(key);
            let hint = match nearest(key, self.known.iter().copied()) {
                Some(known) => format!("did you mean `{known}`?"),
                None => {
                    let mut known: Vec<&str> = self.known.clone();
                    known.sort_unstable();
                    format!("known here: {}", known.join(", "))
                }
            };
            self.problem(span, format!("unknown key `{path}`; {hint}"));
        }
    }

    /// Returns the full path of a key, for messages.
    pub(super) fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    fn within<T: TryFrom<u64>>(
        &self,
        key: &str,
        span: Range<usize>,
        value: i128,
        slot: &mut T,
        range: &RangeInclusive<u64>,
        show: &dyn Fn(u64) -> String,
    ) {
        let accepted =
            u64::try_from(value).ok().filter(|value| range.contains(value)).and_then(|value| T::try_from(value).ok());
        match accepted {
            Some(value) => *slot = value,
            None => {
                let (path, low, high) = (self.path(key), show(*range.start()), show(*range.end()));
                self.problem(span, format!("`{path}` must be between {low} and {high}"));
            }
        }
    }

    fn wrong_type(&self, key: &str, node: Node<'_>, wanted: &str, is: &DeValue<'_>) {
        self.problem(node.span(), format!("`{}` must be {wanted}, not {}", self.path(key), described(is)));
    }
}

/// Returns the type of a value, in words.
pub(super) fn described(value: &DeValue<'_>) -> impl Display {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}
