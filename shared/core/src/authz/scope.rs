//! Which policies apply to a proxy.

use crate::proxy::ProxyContext;
use mesh_policy_istio::authorization_policy::AuthorizationPolicy;

/// The label by which the pods of a Kubernetes Gateway name it.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// Whether a policy applies to a proxy, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// It applies.
    Applies,
    /// It is for another namespace.
    OtherNamespace,
    /// Its selector asks for other labels.
    OtherLabels,
    /// It is attached to an object that this proxy does not carry out.
    Attached,
    /// It has a selector, and nobody said which labels the workload has.
    UnknownLabels,
}

impl Scope {
    /// Judges a policy that stands in `namespace`.
    #[must_use]
    pub fn of(policy: &AuthorizationPolicy, namespace: &str, proxy: &ProxyContext) -> Self {
        if namespace != proxy.namespace && namespace != proxy.root_namespace {
            return Self::OtherNamespace;
        }
        let mut targets = policy.target_ref.iter().chain(&policy.target_refs).peekable();
        if targets.peek().is_some() {
            let gateway = proxy.labels.as_ref().and_then(|labels| labels.get(GATEWAY_NAME));
            let is_this = gateway.is_some_and(|gateway| {
                namespace == proxy.namespace
                    && targets.any(|target| {
                        target.kind.as_deref() == Some("Gateway")
                            && target.group.as_deref() == Some("gateway.networking.k8s.io")
                            && target.name.as_ref() == Some(gateway)
                    })
            });
            return if is_this { Self::Applies } else { Self::Attached };
        }
        let mut wanted = policy.selector.iter().flat_map(|selector| &selector.match_labels).peekable();
        if wanted.peek().is_none() {
            return Self::Applies;
        }
        match &proxy.labels {
            None => Self::UnknownLabels,
            Some(labels) if wanted.all(|(key, value)| labels.get(key) == Some(value)) => Self::Applies,
            Some(_) => Self::OtherLabels,
        }
    }
}
