//! What the plugin configuration says beside resources and workload: routes that are not ours, the bound on held requests. And
//! what operators stand for, held against Envoy's own.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{sync::OnceLock, time::Duration};

use mesh_policy_integration::{
    Result,
    certs::{Authority, Expect},
    client::{Client, Request, Response},
    config,
    envoy::{Envoy, Options},
    mesh::{Lent, Mesh, V1, V2, customers, list, to, virtual_service},
    modules::Module,
    upstream::Upstream,
    wait,
};
use serde_json::{Value, json};

const ORDERS: &str = "orders.default.svc.cluster.local";

fn mesh() -> Lent<'static> {
    static MESH: OnceLock<Mesh> = OnceLock::new();
    MESH.get_or_init(|| start().unwrap()).lend()
}

fn with(mut rules: Value, settings: &Value) -> String {
    config::merge(&mut rules, settings);
    rules.to_string()
}

fn filter(module: Module, name: &str, configuration: &str) -> Result<Value> {
    Ok(config::wasm_filter(name, &module.path()?, configuration))
}

/// Routes that follow a header, as the README of the router shows them.
fn by_header() -> Value {
    config::routes(&[
        json!({
            "match": { "prefix": "/", "headers": [{ "name": "x-to", "present_match": true }] },
            "route": { "cluster_header": "x-to" },
            "request_headers_to_remove": ["x-to"],
        }),
        json!({ "match": { "prefix": "/" }, "route": { "cluster": "own" } }),
    ])
}

/// Routes that go by host, as those of a sidecar do.
fn by_authority() -> Value {
    let host = |name: &str, cluster: &str| {
        json!({ "name": name, "domains": [name],
                "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": cluster } }] })
    };
    json!({ "virtual_hosts": [
        host("customers.default.svc.cluster.local", V1), host(&format!("{ORDERS}:8080"), V2), host("*", "own"),
    ] })
}

fn start() -> Result<Mesh> {
    let clusters = list(&[customers(&json!([
        { "match": [{ "uri": { "prefix": "/two" } }], "rewrite": { "uri": "/second" }, "timeout": "0.2s",
          "route": [to("v2")] },
        { "match": [{ "uri": { "exact": "/none" } }], "redirect": { "uri": "/two" } },
        { "route": [to("v1")] },
    ]))]);
    let services = list(&[customers(&json!([
        { "match": [{ "uri": { "prefix": "/orders" } }],
          "route": [{ "destination": { "host": "orders", "port": { "number": 8080 } } }] },
        { "route": [{ "destination": { "host": "customers", "port": { "number": 80 } } }] },
    ]))]);
    let header = with(clusters, &json!({ "router": { "destinationHeader": "X-To" } }));
    let authority = with(services, &json!({ "router": { "destinationAuthority": true } }));
    let faults = |bound: u32| {
        let delay = json!({ "fixedDelay": "2s", "percentage": { "value": 100 } });
        let abort = json!({ "httpStatus": 555, "percentage": { "value": 100 } });
        let rules = list(&[customers(&json!([
            { "match": [{ "uri": { "exact": "/abort" } }], "fault": { "abort": abort }, "route": [to("v1")] },
            { "fault": { "delay": delay }, "route": [to("v1")] },
        ]))]);
        with(rules, &json!({ "fault": { "maxActiveFaults": bound } }))
    };
    let v1 = config::route_to(V1);
    let listener = |module: Module, name: &str, configuration: &str, routes: &Value| -> Result<Value> {
        Ok(config::listener(name, &[filter(module, name, configuration)?], routes))
    };
    Mesh::start(&[
        listener(Module::Router, "header", &header, &by_header())?,
        listener(Module::Policy, "header, all in one", &header, &by_header())?,
        listener(Module::Router, "authority", &authority, &by_authority())?,
        listener(Module::Policy, "authority, all in one", &authority, &by_authority())?,
        listener(Module::Fault, "no fault", &faults(0), &v1)?,
        listener(Module::Fault, "one fault", &faults(1), &v1)?,
    ])
}

fn get(listener: &str, request: Request) -> Response {
    mesh().client(listener).unwrap().send(&request).unwrap()
}

#[test]
fn a_header_tells_the_cluster_to_routes_that_are_not_ours() {
    for listener in ["header", "header, all in one"] {
        let two = get(listener, Request::get("/two?x=1").host("customers")).echo().unwrap();
        assert_eq!((two.instance.as_str(), two.path.as_str()), ("v2", "/second?x=1"), "{listener}");
        assert_eq!((two.header("x-to"), two.header("x-mesh-policy-cluster")), (None, None), "{listener}");
        let one = get(listener, Request::get("/").host("customers")).echo().unwrap();
        assert!(one.instance.starts_with("v1-"), "{listener}: {}", one.instance);
        let slow = get(listener, Request::get("/two").host("customers").header("x-echo-delay-ms", "2000"));
        assert_eq!(slow.status, 504, "{listener}");
        assert_eq!(get(listener, Request::get("/none").host("customers")).status, 301, "{listener}");
    }
}

#[test]
fn a_clients_own_copy_of_the_header_counts_for_nothing() {
    for listener in ["header", "header, all in one"] {
        let own = get(listener, Request::get("/").host("elsewhere").header("x-to", V2)).echo().unwrap();
        assert_eq!((own.instance.as_str(), own.header("x-to")), ("own", None), "{listener}");
        let one = get(listener, Request::get("/").host("customers").header("x-to", V2)).echo().unwrap();
        assert!(one.instance.starts_with("v1-"), "{listener}: {}", one.instance);
    }
}

#[test]
fn the_authority_tells_the_service_to_routes_that_are_not_ours() {
    for listener in ["authority", "authority, all in one"] {
        let orders = get(listener, Request::get("/orders").host("customers")).echo().unwrap();
        assert_eq!(
            (orders.instance.as_str(), orders.authority),
            ("v2", format!("{ORDERS}:8080")),
            "{listener}"
        );
        let one = get(listener, Request::get("/").host("customers")).echo().unwrap();
        assert_eq!(one.authority, "customers.default.svc.cluster.local", "{listener}");
        assert!(one.instance.starts_with("v1-"), "{listener}: {}", one.instance);
        let own = get(listener, Request::get("/").host("elsewhere")).echo().unwrap();
        assert_eq!((own.instance.as_str(), own.authority.as_str()), ("own", "elsewhere"), "{listener}");
    }
}

#[test]
fn without_any_active_fault_allowed_none_is_injected() {
    for path in ["/delay", "/abort"] {
        let response = get("no fault", Request::get(path).host("customers"));
        assert_eq!(response.status, 200);
        assert!(response.elapsed < Duration::from_millis(1500), "{:?}", response.elapsed);
    }
}

#[test]
fn while_as_many_requests_wait_as_may_no_other_fault_is_injected() {
    let mesh = mesh();
    assert_eq!(get("one fault", Request::get("/abort").host("customers")).status, 555);
    let held =
        mesh.client_http2("one fault").unwrap().begin(&Request::get("/held").host("customers")).unwrap();
    let active =
        || mesh.envoy.admin().stat("http.one fault.downstream_rq_active").ok().filter(|count| *count == 1);
    wait::until(Duration::from_secs(5), "the held request", active).unwrap();
    for path in ["/abort", "/other"] {
        let response = get("one fault", Request::get(path).host("customers"));
        assert_eq!(response.status, 200);
        assert!(response.elapsed < Duration::from_millis(1500), "{:?}", response.elapsed);
    }
    let response = held.wait().unwrap();
    assert_eq!(response.status, 200);
    assert!(response.elapsed >= Duration::from_secs(2), "{:?}", response.elapsed);
}

/// Every operator without arguments, and some with.
const OPERATORS: [&str; 13] = [
    "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "%DOWNSTREAM_LOCAL_ADDRESS%",
    "%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%",
    "%DOWNSTREAM_LOCAL_PORT%",
    "%DOWNSTREAM_PEER_SUBJECT%",
    "%DOWNSTREAM_PEER_URI_SAN%",
    "%DOWNSTREAM_REMOTE_ADDRESS%",
    "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "%DOWNSTREAM_REMOTE_PORT%",
    "%PROTOCOL%",
    "%REQUESTED_SERVER_NAME%",
    "%REQ(x-missing?:path):4%",
    "<%REQUEST_HEADER(user-agent)%>",
];

/// Our headers filter and Envoy's own route put the same values side by side into one request.
#[test]
fn operators_stand_for_what_envoys_own_stand_for() {
    const SERVER: &str = "shop.test";
    let upstream = Upstream::start("echo").unwrap();
    let authority = Authority::new("operators").unwrap();
    let server = authority.server(&[SERVER]).unwrap();
    let numbered = |prefix: &'static str| (0..).map(move |number| format!("{prefix}-{number}"));
    let set: serde_json::Map<String, Value> =
        numbered("x-ours").zip(OPERATORS).map(|(name, operator)| (name, json!(operator))).collect();
    let rules = list(&[virtual_service(
        "all",
        &json!({ "hosts": ["customers"], "http": [{ "headers": { "request": { "set": set } }, "route": [to("v1")] }] }),
    )]);
    let own: Vec<Value> = numbered("x-own")
        .zip(OPERATORS)
        .map(|(key, value)| json!({ "header": { "key": key, "value": value } }))
        .collect();
    let routes = config::routes(&[json!({
        "match": { "prefix": "/" }, "route": { "cluster": "echo" }, "request_headers_to_add": own,
    })]);
    let fact = |key: &str, format: &str| {
        json!({
            "object_key": key, "factory_key": "envoy.string", "skip_if_empty": true,
            "format_string": { "text_format_source": { "inline_string": format }, "omit_empty_values": true },
        })
    };
    let facts = json!({
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [
                fact("mesh_policy.direct_remote_ip", "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
                fact("mesh_policy.peer_uri_sans", "%DOWNSTREAM_PEER_URI_SAN%"),
            ],
        },
    });
    let socket = json!({ "name": "envoy.transport_sockets.tls", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "common_tls_context": {
            "tls_certificates": [{
                "certificate_chain": { "filename": server.certificate() },
                "private_key": { "filename": server.key() },
            }],
            "validation_context": { "trusted_ca": { "filename": authority.certificate() } },
        },
    }});
    // Trusting the client's word for its address, so that the two remote addresses differ.
    let manager = json!({ "use_remote_address": true, "xff_num_trusted_hops": 1 });
    let mut listeners = Vec::new();
    for (name, module) in [("single", Module::Headers), ("fused", Module::Policy)] {
        let filters = [facts.clone(), filter(module, name, &rules.to_string()).unwrap()];
        let mut listener = config::listener_with(name, &filters, &routes, &manager);
        let chain = listener.pointer_mut("/filter_chains/0").and_then(Value::as_object_mut).unwrap();
        chain.insert("transport_socket".to_owned(), socket.clone());
        // The name in the handshake is only known to who listens to it.
        let inspector = json!({ "listener_filters": [{
            "name": "envoy.filters.listener.tls_inspector",
            "typed_config": { "@type":
                "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector" },
        }] });
        config::merge(&mut listener, &inspector);
        listeners.push(listener);
    }
    let cluster = config::cluster("echo", &[upstream.address()]);
    let envoy = Envoy::start(&config::bootstrap(&listeners, &[cluster]), &Options::default()).unwrap();
    let identity =
        authority.workload_called("web, of the shop", "spiffe://cluster.local/ns/shop/sa/web").unwrap();
    for listener in ["single", "fused"] {
        let tls = authority.client(Expect::Dns(SERVER.to_owned()), Some(&identity)).unwrap();
        let client = Client::with_tls(envoy.listener(listener).unwrap(), tls);
        let request = Request::get("/path?x=1")
            .host("customers")
            .header("x-forwarded-for", "203.0.113.7")
            .header("user-agent", "test/1");
        let echo = client.send(&request).unwrap().echo().unwrap();
        let mut seen = Vec::new();
        for ((ours, own), operator) in numbered("x-ours").zip(numbered("x-own")).zip(OPERATORS) {
            let (ours, own) = (echo.header(&ours), echo.header(&own));
            assert_eq!(ours, own, "{listener}: {operator}");
            // Values that are not there would be equal as well.
            seen.push(own.unwrap_or_else(|| panic!("{listener}: {operator} is not there")));
        }
        assert!(seen.iter().any(|value| value == "203.0.113.7"), "{listener}: {seen:?}");
        assert!(seen.iter().any(|value| value == "spiffe://cluster.local/ns/shop/sa/web"), "{seen:?}");
    }
}
