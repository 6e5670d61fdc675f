//! CUSTOM policies: whether an external authorizer is asked about a request.
//!
//! A filter cannot wait for somebody else's answer; Envoy's ext_authz filter can. So the authorizer is split in two around it:
//! the first half judges CUSTOM policies and says whom to ask, the second judges everything else, and sees the request as the
//! provider left it. Istio has the same order: CUSTOM, tokens, AUDIT, DENY, ALLOW.

use super::Authorizer;
use super::verdict::{PolicyId, RuleId, Verdict};
use mesh_policy_istio::authorization_policy::Action;
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::workload::{ExtAuthzPosition, ExtAuthzSettings};

/// Where Envoy's ext_authz filter stands, seen from an authorizer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ExternalAuthorization {
    /// There is none: a CUSTOM policy that applies is an error.
    #[default]
    Absent,
    /// Behind this authorizer, which judges CUSTOM policies only. These providers can be asked.
    Before(Vec<String>),
    /// In front of this authorizer, which judges everything but CUSTOM policies.
    After,
}

impl ExternalAuthorization {
    /// From the `authz.extAuthz` of a plugin configuration.
    pub fn compile(settings: Option<&ExtAuthzSettings>, problems: &mut Problems) -> Self {
        let Some(ExtAuthzSettings { position, providers }) = settings else { return Self::Absent };
        let at = Path::root().field("authz").field("extAuthz");
        match position {
            Some(ExtAuthzPosition::Before) => Self::Before(providers.clone()),
            Some(ExtAuthzPosition::After) => {
                if !providers.is_empty() {
                    problems.error(
                        at.field("providers"),
                        ProblemKind::Conflict,
                        "only a filter in front of ext_authz (BEFORE) says whom to ask",
                    );
                }
                Self::After
            }
            None => {
                problems.error(
                    at.field("position"),
                    ProblemKind::Missing,
                    "missing: expected BEFORE or AFTER",
                );
                Self::Absent
            }
        }
    }

    /// Whether policies of this action are looked at.
    pub(super) fn judges(&self, action: Action) -> bool {
        match self {
            Self::Absent => true,
            Self::Before(_) => action == Action::Custom,
            Self::After => action != Action::Custom,
        }
    }

    /// Says what is wrong with a CUSTOM policy that applies, its spec being at `spec`.
    pub(super) fn check(&self, policy: &PolicyId, spec: Path, problems: &mut Problems) {
        match (self, &policy.provider) {
            (Self::Absent, _) => {
                problems
                    .error(
                        spec.field("action"),
                        ProblemKind::Unsupported,
                        "CUSTOM policies need Envoy's ext_authz filter, and none is there",
                    )
                    .help("have one filter in front of it and one behind it, and say so in `authz.extAuthz`");
            }
            (Self::Before(available), Some(provider)) if !available.contains(provider) => {
                problems.warning(
                    spec.field("provider").field("name"),
                    ProblemKind::UnknownReference,
                    format!("no provider `{provider}` can be asked: requests that match are denied"),
                );
            }
            _ => {}
        }
    }
}

impl Authorizer {
    /// What becomes of a request of which `rule` of the CUSTOM policies is the first that matches.
    ///
    /// All CUSTOM policies of a workload have to name one provider, as in Istio: where they do not, or where it is not among
    /// those that can be asked, the requests that they are about are denied.
    pub(super) fn ask<'p>(&'p self, available: &[String], rule: Option<&'p RuleId>) -> Verdict<'p> {
        let Some(rule) = rule else { return Verdict::allowed(None) };
        let mut named = self.policies.iter().map(|policy| policy.provider.as_deref());
        let provider = named.next().flatten().filter(|first| named.all(|other| other == Some(first)));
        match provider.filter(|provider| available.iter().any(|other| other == provider)) {
            Some(provider) => Verdict { asks: Some(provider), ..Verdict::allowed(Some(rule)) },
            None => Verdict::denied(Some(rule)),
        }
    }
}
