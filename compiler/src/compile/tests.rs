use super::*;
use crate::options::{AccessLog, Modules, PathNormalization};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::PathBuf;

mod envoy;

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
    &proxy.bootstrap["static_resources"]["listeners"][listener]["filter_chains"][0]["filters"][0]["typed_config"]
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
        [
            "envoy.filters.http.set_filter_state",
            "mesh_authz",
            "mesh_headers",
            "mesh_fault",
            "mesh_router",
            "envoy.filters.http.router"
        ]
    );
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
fn a_connection_pool_bounds_connections_and_requests() {
    let proxy = compiled(&with_policy(
        "{connectionPool: {tcp: {maxConnections: 5, connectTimeout: 250ms, maxConnectionDuration: 1h, idleTimeout: 0s, \
         tcpKeepalive: {probes: 3, time: 7200s, interval: 1500ms}}, \
         http: {http1MaxPendingRequests: 1, http2MaxRequests: 2, maxRequestsPerConnection: 3, maxRetries: 4}}, \
         retryBudget: {percent: 25}}",
    ));
    let cluster = cluster(&proxy, "outbound|80||customers.shop.svc.cluster.local");
    assert_eq!(
        cluster["circuit_breakers"]["thresholds"],
        json!([{"max_connections": 5, "max_pending_requests": 1, "max_requests": 2, "max_retries": 4, "track_remaining": true,
                "retry_budget": {"budget_percent": {"value": 25.0}, "min_retry_concurrency": 3}}])
    );
    assert_eq!(cluster["connect_timeout"], "0.250s");
    assert_eq!(
        cluster["upstream_connection_options"],
        json!({"tcp_keepalive": {"keepalive_probes": 3, "keepalive_time": 7200, "keepalive_interval": 2}})
    );
    assert_eq!(
        http_options(cluster)["common_http_protocol_options"],
        json!({"idle_timeout": "0s", "max_connection_duration": "3600s", "max_requests_per_connection": 3})
    );
}

#[test]
fn outlier_detection_is_on_as_soon_as_it_is_mentioned() {
    let proxy = compiled(&with_policy("{outlierDetection: {}}"));
    let named = cluster(&proxy, "outbound|80||customers.shop.svc.cluster.local");
    assert_eq!(named["outlier_detection"], json!({"enforcing_success_rate": 0}));
    assert_eq!(named["common_lb_config"], json!({"healthy_panic_threshold": {"value": 0}}));
    let other = cluster(&proxy, "outbound|8080||orders.shop.svc.cluster.local");
    assert_eq!(other.get("outlier_detection"), None);
    assert_eq!(other.get("common_lb_config"), None);
}

#[test]
fn every_field_of_outlier_detection_has_its_place() {
    let proxy = compiled(&with_policy(
        "{outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 2, splitExternalLocalOriginErrors: true, \
         consecutiveLocalOriginFailures: 4, interval: 1500ms, baseEjectionTime: 3m, maxEjectionPercent: 100, minHealthPercent: 30, \
         outlierDetectionHttpErrorCodes: [500, 503]}}",
    ));
    let cluster = cluster(&proxy, "outbound|80||customers.shop.svc.cluster.local");
    assert_eq!(
        cluster["outlier_detection"],
        json!({
            "enforcing_success_rate": 0,
            "consecutive_5xx": 0, "enforcing_consecutive_5xx": 0,
            "consecutive_gateway_failure": 2, "enforcing_consecutive_gateway_failure": 100,
            "split_external_local_origin_errors": true, "enforcing_local_origin_success_rate": 0,
            "consecutive_local_origin_failure": 4, "enforcing_consecutive_local_origin_failure": 100,
            "interval": "1.500s", "base_ejection_time": "180s", "max_ejection_percent": 100,
        })
    );
    assert_eq!(cluster["common_lb_config"], json!({"healthy_panic_threshold": {"value": 30}}));
    let status = |code: &str| json!({"http_response_headers_match": {"headers": [{"name": ":status", "string_match": {"exact": code}}]}});
    assert_eq!(
        http_options(cluster)["outlier_detection"],
        json!({"error_matcher": {"or_match": {"rules": [status("500"), status("503")]}}})
    );
}

#[test]
fn load_balancing_follows_the_rule() {
    for (simple, policy) in
        [("ROUND_ROBIN", "ROUND_ROBIN"), ("RANDOM", "RANDOM"), ("LEAST_CONN", "LEAST_REQUEST")]
    {
        let proxy = compiled(&with_policy(&format!("{{loadBalancer: {{simple: {simple}}}}}")));
        assert_eq!(cluster(&proxy, "outbound|80|v1|customers.shop.svc.cluster.local")["lb_policy"], policy);
    }
    let proxy = compiled(&with_policy("{loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 60s}}}"));
    assert_eq!(
        cluster(&proxy, "outbound|80||customers.shop.svc.cluster.local")["round_robin_lb_config"]["slow_start_config"],
        json!({"slow_start_window": "60s", "min_weight_percent": {"value": 10.0},
               "aggression": {"default_value": 1.0, "runtime_key": "mesh_policy.slow_start.aggression"}})
    );
}

#[test]
fn http2_ports_are_spoken_to_in_http2() {
    let grpc = SHOP
        .replace("{number: 8080, name: http, protocol: HTTP}", "{number: 8080, name: http, protocol: GRPC}");
    let proxy = compiled(&grpc);
    let name = "outbound|8080||orders.shop.svc.cluster.local";
    assert_eq!(
        http_options(cluster(&proxy, name))["explicit_http_config"],
        json!({"http2_protocol_options": {"max_concurrent_streams": 2_147_483_647}})
    );
    let unknown = SHOP.replace("{number: 8080, name: http, protocol: HTTP}", "{number: 8080, name: http}");
    let proxy = compiled(&unknown);
    assert!(http_options(cluster(&proxy, name)).get("use_downstream_protocol_config").is_some());
    let proxy = compiled(&with_policy(
        "{connectionPool: {http: {h2UpgradePolicy: UPGRADE, http2KeepAlive: {interval: 5s, timeout: 1s}}}}",
    ));
    assert_eq!(
        http_options(cluster(&proxy, "outbound|80||customers.shop.svc.cluster.local"))["explicit_http_config"],
        json!({"http2_protocol_options": {"max_concurrent_streams": 2_147_483_647,
               "connection_keepalive": {"interval": "5s", "timeout": "1s"}}})
    );
}

#[test]
fn endpoints_keep_port_weight_and_locality() {
    let proxy = compiled(SHOP);
    assert_eq!(
        cluster(&proxy, "outbound|8080||orders.shop.svc.cluster.local")["load_assignment"]["endpoints"],
        json!([
            {"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9201}}},
                               "load_balancing_weight": 3}]},
            {"locality": {"region": "eu", "zone": "eu-1"},
             "lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9200}}}}]},
        ])
    );
}

#[test]
fn services_found_by_name_are_left_to_dns() {
    let dns = "\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: github, namespace: shop}
spec:
  hosts: [api.github.com]
  ports: [{number: 443, name: https, protocol: HTTPS, targetPort: 8443}]
  resolution: DNS
";
    let one = dns.replace("resolution: DNS", "resolution: DNS_ROUND_ROBIN");
    for (text, single) in [(dns, false), (one.as_str(), true)] {
        let proxy = compiled(&format!("{SHOP}{text}"));
        let found = cluster(&proxy, "outbound|443||api.github.com");
        assert_eq!(found.get("type"), None);
        assert_eq!(found["cluster_type"]["typed_config"]["all_addresses_in_single_endpoint"], single);
        assert_eq!(
            found["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]["socket_address"],
            json!({"address": "api.github.com", "port_value": 8443})
        );
    }
    assert_eq!(
        refused(&format!("{SHOP}{}", dns.replace("  resolution: DNS\n", ""))),
        ["shop.yaml:64:1: error[unsupported]: ServiceEntry shop/github: spec.resolution: \
          the resolution NONE cannot be carried out: at a gateway there is no destination of the client's own \
          (list the instances with STATIC, or find them with DNS)"]
    );
}

#[test]
fn workload_entries_are_instances_of_the_services_that_select_them() {
    let entries = "\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: stock, namespace: shop}
spec:
  hosts: [stock.shop.svc.cluster.local]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  workloadSelector: {labels: {app: stock}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: stock-1, namespace: shop, labels: {app: stock}}
spec: {address: 10.0.0.1, ports: {http: 8080}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: stock-2, namespace: other, labels: {app: stock}}
spec: {address: 10.0.0.2}
";
    let proxy = compiled(&format!("{SHOP}{entries}"));
    assert_eq!(
        cluster(&proxy, "outbound|80||stock.shop.svc.cluster.local")["load_assignment"]["endpoints"],
        json!([{"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "10.0.0.1", "port_value": 8080}}}}]}])
    );
}

#[test]
fn what_cannot_be_carried_out_is_refused_with_its_place() {
    for (policy, path, message) in [
        (
            "{tls: {mode: SIMPLE}}",
            "tls.mode",
            "TLS towards a service cannot be carried out yet: the mode SIMPLE",
        ),
        ("{tunnel: {targetHost: a.b, targetPort: 1}}", "tunnel", "tunnels cannot be carried out yet"),
        ("{proxyProtocol: {}}", "proxyProtocol", "the PROXY protocol cannot be spoken yet"),
        (
            "{loadBalancer: {consistentHash: {useSourceIp: true}}}",
            "loadBalancer.consistentHash",
            "consistent hashing cannot be carried out yet",
        ),
        (
            "{loadBalancer: {simple: PASSTHROUGH}}",
            "loadBalancer.simple",
            "PASSTHROUGH cannot be carried out: at a gateway there is no destination of the client's own",
        ),
        (
            "{loadBalancer: {localityLbSetting: {failoverPriority: [a]}}, outlierDetection: {}}",
            "loadBalancer.localityLbSetting",
            "balancing by locality cannot be carried out yet",
        ),
        (
            "{retryBudget: {budgetInterval: 1s}}",
            "retryBudget.budgetInterval",
            "a window for the retry budget cannot be carried out yet",
        ),
    ] {
        let found = refused(&with_policy(policy));
        assert_eq!(found.len(), 1, "{found:?}");
        let expected = format!(
            ": error[unsupported]: DestinationRule shop/customers: spec.trafficPolicy.{path}: {message}"
        );
        assert!(found[0].starts_with("shop.yaml:32:") && found[0].ends_with(&expected), "{found:?}");
    }
}

#[test]
fn servers_other_than_plain_http_are_refused() {
    let https = SHOP.replace(
        "port: {number: 80, name: http, protocol: HTTP}",
        "port: {number: 443, name: https, protocol: HTTPS}\n    tls: {mode: SIMPLE, credentialName: shop}",
    );
    assert_eq!(
        refused(&https),
        ["shop.yaml:8:38: error[unsupported]: Gateway istio-system/edge: spec.servers[0].port.protocol: \
          servers of the protocol HTTPS cannot be carried out yet: only plain HTTP, HTTP2, GRPC and GRPC-Web"]
    );
    let redirect = SHOP.replace(
        "name: http, protocol: HTTP}\n---",
        "name: http, protocol: HTTP}\n    tls: {httpsRedirect: true}\n---",
    );
    assert_eq!(
        refused(&redirect),
        [
            "shop.yaml:9:11: error[unsupported]: Gateway istio-system/edge: spec.servers[0].tls.httpsRedirect: \
          redirects to https cannot be carried out yet"
        ]
    );
}

#[test]
fn kinds_that_would_change_the_gateway_are_refused() {
    let of = |api: &str, kind: &str, namespace: &str, spec: &str| {
        format!(
            "{SHOP}---\napiVersion: {api}\nkind: {kind}\nmetadata: {{name: x, namespace: {namespace}}}\nspec: {spec}\n"
        )
    };
    let networking = "networking.istio.io/v1alpha3";
    let security = "security.istio.io/v1";
    let jwt = "{jwtRules: [{issuer: a}]}";
    for (api, kind, spec) in [
        (security, "RequestAuthentication", jwt),
        (
            security,
            "RequestAuthentication",
            "{selector: {matchLabels: {istio: ingressgateway}}, jwtRules: [{issuer: a}]}",
        ),
        (networking, "EnvoyFilter", "{}"),
        ("extensions.istio.io/v1alpha1", "WasmPlugin", "{selector: {matchLabels: {istio: ingressgateway}}}"),
    ] {
        assert_eq!(
            refused(&of(api, kind, "istio-system", spec)),
            [format!(
                "shop.yaml:64:1: error[unsupported]: {kind} istio-system/x: spec: \
                      a {kind} that applies to this gateway cannot be carried out yet"
            )]
        );
    }
    for (api, kind, namespace, spec) in [
        (security, "RequestAuthentication", "shop", jwt),
        (
            security,
            "RequestAuthentication",
            "istio-system",
            "{selector: {matchLabels: {app: other}}, jwtRules: [{issuer: a}]}",
        ),
        (networking, "EnvoyFilter", "istio-system", "{workloadSelector: {labels: {app: other}}}"),
        (networking, "Sidecar", "istio-system", "{}"),
        (security, "PeerAuthentication", "istio-system", "{mtls: {mode: STRICT}}"),
    ] {
        compiled(&of(api, kind, namespace, spec));
    }
}

#[test]
fn a_choice_that_fits_nothing_is_refused() {
    let choice = ProxyChoice::Gateway(BTreeMap::from([("istio".to_owned(), "egress".to_owned())]));
    let refusal = compile(&Sources::from_text("shop.yaml", SHOP), &choice, &options()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "error[unknown-reference]: no Gateway selects a proxy with the labels `istio=egress` \
         (selectors of Gateways: istio=ingressgateway)"
    );
    let choice = ProxyChoice::Workload(crate::WorkloadChoice {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        ..crate::WorkloadChoice::default()
    });
    let refusal = compile(&Sources::from_text("shop.yaml", SHOP), &choice, &options()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "error[unsupported]: only gateways can be compiled to a whole Envoy configuration, not the workload `shop/web` \
         (the plugin configuration of its filters can be had)"
    );
}

#[test]
fn destinations_must_be_reachable_from_this_proxy() {
    let hidden = SHOP.replace(
        "hosts: [orders.shop.svc.cluster.local]",
        "hosts: [orders.shop.svc.cluster.local]\n  exportTo: [.]",
    );
    assert_eq!(
        refused(&hidden),
        [
            "shop.yaml:20:21: error[unknown-reference]: VirtualService shop/shop: spec.http[0].route[0].destination.host: \
          the host `orders.shop.svc.cluster.local` is not exported to the gateway's namespace `istio-system`"
        ]
    );
    let ports = SHOP.replace(
        "ports: [{number: 8080, name: http, protocol: HTTP}]",
        "ports: [{number: 8080, name: http, protocol: HTTP}, {number: 9090, name: admin, protocol: HTTP}]",
    );
    assert_eq!(
        refused(&ports),
        [
            "shop.yaml:20:7: error[unknown-reference]: VirtualService shop/shop: spec.http[0].route[0].destination: \
          names no port, and `orders.shop.svc.cluster.local` has none with the listener's number 80: its ports are 8080, 9090 \
          (add `port: {number: ...}`)"
        ]
    );
}

#[test]
fn ports_may_not_be_opened_twice() {
    let two = SHOP.replace(
        "  - hosts: [\"*.shop.io\",",
        "  - port: {number: 81, name: more, protocol: HTTP}\n    hosts: [\"*\"]\n  - hosts: [\"*.shop.io\",",
    );
    let options = Options { ports: BTreeMap::from([(80, 18080), (81, 18080)]), ..options() };
    assert_eq!(
        refused_for(&two, &options),
        ["error[conflict]: the ports 80 and 81 would both be opened as 18080"]
    );
}

#[test]
fn one_host_in_two_service_entries_is_refused() {
    let again = "\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: again, namespace: shop}
spec:
  hosts: [orders.shop.svc.cluster.local]
  ports: [{number: 8080, name: http, protocol: HTTP}]
  resolution: STATIC
";
    assert_eq!(
        refused(&format!("{SHOP}{again}")),
        [
            "shop.yaml:43:3: error[unsupported]: ServiceEntry shop/orders: spec.hosts: ServiceEntry shop/again also defines \
          the host `orders.shop.svc.cluster.local`, at shop.yaml:61: joining them cannot be carried out yet"
        ]
    );
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
