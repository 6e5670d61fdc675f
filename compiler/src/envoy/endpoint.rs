//! The instances of a cluster.

use super::socket_address;
use crate::service::{Endpoint, Service};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::service_entry::{Resolution, ServicePort};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The `load_assignment` of a cluster.
pub(crate) fn assignment(
    cluster: &str,
    service: &Service<'_>,
    (number, port): (u16, &ServicePort),
    endpoints: &[&Endpoint<'_>],
    is_subset: bool,
    mark_mutual: bool,
    problems: &mut Problems,
) -> Value {
    let target = port.target_port.unwrap_or(u32::from(number));
    let mut localities: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let by_name =
        matches!(service.resolution(), Resolution::Dns | Resolution::DnsRoundRobin | Resolution::None);
    // A service found by DNS that lists no instances is looked up by its own name; a subset of it has none.
    if by_name && service.endpoints.is_empty() && !is_subset {
        let address = json!({"socket_address": {"address": service.host, "port_value": target}});
        localities.entry("").or_default().push(json!({"endpoint": {"address": address}}));
    }
    for endpoint in endpoints {
        let Some(address) = address(endpoint, port, target, problems) else { continue };
        let weight = endpoint.spec.weight.filter(|weight| *weight > 0);
        let mut entry = json!({"endpoint": {"address": address}});
        if let (Some(weight), Some(object)) = (weight, entry.as_object_mut()) {
            object.insert("load_balancing_weight".to_owned(), json!(weight));
        }
        if let (true, true, Some(object)) = (mark_mutual, endpoint.speaks_mutual_tls(), entry.as_object_mut())
        {
            let mark = json!({"filter_metadata": {"envoy.transport_socket_match": {"tlsMode": "istio"}}});
            object.insert("metadata".to_owned(), mark);
        }
        localities.entry(endpoint.spec.locality.as_deref().unwrap_or_default()).or_default().push(entry);
    }
    let groups: Vec<Value> =
        localities.into_iter().map(|(locality, entries)| group(locality, &entries)).collect();
    json!({"cluster_name": cluster, "endpoints": groups})
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

fn group(locality: &str, entries: &[Value]) -> Value {
    let mut group = Map::new();
    let mut parts = locality.split('/').filter(|part| !part.is_empty());
    let mut place = Map::new();
    for name in ["region", "zone", "sub_zone"] {
        if let Some(part) = parts.next() {
            place.insert(name.to_owned(), json!(part));
        }
    }
    if !place.is_empty() {
        group.insert("locality".to_owned(), Value::Object(place));
    }
    group.insert("lb_endpoints".to_owned(), json!(entries));
    Value::Object(group)
}
