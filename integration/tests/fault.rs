//! `mesh_fault.wasm` alone, as its README shows it, and under many requests at a time.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

use mesh_policy_integration::{
    Result,
    client::{Http2Client, Pending, Request, Response},
    config,
    mesh::{Lent, Mesh, V1, customers, list, to},
    modules::Module,
    readme::{self, Readme},
    statistics::Bound,
    usage, wait,
};
use serde_json::{Value, json};

/// How long `/held` is delayed.
const HELD: Duration = Duration::from_secs(4);

fn mesh() -> Lent<'static> {
    static MESH: OnceLock<Mesh> = OnceLock::new();
    MESH.get_or_init(|| start().unwrap()).lend()
}

/// Tests that measure time or load Envoy do so one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start() -> Result<Mesh> {
    let readme = Readme::of(Module::Fault)?;
    let rule = |path: &str, fault: Value| json!({ "match": [{ "uri": { "exact": path } }], "fault": fault, "route": [to("v1")] });
    let delay = |time: &str| json!({ "fixedDelay": time, "percentage": { "value": 100 } });
    let rules = list(&[customers(&json!([
        rule("/half", json!({ "abort": { "httpStatus": 555, "percentage": { "value": 50 } } })),
        rule("/never", json!({ "abort": { "httpStatus": 555, "percentage": { "value": 0 } } })),
        rule("/both", json!({
            "delay": delay("0.2s"), "abort": { "httpStatus": 503, "percentage": { "value": 100 } },
        })),
        rule("/held", json!({ "delay": delay("4s") })),
        rule("/short", json!({ "delay": delay("0.005s") })),
        { "route": [to("v1")] },
    ]))]);
    let v1 = config::route_to(V1);
    let here = config::routes(&[config::direct_response("/", 200, "resumed")]);
    let many = json!({ "http2_protocol_options": { "max_concurrent_streams": 4000 } });
    let filter = |name: &str| readme::filter(Module::Fault, name, &rules);
    Mesh::start(&[
        config::listener("example", &[readme.with_example()?], &v1),
        config::listener("as written", &[readme.as_written()?], &v1),
        config::listener("rules", &[filter("rules")?], &v1),
        config::listener_with("held", &[filter("held")?], &here, &many),
    ])
}

fn get(listener: &str, path: &str) -> Response {
    mesh().client(listener).unwrap().send(&Request::get(path).host("customers")).unwrap()
}

#[track_caller]
fn assert_between(elapsed: Duration, low: u64, high: u64) {
    let range = Duration::from_millis(low)..Duration::from_millis(high);
    assert!(range.contains(&elapsed), "{elapsed:?}, expected {range:?}");
}

#[test]
fn the_readmes_example_does_what_its_table_says() {
    let _alone = alone();
    let slow = get("example", "/slow");
    assert_eq!(slow.status, 200);
    assert_between(slow.elapsed, 300, 1500);
    let broken = get("example", "/broken");
    assert_eq!((broken.status, broken.text().as_str()), (418, "fault filter abort"));
    assert_eq!(mesh().count_v1("/broken"), 0);
    let other = get("example", "/");
    assert_eq!(other.status, 200);
    assert_between(other.elapsed, 0, 300);
}

#[test]
fn without_faults_nothing_is_delayed_or_aborted() {
    assert_eq!(get("as written", "/unharmed").status, 200);
}

#[test]
fn a_delayed_request_with_a_body_arrives_whole() {
    let body = vec![b'x'; 100_000];
    let request = Request::new("POST", "/short").host("customers").body(&body).trailer("x-after", "all");
    let mesh = mesh();
    let response = mesh.client("rules").unwrap().send(&request).unwrap();
    assert_eq!(response.echo().unwrap().body_length, 100_000);
    let received = mesh.v1.iter().flat_map(|instance| instance.requests());
    let received: Vec<_> =
        received.filter(|received| received.path() == b"/short" && !received.body.is_empty()).collect();
    assert!(received.len() == 1 && received[0].body == body);
}

#[test]
fn a_percentage_aborts_that_share_of_requests() {
    let _alone = alone();
    let client = mesh().client("rules").unwrap();
    let aborted = |path: &str| {
        let responses = client.send_many(600, 4, |_| Request::get(path).host("customers")).unwrap();
        responses.iter().filter(|response| response.status == 555).count() as u64
    };
    let (half, bound) = (aborted("/half"), Bound::new(600, 0.5));
    assert!(bound.contains(half), "{half} of the requests were aborted, expected {bound}");
    assert_eq!(aborted("/never"), 0);
}

#[test]
fn an_abort_waits_for_the_delay() {
    let _alone = alone();
    let response = get("rules", "/both");
    assert_eq!((response.status, response.text().as_str()), (503, "fault filter abort"));
    assert_between(response.elapsed, 200, 1400);
    assert_eq!(mesh().count_v1("/both"), 0);
}

/// Connections for many streams, none near the number that Envoy allows.
fn connections(count: usize) -> Vec<Http2Client> {
    (0..count).map(|_| mesh().client_http2("held").unwrap()).collect()
}

/// Begins `count` requests evenly over `time`: a burst would measure how fast Envoy reads, not how well it keeps time.
fn begin(clients: &[Http2Client], count: u32, time: Duration, path: &str) -> Vec<Pending> {
    let request = Request::get(path).host("customers");
    let start = Instant::now();
    let begun = clients.iter().cycle().zip(0..count).map(|(client, number)| {
        thread::sleep((start + time * number / count).saturating_duration_since(Instant::now()));
        client.begin(&request).unwrap()
    });
    begun.collect()
}

fn active() -> u64 {
    mesh().envoy.admin().stat("http.held.downstream_rq_active").unwrap()
}

#[test]
fn five_thousand_delayed_requests_go_on_in_time_and_none_is_lost() {
    const COUNT: u32 = 5000;
    let _alone = alone();
    let clients = connections(5);
    let pending = begin(&clients, COUNT, Duration::from_millis(2500), "/held");
    wait::until_true("all requests to wait at once", || active() == u64::from(COUNT)).unwrap();
    let responses: Vec<_> = pending.into_iter().map(|pending| pending.wait().unwrap()).collect();
    assert!(responses.iter().all(|response| response.text() == "resumed"));
    let mut late: Vec<_> =
        responses.iter().map(|response| response.elapsed.checked_sub(HELD).unwrap()).collect();
    late.sort();
    let mean = late.iter().sum::<Duration>() / COUNT;
    let (p99, most) = (late[COUNT as usize * 99 / 100], late[COUNT as usize - 1]);
    println!("late by {mean:?} on average, p99 {p99:?}, at most {most:?}");
    assert!(mean <= Duration::from_millis(20), "late by {mean:?} on average, p99 {p99:?}, at most {most:?}");
    assert_eq!(active(), 0);
}

#[test]
fn clients_that_leave_are_forgotten() {
    const COUNT: u32 = 1000;
    let _alone = alone();
    let id = mesh().envoy.id();
    let mut memory = Vec::new();
    for _ in 0..6 {
        let clients = connections(2);
        let pending = begin(&clients, COUNT, Duration::from_millis(200), "/held");
        wait::until_true("the requests to wait", || active() == u64::from(COUNT)).unwrap();
        drop(pending);
        wait::until_true("the requests to be gone", || active() == 0).unwrap();
        memory.push(usage::resident_kib(id).unwrap());
    }
    // Past the time at which they would have gone on: whoever is not forgotten is resumed now.
    let last = get("held", "/held");
    assert_eq!(last.text(), "resumed");
    let log = mesh().envoy.log();
    assert!(!log.contains("cannot go on") && !log.contains("panic"), "{log}");
    let (settled, end) = (memory[1], memory[5]);
    assert!(end < settled + 8 * 1024, "KiB after each round: {memory:?}");
}

#[test]
fn nothing_ticks_when_nothing_waits() {
    let _alone = alone();
    let id = mesh().envoy.id();
    let second = Duration::from_secs(1);
    // What a worker does in a second without requests.
    let idle = || {
        let before = usage::sleeps(id, "wrk:worker").unwrap();
        thread::sleep(second);
        usage::sleeps(id, "wrk:worker").unwrap() - before
    };
    let before = idle();
    for _ in 0..20 {
        assert_eq!(get("held", "/short").text(), "resumed");
    }
    let after = idle();
    println!("the worker was woken {before} times a second before, {after} times after");
    // Envoy by itself wakes it some ten times. A tick left behind by this test comes every 5 ms, by another one sooner.
    assert!(
        before.max(after) <= 60,
        "the worker was woken {before} times a second before, {after} times after"
    );
}
