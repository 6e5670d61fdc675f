//! A gateway and two sidecars, three Envoys: who calls is proved by certificates, and judged by them.

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the functions beside the tests belong to them"
)]

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
};

use mesh_policy_compiler::{AccessLog, Modules, Options, ProxyChoice, Sources, WorkloadChoice, compile};
use mesh_policy_integration::{
    Result,
    certs::{Authority, Expect, Identity},
    client::{Client, Request, Response},
    envoy::{self, Envoy},
    modules::Module,
    ports,
    upstream::Upstream,
};

const RESOURCES: &str = r#"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: outside, namespace: my-app}
spec:
  hosts: [app.example.com]
  gateways: [istio-system/edge]
  http:
  - route: [{destination: {host: backend, port: {number: 80}}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inside, namespace: my-app}
spec:
  hosts: [backend]
  http:
  - match: [{uri: {prefix: /teapot}}]
    directResponse: {status: 418}
  - match: [{uri: {prefix: /second}}]
    rewrite: {uri: /rewritten, authority: another.example.com}
    route: [{destination: {host: backend, port: {number: 81}}}]
  - match: [{sourceLabels: {app: frontend}}]
    headers: {request: {set: {x-routed: "by the sidecar"}}}
    route: [{destination: {host: backend, port: {number: 80}}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: backend, namespace: my-app}
spec:
  selector: {matchLabels: {app: backend}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/my-app/sa/frontend]}}]
  - from: [{source: {principals: [cluster.local/ns/istio-system/sa/edge]}}]
    to: [{operation: {paths: [/public]}}]
  - to: [{operation: {paths: [/open]}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: backend, namespace: my-app}
spec:
  selector: {matchLabels: {app: backend}}
  mtls: {mode: STRICT}
  portLevelMtls: {PORT-BOTH: {mode: PERMISSIVE}, PORT-PLAIN: {mode: DISABLE}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backend, namespace: my-app}
spec:
  hosts: [backend.my-app.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports:
  - {number: 80, name: http, protocol: HTTP}
  - {number: 81, name: both, protocol: HTTP}
  - {number: 82, name: plain, protocol: HTTP}
  - {number: 83, name: bytes, protocol: TCP}
  - {number: 84, name: any}
  workloadSelector: {labels: {app: backend}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: backend-v1, namespace: my-app}
spec:
  address: 127.0.0.1
  labels: {app: backend, version: v1}
  serviceAccount: backend
  ports: {http: PORT-STRICT, both: PORT-BOTH, plain: PORT-PLAIN, bytes: PORT-BYTES, any: PORT-ANY}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: outside, namespace: my-app}
spec:
  hosts: [outside.example.com]
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: PORT-APP}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: frontend, namespace: my-app}
spec:
  hosts: [frontend.my-app.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1, ports: {http: PORT-FRONTEND}, labels: {app: frontend}, serviceAccount: frontend}]
"#;

struct World {
    gateway: Envoy,
    frontend: Envoy,
    backend: Envoy,
    app: Upstream,
    authority: Authority,
    strangers: Authority,
    ports: Vec<u16>,
}

const PORTS: [&str; 6] =
    ["PORT-STRICT", "PORT-BOTH", "PORT-PLAIN", "PORT-BYTES", "PORT-ANY", "PORT-FRONTEND"];

fn start() -> Result<World> {
    let (authority, strangers) = (Authority::new("mesh")?, Authority::new("strangers")?);
    let certificates = tempfile::tempdir().unwrap();
    let accounts = [("my-app", "frontend"), ("my-app", "backend"), ("istio-system", "edge")];
    authority.lay_out(certificates.path(), &accounts)?;
    let app = Upstream::start("backend")?;
    let mut text = RESOURCES.replace("PORT-APP", &app.address().port().to_string());
    let mut numbers = Vec::new();
    for name in PORTS {
        let number = ports::free()?;
        text = text.replace(name, &number.to_string());
        numbers.push(number);
    }
    let options = Options {
        modules: Modules::Fused(Module::Policy.path()?),
        listen_address: IpAddr::from([127, 0, 0, 1]),
        ports: [(80, 0)].into(),
        admin: None,
        access_log: AccessLog::Off,
        certificates: Some(certificates.path().to_owned()),
        gateway_service_account: "edge".to_owned(),
        app_ports: numbers.iter().map(|number| (*number, app.address().port())).collect(),
        outbound_port: 0,
        ..Options::default()
    };
    let sources = Sources::from_text("mesh.yaml", &text);
    let run = |choice: &ProxyChoice| {
        let compiled = compile(&sources, choice, &options).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(compiled.warnings, []);
        Envoy::start(&compiled.bootstrap, &envoy::Options::default())
    };
    let workload = |name: &str, labels: Option<&str>| {
        ProxyChoice::Workload(WorkloadChoice {
            namespace: "my-app".to_owned(),
            name: name.to_owned(),
            labels: labels.map(|app| [("app".to_owned(), app.to_owned())].into()),
            ..WorkloadChoice::default()
        })
    };
    Ok(World {
        gateway: run(&ProxyChoice::Gateway([("istio".to_owned(), "ingressgateway".to_owned())].into()))?,
        frontend: run(&workload("frontend-v1", Some("frontend")))?,
        backend: run(&workload("backend-v1", None))?,
        app,
        authority,
        strangers,
        ports: numbers,
    })
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| start().unwrap())
}

/// What the frontend's application gets that sends to its sidecar.
fn through_sidecar(path: &str, host: &str) -> Response {
    let client = Client::new(world().frontend.listener("127.0.0.1_0").unwrap());
    client.send(&Request::get(path).host(host)).unwrap()
}

fn through_gateway(path: &str) -> Response {
    let client = Client::new(world().gateway.listener("0.0.0.0_80").unwrap());
    client.send(&Request::get(path).host("app.example.com")).unwrap()
}

/// The backend's listener for a port of its service, by the order of its ports.
fn backend(service_port: &str) -> SocketAddr {
    let index = ["80", "81", "82", "83", "84"].iter().position(|port| *port == service_port).unwrap();
    let number = world().ports[index];
    world().backend.listener(&format!("127.0.0.1_{number}")).unwrap()
}

#[test]
fn a_policy_sees_who_calls_by_the_callers_certificate() {
    let response = through_sidecar("/anything", "backend");
    assert_eq!(response.status, 200, "{}", response.text());
    let echo = response.echo().unwrap();
    let chain = echo.header("x-forwarded-client-cert").unwrap();
    assert!(chain.contains("URI=spiffe://cluster.local/ns/my-app/sa/frontend"), "{chain}");
    assert_eq!(through_gateway("/public").status, 200);
    let denied = through_gateway("/anything");
    assert_eq!((denied.status, denied.text().as_str()), (403, "RBAC: access denied"));
}

/// A caller with a certificate of its own, straight at the backend's sidecar.
fn with(identity: &Identity, address: SocketAddr, path: &str) -> Result<Response> {
    let expected = Expect::Spiffe {
        id: "spiffe://cluster.local/ns/my-app/sa/backend".to_owned(),
        sni: "outbound_.80_._.backend.my-app.svc.cluster.local".to_owned(),
    };
    let mut tls = world().authority.client(expected, Some(identity))?;
    let mut config = (*tls.config).clone();
    config.alpn_protocols = vec![b"istio-http/1.1".to_vec(), b"istio".to_vec(), b"http/1.1".to_vec()];
    tls.config = Arc::new(config);
    Client::with_tls(address, tls).send(&Request::get(path).host("backend"))
}

#[test]
fn a_caller_of_the_mesh_that_no_rule_names_is_denied() {
    let other = world().authority.workload("spiffe://cluster.local/ns/my-app/sa/other").unwrap();
    for port in ["80", "81", "84"] {
        assert_eq!(with(&other, backend(port), "/anything").unwrap().status, 403, "{port}");
        assert_eq!(with(&other, backend(port), "/open").unwrap().status, 200, "{port}");
    }
}

#[test]
fn a_caller_of_another_mesh_does_not_get_through_the_handshake() {
    let frontend = "spiffe://cluster.local/ns/my-app/sa/frontend";
    let stranger = world().strangers.workload(frontend).unwrap();
    let foreign = world().authority.workload("spiffe://elsewhere/ns/my-app/sa/frontend").unwrap();
    for port in ["80", "81", "84"] {
        with(&stranger, backend(port), "/open").unwrap_err();
        with(&foreign, backend(port), "/open").unwrap_err();
    }
}

#[test]
fn plain_text_is_refused_where_mutual_tls_is_demanded() {
    let send = |port| Client::new(backend(port)).send(&Request::get("/open").host("backend"));
    for port in ["80", "83", "84"] {
        send(port).unwrap_err();
    }
}

#[test]
fn a_permissive_port_takes_both_and_plain_text_proves_nobody() {
    let frontend = world().authority.workload("spiffe://cluster.local/ns/my-app/sa/frontend").unwrap();
    assert_eq!(with(&frontend, backend("81"), "/anything").unwrap().status, 200);
    let plain = |path: &str| Client::new(backend("81")).send(&Request::get(path).host("backend")).unwrap();
    assert_eq!(plain("/open").status, 200);
    assert_eq!(plain("/anything").status, 403);
    let forged = Request::get("/anything")
        .host("backend")
        .header("x-forwarded-client-cert", "URI=spiffe://cluster.local/ns/my-app/sa/frontend");
    assert_eq!(Client::new(backend("81")).send(&forged).unwrap().status, 403);
}

#[test]
fn where_mutual_tls_is_off_only_plain_text_is_taken() {
    let plain = Client::new(backend("82")).send(&Request::get("/open").host("backend")).unwrap();
    assert_eq!(plain.status, 200);
    let frontend = world().authority.workload("spiffe://cluster.local/ns/my-app/sa/frontend").unwrap();
    with(&frontend, backend("82"), "/open").unwrap_err();
}

#[test]
fn bytes_are_let_through_by_the_callers_certificate_alone() {
    let frontend = world().authority.workload("spiffe://cluster.local/ns/my-app/sa/frontend").unwrap();
    let other = world().authority.workload("spiffe://cluster.local/ns/my-app/sa/other").unwrap();
    assert_eq!(with(&frontend, backend("83"), "/anything").unwrap().status, 200);
    with(&other, backend("83"), "/open").unwrap_err();
}

#[test]
fn an_application_is_routed_by_its_sidecar() {
    assert_eq!(through_sidecar("/teapot", "backend").status, 418);
    for host in ["backend", "backend.my-app", "backend.my-app.svc.cluster.local", "backend:80"] {
        let echo = through_sidecar("/hosts", host).echo().unwrap();
        assert_eq!(echo.header("x-routed").as_deref(), Some("by the sidecar"), "{host}");
    }
    let echo = through_sidecar("/second", "backend").echo().unwrap();
    assert_eq!((echo.path.as_str(), echo.authority.as_str()), ("/rewritten", "another.example.com"));
}

#[test]
fn where_no_rule_speaks_a_request_goes_to_the_service_of_its_host() {
    let echo = through_sidecar("/free", "outside.example.com").echo().unwrap();
    assert_eq!(echo.path, "/free");
    assert_eq!(echo.header("x-mesh-policy-cluster"), None);
    assert_eq!(through_sidecar("/", "nobody.example.com").status, 502);
    let forged = Request::get("/")
        .host("nobody.example.com")
        .header("x-mesh-policy-cluster", "outbound|80||outside.example.com");
    let client = Client::new(world().frontend.listener("127.0.0.1_0").unwrap());
    assert_eq!(client.send(&forged).unwrap().status, 502);
    assert!(world().app.count() > 0);
}
