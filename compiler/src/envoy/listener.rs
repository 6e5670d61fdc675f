//! Listeners, their filter chains, and the network filter for HTTP.

use super::{extension, put, socket_address};
use crate::options::{AccessLog, Engine, Options, PathNormalization};
use mesh_policy_core::control;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// Where a connection manager stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// In front of everybody: what clients say about themselves does not count.
    Gateway,
    /// Before the application of a sidecar.
    Inbound,
    /// Behind it.
    Outbound,
}

/// The network filter for HTTP, with the filters and routes of either engine.
pub(crate) fn http(
    name: &str,
    position: Position,
    filters: Vec<Value>,
    routes: Value,
    options: &Options,
) -> Value {
    let mut manager = connection_manager(name, position, options);
    if let Some(manager) = manager.as_object_mut() {
        manager.insert("http_filters".to_owned(), Value::Array(filters));
        manager.insert("route_config".to_owned(), routes);
    }
    extension(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        manager,
    )
}

/// An address and port, and its filter chains. TLS is looked into where a chain depends on it.
pub(crate) fn listener(name: &str, address: IpAddr, port: u16, direction: &str, chains: &[Value]) -> Value {
    let mut listener = json!({
        "name": name,
        "address": socket_address(address, port),
        "traffic_direction": direction,
        "filter_chains": chains,
    });
    let inspects = chains.iter().any(|chain| chain.get("filter_chain_match").is_some());
    if let (true, Some(listener)) = (inspects, listener.as_object_mut()) {
        let inspector = extension(
            "envoy.filters.listener.tls_inspector",
            "envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
            json!({}),
        );
        let mut filters = vec![inspector];
        // Plain bytes are looked into only where they may be HTTP or not.
        if asks(chains, "h2c") {
            filters.push(extension(
                "envoy.filters.listener.http_inspector",
                "envoy.extensions.filters.listener.http_inspector.v3.HttpInspector",
                json!({}),
            ));
        }
        listener.insert("listener_filters".to_owned(), json!(filters));
    }
    listener
}

fn asks(chains: &[Value], protocol: &str) -> bool {
    chains.iter().any(|chain| {
        let protocols = chain.pointer("/filter_chain_match/application_protocols").and_then(Value::as_array);
        protocols.is_some_and(|protocols| protocols.iter().any(|other| other == protocol))
    })
}

/// What makes a connection take a filter chain.
#[derive(Debug, Default)]
pub(crate) struct ChainMatch {
    /// None for any.
    pub server_names: Vec<String>,
    pub prefix_ranges: Vec<Value>,
    pub transport: Option<&'static str>,
    pub application: Vec<&'static str>,
}

/// What the attributes of a Wasm filter do not tell: the direct peer's address (`source.address` is the one that
/// X-Forwarded-For may replace) and all URI SANs of its certificate (the attribute has the first only).
///
/// Neither changes while a connection lasts, so a network filter in front of the connection manager looks once: after the
/// handshake, or at once where there is none. Envoy can do so since 1.37.
pub fn peer_facts() -> Value {
    let fact = |key: &str, format: &str| {
        json!({
            "object_key": key,
            "factory_key": "envoy.string",
            "format_string": {"text_format_source": {"inline_string": format}, "omit_empty_values": true},
            "skip_if_empty": true,
        })
    };
    extension(
        "envoy.filters.network.set_filter_state",
        "envoy.extensions.filters.network.set_filter_state.v3.Config",
        json!({"on_downstream_tls_handshake": [
            fact(control::DIRECT_REMOTE_IP_FILTER_STATE, "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
            fact(control::PEER_URI_SANS_FILTER_STATE, "%DOWNSTREAM_PEER_URI_SAN%"),
        ]}),
    )
}

/// How long a client may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: &str = "15s";

/// A filter chain.
pub(crate) fn chain(
    name: &str,
    matched: &ChainMatch,
    filters: &[Value],
    transport_socket: Option<Value>,
) -> Value {
    let ChainMatch { server_names, prefix_ranges, transport, application } = matched;
    let mut condition = Map::new();
    if !server_names.is_empty() {
        put(&mut condition, "server_names", json!(server_names));
    }
    if !prefix_ranges.is_empty() {
        put(&mut condition, "prefix_ranges", json!(prefix_ranges));
    }
    put(&mut condition, "transport_protocol", json!(transport));
    if !application.is_empty() {
        put(&mut condition, "application_protocols", json!(application));
    }
    let mut chain = Map::new();
    if !condition.is_empty() {
        put(&mut chain, "name", json!(name));
        put(&mut chain, "filter_chain_match", Value::Object(condition));
    }
    put(&mut chain, "filters", json!(filters));
    if let Some(socket) = transport_socket {
        put(&mut chain, "transport_socket", socket);
        put(&mut chain, "transport_socket_connect_timeout", json!(HANDSHAKE_TIMEOUT));
    }
    Value::Object(chain)
}

fn connection_manager(name: &str, position: Position, options: &Options) -> Value {
    let (normalize, merge, escaped) = match options.path_normalization {
        PathNormalization::None => (false, false, "KEEP_UNCHANGED"),
        PathNormalization::Base => (true, false, "KEEP_UNCHANGED"),
        PathNormalization::MergeSlashes => (true, true, "KEEP_UNCHANGED"),
        PathNormalization::DecodeAndMergeSlashes => (true, true, "UNESCAPE_AND_FORWARD"),
    };
    // Only a gateway talks to strangers. A sidecar's neighbours are the mesh and its own application.
    let client_certificate = match position {
        Position::Gateway => "SANITIZE_SET",
        Position::Inbound => "APPEND_FORWARD",
        Position::Outbound => "SANITIZE",
    };
    json!({
        "stat_prefix": name,
        "server_name": "istio-envoy",
        "use_remote_address": position == Position::Gateway,
        "xff_num_trusted_hops": 0,
        "forward_client_cert_details": client_certificate,
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
            "authz_custom": state(control::CUSTOM_FILTER_STATE),
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
        for name in ["authz", "authz_custom", "authz_audit", "authz_shadow_deny", "authz_shadow_allow"] {
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
