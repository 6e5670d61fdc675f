//! Who watches an evaluation.

use super::verdict::RuleId;

/// Is told what became of rules. All methods do nothing unless overridden.
pub trait AuthzObserver {
    /// Whether reasons are wanted. Then every rule is tried, those behind the determining one too, and
    /// [`AuthzObserver::unmatched`] is told why; the verdict is the same.
    fn explains(&self) -> bool {
        false
    }

    /// Whether any ALLOW rule that matches will do in place of the first one, for one who asks only whether the request may
    /// pass: what the proxy would have to be asked for is left alone where a rule that does without lets the request pass.
    fn takes_any_permit(&self) -> bool {
        false
    }

    /// The rule matched: the first of its action, and with reasons wanted each that did.
    fn matched(&mut self, _rule: &RuleId) {}

    /// The rule did not match, and why. Told only where reasons are wanted: else most rules are not even looked at.
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
