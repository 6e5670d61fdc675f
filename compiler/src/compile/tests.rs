use super::*;
use crate::options::{AccessLog, Engine, Modules, PathNormalization};
use mesh_policy_core::control;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

mod cluster;
mod envoy;
mod fields;
mod refusal;
mod sidecar;
mod tls;

const SHOP: &str = include_str!("tests/shop.yaml");

fn gateway() -> ProxyChoice {
    ProxyChoice::Gateway(BTreeMap::from([("istio".to_owned(), "ingressgateway".to_owned())]))
}

fn options() -> Options {
    Options {
        modules: Modules::Fused(PathBuf::from("/modules/mesh_policy.wasm")),
        ports: BTreeMap::from([(80, 18080)]),
        ..Options::default()
    }
}

fn compiled(text: &str) -> CompiledProxy {
    compile(&Sources::from_text("shop.yaml", text), &gateway(), &options()).unwrap()
}

fn refused(text: &str) -> Vec<String> {
    refused_for(text, &options())
}

fn refused_for(text: &str, options: &Options) -> Vec<String> {
    let refusal = compile(&Sources::from_text("shop.yaml", text), &gateway(), options).unwrap_err();
    refusal.findings.iter().filter(|finding| finding.is_error()).map(ToString::to_string).collect()
}

fn cluster<'c>(proxy: &'c CompiledProxy, name: &str) -> &'c Value {
    let clusters = proxy.bootstrap["static_resources"]["clusters"].as_array().unwrap();
    clusters.iter().find(|cluster| cluster["name"] == name).unwrap_or_else(|| panic!("no cluster {name}"))
}

fn http_options(cluster: &Value) -> &Value {
    &cluster["typed_extension_protocol_options"]["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"]
}

fn manager(proxy: &CompiledProxy, listener: usize) -> &Value {
    let chain = &proxy.bootstrap["static_resources"]["listeners"][listener]["filter_chains"][0];
    &chain["filters"].as_array().unwrap().last().unwrap()["typed_config"]
}

fn with_policy(policy: &str) -> String {
    SHOP.replace("  trafficPolicy: {}\n", &format!("  trafficPolicy: {policy}\n"))
        .replace("  # trafficPolicy\n", &format!("  trafficPolicy: {policy}\n"))
}

#[test]
fn a_whole_gateway() {
    let proxy = compiled(SHOP);
    assert_eq!(proxy.warnings, []);
    insta::assert_snapshot!(serde_json::to_string_pretty(&proxy.bootstrap).unwrap());
}

#[test]
fn listeners_say_where_they_can_be_reached() {
    assert_eq!(
        compiled(SHOP).listeners,
        [CompiledListener {
            name: "0.0.0.0_80".to_owned(),
            address: "0.0.0.0".to_owned(),
            port: 18080,
            gateway_port: 80,
            hosts: vec!["*.shop.io".to_owned(), "admin.shop.io".to_owned()],
            scheme: "http",
            urls: vec!["http://127.0.0.1:18080/".to_owned()],
        }]
    );
    let options = Options { ports: BTreeMap::from([(80, 0)]), ..options() };
    let proxy = compile(&Sources::from_text("shop.yaml", SHOP), &gateway(), &options).unwrap();
    assert_eq!(proxy.listeners[0].urls, [""; 0]);
}

#[test]
fn the_bind_of_a_server_counts_before_the_option() {
    let options = Options { listen_address: "127.0.0.1".parse().unwrap(), ..options() };
    let proxy = compile(&Sources::from_text("shop.yaml", SHOP), &gateway(), &options).unwrap();
    assert_eq!(
        (proxy.listeners[0].name.as_str(), proxy.listeners[0].address.as_str()),
        ("0.0.0.0_80", "127.0.0.1")
    );
    let bound = SHOP.replace(
        "  - hosts: [\"*.shop.io\",",
        "  - bind: 127.0.0.2\n    port: {number: 80, name: own, protocol: HTTP}\n    hosts: [\"*\"]\n  - hosts: [\"*.shop.io\",",
    );
    let proxy = compile(&Sources::from_text("shop.yaml", &bound), &gateway(), &options).unwrap();
    let names: Vec<&str> = proxy.listeners.iter().map(|listener| listener.name.as_str()).collect();
    assert_eq!(names, ["0.0.0.0_80", "127.0.0.2_80"]);
}

#[test]
fn chained_modules_stand_in_the_order_in_which_they_decide() {
    let modules = Modules::Separate {
        authz: "authz.wasm".into(),
        headers: "headers.wasm".into(),
        fault: "fault.wasm".into(),
        router: "router.wasm".into(),
    };
    let options = Options { modules, ..options() };
    let proxy = compile(&Sources::from_text("shop.yaml", SHOP), &gateway(), &options).unwrap();
    let filters = manager(&proxy, 0)["http_filters"].as_array().unwrap();
    let names: Vec<&str> = filters.iter().map(|filter| filter["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        ["mesh_authz", "mesh_headers", "mesh_fault", "mesh_router", "envoy.filters.http.router"]
    );
    let network = &proxy.bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"];
    assert_eq!(network[0]["name"], "envoy.filters.network.set_filter_state");
}

#[test]
fn paths_are_normalized_as_asked() {
    for (mode, expected) in [
        (PathNormalization::None, json!([false, false, "KEEP_UNCHANGED"])),
        (PathNormalization::Base, json!([true, false, "KEEP_UNCHANGED"])),
        (PathNormalization::MergeSlashes, json!([true, true, "KEEP_UNCHANGED"])),
        (PathNormalization::DecodeAndMergeSlashes, json!([true, true, "UNESCAPE_AND_FORWARD"])),
    ] {
        let options = Options { path_normalization: mode, ..options() };
        let proxy = compile(&Sources::from_text("shop.yaml", SHOP), &gateway(), &options).unwrap();
        let manager = manager(&proxy, 0);
        let found = json!([
            manager["normalize_path"],
            manager["merge_slashes"],
            manager["path_with_escaped_slashes_action"]
        ]);
        assert_eq!(found, expected, "{mode:?}");
    }
}

#[test]
fn the_access_log_can_be_off_or_a_file() {
    let logs = |log| {
        let options = Options { access_log: log, ..options() };
        let proxy = compile(&Sources::from_text("shop.yaml", SHOP), &gateway(), &options).unwrap();
        manager(&proxy, 0)["access_log"].clone()
    };
    assert_eq!(logs(AccessLog::Off), json!([]));
    assert_eq!(logs(AccessLog::File("/tmp/access.log".into()))[0]["typed_config"]["path"], "/tmp/access.log");
}

#[test]
fn servers_of_several_gateways_share_a_port() {
    let second = "\
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: more, namespace: shop}
spec:
  servers:
  - {port: {number: 80, name: grpc-web, protocol: GRPC-Web}, hosts: [\"*/more.io\"]}
";
    let proxy = compiled(&format!("{SHOP}{second}"));
    assert_eq!(proxy.listeners.len(), 1);
    assert_eq!(proxy.listeners[0].hosts, ["*.shop.io", "admin.shop.io", "more.io"]);
    let filters = manager(&proxy, 0)["http_filters"].as_array().unwrap();
    assert!(filters.iter().any(|filter| filter["name"] == "envoy.filters.http.grpc_web"));
    let wasm = filters.iter().find(|filter| filter["name"] == "mesh_policy").unwrap();
    let config = wasm["typed_config"]["config"]["configuration"]["value"].as_str().unwrap();
    let config: Value = serde_json::from_str(config).unwrap();
    assert_eq!(config["workload"]["gateways"], json!(["istio-system/edge", "shop/more"]));
}

#[test]
fn a_gateway_of_other_labels_is_left_out() {
    let other = "\
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: egress, namespace: shop}
spec:
  selector: {istio: egressgateway}
  servers:
  - {port: {number: 8443, name: tls, protocol: TLS}, hosts: [\"*\"], tls: {mode: PASSTHROUGH}}
";
    assert_eq!(compiled(&format!("{SHOP}{other}")).listeners.len(), 1);
}

/// The shop, with retries and a mirror for orders.
fn with_retries_and_mirror() -> String {
    SHOP.replace(
        "    - destination: {host: orders}\n",
        "    - destination: {host: orders}\n    retries: {attempts: 3, retryOn: 5xx, retryIgnorePreviousHosts: false, backoff: 100ms}\n    \
         mirror: {host: customers, subset: v2}\n    mirrorPercentage: {value: 10}\n",
    )
}

#[test]
fn what_no_header_can_say_is_a_route_of_its_own() {
    let proxy = compiled(&with_retries_and_mirror());
    let routes = &manager(&proxy, 0)["route_config"]["virtual_hosts"][0]["routes"];
    assert_eq!(routes.as_array().map(Vec::len), Some(2));
    let name = routes[1]["name"].as_str().unwrap();
    assert_eq!(
        routes[1]["match"],
        json!({"prefix": "", "headers": [{"name": control::PROFILE, "string_match": {"exact": name}}]})
    );
    assert_eq!(
        routes[1]["route"]["retry_policy"],
        json!({"host_selection_retry_max_attempts": "5", "retry_back_off": {"base_interval": "0.100s"}})
    );
    let mirrors = routes[1]["route"]["request_mirror_policies"].as_array().unwrap();
    assert_eq!(mirrors.len(), 1);
    assert_eq!(mirrors[0]["cluster"], "outbound|80|v2|customers.shop.svc.cluster.local");
    assert_eq!(
        mirrors[0]["runtime_fraction"],
        json!({"default_value": {"numerator": 100_000, "denominator": "MILLION"}})
    );
    assert_eq!(routes[0]["route"].get("request_mirror_policies"), None);
}

#[test]
fn envoys_own_routes_need_no_module() {
    let options = Options { engine: Engine::Native, ..options() };
    let proxy = compile(&Sources::from_text("shop.yaml", SHOP), &gateway(), &options).unwrap();
    let filters = manager(&proxy, 0)["http_filters"].as_array().unwrap();
    let names: Vec<&str> = filters.iter().map(|filter| filter["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["envoy.filters.http.fault", "envoy.filters.http.cors", "envoy.filters.http.router"]);
    let format = &manager(&proxy, 0)["access_log"][0]["typed_config"]["log_format"]["json_format"];
    assert_eq!((&format["route"], format.get("authz")), (&json!("%ROUTE_NAME%"), None));
}

#[test]
fn custom_policies_come_before_tokens_and_tokens_before_the_rest() {
    let security = |kind: &str, name: &str, spec: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: istio-system}}\nspec: {spec}\n"
        )
    };
    let text = [
        SHOP.to_owned(),
        "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: opa, namespace: istio-system}\nspec: {hosts: \
         [opa.test], ports: [{number: 9000, name: http, protocol: HTTP}], resolution: STATIC, endpoints: [{address: 127.0.0.1}]}\n"
            .to_owned(),
        security("AuthorizationPolicy", "ask", "{action: CUSTOM, provider: {name: opa}, rules: [{}]}"),
        security("AuthorizationPolicy", "deny", "{action: DENY, rules: [{to: [{operation: {ports: ['1']}}]}]}"),
        security("RequestAuthentication", "tokens", "{jwtRules: [{issuer: a, jwksUri: 'https://a.io/keys'}]}"),
    ]
    .concat();
    let mut sources = Sources::from_text("shop.yaml", &text);
    sources.add_mesh_config_text(
        "mesh.yaml",
        "extensionProviders: [{name: opa, envoyExtAuthzHttp: {service: opa.test, port: 9000}}]",
    );
    let names = |engine: Engine| -> Vec<String> {
        let proxy = compile(&sources, &gateway(), &Options { engine, ..options() }).unwrap();
        let filters = manager(&proxy, 0)["http_filters"].as_array().unwrap().clone();
        let name = |filter: &Value| {
            let name = filter["name"].as_str().unwrap();
            name.rsplit_once("custom.").map_or(name, |(kept, _)| kept).replace("envoy.filters.http.", "")
        };
        filters.iter().map(name).collect()
    };
    assert_eq!(
        names(Engine::Wasm)[..5],
        ["mesh_policy_custom", "mesh_policy.", "ext_authz", "jwt_authn", "mesh_policy"]
    );
    assert_eq!(names(Engine::Native)[..4], ["rbac", "ext_authz", "jwt_authn", "rbac"]);
}
