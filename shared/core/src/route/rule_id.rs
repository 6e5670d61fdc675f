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
    delegate: Option<DelegateRule>,
}

/// The rule of a delegate that stands in for its root's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct DelegateRule {
    /// The delegate, `namespace/name`.
    pub(super) virtual_service: Arc<str>,
    /// The index in its `http`.
    pub(super) http: usize,
    /// The index in the rule's `match`.
    pub(super) matched: Option<usize>,
}

impl RuleId {
    pub(super) const fn new(
        virtual_service: Arc<str>,
        http: usize,
        matched: Option<usize>,
        delegate: Option<DelegateRule>,
    ) -> Self {
        Self { virtual_service, http, matched, delegate }
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

    /// Where it stands in the VirtualService's `spec`; for a rule of a delegate with a match of its own, in the delegate's.
    #[must_use]
    pub fn path(&self) -> Path {
        let (http, matched) = match &self.delegate {
            Some(DelegateRule { http, matched: Some(index), .. }) => (*http, Some(*index)),
            _ => (self.http, self.matched),
        };
        let rule = Path::root().field("http").index(http);
        match matched {
            Some(index) => rule.field("match").index(index),
            None => rule,
        }
    }
}

impl fmt::Display for RuleId {
    /// `VirtualService shop/customers http[2].match[0]`, and behind a comma the same of the delegate's rule.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_rule(f, &self.virtual_service, self.http, self.matched)?;
        let Some(DelegateRule { virtual_service, http, matched }) = &self.delegate else { return Ok(()) };
        f.write_str(", ")?;
        write_rule(f, virtual_service, *http, *matched)
    }
}

fn write_rule(
    f: &mut fmt::Formatter<'_>,
    virtual_service: &str,
    http: usize,
    matched: Option<usize>,
) -> fmt::Result {
    write!(f, "VirtualService {virtual_service} http[{http}]")?;
    matched.map_or(Ok(()), |index| write!(f, ".match[{index}]"))
}
