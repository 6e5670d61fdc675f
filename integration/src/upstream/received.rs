//! What an echo server remembers.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::client::Headers;

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// The method.
    pub method: String,
    /// Path and query.
    pub target: Vec<u8>,
    /// `Host` or `:authority`.
    pub authority: Vec<u8>,
    /// The header lines, in order, but lines of one name stand together. HTTP/2 has no `host` among them.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Headers,
    /// The URI names in the client's certificate, where it showed one.
    pub peer: Vec<String>,
}

impl Received {
    /// The path without the query.
    pub fn path(&self) -> &[u8] {
        self.target.split(|byte| *byte == b'?').next().unwrap_or_default()
    }

    /// The values of a header joined with `,`.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)
    }

    /// The value of a query parameter, as it stands.
    pub(super) fn parameter(&self, name: &str) -> Option<String> {
        let mut parts = self.target.splitn(2, |byte| *byte == b'?');
        let query = String::from_utf8_lossy(parts.nth(1)?).into_owned();
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find_map(|(key, value)| (key == name).then(|| value.to_owned()))
    }
}

#[derive(Debug, Default)]
pub(super) struct Records(Mutex<Vec<Received>>);

impl Records {
    pub(super) fn push(&self, received: Received) {
        self.lock().push(received);
    }

    pub(super) fn all(&self) -> Vec<Received> {
        self.lock().clone()
    }

    pub(super) fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.lock())
    }

    pub(super) fn count(&self, wanted: impl Fn(&Received) -> bool) -> usize {
        self.lock().iter().filter(|received| wanted(received)).count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Received>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
