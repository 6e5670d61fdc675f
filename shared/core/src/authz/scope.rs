//! Which policies apply to a proxy.

use crate::proxy::ProxyContext;
use mesh_policy_istio::authentication::RequestAuthentication;
use mesh_policy_istio::authorization_policy::{AuthorizationPolicy, PolicyTargetReference, WorkloadSelector};

/// The label by which the pods of a Kubernetes Gateway name it.
const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

/// What a policy says about the workloads it is for, whatever its kind.
#[derive(Debug, Clone, Copy)]
pub struct Attachment<'a> {
    /// The workloads, by label.
    pub selector: Option<&'a WorkloadSelector>,
    /// The object it is attached to.
    pub target_ref: Option<&'a PolicyTargetReference>,
    /// The objects it is attached to.
    pub target_refs: &'a [PolicyTargetReference],
}

impl<'a> From<&'a AuthorizationPolicy> for Attachment<'a> {
    fn from(policy: &'a AuthorizationPolicy) -> Self {
        Self {
            selector: policy.selector.as_ref(),
            target_ref: policy.target_ref.as_ref(),
            target_refs: &policy.target_refs,
        }
    }
}

impl<'a> From<&'a RequestAuthentication> for Attachment<'a> {
    fn from(policy: &'a RequestAuthentication) -> Self {
        Self {
            selector: policy.selector.as_ref(),
            target_ref: policy.target_ref.as_ref(),
            target_refs: &policy.target_refs,
        }
    }
}

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
    pub fn of<'a>(policy: impl Into<Attachment<'a>>, namespace: &str, proxy: &ProxyContext) -> Self {
        let policy = policy.into();
        if namespace != proxy.namespace && namespace != proxy.root_namespace {
            return Self::OtherNamespace;
        }
        let mut targets = policy.target_ref.into_iter().chain(policy.target_refs).peekable();
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
