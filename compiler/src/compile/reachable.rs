//! Destinations of a listener's rules that none of its clusters serves.

use crate::envoy::cluster;
use crate::plugin::EnforcedListener;
use crate::references::destinations;
use crate::service::Service;
use crate::values;
use mesh_policy_core::host_name;
use mesh_policy_istio::path::{Path, Segment};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use mesh_policy_istio::virtual_service::Destination;
use serde_json::Value;
use std::collections::BTreeMap;

/// That a name is defined somewhere was checked before; here it must be visible to this proxy, at this port.
pub(super) fn check(
    listener: &EnforcedListener,
    services: &[Service<'_>],
    clusters: &BTreeMap<String, Value>,
    problems: &mut Problems,
) {
    for resource in &listener.resources {
        let Spec::VirtualService(spec) = &resource.spec else { continue };
        for (destination, at) in destinations(resource, spec) {
            // TCP and TLS rules have no part in a plain HTTP listener.
            if at.segments().iter().any(|segment| *segment == Segment::Field("http".to_owned())) {
                check_destination(listener, resource, destination, &at, services, clusters, problems);
            }
        }
    }
}

fn check_destination(
    listener: &EnforcedListener,
    resource: &Resource,
    destination: &Destination,
    at: &Path,
    services: &[Service<'_>],
    clusters: &BTreeMap<String, Value>,
    problems: &mut Problems,
) {
    let host = host_name::resolve(destination.host.as_deref().unwrap_or_default(), resource.namespace());
    let namespace = &listener.proxy.namespace;
    let Some(service) = services.iter().find(|service| service.host == host) else {
        problems.error(
            at.field("host"),
            ProblemKind::UnknownReference,
            format!("the host `{host}` is not exported to the gateway's namespace `{namespace}`"),
        );
        return;
    };
    let written = destination.port.as_ref().and_then(|port| port.number).and_then(values::port);
    let mut ports = service.ports().map(|(port, _)| port);
    let port = match (written, ports.next(), ports.next(), listener.port) {
        (Some(port), ..) => port,
        (None, Some(only), None, _) => only,
        (None, _, _, Some(port)) => port,
        (None, ..) => return,
    };
    if !service.has_port(port) {
        problems
            .error(
                at.clone(),
                ProblemKind::UnknownReference,
                format!("names no port, and `{host}` has none with the listener's number {port}: its ports are {}", service.show_ports()),
            )
            .help("add `port: {number: ...}`");
        return;
    }
    let subset = destination.subset.as_deref().unwrap_or_default();
    if clusters.contains_key(&cluster::name(port, subset, &host)) {
        return;
    }
    if subset.is_empty() {
        let message = format!("the port {port} of `{host}` does not carry HTTP");
        problems.error(at.clone(), ProblemKind::Unsupported, message);
    } else {
        problems.error(
            at.field("subset"),
            ProblemKind::UnknownReference,
            format!("the DestinationRule that applies in the gateway's namespace `{namespace}` does not define the subset `{subset}`"),
        );
    }
}
