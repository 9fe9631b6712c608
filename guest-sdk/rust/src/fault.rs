//! What a handler answers: whether the turn goes on, or why it failed.

use std::error::Error;
use std::fmt;

/// Whether the turn goes on after a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Not for me, or not only for me: the next route or plugin of the bot runs.
    Next,
    /// Done: no further route or plugin of the bot runs.
    Handled,
}

/// What every handler returns: a [`Flow`], or the [`Fault`] that undoes what this call sent.
pub type Result<T = Flow, E = Fault> = std::result::Result<T, E>;

/// Why something did not work.
///
/// The host gives it for a call that it refused, and a handler returns it to fail. A handler that returns a fault sends
/// nothing: what it staged since its last flush is dropped. The user sees a neutral error reply; code, message and detail
/// go to the log.
///
/// `?` turns every [`std::error::Error`] into a fault `internal`. For that reason a fault is no `Error` itself.
///
/// ```
/// use turntable_sdk::prelude::*;
///
/// fn amount(text: &str) -> Result<i64> {
///     let amount: i64 = text.parse()?; // a ParseIntError becomes fault `internal`
///     if amount < 0 {
///         return Err(Fault::invalid("the amount is negative"));
///     }
///     Ok(amount)
/// }
/// assert_eq!(amount("x").unwrap_err().code, "internal");
/// assert_eq!(amount("-1").unwrap_err().code, "invalid");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `denied`, `quota`, `deadline`, `conflict`, `invalid`, `unavailable` or `internal`. Read an unknown one as `internal`.
    pub code: String,
    /// One sentence for the author of the plugin, without user data. The host keeps 4 KiB.
    pub message: String,
    /// When trying again makes sense, in milliseconds from now.
    pub retry_after_ms: Option<u32>,
    /// More for the log, such as the causes. The host keeps 16 KiB and never shows it to a user.
    pub detail: Option<String>,
}

impl Fault {
    /// Makes a fault with a code of its own; the other constructors name the documented codes.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retry_after_ms: None, detail: None }
    }

    /// The plugin, or the user, may not do this.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new("denied", message)
    }

    /// A limit is reached; the message names it.
    pub fn quota(message: impl Into<String>) -> Self {
        Self::new("quota", message)
    }

    /// It took too long.
    pub fn deadline(message: impl Into<String>) -> Self {
        Self::new("deadline", message)
    }

    /// Somebody else changed it in between.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new("conflict", message)
    }

    /// What was given is wrong; the message says what and where.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message)
    }

    /// Not now; trying again later may work.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new("unavailable", message)
    }

    /// A defect of the plugin or of the host.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new("internal", message)
    }

    /// Says when trying again makes sense, in milliseconds from now.
    #[must_use]
    pub fn retry_after_ms(mut self, milliseconds: u32) -> Self {
        self.retry_after_ms = Some(milliseconds);
        self
    }

    /// Adds text for the log.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.code, self.message)
    }
}

impl<E: Error> From<E> for Fault {
    /// Keeps the error's text as message and its causes, one a line, as detail.
    fn from(error: E) -> Self {
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        Self { detail: (!causes.is_empty()).then(|| causes.join("\n")), ..Self::internal(error.to_string()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl fmt::Display for Outer {
        fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("the order has no number")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_becomes_an_internal_fault_that_keeps_its_causes() {
        let fault = Fault::from(Outer("x".parse::<i32>().unwrap_err()));
        assert_eq!(fault.to_string(), "internal: the order has no number");
        assert_eq!(fault.detail.as_deref(), Some("invalid digit found in string"));
    }

    #[test]
    fn an_error_without_causes_has_no_detail() {
        assert_eq!(Fault::from("x".parse::<i32>().unwrap_err()).detail, None);
    }
}
