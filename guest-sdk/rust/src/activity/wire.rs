//! Lossless conversion between typed objects and JSON objects.
//!
//! Reading moves a known member into its field if the member has the JSON type that the protocol requires. Everything else
//! stays unchanged in `extra`: unknown members, `null`, empty arrays and members of an unexpected type. Writing puts the
//! fields over `extra`. An activity that is read and written therefore stays the same, and a member of a wrong type makes
//! only this member unavailable instead of failing the turn.

use serde_json::{Map, Value};

/// A JSON object with its members in order.
pub type Object = Map<String, Value>;

/// A type that represents one JSON value.
pub(crate) trait Wire: Sized {
    /// Reads the value. Returns it as the error if it has another JSON type.
    fn read(value: Value) -> Result<Self, Value>;
    /// Writes the value.
    fn write(self) -> Value;
}

/// A type that represents one member of a JSON object, which may be absent.
pub(crate) trait Member: Default {
    /// Removes the member from the object and returns it. A member of another JSON type stays in the object.
    fn take(object: &mut Object, key: &str) -> Self;
    /// Puts the member into the object and replaces one of the same name. An absent member changes nothing.
    fn put(self, object: &mut Object, key: &str);
}

impl Wire for String {
    fn read(value: Value) -> Result<Self, Value> {
        match value {
            Value::String(text) => Ok(text),
            other => Err(other),
        }
    }

    fn write(self) -> Value {
        Value::String(self)
    }
}

impl Wire for bool {
    fn read(value: Value) -> Result<Self, Value> {
        value.as_bool().ok_or(value)
    }

    fn write(self) -> Value {
        Value::Bool(self)
    }
}

impl Wire for u32 {
    fn read(value: Value) -> Result<Self, Value> {
        value.as_u64().and_then(|number| Self::try_from(number).ok()).ok_or(value)
    }

    fn write(self) -> Value {
        Value::from(self)
    }
}

impl Wire for Value {
    fn read(value: Value) -> Result<Self, Value> {
        if value.is_null() { Err(value) } else { Ok(value) }
    }

    fn write(self) -> Value {
        self
    }
}

impl Member for String {
    fn take(object: &mut Object, key: &str) -> Self {
        <Option<Self> as Member>::take(object, key).unwrap_or_default()
    }

    fn put(self, object: &mut Object, key: &str) {
        if !self.is_empty() {
            object.insert(key.to_owned(), Value::String(self));
        }
    }
}

impl<T: Wire> Member for Option<T> {
    fn take(object: &mut Object, key: &str) -> Self {
        match T::read(object.shift_remove(key)?) {
            Ok(member) => Some(member),
            Err(value) => {
                object.insert(key.to_owned(), value);
                None
            }
        }
    }

    fn put(self, object: &mut Object, key: &str) {
        if let Some(member) = self {
            object.insert(key.to_owned(), member.write());
        }
    }
}

impl<T: Wire> Member for Vec<T> {
    fn take(object: &mut Object, key: &str) -> Self {
        let Some(Value::Array(values)) = object.get_mut(key) else { return Self::new() };
        if values.is_empty() {
            return Self::new();
        }
        // A list with one entry of another type stays in `extra` as a whole, so that its order is kept.
        let values = std::mem::take(values);
        let mut members = Self::with_capacity(values.len());
        let mut values = values.into_iter();
        while let Some(value) = values.next() {
            match T::read(value) {
                Ok(member) => members.push(member),
                Err(other) => {
                    let read = members.into_iter().map(T::write);
                    let whole = read.chain([other]).chain(values).collect();
                    object.insert(key.to_owned(), Value::Array(whole));
                    return Self::new();
                }
            }
        }
        object.shift_remove(key);
        members
    }

    fn put(self, object: &mut Object, key: &str) {
        if !self.is_empty() {
            object.insert(key.to_owned(), Value::Array(self.into_iter().map(T::write).collect()));
        }
    }
}

/// Declares a struct of public fields with their names on the wire. All other members go to `extra`.
macro_rules! object {
    ($(#[$attr:meta])* $name:ident { $($(#[$member_attr:meta])* $member:ident: $type:ty = $key:literal,)* }) => {
        $(#[$attr])*
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct $name {
            $($(#[$member_attr])* pub $member: $type,)*
            /// Members that have no field in this version of the SDK, or that have an unexpected JSON type.
            pub extra: $crate::activity::wire::Object,
        }

        impl $name {
            /// Reads a JSON object. Members without a field go to `extra`.
            pub fn from_object(mut object: $crate::activity::wire::Object) -> Self {
                Self {
                    $($member: $crate::activity::wire::Member::take(&mut object, $key),)*
                    extra: object,
                }
            }

            /// Writes a JSON object. A field takes precedence over a member of the same name in `extra`.
            pub fn into_object(self) -> $crate::activity::wire::Object {
                let mut object = $crate::activity::wire::Object::new();
                $($crate::activity::wire::Member::put(self.$member, &mut object, $key);)*
                for (key, value) in self.extra {
                    object.entry(key).or_insert(value);
                }
                object
            }
        }

        impl $crate::activity::wire::Wire for $name {
            fn read(value: serde_json::Value) -> Result<Self, serde_json::Value> {
                match value {
                    serde_json::Value::Object(object) => Ok(Self::from_object(object)),
                    other => Err(other),
                }
            }

            fn write(self) -> serde_json::Value {
                serde_json::Value::Object(self.into_object())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serde::Serialize::serialize(&self.clone().into_object(), serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let object: $crate::activity::wire::Object = serde::Deserialize::deserialize(deserializer)?;
                Ok(Self::from_object(object))
            }
        }
    };
}

pub(crate) use object;
