//! gRPC and HTTP/2 through `mesh_policy.wasm`.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{sync::OnceLock, time::Duration};

use mesh_policy_integration::{
    Result,
    client::{Http2Client, Request, Response},
    config,
    mesh::{self, Lent, Mesh, customers, list, policy, to},
    modules::Module,
    readme,
    upstream::{Echo, Received},
};
use serde_json::{Value, json};

fn mesh() -> Lent<'static> {
    static MESH: OnceLock<Mesh> = OnceLock::new();
    MESH.get_or_init(|| start().unwrap()).lend()
}

fn start() -> Result<Mesh> {
    let rule = |uri: Value, fields: Value| {
        let mut rule = json!({ "match": [{ "uri": uri }], "route": [to("v1")] });
        config::merge(&mut rule, &fields);
        rule
    };
    let abort = |fields: Value| {
        let mut abort = json!({ "percentage": { "value": 100 } });
        config::merge(&mut abort, &fields);
        json!({ "fault": { "abort": abort } })
    };
    let rules = list(&[
        policy(
            "no-removal",
            &json!({ "action": "DENY", "rules": [{ "to": [{ "operation": { "paths": ["/shop.Cart/Remove"] } }] }] }),
        ),
        customers(&json!([
            rule(json!({ "exact": "/shop.Cart/Add" }), json!({ "route": [to("v2")] })),
            rule(
                json!({ "exact": "/shop.Fault/Grpc" }),
                abort(json!({ "grpcStatus": "RESOURCE_EXHAUSTED" }))
            ),
            rule(json!({ "exact": "/shop.Fault/Http" }), abort(json!({ "httpStatus": 503 }))),
            rule(
                json!({ "exact": "/shop.Fault/Late" }),
                json!({ "fault": { "delay": {
                "fixedDelay": "0.2s", "percentage": { "value": 100 },
            } } })
            ),
            rule(json!({ "exact": "/shop.Cart/Slow" }), json!({ "timeout": "0.2s" })),
            rule(
                json!({ "exact": "/shop.Cart/Flaky" }),
                json!({ "retries": {
                "attempts": 2, "retryOn": "unavailable,503",
            } })
            ),
            rule(
                json!({ "prefix": "/shop.Cart/" }),
                json!({
                    "headers": { "response": { "set": { "x-marked": "yes" } } },
                })
            ),
        ])),
    ]);
    let filter = readme::filter(Module::Policy, "policy", &rules)?;
    Mesh::start_http2(&[config::listener("grpc", &[filter], &mesh::routes())])
}

fn client() -> Http2Client {
    mesh().client_http2("grpc").unwrap()
}

fn call(method: &str) -> Request {
    let call = Request::new("POST", method).host("customers").header("te", "trailers");
    call.header("content-type", "application/grpc").body(b"\0\0\0\0\x02hi")
}

fn send(request: &Request) -> Response {
    client().send(request).unwrap()
}

fn echo(response: &Response) -> Echo {
    assert_eq!((response.status, response.trailers.get("grpc-status").as_deref()), (200, Some("0")));
    Echo::from_grpc_body(&response.body).unwrap()
}

/// The status of a call that Envoy or a filter ended: in the headers, as there is nothing else.
#[track_caller]
fn assert_ended(response: &Response, status: &str, message: Option<&str>) {
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(response.header("content-type").as_deref(), Some("application/grpc"));
    assert_eq!(response.header("grpc-status").as_deref(), Some(status));
    assert_eq!(response.header("grpc-message").as_deref(), message);
}

fn received(method: &str) -> Vec<Received> {
    let mesh = mesh();
    let all = mesh.v1.iter().chain([&mesh.v2, &mesh.own]).flat_map(|upstream| upstream.requests());
    all.filter(|received| received.path() == method.as_bytes()).collect()
}

#[test]
fn a_call_is_routed_by_its_service_and_method() {
    let add = echo(&send(&call("/shop.Cart/Add")));
    assert_eq!((add.instance.as_str(), add.protocol.as_str()), ("v2", "HTTP/2.0"));
    let list = send(&call("/shop.Cart/List"));
    assert!(echo(&list).instance.starts_with("v1-"));
    assert_eq!(list.header("x-marked").as_deref(), Some("yes"));
    assert_ended(&send(&call("/shop.cart/Add")), "12", None);
}

#[test]
fn an_abort_with_a_grpc_status_is_that_status() {
    assert_ended(&send(&call("/shop.Fault/Grpc")), "8", Some("fault filter abort"));
    // One who does not speak gRPC learns as much as HTTP can say.
    let plain = send(&Request::get("/shop.Fault/Grpc").host("customers"));
    assert_eq!((plain.status, plain.header("grpc-status").as_deref()), (200, None));
    assert!(received("/shop.Fault/Grpc").is_empty());
}

#[test]
fn an_abort_with_an_http_status_is_the_grpc_status_that_belongs_to_it() {
    assert_ended(&send(&call("/shop.Fault/Http")), "14", Some("fault filter abort"));
    let plain = send(&Request::get("/shop.Fault/Http").host("customers"));
    assert_eq!((plain.status, plain.text().as_str()), (503, "fault filter abort"));
}

#[test]
fn a_denied_call_gets_permission_denied() {
    assert_ended(&send(&call("/shop.Cart/Remove")), "7", Some("RBAC: access denied"));
    assert_eq!(send(&Request::get("/shop.Cart/Remove").host("customers")).status, 403);
    assert!(received("/shop.Cart/Remove").is_empty());
}

#[test]
fn a_call_that_no_rule_takes_is_unimplemented() {
    assert_ended(&send(&call("/shop.Orders/Add")), "12", None);
    assert_eq!(send(&Request::get("/shop.Orders/Add").host("customers")).status, 404);
}

#[test]
fn a_call_that_takes_too_long_gets_a_grpc_status_in_time() {
    let response = send(&call("/shop.Cart/Slow").header("x-echo-delay-ms", "3000"));
    assert_ended(&response, "14", Some("upstream request timeout"));
    assert!(response.elapsed < Duration::from_millis(2500), "{:?}", response.elapsed);
}

#[test]
fn a_call_that_fails_by_http_status_is_tried_again() {
    let flaky = call("/shop.Cart/Flaky").header("x-echo-fail-first", "2");
    assert!(echo(&send(&flaky)).instance.starts_with("v1-"));
    assert_eq!(received("/shop.Cart/Flaky").len(), 3);
}

#[test]
fn body_and_trailers_pass_untouched_in_both_directions() {
    for method in ["/shop.Cart/Trailers", "/shop.Fault/Late"] {
        let request = call(method).header("x-echo-grpc-status", "5").trailer("x-checksum", "abc");
        let response = send(&request);
        assert_eq!(response.trailers.get("grpc-status").as_deref(), Some("5"), "{method}");
        assert_eq!(response.header("grpc-status"), None, "{method}");
        assert!(Echo::from_grpc_body(&response.body).unwrap().instance.starts_with("v1-"), "{method}");
        let mut received = received(method);
        received.retain(|received| received.trailers.get("x-checksum").as_deref() == Some("abc"));
        assert_eq!(received.len(), 1, "{method}");
        assert_eq!(received[0].body, b"\0\0\0\0\x02hi", "{method}");
    }
}

#[test]
fn many_calls_on_one_connection_each_get_their_own_answer() {
    let client = client();
    let methods = ["/shop.Cart/Add", "/shop.Fault/Late", "/shop.Cart/Remove", "/shop.Cart/Many"];
    let begin = |number: usize| {
        let method = methods[number % methods.len()];
        (
            method,
            number.to_string(),
            client.begin(&call(method).header("x-number", number.to_string())).unwrap(),
        )
    };
    let pending: Vec<_> = (0..200).map(begin).collect();
    for (method, number, pending) in pending {
        let response = pending.wait().unwrap();
        if method == "/shop.Cart/Remove" {
            assert_ended(&response, "7", Some("RBAC: access denied"));
        } else {
            let echo = echo(&response);
            assert_eq!((echo.path.as_str(), echo.header("x-number")), (method, Some(number)));
        }
    }
}
