//! Single fields that no other test is about.

use super::tls::{SIMPLE, certificates, compile_in, https, socket};
use super::*;
use std::fs;

const CUSTOMERS: &str = "outbound|80||customers.shop.svc.cluster.local";

/// The cluster of `customers` under this policy.
fn customers(policy: &str) -> Value {
    cluster(&compiled(&with_policy(policy)), CUSTOMERS).clone()
}

fn balancer(hash: &str) -> Value {
    let cluster = customers(&format!("{{loadBalancer: {{consistentHash: {hash}}}}}"));
    cluster["load_balancing_policy"]["policies"][0]["typed_extension_config"]["typed_config"].clone()
}

#[test]
fn every_field_of_a_cookie_reaches_envoy() {
    let cookie =
        "{httpCookie: {name: user, path: /shop, ttl: 1500ms, attributes: [{name: SameSite, value: Strict}]}}";
    assert_eq!(
        balancer(cookie)["consistent_hashing_lb_config"]["hash_policy"],
        json!([{"cookie": {"name": "user", "path": "/shop", "ttl": "1.500s",
                           "attributes": [{"name": "SameSite", "value": "Strict"}]}}])
    );
}

#[test]
fn rings_and_tables_have_the_size_that_is_said() {
    for (hash, field, size) in [
        ("{useSourceIp: true}", "minimum_ring_size", 1024),
        ("{useSourceIp: true, ringHash: {minimumRingSize: 7}}", "minimum_ring_size", 7),
        ("{useSourceIp: true, minimumRingSize: 8}", "minimum_ring_size", 8),
        ("{useSourceIp: true, maglev: {tableSize: 251}}", "table_size", 251),
    ] {
        assert_eq!(balancer(hash)[field], size, "{hash}");
    }
}

#[test]
fn instances_are_warmed_up_as_the_rule_says() {
    let start = |settings: &str| {
        let cluster = customers(&format!("{{loadBalancer: {{{settings}}}}}"));
        cluster["least_request_lb_config"]["slow_start_config"].clone()
    };
    let expected = |window: &str, percent: f64, aggression: f64| {
        json!({"slow_start_window": window, "min_weight_percent": {"value": percent},
               "aggression": {"default_value": aggression, "runtime_key": "mesh_policy.slow_start.aggression"}})
    };
    assert_eq!(
        start("warmup: {duration: 60s, minimumPercent: 30, aggression: 1.5}"),
        expected("60s", 30.0, 1.5)
    );
    assert_eq!(start("warmupDurationSecs: 5s"), expected("5s", 10.0, 1.0));
}

#[test]
fn connections_for_http_have_bounds_of_their_own() {
    let cluster = customers(
        "{connectionPool: {tcp: {idleTimeout: 9s}, http: {idleTimeout: 7s, maxConcurrentStreams: 6, useClientProtocol: true}}}",
    );
    let options = http_options(&cluster);
    assert_eq!(options["common_http_protocol_options"]["idle_timeout"], "7s");
    assert_eq!(
        options["use_downstream_protocol_config"]["http2_protocol_options"]["max_concurrent_streams"],
        6
    );
}

/// A folder of secrets with one called `shop`, and `other-cacert` with a CA alone.
fn secrets() -> tempfile::TempDir {
    let (folder, files) = (tempfile::tempdir().unwrap(), certificates());
    for (secret, names) in [("shop", &["tls.crt", "tls.key", "ca.crt"][..]), ("other-cacert", &["ca.crt"])] {
        fs::create_dir(folder.path().join(secret)).unwrap();
        for name in names {
            fs::copy(files.path().join(name), folder.path().join(secret).join(name)).unwrap();
        }
    }
    folder
}

#[test]
fn every_setting_of_a_servers_tls_reaches_envoy() {
    let files = certificates();
    let mutual = SIMPLE.replace("SIMPLE", "MUTUAL");
    let common = |settings: &str| {
        let proxy = compile_in(files.path(), &https(settings)).unwrap();
        socket(&proxy)["common_tls_context"].clone()
    };
    let validation = |settings: &str| common(&format!("{mutual}, {settings}"))["validation_context"].clone();
    let spki = format!("{}=", "A".repeat(43));
    let hash = "ab".repeat(32);
    let ca = "caCertificates: DIR/ca.crt";
    assert_eq!(
        validation(&format!("{ca}, verifyCertificateSpki: ['{spki}']"))["verify_certificate_spki"],
        json!([spki])
    );
    assert_eq!(
        validation(&format!("{ca}, verifyCertificateHash: ['{hash}']"))["verify_certificate_hash"],
        json!([hash])
    );
    assert_eq!(
        validation(&format!("{ca}, insecureSkipVerify: true"))["trust_chain_verification"],
        "ACCEPT_UNTRUSTED"
    );
    assert_eq!(
        validation(&format!("{ca}, caCrl: DIR/ca.crt"))["crl"]["filename"],
        json!(files.path().join("ca.crt"))
    );
    let several = common(
        "mode: MUTUAL, tlsCertificates: [{serverCertificate: DIR/tls.crt, privateKey: DIR/tls.key, caCertificates: DIR/ca.crt}]",
    );
    assert_eq!(
        several["tls_certificates"][0]["private_key"]["filename"],
        json!(files.path().join("tls.key"))
    );
    assert_eq!(several["validation_context"]["trusted_ca"]["filename"], json!(files.path().join("ca.crt")));

    let folder = secrets();
    let options = Options { secrets: Some(folder.path().to_owned()), ..options() };
    let text = https("mode: MUTUAL, credentialNames: [shop], caCertCredentialName: other");
    let proxy = compile(&Sources::from_text("shop.yaml", &text), &gateway(), &options).unwrap();
    let common = &socket(&proxy)["common_tls_context"];
    let file = |name: &str| json!(folder.path().join(name));
    assert_eq!(common["tls_certificates"][0]["certificate_chain"]["filename"], file("shop/tls.crt"));
    assert_eq!(common["validation_context"]["trusted_ca"]["filename"], file("other-cacert/ca.crt"));
}

#[test]
fn a_service_is_believed_by_a_secret_a_list_and_its_own_names() {
    let folder = secrets();
    let options = Options { secrets: Some(folder.path().to_owned()), ..options() };
    let context = |text: &str| {
        let proxy = compile(&Sources::from_text("shop.yaml", text), &gateway(), &options).unwrap();
        cluster(&proxy, CUSTOMERS)["transport_socket"]["typed_config"]["common_tls_context"].clone()
    };
    let file = |name: &str| json!(folder.path().join(name));
    let secret = context(&with_policy("{tls: {mode: MUTUAL, credentialName: shop}}"));
    assert_eq!(secret["tls_certificates"][0]["private_key"]["filename"], file("shop/tls.key"));
    assert_eq!(secret["validation_context"]["trusted_ca"]["filename"], file("shop/ca.crt"));
    let ca = folder.path().join("shop/ca.crt");
    let policy = format!("{{tls: {{mode: SIMPLE, caCertificates: {0}, caCrl: {0}}}}}", ca.display());
    assert_eq!(context(&with_policy(&policy))["validation_context"]["crl"]["filename"], json!(ca));
    let named = with_policy(&policy).replace(
        "hosts: [customers.shop.svc.cluster.local]",
        "hosts: [customers.shop.svc.cluster.local]\n  subjectAltNames: [own.example.com]",
    );
    let names = &context(&named)["validation_context"]["match_typed_subject_alt_names"];
    assert_eq!(names[0]["matcher"]["exact"], "own.example.com");
}

#[test]
fn instances_are_addresses_sockets_and_never_of_unknown_networks() {
    let at = |address: &str| {
        SHOP.replace(
            "{address: 127.0.0.1, ports: {http: 9200}, locality: eu/eu-1}",
            &format!("{{{address}}}"),
        )
    };
    let first = |text: &str| {
        let proxy = compiled(text);
        let cluster = cluster(&proxy, "outbound|8080||orders.shop.svc.cluster.local");
        let groups = cluster["load_assignment"]["endpoints"].as_array().unwrap().clone();
        groups[0]["lb_endpoints"][0]["endpoint"]["address"].clone()
    };
    assert_eq!(
        first(&at("address: 'unix:///run/orders.sock'")),
        json!({"pipe": {"path": "/run/orders.sock"}})
    );
    assert_eq!(
        first(&at("address: '::1', network: elsewhere")),
        json!({"socket_address": {"address": "::1", "port_value": 8080}})
    );
    let refused = refused(&at("network: elsewhere"));
    assert!(
        refused[0].ends_with("an instance of another network without an address cannot be reached from here"),
        "{refused:?}"
    );
}

#[test]
fn what_has_no_effect_changes_nothing_and_is_said() {
    let plain = compiled(SHOP);
    let server = SHOP.replace(
        "port: {number: 80, name: http, protocol: HTTP}\n---",
        "port: {number: 80, name: http, protocol: HTTP}\n    name: shop\n    defaultEndpoint: 127.0.0.1:9\n---",
    );
    assert_ne!(server, SHOP);
    let proxy = compiled(&server);
    let listener = |proxy: &CompiledProxy| {
        let mut listener = proxy.bootstrap["static_resources"]["listeners"][0].clone();
        // The filter gets the resources as they are written.
        listener.pointer_mut("/filter_chains/0/filters/1/typed_config/http_filters").unwrap().take();
        listener
    };
    assert_eq!(listener(&proxy), listener(&plain));
    let warnings: Vec<String> = proxy.warnings.iter().map(|w| format!("{}: {}", w.path, w.message)).collect();
    assert_eq!(warnings, ["spec.servers[0].defaultEndpoint: has no effect, in Istio neither"]);
}

#[test]
fn dynamic_names_are_refused_with_a_way_out() {
    let text = format!(
        "{SHOP}---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {{name: any, namespace: shop}}\nspec:\n  \
         hosts: ['*.example.com']\n  resolution: DYNAMIC_DNS\n  ports: [{{number: 80, name: http, protocol: HTTP}}]\n"
    );
    let refused = refused(&text);
    assert!(
        refused[0].ends_with(
            "spec.resolution: the resolution DYNAMIC_DNS cannot be carried out: a client would choose, by the host and port that it \
             names, where this proxy connects to (list the instances with STATIC, or find them with DNS)"
        ),
        "{refused:?}"
    );
}
