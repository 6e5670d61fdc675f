use super::*;
use crate::source::Sources;

/// The problems of one spec: `path: message`, warnings marked.
fn found(kind: &str, spec: &str) -> Vec<String> {
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: {kind}\nmetadata: {{name: x, namespace: own}}\nspec: {spec}\n"
    );
    let sources = Sources::from_text("f.yaml", &text);
    assert_eq!(sources.findings(), [], "{spec}");
    let mut problems = Problems::new();
    for resource in sources.resources() {
        validate(resource, &mut problems);
    }
    let mark = |finding: &crate::Finding| if finding.is_error() { "" } else { "warning: " };
    sources.findings_of(&problems).iter().map(|f| format!("{}{}: {}", mark(f), f.path, f.message)).collect()
}

fn expect(kind: &str, cases: &[(&str, &str)]) {
    for (spec, expected) in cases {
        let expected: Vec<&str> = expected.lines().collect();
        assert_eq!(found(kind, spec), expected, "{kind} {spec}");
    }
}

#[test]
fn gateways() {
    let server = |fields: &str| format!("{{servers: [{{{fields}}}]}}");
    let http = "port: {number: 80, name: http, protocol: HTTP}";
    let cases = [
        ("{}".to_owned(), "spec.servers: missing: a Gateway has at least one server"),
        (server("hosts: ['*']"), "spec.servers[0].port: missing: a server has a port"),
        (
            server("port: {}, hosts: ['*']"),
            "spec.servers[0].port.number: missing: a port has a number\n\
             spec.servers[0].port.name: missing: a port has a name\n\
             spec.servers[0].port.protocol: missing: a port has a protocol",
        ),
        (
            server("port: {number: 70000, name: a, protocol: UDP, targetPort: 1}, hosts: ['*']"),
            "spec.servers[0].port.number: expected a port from 1 to 65535, found `70000`\n\
             spec.servers[0].port.targetPort: only the port of a ServiceEntry has a target port\n\
             spec.servers[0].port.protocol: expected one of HTTP, HTTP2, GRPC, GRPC-Web, HTTP_PROXY, HTTPS, TLS, TCP, Mongo, Redis, MySQL, found `UDP`",
        ),
        (
            server(&format!("{http}, hosts: ['*'], bind: localhost")),
            "spec.servers[0].bind: expected an IP address or `unix://` and an absolute path, found `localhost`",
        ),
        (
            server(&format!("{http}, hosts: ['*'], bind: 'unix:///tmp/a'")),
            "spec.servers[0].port.number: a server that listens on a unix socket has the port 0",
        ),
        (
            format!("{{servers: [{{{http}, hosts: ['*']}}, {{{http}, hosts: ['*']}}]}}"),
            "spec.servers[1].port.name: the port name `http` is used twice",
        ),
    ];
    expect("Gateway", &cases.iter().map(|(spec, expected)| (spec.as_str(), *expected)).collect::<Vec<_>>());
}

#[test]
fn tls_of_gateways() {
    let server = |protocol: &str, tls: &str| {
        format!("{{servers: [{{port: {{number: 443, name: a, protocol: {protocol}}}, hosts: ['*']{tls}}}]}}")
    };
    let cases = [
        (server("HTTPS", ""), "spec.servers[0].tls: missing: an HTTPS or TLS server has `tls`"),
        (server("TCP", ", tls: {}"), "spec.servers[0].tls: a server without TLS has no `tls`"),
        (server("HTTP", ", tls: {httpsRedirect: true, mode: PASSTHROUGH}"), ""),
        (
            server("HTTP", ", tls: {mode: SIMPLE}"),
            "spec.servers[0].tls: a plain HTTP server can have nothing but `httpsRedirect` here",
        ),
        (server("HTTPS", ", tls: {mode: SIMPLE, credentialName: a}"), ""),
        (
            server("HTTPS", ", tls: {mode: SIMPLE, serverCertificate: a}"),
            "spec.servers[0].tls.privateKey: missing: the mode SIMPLE needs a certificate and its key",
        ),
        (
            server("HTTPS", ", tls: {mode: MUTUAL, serverCertificate: a, privateKey: b}"),
            "spec.servers[0].tls.caCertificates: missing: the mode MUTUAL needs a CA for client certificates",
        ),
        (
            server("HTTPS", ", tls: {mode: SIMPLE, credentialName: a, credentialNames: [b]}"),
            "spec.servers[0].tls: expected one of credentialName, credentialNames, tlsCertificates, or serverCertificate with privateKey",
        ),
        (
            server("HTTPS", ", tls: {mode: ISTIO_MUTUAL, credentialName: a}"),
            "spec.servers[0].tls: the mode ISTIO_MUTUAL takes the mesh's own certificates and no others",
        ),
        (
            server("TLS", ", tls: {credentialName: a}"),
            "warning: spec.servers[0].tls: certificates have no effect: TLS is passed through",
        ),
    ];
    expect("Gateway", &cases.iter().map(|(spec, expected)| (spec.as_str(), *expected)).collect::<Vec<_>>());
}

#[test]
fn service_entries() {
    let ports = "ports: [{number: 80, name: http, protocol: HTTP}]";
    let entry = |fields: &str| format!("{{hosts: [a.b], {ports}, {fields}}}");
    let cases = [
        (entry("resolution: STATIC, endpoints: [{address: 10.0.0.1}]"), ""),
        ("{}".to_owned(), "spec.hosts: missing: a service has at least one host"),
        (
            "{hosts: ['*', 'a b', '*a.b']}".to_owned(),
            "spec.hosts[0]: expected a host such as `orders.example.com` or `*.example.com`, found `*`\n\
             spec.hosts[1]: expected a host such as `orders.example.com` or `*.example.com`, found `a b`\n\
             warning: spec.hosts[2]: `*a.b` also matches hosts of other domains that end alike",
        ),
        (
            "{hosts: [a.b], ports: [{}, {number: 80, name: a_b, protocol: X, targetPort: 0}, {number: 80, name: c}, {number: 81, name: c}]}"
                .to_owned(),
            "spec.ports[0].number: missing: a port has a number\n\
             spec.ports[0].name: missing: a port has a name\n\
             spec.ports[1].name: expected a DNS label, found `a_b`\n\
             spec.ports[1].protocol: expected one of HTTP, HTTP2, GRPC, GRPC-Web, HTTP_PROXY, HTTPS, TLS, TCP, Mongo, Redis, MySQL, UDP, found `X`\n\
             spec.ports[1].targetPort: expected a port from 1 to 65535, found `0`\n\
             spec.ports[2].number: the port 80 is given twice\n\
             spec.ports[3].name: the port name `c` is used twice",
        ),
        (
            entry("resolution: DNS, addresses: [10.0.0.0/8, x, 10.0.0.1/32]"),
            "spec.addresses[0]: expected an address with the resolution DNS, found the network `10.0.0.0/8`\n\
             spec.addresses[1]: expected an IP address or a network such as `10.0.0.0/8`, found `x`",
        ),
        (
            entry("endpoints: [{address: 10.0.0.1}]"),
            "spec.endpoints: endpoints need the resolution STATIC or DNS",
        ),
        (
            entry("resolution: STATIC, endpoints: [{address: 10.0.0.1}], workloadSelector: {labels: {a: b}}"),
            "spec.endpoints: a service has endpoints or a workloadSelector, not both",
        ),
        (
            entry("resolution: DNS_ROUND_ROBIN, endpoints: [{address: a.b}, {address: c.d}]"),
            "spec.endpoints: DNS_ROUND_ROBIN has at most one endpoint",
        ),
        (
            entry("resolution: STATIC, endpoints: [{address: a.b}, {}, {address: 'unix://x', ports: {http: 1}}, {address: 10.0.0.1, ports: {htp: 0}}]"),
            "spec.endpoints[0].address: expected an IP address with the resolution STATIC, found `a.b`\n\
             spec.endpoints[1].address: missing: an instance has an address\n\
             spec.endpoints[2].address: expected an absolute path or `@` and a name behind `unix://`, found `x`\n\
             spec.endpoints[2].ports: a unix socket has no ports\n\
             spec.endpoints[3].ports.htp: expected a port from 1 to 65535, found `0`\n\
             spec.endpoints[3].ports.htp: the service has no port called `htp`",
        ),
        (
            "{hosts: ['*.a.b'], resolution: DNS}".to_owned(),
            "spec.hosts[0]: expected a plain host, as DNS is asked for it, found `*.a.b`",
        ),
        (
            "{hosts: [a.b, c.d], resolution: STATIC, ports: [{number: 1, name: a, protocol: TCP}]}".to_owned(),
            "spec.ports[0].protocol: expected HTTP or TLS: with several hosts nothing else tells them apart",
        ),
        (entry("exportTo: ['~']"), ""),
        (
            entry("resolution: STATIC, endpoints: [{address: 10.0.0.1, locality: a//b, labels: {'-': x}}]"),
            "spec.endpoints[0].labels[\"-\"]: `-` is no label name\n\
             spec.endpoints[0].locality: expected `region`, `region/zone` or `region/zone/subzone`, found `a//b`",
        ),
    ];
    expect(
        "ServiceEntry",
        &cases.iter().map(|(spec, expected)| (spec.as_str(), *expected)).collect::<Vec<_>>(),
    );
}

#[test]
fn destination_rules() {
    expect(
        "DestinationRule",
        &[
            ("{host: a}", ""),
            ("{}", "spec.host: missing: a DestinationRule has a host"),
            ("{host: 'a b'}", "spec.host: expected a host such as `orders` or `*.example.com`, found `a b`"),
            ("{host: a, trafficPolicy: {}}", "spec.trafficPolicy: expected at least one setting"),
            (
                "{host: a, subsets: [{name: v1}, {name: v1}, {name: a_b}, {}]}",
                "spec.subsets[1].name: the subset `v1` is defined twice\n\
                 spec.subsets[2].name: expected a DNS label, found `a_b`\n\
                 spec.subsets[3].name: missing: a subset has a name",
            ),
            (
                "{host: a, exportTo: ['*'], workloadSelector: {matchLabels: {a: b}}}",
                "spec.exportTo: a rule with a workloadSelector applies in its own namespace only",
            ),
        ],
    );
}

#[test]
fn traffic_policies() {
    let policies = [
        ("{connectionPool: {}}", "connectionPool: expected `tcp` or `http`"),
        (
            "{connectionPool: {tcp: {maxConnections: -1, connectTimeout: 0s, idleTimeout: 0s, maxConnectionDuration: 1500us}}}",
            "connectionPool.tcp.maxConnections: expected 0 or more, found `-1`\n\
             connectionPool.tcp.connectTimeout: expected at least `1ms` and a whole number of milliseconds\n\
             connectionPool.tcp.maxConnectionDuration: expected at least `1ms` and a whole number of milliseconds",
        ),
        (
            "{connectionPool: {http: {maxRetries: -1, h2UpgradePolicy: UPGRADE, useClientProtocol: true, http2KeepAlive: {interval: 1s}}}}",
            "connectionPool.http.maxRetries: expected 0 or more, found `-1`\n\
             connectionPool.http.useClientProtocol: an upgraded connection cannot follow the client's protocol\n\
             connectionPool.http.http2KeepAlive.timeout: missing: pings have an interval and a timeout",
        ),
        (
            "{outlierDetection: {consecutiveErrors: 1, consecutiveLocalOriginFailures: 1, interval: 0s, maxEjectionPercent: 101, minHealthPercent: -1, \
             outlierDetectionHttpErrorCodes: [99]}}",
            "warning outlierDetection.consecutiveErrors: has no effect in Istio\n\
             outlierDetection.consecutiveLocalOriginFailures: needs `splitExternalLocalOriginErrors: true`\n\
             outlierDetection.interval: expected at least `1ms` and a whole number of milliseconds\n\
             outlierDetection.maxEjectionPercent: expected a percentage from 0 to 100, found `101`\n\
             outlierDetection.minHealthPercent: expected a percentage from 0 to 100, found `-1`\n\
             outlierDetection.outlierDetectionHttpErrorCodes[0]: expected a status from 100 to 599, found `99`",
        ),
        (
            "{loadBalancer: {simple: RANDOM, consistentHash: {useSourceIp: true, httpHeaderName: a, maglev: {tableSize: 4}}, warmup: {aggression: 0}}}",
            "loadBalancer.consistentHash: expected `simple` or `consistentHash`, not both\n\
             loadBalancer.consistentHash: expected one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName\n\
             loadBalancer.consistentHash.maglev.tableSize: expected a prime number below 5000011, found `4`\n\
             loadBalancer.warmup.duration: missing: a warm-up has a duration\n\
             loadBalancer.warmup.aggression: expected more than 0, found `0`",
        ),
        (
            "{loadBalancer: {localityLbSetting: {distribute: [{from: a, to: {b: 50}}], failover: [{from: a, to: a}]}}}",
            "loadBalancer.localityLbSetting.failover: expected `distribute` or `failover`, not both\n\
             loadBalancer.localityLbSetting.distribute[0].to: expected shares that sum to 100, found 50\n\
             loadBalancer.localityLbSetting.failover[0].to: a region cannot stand in for itself\n\
             warning loadBalancer.localityLbSetting: has no effect without `outlierDetection`",
        ),
        (
            "{outlierDetection: {}, loadBalancer: {localityLbSetting: {distribute: [{from: 'eu/*', to: {'eu/1': 50, 'eu/1/*': 50}}, \
             {from: eu/1, to: {'*/1': 100}}, {from: '', to: {a/b/c/d: 100}}]}}}",
            "loadBalancer.localityLbSetting.distribute[1].from: `eu/1` and `eu/*` overlap: each locality may be named once\n\
             loadBalancer.localityLbSetting.distribute[2].from: expected a locality such as `region/zone/subzone` or `region/*`, found ``\n\
             loadBalancer.localityLbSetting.distribute[2].from: `` and `eu/*` overlap: each locality may be named once\n\
             loadBalancer.localityLbSetting.distribute[0].to[\"eu/1/*\"]: `eu/1/*` and `eu/1` overlap: each locality may be named once\n\
             loadBalancer.localityLbSetting.distribute[1].to[\"*/1\"]: expected a locality such as `region/zone/subzone` or `region/*`, found `*/1`\n\
             loadBalancer.localityLbSetting.distribute[2].to[\"a/b/c/d\"]: expected a locality such as `region/zone/subzone` or `region/*`, found `a/b/c/d`",
        ),
        (
            "{retryBudget: {budgetInterval: 1us}}",
            "retryBudget.budgetInterval: expected at least `1ms` and a whole number of milliseconds",
        ),
        (
            "{tls: {mode: MUTUAL}}",
            "tls.clientCertificate: missing: the mode MUTUAL needs a certificate and its key\n\
             tls.privateKey: missing: the mode MUTUAL needs a certificate and its key",
        ),
        (
            "{tls: {mode: SIMPLE, credentialName: a, caCertificates: b}}",
            "tls.caCertificates: credentialName already says where certificates come from",
        ),
        (
            "{tunnel: {protocol: GET}, proxyProtocol: {}}",
            "tunnel.protocol: expected CONNECT or POST, found `GET`\n\
             tunnel.targetHost: expected a host or an IP address, found ``\n\
             tunnel.targetPort: expected a port from 1 to 65535, found `0`\n\
             proxyProtocol: a connection is tunnelled or begins with the PROXY protocol, not both",
        ),
        (
            "{portLevelSettings: [{port: {number: 80}}, {tls: {}}]}",
            "portLevelSettings[0]: expected at least one setting beside the port\n\
             portLevelSettings[1].port.number: missing: settings for a port name it",
        ),
        (
            "{retryBudget: {percent: 101}}",
            "retryBudget.percent: expected a percentage from 0 to 100, found `101`",
        ),
    ];
    for (policy, expected) in policies {
        let full: Vec<String> = expected
            .lines()
            .map(|line| match line.strip_prefix("warning ") {
                Some(line) => format!("warning: spec.trafficPolicy.{line}"),
                None => format!("spec.trafficPolicy.{line}"),
            })
            .collect();
        assert_eq!(
            found("DestinationRule", &format!("{{host: a, trafficPolicy: {policy}}}")),
            full,
            "{policy}"
        );
    }
}

#[test]
fn only_a_policy_can_be_a_dry_run() {
    let text = "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: x, annotations: {istio.io/dry-run: 'true'}}\n\
                spec: {servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*']}]}\n";
    let sources = Sources::from_text("f.yaml", text);
    let mut problems = Problems::new();
    validate(&sources.resources()[0], &mut problems);
    assert_eq!(
        sources.findings_of(&problems)[0].to_string(),
        "f.yaml:3:35: error[invalid-value]: Gateway default/x: metadata.annotations[\"istio.io/dry-run\"]: \
         only an AuthorizationPolicy can be a dry run"
    );
}
