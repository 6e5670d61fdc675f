//! `mesh_policy.wasm` as its README shows it, and the chain of the four single filters, which does the same.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{sync::OnceLock, time::Duration};

use mesh_policy_core::control;
use mesh_policy_integration::{
    Result,
    client::{Headers, Request, Response},
    config,
    mesh::{self, Lent, Mesh, customers, list, policy, to},
    modules::Module,
    readme::{self, Readme},
    statistics::Bound,
    upstream::Received,
    wait,
};
use serde_json::{Value, json};

/// The listeners that have to do the same.
const BOTH: [&str; 2] = ["policy", "chain"];

fn mesh() -> Lent<'static> {
    static MESH: OnceLock<Mesh> = OnceLock::new();
    MESH.get_or_init(|| start().unwrap()).lend()
}

fn start() -> Result<Mesh> {
    let readme = Readme::of(Module::Policy)?;
    let rules = rules();
    let manager = json!({ "normalize_path": true });
    let listener =
        |name: &str, filters: &[Value]| config::listener_with(name, filters, &mesh::routes(), &manager);
    Mesh::start(&[
        listener("example", &[readme.with_example()?]),
        listener("as written", &[readme.as_written()?]),
        listener("policy", &[readme::filter(Module::Policy, "policy", &rules)?]),
        listener("chain", &readme::chain("chain", &rules)?),
    ])
}

fn rules() -> Value {
    let rule = |path: &str, fields: Value| {
        let mut rule = json!({ "match": [{ "uri": { "prefix": path } }] });
        if fields.get("redirect").or(fields.get("directResponse")).or(fields.get("route")).is_none() {
            config::merge(&mut rule, &json!({ "route": [to("v1")] }));
        }
        config::merge(&mut rule, &fields);
        rule
    };
    let marked = json!({ "response": { "set": { "x-marked": "yes" }, "remove": ["x-secret"] } });
    let retries = |attempts: u32| json!({ "attempts": attempts, "retryOn": "503" });
    let always = json!({ "value": 100 });
    let weight = |version: &str, weight: u32| {
        let mut destination = to(version);
        config::merge(&mut destination, &json!({ "weight": weight }));
        destination
    };
    list(&[
        policy(
            "no-admin",
            &json!({ "action": "DENY", "rules": [{ "to": [{ "operation": { "paths": ["/marked/admin"] } }] }] }),
        ),
        customers(&json!([
            rule("/weights", json!({ "route": [weight("v1", 75), weight("v2", 25)] })),
            rule(
                "/copied",
                json!({
                    "mirror": { "host": "customers", "subset": "v2", "port": { "number": 80 } },
                    "mirrorPercentage": { "value": 50 },
                })
            ),
            rule(
                "/late",
                json!({ "fault": {
                "delay": { "fixedDelay": "0.2s", "percentage": always },
                "abort": { "httpStatus": 418, "percentage": always },
            } })
            ),
            rule("/tried-twice", json!({ "retries": retries(1) })),
            rule("/tried", json!({ "retries": retries(2) })),
            rule("/timely", json!({ "timeout": "0.3s" })),
            rule("/marked/redirect", json!({ "redirect": { "uri": "/elsewhere" }, "headers": marked })),
            rule("/marked/direct", json!({ "directResponse": { "status": 200 }, "headers": marked })),
            rule(
                "/marked/abort",
                json!({
                    "fault": { "abort": { "httpStatus": 418, "percentage": always } }, "headers": marked,
                })
            ),
            rule(
                "/marked/ghost",
                json!({ "route": [{ "destination": { "host": "ghost" } }], "headers": marked })
            ),
            rule("/marked/timeout", json!({ "timeout": "0.1s", "headers": marked })),
            rule("/marked", json!({ "headers": marked })),
            rule("/plain", json!({})),
            rule("/redirect", json!({ "redirect": { "uri": "/elsewhere" } })),
        ])),
    ])
}

fn send(listener: &str, request: Request) -> Response {
    mesh().client(listener).unwrap().send(&request.host("customers")).unwrap()
}

fn get(listener: &str, path: &str) -> Response {
    send(listener, Request::get(path))
}

/// A path of this listener alone: the services count requests by path.
fn path(path: &str, listener: &str) -> String {
    format!("{path}-{listener}")
}

fn received(path: &str) -> Vec<Received> {
    let mesh = mesh();
    let everywhere = mesh.v1.iter().chain([&mesh.v2, &mesh.own]).flat_map(|upstream| upstream.requests());
    everywhere.filter(|received| received.path() == path.as_bytes()).collect()
}

#[test]
fn the_readmes_example_does_what_its_table_says() {
    let denied = get("example", "/admin");
    assert_eq!((denied.status, denied.text().as_str()), (403, "RBAC: access denied"));
    let firefox = send("example", Request::get("/").header("user-agent", "Mozilla Firefox"));
    assert_eq!(firefox.header("x-version").as_deref(), Some("v2"));
    assert_eq!(firefox.echo().unwrap().instance, "v2");
    let other = get("example", "/");
    assert_eq!(other.header("x-version"), None);
    assert!(other.echo().unwrap().instance.starts_with("v1-"));
    assert_eq!(get("as written", "/").echo().unwrap().instance, "own");
}

#[test]
fn weights_split_requests_in_their_proportion() {
    for listener in BOTH {
        let client = mesh().client(listener).unwrap();
        let responses = client.send_many(1000, 4, |_| Request::get("/weights").host("customers")).unwrap();
        let v1 =
            responses.iter().filter(|response| response.echo().unwrap().instance.starts_with("v1-")).count();
        let bound = Bound::new(1000, 0.75);
        assert!(bound.contains(v1 as u64), "{listener}: {v1} requests went to v1, expected {bound}");
    }
}

#[test]
fn copies_are_sent_of_the_share_asked_for_and_answers_come_from_the_destination() {
    for listener in BOTH {
        let path = path("/copied", listener);
        let client = mesh().client(listener).unwrap();
        let responses = client.send_many(600, 4, |_| Request::get(&path).host("customers")).unwrap();
        assert!(responses.iter().all(|response| response.echo().unwrap().instance.starts_with("v1-")));
        assert_eq!(mesh().count_v1(&path), 600);
        let bound = Bound::new(600, 0.5);
        let enough = || mesh().v2.count_path(&path) as u64 >= bound.lowest;
        wait::until_true("the copies", enough).unwrap();
        let copies = mesh().v2.count_path(&path) as u64;
        assert!(bound.contains(copies), "{listener}: {copies} copies, expected {bound}");
    }
}

#[test]
fn a_delay_comes_before_the_abort() {
    for listener in BOTH {
        let response = get(listener, "/late");
        assert_eq!((response.status, response.text().as_str()), (418, "fault filter abort"), "{listener}");
        assert_eq!(response.header("x-details").as_deref(), Some("fault_filter_abort"), "{listener}");
        let range = Duration::from_millis(200)..Duration::from_millis(1500);
        assert!(range.contains(&response.elapsed), "{listener}: {:?}", response.elapsed);
    }
    assert_eq!(mesh().count_v1("/late"), 0);
}

#[test]
fn a_failing_request_is_tried_again_as_often_as_the_rule_says() {
    for listener in BOTH {
        let path = path("/tried", listener);
        let failing = |times: u32| {
            let request = Request::get(&path).header("x-echo-fail-first", times.to_string());
            let response = send(listener, request.header("x-echo-key", format!("{path} {times}")));
            (
                response.status,
                response.echo().map(|echo| echo.instance).unwrap_or_default(),
                mesh().count_v1(&path),
            )
        };
        let (status, instance, tries) = failing(2);
        assert_eq!((status, tries), (200, 3), "{listener}");
        assert!(instance.starts_with("v1-"), "{listener}: {instance}");
        let (status, _, tries) = failing(10);
        assert_eq!((status, tries), (503, 6), "{listener}: three tries more, all failed");
    }
}

#[test]
fn a_request_is_tried_again_at_another_instance() {
    for listener in BOTH {
        for number in 0..20 {
            let path = path(&format!("/tried-twice-{number}"), listener);
            let response = send(listener, Request::get(&path).header("x-echo-fail-first", "1"));
            assert_eq!(response.status, 200, "{listener}");
            let at = mesh().v1.each_ref().map(|instance| instance.count_path(&path));
            assert_eq!(at, [1, 1], "{listener}");
        }
    }
}

#[test]
fn no_answer_in_time_is_504() {
    for listener in BOTH {
        let response = get(listener, "/timely?echo-delay-ms=3000");
        assert_eq!(
            (response.status, response.text().as_str()),
            (504, "upstream request timeout"),
            "{listener}"
        );
        let range = Duration::from_millis(290)..Duration::from_millis(1800);
        assert!(range.contains(&response.elapsed), "{listener}: {:?}", response.elapsed);
        assert_eq!(get(listener, "/timely").status, 200, "{listener}");
    }
}

#[test]
fn response_operations_apply_to_whoever_answers() {
    for listener in BOTH {
        for (path, status) in [
            ("/marked", 200),
            ("/marked/redirect", 301),
            ("/marked/direct", 200),
            ("/marked/abort", 418),
            ("/marked/ghost", 503),
            ("/marked/timeout?echo-delay-ms=2000", 504),
            ("/marked?echo-status=500", 500),
        ] {
            let response = send(listener, Request::get(path).header("x-echo-header", "x-secret: 1"));
            assert_eq!(response.status, status, "{listener} {path}");
            assert_eq!(response.header("x-marked").as_deref(), Some("yes"), "{listener} {path}");
            assert_eq!(response.header("x-secret"), None, "{listener} {path}");
        }
        let denied = get(listener, "/marked/admin");
        assert_eq!((denied.status, denied.header("x-marked")), (403, None), "{listener}");
        let nowhere = get(listener, "/nowhere");
        assert_eq!((nowhere.status, nowhere.header("x-marked")), (404, None), "{listener}");
    }
}

/// Every order that a client could try to give, with a value that would show.
fn orders() -> Headers {
    let value = |name: &str| match name {
        "x-envoy-retry-on" => "5xx,retriable-status-codes",
        "x-envoy-retry-grpc-on" => "unavailable",
        "x-envoy-max-retries" => "3",
        "x-envoy-retriable-status-codes" => "503",
        "x-envoy-upstream-rq-timeout-alt-response" => "1",
        "x-envoy-hedge-on-per-try-timeout" => "true",
        "x-envoy-original-path" => "/original",
        name if name.ends_with("-ms") => "1",
        _ => "client",
    };
    let ours = [
        (control::CLUSTER, mesh::V2.to_owned()),
        (control::PROFILE, format!("mirror={}@1000000", mesh::V2)),
        ("x-mesh-policy-whatever", "client".to_owned()),
    ];
    let envoys = control::ENVOY_ORDERS.iter().map(|name| (*name, value(name).to_owned()));
    Headers(envoys.chain(ours).map(|(name, value)| (name.into(), value.into())).collect())
}

#[track_caller]
fn assert_no_orders(received: &[Received]) {
    for received in received {
        for (name, _) in &orders().0 {
            let name = String::from_utf8_lossy(name);
            assert!(!received.headers.has(&name), "{name} reached the service: {received:?}");
        }
    }
}

fn with_orders(mut request: Request) -> Request {
    request.headers.0.extend(orders().0);
    request
}

#[test]
fn orders_of_clients_do_not_count_and_do_not_reach_the_service() {
    for listener in BOTH {
        let plain = path("/plain", listener);
        let request = Request::get(&plain).header("x-echo-status", "503").header("x-echo-delay-ms", "100");
        let response = send(listener, with_orders(request));
        assert_eq!(response.status, 503, "{listener}: neither timed out nor answered otherwise");
        assert!(response.echo().unwrap().instance.starts_with("v1-"), "{listener}");
        let all = received(&plain);
        assert_eq!(all.len(), 1, "{listener}: neither tried again nor copied");
        assert_no_orders(&all);
    }
}

#[test]
fn each_order_of_a_client_is_taken_from_the_request_by_itself() {
    for listener in BOTH {
        for (number, (name, value)) in orders().0.into_iter().enumerate() {
            let path = path(&format!("/plain-{number}"), listener);
            let mut request = Request::get(&path);
            request.headers.0.push((name.to_ascii_uppercase(), value.clone()));
            request.headers.0.push((name.clone(), value));
            assert_eq!(send(listener, request).status, 200);
            let all = received(&path);
            assert_eq!(all.len(), 1, "{listener}: {}", name.escape_ascii());
            assert_no_orders(&all);
        }
    }
}

#[test]
fn orders_of_clients_do_not_count_where_no_rule_speaks_for_the_host() {
    for listener in BOTH {
        let path = path("/unmanaged", listener);
        let client = mesh().client(listener).unwrap();
        let request = Request::get(&path).header("x-echo-status", "503").header("x-echo-delay-ms", "100");
        let response = client.send(&with_orders(request.host("others"))).unwrap();
        assert_eq!((response.status, response.echo().unwrap().instance.as_str()), (503, "own"), "{listener}");
        let all = received(&path);
        assert_eq!(all.len(), 1, "{listener}");
        assert_no_orders(&all);
    }
}

#[test]
fn orders_of_clients_do_not_count_where_the_filters_answer() {
    for listener in BOTH {
        let redirect = send(listener, with_orders(Request::get("/redirect")));
        let location = redirect.header("location");
        assert_eq!(
            (redirect.status, location.as_deref()),
            (301, Some("http://customers/elsewhere")),
            "{listener}"
        );
        assert_eq!(send(listener, with_orders(Request::get("/nowhere"))).status, 404, "{listener}");
        assert_eq!(send(listener, with_orders(Request::get("/marked/admin"))).status, 403, "{listener}");
    }
}

#[test]
fn a_service_never_sees_the_orders_of_the_filters() {
    for listener in BOTH {
        for rule in ["/copied", "/timely", "/tried", "/weights"] {
            let path = path(&format!("{rule}-seen"), listener);
            for _ in 0..4 {
                assert_eq!(get(listener, &path).status, 200);
            }
            let all = received(&path);
            assert!(all.len() >= 4, "{listener} {rule}");
            assert_no_orders(&all);
        }
    }
}
