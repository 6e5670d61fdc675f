//! `mesh_headers.wasm` alone, as its README shows it.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::sync::OnceLock;

use mesh_policy_integration::{
    Result,
    client::{Request, Response},
    config,
    mesh::{Lent, Mesh, V1, V2, customers, list, to},
    modules::Module,
    readme::{self, Readme},
};
use serde_json::{Value, json};

fn mesh() -> Lent<'static> {
    static MESH: OnceLock<Mesh> = OnceLock::new();
    MESH.get_or_init(|| start().unwrap()).lend()
}

fn start() -> Result<Mesh> {
    let readme = Readme::of(Module::Headers)?;
    let mut destination = to("v1");
    config::merge(
        &mut destination,
        &json!({ "headers": {
            "request": { "set": { "x-both": "destination" }, "add": { "x-list": "destination" } },
            "response": { "add": { "x-list": "destination" }, "remove": ["x-secret"] },
        } }),
    );
    let rules = list(&[customers(&json!([{
        "headers": {
            "request": { "set": { "x-both": "route" }, "add": { "x-list": "route" }, "remove": ["x-gone"] },
            "response": { "set": { "x-from": "route" }, "add": { "x-list": "route" } },
        },
        "route": [destination],
    }]))]);
    // No router of ours: what Envoy's own routes do is up to them, also answering by themselves.
    let own = config::routes(&[
        config::direct_response("/direct", 418, "tea"),
        json!({ "match": { "prefix": "/ghost" }, "route": { "cluster_header": "x-ghost" } }),
        json!({ "match": { "prefix": "/other" }, "route": { "cluster": V2 } }),
        json!({ "match": { "prefix": "/" }, "route": { "cluster": V1 } }),
    ]);
    let listener = |name, filter: Result<Value>| Ok(config::listener(name, &[filter?], &own));
    Mesh::start(&[
        listener("example", readme.with_example())?,
        listener("as written", readme.as_written())?,
        listener("rules", readme::filter(Module::Headers, "rules", &rules))?,
    ])
}

fn send(listener: &str, request: Request) -> Response {
    mesh().client(listener).unwrap().send(&request.host("customers")).unwrap()
}

fn lines(response: &Response, name: &str) -> Vec<String> {
    response.headers.all(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect()
}

#[test]
fn the_readmes_example_does_what_its_table_says() {
    let request = Request::get("/").header("x-tier", "lead").header("x-tier", "tin").header("x-debug", "1");
    let response = send("example", request);
    assert_eq!(response.header("x-served-by").as_deref(), Some("mesh"));
    let echo = response.echo().unwrap();
    assert_eq!((echo.header("x-tier").as_deref(), echo.header("x-debug")), (Some("gold"), None));
}

#[test]
fn without_operations_headers_pass_as_they_are() {
    let request = Request::get("/").header("x-tier", "lead").header("x-bytes", b"\x80\xff");
    let response = send("as written", request);
    let echo = response.echo().unwrap();
    assert_eq!(echo.header("x-tier").as_deref(), Some("lead"));
    assert_eq!(echo.headers.all("x-bytes").next(), Some(b"\x80\xff".as_slice()));
    assert_eq!(response.header("x-served-by"), None);
}

#[test]
fn operations_of_route_and_destination_both_apply_to_the_request() {
    let request =
        Request::get("/").header("x-both", "client").header("x-list", "client").header("x-gone", "1");
    let echo = send("rules", request).echo().unwrap();
    let list: Vec<_> = echo.headers.all("x-list").map(String::from_utf8_lossy).collect();
    assert_eq!(list.first().map(AsRef::as_ref), Some("client"));
    assert_eq!(list.len(), 3, "{list:?}");
    assert_eq!(echo.headers.all("x-both").count(), 1);
    assert_eq!(echo.header("x-gone"), None);
}

#[test]
fn a_removal_takes_every_line_and_an_addition_keeps_those_there_are() {
    let request = Request::get("/")
        .header("x-gone", "1")
        .header("X-Gone", "2")
        .header("x-echo-header", "x-secret: 1")
        .header("x-echo-header", "x-secret: 2")
        .header("x-echo-header", "x-list: service")
        .header("x-echo-header", "x-from: service")
        .header("x-echo-header", "x-from: service again");
    let response = send("rules", request);
    assert_eq!(response.header("x-secret"), None);
    assert_eq!(lines(&response, "x-from"), ["route"]);
    let list = lines(&response, "x-list");
    assert_eq!((list.first().map(String::as_str), list.len()), (Some("service"), 3), "{list:?}");
    assert_eq!(response.echo().unwrap().header("x-gone"), None);
}

#[test]
fn answers_that_envoy_gives_itself_carry_the_response_operations() {
    for (path, status) in [("/direct", 418), ("/ghost", 503)] {
        let request = Request::get(path).header("x-ghost", "no-such-cluster");
        let response = send("rules", request);
        assert_eq!(
            (response.status, response.header("x-from").as_deref()),
            (status, Some("route")),
            "{path}"
        );
    }
}

#[test]
fn a_host_that_no_rules_speak_for_is_left_alone() {
    let client = mesh().client("rules").unwrap();
    let response = client.send(&Request::get("/other").host("others").header("x-gone", "1")).unwrap();
    assert_eq!(response.header("x-from"), None);
    assert_eq!(response.echo().unwrap().header("x-gone").as_deref(), Some("1"));
}
