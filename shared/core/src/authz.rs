//! Authorization: AuthorizationPolicies compiled for one proxy, and their verdict on a request.

mod observe;
mod verdict;

pub use observe::{AuthzObserver, Unmet};
pub use verdict::{NearestMiss, PolicyId, RuleId, Shadow, Verdict};

use crate::proxy::ProxyContext;
use crate::request::RequestView;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use std::sync::Arc;

/// The policies that apply to one proxy.
#[derive(Debug, Default)]
pub struct Authorizer {
    policies: Vec<Arc<PolicyId>>,
}

impl Authorizer {
    /// Validates all AuthorizationPolicies of `resources` and keeps those that apply to `proxy`.
    pub fn compile(resources: &[Resource], _proxy: &ProxyContext, problems: &mut Problems) -> Self {
        for resource in resources {
            if matches!(resource.spec, Spec::AuthorizationPolicy(_)) {
                problems.error(
                    resource.path.clone(),
                    ProblemKind::Unsupported,
                    "authorization policies cannot be enforced yet",
                );
            }
        }
        Self::default()
    }

    /// Whether no policy applies: everything is allowed and nothing recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty()
    }

    /// The policies that apply, also those without rules.
    #[must_use]
    pub fn policies(&self) -> &[Arc<PolicyId>] {
        &self.policies
    }

    /// Decides about one request.
    pub fn authorize<'p, O: AuthzObserver>(
        &'p self,
        _request: &RequestView<'_>,
        _observer: &mut O,
    ) -> Verdict<'p> {
        Verdict::allowed(None)
    }

    /// The ALLOW rule that came closest to matching: to be asked after a default deny. Looks at the first `at_most` rules.
    #[must_use]
    pub fn nearest_miss(&self, _request: &RequestView<'_>, _at_most: usize) -> Option<NearestMiss<'_>> {
        None
    }
}
