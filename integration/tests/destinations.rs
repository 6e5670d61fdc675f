//! How services are spoken to: keys, TLS, names that DNS knows, and bytes.

#![expect(clippy::panic, clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{collections::BTreeSet, net::IpAddr, sync::OnceLock};

use mesh_policy_compiler::{AccessLog, Modules, Options, ProxyChoice, Sources, compile};
use mesh_policy_integration::{
    Result,
    certs::Authority,
    client::{Client, Request, Response},
    envoy::{self, Envoy},
    modules::Module,
    upstream::{Tries, Upstream},
};

const RESOURCES: &str = r#"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 27017, name: mongo, protocol: MONGO}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: routes, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [istio-system/edge]
  http:
  - match: [{uri: {prefix: /header}}]
    route: [{destination: {host: hashed, subset: by-header}}]
  - match: [{uri: {prefix: /cookie}}]
    route: [{destination: {host: hashed, subset: by-cookie}}]
  - match: [{uri: {prefix: /source}}]
    route: [{destination: {host: hashed, subset: by-source}}]
  - match: [{uri: {prefix: /query}}]
    route: [{destination: {host: hashed, subset: by-query}}]
  - match: [{uri: {prefix: /external}}]
    timeout: 1s
    retries: {attempts: 2, retryOn: 5xx}
    rewrite: {authority: api.example.com}
    route: [{destination: {host: api.example.com}}]
  - match: [{uri: {prefix: /wrong-name}}]
    rewrite: {authority: other.example.com}
    route: [{destination: {host: api.example.com}}]
  - match: [{uri: {prefix: /mutual}}]
    route: [{destination: {host: mutual.example.com}}]
  - match: [{uri: {prefix: /dns}}]
    route: [{destination: {host: localhost.example.com}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: mongo, namespace: shop}
spec:
  hosts: ["*"]
  gateways: [istio-system/edge]
  tcp:
  - match: [{port: 27017}]
    route: [{destination: {host: mongo.example.com}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: hashed, namespace: shop}
spec:
  host: hashed
  subsets:
  - {name: by-header, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user}}}}
  - {name: by-cookie, trafficPolicy: {loadBalancer: {consistentHash: {httpCookie: {name: user, ttl: 60s}, maglev: {tableSize: 251}}}}}
  - {name: by-source, trafficPolicy: {loadBalancer: {consistentHash: {useSourceIp: true}}}}
  - {name: by-query, trafficPolicy: {portLevelSettings: [{port: {number: 80}, loadBalancer: {consistentHash: {httpQueryParameterName: user}}}]}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: api, namespace: shop}
spec:
  host: api.example.com
  trafficPolicy: {tls: {mode: SIMPLE, caCertificates: CA}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: mutual, namespace: shop}
spec:
  host: mutual.example.com
  trafficPolicy:
    tls: {mode: MUTUAL, caCertificates: CA, clientCertificate: CLIENT-CERTIFICATE, privateKey: CLIENT-KEY, sni: anything, subjectAltNames: [mutual.example.com]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: mongo, namespace: shop}
spec:
  host: mongo.example.com
  trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: hashed, namespace: shop}
spec:
  hosts: [hashed.shop.svc.cluster.local]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints:
  - {address: 127.0.0.1, ports: {http: PORT-0}}
  - {address: 127.0.0.1, ports: {http: PORT-1}}
  - {address: 127.0.0.1, ports: {http: PORT-2}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: api, namespace: shop}
spec:
  hosts: [api.example.com]
  location: MESH_EXTERNAL
  ports: [{number: 443, name: http, protocol: HTTP, targetPort: PORT-3}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: mutual, namespace: shop}
spec:
  hosts: [mutual.example.com]
  ports: [{number: 443, name: http, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1, ports: {http: PORT-4}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dns, namespace: shop}
spec:
  hosts: [localhost.example.com]
  ports: [{number: 80, name: http, protocol: HTTP}]
  resolution: DNS
  endpoints: [{address: localhost, ports: {http: PORT-0}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: mongo, namespace: shop}
spec:
  hosts: [mongo.example.com]
  location: MESH_INTERNAL
  ports: [{number: 27017, name: mongo, protocol: MONGO}]
  resolution: STATIC
  endpoints:
  - {address: 127.0.0.1, ports: {mongo: PORT-0}}
  - {address: 127.0.0.1, ports: {mongo: PORT-1}}
  - {address: 127.0.0.1, ports: {mongo: PORT-2}}
"#;

struct World {
    envoy: Envoy,
    upstreams: Vec<Upstream>,
}

fn start() -> Result<World> {
    let authority = Authority::new("api")?;
    let client = authority.server(&["client"])?;
    let tries = Tries::default();
    let tls = |name: &str, mutual| {
        let identity = authority.server(&[&format!("{name}.example.com")])?;
        let config = authority.server_config(&identity, mutual)?;
        Upstream::builder(name).tries(&tries).tls(config).start()
    };
    let upstreams = vec![
        Upstream::start("a")?,
        Upstream::start("b")?,
        Upstream::start("c")?,
        tls("api", false)?,
        tls("mutual", true)?,
    ];
    let path = |path: &std::path::Path| path.display().to_string();
    let mut text = RESOURCES
        .replace("CLIENT-CERTIFICATE", &path(client.certificate()))
        .replace("CLIENT-KEY", &path(client.key()))
        .replace("caCertificates: CA", &format!("caCertificates: {}", path(&authority.certificate())));
    for (index, upstream) in upstreams.iter().enumerate() {
        text = text.replace(&format!("PORT-{index}"), &upstream.address().port().to_string());
    }
    let options = Options {
        modules: Modules::Fused(Module::Policy.path()?),
        listen_address: IpAddr::from([127, 0, 0, 1]),
        ports: [(80, 0), (27017, 0)].into(),
        admin: None,
        access_log: AccessLog::Off,
        ..Options::default()
    };
    let gateway = ProxyChoice::Gateway([("istio".to_owned(), "ingressgateway".to_owned())].into());
    let compiled = compile(&Sources::from_text("mesh.yaml", &text), &gateway, &options);
    let compiled = compiled.unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(compiled.warnings, []);
    let envoy = Envoy::start(&compiled.bootstrap, &envoy::Options::default())?;
    Ok(World { envoy, upstreams })
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| start().unwrap())
}

fn client() -> Client {
    Client::new(world().envoy.listener("0.0.0.0_80").unwrap())
}

fn send(request: &Request) -> Response {
    client().send(request).unwrap()
}

/// The instances that answer requests for which `request` is made anew.
fn instances(requests: impl Iterator<Item = Request>) -> BTreeSet<String> {
    requests.map(|request| send(&request).echo().unwrap().instance).collect()
}

/// Twelve requests with one key reach one instance; forty keys reach them all.
fn hashes(request: impl Fn(u32) -> Request) {
    for key in 0..3 {
        assert_eq!(instances((0..12).map(|_| request(key))).len(), 1, "key {key}");
    }
    assert_eq!(instances((0..40).map(request)).len(), 3);
}

#[test]
fn a_header_is_a_key() {
    hashes(|key| Request::get("/header").header("x-user", format!("user-{key}")));
}

#[test]
fn a_query_parameter_is_a_key_that_settings_of_a_port_name() {
    hashes(|key| Request::get(format!("/query?user=user-{key}")));
}

#[test]
fn a_cookie_is_a_key_and_is_made_for_who_has_none() {
    hashes(|key| Request::get("/cookie").header("cookie", format!("user=user-{key}")));
    let first = send(&Request::get("/cookie"));
    let cookie = first.header("set-cookie").unwrap();
    assert!(cookie.starts_with("user=\"") && cookie.contains("Max-Age=60"), "{cookie}");
    let pair = cookie.split(';').next().unwrap().to_owned();
    let instance = first.echo().unwrap().instance;
    let later = instances((0..12).map(|_| Request::get("/cookie").header("cookie", &pair)));
    assert_eq!(later, [instance].into());
}

#[test]
fn the_clients_address_is_a_key() {
    let from = |last: u8| {
        let address = IpAddr::from([127, 0, 0, last]);
        client().from(address).send(&Request::get("/source")).unwrap().echo().unwrap().instance
    };
    for last in 1..4 {
        assert_eq!((0..6).map(|_| from(last)).collect::<BTreeSet<_>>().len(), 1);
    }
    assert!((1..40).map(from).collect::<BTreeSet<_>>().len() > 1);
}

#[test]
fn without_a_key_the_instances_share_the_requests() {
    assert!(instances((0..40).map(|_| Request::get("/header"))).len() > 1);
}

#[test]
fn a_service_outside_is_reached_by_tls_with_the_timeout_and_retries_of_its_rule() {
    let echo = send(&Request::get("/external")).echo().unwrap();
    assert_eq!((echo.instance.as_str(), echo.authority.as_str()), ("api", "api.example.com"));
    let again = send(&Request::get("/external?echo-fail-first=2&echo-key=outside"));
    assert_eq!(again.status, 200);
    let slow = send(&Request::get("/external?echo-delay-ms=5000"));
    assert_eq!(slow.status, 504);
}

#[test]
fn a_certificate_for_another_name_than_the_requests_is_not_believed() {
    assert_eq!(send(&Request::get("/wrong-name")).status, 503);
    assert_eq!(world().upstreams[3].requests().iter().filter(|r| r.path() == b"/wrong-name").count(), 0);
}

#[test]
fn a_service_that_wants_a_certificate_gets_it() {
    assert_eq!(send(&Request::get("/mutual")).echo().unwrap().instance, "mutual");
}

#[test]
fn names_are_looked_up() {
    assert_eq!(send(&Request::get("/dns")).echo().unwrap().instance, "a");
}

#[test]
fn connections_are_spread_over_all_instances() {
    let mongo = world().envoy.listener("0.0.0.0_27017").unwrap();
    let reached: BTreeSet<String> =
        (0..6).map(|_| Client::new(mongo).get("/").unwrap().echo().unwrap().instance).collect();
    assert_eq!(reached.into_iter().collect::<Vec<_>>(), ["a", "b", "c"]);
}
