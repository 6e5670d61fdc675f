//! How HTTP is spoken to a cluster.

use super::{duration, put, typed};
use crate::values::Protocol;
use mesh_policy_istio::destination_rule::{
    ConnectionPoolSettings, H2UpgradePolicy, HttpSettings, OutlierDetection,
};
use serde_json::{Map, Value, json};

const OPTIONS: &str = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";

/// The most streams that Envoy takes as a bound.
const MAX_CONCURRENT_STREAMS: u32 = 2_147_483_647;

/// What of TLS goes by the host of each request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ByHost {
    /// The server name that is asked for.
    pub sni: bool,
    /// The name that the server's certificate must carry.
    pub names: bool,
}

/// The cluster's `typed_extension_protocol_options`.
pub(crate) fn options(
    protocol: Option<Protocol>,
    pool: Option<&ConnectionPoolSettings>,
    outliers: Option<&OutlierDetection>,
    by_host: ByHost,
) -> Value {
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let http = pool.and_then(|pool| pool.http.as_ref());
    let mut common = Map::new();
    let idle = http.and_then(|http| http.idle_timeout).or_else(|| tcp.and_then(|tcp| tcp.idle_timeout));
    put(&mut common, "idle_timeout", idle.map_or(Value::Null, duration));
    let lifetime = tcp.and_then(|tcp| tcp.max_connection_duration);
    put(&mut common, "max_connection_duration", lifetime.map_or(Value::Null, duration));
    let requests = http.and_then(|http| http.max_requests_per_connection).filter(|count| *count > 0);
    put(&mut common, "max_requests_per_connection", json!(requests));

    let mut options = Map::new();
    if !common.is_empty() {
        put(&mut options, "common_http_protocol_options", Value::Object(common));
    }
    let upgrade = http.and_then(|http| http.h2_upgrade_policy) == Some(H2UpgradePolicy::Upgrade)
        && protocol.is_none_or(Protocol::is_http);
    // A port that does not say what is spoken there gets what the client speaks.
    let follow_client = http.and_then(|http| http.use_client_protocol) == Some(true) || protocol.is_none();
    if protocol.is_some_and(Protocol::is_http2) || upgrade {
        let explicit = json!({"http2_protocol_options": http2(http)});
        put(&mut options, "explicit_http_config", explicit);
    } else if follow_client {
        let both = json!({"http_protocol_options": {}, "http2_protocol_options": http2(http)});
        put(&mut options, "use_downstream_protocol_config", both);
    } else {
        put(&mut options, "explicit_http_config", json!({"http_protocol_options": {}}));
    }
    if let Some(matcher) = outliers.and_then(error_matcher) {
        put(&mut options, "outlier_detection", json!({"error_matcher": matcher}));
    }
    let ByHost { sni, names } = by_host;
    if sni || names {
        let from_host = json!({"auto_sni": sni, "auto_san_validation": names});
        put(&mut options, "upstream_http_protocol_options", from_host);
    }
    json!({OPTIONS: typed(OPTIONS, Value::Object(options))})
}

/// The options of a cluster that speaks HTTP/2 and nothing else.
pub(super) fn http2_only() -> Value {
    json!({OPTIONS: typed(OPTIONS, json!({"explicit_http_config": {"http2_protocol_options": {}}}))})
}

fn http2(http: Option<&HttpSettings>) -> Value {
    let streams = http
        .and_then(|http| http.max_concurrent_streams)
        .and_then(|count| u32::try_from(count).ok())
        .filter(|count| *count > 0)
        .unwrap_or(MAX_CONCURRENT_STREAMS);
    let mut object = Map::new();
    put(&mut object, "max_concurrent_streams", json!(streams));
    if let Some(keepalive) = http.and_then(|http| http.http2_keep_alive.as_ref())
        && let (Some(interval), Some(timeout)) = (keepalive.interval, keepalive.timeout)
    {
        let pings = json!({"interval": duration(interval), "timeout": duration(timeout)});
        put(&mut object, "connection_keepalive", pings);
    }
    Value::Object(object)
}

/// The statuses that count as failures in place of all 5xx.
fn error_matcher(outliers: &OutlierDetection) -> Option<Value> {
    let rules: Vec<Value> = outliers
        .http_error_codes
        .iter()
        .map(|code| {
            let header = json!({"name": ":status", "string_match": {"exact": code.to_string()}});
            json!({"http_response_headers_match": {"headers": [header]}})
        })
        .collect();
    match rules.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        _ => Some(json!({"or_match": {"rules": rules}})),
    }
}
