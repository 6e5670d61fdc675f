//! What is made here, shown to a real Envoy.

use super::*;
use std::path::PathBuf;
use std::process::Command;

/// `$ENVOY`, the one that set-up fetched, or one on the path.
fn envoy() -> Option<PathBuf> {
    let fetched = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.tools/bin/envoy"));
    let on_path = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path).map(|folder| folder.join("envoy")).find(|file| file.is_file())
    });
    std::env::var_os("ENVOY").map(PathBuf::from).or_else(|| fetched.is_file().then_some(fetched)).or(on_path)
}

fn validate(filters: Vec<Value>, virtual_hosts: &[Value]) {
    let Some(envoy) = envoy() else {
        eprintln!("skipped: no Envoy; set ENVOY or run `make setup`");
        return;
    };
    let manager = extension(
        "envoy.filters.network.http_connection_manager",
        "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        json!({
            "stat_prefix": "test",
            "http_filters": http_filters(filters, true),
            "route_config": {"validate_clusters": false, "virtual_hosts": virtual_hosts},
        }),
    );
    let address = crate::envoy::socket_address("127.0.0.1".parse().unwrap(), 0);
    let listener = json!({"name": "test", "address": address, "filter_chains": [{"filters": [manager]}]});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.json");
    std::fs::write(&file, json!({"static_resources": {"listeners": [listener]}}).to_string()).unwrap();
    let arguments = ["--mode", "validate", "--log-level", "warning", "-c"];
    let output = Command::new(envoy).args(arguments).arg(&file).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    // The one field that has no successor with the same meaning.
    let deprecated = |line: &&str| line.contains("deprecated") && !line.contains("max_grpc_timeout");
    assert_eq!(text.lines().find(deprecated), None);
}

#[test]
fn envoy_accepts_every_kind_of_rule() {
    let http = r#"
    - match:
      - {uri: {exact: /a}, headers: {x-a: {exact: ""}, x-b: {}, x-c: {regex: "a|b"}}, withoutHeaders: {x-d: {prefix: p}, x-e: null}}
      - {uri: {regex: "/b.*"}, queryParams: {q: {}, r: {exact: ""}, s: {regex: "[0-9]+"}}, ignoreUriCase: true, statPrefix: stat}
      - {method: {exact: GET}, authority: {prefix: a}, scheme: {exact: http}}
      - {headers: {"@request.auth.claims.a": {exact: v}}, withoutHeaders: {"@request.auth.claims[b][c]": {}}}
      route:
      - {destination: {host: api, subset: v1}, weight: 1, headers: {request: {set: {x: d, host: inner}, remove: [z]}}}
      - {destination: {host: api, subset: v2}, weight: 3, headers: {response: {add: {x: "%UPSTREAM_HOST%"}}}}
      rewrite: {uri: /new, authority: other}
      timeout: 1500ms
      retries: {attempts: 3, retryOn: "5xx,503", perTryTimeout: 500ms, retryRemoteLocalities: true, backoff: 50ms}
      mirrors: [{destination: {host: web}}, {destination: {host: api}, percentage: {value: 0.5}}]
      fault: {delay: {fixedDelay: 1s, percentage: {value: 1}}, abort: {grpcStatus: UNAVAILABLE, percentage: {value: 0.001}}}
      corsPolicy: {allowOrigins: [{exact: "*"}, {regex: "https://.*"}], allowMethods: [GET], maxAge: 1h, allowCredentials: false}
      headers: {request: {set: {x: "%REQ(y)%"}, add: {z: a}}, response: {remove: [server]}}
    - match: [{uri: {prefix: /u/}}]
      rewrite: {uriRegexRewrite: {match: "/u/([^/]+)", rewrite: '/\1'}}
      route: [{destination: {host: api}}]
      retries: {}
    - match: [{uri: {prefix: /r}}]
      redirect: {prefixRewrite: /s, scheme: https, port: 8443, redirectCode: 308}
    - match: [{uri: {prefix: /t}}]
      redirect: {uri: "/y?z=1", authority: b.com}
    - directResponse: {status: 418, body: {bytes: /v8=}}
"#;
    let http = format!("\n{http}");
    let text = format!(
        "{GATEWAY}---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: all, namespace: shop}}\n\
         spec:\n  hosts: [a.io, \"*.a.io\", \"*b.io\", \"*\"]\n  gateways: [edge]\n  http:{http}"
    );
    let hosts = virtual_hosts(&text);
    assert_eq!(hosts.len(), 4);
    validate(Vec::new(), &hosts);
    // Nothing is served.
    validate(Vec::new(), &virtual_hosts(GATEWAY));
}

#[test]
fn envoy_accepts_every_kind_of_policy() {
    let rule = r#"
  - from:
    - source:
        principals: ["*", "cluster.local/ns/a/sa/b", "x*", "*x"]
        notPrincipals: [a.b]
        requestPrincipals: ["*", "i/s", "*i/s", "i/s*", "*s"]
        namespaces: ["a-*"]
        notTrustDomains: [td, "*.td", "*"]
        ipBlocks: [10.0.0.0/8, "::1"]
        notRemoteIpBlocks: [1.2.3.4]
    - source: {serviceAccounts: [a, b/c]}
    to:
    - operation:
        hosts: ["*", a.io, "a.io:*"]
        ports: ["80"]
        notMethods: [GET, "P*"]
        paths: ["/a/{*}/b/{**}", "*", "/x*", "*.js"]
    when:
    - {key: "request.headers[x-a]", values: ["*", "a*"], notValues: [b]}
    - {key: "request.auth.claims[a][b]", values: ["*"]}
    - {key: request.auth.audiences, values: [a]}
    - {key: destination.ip, values: [127.0.0.1]}
    - {key: connection.sni, values: ["*.io"]}
    - {key: "experimental.envoy.filters.network.mysql_proxy[db]", values: ["[t]", u]}
"#;
    let policy = |name: &str, action: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: istio-system}}\n\
             spec:\n  action: {action}\n  rules:{rule}"
        )
    };
    let text = [policy("a", "ALLOW"), policy("d", "DENY"), policy("l", "AUDIT")].concat();
    let shadow =
        text.replace("metadata: {name: d", "metadata: {annotations: {istio.io/dry-run: \"1\"}, name: s");
    let sources = resources(&format!(
        "{text}{}",
        shadow.replace("name: a,", "name: b,").replace("name: l,", "name: m,")
    ));
    let mut problems = Problems::new();
    let filters = http_filters_for_policies(sources.resources(), &proxy(), &mut problems);
    assert_eq!(problems, Problems::new());
    assert_eq!(filters.len(), 3);
    validate(filters, &virtual_hosts(GATEWAY));
}
