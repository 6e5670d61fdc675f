//! The services there are: one for each host of a ServiceEntry, with the instances behind it.

use crate::values::{self, Protocol};
use crate::visibility;
use mesh_policy_istio::path::Path;
use mesh_policy_istio::resource::{Resource, Spec};
use mesh_policy_istio::service_entry::{Resolution, ServiceEntry, ServicePort, WorkloadEntry};
use std::collections::BTreeMap;

/// A service.
#[derive(Debug)]
pub(crate) struct Service<'s> {
    /// Its name: ServiceEntry hosts are taken as they are, short names are not completed.
    pub host: &'s str,
    pub resource: &'s Resource,
    pub spec: &'s ServiceEntry,
    pub endpoints: Vec<Endpoint<'s>>,
}

/// An instance of a service.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint<'s> {
    pub spec: &'s WorkloadEntry,
    /// Its labels; those of a WorkloadEntry's metadata count before those of its spec.
    pub labels: BTreeMap<String, String>,
    pub path: Path,
}

impl<'s> Service<'s> {
    pub(crate) fn namespace(&self) -> &'s str {
        self.resource.namespace()
    }

    pub(crate) fn resolution(&self) -> Resolution {
        self.spec.resolution.unwrap_or(Resolution::None)
    }

    /// Its ports that have a legal number.
    pub(crate) fn ports(&self) -> impl Iterator<Item = (u16, &'s ServicePort)> {
        self.spec.ports.iter().filter_map(|port| Some((values::port(port.number?)?, port)))
    }

    pub(crate) fn has_port(&self, number: u16) -> bool {
        self.ports().any(|(port, _)| port == number)
    }

    /// `80, 8080`
    pub(crate) fn show_ports(&self) -> String {
        self.ports().map(|(port, _)| port.to_string()).collect::<Vec<_>>().join(", ")
    }

    pub(crate) fn is_visible_from(&self, namespace: &str) -> bool {
        visibility::is_visible(&self.spec.export_to, self.namespace(), namespace)
    }
}

impl Endpoint<'_> {
    /// Its service account.
    pub(crate) fn service_account(&self) -> Option<&str> {
        self.spec.service_account.as_deref().filter(|account| !account.is_empty())
    }

    /// Whether a sidecar stands before it: it says so by a label, or has an identity.
    pub(crate) fn speaks_mutual_tls(&self) -> bool {
        self.labels.get("security.istio.io/tlsMode").is_some_and(|mode| mode == "istio")
            || self.service_account().is_some()
    }
}

/// What is spoken on a port, if it says so.
pub(crate) fn protocol(port: &ServicePort) -> Option<Protocol> {
    port.protocol.as_deref().and_then(Protocol::parse)
}

/// All services, in Istio's order of ServiceEntries.
pub(crate) fn services(resources: &[Resource]) -> Vec<Service<'_>> {
    let mut entries: Vec<(&Resource, &ServiceEntry)> = resources
        .iter()
        .filter_map(|resource| match &resource.spec {
            Spec::ServiceEntry(spec) => Some((resource, &**spec)),
            _ => None,
        })
        .collect();
    entries.sort_by_key(|(resource, _)| resource.order());
    let mut services = Vec::new();
    for (resource, spec) in entries {
        for host in &spec.hosts {
            services.push(Service { host, resource, spec, endpoints: endpoints(resource, spec, resources) });
        }
    }
    services
}

fn endpoints<'s>(
    resource: &Resource,
    spec: &'s ServiceEntry,
    resources: &'s [Resource],
) -> Vec<Endpoint<'s>> {
    let Some(selector) = &spec.workload_selector else {
        let at = resource.spec_path().field("endpoints");
        return spec
            .endpoints
            .iter()
            .enumerate()
            .map(|(i, spec)| Endpoint { spec, labels: spec.labels.clone(), path: at.index(i) })
            .collect();
    };
    let mut found: Vec<(&Resource, Endpoint<'s>)> = resources
        .iter()
        .filter(|other| other.namespace() == resource.namespace())
        .filter_map(|other| match &other.spec {
            Spec::WorkloadEntry(spec) => Some((
                other,
                Endpoint { spec, labels: workload_labels(other, spec), path: other.spec_path() },
            )),
            _ => None,
        })
        .filter(|(_, endpoint)| values::selects(&selector.labels, &endpoint.labels))
        .collect();
    found.sort_by_key(|(resource, _)| resource.order());
    found.into_iter().map(|(_, endpoint)| endpoint).collect()
}

/// The labels of a WorkloadEntry: of its spec, with those of its metadata over them.
pub(crate) fn workload_labels(resource: &Resource, spec: &WorkloadEntry) -> BTreeMap<String, String> {
    let mut labels = spec.labels.clone();
    labels.extend(resource.metadata.labels.clone());
    labels
}
