//! Envoy configuration in small pieces, for tests that need a little of it.
//!
//! Everything binds and connects to loopback addresses only. Listeners bind port 0: ask
//! [`Envoy::listener`](crate::envoy::Envoy::listener) for the address they got.

use std::{net::SocketAddr, path::Path};

use crate::certs::{Authority, Identity};
use serde_json::{Value, json};

const HTTP: &str = "type.googleapis.com/envoy.extensions.filters.http";
const NETWORK: &str = "type.googleapis.com/envoy.extensions.filters.network";

/// A static bootstrap.
pub fn bootstrap(listeners: &[Value], clusters: &[Value]) -> Value {
    json!({ "static_resources": { "listeners": listeners, "clusters": clusters } })
}

/// An HTTP listener on a free loopback port: these filters, then the router.
pub fn listener(name: &str, filters: &[Value], routes: &Value) -> Value {
    listener_with(name, filters, routes, &json!({}))
}

/// Like [`listener`], with fields of the connection manager added or replaced, for example
/// `{"use_remote_address": true}`.
pub fn listener_with(name: &str, filters: &[Value], routes: &Value, manager: &Value) -> Value {
    let router = json!({
        "name": "envoy.filters.http.router",
        "typed_config": { "@type": format!("{HTTP}.router.v3.Router") },
    });
    let filters: Vec<Value> = filters.iter().cloned().chain([router]).collect();
    let mut config = json!({
        "@type": format!("{NETWORK}.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": name,
        "route_config": routes,
        "http_filters": filters,
    });
    merge(&mut config, manager);
    json!({
        "name": name,
        "address": address(SocketAddr::from(([127, 0, 0, 1], 0))),
        "filter_chains": [{
            "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": config }],
        }],
    })
}

/// Routes for every host.
pub fn routes(routes: &[Value]) -> Value {
    json!({ "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": routes }] })
}

/// One route: everything to this cluster.
pub fn route_to(cluster: &str) -> Value {
    routes(&[json!({ "match": { "prefix": "/" }, "route": { "cluster": cluster } })])
}

/// A route that Envoy answers itself.
pub fn direct_response(prefix: &str, status: u16, body: &str) -> Value {
    json!({
        "match": { "prefix": prefix },
        "direct_response": { "status": status, "body": { "inline_string": body } },
    })
}

/// A cluster of these addresses, HTTP/1.1.
pub fn cluster(name: &str, endpoints: &[SocketAddr]) -> Value {
    let endpoints: Vec<Value> =
        endpoints.iter().map(|at| json!({ "endpoint": { "address": address(*at) } })).collect();
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": endpoints }] },
    })
}

/// Like [`cluster`], HTTP/2.
pub fn cluster_http2(name: &str, endpoints: &[SocketAddr]) -> Value {
    let mut cluster = cluster(name, endpoints);
    let options = json!({ "typed_extension_protocol_options": {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
            "explicit_http_config": { "http2_protocol_options": {} },
        },
    }});
    merge(&mut cluster, &options);
    cluster
}

/// A Wasm filter from a file, configured by this JSON text, failing closed.
pub fn wasm_filter(name: &str, module: &Path, configuration: &str) -> Value {
    json!({
        "name": name,
        "typed_config": {
            "@type": format!("{HTTP}.wasm.v3.Wasm"),
            "config": {
                "name": name,
                "root_id": name,
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": configuration,
                },
                "vm_config": {
                    "vm_id": name,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": { "local": { "filename": module } },
                },
            },
        },
    })
}

/// What the compiler has a network filter note of the peer, noted by the HTTP filter that older Envoys have for it.
pub fn peer_facts() -> Value {
    let compiled = mesh_policy_compiler::peer_facts();
    json!({
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": {
            "@type": format!("{HTTP}.set_filter_state.v3.Config"),
            "on_request_headers": compiled.pointer("/typed_config/on_downstream_tls_handshake"),
        },
    })
}

/// A socket address.
pub fn address(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}

/// Puts the fields of `from` into `into`, objects into objects.
pub fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

/// A listener's side of mutual TLS: it shows `identity` and demands a certificate of `authority`.
pub fn mutual_tls(authority: &Authority, identity: &Identity) -> Value {
    json!({ "name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
            "tls_certificates": [{
                "certificate_chain": { "filename": identity.certificate() },
                "private_key": { "filename": identity.key() },
            }],
            "validation_context": { "trusted_ca": { "filename": authority.certificate() } },
        },
    }})
}

/// The same listener under this name and over `transport`. `None` if it has no filter chain.
pub fn over_tls(listener: &Value, name: &str, transport: &Value) -> Option<Value> {
    let mut listener = listener.clone();
    merge(&mut listener, &json!({ "name": name }));
    let chain = listener.pointer_mut("/filter_chains/0")?.as_object_mut()?;
    chain.insert("transport_socket".to_owned(), transport.clone());
    Some(listener)
}

/// The HTTP connection manager of a compiled listener's first chain: its last network filter.
pub fn manager(listener: &Value) -> Option<&Value> {
    listener.pointer("/filter_chains/0/filters")?.as_array()?.last()?.get("typed_config")
}

/// [`manager()`], to be changed.
pub fn manager_mut(listener: &mut Value) -> Option<&mut Value> {
    listener.pointer_mut("/filter_chains/0/filters")?.as_array_mut()?.last_mut()?.get_mut("typed_config")
}

/// The upstream filters of a cluster that change what a request carries there by one mutation.
pub fn upstream_filters(mutation: &Value) -> [Value; 2] {
    let filter = |name: &str, message: &str, rest: Value| {
        let mut config = json!({ "@type": format!("{HTTP}.{name}.v3.{message}") });
        merge(&mut config, &rest);
        json!({ "name": format!("envoy.filters.http.{name}"), "typed_config": config })
    };
    [
        filter(
            "header_mutation",
            "HeaderMutation",
            json!({ "mutations": { "request_mutations": [mutation] } }),
        ),
        filter("upstream_codec", "UpstreamCodec", json!({})),
    ]
}

/// Makes a compiled cluster lead to `upstream`, with one mutation of what the request carries there.
pub fn lead_to(cluster: &mut Value, upstream: SocketAddr, mutation: &Value) -> Option<()> {
    let endpoints = json!([{ "lb_endpoints": [{ "endpoint": { "address": address(upstream) } }] }]);
    let assignment = json!({ "cluster_name": cluster.get("name")?, "endpoints": endpoints });
    cluster.as_object_mut()?.insert("load_assignment".to_owned(), assignment);
    let options = cluster.pointer_mut(
        "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
    )?;
    options.as_object_mut()?.insert("http_filters".to_owned(), json!(upstream_filters(mutation)));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_replaces_values_and_lists_but_keeps_what_is_not_named() {
        let mut into = json!({ "a": { "b": 1, "c": [1, 2] }, "d": true });
        merge(&mut into, &json!({ "a": { "c": [3], "e": null } }));
        assert_eq!(into, json!({ "a": { "b": 1, "c": [3], "e": null }, "d": true }));
    }
}
