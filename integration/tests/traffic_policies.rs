//! What DestinationRules say of connections and of the choice between instances, carried out by a real Envoy.

#![expect(clippy::panic, clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _, copy},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use mesh_policy_compiler::{AccessLog, Engine, Options, ProxyChoice, Sources, compile};
use mesh_policy_integration::{
    client::{Client, Request},
    envoy::{self, Envoy},
    upstream::Upstream,
    wait,
};

/// A gateway, and the service `shop` with an HTTP and a TCP port at each of these places; `policy` is the service's.
fn start(policy: &str, instances: &[(SocketAddr, &str)]) -> Envoy {
    let endpoints: String = instances
        .iter()
        .map(|(address, more)| {
            let port = address.port();
            format!("  - {{address: 127.0.0.1, ports: {{http: {port}, tcp: {port}}}, {more}}}\n")
        })
        .collect();
    let special = if policy.contains("subsets") {
        "  - {match: [{headers: {x-subset: {exact: gone}}}], route: [{destination: {host: shop, subset: gone, port: {number: 80}}}]}\n"
    } else {
        ""
    };
    let text = format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge}}
spec:
  selector: {{istio: ingressgateway}}
  servers:
  - {{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}
  - {{port: {{number: 9000, name: tcp, protocol: TCP}}, hosts: ['*']}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop}}
spec:
  hosts: ['*']
  gateways: [edge]
  http:
{special}  - {{route: [{{destination: {{host: shop, port: {{number: 80}}}}}}], retries: {{attempts: 0}}}}
  tcp: [{{route: [{{destination: {{host: shop, port: {{number: 9000}}}}}}]}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop}}
spec: {{host: shop, trafficPolicy: {policy}}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop}}
spec:
  hosts: [shop.default.svc.cluster.local]
  resolution: STATIC
  ports:
  - {{number: 80, name: http, protocol: HTTP}}
  - {{number: 9000, name: tcp, protocol: TCP}}
  endpoints:
{endpoints}"
    );
    let options = Options {
        engine: Engine::Native,
        listen_address: IpAddr::from([127, 0, 0, 1]),
        ports: [(80, 0), (9000, 0)].into(),
        admin: None,
        access_log: AccessLog::Off,
        locality: Some("eu/1".to_owned()),
        ..Options::default()
    };
    let gateway = ProxyChoice::Gateway([("istio".to_owned(), "ingressgateway".to_owned())].into());
    let compiled = compile(&Sources::from_text("shop.yaml", &text), &gateway, &options);
    let compiled = compiled.unwrap_or_else(|refusal| panic!("{refusal}"));
    Envoy::start(&compiled.bootstrap, &envoy::Options::default()).unwrap()
}

fn http(envoy: &Envoy) -> Client {
    Client::new(envoy.listener("0.0.0.0_80").unwrap())
}

fn tcp(envoy: &Envoy) -> SocketAddr {
    envoy.listener("0.0.0.0_9000").unwrap()
}

/// How many of the requests each instance gets.
fn shares(client: &Client, requests: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..requests {
        let response = client.get("/").unwrap();
        let name = response.echo().map_or_else(|_| response.status.to_string(), |echo| echo.instance);
        *shares.entry(name).or_default() += 1;
    }
    shares
}

/// Envoy puts an instance aside soon after it has failed; from then on everything goes to this one.
fn moves_to(client: &Client, instance: &str) {
    let reached = || client.get("/").unwrap().echo().unwrap().instance == instance;
    wait::until_true(instance, reached).unwrap();
    assert_eq!(shares(client, 20), [(instance.to_owned(), 20)].into());
}

fn three() -> [Upstream; 3] {
    ["here", "near", "far"].map(|name| Upstream::start(name).unwrap())
}

const PLACES: [&str; 3] = ["locality: eu/1", "locality: eu/2", "locality: us/1"];

fn placed(upstreams: &[Upstream; 3]) -> Vec<(SocketAddr, &'static str)> {
    upstreams.iter().map(Upstream::address).zip(PLACES).collect()
}

#[test]
fn the_nearest_instances_get_the_requests_until_they_fail() {
    let upstreams = three();
    let [here, near, _] = &upstreams;
    let envoy = start(
        "{outlierDetection: {consecutive5xxErrors: 1, interval: 100ms, baseEjectionTime: 1h, maxEjectionPercent: 100}}",
        &placed(&upstreams),
    );
    let client = http(&envoy);
    assert_eq!(shares(&client, 20), [("here".to_owned(), 20)].into());
    here.always(Some(503));
    moves_to(&client, "near");
    near.always(Some(503));
    moves_to(&client, "far");
}

#[test]
fn a_region_stands_in_for_the_one_that_fails() {
    let upstreams = three();
    let places = ["locality: eu/1", "locality: asia/1", "locality: us/1"];
    let envoy = start(
        "{outlierDetection: {consecutive5xxErrors: 1, interval: 100ms, baseEjectionTime: 1h, maxEjectionPercent: 100}, \
         loadBalancer: {localityLbSetting: {failover: [{from: eu, to: us}]}}}",
        &upstreams.iter().map(Upstream::address).zip(places).collect::<Vec<_>>(),
    );
    upstreams.first().unwrap().always(Some(503));
    moves_to(&http(&envoy), "far");
}

#[test]
fn instances_with_the_callers_labels_come_first() {
    let upstreams = three();
    let labels = ["labels: {istio: other}", "labels: {istio: ingressgateway}", "labels: {}"];
    let envoy = start(
        "{outlierDetection: {}, loadBalancer: {localityLbSetting: {failoverPriority: [istio]}}}",
        &upstreams.iter().map(Upstream::address).zip(labels).collect::<Vec<_>>(),
    );
    assert_eq!(shares(&http(&envoy), 20), [("near".to_owned(), 20)].into());
}

#[test]
fn localities_get_their_shares() {
    let upstreams = three();
    let distribute = "localityLbSetting: {distribute: [{from: eu/*, to: {eu/1: 75, us/*: 25}}]}";
    for balancer in ["simple: ROUND_ROBIN", "consistentHash: {httpHeaderName: x-user}"] {
        let envoy = start(&format!("{{loadBalancer: {{{balancer}, {distribute}}}}}"), &placed(&upstreams));
        let client = http(&envoy);
        let (mut here, mut far) = (0, 0);
        for user in 0..300 {
            let request = Request::get("/").header("x-user", format!("user-{user}"));
            match client.send(&request).unwrap().echo().unwrap().instance.as_str() {
                "here" => here += 1,
                "far" => far += 1,
                other => panic!("{other} has no share"),
            }
        }
        // Six standard deviations.
        assert!((180..=270).contains(&here) && here + far == 300, "{balancer}: {here}, {far}");
    }
}

/// A proxy that takes one CONNECT, says to whom, and forwards bytes to `target`.
fn proxy(target: SocketAddr) -> (SocketAddr, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, heads) = mpsc::channel();
    thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(client.try_clone().unwrap());
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(reader.read_line(&mut head).unwrap(), 0, "{head}");
        }
        sender.send(head).unwrap();
        let mut back = client;
        back.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
        let mut upstream = TcpStream::connect(target).unwrap();
        let mut answers = upstream.try_clone().unwrap();
        thread::spawn(move || copy(&mut answers, &mut back));
        _ = copy(&mut reader, &mut upstream);
    });
    (address, heads)
}

#[test]
fn connections_go_through_a_tunnel() {
    let shop = Upstream::start("shop").unwrap();
    let (address, heads) = proxy(shop.address());
    let envoy = start("{tunnel: {targetHost: shop.example.com, targetPort: 443}}", &[(address, "")]);
    let echo = Client::new(tcp(&envoy)).get("/inside").unwrap().echo().unwrap();
    assert_eq!((echo.instance.as_str(), echo.path.as_str()), ("shop", "/inside"));
    let head = heads.recv_timeout(Duration::from_secs(20)).unwrap();
    assert!(head.starts_with("CONNECT shop.example.com:443 HTTP/1.1\r\n"), "{head}");
}

/// A server that answers one request, and gives what it read before the request's end.
fn recorder(end: &'static [u8]) -> (SocketAddr, mpsc::Receiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, received) = mpsc::channel();
    thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut read = Vec::new();
        let mut byte = [0];
        while !read.ends_with(end) && client.read(&mut byte).unwrap() == 1 {
            read.extend_from_slice(&byte);
        }
        client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
        sender.send(read).unwrap();
    });
    (address, received)
}

#[test]
fn a_connection_begins_with_the_proxy_protocol() {
    let (address, received) = recorder(b"\r\n\r\n");
    let envoy = start("{proxyProtocol: {}}", &[(address, "")]);
    assert_eq!(http(&envoy).get("/").unwrap().status, 200);
    let read = String::from_utf8(received.recv().unwrap()).unwrap();
    assert!(
        read.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 ") && read.contains("\r\nGET / HTTP/1.1\r\n"),
        "{read}"
    );

    let (address, received) = recorder(b"bytes");
    let envoy = start("{proxyProtocol: {version: V2}}", &[(address, "")]);
    let mut stream = TcpStream::connect(tcp(&envoy)).unwrap();
    stream.write_all(b"bytes").unwrap();
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
    // The signature, version 2 with the command PROXY, TCP over IPv4, and twelve bytes of addresses and ports.
    let read = received.recv().unwrap();
    assert!(read.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01"), "{read:?}");
}

#[test]
fn services_are_spoken_to_in_the_http_that_the_rule_says() {
    let shop = Upstream::start("shop").unwrap();
    let protocol = |policy: &str| {
        let envoy = start(policy, &[(shop.address(), "")]);
        http(&envoy).get("/").unwrap().echo().unwrap().protocol
    };
    assert_eq!(protocol("{connectionPool: {http: {h2UpgradePolicy: UPGRADE}}}"), "HTTP/2.0");
    assert_eq!(protocol("{connectionPool: {http: {h2UpgradePolicy: DO_NOT_UPGRADE}}}"), "HTTP/1.1");
    assert_eq!(protocol("{connectionPool: {http: {useClientProtocol: true}}}"), "HTTP/1.1");
}

#[test]
fn a_service_has_no_more_requests_at_a_time_and_no_more_on_a_connection_than_the_rule_says() {
    let shop = Upstream::start("shop").unwrap();
    let envoy = start(
        "{connectionPool: {http: {http2MaxRequests: 1, maxRequestsPerConnection: 2}}}",
        &[(shop.address(), "")],
    );
    let client = http(&envoy);
    thread::scope(|scope| {
        let slow = scope.spawn(|| http(&envoy).get("/slow?echo-delay-ms=1500").unwrap().status);
        shop.wait_for(1, Duration::from_secs(20)).unwrap();
        let refused = client.get("/second").unwrap();
        assert_eq!((refused.status, refused.header("x-envoy-overloaded").as_deref()), (503, Some("true")));
        assert_eq!(slow.join().unwrap(), 200);
    });
    for _ in 0..5 {
        assert_eq!(client.get("/").unwrap().status, 200);
    }
    let name = "cluster.outbound|80||shop.default.svc.cluster.local.upstream_cx_total";
    assert_eq!(envoy.admin().stat(name).unwrap(), 3);
}

/// How long a connection lives over which nothing goes after its first bytes.
fn lifetime(policy: &str, address: SocketAddr) -> Duration {
    let envoy = start(policy, &[(address, "")]);
    let mut stream = TcpStream::connect(tcp(&envoy)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nhost: shop\r\n\r\n").unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let begun = Instant::now();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.starts_with(b"HTTP/1.1 200 OK"));
    begun.elapsed()
}

#[test]
fn connections_end_when_they_are_idle_or_old() {
    let shop = Upstream::start("shop").unwrap();
    for policy in [
        "{connectionPool: {tcp: {idleTimeout: 700ms}}}",
        "{connectionPool: {tcp: {maxConnectionDuration: 700ms}}}",
        "{portLevelSettings: [{port: {number: 9000}, connectionPool: {tcp: {idleTimeout: 700ms}}}]}",
    ] {
        let lived = lifetime(policy, shop.address());
        assert!(
            (Duration::from_millis(500)..Duration::from_secs(10)).contains(&lived),
            "{policy}: {lived:?}"
        );
    }
}

#[test]
fn a_subset_without_instances_answers_503_and_harms_nobody_else() {
    let shop = Upstream::start("shop").unwrap();
    let envoy = start(
        "{loadBalancer: {simple: RANDOM}}, subsets: [{name: gone, labels: {version: v9}}]",
        &[(shop.address(), "")],
    );
    let client = http(&envoy);
    let gone = client.send(&Request::get("/").header("x-subset", "gone")).unwrap();
    assert_eq!((gone.status, gone.text().as_str()), (503, "no healthy upstream"));
    assert_eq!(client.get("/").unwrap().echo().unwrap().instance, "shop");
}

#[test]
fn settings_for_a_port_leave_nothing_of_those_above() {
    let upstreams = three();
    let envoy = start(
        "{loadBalancer: {localityLbSetting: {distribute: [{from: eu, to: {us: 100}}]}}, \
         portLevelSettings: [{port: {number: 80}, loadBalancer: {simple: RANDOM}}]}",
        &placed(&upstreams),
    );
    assert_eq!(shares(&http(&envoy), 60).len(), 3);
    assert_eq!(Client::new(tcp(&envoy)).get("/").unwrap().echo().unwrap().instance, "far");
}
