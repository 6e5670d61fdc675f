//! What becomes of services, endpoints and traffic policies.

use super::*;

#[test]
fn a_connection_pool_bounds_connections_and_requests() {
    let proxy = compiled(&with_policy(
        "{connectionPool: {tcp: {maxConnections: 5, connectTimeout: 250ms, maxConnectionDuration: 1h, idleTimeout: 0s, \
         tcpKeepalive: {probes: 3, time: 7200s, interval: 1500ms}}, \
         http: {http1MaxPendingRequests: 1, http2MaxRequests: 2, maxRequestsPerConnection: 3, maxRetries: 4}}, \
         retryBudget: {percent: 25, budgetInterval: 10s}}",
    ));
    let cluster = cluster(&proxy, "outbound|80||customers.shop.svc.cluster.local");
    assert_eq!(
        cluster["circuit_breakers"]["thresholds"],
        json!([{"max_connections": 5, "max_pending_requests": 1, "max_requests": 2, "max_retries": 4, "track_remaining": true,
                "retry_budget": {"budget_percent": {"value": 25.0}, "min_retry_concurrency": 3, "budget_interval": "10s"}}])
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
          the resolution NONE cannot be carried out: a connection has no destination of the client's own here \
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
fn instances_that_istio_would_meet_with_mutual_tls_are_worth_a_warning() {
    let inside = SHOP.replace("locality: eu/eu-1}", "locality: eu/eu-1, serviceAccount: orders}");
    assert_eq!(compiled(&inside).warnings, []);
    let inside =
        inside.replace("  resolution: STATIC\n", "  resolution: STATIC\n  location: MESH_INTERNAL\n");
    let warnings: Vec<String> = compiled(&inside).warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        ["shop.yaml:48:5: warning[unsupported]: ServiceEntry shop/orders: spec.endpoints[0]: \
          spoken to in plain text: this proxy has no certificate for mutual TLS (`mesh-policy certs` issues certificates and `--certs` names their folder; `--sds` names the socket of SPIRE's agent)"]
    );
}

#[test]
fn a_subset_without_instances_is_an_empty_cluster() {
    let proxy = compiled(&SHOP.replace("    labels: {version: v2}", "    labels: {version: v9}"));
    let empty = cluster(&proxy, "outbound|80|v2|customers.shop.svc.cluster.local");
    assert_eq!(empty["load_assignment"]["endpoints"], json!([]));
    assert_eq!(proxy.warnings.len(), 1);
}

#[test]
fn settings_for_a_port_stand_alone() {
    let proxy = compiled(&with_policy(
        "{connectionPool: {tcp: {maxConnections: 5}}, portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]}",
    ));
    let cluster = cluster(&proxy, "outbound|80||customers.shop.svc.cluster.local");
    assert_eq!(cluster["lb_policy"], "RANDOM");
    assert_eq!(cluster["circuit_breakers"]["thresholds"][0]["max_connections"], 4_294_967_295_u32);
}

#[test]
fn retries_stay_with_the_instance_that_a_key_points_to_unless_a_rule_says_otherwise() {
    let retries = |written: &str| {
        let text = SHOP
            .replace("  # trafficPolicy\n", "  trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}\n")
            .replace(
                "    - destination: {host: customers, subset: v1}\n      weight: 90\n    - destination: {host: customers, subset: v2}\n      weight: 10\n",
                &format!("    - destination: {{host: customers, subset: v1}}\n    retries: {{{written}}}\n"),
            );
        let proxy = compiled(&text);
        let routes =
            manager(&proxy, 0)["route_config"]["virtual_hosts"][0]["routes"].as_array().unwrap().clone();
        assert_eq!(routes[0]["name"], "default-hashed");
        assert_eq!(routes[0]["route"]["retry_policy"].get("retry_host_predicate"), None);
        assert!(routes[1]["route"]["retry_policy"].get("retry_host_predicate").is_some());
        routes[2]["route"]["retry_policy"].get("retry_host_predicate").is_some()
    };
    assert!(!retries("attempts: 2"));
    assert!(retries("attempts: 2, retryIgnorePreviousHosts: true"));
    let proxy =
        compiled(&with_policy("{loadBalancer: {consistentHash: {useSourceIp: true, minimumRingSize: 64}}}"));
    let balancer = &cluster(&proxy, "outbound|80|v1|customers.shop.svc.cluster.local")["load_balancing_policy"]
        ["policies"][0];
    let ring = &balancer["typed_extension_config"]["typed_config"];
    assert_eq!(ring["minimum_ring_size"], 64);
    assert_eq!(
        ring["consistent_hashing_lb_config"]["hash_policy"],
        json!([{"connection_properties": {"source_ip": true}}])
    );
}

#[test]
fn the_proxy_protocol_stands_before_tls() {
    let inner = |proxy: &CompiledProxy| {
        let cluster = cluster(proxy, "outbound|80||customers.shop.svc.cluster.local");
        let socket = &cluster["transport_socket"]["typed_config"];
        (socket["config"]["version"].clone(), socket["transport_socket"]["name"].clone())
    };
    let plain = compiled(&with_policy("{proxyProtocol: {}}"));
    assert_eq!(inner(&plain), (json!("V1"), json!("envoy.transport_sockets.raw_buffer")));
    let tls = compiled(&with_policy(
        "{proxyProtocol: {version: V2}, tls: {mode: SIMPLE, insecureSkipVerify: true}}",
    ));
    assert_eq!(inner(&tls), (json!("V2"), json!("envoy.transport_sockets.tls")));
}

#[test]
fn what_asks_for_the_proxys_locality_is_pointed_out_where_it_is_not_known() {
    let text = with_policy(
        "{loadBalancer: {localityLbSetting: {distribute: [{from: eu, to: {eu: 100}}]}}, outlierDetection: {}}",
    );
    let warnings = |options: &Options| {
        let sources = Sources::from_text("shop.yaml", &text);
        let compiled = crate::compile(&sources, &gateway(), options).unwrap();
        compiled.warnings.iter().map(|finding| finding.message.clone()).collect::<Vec<_>>()
    };
    assert_eq!(
        warnings(&Options::default()),
        ["has no effect where the proxy's own locality is not known: `--locality` says it"]
    );
    let known = Options { locality: Some("eu/1".to_owned()), ..Options::default() };
    assert_eq!(warnings(&known), [""; 0]);
}
