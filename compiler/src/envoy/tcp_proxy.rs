//! Connections that are forwarded as they are.

use super::{duration, extension, put};
use mesh_policy_istio::decode::Timespan;
use serde_json::{Map, Value, json};

/// Where connections go: clusters and their shares.
pub(crate) fn tcp_proxy(stat_prefix: &str, clusters: &[(String, u32)], idle: Option<Timespan>) -> Value {
    let mut proxy = Map::new();
    put(&mut proxy, "stat_prefix", json!(stat_prefix));
    match clusters {
        [(only, _)] => put(&mut proxy, "cluster", json!(only)),
        several => {
            let several: Vec<Value> =
                several.iter().map(|(name, weight)| json!({"name": name, "weight": weight})).collect();
            put(&mut proxy, "weighted_clusters", json!({"clusters": several}));
        }
    }
    put(&mut proxy, "idle_timeout", idle.map_or(Value::Null, duration));
    extension(
        "envoy.filters.network.tcp_proxy",
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        Value::Object(proxy),
    )
}
