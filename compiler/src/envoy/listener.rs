//! A gateway's listener.

use super::{extension, socket_address};
use crate::gateway::Listener;
use crate::options::{AccessLog, Engine, Options, PathNormalization};
use mesh_policy_core::control;
use serde_json::{Value, json};

/// With the filters and routes of either engine.
pub(crate) fn listener(
    listener: &Listener<'_>,
    filters: Vec<Value>,
    routes: Value,
    options: &Options,
) -> Value {
    let mut manager = connection_manager(listener, options);
    if let Some(manager) = manager.as_object_mut() {
        manager.insert("http_filters".to_owned(), Value::Array(filters));
        manager.insert("route_config".to_owned(), routes);
    }
    json!({
        "name": listener.name,
        "address": socket_address(listener.address, listener.port),
        "traffic_direction": "OUTBOUND",
        "filter_chains": [{"filters": [extension(
            "envoy.filters.network.http_connection_manager",
            "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            manager,
        )]}],
    })
}

fn connection_manager(listener: &Listener<'_>, options: &Options) -> Value {
    let (normalize, merge, escaped) = match options.path_normalization {
        PathNormalization::None => (false, false, "KEEP_UNCHANGED"),
        PathNormalization::Base => (true, false, "KEEP_UNCHANGED"),
        PathNormalization::MergeSlashes => (true, true, "KEEP_UNCHANGED"),
        PathNormalization::DecodeAndMergeSlashes => (true, true, "UNESCAPE_AND_FORWARD"),
    };
    json!({
        "stat_prefix": listener.name,
        "server_name": "istio-envoy",
        "use_remote_address": true,
        "xff_num_trusted_hops": 0,
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": {"subject": true, "cert": true, "dns": true, "uri": true},
        "normalize_path": normalize,
        "merge_slashes": merge,
        "path_with_escaped_slashes_action": escaped,
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "access_log": access_log(options),
    })
}

fn access_log(options: &Options) -> Vec<Value> {
    let state = |key: &str| format!("%FILTER_STATE(wasm.{key}:PLAIN)%");
    let mut format = json!({
        "json_format": {
            "start_time": "%START_TIME%",
            "method": "%REQ(:METHOD)%",
            "authority": "%REQ(:AUTHORITY)%",
            "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
            "protocol": "%PROTOCOL%",
            "response_code": "%RESPONSE_CODE%",
            "response_code_details": "%RESPONSE_CODE_DETAILS%",
            "response_flags": "%RESPONSE_FLAGS%",
            "duration": "%DURATION%",
            "upstream_cluster": "%UPSTREAM_CLUSTER_RAW%",
            "upstream_host": "%UPSTREAM_HOST%",
            "downstream_remote_address": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
            "route": state(control::ROUTE_FILTER_STATE),
            "authz": state(control::AUTHZ_FILTER_STATE),
            "authz_audit": state(control::AUDIT_FILTER_STATE),
            "authz_shadow_deny": state(control::SHADOW_DENY_FILTER_STATE),
            "authz_shadow_allow": state(control::SHADOW_ALLOW_FILTER_STATE),
        },
    });
    // Envoy's own routes have names; its own denials stand in the details.
    if options.engine == Engine::Native
        && let Some(fields) = format.pointer_mut("/json_format").and_then(Value::as_object_mut)
    {
        fields.insert("route".to_owned(), json!("%ROUTE_NAME%"));
        for name in ["authz", "authz_audit", "authz_shadow_deny", "authz_shadow_allow"] {
            fields.remove(name);
        }
    }
    match &options.access_log {
        AccessLog::Off => Vec::new(),
        AccessLog::Stdout => vec![extension(
            "envoy.access_loggers.stdout",
            "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            json!({"log_format": format}),
        )],
        AccessLog::File(path) => vec![extension(
            "envoy.access_loggers.file",
            "envoy.extensions.access_loggers.file.v3.FileAccessLog",
            json!({"path": path, "log_format": format}),
        )],
    }
}
