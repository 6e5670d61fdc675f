//! `mesh_router.wasm` alone, as its README shows it.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{sync::OnceLock, time::Duration};

use mesh_policy_integration::{
    Result,
    client::{Request, Response},
    config,
    mesh::{self, Lent, Mesh, customers, list, to, virtual_service},
    modules::Module,
    readme::{self, Readme},
    statistics::Bound,
};
use serde_json::{Value, json};

fn mesh() -> Lent<'static> {
    static MESH: OnceLock<Mesh> = OnceLock::new();
    MESH.get_or_init(|| start().unwrap()).lend()
}

fn start() -> Result<Mesh> {
    let readme = Readme::of(Module::Router)?;
    let rules = list(&[customers(&json!([
        { "match": [{ "uri": { "prefix": "/weights" } }],
          "route": [with_weight("v1", 75), with_weight("v2", 25)] },
        { "match": [{ "uri": { "prefix": "/rewrite/" } }],
          "rewrite": { "uri": "/written/", "authority": "written.example.com" }, "route": [to("v1")] },
        { "match": [{ "uri": { "exact": "/direct" } }],
          "directResponse": { "status": 503, "body": { "string": "closed" } } },
        { "match": [{ "uri": { "prefix": "/ghost" } }], "route": [{ "destination": { "host": "ghost" } }] },
        { "match": [{ "uri": { "prefix": "/only" }, "method": { "exact": "POST" } }], "route": [to("v2")] },
    ]))]);
    let mut gateway = list(&[
        virtual_service(
            "catch-all",
            &json!({ "hosts": ["*"], "gateways": ["edge"],
                     "http": [{ "match": [{ "uri": { "prefix": "/" } }], "route": [to("v1")] }] }),
        ),
        virtual_service(
            "shop",
            &json!({ "hosts": ["shop.example.com"], "gateways": ["edge"],
                     "http": [{ "match": [{ "uri": { "prefix": "/cart" } }], "route": [to("v2")] }] }),
        ),
        json!({
            "apiVersion": "networking.istio.io/v1", "kind": "Gateway",
            "metadata": { "name": "edge", "namespace": "default" },
            "spec": { "selector": { "istio": "ingressgateway" }, "servers": [
                { "port": { "number": 80, "name": "http", "protocol": "HTTP" }, "hosts": ["*.example.com"] },
            ] },
        }),
    ]);
    config::merge(&mut gateway, &json!({ "workload": { "gateways": ["default/edge"], "port": 80 } }));
    let router = |name: &str, rules: &Value| readme::filter(Module::Router, name, rules);
    let listener = |name, filter: Result<Value>| Ok(config::listener(name, &[filter?], &mesh::routes()));
    Mesh::start(&[
        listener("example", readme.with_example())?,
        listener("as written", readme.as_written())?,
        listener("rules", router("rules", &rules))?,
        listener("gateway", router("gateway", &gateway))?,
    ])
}

fn with_weight(version: &str, weight: u32) -> Value {
    let mut destination = to(version);
    config::merge(&mut destination, &json!({ "weight": weight }));
    destination
}

fn get(listener: &str, path: &str) -> Response {
    mesh().client(listener).unwrap().send(&Request::get(path).host("customers")).unwrap()
}

#[test]
fn the_readmes_example_does_what_its_table_says() {
    let client = mesh().client("example").unwrap();
    let firefox = Request::get("/").host("customers").header("user-agent", "Mozilla Firefox");
    assert_eq!(client.send(&firefox).unwrap().echo().unwrap().instance, "v2");
    let redirect = get("example", "/old");
    assert_eq!((redirect.status, redirect.body.len()), (302, 0));
    assert_eq!(redirect.header("location").as_deref(), Some("http://customers/new"));
    let echo = get("example", "/").echo().unwrap();
    assert!(echo.instance.starts_with("v1-"), "{echo:?}");
    let slow = get("example", "/?echo-delay-ms=5000");
    assert_eq!((slow.status, slow.header("x-details").as_deref()), (504, Some("response_timeout")));
    let two_seconds = Duration::from_millis(1900)..Duration::from_millis(4500);
    assert!(two_seconds.contains(&slow.elapsed), "{:?}", slow.elapsed);
}

#[test]
fn without_rules_every_request_takes_envoys_own_routes() {
    assert_eq!(get("as written", "/").echo().unwrap().instance, "own");
}

#[test]
fn a_host_that_no_rules_speak_for_takes_envoys_own_routes() {
    let request = Request::get("/weights").host("others").header("x-mesh-policy-cluster", mesh::V2);
    let echo = mesh().client("rules").unwrap().send(&request).unwrap().echo().unwrap();
    assert_eq!(echo.instance, "own");
    assert_eq!(echo.header("x-mesh-policy-cluster"), None);
}

#[test]
fn weights_split_requests_in_their_proportion() {
    let client = mesh().client("rules").unwrap();
    let responses = client.send_many(1000, 4, |_| Request::get("/weights").host("customers")).unwrap();
    let v1 = responses.iter().filter(|response| response.echo().unwrap().instance.starts_with("v1-")).count();
    let bound = Bound::new(1000, 0.75);
    assert!(bound.contains(v1 as u64), "{v1} requests went to v1, expected {bound}");
}

#[test]
fn a_rewrite_changes_path_and_authority_but_not_the_query() {
    let echo = get("rules", "/rewrite/a?b=/rewrite/").echo().unwrap();
    assert_eq!(
        (echo.path.as_str(), echo.authority.as_str()),
        ("/written/a?b=/rewrite/", "written.example.com")
    );
}

#[test]
fn a_direct_response_is_given_without_an_upstream() {
    let response = get("rules", "/direct");
    assert_eq!((response.status, response.text().as_str()), (503, "closed"));
    assert_eq!((mesh().count_v1("/direct"), mesh().own.count_path("/direct")), (0, 0));
}

#[test]
fn a_destination_without_a_cluster_answers_503() {
    let response = get("rules", "/ghost");
    assert_eq!((response.status, response.header("x-details").as_deref()), (503, Some("cluster_not_found")));
}

#[test]
fn where_the_host_is_served_and_no_rule_matches_the_answer_is_404() {
    for (path, method) in [("/nowhere", "GET"), ("/only", "GET"), ("/only", "PUT")] {
        let request = Request::new(method, path).host("customers");
        let response = mesh().client("rules").unwrap().send(&request).unwrap();
        assert_eq!((response.status, response.body.len()), (404, 0), "{method} {path}");
        assert_eq!(response.header("x-details").as_deref(), Some("route_not_found"), "{method} {path}");
    }
    let request = Request::new("POST", "/only").host("customers");
    let response = mesh().client("rules").unwrap().send(&request).unwrap();
    assert_eq!(response.echo().unwrap().instance, "v2");
}

#[test]
fn a_gateway_does_not_fall_back_to_another_host_and_knows_no_other() {
    let answer = |host: &str, path: &str| {
        let client = mesh().client("gateway").unwrap();
        client.send(&Request::get(path).host(host)).unwrap()
    };
    assert_eq!(answer("shop.example.com", "/cart").echo().unwrap().instance, "v2");
    assert_eq!(answer("SHOP.example.com:80", "/cart").echo().unwrap().instance, "v2");
    assert!(answer("www.example.com", "/cart").echo().unwrap().instance.starts_with("v1-"));
    for (host, path) in [("shop.example.com", "/other"), ("example.org", "/"), ("customers", "/cart")] {
        let response = answer(host, path);
        assert_eq!((response.status, response.body.len()), (404, 0), "{host}{path}");
    }
}
