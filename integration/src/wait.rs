//! Waiting for something to become true, with a bound.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{Error, Result};

/// How long a test waits for things that normally take milliseconds. Generous, because a busy
/// machine is no reason to fail, and cheap, because only failures wait this long.
pub const PATIENCE: Duration = Duration::from_secs(30);

const BETWEEN_TRIES: Duration = Duration::from_millis(5);

/// Asks `probe` until it gives a value, at most for `limit`.
///
/// # Errors
/// `probe` gave no value in time; the text names `what` was waited for.
pub fn until<T>(limit: Duration, what: &str, mut probe: impl FnMut() -> Option<T>) -> Result<T> {
    let give_up = Instant::now() + limit;
    loop {
        if let Some(value) = probe() {
            return Ok(value);
        }
        if Instant::now() >= give_up {
            return Err(Error::new(format!("waited {limit:?} in vain for {what}")));
        }
        thread::sleep(BETWEEN_TRIES);
    }
}

/// Asks `probe` until it says yes, at most for [`PATIENCE`].
///
/// # Errors
/// `probe` did not say yes in time.
pub fn until_true(what: &str, mut probe: impl FnMut() -> bool) -> Result<()> {
    until(PATIENCE, what, || probe().then_some(()))
}
