//! The results of handlers: `Flow` and `Fault`.

use std::error::Error;
use std::fmt;

/// Whether the turn continues after a handler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// Continue with the next route or plugin of the bot.
    Next,
    /// The activity is handled; no further route or plugin of the bot runs.
    Handled,
}

/// The result of every handler: a [`Flow`], or a [`Fault`] that discards what this call sent.
pub type Result<T = Flow, E = Fault> = std::result::Result<T, E>;

/// Why a call failed.
///
/// The host returns a fault for a call that it refuses, and a handler returns a fault to fail. If a handler returns a fault, the
/// host discards everything that the handler staged since its last flush. The user gets a neutral error reply. Code, message
/// and detail go to the log.
///
/// `?` converts every [`std::error::Error`] into a fault `internal`. A fault itself does not implement `Error`, because the
/// two conversions would conflict.
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
    /// `denied`, `quota`, `deadline`, `conflict`, `invalid`, `unavailable` or `internal`. Treat an unknown code as `internal`.
    pub code: String,
    /// One sentence for the author of the plugin, without user data. The host keeps at most 4 KiB.
    pub message: String,
    /// How long to wait before trying again, in milliseconds, if it is known.
    pub retry_after_ms: Option<u32>,
    /// Details for the log, such as the causes. The host keeps at most 16 KiB and never shows them to a user.
    pub detail: Option<String>,
}

impl Fault {
    /// Creates a fault with any code. The other constructors use the documented codes.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retry_after_ms: None, detail: None }
    }

    /// Creates a fault `denied`: the plugin or the user is not allowed to do this.
    pub fn denied(message: impl Into<String>) -> Self {
        Self::new("denied", message)
    }

    /// Creates a fault `quota`: a limit was exceeded. The message should name it.
    pub fn quota(message: impl Into<String>) -> Self {
        Self::new("quota", message)
    }

    /// Creates a fault `deadline`: the operation took too long.
    pub fn deadline(message: impl Into<String>) -> Self {
        Self::new("deadline", message)
    }

    /// Creates a fault `conflict`: another turn changed the value.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new("conflict", message)
    }

    /// Creates a fault `invalid`: an argument is wrong. The message should say which one and why.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new("invalid", message)
    }

    /// Creates a fault `unavailable`: the operation failed now, but may succeed later.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new("unavailable", message)
    }

    /// Creates a fault `internal`: a defect of the plugin or the host.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new("internal", message)
    }

    /// Sets how long to wait before trying again, in milliseconds.
    #[must_use]
    pub fn retry_after_ms(mut self, milliseconds: u32) -> Self {
        self.retry_after_ms = Some(milliseconds);
        self
    }

    /// Sets details for the log.
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
    /// Uses the text of the error as message, and its causes, one per line, as detail.
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
