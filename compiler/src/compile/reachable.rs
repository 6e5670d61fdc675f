//! Destinations that none of a proxy's clusters serves.

use crate::envoy::cluster::{self, Clusters};
use crate::envoy::tcp_proxy::Connections;
use crate::references::destinations;
use crate::service::Service;
use crate::values;
use mesh_policy_core::host_name;
use mesh_policy_istio::path::{Path, Segment};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use mesh_policy_istio::virtual_service::Destination;

/// What a proxy can forward to.
#[derive(Clone, Copy)]
pub(crate) struct Reach<'r> {
    pub namespace: &'r str,
    pub services: &'r [Service<'r>],
    pub clusters: &'r Clusters,
}

impl Reach<'_> {
    /// That a name is defined somewhere was checked before; here it must be visible to this proxy, at this port.
    pub(crate) fn check_http(&self, resources: &[Resource], port: Option<u16>, problems: &mut Problems) {
        for resource in resources {
            let Spec::VirtualService(spec) = &resource.spec else { continue };
            for (destination, at) in destinations(resource, spec) {
                // TCP and TLS rules have no part in HTTP.
                if at.segments().iter().any(|segment| *segment == Segment::Field("http".to_owned())) {
                    self.check(resource, destination, port, &at, problems);
                }
            }
        }
    }

    /// The host and port of a destination, when a cluster serves it.
    pub(crate) fn check(
        &self,
        resource: &Resource,
        destination: &Destination,
        listening: Option<u16>,
        at: &Path,
        problems: &mut Problems,
    ) -> Option<(String, u16)> {
        let host = host_name::resolve(destination.host.as_deref().unwrap_or_default(), resource.namespace());
        let namespace = self.namespace;
        let Some(service) = self.services.iter().find(|service| service.host == host) else {
            problems.error(
                at.field("host"),
                ProblemKind::UnknownReference,
                format!("the host `{host}` is not exported to the proxy's namespace `{namespace}`"),
            );
            return None;
        };
        let written = destination.port.as_ref().and_then(|port| port.number).and_then(values::port);
        let mut ports = service.ports().map(|(port, _)| port);
        let port = match (written, ports.next(), ports.next(), listening) {
            (Some(port), ..) => port,
            (None, Some(only), None, _) => only,
            (None, _, _, Some(port)) => port,
            (None, ..) => return None,
        };
        if !service.has_port(port) {
            problems
                .error(
                    at.clone(),
                    ProblemKind::UnknownReference,
                    format!("names no port, and `{host}` has none with the listener's number {port}: its ports are {}", service.show_ports()),
                )
                .help("add `port: {number: ...}`");
            return None;
        }
        let subset = destination.subset.as_deref().unwrap_or_default();
        if self.clusters.by_name.contains_key(&cluster::name(port, subset, &host)) {
            return Some((host, port));
        }
        if subset.is_empty() {
            let message = format!("the port {port} of `{host}` carries UDP, which no proxy forwards");
            problems.error(at.clone(), ProblemKind::Unsupported, message);
        } else {
            problems.error(
                at.field("subset"),
                ProblemKind::UnknownReference,
                format!("the DestinationRule that applies in the proxy's namespace `{namespace}` does not define the subset `{subset}`"),
            );
        }
        None
    }

    /// What the rules of its cluster say about a connection that is forwarded.
    pub(crate) fn connections(&self, cluster: &str) -> Connections {
        self.clusters.connections.get(cluster).cloned().unwrap_or_default()
    }
}
