//! The same instance for the same key.

use crate::envoy::{duration, extension, put};
use mesh_policy_istio::destination_rule::ConsistentHashLb;
use serde_json::{Map, Value, json};

/// Istio's smallest ring; Envoy's own is the same.
const RING_SIZE: u64 = 1024;

/// Where the key of a request comes from, as Envoy's hash policy; nothing is hashed without one.
pub(super) fn key(hash: &ConsistentHashLb) -> Option<Value> {
    if let Some(name) = hash.http_header_name.as_deref().filter(|name| !name.is_empty()) {
        return Some(json!({"header": {"header_name": name}}));
    }
    if let Some(cookie) = &hash.http_cookie {
        let mut key = Map::new();
        put(&mut key, "name", json!(cookie.name));
        put(&mut key, "path", json!(cookie.path.as_deref().filter(|path| !path.is_empty())));
        // With a lifetime, even of 0, Envoy makes the cookie when a client has none.
        put(&mut key, "ttl", cookie.ttl.map_or(Value::Null, duration));
        let attributes: Vec<Value> = cookie
            .attributes
            .iter()
            .map(|attribute| json!({"name": attribute.name, "value": attribute.value.as_deref().unwrap_or_default()}))
            .collect();
        if !attributes.is_empty() {
            put(&mut key, "attributes", json!(attributes));
        }
        return Some(json!({"cookie": key}));
    }
    if hash.use_source_ip == Some(true) {
        return Some(json!({"connection_properties": {"source_ip": true}}));
    }
    let parameter = hash.http_query_parameter_name.as_deref().filter(|name| !name.is_empty())?;
    Some(json!({"query_parameter": {"name": parameter}}))
}

/// The balancer. The key stands here and not in a route: what a request is hashed by depends on where it goes.
pub(super) fn policy(hash: &ConsistentHashLb, has_shares: bool) -> Value {
    let keys: Vec<Value> = key(hash).into_iter().collect();
    let mut fields = Map::new();
    put(&mut fields, "consistent_hashing_lb_config", json!({"hash_policy": keys}));
    if has_shares {
        put(&mut fields, "locality_weighted_lb_config", json!({}));
    }
    let balancer = match &hash.maglev {
        Some(maglev) => {
            put(&mut fields, "table_size", json!(maglev.table_size));
            extension(
                "envoy.load_balancing_policies.maglev",
                "envoy.extensions.load_balancing_policies.maglev.v3.Maglev",
                Value::Object(fields),
            )
        }
        None => {
            let ring = hash.ring_hash.as_ref().and_then(|ring| ring.minimum_ring_size);
            let size = ring.or(hash.minimum_ring_size).filter(|size| *size > 0).unwrap_or(RING_SIZE);
            put(&mut fields, "minimum_ring_size", json!(size));
            extension(
                "envoy.load_balancing_policies.ring_hash",
                "envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash",
                Value::Object(fields),
            )
        }
    };
    json!({"policies": [{"typed_extension_config": balancer}]})
}
