//! The route table in front of which the router filter decides: everything goes where [`control::CLUSTER`] says.

use mesh_policy_core::control;
use serde_json::{Value, json};

/// What is retried when a rule has no `retries`: Istio's default, two tries more for failures that cannot have had an
/// effect upstream.
const DEFAULT_RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

/// How often Envoy draws again when it meets a host that was already tried.
const HOST_SELECTION_ATTEMPTS: &str = "5";

pub(crate) fn route_config(gateway_port: u16) -> Value {
    let own = json!({"host_selection_retry_max_attempts": HOST_SELECTION_ATTEMPTS});
    let mut avoiding = own.clone();
    let mut default = json!({"num_retries": 2, "retry_on": DEFAULT_RETRY_ON});
    for policy in [&mut avoiding, &mut default] {
        if let Some(policy) = policy.as_object_mut() {
            policy.insert("host_selection_retry_max_attempts".to_owned(), json!(HOST_SELECTION_ATTEMPTS));
            policy.insert(
                "retry_host_predicate".to_owned(),
                json!([super::extension(
                    "envoy.retry_host_predicates.previous_hosts",
                    "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
                    json!({}),
                )]),
            );
        }
    }
    json!({
        "name": format!("http.{gateway_port}"),
        "validate_clusters": false,
        "ignore_port_in_host_matching": true,
        "max_direct_response_body_size_bytes": 1_048_576,
        "virtual_hosts": [{
            "name": "*",
            "domains": ["*"],
            "routes": [
                route("own-retries-avoiding-hosts", Some(control::RETRIES_AVOID_HOSTS), avoiding),
                route("own-retries", Some(control::RETRIES_ANY_HOST), own),
                route("default-retries", None, default),
            ],
        }],
    })
}

fn route(name: &str, retries: Option<&str>, retry_policy: Value) -> Value {
    let mut matches = json!({"prefix": "/"});
    if let (Some(retries), Some(object)) = (retries, matches.as_object_mut()) {
        let header = json!([{"name": control::RETRIES, "string_match": {"exact": retries}}]);
        object.insert("headers".to_owned(), header);
    }
    let mirrors: Vec<Value> =
        control::MIRRORS.iter().map(|header| json!({"cluster_header": header})).collect();
    json!({
        "name": name,
        "match": matches,
        "route": {
            "cluster_header": control::CLUSTER,
            // No bound unless the rule has one; a client's grpc-timeout counts.
            "timeout": "0s",
            "max_stream_duration": {"grpc_timeout_header_max": "0s"},
            "retry_policy": retry_policy,
            "request_mirror_policies": mirrors,
        },
    })
}
