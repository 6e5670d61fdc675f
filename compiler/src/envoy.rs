//! Envoy's configuration, piece by piece, as JSON.

pub(crate) mod bootstrap;
pub(crate) mod circuit_breaker;
pub(crate) mod cluster;
pub(crate) mod endpoint;
pub(crate) mod filter;
pub(crate) mod http_protocol;
pub(crate) mod listener;
pub(crate) mod load_balancing;
pub(crate) mod locality;
pub(crate) mod outlier_detection;
pub(crate) mod route;
pub(crate) mod sds;
pub(crate) mod tcp_proxy;
pub(crate) mod tls;

use mesh_policy_istio::decode::Timespan;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// The type of a typed configuration.
pub(crate) fn typed(name: &str, mut fields: Value) -> Value {
    if let Some(object) = fields.as_object_mut() {
        object.insert("@type".to_owned(), json!(format!("type.googleapis.com/{name}")));
    }
    fields
}

/// A filter or extension by name and typed configuration.
pub(crate) fn extension(name: &str, type_name: &str, fields: Value) -> Value {
    json!({"name": name, "typed_config": typed(type_name, fields)})
}

/// `1.5s`: the JSON of a protobuf duration. Validation admits whole milliseconds only.
pub(crate) fn duration(span: Timespan) -> Value {
    let millis = span.whole_millis().unwrap_or(0);
    let (seconds, rest) = (millis / 1000, millis % 1000);
    json!(if rest == 0 { format!("{seconds}s") } else { format!("{seconds}.{rest:03}s") })
}

pub(crate) fn socket_address(address: IpAddr, port: u16) -> Value {
    json!({"socket_address": {"address": address.to_string(), "port_value": port}})
}

/// Sets `name` unless the value is null.
pub(crate) fn put(object: &mut Map<String, Value>, name: &str, value: Value) {
    if !value.is_null() {
        object.insert(name.to_owned(), value);
    }
}
