//! How a server answers one request.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::Received;
use crate::{Context, Error, Result};

/// How often each key has been tried; clones count together.
#[derive(Clone, Debug, Default)]
pub struct Tries(Arc<Mutex<BTreeMap<String, u64>>>);

impl Tries {
    /// Counts a try and says how many there were before it.
    fn count(&self, key: &str) -> u64 {
        let mut tries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = tries.entry(key.to_owned()).or_default();
        *count += 1;
        *count - 1
    }
}

/// What a request asks of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Behaviour {
    pub(super) status: u16,
    pub(super) delay: Duration,
    pub(super) close: bool,
}

impl Behaviour {
    pub(super) fn of(received: &Received, tries: &Tries) -> Result<Self> {
        let status = number(received, "status")?;
        let fail_first = number::<u64>(received, "fail-first")?;
        let failing = match fail_first {
            Some(failures) => {
                let path = || String::from_utf8_lossy(received.path()).into_owned();
                Some(tries.count(&wish(received, "key").unwrap_or_else(path)) < failures)
            }
            None => None,
        };
        Ok(Self {
            status: match failing {
                Some(true) => status.unwrap_or(503),
                Some(false) => 200,
                None => status.unwrap_or(200),
            },
            delay: Duration::from_millis(number(received, "delay-ms")?.unwrap_or(0)),
            close: wish(received, "close").is_some_and(|value| value == "true"),
        })
    }
}

/// The value of `x-echo-NAME`, or else of the parameter `echo-NAME`.
fn wish(received: &Received, name: &str) -> Option<String> {
    received.header(&format!("x-echo-{name}")).or_else(|| received.parameter(&format!("echo-{name}")))
}

fn number<T: std::str::FromStr>(received: &Received, name: &str) -> Result<Option<T>>
where
    T::Err: std::fmt::Display,
{
    let Some(text) = wish(received, name) else { return Ok(None) };
    text.parse().map(Some).context(format_args!("x-echo-{name}: `{text}`"))
}

/// The response headers that a request asks for by `x-echo-header: name: value`.
pub(super) fn wished_headers(received: &Received) -> Result<crate::client::Headers> {
    let mut headers = crate::client::Headers::default();
    for line in received.headers.all("x-echo-header") {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        match (parts.next(), parts.next()) {
            (Some(name), Some(value)) => headers.push(name.trim_ascii(), value.trim_ascii()),
            _ => return Err(Error::new("x-echo-header: expected `name: value`")),
        }
    }
    Ok(headers)
}
