//! The route table in front of which the router filter decides: everything goes where [`control::CLUSTER`] says.
//!
//! One route for each forwarding profile that a rule of the listener has, selected by [`control::PROFILE`], and one for all
//! other rules.

use mesh_policy_core::control;
use mesh_policy_core::route::{ForwardingProfile, OwnRetries};
use serde_json::{Value, json};

/// What is retried when a rule has no `retries`: Istio's default, two tries more for failures that cannot have had an
/// effect upstream.
const DEFAULT_RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

/// How often Envoy draws again when it meets a host that was already tried.
const HOST_SELECTION_ATTEMPTS: &str = "5";

pub(crate) fn route_config(gateway_port: u16, profiles: &[&ForwardingProfile]) -> Value {
    let mut routes = vec![route("default", default_retries())];
    // The default comes first: most rules need nothing else, and Envoy tries its routes one by one.
    if let Some(default) = routes.first_mut() {
        merge(
            default,
            json!({"match": {"headers": [{"name": control::PROFILE, "present_match": true, "invert_match": true}]}}),
        );
    }
    for profile in profiles {
        let mut route = route(profile.name(), profile.retries().map_or_else(default_retries, own_retries));
        let selector = json!([{"name": control::PROFILE, "string_match": {"exact": profile.name()}}]);
        merge(&mut route, json!({"match": {"headers": selector}}));
        let mirrors: Vec<Value> = profile.mirrors().map(mirror).collect();
        if !mirrors.is_empty() {
            merge(&mut route, json!({"route": {"request_mirror_policies": mirrors}}));
        }
        routes.push(route);
    }
    json!({
        "name": format!("http.{gateway_port}"),
        "validate_clusters": false,
        "ignore_port_in_host_matching": true,
        "max_direct_response_body_size_bytes": 1_048_576,
        "virtual_hosts": [{"name": "*", "domains": ["*"], "routes": routes}],
    })
}

/// Istio's retries for rules without `retries`.
fn default_retries() -> Value {
    let mut policy =
        own_retries(OwnRetries { avoid_tried_hosts: true, remote_localities: false, backoff_ms: None });
    merge(&mut policy, json!({"num_retries": 2, "retry_on": DEFAULT_RETRY_ON}));
    policy
}

/// Where and when a rule's own tries go; how many and after what, the router filter says by headers.
fn own_retries(retries: OwnRetries) -> Value {
    let OwnRetries { avoid_tried_hosts, remote_localities, backoff_ms } = retries;
    let mut policy = json!({"host_selection_retry_max_attempts": HOST_SELECTION_ATTEMPTS});
    if avoid_tried_hosts {
        let predicate = super::extension(
            "envoy.retry_host_predicates.previous_hosts",
            "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            json!({}),
        );
        merge(&mut policy, json!({"retry_host_predicate": [predicate]}));
    }
    if remote_localities {
        let priority = super::extension(
            "envoy.retry_priorities.previous_priorities",
            "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            json!({"update_frequency": 2}),
        );
        merge(&mut policy, json!({"retry_priority": priority}));
    }
    if let Some(milliseconds) = backoff_ms {
        let interval = format!("{}.{:03}s", milliseconds / 1000, milliseconds % 1000);
        merge(&mut policy, json!({"retry_back_off": {"base_interval": interval}}));
    }
    policy
}

fn mirror((cluster, share): (&str, u32)) -> Value {
    json!({
        "cluster": cluster,
        "runtime_fraction": {"default_value": {"numerator": share, "denominator": "MILLION"}},
        "disable_shadow_host_suffix_append": true,
    })
}

fn route(name: &str, retry_policy: Value) -> Value {
    json!({
        "name": name,
        "match": {"prefix": "/"},
        "route": {
            "cluster_header": control::CLUSTER,
            // No bound unless the rule has one; a client's grpc-timeout counts.
            "timeout": "0s",
            "max_stream_duration": {"grpc_timeout_header_max": "0s"},
            "retry_policy": retry_policy,
        },
    })
}

/// Puts the fields of `from` into `into`, objects into objects.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
