//! CUSTOM policies at a sidecar and at a TCP server: requests on their way in, and connections that carry none.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use mesh_policy_compiler::{
    AccessLog, CompiledProxy, Modules, Options, ProxyChoice, Sources, WorkloadChoice, compile,
};
use mesh_policy_integration::{
    client::{Client, Request},
    envoy::{self, Envoy},
    modules::Module,
    ports,
    upstream::{Received, Upstream},
    wait::PATIENCE,
};

/// Whether the provider allows connections.
static ALLOWS: AtomicBool = AtomicBool::new(true);

/// A `CheckResponse` whose status is 0 or 7, permission denied.
fn check(_: &Received) -> Vec<u8> {
    let code = if ALLOWS.load(Ordering::SeqCst) { 0 } else { 7 };
    vec![0x0a, 2, 0x08, code]
}

const RESOURCES: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: opa, namespace: my-app}
spec:
  hosts: [opa.test]
  ports: [{number: 9000, name: check, protocol: PROTOCOL, targetPort: PORT-PROVIDER}]
  resolution: STATIC
  endpoints: [{address: 127.0.0.1}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backend, namespace: my-app}
spec:
  hosts: [backend.my-app.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP, targetPort: PORT-HTTP}, {number: 81, name: bytes, protocol: TCP, targetPort: PORT-BYTES}]
  endpoints: [{address: 127.0.0.1, labels: {app: backend}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask, namespace: my-app}
spec:
  selector: {matchLabels: {app: backend}}
  action: CUSTOM
  provider: {name: opa}
  rules: [{to: [{operation: RULE}]}]
";

struct World {
    sidecar: Envoy,
    provider: Upstream,
    app: Upstream,
    http: SocketAddr,
    bytes: SocketAddr,
}

fn compiled(
    mesh: &str,
    protocol: &str,
    rule: &str,
    provider: u16,
    app: u16,
) -> Result<(CompiledProxy, u16, u16), String> {
    let (http, bytes) = (ports::free().unwrap(), ports::free().unwrap());
    let text = RESOURCES
        .replace("PROTOCOL", protocol)
        .replace("PORT-PROVIDER", &provider.to_string())
        .replace("RULE", rule)
        .replace("PORT-HTTP", &http.to_string())
        .replace("PORT-BYTES", &bytes.to_string());
    let mut sources = Sources::from_text("mesh.yaml", &text);
    sources.add_mesh_config_text("config.yaml", mesh);
    let options = Options {
        modules: Modules::Fused(Module::Policy.path().unwrap()),
        listen_address: IpAddr::from([127, 0, 0, 1]),
        admin: None,
        access_log: AccessLog::Off,
        app_ports: [(http, app), (bytes, app)].into(),
        outbound_port: 0,
        ..Options::default()
    };
    let choice = ProxyChoice::Workload(WorkloadChoice {
        namespace: "my-app".to_owned(),
        name: "backend".to_owned(),
        labels: Some([("app".to_owned(), "backend".to_owned())].into()),
        ..WorkloadChoice::default()
    });
    match compile(&sources, &choice, &options) {
        Ok(compiled) => Ok((compiled, http, bytes)),
        Err(refusal) => Err(refusal.to_string()),
    }
}

const OVER_GRPC: &str =
    "extensionProviders: [{name: opa, envoyExtAuthzGrpc: {service: opa.test, port: 9000}}]";
const OVER_HTTP: &str =
    "extensionProviders: [{name: opa, envoyExtAuthzHttp: {service: opa.test, port: 9000}}]";

fn start(rule: &str) -> World {
    let provider = Upstream::builder("opa").grpc_message(check).start().unwrap();
    let app = Upstream::start("app").unwrap();
    let ports = (provider.address().port(), app.address().port());
    let (compiled, http, bytes) = compiled(OVER_GRPC, "GRPC", rule, ports.0, ports.1).unwrap();
    // Compiling the module takes long where many Envoys do so at once.
    let options = envoy::Options { ready_within: 4 * PATIENCE, ..envoy::Options::default() };
    let sidecar = Envoy::start(&compiled.bootstrap, &options).unwrap();
    let listener = |port: u16| sidecar.listener(&format!("127.0.0.1_{port}")).unwrap();
    World { http: listener(http), bytes: listener(bytes), sidecar, provider, app }
}

/// What comes back on a connection that says `GET /`.
fn raw(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    // A connection that is closed on what it sent may be reset.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_sidecar_asks_about_requests_and_about_connections() {
    let world = start("{methods: [GET]}");
    let get = || Client::new(world.http).send(&Request::get("/").host("backend")).unwrap().status;
    assert_eq!(get(), 200);
    assert_eq!(world.provider.clear().len(), 1);
    // On connections the method counts as matched.
    assert!(raw(world.bytes).starts_with("HTTP/1.1 200"));
    assert_eq!(world.provider.clear().len(), 1);
    ALLOWS.store(false, Ordering::SeqCst);
    let before = world.app.count();
    assert_eq!(get(), 403);
    assert_eq!(raw(world.bytes), "");
    assert_eq!(world.provider.clear().len(), 2);
    assert_eq!(world.app.count(), before);
    drop(world.sidecar);
}

#[test]
fn a_provider_that_cannot_be_asked_about_connections_is_refused_where_there_are_some() {
    let refusal = compiled(OVER_HTTP, "HTTP", "{methods: [GET]}", 1, 1).unwrap_err();
    assert!(
        refusal
            .contains("spec.provider: a provider that is asked over HTTP cannot be asked about connections"),
        "{refusal}"
    );
    assert!(compiled(OVER_HTTP, "HTTP", "{ports: ['1']}", 1, 1).is_ok());
}

#[test]
fn a_port_that_does_not_speak_grpc_is_warned_about() {
    let (compiled, ..) = compiled(OVER_GRPC, "HTTP", "{ports: ['1']}", 1, 1).unwrap();
    let warnings: Vec<String> = compiled.warnings.iter().map(ToString::to_string).collect();
    assert!(warnings.iter().any(|warning| warning.contains("is not said to speak gRPC")), "{warnings:?}");
}
