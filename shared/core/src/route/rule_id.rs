//! The name of a rule, as people find it in their configuration.

use mesh_policy_istio::path::Path;
use std::fmt;
use std::sync::Arc;

/// One rule of a VirtualService, and the entry of its `match` list.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId {
    virtual_service: Arc<str>,
    http: usize,
    matched: Option<usize>,
}

impl RuleId {
    pub(super) const fn new(virtual_service: Arc<str>, http: usize, matched: Option<usize>) -> Self {
        Self { virtual_service, http, matched }
    }

    /// The VirtualService, `namespace/name`.
    #[must_use]
    pub fn virtual_service(&self) -> &str {
        &self.virtual_service
    }

    /// The index in `http`.
    #[must_use]
    pub const fn http(&self) -> usize {
        self.http
    }

    /// The index in the rule's `match`; `None` when the rule has none and takes every request.
    #[must_use]
    pub const fn matched(&self) -> Option<usize> {
        self.matched
    }

    /// Where it stands in the VirtualService's `spec`.
    #[must_use]
    pub fn path(&self) -> Path {
        let rule = Path::root().field("http").index(self.http);
        match self.matched {
            Some(index) => rule.field("match").index(index),
            None => rule,
        }
    }
}

impl fmt::Display for RuleId {
    /// `VirtualService shop/customers http[2].match[0]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VirtualService {} http[{}]", self.virtual_service, self.http)?;
        match self.matched {
            Some(index) => write!(f, ".match[{index}]"),
            None => Ok(()),
        }
    }
}
