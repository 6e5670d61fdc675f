//! The workload of a sidecar: its instances among the services, its labels and its identity.

use crate::finding::Finding;
use crate::options::WorkloadChoice;
use crate::service::{Endpoint, Service, protocol, workload_labels};
use crate::values::{self, Protocol, selects};
use mesh_policy_istio::problem::ProblemKind;
use mesh_policy_istio::resource::{Resource, Spec};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A workload and what it serves.
#[derive(Debug)]
pub(crate) struct Site {
    pub labels: BTreeMap<String, String>,
    pub service_account: Option<String>,
    pub locality: Option<String>,
    /// By workload port.
    pub ports: BTreeMap<u16, SitePort>,
}

/// A port that a workload serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SitePort {
    /// The address under which others reach it; `None` when it is a name, and every address is meant.
    pub address: Option<IpAddr>,
    pub protocol: Option<Protocol>,
    /// The services it stands for.
    pub hosts: Vec<String>,
}

/// Finds the workload: the WorkloadEntry of its name, else the instances of services in its namespace that have its labels.
///
/// # Errors
/// There is nothing to be found.
pub(crate) fn find(
    resources: &[Resource],
    services: &[Service<'_>],
    choice: &WorkloadChoice,
) -> Result<Site, Box<Finding>> {
    let WorkloadChoice { namespace, name, labels, service_account, port: _ } = choice;
    let entry = resources.iter().find_map(|resource| match &resource.spec {
        Spec::WorkloadEntry(spec) if resource.namespace() == namespace && resource.name() == name => {
            Some((resource, spec))
        }
        _ => None,
    });
    let is_own = |service: &Service<'_>, endpoint: &Endpoint<'_>| match (&entry, labels) {
        (Some((resource, _)), _) => endpoint.path == resource.spec_path(),
        (None, Some(labels)) => {
            service.namespace() == namespace
                && !labels.is_empty()
                && selects(labels, &endpoint.labels)
                && service_account.as_deref().is_none_or(|own| endpoint.service_account() == Some(own))
        }
        (None, None) => false,
    };
    let mut site = Site {
        labels: labels
            .clone()
            .or_else(|| entry.map(|(resource, spec)| workload_labels(resource, spec)))
            .unwrap_or_default(),
        service_account: service_account
            .clone()
            .or_else(|| entry.and_then(|(_, spec)| spec.service_account.clone())),
        locality: entry.and_then(|(_, spec)| spec.locality.clone()),
        ports: BTreeMap::new(),
    };
    for service in services {
        for endpoint in service.endpoints.iter().filter(|endpoint| is_own(service, endpoint)) {
            site.service_account =
                site.service_account.or_else(|| endpoint.service_account().map(str::to_owned));
            if entry.is_none() {
                let more = endpoint.labels.iter().map(|(key, value)| (key.clone(), value.clone()));
                site.labels.extend(more);
                site.locality = site.locality.or_else(|| endpoint.spec.locality.clone());
            }
            for (number, port) in service.ports() {
                let own = port.name.as_ref().and_then(|name| endpoint.spec.ports.get(name)).copied();
                let target = own.or(port.target_port).unwrap_or(u32::from(number));
                let Some(target) = values::port(target) else { continue };
                let place = site.ports.entry(target).or_insert_with(|| SitePort {
                    address: endpoint.spec.address.as_deref().and_then(|address| address.parse().ok()),
                    protocol: protocol(port),
                    hosts: Vec::new(),
                });
                if !place.hosts.iter().any(|host| host == service.host) {
                    place.hosts.push(service.host.to_owned());
                }
            }
        }
    }
    if entry.is_none() && site.ports.is_empty() {
        let help = match labels {
            Some(_) => "the labels have to be among those of an endpoint".to_owned(),
            None => "write a WorkloadEntry of this name, or tell the labels of its endpoints".to_owned(),
        };
        return Err(Box::new(Finding::placeless(
            ProblemKind::UnknownReference,
            format!("no service has the workload `{namespace}/{name}` for an instance"),
            Some(help),
        )));
    }
    Ok(site)
}
