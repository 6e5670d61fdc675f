//! The instances behind a cluster, for people.

use super::visible;
use crate::destination::Caller;
use crate::envoy;
use crate::envoy::locality::Locality;
use crate::options::{Options, ProxyChoice};
use crate::sidecar;
use crate::source::Sources;
use mesh_policy_istio::problem::Problems;
use serde_json::Value;
use std::collections::BTreeMap;

/// An instance that requests can go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// `10.0.0.1:8080`, a name and port for DNS to look up, or `unix://` and a path.
    pub address: String,
    /// `region/zone/subzone`, as far as it is known.
    pub locality: String,
    /// 0 for those that are tried first; the others get something when these fail.
    pub priority: u64,
    /// Its share among those of its locality and priority.
    pub weight: u64,
    /// The share of its locality among those of its priority, where shares are given to localities.
    pub locality_weight: Option<u64>,
}

/// The instances of the cluster with this name, in the order in which they are tried; nothing when the proxy has no such cluster.
#[must_use]
pub fn instances(
    sources: &Sources,
    choice: &ProxyChoice,
    options: &Options,
    cluster: &str,
) -> Option<Vec<Instance>> {
    // What is wrong with the resources is told when they are compiled.
    let mut problems = Problems::new();
    let none = BTreeMap::new();
    let namespace = match choice {
        ProxyChoice::Gateway(_) => &options.gateway_namespace,
        ProxyChoice::Workload(workload) => &workload.namespace,
    };
    let services = visible(sources, namespace, &mut problems);
    let site = match choice {
        ProxyChoice::Gateway(_) => None,
        ProxyChoice::Workload(workload) => sidecar::find(sources.resources(), &services, workload).ok(),
    };
    let labels = match (choice, &site) {
        (ProxyChoice::Gateway(labels), _) => labels,
        (_, Some(site)) => &site.labels,
        (ProxyChoice::Workload(workload), None) => workload.labels.as_ref().unwrap_or(&none),
    };
    let own = site.as_ref().and_then(|site| site.locality.as_deref());
    let caller = Caller {
        namespace,
        labels,
        locality: &Locality::parse(options.locality.as_deref().or(own).unwrap_or_default()),
        root_namespace: &options.root_namespace,
        identity: None,
        is_sidecar: matches!(choice, ProxyChoice::Workload(_)),
    };
    let clusters = envoy::cluster::clusters(sources.resources(), &services, caller, options, &mut problems);
    let groups = clusters.by_name.get(cluster)?.pointer("/load_assignment/endpoints")?.as_array()?;
    Some(groups.iter().flat_map(group).collect())
}

fn group(group: &Value) -> Vec<Instance> {
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_u64);
    let place = group.get("locality");
    let parts = ["region", "zone", "sub_zone"].map(|part| place.and_then(|place| place.get(part)?.as_str()));
    let locality = parts.into_iter().flatten().collect::<Vec<_>>().join("/");
    let endpoints = group.get("lb_endpoints").and_then(Value::as_array).into_iter().flatten();
    endpoints
        .map(|endpoint| Instance {
            address: endpoint.pointer("/endpoint/address").map(address).unwrap_or_default(),
            locality: locality.clone(),
            priority: number(group, "priority").unwrap_or(0),
            weight: number(endpoint, "load_balancing_weight").unwrap_or(1),
            locality_weight: number(group, "load_balancing_weight"),
        })
        .collect()
}

fn address(address: &Value) -> String {
    let text = |pointer: &str| address.pointer(pointer).and_then(Value::as_str);
    if let Some(path) = text("/pipe/path") {
        return format!("unix://{path}");
    }
    let host = text("/socket_address/address").unwrap_or_default();
    let port = address.pointer("/socket_address/port_value").and_then(Value::as_u64).unwrap_or_default();
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
