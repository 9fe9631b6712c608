//! Values on their way into the database and out of it.
//!
//! PostgreSQL's texts cannot contain the character U+0000, and ids of outsiders may. Therefore U+0000 and U+0001 are written as
//! two characters each.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

/// A parameter of a statement. Its type is always stated, so a statement needs one round trip and no state of the connection.
#[derive(Debug, Clone)]
pub(super) enum Param {
    Text(Option<String>),
    Int(Option<i64>),
    Bytes(Option<Vec<u8>>),
    Bool(bool),
    Texts(Vec<Option<String>>),
    Ints(Vec<i64>),
    Digests(Vec<Vec<u8>>),
}

impl Param {
    pub(super) fn kind(&self) -> Type {
        match self {
            Self::Text(_) => Type::TEXT,
            Self::Int(_) => Type::INT8,
            Self::Bytes(_) => Type::BYTEA,
            Self::Bool(_) => Type::BOOL,
            Self::Texts(_) => Type::TEXT_ARRAY,
            Self::Ints(_) => Type::INT8_ARRAY,
            Self::Digests(_) => Type::BYTEA_ARRAY,
        }
    }

    /// A column of texts.
    pub(super) fn texts<'a>(texts: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        Self::Texts(texts.into_iter().map(|text| text.map(|text| escaped(text).into_owned())).collect())
    }
}

impl ToSql for Param {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match self {
            Self::Text(text) => text.to_sql(&Type::TEXT, out),
            Self::Int(number) => number.to_sql(&Type::INT8, out),
            Self::Bytes(bytes) => bytes.to_sql(&Type::BYTEA, out),
            Self::Bool(is) => is.to_sql(&Type::BOOL, out),
            Self::Texts(texts) => texts.to_sql(&Type::TEXT_ARRAY, out),
            Self::Ints(numbers) => numbers.to_sql(&Type::INT8_ARRAY, out),
            Self::Digests(digests) => digests.to_sql(&Type::BYTEA_ARRAY, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl From<&str> for Param {
    fn from(text: &str) -> Self {
        Self::Text(Some(escaped(text).into_owned()))
    }
}

impl From<&String> for Param {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<&Arc<str>> for Param {
    fn from(text: &Arc<str>) -> Self {
        Self::from(&**text)
    }
}

impl From<Option<&str>> for Param {
    fn from(text: Option<&str>) -> Self {
        Self::Text(text.map(|text| escaped(text).into_owned()))
    }
}

impl From<&Option<Arc<str>>> for Param {
    fn from(text: &Option<Arc<str>>) -> Self {
        text.as_deref().into()
    }
}

impl From<i64> for Param {
    fn from(number: i64) -> Self {
        Self::Int(Some(number))
    }
}

/// PostgreSQL's integers are signed; a number beyond them is the greatest.
impl From<u64> for Param {
    fn from(number: u64) -> Self {
        i64::try_from(number).unwrap_or(i64::MAX).into()
    }
}

impl From<usize> for Param {
    fn from(number: usize) -> Self {
        i64::try_from(number).unwrap_or(i64::MAX).into()
    }
}

impl From<u32> for Param {
    fn from(number: u32) -> Self {
        i64::from(number).into()
    }
}

impl From<Option<u64>> for Param {
    fn from(number: Option<u64>) -> Self {
        Self::Int(number.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<Option<i64>> for Param {
    fn from(number: Option<i64>) -> Self {
        Self::Int(number)
    }
}

impl From<[u8; 32]> for Param {
    fn from(digest: [u8; 32]) -> Self {
        Self::Bytes(Some(digest.to_vec()))
    }
}

impl From<Option<[u8; 32]>> for Param {
    fn from(digest: Option<[u8; 32]>) -> Self {
        Self::Bytes(digest.map(|digest| digest.to_vec()))
    }
}

impl From<bool> for Param {
    fn from(is: bool) -> Self {
        Self::Bool(is)
    }
}

/// The parameters of a statement, in its order.
macro_rules! params {
    ($($value:expr),* $(,)?) => { [$($crate::postgres::param::Param::from($value)),*] };
}
pub(super) use params;

/// Reads columns.
pub(super) trait Columns {
    /// A text.
    fn text(&self, column: usize) -> Result<Arc<str>, tokio_postgres::Error>;
    /// A text that may be absent.
    fn optional_text(&self, column: usize) -> Result<Option<Arc<str>>, tokio_postgres::Error>;
    /// A number that is never negative.
    fn number(&self, column: usize) -> Result<u64, tokio_postgres::Error>;
    /// Such a number, which may be absent.
    fn optional_number(&self, column: usize) -> Result<Option<u64>, tokio_postgres::Error>;
    /// A digest that may be absent.
    fn digest(&self, column: usize) -> Result<Option<[u8; 32]>, tokio_postgres::Error>;
}

impl Columns for Row {
    fn text(&self, column: usize) -> Result<Arc<str>, tokio_postgres::Error> {
        self.try_get::<_, &str>(column).map(read)
    }

    fn optional_text(&self, column: usize) -> Result<Option<Arc<str>>, tokio_postgres::Error> {
        self.try_get::<_, Option<&str>>(column).map(|text| text.map(read))
    }

    fn number(&self, column: usize) -> Result<u64, tokio_postgres::Error> {
        self.try_get::<_, i64>(column).map(|number| u64::try_from(number).unwrap_or_default())
    }

    fn optional_number(&self, column: usize) -> Result<Option<u64>, tokio_postgres::Error> {
        let number = self.try_get::<_, Option<i64>>(column)?;
        Ok(number.map(|number| u64::try_from(number).unwrap_or_default()))
    }

    fn digest(&self, column: usize) -> Result<Option<[u8; 32]>, tokio_postgres::Error> {
        let bytes = self.try_get::<_, Option<&[u8]>>(column)?;
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()))
    }
}

fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', '\u{1}']) {
        return text.into();
    }
    text.replace('\u{1}', "\u{1}1").replace('\0', "\u{1}0").into()
}

fn read(text: &str) -> Arc<str> {
    if !text.contains('\u{1}') {
        return text.into();
    }
    text.replace("\u{1}0", "\0").replace("\u{1}1", "\u{1}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_read_as_it_was_written() {
        for text in ["", "plain", "\0", "\u{1}", "\u{1}0", "\u{1}1\0", "a\0\u{1}b\u{1}\u{1}0", "\0\0"] {
            let written = escaped(text);
            assert!(!written.contains('\0'));
            assert_eq!(&*read(&written), text, "{text:?}");
        }
    }
}
