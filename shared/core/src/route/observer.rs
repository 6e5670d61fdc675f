//! Who wants to know why a request went where it went.

use super::RuleId;
use mesh_policy_istio::path::Path;
use std::borrow::Cow;
use std::fmt::Display;

/// Told what the evaluation looks at. All methods do nothing by default; filters pass `()`, for which none is called.
pub trait RouteObserver {
    /// Whether anyone listens. When not, a rule is left at its first condition that fails.
    const LISTENS: bool = true;

    /// The virtual host chosen for `host` (lower case, no port), by its domain, or `None`; and all domains there are.
    fn virtual_host(&mut self, host: &[u8], domain: Option<&str>, domains: &[&str]) {
        let _ = (host, domain, domains);
    }

    /// A rule of the chosen virtual host that can never match at this proxy; told before any other rule.
    fn excluded(&mut self, rule: &RuleId, why: &Excluded<'_>) {
        let _ = (rule, why);
    }

    /// A condition of `rule` that does not hold. Every one that fails is told, then [`RouteObserver::considered`].
    fn failed(&mut self, rule: &RuleId, condition: &FailedCondition<'_>) {
        let _ = (rule, condition);
    }

    /// A rule was looked at, in the order of evaluation; the first that matched is chosen and ends it.
    fn considered(&mut self, rule: &RuleId, matched: bool) {
        let _ = (rule, matched);
    }

    /// A rule behind the one that matched, `chosen`: it was not looked at.
    fn passed_over(&mut self, rule: &RuleId, chosen: &RuleId) {
        let _ = (rule, chosen);
    }
}

/// Nobody listens.
impl RouteObserver for () {
    const LISTENS: bool = false;
}

/// Why a rule cannot match at this proxy, whatever the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Excluded<'a> {
    /// A condition on the proxy does not hold.
    Proxy {
        /// Where the condition stands in the VirtualService's `spec`.
        field: Path,
        /// What it wants: `app=web`.
        wants: &'a str,
        /// What the proxy has.
        found: &'a str,
    },
    /// A rule before it takes every request.
    Unreachable {
        /// That rule.
        behind: &'a RuleId,
    },
}

/// A condition that does not hold for a request.
pub struct FailedCondition<'a> {
    /// Where it stands in the VirtualService's `spec`: `http[0].match[1].headers["user-agent"]`.
    pub field: Path,
    /// What it wants: ``a value that matches `.*Firefox.*` ``.
    pub wants: &'a dyn Display,
    /// What the request has; `None` when it has no such thing.
    pub found: Option<Cow<'a, [u8]>>,
}
