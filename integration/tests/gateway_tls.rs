//! A gateway's servers with TLS, and those that forward bytes: compiled, run, and tried from outside.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the functions beside the tests belong to them"
)]

use std::{
    net::IpAddr,
    sync::{Arc, OnceLock},
};

use mesh_policy_compiler::{AccessLog, Modules, Options, ProxyChoice, Sources, compile};
use mesh_policy_integration::{
    Result,
    certs::{Authority, Expect, Identity},
    client::{Client, Request, Tls},
    envoy::{self, Envoy},
    modules::Module,
    upstream::Upstream,
};
use rcgen::SanType;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
    version::TLS12,
};

struct World {
    envoy: Envoy,
    authority: Authority,
    strangers: Authority,
    shop: Identity,
    client: Identity,
    _upstreams: Vec<Upstream>,
}

fn resources(world: &Authority, server: &Identity, upstreams: &[Upstream]) -> String {
    let at = |index: usize| upstreams[index].address().port();
    let files = format!(
        "serverCertificate: {}, privateKey: {}",
        server.certificate().display(),
        server.key().display()
    );
    let ca = world.certificate();
    let ca = ca.display();
    format!(
        r#"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: istio-system}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: 443, name: shop, protocol: HTTPS}}, hosts: [shop.io], tls: {{mode: SIMPLE, {files}}}}}
  - {{port: {{number: 443, name: admin, protocol: HTTPS}}, hosts: [admin.io], tls: {{mode: MUTUAL, {files}, caCertificates: {ca}, subjectAltNames: ["spiffe://a/admin"]}}}}
  - {{port: {{number: 443, name: maybe, protocol: HTTPS}}, hosts: ["*.maybe.io"], tls: {{mode: OPTIONAL_MUTUAL, credentialName: maybe-cert}}}}
  - {{port: {{number: 443, name: through, protocol: TLS}}, hosts: [through.io], tls: {{mode: PASSTHROUGH}}}}
  - {{port: {{number: 443, name: bytes, protocol: TLS}}, hosts: [bytes.io], tls: {{mode: SIMPLE, {files}}}}}
  - {{port: {{number: 8443, name: modern, protocol: HTTPS}}, hosts: [shop.io], tls: {{mode: SIMPLE, {files}, minProtocolVersion: TLSV1_3}}}}
  - {{port: {{number: 80, name: redirect, protocol: HTTP}}, hosts: ["*.io"], tls: {{httpsRedirect: true}}}}
  - {{port: {{number: 80, name: open, protocol: HTTP}}, hosts: [open.org]}}
  - {{port: {{number: 9000, name: tcp, protocol: TCP}}, hosts: ["*"]}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: web, namespace: shop}}
spec:
  hosts: [shop.io, admin.io, "*.maybe.io", open.org]
  gateways: [istio-system/edge]
  http:
  - route: [{{destination: {{host: web}}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: bytes, namespace: shop}}
spec:
  hosts: [through.io, bytes.io]
  gateways: [istio-system/edge]
  tls:
  - match: [{{sniHosts: [through.io], port: 443}}]
    route: [{{destination: {{host: secure}}}}]
  tcp:
  - match: [{{port: 9000}}]
    route: [{{destination: {{host: web}}}}]
  - route:
    - {{destination: {{host: web}}, weight: 1}}
    - {{destination: {{host: other}}, weight: 1}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: tcp, namespace: istio-system}}
spec:
  action: DENY
  rules:
  - from: [{{source: {{ipBlocks: [127.0.0.9]}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: web, namespace: shop}}
spec:
  hosts: [web.shop.svc.cluster.local]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: other, namespace: shop}}
spec:
  hosts: [other.shop.svc.cluster.local]
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: secure, namespace: shop}}
spec:
  hosts: [secure.shop.svc.cluster.local]
  ports: [{{number: 443, name: tls, protocol: TLS}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1, ports: {{tls: {}}}}}]
"#,
        at(0),
        at(1),
        at(2)
    )
}

fn start() -> Result<World> {
    let (authority, strangers) = (Authority::new("customers")?, Authority::new("strangers")?);
    let shop = authority.server(&["shop.io", "admin.io", "*.maybe.io", "bytes.io"])?;
    let secure = authority.server(&["through.io"])?;
    let client = authority.issue(vec![SanType::URI("spiffe://a/admin".try_into().unwrap())])?;
    let upstreams = vec![
        Upstream::start("web")?,
        Upstream::start("other")?,
        Upstream::builder("secure").tls(authority.server_config(&secure, false)?).start()?,
    ];
    let secrets = tempfile::tempdir().unwrap();
    shop.save_as_secret(&secrets.path().join("maybe-cert"), Some(&authority))?;
    let text = resources(&authority, &shop, &upstreams);
    let options = Options {
        modules: Modules::Fused(Module::Policy.path()?),
        listen_address: IpAddr::from([127, 0, 0, 1]),
        ports: [(80, 0), (443, 0), (8443, 0), (9000, 0)].into(),
        admin: None,
        access_log: AccessLog::Off,
        secrets: Some(secrets.path().to_owned()),
        ..Options::default()
    };
    let gateway = ProxyChoice::Gateway([("istio".to_owned(), "ingressgateway".to_owned())].into());
    let compiled = compile(&Sources::from_text("edge.yaml", &text), &gateway, &options);
    let compiled = compiled.unwrap_or_else(|refusal| panic!("{refusal}"));
    assert_eq!(compiled.warnings, []);
    let envoy = Envoy::start(&compiled.bootstrap, &envoy::Options::default())?;
    Ok(World { envoy, authority, strangers, shop, client, _upstreams: upstreams })
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| start().unwrap())
}

/// A client for a TLS port that asks for a server name, and may show a certificate.
fn https(port: &str, name: &str, shown: Option<&Identity>) -> Client {
    let world = world();
    let tls = world.authority.client(Expect::Dns(name.to_owned()), shown).unwrap();
    Client::with_tls(world.envoy.listener(port).unwrap(), tls)
}

fn plain(port: &str) -> Client {
    Client::new(world().envoy.listener(port).unwrap())
}

/// A client that speaks no newer version.
fn tls12(name: &str) -> Tls {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(world().authority.certificate()).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Tls { config: Arc::new(config), server_name: ServerName::try_from(name.to_owned()).unwrap() }
}

const TLS: &str = "0.0.0.0_443";

#[test]
fn a_simple_server_asks_for_no_certificate() {
    let response = https(TLS, "shop.io", None).send(&Request::get("/").host("shop.io")).unwrap();
    assert_eq!(response.echo().unwrap().instance, "web");
}

#[test]
fn what_came_by_one_server_does_not_see_the_hosts_of_another() {
    let response = https(TLS, "shop.io", None).send(&Request::get("/").host("admin.io")).unwrap();
    assert_eq!(response.status, 404);
}

#[test]
fn a_mutual_server_takes_only_the_certificates_that_it_names() {
    let world = world();
    let get = Request::get("/").host("admin.io");
    let answer = https(TLS, "admin.io", Some(&world.client)).send(&get).unwrap();
    assert_eq!(answer.echo().unwrap().instance, "web");
    let stranger = world.strangers.issue(vec![SanType::URI("spiffe://a/admin".try_into().unwrap())]).unwrap();
    let other = world.authority.issue(vec![SanType::URI("spiffe://a/other".try_into().unwrap())]).unwrap();
    for shown in [None, Some(&stranger), Some(&other), Some(&world.shop)] {
        https(TLS, "admin.io", shown).send(&get).unwrap_err();
    }
}

#[test]
fn an_optional_certificate_is_verified_when_there_is_one() {
    let world = world();
    let get = Request::get("/").host("a.maybe.io");
    for shown in [None, Some(&world.client)] {
        let answer = https(TLS, "a.maybe.io", shown).send(&get).unwrap();
        assert_eq!(answer.echo().unwrap().instance, "web");
    }
    let stranger = world.strangers.issue(vec![SanType::URI("spiffe://a/admin".try_into().unwrap())]).unwrap();
    https(TLS, "a.maybe.io", Some(&stranger)).send(&get).unwrap_err();
}

#[test]
fn a_server_name_that_no_server_has_is_not_answered() {
    https(TLS, "nobody.io", None).send(&Request::get("/").host("shop.io")).unwrap_err();
}

#[test]
fn tls_that_is_passed_on_ends_at_the_service() {
    let response = https(TLS, "through.io", None).send(&Request::get("/").host("through.io")).unwrap();
    assert_eq!(response.echo().unwrap().instance, "secure");
}

#[test]
fn bytes_inside_tls_are_split_by_weight() {
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..60 {
        let client = https(TLS, "bytes.io", None);
        seen.insert(client.send(&Request::get("/").host("any")).unwrap().echo().unwrap().instance);
        if seen.len() == 2 {
            break;
        }
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["other", "web"]);
}

#[test]
fn bytes_are_forwarded_and_policies_hold_for_them() {
    let response = plain("0.0.0.0_9000").send(&Request::get("/").host("any")).unwrap();
    assert_eq!(response.echo().unwrap().instance, "web");
    let denied = plain("0.0.0.0_9000").from("127.0.0.9".parse().unwrap());
    denied.send(&Request::get("/").host("any")).unwrap_err();
}

#[test]
fn a_redirecting_server_sends_every_host_to_https() {
    for host in ["shop.io", "nobody.io"] {
        let response = plain("0.0.0.0_80").send(&Request::get("/a?b=c").host(host)).unwrap();
        assert_eq!(response.status, 301);
        assert_eq!(response.header("location"), Some(format!("https://{host}/a?b=c")));
    }
    let response = plain("0.0.0.0_80").send(&Request::get("/").host("open.org")).unwrap();
    assert_eq!(response.echo().unwrap().instance, "web");
    let unknown = plain("0.0.0.0_80").send(&Request::get("/").host("other.org")).unwrap();
    assert_eq!(unknown.status, 404);
}

#[test]
fn versions_of_tls_are_held_to() {
    let world = world();
    let get = Request::get("/").host("shop.io");
    let old = |port| Client::with_tls(world.envoy.listener(port).unwrap(), tls12("shop.io")).send(&get);
    assert_eq!(old(TLS).unwrap().status, 200);
    old("0.0.0.0_8443").unwrap_err();
    assert_eq!(https("0.0.0.0_8443", "shop.io", None).send(&get).unwrap().status, 200);
}
