//! The instances of a cluster.

use super::locality::{Instance, Locality, Preference};
use super::{put, socket_address};
use crate::service::{Endpoint, Service};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::service_entry::{Resolution, ServicePort};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The instances of one port of a service, or of a subset of it.
pub(crate) struct Instances<'e> {
    pub service: &'e Service<'e>,
    pub port: (u16, &'e ServicePort),
    pub endpoints: Vec<&'e Endpoint<'e>>,
    pub is_subset: bool,
    /// Those that speak mutual TLS are told apart.
    pub mark_mutual: bool,
    pub preference: Preference<'e>,
}

/// The `load_assignment` of a cluster.
pub(crate) fn assignment(cluster: &str, instances: &Instances<'_>, problems: &mut Problems) -> Value {
    let Instances { service, port: (number, port), endpoints, is_subset, mark_mutual, preference } =
        instances;
    let target = port.target_port.unwrap_or(u32::from(*number));
    let none = BTreeMap::new();
    let mut instances = Vec::new();
    let by_name =
        matches!(service.resolution(), Resolution::Dns | Resolution::DnsRoundRobin | Resolution::None);
    // A service found by DNS that lists no instances is looked up by its own name; a subset of it has none.
    if by_name && service.endpoints.is_empty() && !*is_subset {
        let address = json!({"socket_address": {"address": service.host, "port_value": target}});
        let endpoint = json!({"endpoint": {"address": address}});
        instances.push(Instance { locality: Locality::default(), labels: &none, weight: 1, endpoint });
    }
    for endpoint in endpoints {
        let Some(address) = address(endpoint, port, target, problems) else { continue };
        let weight = endpoint.spec.weight.filter(|weight| *weight > 0);
        let mut entry = Map::new();
        put(&mut entry, "endpoint", json!({"address": address}));
        put(&mut entry, "load_balancing_weight", json!(weight));
        if *mark_mutual && endpoint.speaks_mutual_tls() {
            let mark = json!({"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"}}});
            put(&mut entry, "metadata", mark);
        }
        instances.push(Instance {
            locality: Locality::parse(endpoint.spec.locality.as_deref().unwrap_or_default()),
            labels: &endpoint.labels,
            weight: weight.unwrap_or(1),
            endpoint: Value::Object(entry),
        });
    }
    json!({"cluster_name": cluster, "endpoints": preference.groups(instances)})
}

/// An endpoint's own port for the service port's name counts before the service's target port.
fn address(
    endpoint: &Endpoint<'_>,
    port: &ServicePort,
    target: u32,
    problems: &mut Problems,
) -> Option<Value> {
    let text = endpoint.spec.address.as_deref().unwrap_or_default();
    if let Some(path) = text.strip_prefix("unix://") {
        return Some(json!({"pipe": {"path": path}}));
    }
    if text.is_empty() {
        problems.error(
            endpoint.path.clone(),
            ProblemKind::Unsupported,
            "an instance of another network without an address cannot be reached from here",
        );
        return None;
    }
    let own = port.name.as_ref().and_then(|name| endpoint.spec.ports.get(name)).copied();
    let number = own.unwrap_or(target);
    Some(match (text.parse::<IpAddr>(), crate::values::port(number)) {
        (Ok(ip), Some(number)) => socket_address(ip, number),
        _ => json!({"socket_address": {"address": text, "port_value": number}}),
    })
}
