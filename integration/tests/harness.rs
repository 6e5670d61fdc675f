//! The harness itself, against a real Envoy.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use mesh_policy_integration::{
    Result,
    certs::{Authority, Expect},
    client::{Client, Http2Client, Request},
    config,
    envoy::{Envoy, Options},
    statistics::Bound,
    upstream::{Echo, Upstream},
    wait,
};
use serde_json::{Value, json};

const FRONTEND: &str = "spiffe://cluster.local/ns/my-app/sa/frontend";
const BACKEND: &str = "spiffe://cluster.local/ns/my-app/sa/backend";

fn start(bootstrap: &Value) -> Result<Envoy> {
    Envoy::start(bootstrap, &Options::default())
}

fn answering(body: &str) -> Value {
    let routes = config::routes(&[config::direct_response("/", 200, body)]);
    config::bootstrap(&[config::listener("in", &[], &routes)], &[])
}

fn forwarding_to(upstream: &Upstream) -> Value {
    config::bootstrap(
        &[config::listener("in", &[], &config::route_to("upstream"))],
        &[config::cluster("upstream", &[upstream.address()])],
    )
}

fn runs(id: u32) -> bool {
    // A zombie has ended, even while nobody has asked for its status.
    let stat = fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

#[test]
fn envoy_answers_directly_and_only_on_loopback() {
    let envoy = start(&answering("hello")).unwrap();
    let address = envoy.listener("in").unwrap();
    assert!(address.ip().is_loopback() && envoy.admin().address().ip().is_loopback());
    let response = Client::new(address).get("/").unwrap();
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    let missing = envoy.listener("out").unwrap_err().to_string();
    assert_eq!(missing, "no listener `out`, there is `in`");
}

#[test]
fn envoy_forwards_to_the_echo_server_over_both_protocols() {
    let upstream = Upstream::builder("customers-v1-a").version("v1").start().unwrap();
    let envoy = start(&forwarding_to(&upstream)).unwrap();
    let address = envoy.listener("in").unwrap();
    let request = Request::get("/customers?id=1").host("customers").header("x-bin", b"\x80\xff");
    let clients: [&dyn Fn() -> Result<_>; 2] =
        [&|| Client::new(address).send(&request), &|| Http2Client::connect(address)?.send(&request)];
    for send in clients {
        let echo = send().unwrap().echo().unwrap();
        assert_eq!((echo.instance.as_str(), echo.version.as_str()), ("customers-v1-a", "v1"));
        assert_eq!((echo.path.as_str(), echo.authority.as_str()), ("/customers?id=1", "customers"));
        assert_eq!(echo.headers.all("x-bin").next().unwrap(), b"\x80\xff");
    }
    assert_eq!(upstream.count_path("/customers"), 2);
    assert_eq!(
        envoy.admin().wait_for_stat("cluster.upstream.upstream_rq_200", |count| count == 2).unwrap(),
        2
    );
    assert_eq!(envoy.admin().stat("cluster.upstream.no_such_counter").unwrap(), 0);
}

#[test]
fn grpc_passes_envoy_with_its_trailers() {
    let upstream = Upstream::start("cart").unwrap();
    let envoy = start(&config::bootstrap(
        &[config::listener("in", &[], &config::route_to("cart"))],
        &[config::cluster_http2("cart", &[upstream.address()])],
    ))
    .unwrap();
    let client = Http2Client::connect(envoy.listener("in").unwrap()).unwrap();
    let call = Request::new("POST", "/shop.Cart/Add")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-echo-grpc-status", "5")
        .body(b"\0\0\0\0\0");
    let response = client.send(&call).unwrap();
    assert_eq!(response.trailers.get("grpc-status").as_deref(), Some("5"));
    assert_eq!(Echo::from_grpc_body(&response.body).unwrap().protocol, "HTTP/2.0");
}

#[test]
fn mtls_to_envoy_and_from_envoy_carries_both_identities() {
    let authority = Authority::new("test").unwrap();
    let (frontend, backend) = (authority.workload(FRONTEND).unwrap(), authority.workload(BACKEND).unwrap());
    let upstream =
        Upstream::builder("backend").tls(authority.server_config(&backend, true).unwrap()).start().unwrap();
    let common = json!({
        "tls_certificates": [{
            "certificate_chain": { "filename": backend.certificate() },
            "private_key": { "filename": backend.key() },
        }],
        "validation_context": { "trusted_ca": { "filename": authority.certificate() } },
    });
    let socket = |side: &str, more: Value| {
        let mut context = json!({
            "@type": format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{side}TlsContext"),
            "common_tls_context": common,
        });
        config::merge(&mut context, &more);
        json!({ "name": "envoy.transport_sockets.tls", "typed_config": context })
    };
    let forwarded = json!({
        "forward_client_cert_details": "SANITIZE_SET",
        "set_current_client_cert_details": { "uri": true },
    });
    let mut listener = config::listener_with("in", &[], &config::route_to("backend"), &forwarded);
    listener["filter_chains"][0]["transport_socket"] =
        socket("Downstream", json!({ "require_client_certificate": true }));
    let mut cluster = config::cluster("backend", &[upstream.address()]);
    cluster["transport_socket"] = socket("Upstream", json!({}));
    let envoy = start(&config::bootstrap(&[listener], &[cluster])).unwrap();

    let address = envoy.listener("in").unwrap();
    let expect = Expect::Spiffe { id: BACKEND.into(), sni: "backend.my-app".into() };
    let tls = authority.client(expect.clone(), Some(&frontend)).unwrap();
    let http1 = Client::with_tls(address, tls.clone()).get("/").unwrap().echo().unwrap();
    assert!(http1.header("x-forwarded-client-cert").unwrap().contains(&format!("URI={FRONTEND}")));
    assert_eq!(Client::with_tls(address, tls).get("/").unwrap().status, 200);
    assert!(upstream.requests().iter().all(|received| received.peer == [BACKEND]));

    let anonymous = authority.client(expect, None).unwrap();
    assert!(Client::with_tls(address, anonymous).get("/").is_err());
}

#[test]
fn a_weighted_split_lies_within_its_bound_and_outside_a_wrong_one() {
    let (a, b) = (Upstream::start("a").unwrap(), Upstream::start("b").unwrap());
    let weights = json!([{ "name": "a", "weight": 75 }, { "name": "b", "weight": 25 }]);
    let route =
        json!({ "match": { "prefix": "/" }, "route": { "weighted_clusters": { "clusters": weights } } });
    let envoy = start(&config::bootstrap(
        &[config::listener("in", &[], &config::routes(&[route]))],
        &[config::cluster("a", &[a.address()]), config::cluster("b", &[b.address()])],
    ))
    .unwrap();
    let client = Client::new(envoy.listener("in").unwrap());
    let responses = client.send_many(2000, 8, |_| Request::get("/")).unwrap();
    let to_a = responses.iter().filter(|response| response.echo().unwrap().instance == "a").count();
    assert_eq!(to_a, a.count());
    let bound = Bound::new(2000, 0.75);
    assert!(bound.contains(to_a as u64), "{to_a}, expected {bound}");
    assert!(!Bound::new(2000, 0.6).contains(to_a as u64));
}

#[test]
fn hostile_requests_reach_envoy_unaltered() {
    let upstream = Upstream::start("a").unwrap();
    let envoy = start(&forwarding_to(&upstream)).unwrap();
    let client = Client::new(envoy.listener("in").unwrap());
    assert_eq!(client.send(&Request::get("/").without_host()).unwrap().status, 400);
    assert_eq!(client.send(&Request::get("/").http10()).unwrap().status, 426);
    assert_eq!(client.send_raw("GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n").unwrap().status, 400);
    assert_eq!(upstream.count(), 0);
    let absolute = client.send(&Request::get("http://a/x").host("b")).unwrap().echo().unwrap();
    assert_eq!((absolute.authority.as_str(), absolute.path.as_str()), ("a", "/x"));
    // Envoy joins two `Host` lines instead of refusing them.
    let twice = client.send_raw("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n").unwrap().echo().unwrap();
    assert_eq!(twice.authority, "a,b");
}

#[test]
fn validate_accepts_a_good_configuration_and_explains_a_broken_one() {
    let good = Envoy::validate(&answering("hello")).unwrap();
    assert!(good.is_accepted(), "{}", good.output);
    let broken = config::bootstrap(&[config::listener("in", &[], &config::route_to("nowhere"))], &[]);
    let refused = Envoy::validate(&broken).unwrap();
    assert_eq!(refused.status, Some(1), "{}", refused.output);
    assert!(refused.output.contains("unknown cluster 'nowhere'"), "{}", refused.output);
}

#[test]
fn a_refused_configuration_fails_the_start_with_envoys_words() {
    let broken = json!({ "static_resources": { "listenres": [] } });
    let error = Envoy::start(&broken, &Options::default()).unwrap_err().to_string();
    assert!(error.starts_with("envoy ended with exit status: 1; its log:\n"), "{error}");
    assert!(error.contains("listenres"), "{error}");
}

#[test]
fn a_configuration_file_keeps_its_own_fields_and_gets_a_free_admin_port() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envoy.json");
    let mut bootstrap = answering("from a file");
    // Port 1 is out of the question for a test: the harness must put its own in place.
    bootstrap["admin"] =
        json!({ "address": { "socket_address": { "address": "127.0.0.1", "port_value": 1 } } });
    fs::write(&file, bootstrap.to_string()).unwrap();
    let overlay = json!({ "node": { "id": "me", "cluster": "here" } });
    let envoy = Envoy::start(&file, &Options { overlay, ..Options::default() }).unwrap();
    assert_eq!(Client::new(envoy.listener("in").unwrap()).get("/").unwrap().text(), "from a file");
    assert_ne!(envoy.admin().address().port(), 1);
    let dump = envoy.admin().config_dump().unwrap();
    assert_eq!(dump.pointer("/configs/0/bootstrap/node/id"), Some(&json!("me")));
}

#[test]
fn the_admin_interface_shows_clusters_and_changes_log_levels() {
    let upstream = Upstream::start("a").unwrap();
    let mut envoy = start(&forwarding_to(&upstream)).unwrap();
    let clusters = envoy.admin().clusters().unwrap();
    let port = clusters.pointer("/cluster_statuses/0/host_statuses/0/address/socket_address/port_value");
    assert_eq!(port, Some(&json!(upstream.address().port())));
    envoy.admin().post("/logging?http=debug").unwrap();
    Client::new(envoy.listener("in").unwrap()).get("/find-me-in-the-log").unwrap();
    assert_eq!(envoy.wait_for_log("find-me-in-the-log").unwrap(), "':path', '/find-me-in-the-log'");
    let error = envoy.admin().get("/nonsense").unwrap_err().to_string();
    assert!(error.starts_with("admin `/nonsense`: 404: "), "{error}");
}

#[test]
fn two_workers_run_where_two_are_asked_for() {
    let options = Options { concurrency: 2, ..Options::default() };
    let envoy = Envoy::start(&answering("hello"), &options).unwrap();
    assert_eq!(envoy.admin().stat("server.concurrency").unwrap(), 2);
}

#[test]
fn dropping_ends_envoy_and_removes_its_files() {
    let envoy = start(&answering("hello")).unwrap();
    let (id, address) = (envoy.id(), envoy.listener("in").unwrap());
    let folder = envoy.folder().unwrap().to_owned();
    assert!(runs(id) && folder.join("envoy.log").is_file());
    drop(envoy);
    assert!(!runs(id) && !folder.exists());
    assert!(Client::new(address).get("/").is_err());
}

/// Not a test of its own: the next test runs it as a separate process and kills that.
#[test]
fn holds_an_envoy_until_killed() {
    if env::var_os("HOLD_AN_ENVOY").is_none() {
        return;
    }
    let envoy = start(&answering("hello")).unwrap();
    println!("\nholding {}", envoy.id());
    // The other test kills this process at once; a bound all the same.
    std::thread::sleep(wait::PATIENCE);
}

#[test]
fn envoy_ends_even_when_the_test_that_owns_it_is_killed() {
    // What a killed process leaves behind goes with this folder.
    let folder = tempfile::tempdir().unwrap();
    let mut holder = Command::new(env::current_exe().unwrap())
        .args(["--exact", "holds_an_envoy_until_killed", "--nocapture"])
        .env("HOLD_AN_ENVOY", "1")
        .env("TMPDIR", folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(holder.stdout.take().unwrap());
    let mut lines = output.lines().map_while(std::result::Result::ok);
    let id = lines.find_map(|line| line.strip_prefix("holding ")?.parse::<u32>().ok());
    // SIGKILL: nothing in the holder runs any more.
    holder.kill().unwrap();
    holder.wait().unwrap();
    let id = id.expect("the holder says which process it holds");
    wait::until(Duration::from_secs(10), "the orphan to end", || (!runs(id)).then_some(())).unwrap();
}
