//! The proxy that enforces: what rules may know about it before any request arrives.

use crate::authz::ExternalAuthorization;
use crate::route::Steering;
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::workload::Workload;
use std::collections::BTreeMap;

/// The reserved gateway name of sidecars.
pub const MESH: &str = "mesh";

/// The proxy that enforces, with every default filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyContext {
    /// Its namespace.
    pub namespace: String,
    /// Its labels; `None` when nobody said: then no policy may have a selector.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its service account.
    pub service_account: Option<String>,
    /// A sidecar, or the gateways it carries out.
    pub role: ProxyRole,
    /// The port that the listener serves, as the Gateway or the service numbers it; `None` when one configuration serves
    /// several.
    pub port: Option<u16>,
    /// Trust domain, `cluster.local` unless said otherwise.
    pub trust_domain: String,
    /// Its aliases.
    pub trust_domain_aliases: Vec<String>,
    /// The namespace whose policies hold everywhere, `istio-system` unless said otherwise.
    pub root_namespace: String,
    /// Whether a client that is denied is told by which rule, or by which it almost passed.
    pub explain_denials: bool,
    /// Where Envoy's ext_authz filter stands, on behalf of CUSTOM policies.
    pub ext_authz: ExternalAuthorization,
    /// How its Envoy is told where a request goes.
    pub steering: Steering,
}

/// Where a proxy stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyRole {
    /// Beside a workload: VirtualServices bound to `mesh` apply.
    Sidecar,
    /// At the edge: VirtualServices bound to one of these gateways apply, named `namespace/name`.
    Gateway(Vec<String>),
}

impl Default for ProxyContext {
    fn default() -> Self {
        Self {
            namespace: mesh_policy_istio::resource::DEFAULT_NAMESPACE.to_owned(),
            labels: None,
            service_account: None,
            role: ProxyRole::Sidecar,
            port: None,
            trust_domain: "cluster.local".to_owned(),
            trust_domain_aliases: Vec::new(),
            root_namespace: "istio-system".to_owned(),
            explain_denials: false,
            ext_authz: ExternalAuthorization::default(),
            steering: Steering::default(),
        }
    }
}

impl ProxyContext {
    /// From the `workload` of a plugin configuration; its problems are reported below `workload`.
    pub fn compile(workload: &Workload, problems: &mut Problems) -> Self {
        let Workload {
            namespace,
            labels,
            service_account,
            gateways,
            port,
            trust_domain,
            trust_domain_aliases,
            root_namespace,
        } = workload.clone();
        let at = Path::root().field("workload");
        let default = Self::default();
        let namespace = namespace.unwrap_or(default.namespace);
        let port = port.and_then(|number| {
            let port = u16::try_from(number).ok().filter(|port| *port != 0);
            if port.is_none() {
                problems.error(
                    at.field("port"),
                    ProblemKind::InvalidValue,
                    format!("expected a port from 1 to 65535, found `{number}`"),
                );
            }
            port
        });
        let role = if gateways.is_empty() || gateways == [MESH] {
            ProxyRole::Sidecar
        } else {
            if let Some(index) = gateways.iter().position(|gateway| gateway == MESH) {
                problems.error(
                    at.field("gateways").index(index),
                    ProblemKind::Conflict,
                    "a proxy is either a sidecar (`mesh`) or a gateway, not both",
                );
            }
            ProxyRole::Gateway(
                gateways.iter().map(|name| crate::host_name::resolve_gateway(name, &namespace)).collect(),
            )
        };
        Self {
            namespace,
            labels,
            service_account,
            role,
            port,
            trust_domain: trust_domain.unwrap_or(default.trust_domain),
            trust_domain_aliases,
            root_namespace: root_namespace.unwrap_or(default.root_namespace),
            explain_denials: default.explain_denials,
            ext_authz: default.ext_authz,
            steering: default.steering,
        }
    }
}
