//! Connections that are forwarded as they are.

use super::{duration, extension, put};
use mesh_policy_istio::decode::Timespan;
use mesh_policy_istio::destination_rule::TunnelSettings;
use serde_json::{Map, Value, json};
use std::net::Ipv6Addr;

/// What a DestinationRule says of connections that are forwarded as they are.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Connections {
    /// How long one may be idle.
    pub idle: Option<Timespan>,
    /// How long one may last.
    pub lifetime: Option<Timespan>,
    /// Through which proxy they go, and where to.
    pub tunnel: Option<TunnelSettings>,
}

/// Where connections go: clusters and their shares.
pub(crate) fn tcp_proxy(stat_prefix: &str, clusters: &[(String, u32)], connections: &Connections) -> Value {
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
    let Connections { idle, lifetime, tunnel } = connections;
    put(&mut proxy, "idle_timeout", idle.map_or(Value::Null, duration));
    put(&mut proxy, "max_downstream_connection_duration", lifetime.map_or(Value::Null, duration));
    if let Some(TunnelSettings { protocol, target_host, target_port }) = tunnel {
        let host = target_host.as_deref().unwrap_or_default();
        let port = target_port.unwrap_or_default();
        let is_v6 = host.parse::<Ipv6Addr>().is_ok();
        let target = if is_v6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
        let by_post = protocol.as_deref() == Some("POST");
        put(&mut proxy, "tunneling_config", json!({"hostname": target, "use_post": by_post}));
    }
    extension(
        "envoy.filters.network.tcp_proxy",
        "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        Value::Object(proxy),
    )
}
