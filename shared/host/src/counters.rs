//! Counters in the proxy's statistics.

use crate::abi;
use crate::host_call::{HostError, LogLevel};
use std::collections::BTreeMap;

/// The counters that exist, by name: defined when they first count.
#[derive(Debug, Default)]
pub struct Counters {
    ids: BTreeMap<String, u32>,
    failed: bool,
}

impl Counters {
    /// Adds one. What cannot be counted is no reason to refuse a request: one line in the log says so.
    pub fn count(&mut self, name: String) {
        if let Err(error) = self.try_count(name)
            && !std::mem::replace(&mut self.failed, true)
        {
            abi::log(LogLevel::Error, &format!("requests are not counted: {error}"));
        }
    }

    fn try_count(&mut self, name: String) -> Result<(), HostError> {
        let id = match self.ids.get(&name) {
            Some(id) => *id,
            None => {
                let id = abi::define_counter(&name)?;
                self.ids.insert(name, id);
                id
            }
        };
        abi::increment(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{self, Effect};

    #[test]
    fn a_counter_is_defined_once() {
        fake::reset(&[]);
        let mut counters = Counters::default();
        for name in ["a", "b", "a"] {
            counters.count(name.to_owned());
        }
        let counted = |name: &str| Effect::Count(name.to_owned());
        assert_eq!(fake::effects(), [counted("a"), counted("b"), counted("a")]);
        assert_eq!(fake::with(|proxy| proxy.counters.clone()), ["a", "b"]);
    }

    #[test]
    fn what_cannot_be_counted_is_said_once() {
        fake::reset(&[]);
        fake::with(|proxy| proxy.failing.insert("proxy_define_metric", 10));
        let mut counters = Counters::default();
        counters.count("a".to_owned());
        counters.count("a".to_owned());
        let text = "requests are not counted: proxy_define_metric: internal failure";
        assert_eq!(fake::effects(), [Effect::Log(LogLevel::Error, text.to_owned())]);
    }
}
