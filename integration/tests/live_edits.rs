//! Edits of the files under a running gateway: they come into force soon, whole, and without losing a request.
//!
//! `LIVE_EDITS_SECONDS=30` makes the load last as long (default: 6).

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "what a test cannot have ends it, wherever it says so"
)]

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use mesh_policy_integration::{
    Context, Result,
    client::{Client, Request, Response},
    envoy::Admin,
    load::{Outcome, Sender, while_editing},
    modules::Module,
    ports,
    running::Running,
    upstream::Upstream,
    wait,
};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

const HOST: &str = "shop.example.com";

const GATEWAY: &str = "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com]}
";

/// `mesh-policy run` over a folder of its own.
struct Gateway {
    run: Running,
    admin: Admin,
    address: SocketAddr,
    upstreams: [Upstream; 2],
    folder: TempDir,
}

impl Gateway {
    fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder")?;
        let upstreams = [Upstream::start("v1")?, Upstream::start("v2")?];
        let (mesh, modules) = (folder.path().join("mesh"), folder.path().join("modules"));
        fs::create_dir(&mesh).context("a folder")?;
        fs::write(mesh.join("gateway.yaml"), GATEWAY).context("the gateway")?;
        fs::write(mesh.join("services.yaml"), services(&upstreams, &["v1", "v2"])).context("the services")?;
        fs::write(mesh.join("shop.yaml"), rule("v1", "")).context("the rule")?;
        fs::create_dir(&modules).context("a folder")?;
        let module = Module::Policy;
        fs::copy(module.path()?, modules.join(module.file_name())).context("a copy of the module")?;
        let words = ["--gateway", "istio=ingressgateway", "--map-port", &format!("80={}", ports::free()?)];
        let modules = modules.display().to_string();
        let run =
            Running::start(&mesh, &[&words[..], &["--concurrency", "2", "--modules", &modules]].concat())?;
        Ok(Self { admin: run.admin()?, address: run.port(80)?, run, upstreams, folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join("mesh").join(name)
    }

    /// Saves as editors do: beside it, then in its place.
    fn save(&self, name: &str, text: &str) -> Instant {
        save(&self.file(name), text)
    }

    fn client(&self) -> Client {
        Client::new(self.address)
    }

    fn ask(&self, path: &str) -> (u16, String) {
        let response = self.client().send(&Request::get(path).host(HOST)).unwrap();
        (response.status, response.echo().map(|echo| echo.instance).unwrap_or_default())
    }

    fn wait_until_said(&self, words: &str, times: usize) {
        self.run.wait_until_said(words, times).unwrap();
    }
}

fn save(file: &Path, text: &str) -> Instant {
    let beside = file.with_extension("saving");
    fs::write(&beside, text).unwrap();
    fs::rename(&beside, file).unwrap();
    Instant::now()
}

/// The service `shop`, and its subsets.
fn services(upstreams: &[Upstream; 2], subsets: &[&str]) -> String {
    let [v1, v2] = upstreams;
    let subsets: String =
        subsets.iter().map(|name| format!("  - {{name: {name}, labels: {{version: {name}}}}}\n")).collect();
    format!(
        "apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: shop}}
spec:
  hosts: [shop.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints:
  - {{address: 127.0.0.1, ports: {{http: {}}}, labels: {{version: v1}}}}
  - {{address: 127.0.0.1, ports: {{http: {}}}, labels: {{version: v2}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: shop}}
spec:
  host: shop
  subsets:
{subsets}",
        v1.address().port(),
        v2.address().port(),
    )
}

/// Everything goes to this subset, which the response says, too.
fn rule(subset: &str, more: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: shop}}
spec:
  hosts: [{HOST}]
  gateways: [edge]
  http:
  - route: [{{destination: {{host: shop, subset: {subset}}}}}]
    headers: {{response: {{set: {{x-policy: {subset}}}}}}}
{more}"
    )
}

/// Denies paths below `/private-N`.
fn policy(number: usize) -> String {
    format!(
        "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {{name: private, namespace: istio-system}}
spec:
  selector: {{matchLabels: {{istio: ingressgateway}}}}
  action: DENY
  rules: [{{to: [{{operation: {{paths: [/private-{number}/*]}}}}]}}]
"
    )
}

/// Half of the connections are kept, half are new for each request.
fn under_load(gateway: &Gateway, edit: impl FnMut(usize)) -> Outcome {
    let sender = |kept| Sender { client: gateway.client(), request: Request::get("/").host(HOST), kept };
    let read = |response: &Response| {
        let policy = response.header("x-policy").unwrap_or_default();
        let instance = response.echo().map(|echo| echo.instance).unwrap_or_default();
        // The rule and the destination are of one generation.
        if response.status == 200 && instance == policy {
            Ok(policy)
        } else {
            Err(format!("{} by `{instance}`, policy `{policy}`", response.status))
        }
    };
    while_editing(&[true, false, true, false].map(sender), read, edit)
}

fn judge(gateway: &Gateway, what: &str, outcome: &Outcome) {
    let in_force = gateway.run.said("in force: ");
    println!(
        "{what}: {} edits, {in_force} in force, {} requests sent, {} lost, answered {:?}",
        outcome.edits,
        outcome.sent,
        outcome.lost.len(),
        outcome.answers
    );
    outcome.check().unwrap_or_else(|error| panic!("{error}\n{}", gateway.run.log()));
    // On a busy machine an edit is overtaken by the next one.
    assert!(in_force > 3, "{}", gateway.run.log());
    assert_eq!(gateway.run.said("not applied"), 0, "{}", gateway.run.log());
}

#[test]
fn edits_of_policy_lose_no_request_and_drain_no_listener() {
    let gateway = Gateway::start().unwrap();
    let outcome = under_load(&gateway, |edit| {
        gateway.save("policy.yaml", &policy(edit));
        gateway.save("shop.yaml", &rule(["v2", "v1"][edit % 2], ""));
    });
    judge(&gateway, "policy", &outcome);
    let stats = gateway.admin.stats("^listener_manager\\.(lds\\.update_success|listener_.*)$").unwrap();
    assert_eq!(
        (stats["listener_manager.lds.update_success"], stats["listener_manager.listener_modified"]),
        (1, 0)
    );
    let draining = gateway.admin.stat("listener_manager.total_filter_chains_draining").unwrap();
    assert_eq!(draining, 0);
}

/// Each edit removes the subset, and with it the cluster and the route's profile, that the edit before has added.
#[test]
fn edits_of_clusters_and_routes_lose_no_request() {
    let gateway = Gateway::start().unwrap();
    let outcome = under_load(&gateway, |edit| {
        let (own, backoff) = ([["v2"], ["v1"]][edit % 2], 10 + edit % 2);
        let more = format!("    retries: {{attempts: 2, backoff: {backoff}ms}}\n");
        // Both files, or the rule would name a subset that is not there.
        let both = format!("{}---\n{}", services(&gateway.upstreams, &own), rule(own[0], &more));
        _ = fs::remove_file(gateway.file("shop.yaml"));
        gateway.save("services.yaml", &both);
    });
    judge(&gateway, "clusters", &outcome);
}

#[test]
fn edits_of_listeners_lose_no_request() {
    let gateway = Gateway::start().unwrap();
    let outcome = under_load(&gateway, |edit| {
        // The filter that answers gRPC-Web is in the chain only with the protocol.
        let protocol = ["GRPC-WEB", "HTTP"][edit % 2];
        gateway.save("gateway.yaml", &GATEWAY.replace("protocol: HTTP", &format!("protocol: {protocol}")));
        gateway.save("shop.yaml", &rule(["v2", "v1"][edit % 2], ""));
    });
    judge(&gateway, "listeners", &outcome);
    assert!(gateway.admin.stat("listener_manager.lds.update_success").unwrap() > 5);
}

#[test]
fn an_edit_is_in_force_within_a_second_of_saving() {
    let gateway = Gateway::start().unwrap();
    let client = gateway.client();
    let mut took: Vec<Duration> = (0..50)
        .map(|edit| {
            let wanted = ["v2", "v1"][edit % 2];
            let saved = gateway.save("shop.yaml", &rule(wanted, ""));
            wait::until_true("the new policy", || {
                let response = client.send(&Request::get("/").host(HOST)).unwrap();
                assert_eq!(response.status, 200);
                response.header("x-policy").as_deref() == Some(wanted)
            })
            .unwrap();
            saved.elapsed()
        })
        .collect();
    took.sort();
    let (median, longest) = (took[took.len() / 2], took[took.len() - 1]);
    println!("from save to force, {} edits: median {median:?}, longest {longest:?}", took.len());
    assert!(median < Duration::from_secs(1), "{took:?}");
    // A machine that is busy with other tests may stall for a moment.
    assert!(longest < Duration::from_secs(5), "{took:?}");
}

/// Longer than an answer of the admin interface may take, and than a busy machine keeps a process waiting.
const STALL: Duration = Duration::from_secs(12);

/// Envoy's process, to be held up and let go.
fn envoy_of(gateway: &Gateway) -> Pid {
    let log = gateway.run.log();
    let id = log.split(", process ").nth(1).unwrap().lines().next().unwrap();
    Pid::from_raw(id.parse().unwrap()).unwrap()
}

#[test]
fn an_edit_waits_for_an_envoy_that_stands_still() {
    let gateway = Gateway::start().unwrap();
    let envoy = envoy_of(&gateway);
    kill_process(envoy, Signal::STOP).unwrap();
    gateway.save("shop.yaml", &rule("v2", ""));
    thread::sleep(STALL);
    kill_process(envoy, Signal::CONT).unwrap();
    gateway.wait_until_said("in force: ", 1);
    assert_eq!(gateway.ask("/"), (200, "v2".to_owned()));
    assert_eq!(gateway.run.said("not applied"), 0, "{}", gateway.run.log());
}

#[test]
fn who_stops_the_run_need_not_wait_for_an_envoy_that_stands_still() {
    let mut gateway = Gateway::start().unwrap();
    kill_process(envoy_of(&gateway), Signal::STOP).unwrap();
    gateway.save("shop.yaml", &rule("v2", ""));
    // By then it waits for an answer.
    thread::sleep(Duration::from_secs(1));
    gateway.run.process().signal(Signal::TERM).unwrap();
    let begun = Instant::now();
    gateway.run.process().wait(wait::PATIENCE).unwrap();
    println!("ended after {:?}", begun.elapsed());
}

#[test]
fn an_invalid_edit_is_reported_with_its_place_and_the_old_policy_stays() {
    let gateway = Gateway::start().unwrap();
    assert_eq!(gateway.ask("/"), (200, "v1".to_owned()));
    gateway.save("shop.yaml", &rule("v2", "    timeout: -1s\n"));
    gateway.wait_until_said("mesh/shop.yaml`; what was in force before stays", 1);
    let place =
        "mesh/shop.yaml:10:5: error[invalid-value]: VirtualService default/shop: spec.http[0].timeout: ";
    assert_eq!(gateway.run.said(place), 1, "{}", gateway.run.log());
    assert_eq!(gateway.ask("/"), (200, "v1".to_owned()));

    gateway.save("shop.yaml", "kind: {");
    gateway.wait_until_said("not applied", 2);
    assert_eq!(gateway.run.said("mesh/shop.yaml:2:1: error[syntax]: "), 1, "{}", gateway.run.log());
    assert_eq!(gateway.ask("/"), (200, "v1".to_owned()));

    // One bad file keeps out the good one that was saved with it.
    gateway.save("policy.yaml", &policy(1).replace("DENY", "DENIED"));
    gateway.save("shop.yaml", &rule("v2", ""));
    gateway.wait_until_said("not applied", 3);
    assert_eq!(gateway.ask("/private-1/a"), (200, "v1".to_owned()));

    gateway.save("policy.yaml", &policy(1));
    gateway.wait_until_said("in force: ", 1);
    assert_eq!(gateway.ask("/"), (200, "v2".to_owned()));
    assert_eq!(gateway.ask("/private-1/a").0, 403);
}

#[test]
fn a_port_that_is_taken_keeps_the_whole_edit_out() {
    let gateway = Gateway::start().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let second = format!("  - {{port: {{number: {port}, name: second, protocol: HTTP}}, hosts: [{HOST}]}}\n");
    gateway.save("shop.yaml", &rule("v2", ""));
    gateway.save("gateway.yaml", &format!("{GATEWAY}{second}"));
    gateway.wait_until_said("not applied", 1);
    let words = format!("error: port {port} on 127.0.0.1 is taken by another program");
    assert_eq!(gateway.run.said(&words), 1, "{}", gateway.run.log());
    assert_eq!(gateway.ask("/"), (200, "v1".to_owned()));
    drop(taken);
    gateway.save("gateway.yaml", &format!("{GATEWAY}{second}"));
    gateway.wait_until_said("in force: ", 1);
    let second = Client::new(SocketAddr::from(([127, 0, 0, 1], port)));
    assert_eq!(second.send(&Request::get("/").host(HOST)).unwrap().status, 200);
    assert_eq!(gateway.ask("/"), (200, "v2".to_owned()));
}

/// Envoy reads the module anew for each plugin configuration.
#[test]
fn what_envoy_refuses_is_undone_and_the_old_policy_stays() {
    let gateway = Gateway::start().unwrap();
    let clusters = || gateway.admin.stat("cluster_manager.active_clusters").unwrap();
    let before = clusters();
    let module = gateway.folder.path().join("modules").join(Module::Policy.file_name());
    fs::rename(&module, module.with_extension("away")).unwrap();
    fs::write(&module, b"\0asm, or so it says").unwrap();
    gateway.save(
        "services.yaml",
        &services(&gateway.upstreams, &["v1", "v2", "v3"]).replace("version: v3", "version: v2"),
    );
    gateway.save("shop.yaml", &rule("v3", ""));
    gateway.wait_until_said("not applied", 1);
    assert_eq!(gateway.run.said("error: Envoy refuses `filters/mesh_policy."), 1, "{}", gateway.run.log());
    assert_eq!(gateway.ask("/"), (200, "v1".to_owned()));
    fs::rename(module.with_extension("away"), &module).unwrap();
    gateway.save("shop.yaml", &rule("v2", ""));
    gateway.wait_until_said("in force: ", 1);
    assert_eq!(gateway.ask("/"), (200, "v2".to_owned()));
    assert_eq!(clusters(), before + 1);
}

/// A folder is copied file by file: what names services that are not there yet must not come into force without them.
#[test]
fn a_folder_that_is_half_written_is_not_half_applied() {
    let gateway = Gateway::start().unwrap();
    let rule = rule("v3", "");
    gateway.save("shop.yaml", &rule);
    gateway.wait_until_said("not applied", 1);
    assert_eq!(gateway.ask("/"), (200, "v1".to_owned()));
    let services = services(&gateway.upstreams, &["v1", "v3"]).replace("version: v3", "version: v2");
    // Half of the file, then all of it.
    fs::write(gateway.file("services.yaml"), services.split_at(services.len() / 2).0).unwrap();
    gateway.wait_until_said("not applied", 2);
    assert_eq!(gateway.ask("/"), (200, "v1".to_owned()));
    fs::write(gateway.file("services.yaml"), services).unwrap();
    gateway.wait_until_said("in force: ", 1);
    assert_eq!(gateway.ask("/"), (200, "v2".to_owned()));
}
