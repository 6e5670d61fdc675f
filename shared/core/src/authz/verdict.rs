//! What an evaluation ends with.

use super::rule::Field;
use crate::effect::LocalReply;
use mesh_policy_istio::authorization_policy::Action;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// The name of a policy, and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyId {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What a match does.
    pub action: Action,
    /// Evaluated, never enforced.
    pub dry_run: bool,
    /// Whom a CUSTOM policy asks.
    pub provider: Option<String>,
}

/// One rule of one policy. Printed under the name that Istio gives it in Envoy: `ns[x]-policy[y]-rule[n]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleId {
    pub(super) policy: Arc<PolicyId>,
    pub(super) index: usize,
}

impl RuleId {
    /// The policy it belongs to.
    #[must_use]
    pub fn policy(&self) -> &PolicyId {
        &self.policy
    }

    /// Its index in `rules`.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// The order of the names, as texts. They are seldom written out for it.
    pub(super) fn compare_names(&self, other: &Self) -> Ordering {
        // Where a difference stands in both of two texts, what follows in the names does not count.
        let differ = |a: &str, b: &str| (!a.starts_with(b) && !b.starts_with(a)).then(|| a.cmp(b));
        let (policy, others) = (self.policy(), other.policy());
        let decided = if policy.namespace != others.namespace {
            differ(&policy.namespace, &others.namespace)
        } else if policy.name != others.name {
            differ(&policy.name, &others.name)
        } else {
            (self.index < 10 && other.index < 10).then(|| self.index.cmp(&other.index))
        };
        decided.unwrap_or_else(|| self.to_string().cmp(&other.to_string()))
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ns[{}]-policy[{}]-rule[{}]", self.policy.namespace, self.policy.name, self.index)
    }
}

/// The decision about one request, and what was recorded beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'p> {
    pub(super) allowed: bool,
    pub(super) determining: Option<&'p RuleId>,
    pub(super) asks: Option<&'p str>,
    pub(super) audited: Option<&'p RuleId>,
    pub(super) shadow_deny: Option<Shadow<'p>>,
    pub(super) shadow_allow: Option<Shadow<'p>>,
}

/// What the dry-run policies of one action would have decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shadow<'p> {
    /// Whether the request would have passed.
    pub allowed: bool,
    /// The rule that matched.
    pub rule: Option<&'p RuleId>,
}

/// The ALLOW rule that lacked least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearestMiss<'p> {
    /// The rule.
    pub rule: &'p RuleId,
    /// The fields that it lacked; of several `from` or `to`, those of the one that lacked least.
    pub fields: Vec<Field>,
}

/// The rule and the fields that it lacked, without what the request had there.
impl fmt::Display for NearestMiss<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.rule)?;
        for (index, field) in self.fields.iter().take(MOST_FIELDS).enumerate() {
            f.write_str(if index == 0 { ":" } else { "," })?;
            field.fmt(f)?;
        }
        if self.fields.len() > MOST_FIELDS { f.write_str(",..") } else { Ok(()) }
    }
}

impl fmt::Display for Shadow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.result())?;
        match self.rule {
            Some(rule) => write!(f, "{rule}"),
            None => f.write_str(NO_RULE),
        }
    }
}

impl Shadow<'_> {
    /// `allowed` or `denied`, in Istio's words.
    #[must_use]
    pub const fn result(&self) -> &'static str {
        if self.allowed { "allowed" } else { "denied" }
    }
}

/// The determining rule of a request that no ALLOW rule took, in Envoy's word for it.
const NO_RULE: &str = "none";

/// What follows the name of a CUSTOM rule whose provider cannot be asked, as Istio has Envoy report it.
const BAD_CUSTOM: &str = "-deny-due-to-bad-CUSTOM-action";

/// How many fields of a nearest miss are named: a log line has an end.
const MOST_FIELDS: usize = 8;

impl<'p> Verdict<'p> {
    pub(super) const fn allowed(by: Option<&'p RuleId>) -> Self {
        Self {
            allowed: true,
            determining: by,
            asks: None,
            audited: None,
            shadow_deny: None,
            shadow_allow: None,
        }
    }

    pub(super) const fn denied(by: Option<&'p RuleId>) -> Self {
        Self {
            allowed: false,
            determining: by,
            asks: None,
            audited: None,
            shadow_deny: None,
            shadow_allow: None,
        }
    }

    /// Whether the request may pass.
    #[must_use]
    pub const fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// The rule that decided: first by the bytes of its name among those that match. `None` for a request denied because no
    /// ALLOW rule matched, and for one allowed because there are none.
    #[must_use]
    pub const fn determining(&self) -> Option<&'p RuleId> {
        self.determining
    }

    /// The external authorizer that has to be asked before the request may pass: by the determining rule, of a CUSTOM policy.
    #[must_use]
    pub const fn asks(&self) -> Option<&'p str> {
        self.asks
    }

    /// The first AUDIT rule that matched.
    #[must_use]
    pub const fn audited(&self) -> Option<&'p RuleId> {
        self.audited
    }

    /// What the dry-run DENY policies would have done; `None` when there are none.
    #[must_use]
    pub const fn shadow_deny(&self) -> Option<Shadow<'p>> {
        self.shadow_deny
    }

    /// What the dry-run ALLOW policies would have done; `None` when there are none.
    #[must_use]
    pub const fn shadow_allow(&self) -> Option<Shadow<'p>> {
        self.shadow_allow
    }

    /// Why a request is denied, for logs: the rule that denied it, or `none` and what would almost have let it pass. Made of
    /// names and fields of the policies only, without white space.
    #[must_use]
    pub fn reason(&self, miss: Option<&NearestMiss<'_>>) -> String {
        let mut text = match (self.determining, miss) {
            (Some(rule), _) if !self.allowed && rule.policy().action == Action::Custom => {
                format!("{rule}{BAD_CUSTOM}")
            }
            (Some(rule), _) => rule.to_string(),
            (None, None) => NO_RULE.to_owned(),
            (None, Some(miss)) => format!("{NO_RULE};nearest={miss}"),
        };
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            text = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).collect();
        }
        text
    }

    /// The answer to a denied request, in the words of Envoy's RBAC filter.
    #[must_use]
    pub fn local_reply(&self) -> Option<LocalReply> {
        self.denial(&self.reason(None))
    }

    /// The same, for this [`Verdict::reason`]: what it says of a nearest miss is added to the details, where Envoy's filter
    /// says no more than that no rule matched.
    #[must_use]
    pub fn denial(&self, reason: &str) -> Option<LocalReply> {
        const PERMISSION_DENIED: u32 = 7;
        if self.allowed {
            return None;
        }
        let (name, more) = match (self.determining, reason.strip_prefix(NO_RULE)) {
            (None, Some(more)) => (NO_RULE, more),
            _ => (reason, ""),
        };
        Some(LocalReply {
            status: 403,
            headers: vec![("content-type".to_owned(), b"text/plain".to_vec())],
            body: b"RBAC: access denied".to_vec(),
            grpc_status: Some(PERMISSION_DENIED),
            details: format!("rbac_access_denied_matched_policy[{name}]{more}"),
        })
    }
}
