//! The harness's one error: a text for the person whose test just failed.

use std::fmt;

/// What went wrong, in words. `Debug` prints the same text as `Display`, line breaks included, so
/// that `unwrap` in a test shows an Envoy log as a log.
pub struct Error(String);

/// The result of whatever the harness does.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Says what was being attempted when an error came up.
pub trait Context<T> {
    /// `attempt: error`.
    ///
    /// # Errors
    /// The error of `self`, with `attempt` in front.
    fn context(self, attempt: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, attempt: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Error(format!("{attempt}: {error}")))
    }
}

impl<T> Context<T> for Option<T> {
    fn context(self, attempt: impl fmt::Display) -> Result<T> {
        self.ok_or_else(|| Error(attempt.to_string()))
    }
}
