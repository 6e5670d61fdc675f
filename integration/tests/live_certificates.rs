//! Certificates that change under running proxies: the new one is used without a restart and without a lost request, and one
//! that is no good leaves the old one in force.

#![expect(clippy::unwrap_used, reason = "what a test cannot have ends it, wherever it says so")]

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use mesh_policy_integration::{
    certs::{Authority, Expect, Identity},
    client::{Client, Request},
    demo::command,
    envoy::{self, Envoy},
    ports,
    running::Running,
    upstream::Upstream,
    wait,
};

const HOST: &str = "shop.example.com";

/// Puts a certificate and its key in their places, one after the other, as whoever renews them does.
fn install(identity: &Identity, folder: &Path) {
    fs::create_dir_all(folder).unwrap();
    for (from, name) in [(identity.certificate(), "tls.crt"), (identity.key(), "tls.key")] {
        let beside = folder.join(format!(".{name}"));
        fs::copy(from, &beside).unwrap();
        fs::rename(&beside, folder.join(name)).unwrap();
    }
}

fn gateway(upstream: &Upstream) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - port: {{number: 443, name: https, protocol: HTTPS}}
    hosts: [{HOST}]
    tls: {{mode: SIMPLE, credentialName: shop}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop}}
spec:
  hosts: [{HOST}]
  gateways: [edge]
  http: [{{route: [{{destination: {{host: shop}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop}}
spec:
  hosts: [shop.default.svc.cluster.local]
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints: [{{address: 127.0.0.1, ports: {{http: {}}}}}]
",
        upstream.address().port()
    )
}

/// Sends a request on a new connection that believes this authority alone.
fn ask(authority: &Authority, address: SocketAddr) -> Result<u16, String> {
    let tls = authority.client(Expect::Dns(HOST.to_owned()), None).unwrap();
    let response = Client::with_tls(address, tls).send(&Request::get("/").host(HOST));
    response.map(|response| response.status).map_err(|error| error.to_string())
}

#[test]
fn a_gateways_certificate_that_is_replaced_is_served_soon_and_one_that_is_no_good_never() {
    let (old, new) = (Authority::new("old").unwrap(), Authority::new("new").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secrets/shop");
    install(&old.server(&[HOST]).unwrap(), &secret);
    let upstream = Upstream::start("shop").unwrap();
    let resources = folder.path().join("shop.yaml");
    fs::write(&resources, gateway(&upstream)).unwrap();
    let port = ports::free().unwrap();
    let secrets = folder.path().join("secrets");
    let mapping = format!("443={port}");
    let words = [
        "--engine",
        "native",
        "--gateway",
        "istio=ingressgateway",
        "--map-port",
        &mapping,
        "--secrets",
        secrets.to_str().unwrap(),
    ];
    let proxy = Running::start(&resources, &words).unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    assert_eq!(ask(&old, address), Ok(200));
    ask(&new, address).unwrap_err();

    // A connection of before goes on.
    let kept = Client::with_tls(address, old.client(Expect::Dns(HOST.to_owned()), None).unwrap());
    assert_eq!(kept.send(&Request::get("/").host(HOST)).unwrap().status, 200);
    let begun = Instant::now();
    install(&new.server(&[HOST]).unwrap(), &secret);
    wait::until_true("the new certificate", || ask(&new, address) == Ok(200)).unwrap();
    println!("served {:?} after it was replaced", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    ask(&old, address).unwrap_err();
    assert_eq!(kept.send(&Request::get("/").host(HOST)).unwrap().status, 200);

    // The key of another certificate.
    fs::copy(old.server(&[HOST]).unwrap().key(), secret.join("tls.key")).unwrap();
    proxy.wait_until_said("not applied: ", 1).unwrap();
    let said = format!(
        "the key `{}` is not that of the certificate `{}`",
        secret.join("tls.key").display(),
        secret.join("tls.crt").display()
    );
    proxy.wait_until_said(&said, 1).unwrap();
    // A certificate that has expired.
    let expired = old.expired(&[HOST]).unwrap();
    install(&expired, &secret);
    proxy
        .wait_until_said(&format!("the certificate `{}` expired on ", secret.join("tls.crt").display()), 1)
        .unwrap();
    // None at all.
    fs::remove_file(secret.join("tls.crt")).unwrap();
    let missing = format!("the certificate file `{}` does not exist", secret.join("tls.crt").display());
    proxy.wait_until_said(&missing, 1).unwrap();
    assert_eq!(ask(&new, address), Ok(200), "{}", proxy.log());
    // While it is missing, so is every other edit of this proxy kept out: nothing half-done comes into force.
    fs::write(
        &resources,
        gateway(&upstream)
            .replace("hosts: [shop.example.com]\n  gateways", "hosts: ['*.example.com']\n  gateways"),
    )
    .unwrap();
    proxy.wait_until_said(&missing, 2).unwrap();
    install(&old.server(&[HOST]).unwrap(), &secret);
    wait::until_true("the certificate that is there again", || ask(&old, address) == Ok(200)).unwrap();
}

#[test]
fn an_envoy_that_watches_compiled_files_serves_a_certificate_that_is_moved_into_place() {
    let (old, new) = (Authority::new("old").unwrap(), Authority::new("new").unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (secrets, out) = (folder.path().join("secrets"), folder.path().join("out"));
    install(&old.server(&[HOST]).unwrap(), &secrets.join("shop"));
    let upstream = Upstream::start("shop").unwrap();
    let resources = folder.path().join("shop.yaml");
    fs::write(&resources, gateway(&upstream)).unwrap();
    let compiled = Command::new(command::find().unwrap())
        .args([
            "compile",
            "--xds",
            "--engine",
            "native",
            "--gateway",
            "istio=ingressgateway",
            "--listen-address",
            "127.0.0.1",
        ])
        .args(["--map-port", "443=0", "-f"])
        .arg(&resources)
        .args(["--secrets".as_ref(), secrets.as_os_str(), "-o".as_ref(), out.as_os_str()])
        .output()
        .unwrap();
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    // Keys stay where they are.
    let written =
        fs::read_dir(out.join("secrets")).unwrap().map(|file| fs::read_to_string(file.unwrap().path()));
    assert!(written.into_iter().all(|text| !text.unwrap().contains("PRIVATE KEY")));
    let envoy = Envoy::start(&out.join("envoy.yaml"), &envoy::Options::default()).unwrap();
    let address = envoy.listener("0.0.0.0_443").unwrap();
    assert_eq!(ask(&old, address), Ok(200));
    install(&new.server(&[HOST]).unwrap(), &secrets.join("shop"));
    wait::until_true("the new certificate", || ask(&new, address) == Ok(200)).unwrap();
}

/// The serial numbers of certificates are unique.
fn certificate(folder: &Path, identity: &str) -> Vec<u8> {
    fs::read(folder.join(identity).join("tls.crt")).unwrap()
}

#[test]
fn certificates_are_issued_anew_before_they_expire_and_no_request_is_lost() {
    const TTL: u64 = 20;
    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::start("backend").unwrap();
    let (edge, inbound) = (ports::free().unwrap(), ports::free().unwrap());
    let resources = folder.path().join("mesh.yaml");
    let text = format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: istio-system}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: backend, namespace: my-app}}
spec:
  hosts: ['*']
  gateways: [istio-system/edge]
  http: [{{route: [{{destination: {{host: backend}}}}], retries: {{attempts: 0}}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: backend, namespace: my-app}}
spec:
  host: backend
  # Each request makes a connection of its own, and so a handshake.
  trafficPolicy: {{connectionPool: {{http: {{maxRequestsPerConnection: 1}}}}}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: strict, namespace: my-app}}
spec: {{mtls: {{mode: STRICT}}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: backend, namespace: my-app}}
spec:
  hosts: [backend.my-app.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  workloadSelector: {{labels: {{app: backend}}}}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: backend-v1, namespace: my-app}}
spec: {{address: 127.0.0.1, labels: {{app: backend}}, serviceAccount: backend, ports: {{http: {inbound}}}}}
"
    );
    fs::write(&resources, text).unwrap();
    let certs = folder.path().join("certs");
    let issued = Command::new(command::find().unwrap())
        .args(["certs", "-f"])
        .arg(&resources)
        .args(["--ttl", &format!("{TTL}s"), "-o"])
        .arg(&certs)
        .output()
        .unwrap();
    assert!(issued.status.success(), "{}", String::from_utf8_lossy(&issued.stderr));
    let identities = ["my-app/backend", "istio-system/istio-ingressgateway-service-account"];
    let mut seen: BTreeSet<Vec<u8>> = identities.map(|identity| certificate(&certs, identity)).into();
    let dir = certs.to_str().unwrap();
    let (app_port, map_port) = (format!("{inbound}={}", upstream.address().port()), format!("80={edge}"));
    let sidecar = Running::start(
        &resources,
        &["--workload", "my-app/backend-v1", "--certs", dir, "--app-port", &app_port, "--outbound-port", "0"],
    )
    .unwrap();
    let gateway = Running::start(
        &resources,
        &["--engine", "native", "--gateway", "istio=ingressgateway", "--certs", dir, "--map-port", &map_port],
    )
    .unwrap();
    let client = Client::new(SocketAddr::from(([127, 0, 0, 1], edge)));
    let (begun, mut sent) = (Instant::now(), 0);
    while begun.elapsed() < Duration::from_secs(TTL + 8) {
        let response = client.send(&Request::get("/").host("backend")).unwrap();
        assert_eq!(response.status, 200, "{}\n{}\n{}", response.text(), sidecar.log(), gateway.log());
        sent += 1;
        seen.extend(identities.map(|identity| certificate(&certs, identity)));
        thread::sleep(Duration::from_millis(10));
    }
    println!("{sent} requests, each with a handshake, over {} certificates", seen.len());
    assert!(sent > 200, "too little load to show anything: {sent}");
    // Each was renewed, or the certificates of the beginning would have expired.
    assert!(seen.len() >= 4, "{}", seen.len());
    for proxy in [&sidecar, &gateway] {
        proxy.wait_until_said("in force: ", 1).unwrap();
        assert_eq!(proxy.log().matches("not applied").count(), 0, "{}", proxy.log());
    }
}
