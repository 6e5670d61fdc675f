//! Edits under a gateway with TLS, and under a gateway with two sidecars: none of them loses a request.
//!
//! `LIVE_EDITS_SECONDS=30` makes the load last as long (default: 6).

#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the functions beside the tests belong to them"
)]

use std::{fs, net::SocketAddr, path::Path};

use mesh_policy_integration::{
    certs::{Authority, Expect},
    client::{Client, Request, Response},
    load::{Outcome, Sender, while_editing},
    ports,
    running::Running,
    upstream::Upstream,
};

/// Saves as editors do: beside it, then in its place.
fn save(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    let beside = file.with_extension("saving");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, &file).unwrap();
}

fn at(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// The policy that a response says it is of; it has to be well.
fn policy_of(response: &Response) -> Result<String, String> {
    let policy = response.header("x-policy").unwrap_or_default();
    if response.status == 200 { Ok(policy) } else { Err(format!("{}: {}", response.status, response.text())) }
}

/// Nothing was lost, and edits came into force at each proxy.
fn judge(what: &str, outcome: &Outcome, proxies: &[&Running]) {
    let said: Vec<_> = proxies.iter().map(|proxy| proxy.said("in force: ")).collect();
    println!(
        "{what}: {} edits, {said:?} in force, {} requests sent, {} lost, answered {:?}",
        outcome.edits,
        outcome.sent,
        outcome.lost.len(),
        outcome.answers
    );
    let logs = || proxies.iter().map(|proxy| proxy.log()).collect::<Vec<_>>().join("\n---\n");
    outcome.check().unwrap_or_else(|error| panic!("{error}\n{}", logs()));
    for (proxy, said) in proxies.iter().zip(said) {
        // On a busy machine an edit is overtaken by the next one.
        assert!(said > 3, "{}", logs());
        assert_eq!(proxy.said("not applied"), 0, "{}", logs());
    }
}

const HOST: &str = "shop.example.com";

/// A gateway with an HTTPS server; `more` belongs to its TLS settings, `servers` stand beside it.
fn https_gateway(more: &str, servers: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: 443, name: https, protocol: HTTPS}}
    hosts: [{HOST}]
    tls: {{mode: SIMPLE, credentialName: shop{more}}}
{servers}"
    )
}

/// Everything goes to one of two instances, which the response says, too.
fn shop(upstreams: &[Upstream; 2], policy: usize) -> String {
    let [v1, v2] = upstreams.each_ref().map(|upstream| upstream.address().port());
    let name = ["v1", "v2"][policy % 2];
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop}}
spec:
  hosts: [{HOST}]
  gateways: [edge]
  http:
  - route: [{{destination: {{host: shop, subset: {name}}}}}]
    headers: {{response: {{set: {{x-policy: {name}}}}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop}}
spec:
  host: shop
  subsets: [{{name: v1, labels: {{version: v1}}}}, {{name: v2, labels: {{version: v2}}}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop}}
spec:
  hosts: [shop.default.svc.cluster.local]
  resolution: STATIC
  ports: [{{number: 443, name: http, protocol: HTTP}}]
  endpoints:
  - {{address: 127.0.0.1, ports: {{http: {v1}}}, labels: {{version: v1}}}}
  - {{address: 127.0.0.1, ports: {{http: {v2}}}, labels: {{version: v2}}}}
"
    )
}

/// Runs an HTTPS gateway under load; `edit` gives the Gateway of each edit.
fn https_edits(what: &str, gateway: impl Fn(usize) -> String) {
    let authority = Authority::new("shop").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mesh = folder.path().join("mesh");
    fs::create_dir(&mesh).unwrap();
    let secrets = folder.path().join("secrets");
    let identity = authority.server(&[HOST, "second.example.com"]).unwrap();
    identity.save_as_secret(&secrets.join("shop"), None).unwrap();
    let upstreams = [Upstream::start("v1").unwrap(), Upstream::start("v2").unwrap()];
    save(&mesh, "gateway.yaml", &gateway(1));
    save(&mesh, "shop.yaml", &shop(&upstreams, 0));
    let port = ports::free().unwrap();
    let map = format!("443={port}");
    let words = ["--gateway", "istio=ingressgateway", "--map-port", &map, "--concurrency", "2"];
    let proxy =
        Running::start(&mesh, &[&words[..], &["--secrets", secrets.to_str().unwrap()]].concat()).unwrap();
    let senders = [true, false, true, false].map(|kept| Sender {
        client: Client::with_tls(at(port), authority.client(Expect::Dns(HOST.to_owned()), None).unwrap()),
        request: Request::get("/").host(HOST),
        kept,
    });
    // The rule and the destination are of one generation.
    let read = |response: &Response| {
        let policy = policy_of(response)?;
        let instance = response.echo().map(|echo| echo.instance).unwrap_or_default();
        if instance == policy { Ok(policy) } else { Err(format!("`{instance}`, policy `{policy}`")) }
    };
    let outcome = while_editing(&senders, read, |edit| {
        save(&mesh, "gateway.yaml", &gateway(edit));
        save(&mesh, "shop.yaml", &shop(&upstreams, edit + 1));
    });
    judge(what, &outcome, &[&proxy]);
}

#[test]
fn edits_of_rules_behind_an_https_server_lose_no_request() {
    https_edits("https, rules", |_| https_gateway("", ""));
}

/// The handshake of the server is another one after each edit.
#[test]
fn edits_of_the_tls_settings_of_an_https_server_lose_no_request() {
    https_edits("https, versions of TLS", |edit| {
        https_gateway(["", ", minProtocolVersion: TLSV1_3"][edit % 2], "")
    });
}

/// The listener gets a filter chain more, and loses it again.
#[test]
fn a_second_https_server_that_comes_and_goes_loses_no_request_of_the_first() {
    let second = "  - port: {number: 443, name: second, protocol: HTTPS}
    hosts: [second.example.com]
    tls: {mode: SIMPLE, credentialName: shop}
";
    https_edits("https, servers", |edit| https_gateway("", ["", second][edit % 2]));
}

/// A gateway, and the sidecars of a frontend and of the backend that both call.
struct Mesh {
    gateway: Running,
    frontend: Running,
    backend: Running,
    senders: Vec<Sender>,
    folder: tempfile::TempDir,
    _app: Upstream,
}

/// What callers of the backend are told, by the rule of their own proxy.
fn callers(edit: usize) -> String {
    let policy = ["a", "b"][edit % 2];
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: backend, namespace: my-app}}
spec:
  hosts: [backend]
  gateways: [mesh, istio-system/edge]
  http:
  - headers: {{response: {{set: {{x-policy: {policy}}}}}}}
    route: [{{destination: {{host: backend, port: {{number: 80}}}}}}]
"
    )
}

/// Who may call the backend, and how.
fn security(number: usize, mode: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: backend, namespace: my-app}}
spec:
  selector: {{matchLabels: {{app: backend}}}}
  rules:
  - from: [{{source: {{principals: [cluster.local/ns/my-app/sa/frontend, cluster.local/ns/istio-system/sa/edge]}}}}]
    to: [{{operation: {{notPaths: [/private-{number}]}}}}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: backend, namespace: my-app}}
spec:
  selector: {{matchLabels: {{app: backend}}}}
  mtls: {{mode: {mode}}}
"
    )
}

impl Mesh {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mesh = folder.path().join("mesh");
        fs::create_dir(&mesh).unwrap();
        let authority = Authority::new("mesh").unwrap();
        let certs = folder.path().join("certs");
        let accounts = [("my-app", "frontend"), ("my-app", "backend"), ("istio-system", "edge")];
        authority.lay_out(&certs, &accounts).unwrap();
        let app = Upstream::start("backend").unwrap();
        let [edge, outbound, inbound, front, other] = [(); 5].map(|()| ports::free().unwrap());
        let resources = format!(
            "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: istio-system}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: backend, namespace: my-app}}
spec:
  hosts: [backend.my-app.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{http: {inbound}}}, labels: {{app: backend}}, serviceAccount: backend}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: frontend, namespace: my-app}}
spec:
  hosts: [frontend.my-app.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{http: {front}}}, labels: {{app: frontend}}, serviceAccount: frontend}}]
"
        );
        save(&mesh, "services.yaml", &resources);
        save(&mesh, "callers.yaml", &callers(0));
        save(&mesh, "security.yaml", &security(0, "STRICT"));
        let start = |words: &str| {
            let words = format!("{words} --certs {}", certs.display());
            Running::start(&mesh, &words.split(' ').collect::<Vec<_>>()).unwrap()
        };
        let port = app.address().port();
        let gateway = start(&format!(
            "--gateway istio=ingressgateway --gateway-service-account edge --map-port 80={edge}"
        ));
        let frontend = start(&format!(
            "--workload my-app/frontend --labels app=frontend --app-port {front}={port} --outbound-port {outbound}"
        ));
        let backend = start(&format!(
            "--workload my-app/backend --labels app=backend --app-port {inbound}={port} --outbound-port {other}"
        ));
        for (proxy, port) in [(&frontend, outbound), (&backend, other)] {
            let line = format!("http://127.0.0.1:{port}/  for the application's requests, to backend.my-app");
            assert_eq!(proxy.said(&line), 1, "{}", proxy.log());
            assert_eq!(proxy.said("of the Gateway"), 0, "{}", proxy.log());
        }
        let sender = |(port, kept)| Sender {
            client: Client::new(at(port)),
            request: Request::get("/").host("backend.my-app.svc.cluster.local"),
            kept,
        };
        let senders = [(edge, true), (edge, false), (outbound, true), (outbound, false)].map(sender);
        Self { gateway, frontend, backend, senders: senders.into(), folder, _app: app }
    }

    fn save(&self, name: &str, text: &str) {
        save(&self.folder.path().join("mesh"), name, text);
    }
}

#[test]
fn edits_of_rules_and_policies_of_a_mesh_lose_no_request() {
    let mesh = Mesh::start();
    let outcome = while_editing(&mesh.senders, policy_of, |edit| {
        mesh.save("callers.yaml", &callers(edit + 1));
        mesh.save("security.yaml", &security(edit, "STRICT"));
    });
    judge("mesh, rules", &outcome, &[&mesh.gateway, &mesh.frontend, &mesh.backend]);
}

/// The listener of the backend's sidecar takes plain text besides, and no longer.
#[test]
fn edits_of_what_a_sidecar_takes_lose_no_request() {
    let mesh = Mesh::start();
    let outcome = while_editing(&mesh.senders, policy_of, |edit| {
        mesh.save("callers.yaml", &callers(edit + 1));
        mesh.save("security.yaml", &security(edit, ["PERMISSIVE", "STRICT"][edit % 2]));
    });
    judge("mesh, PeerAuthentication", &outcome, &[&mesh.gateway, &mesh.frontend, &mesh.backend]);
}
