//! Why a caller is not accepted.

use std::fmt;

/// Why a request was refused. Callers learn the [`Answer`] only. The name of the check and the reason are for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The answer to the caller.
    pub answer: Answer,
    /// Name of the check that failed, such as `audience`.
    pub check: &'static str,
    /// The reason, without the token.
    pub reason: String,
}

/// What the caller learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 401: the request does not prove who sent it.
    Unauthenticated,
    /// 403: the sender is known and may not do this.
    Forbidden,
    /// 503: the host cannot decide now, because it has no keys. A later request may be accepted.
    Unavailable,
}

impl Refused {
    /// Returns a refusal of a request that does not prove who sent it.
    pub(crate) fn unauthenticated(check: &'static str, reason: impl Into<String>) -> Self {
        Self { answer: Answer::Unauthenticated, check, reason: reason.into() }
    }

    /// Returns a refusal of a known sender.
    pub(crate) fn forbidden(check: &'static str, reason: impl Into<String>) -> Self {
        Self { answer: Answer::Forbidden, check, reason: reason.into() }
    }

    /// Returns a refusal for lack of keys.
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self { answer: Answer::Unavailable, check: "keys", reason: reason.into() }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "check `{}`: {}", self.check, self.reason)
    }
}

impl std::error::Error for Refused {}

/// Shortens untrusted text for one log line.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(120).flat_map(char::escape_debug).collect()
}
