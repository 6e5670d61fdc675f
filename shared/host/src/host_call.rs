//! The words of the proxy-wasm ABI that both sides of a call share.

use std::fmt;

/// A header map of the stream at hand, by its number in the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// What the client sent.
    RequestHeaders = 0,
    /// What it gets back.
    ResponseHeaders = 2,
}

/// What the proxy does with a request behind a callback, by its number in the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    /// It goes on.
    Continue = 0,
    /// It waits until it is told to go on, or is answered.
    Pause = 1,
}

/// The levels of the proxy's log, by their numbers in the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// For people who look for a cause.
    Debug = 1,
    /// Legal, but likely not what was meant.
    Warn = 3,
    /// Something does not work.
    Error = 4,
    /// The module cannot go on.
    Critical = 5,
}

/// What a call into the proxy can answer other than success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// There is no such thing.
    NotFound,
    /// An argument makes no sense now, such as a header map that this phase does not have.
    BadArgument,
    /// The proxy could not write its answer.
    SerializationFailure,
    /// The proxy could not read an argument.
    ParseFailure,
    /// A pointer or length outside the module's memory.
    InvalidMemoryAccess,
    /// Nothing there.
    Empty,
    /// Shared data changed in between.
    CasMismatch,
    /// The answer has another type than asked for.
    ResultMismatch,
    /// The proxy failed.
    InternalFailure,
    /// The connection is gone.
    BrokenConnection,
    /// The proxy does not have this call.
    Unimplemented,
    /// A number that the ABI does not name.
    Other(u32),
}

impl Status {
    /// From the ABI's number; `Ok` is success.
    ///
    /// # Errors
    /// Every other number.
    pub const fn from_abi(number: u32) -> Result<(), Self> {
        Err(match number {
            0 => return Ok(()),
            1 => Self::NotFound,
            2 => Self::BadArgument,
            3 => Self::SerializationFailure,
            4 => Self::ParseFailure,
            6 => Self::InvalidMemoryAccess,
            7 => Self::Empty,
            8 => Self::CasMismatch,
            9 => Self::ResultMismatch,
            10 => Self::InternalFailure,
            11 => Self::BrokenConnection,
            12 => Self::Unimplemented,
            other => Self::Other(other),
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::BadArgument => "bad argument",
            Self::SerializationFailure => "serialization failure",
            Self::ParseFailure => "parse failure",
            Self::InvalidMemoryAccess => "invalid memory access",
            Self::Empty => "empty",
            Self::CasMismatch => "cas mismatch",
            Self::ResultMismatch => "result mismatch",
            Self::InternalFailure => "internal failure",
            Self::BrokenConnection => "broken connection",
            Self::Unimplemented => "unimplemented",
            Self::Other(number) => return write!(f, "status {number}"),
        })
    }
}

/// A call into the proxy that did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {status}")]
pub struct HostError {
    /// The call's name in the ABI.
    pub call: &'static str,
    /// What it answered.
    pub status: Status,
}

impl HostError {
    /// Turns the ABI's number into a result of the call `call`.
    ///
    /// # Errors
    /// Every number but 0.
    pub fn check(call: &'static str, number: u32) -> Result<(), Self> {
        Status::from_abi(number).map_err(|status| Self { call, status })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_but_zero_is_an_error_that_names_the_call() {
        assert_eq!(HostError::check("proxy_log", 0), Ok(()));
        let texts: Vec<String> =
            (1..=13).map(|n| HostError::check("proxy_x", n).unwrap_err().to_string()).collect();
        assert_eq!(
            texts,
            [
                "proxy_x: not found",
                "proxy_x: bad argument",
                "proxy_x: serialization failure",
                "proxy_x: parse failure",
                "proxy_x: status 5",
                "proxy_x: invalid memory access",
                "proxy_x: empty",
                "proxy_x: cas mismatch",
                "proxy_x: result mismatch",
                "proxy_x: internal failure",
                "proxy_x: broken connection",
                "proxy_x: unimplemented",
                "proxy_x: status 13",
            ]
        );
    }
}
