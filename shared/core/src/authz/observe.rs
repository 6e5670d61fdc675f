//! Who watches an evaluation.

use super::verdict::RuleId;

/// Is told what became of each rule that was looked at. All methods do nothing unless overridden.
pub trait AuthzObserver {
    /// Whether reasons are wanted. Then [`AuthzObserver::unmatched`] gets them, and rules behind the determining one are
    /// looked at too; the verdict is the same.
    fn explains(&self) -> bool {
        false
    }

    /// The rule matched.
    fn matched(&mut self, _rule: &RuleId) {}

    /// The rule did not match; `unmet` says why, and is empty unless reasons are wanted.
    fn unmatched(&mut self, _rule: &RuleId, _unmet: &[Unmet]) {}
}

/// Nobody watches.
impl AuthzObserver for () {}

/// A condition that did not hold. It quotes the request: for people at a terminal, not for logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// Where it stands in its rule: `from[0].source.notPrincipals`, `when[1].values`.
    pub field: String,
    /// What it looks at, in the words of `when` keys: `source.principal`, `request.headers[x-user]`.
    pub attribute: String,
    /// What was asked for: `one of GET, HEAD`, `none of dev`.
    pub wanted: String,
    /// What the request has.
    pub found: String,
}
