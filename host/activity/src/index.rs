//! The top-level members of an activity, as places in its text.
//!
//! The host looks at a few members of most activities: kind, ids, text. Reading an activity takes half as long with an index
//! as with a tree of all values that is then checked. An index exists for an activity as the protocol describes it. Whatever is unusual (another
//! casing, a wrong type, an escape in a name, deep nesting) has none and is read as a tree, which also tells what is wrong.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::members::{self, Member};
use crate::{ARRAYS, OBJECTS, STRINGS};

/// Members whose `id` the host reads.
pub(crate) const ACCOUNTS: &[&str] = &["from", "recipient", "conversation"];
/// Brackets of a text that may have an index: with fewer, no value is nested too deeply.
const BRACKETS_MAX: usize = 100;
/// Members of an activity that has an index. The protocol defines fewer than 60.
const MEMBERS_MAX: usize = 128;

/// The members of one text, in their order.
#[derive(Debug, Clone)]
pub(crate) struct Index(Vec<Entry>);

#[derive(Debug, Clone)]
struct Entry {
    name: Place,
    /// The JSON value.
    value: Place,
    /// What the value says as a string, or its `id`; `""` for none.
    string: Text,
}

/// A part of the text.
#[derive(Debug, Clone, Copy)]
struct Place {
    start: usize,
    end: usize,
}

#[derive(Debug, Clone)]
enum Text {
    /// The text has it without escapes.
    At(Place),
    Decoded(Box<str>),
}

impl Index {
    /// Returns the index of a text, or none if the text is unusual or not an activity.
    pub(crate) fn of(text: &str) -> Option<Self> {
        let brackets = text.bytes().filter(|byte| matches!(byte, b'{' | b'[')).count();
        if brackets > BRACKETS_MAX {
            return None;
        }
        let mut reader = serde_json::Deserializer::from_str(text);
        let entries = reader.deserialize_map(Entries(text)).ok()?;
        reader.end().ok()?;
        Some(Self(entries))
    }

    /// Returns the JSON value of a member.
    pub(crate) fn raw<'t>(&self, text: &'t str, name: &str) -> Option<&'t str> {
        self.entry(text, name).map(|entry| entry.value.of(text))
    }

    /// Returns a member that is a string, or the `id` of an account. `""`: there is none.
    pub(crate) fn string<'t>(&'t self, text: &'t str, name: &str) -> &'t str {
        match self.entry(text, name).map(|entry| &entry.string) {
            Some(Text::At(place)) => place.of(text),
            Some(Text::Decoded(text)) => text,
            None => "",
        }
    }

    /// Among equal names the last one counts.
    fn entry(&self, text: &str, name: &str) -> Option<&Entry> {
        self.0.iter().rev().find(|entry| entry.name.of(text) == name)
    }
}

impl Place {
    /// Returns the place of a part, which must be a slice of the text.
    fn within(text: &str, part: &str) -> Self {
        let start = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
        Self { start, end: start + part.len() }
    }

    fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

/// Reads the members of an activity.
struct Entries<'t>(&'t str);

impl<'t> Visitor<'t> for Entries<'t> {
    type Value = Vec<Entry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an activity")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Vec<Entry>, A::Error> {
        let mut entries = Vec::with_capacity(24);
        while let Some(name) = map.next_key::<&'t str>()? {
            let value = map.next_value::<&'t RawValue>()?.get();
            let string = checked(name, value).ok_or_else(|| A::Error::custom("unusual"))?;
            let string = match string {
                Cow::Borrowed("") => Text::At(Place { start: 0, end: 0 }),
                Cow::Borrowed(part) => Text::At(Place::within(self.0, part)),
                Cow::Owned(decoded) => Text::Decoded(decoded.into()),
            };
            if entries.len() == MEMBERS_MAX {
                return Err(A::Error::custom("unusual"));
            }
            entries.push(Entry { name: Place::within(self.0, name), value: Place::within(self.0, value), string });
        }
        Ok(entries)
    }
}

/// Checks the name and the JSON type of a member, and returns what its string or its `id` says. None: it is unusual.
fn checked<'t>(name: &str, value: &'t str) -> Option<Cow<'t, str>> {
    let member = match members::ACTIVITY.iter().find(|member| member.name() == name) {
        Some(member) => member,
        None => return is_unknown(name, members::ACTIVITY).then_some(Cow::Borrowed("")),
    };
    let nothing = Some(Cow::Borrowed(""));
    let wanted =
        [(STRINGS, b'"'), (OBJECTS, b'{'), (ARRAYS, b'[')].into_iter().find(|(names, _)| names.contains(&name));
    let first = *value.as_bytes().first()?;
    match wanted {
        _ if first == b'n' => return nothing,
        Some((_, wanted)) if first != wanted => return None,
        _ => {}
    }
    if !member.inner().is_empty() && !has_usual_names(value, member.inner()) {
        return None;
    }
    match first {
        b'"' => serde_json::from_str::<Borrowed<'t>>(value).ok().map(|string| string.0),
        b'{' if ACCOUNTS.contains(&name) => {
            let account = serde_json::from_str::<Account<'t>>(value).ok()?;
            account.id.or(nothing)
        }
        _ => nothing,
    }
}

fn is_unknown(name: &str, members: &[Member]) -> bool {
    !members.iter().any(|member| member.name().eq_ignore_ascii_case(name))
}

fn has_usual_names(value: &str, members: &'static [Member]) -> bool {
    let mut reader = serde_json::Deserializer::from_str(value);
    Names(members).deserialize(&mut reader).is_ok()
}

/// A string that is borrowed if it has no escapes.
struct Borrowed<'t>(Cow<'t, str>);

impl<'de> Deserialize<'de> for Borrowed<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wrapped<'a>(#[serde(borrow)] Cow<'a, str>);
        Wrapped::deserialize(deserializer).map(|Wrapped(string)| Self(string))
    }
}

#[derive(Deserialize)]
struct Account<'t> {
    #[serde(borrow, default)]
    id: Option<Cow<'t, str>>,
}

/// Checks that the members of an object, or of the objects of an array, have the casing of the protocol.
struct Names(&'static [Member]);

impl<'de> DeserializeSeed<'de> for Names {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Names {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("members in the casing of the protocol")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<&str>()? {
            match self.0.iter().find(|member| member.name() == name) {
                Some(member) if !member.inner().is_empty() => map.next_value_seed(Names(member.inner()))?,
                None if !is_unknown(name, self.0) => return Err(A::Error::custom("another casing")),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Names(self.0))?.is_some() {}
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}
