//! Identities by a server of secrets, as SPIRE's agent is one: a gateway and two sidecars, three Envoys, get their certificates
//! over its socket, and the next ones when they are renewed.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    process::Command,
    sync::Arc,
};

use mesh_policy_compiler::{
    AccessLog, Modules, Options, ProxyChoice, SdsAddress, Sources, WorkloadChoice, compile,
};
use mesh_policy_integration::{
    certs::{Authority, Expect, Identity},
    client::{Client, Request},
    demo::command,
    envoy::{self, Envoy},
    modules::Module,
    ports,
    running::Running,
    sds::SdsServer,
    upstream::Upstream,
    wait,
};

const RESOURCES: &str = r#"
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}
  - {port: {number: 443, name: mesh, protocol: HTTPS}, hosts: ["*"], tls: {mode: ISTIO_MUTUAL}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: outside, namespace: my-app}
spec:
  hosts: [app.example.com]
  gateways: [istio-system/edge]
  http: [{route: [{destination: {host: backend}}]}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: backend, namespace: my-app}
spec:
  host: backend
  # A connection, and so a handshake, for each request.
  trafficPolicy: {connectionPool: {http: {maxRequestsPerConnection: 1}}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: strict, namespace: my-app}
spec: {mtls: {mode: STRICT}}
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
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: backend, namespace: my-app}
spec:
  hosts: [backend.my-app.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: backend}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: backend-v1, namespace: my-app}
spec: {address: 127.0.0.1, labels: {app: backend}, serviceAccount: backend, ports: {http: PORT-BACKEND}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: frontend, namespace: my-app}
spec:
  hosts: [frontend.my-app.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  workloadSelector: {labels: {app: frontend}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: frontend-v1, namespace: my-app}
spec: {address: 127.0.0.1, labels: {app: frontend}, serviceAccount: frontend, ports: {http: PORT-FRONTEND}}
"#;

const ACCOUNTS: [(&str, &str); 3] = [("my-app", "frontend"), ("my-app", "backend"), ("istio-system", "edge")];

fn id(namespace: &str, account: &str) -> String {
    format!("spiffe://cluster.local/ns/{namespace}/sa/{account}")
}

/// Everybody's certificate, by this authority.
fn issue(server: &SdsServer, authority: &Authority) {
    for (namespace, account) in ACCOUNTS {
        let id = id(namespace, account);
        server.serve_certificate(&id, &authority.workload(&id).unwrap()).unwrap();
    }
}

/// A caller of the mesh that believes this authority, straight at a sidecar.
fn caller(believed: &Authority, own: &Identity, address: SocketAddr) -> Client {
    let expected = Expect::Spiffe {
        id: id("my-app", "backend"),
        sni: "outbound_.80_._.backend.my-app.svc.cluster.local".to_owned(),
    };
    let mut tls = believed.client(expected, Some(own)).unwrap();
    let mut config = (*tls.config).clone();
    config.alpn_protocols = vec![b"istio-http/1.1".to_vec(), b"istio".to_vec()];
    tls.config = Arc::new(config);
    Client::with_tls(address, tls)
}

#[test]
fn three_proxies_get_their_certificates_over_a_socket_and_take_new_ones_as_they_come() {
    let (first, second) = (Authority::new("first").unwrap(), Authority::new("second").unwrap());
    let server = SdsServer::start().unwrap();
    issue(&server, &first);
    server.serve_bundle("spiffe://cluster.local", "cluster.local", &[&first]).unwrap();

    let app = Upstream::start("backend").unwrap();
    let (backend_port, frontend_port) = (ports::free().unwrap(), ports::free().unwrap());
    let text = RESOURCES
        .replace("PORT-BACKEND", &backend_port.to_string())
        .replace("PORT-FRONTEND", &frontend_port.to_string());
    let options = Options {
        modules: Modules::Fused(Module::Policy.path().unwrap()),
        listen_address: IpAddr::from([127, 0, 0, 1]),
        ports: [(80, 0)].into(),
        admin: None,
        access_log: AccessLog::Off,
        sds: Some(SdsAddress::Socket(server.socket().to_owned())),
        gateway_service_account: "edge".to_owned(),
        app_ports: [backend_port, frontend_port].map(|port| (port, app.address().port())).into(),
        outbound_port: 0,
        ..Options::default()
    };
    let sources = Sources::from_text("mesh.yaml", &text);
    let start = |choice: &ProxyChoice| {
        let compiled = compile(&sources, choice, &options).unwrap_or_else(|refusal| panic!("{refusal}"));
        assert_eq!(compiled.warnings, []);
        Envoy::start(&compiled.bootstrap, &envoy::Options::default()).unwrap()
    };
    let workload = |name: &str| {
        ProxyChoice::Workload(WorkloadChoice {
            namespace: "my-app".to_owned(),
            name: name.to_owned(),
            ..WorkloadChoice::default()
        })
    };
    // The gateway follows its files, so that its clusters come from them: all but that of the server of secrets.
    let folder = tempfile::tempdir().unwrap();
    let (edge, edge_tls) = (ports::free().unwrap(), ports::free().unwrap());
    let file = folder.path().join("mesh.yaml");
    let (mapping, mapping_tls) = (format!("80={edge}"), format!("443={edge_tls}"));
    fs::write(&file, &text).unwrap();
    let gateway = Running::start(
        &file,
        &[
            "--engine",
            "native",
            "--gateway",
            "istio=ingressgateway",
            "--gateway-service-account",
            "edge",
            "--map-port",
            &mapping,
            "--map-port",
            &mapping_tls,
            "--sds",
            &format!("unix://{}", server.socket().display()),
        ],
    )
    .unwrap();
    let frontend = start(&workload("frontend-v1"));
    let backend = start(&workload("backend-v1"));
    let outside = Client::new(SocketAddr::from(([127, 0, 0, 1], edge)));
    let inside = Client::new(frontend.listener("127.0.0.1_0").unwrap());
    let status =
        |client: &Client, path: &str, host: &str| client.send(&Request::get(path).host(host)).unwrap().status;
    let all_is_well = || {
        assert_eq!(status(&outside, "/public", "app.example.com"), 200);
        assert_eq!(status(&outside, "/private", "app.example.com"), 403);
        assert_eq!(status(&inside, "/private", "backend"), 200);
    };
    all_is_well();
    let echo = inside.send(&Request::get("/").host("backend")).unwrap().echo().unwrap();
    let chain = echo.header("x-forwarded-client-cert").unwrap();
    assert!(chain.contains("URI=spiffe://cluster.local/ns/my-app/sa/frontend"), "{chain}");
    let mut expected: Vec<String> =
        ACCOUNTS.iter().map(|(namespace, account)| id(namespace, account)).collect();
    expected.push("spiffe://cluster.local".to_owned());
    expected.sort();
    assert_eq!(server.asked(), expected);

    // Who comes with another mesh's certificate, or with one of another trust domain by this authority, stays outside.
    let address = backend.listener(&format!("127.0.0.1_{backend_port}")).unwrap();
    let own = first.workload(&id("my-app", "frontend")).unwrap();
    let foreign = first.workload("spiffe://elsewhere/ns/my-app/sa/frontend").unwrap();
    let stranger = second.workload(&id("my-app", "frontend")).unwrap();
    let kept = caller(&first, &own, address);
    assert_eq!(kept.send(&Request::get("/private").host("backend")).unwrap().status, 200);
    for outsider in [&foreign, &stranger] {
        caller(&first, outsider, address).send(&Request::get("/private").host("backend")).unwrap_err();
    }

    // A server with ISTIO_MUTUAL shows the gateway's identity, and takes the mesh's alone.
    let address = SocketAddr::from(([127, 0, 0, 1], edge_tls));
    let through = |own: Option<&Identity>| {
        let expected = Expect::Spiffe { id: id("istio-system", "edge"), sni: "app.example.com".to_owned() };
        let tls = first.client(expected, own).unwrap();
        Client::with_tls(address, tls).send(&Request::get("/public").host("app.example.com"))
    };
    assert_eq!(through(Some(&own)).unwrap().status, 200);
    for outsider in [None, Some(&foreign), Some(&stranger)] {
        through(outsider).unwrap_err();
    }

    let address = backend.listener(&format!("127.0.0.1_{backend_port}")).unwrap();
    // A new authority: first everybody believes it beside the old one, then everybody is named by it.
    server.serve_bundle("spiffe://cluster.local", "cluster.local", &[&first, &second]).unwrap();
    let newcomer = || caller(&first, &stranger, address).send(&Request::get("/private").host("backend"));
    wait::until_true("the new authority", || newcomer().is_ok_and(|response| response.status == 200))
        .unwrap();
    issue(&server, &second);
    let renewed = || caller(&second, &own, address).send(&Request::get("/private").host("backend"));
    wait::until_true("the new certificate", || renewed().is_ok_and(|response| response.status == 200))
        .unwrap();
    all_is_well();
    // A connection of before goes on.
    assert_eq!(kept.send(&Request::get("/private").host("backend")).unwrap().status, 200);
    assert_eq!(server.refusals(), [""; 0], "{}", gateway.log());

    // A certificate with the key of another is refused, and the one before goes on serving.
    let id = id("my-app", "backend");
    let (one, other) = (second.workload(&id).unwrap(), second.workload(&id).unwrap());
    fs::copy(other.key(), one.key()).unwrap();
    server.serve_certificate(&id, &one).unwrap();
    wait::until_true("the refusal", || !server.refusals().is_empty()).unwrap();
    all_is_well();
}

#[test]
fn a_run_says_which_certificate_does_not_come_and_takes_it_when_it_does() {
    let authority = Authority::new("mesh").unwrap();
    let server = SdsServer::start().unwrap();
    server.serve_bundle("spiffe://cluster.local", "cluster.local", &[&authority]).unwrap();
    let (folder, port) = (tempfile::tempdir().unwrap(), ports::free().unwrap());
    let resources = folder.path().join("mesh.yaml");
    let gateway = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 443, name: mesh, protocol: HTTPS}, hosts: ['*'], tls: {mode: ISTIO_MUTUAL}}]
";
    fs::write(&resources, gateway).unwrap();
    let (socket, mapping) = (server.socket().display().to_string(), format!("443={port}"));
    let words =
        ["--engine", "native", "--gateway", "istio=ingressgateway", "--gateway-service-account", "edge"];
    let run = Running::start(&resources, &[&words[..], &["--map-port", &mapping, "--sds", &socket]].concat())
        .unwrap();
    let id = id("istio-system", "edge");
    let said =
        format!("warning: nothing came for `{id}`: connections that need it are refused until it does");
    assert!(run.log().contains(&said), "{}", run.log());
    let own = authority.workload("spiffe://cluster.local/ns/my-app/sa/frontend").unwrap();
    let ask = || {
        let expected = Expect::Spiffe { id: id.clone(), sni: "app.example.com".to_owned() };
        let tls = authority.client(expected, Some(&own)).unwrap();
        Client::with_tls(SocketAddr::from(([127, 0, 0, 1], port)), tls).get("/")
    };
    ask().unwrap_err();
    server.serve_certificate(&id, &authority.workload(&id).unwrap()).unwrap();
    wait::until_true("the certificate", || ask().is_ok_and(|response| response.status == 404)).unwrap();
}

#[test]
fn a_run_says_when_nobody_gives_out_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let resources = folder.path().join("mesh.yaml");
    fs::write(&resources, RESOURCES.replace("PORT-BACKEND", "20001").replace("PORT-FRONTEND", "20002"))
        .unwrap();
    let socket = folder.path().join("agent.sock");
    let ended = Command::new(command::find().unwrap())
        .args(["run", "--gateway", "istio=ingressgateway", "--map-port", "80=0", "--map-port", "443=0", "-f"])
        .arg(&resources)
        .args(["--sds".as_ref(), socket.as_os_str(), "--envoy".as_ref(), envoy::find().unwrap().as_os_str()])
        .arg("--modules")
        .arg(Module::Policy.path().unwrap().parent().unwrap())
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(3));
    let said = format!(
        "error: nobody gives out certificates at `{}`: No such file or directory (os error 2)\n  help: start SPIRE's agent, and let this user open its socket\n",
        socket.display()
    );
    assert_eq!(String::from_utf8_lossy(&ended.stderr), said);
}
