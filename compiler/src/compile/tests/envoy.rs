//! What is compiled, shown to a real Envoy.

use super::*;
use std::process::Command;

/// `$ENVOY`, the one that set-up fetched, or one on the path.
fn envoy() -> Option<PathBuf> {
    let fetched = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/bin/envoy"));
    let on_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|folder| folder.join("envoy")).find(|file| file.is_file())
    });
    std::env::var_os("ENVOY").map(PathBuf::from).or_else(|| fetched.is_file().then_some(fetched)).or(on_path)
}

/// Envoy's own judgement. The modules are left out: this crate is tested before they are built.
fn validate(proxy: &CompiledProxy, name: &str) {
    let Some(envoy) = envoy() else {
        eprintln!("skipped: no Envoy; set ENVOY or run `make setup`");
        return;
    };
    let mut bootstrap = proxy.bootstrap.clone();
    for listener in bootstrap["static_resources"]["listeners"].as_array_mut().unwrap() {
        let filters = listener["filter_chains"][0]["filters"].as_array_mut().unwrap().last_mut().unwrap();
        let filters = &mut filters["typed_config"]["http_filters"];
        filters.as_array_mut().unwrap().retain(|filter| filter["typed_config"].get("config").is_none());
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.json");
    std::fs::write(&file, bootstrap.to_string()).unwrap();
    let output = Command::new(envoy)
        .args(["--mode", "validate", "--log-level", "warning", "-c"])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {text}");
    assert!(!text.contains("deprecated"), "{name}: {text}");
}

#[test]
fn envoy_accepts_what_is_compiled() {
    let policies = [
        "{connectionPool: {tcp: {maxConnections: 5, connectTimeout: 250ms, maxConnectionDuration: 1h, idleTimeout: 0s, \
         tcpKeepalive: {probes: 3, time: 7200s, interval: 1500ms}}, http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 3, \
         idleTimeout: 3s, maxRetries: 4}}, retryBudget: {percent: 25}}",
        "{outlierDetection: {consecutive5xxErrors: 0, consecutiveGatewayErrors: 2, splitExternalLocalOriginErrors: true, \
         consecutiveLocalOriginFailures: 4, interval: 1500ms, baseEjectionTime: 3m, maxEjectionPercent: 100, minHealthPercent: 30, \
         outlierDetectionHttpErrorCodes: [500, 503]}}",
        "{outlierDetection: {outlierDetectionHttpErrorCodes: [500]}, loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 60s}}}",
        "{loadBalancer: {warmupDurationSecs: 60s, simple: LEAST_REQUEST}}",
        "{connectionPool: {http: {h2UpgradePolicy: UPGRADE, http2KeepAlive: {interval: 5s, timeout: 1s}}}}",
        "{connectionPool: {http: {useClientProtocol: true, maxConcurrentStreams: 7}}}",
        "{loadBalancer: {simple: RANDOM}}",
    ];
    validate(&compiled(SHOP), "plain");
    let native = Options { engine: Engine::Native, ..options() };
    let proxy = compile(&Sources::from_text("shop.yaml", SHOP), &gateway(), &native).unwrap();
    validate(&proxy, "Envoy's own routes");
    validate(&compiled(&with_retries_and_mirror()), "retries and a mirror");
    for policy in policies {
        validate(&compiled(&with_policy(policy)), policy);
    }
    let dns = SHOP
        .replace("resolution: STATIC", "resolution: DNS")
        .replace("address: 127.0.0.1", "address: localhost");
    validate(&compiled(&dns), "dns");
    let one = "\
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: one, namespace: shop}
spec:
  hosts: [localhost]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS_ROUND_ROBIN
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: socket, namespace: shop}
spec:
  hosts: [socket.local]
  ports: [{number: 80, name: http, protocol: GRPC}]
  resolution: STATIC
  endpoints: [{address: \"unix:///tmp/socket\"}]
";
    validate(&compiled(&format!("{SHOP}{one}")), "one by name, one by socket");
    let web = SHOP.replace(
        "port: {number: 80, name: http, protocol: HTTP}",
        "port: {number: 80, name: http, protocol: GRPC-Web}",
    );
    validate(&compiled(&web), "gRPC-Web");
    let options = Options {
        access_log: AccessLog::File("/tmp/mesh-policy-access.log".into()),
        admin: None,
        path_normalization: PathNormalization::DecodeAndMergeSlashes,
        ..options()
    };
    let proxy = compile(&Sources::from_text("shop.yaml", SHOP), &gateway(), &options).unwrap();
    validate(&proxy, "other options");
}
