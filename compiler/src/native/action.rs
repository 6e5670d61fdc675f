//! Forwarding: clusters, rewrites, bounds in time, retries, copies.

use super::header_operations::{authority, put_operations};
use super::{Site, fault, retry};
use crate::envoy::{cluster, duration, put};
use mesh_policy_istio::virtual_service::{Destination, HttpRoute, HttpRouteDestination};
use serde_json::{Map, Value, json};

/// Envoy's route action.
pub(super) fn forward(rule: &HttpRoute, site: &Site<'_>) -> Value {
    let mut action = Map::new();
    // What the rule says of the authority counts before what a destination says.
    let mut host = rule.rewrite.as_ref().and_then(|rewrite| rewrite.authority.as_deref());
    host = host.filter(|host| !host.is_empty()).or_else(|| authority(rule.headers.as_deref()));
    match rule.route.as_slice() {
        [only] => {
            host = host.or_else(|| authority(only.headers.as_deref()));
            put(&mut action, "cluster", json!(cluster_name(only.destination.as_ref(), site)));
        }
        several => {
            let clusters: Vec<Value> =
                several.iter().filter_map(|destination| weighted(destination, site)).collect();
            put(&mut action, "weighted_clusters", json!({"clusters": clusters}));
        }
    }
    put(&mut action, "host_rewrite_literal", json!(host));
    if let Some(rewrite) = &rule.rewrite {
        // One replacement for every kind of match: Envoy takes the matched prefix away, or the whole path where an exact
        // path or an expression was matched.
        put(&mut action, "prefix_rewrite", json!(rewrite.uri.as_deref().filter(|uri| !uri.is_empty())));
        if let Some(regex) = &rewrite.uri_regex_rewrite {
            let config = json!({"pattern": {"regex": regex.pattern}, "substitution": regex.rewrite});
            put(&mut action, "regex_rewrite", config);
        }
    }
    match rule.timeout.map(duration) {
        // What a gRPC client asks for counts up to the rule's bound. The field is Istio's: its successor, below, would switch
        // `timeout` off.
        Some(timeout) => {
            put(&mut action, "max_grpc_timeout", timeout.clone());
            put(&mut action, "timeout", timeout);
        }
        None => {
            put(&mut action, "max_stream_duration", json!({"grpc_timeout_header_max": "0s"}));
            put(&mut action, "timeout", json!("0s"));
        }
    }
    put(&mut action, "retry_policy", retry::retry_policy(rule.retries.as_deref()));
    let mirrors = mirrors(rule, site);
    if !mirrors.is_empty() {
        put(&mut action, "request_mirror_policies", Value::Array(mirrors));
    }
    Value::Object(action)
}

fn cluster_name(destination: Option<&Destination>, site: &Site<'_>) -> String {
    let default = Destination::default();
    let Destination { host, subset, port } = destination.unwrap_or(&default);
    let host = host.as_deref().unwrap_or_default();
    let port = port.as_ref().and_then(|port| port.number).and_then(|number| u16::try_from(number).ok());
    let port = port.filter(|port| *port != 0).unwrap_or_else(|| site.default_port(host));
    cluster::name(port, subset.as_deref().unwrap_or_default(), host)
}

/// One of several destinations; `None` when it has no share.
fn weighted(destination: &HttpRouteDestination, site: &Site<'_>) -> Option<Value> {
    let weight = destination.weight.filter(|weight| *weight > 0)?;
    let mut cluster = Map::new();
    put(&mut cluster, "name", json!(cluster_name(destination.destination.as_ref(), site)));
    put(&mut cluster, "weight", json!(weight));
    let headers = destination.headers.as_deref();
    put(&mut cluster, "host_rewrite_literal", json!(authority(headers)));
    put_operations(&mut cluster, &[headers]);
    Some(Value::Object(cluster))
}

/// Copies go to all by default; a share of 0 means no copy.
fn mirrors(rule: &HttpRoute, site: &Site<'_>) -> Vec<Value> {
    let all = || fault::per_hundred(100);
    let deprecated = rule.mirror.iter().map(|destination| {
        let share = match (&rule.mirror_percentage, rule.mirror_percent) {
            (Some(share), _) => fault::per_million(share),
            (None, Some(share)) => fault::per_hundred(share),
            (None, None) => all(),
        };
        (Some(destination), share)
    });
    let listed = rule.mirrors.iter().map(|mirror| {
        let share = mirror.percentage.as_ref().map_or_else(all, fault::per_million);
        (mirror.destination.as_ref(), share)
    });
    deprecated
        .chain(listed)
        .filter(|(_, share)| share.get("numerator") != Some(&json!(0)))
        .map(|(destination, share)| {
            json!({
                "cluster": cluster_name(destination, site),
                "runtime_fraction": {"default_value": share},
                "trace_sampled": false,
                "disable_shadow_host_suffix_append": true,
            })
        })
        .collect()
}
