//! `mesh_authz.wasm` alone, as its README shows it.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use std::{net::IpAddr, sync::OnceLock};

use mesh_policy_integration::{
    Context, Result,
    client::{Client, Request, Response},
    config,
    mesh::{self, Lent, Mesh, list, policy},
    modules::Module,
    readme::{self, Readme},
};
use serde_json::{Value, json};

fn mesh() -> Lent<'static> {
    static MESH: OnceLock<Mesh> = OnceLock::new();
    MESH.get_or_init(|| start().unwrap()).lend()
}

fn start() -> Result<Mesh> {
    let readme = Readme::of(Module::Authz)?;
    let from = |blocks: Value| json!([{ "from": [{ "source": { "ipBlocks": blocks } }] }]);
    let by_address = list(&[
        policy("local", &json!({ "rules": from(json!(["127.0.0.0/30"])) })),
        policy("not-two", &json!({ "action": "DENY", "rules": from(json!(["127.0.0.2"])) })),
    ]);
    let by_both = list(&[
        policy(
            "readers",
            &json!({ "rules": [{ "to": [{ "operation": { "methods": ["GET", "HEAD"], "paths": ["/public/*"] } }] }] }),
        ),
        policy(
            "no-secrets",
            &json!({ "action": "DENY", "rules": [
                { "to": [{ "operation": { "hosts": ["*.secret"] } }] },
                { "to": [{ "operation": { "paths": ["*/secret"] } }] },
            ] }),
        ),
    ]);
    let nothing = list(&[policy("nothing", &json!({}))]);
    let authz = |name: &str, rules: &Value| readme::filter(Module::Authz, name, rules);
    // `normalize_path` as the README asks; behind one trusted proxy, so that a client can choose `source.address`.
    let manager = json!({ "normalize_path": true, "use_remote_address": true, "xff_num_trusted_hops": 1 });
    let listener =
        |name: &str, filters: &[Value]| Ok(config::listener_with(name, filters, &mesh::routes(), &manager));
    // As the README has it: network filters in front of the connection manager.
    let handed_over = |name: &str, filter: Value| {
        let mut listener = listener(name, &[filter])?;
        let chain = listener.pointer_mut("/filter_chains/0/filters").and_then(Value::as_array_mut);
        chain.context("a listener has a filter chain")?.splice(0..0, readme.companions.clone());
        Ok(listener)
    };
    Mesh::start(&[
        listener("example", &[readme.with_example()?])?,
        handed_over("as written", readme.as_written()?)?,
        handed_over("addresses", authz("addresses", &by_address)?)?,
        listener("addresses not handed over", &[authz("bare", &by_address)?])?,
        listener("both", &[authz("both", &by_both)?])?,
        listener("nothing", &[authz("nothing", &nothing)?])?,
    ])
}

fn get(listener: &str, path: &str) -> Response {
    send(listener, &Request::get(path).host("customers"))
}

fn send(listener: &str, request: &Request) -> Response {
    mesh().client(listener).unwrap().send(request).unwrap()
}

#[track_caller]
fn assert_denied(response: &Response, details: &str) {
    assert_eq!((response.status, response.text().as_str()), (403, "RBAC: access denied"));
    assert_eq!(response.header("x-details").as_deref(), Some(details));
}

#[test]
fn the_readmes_example_does_what_its_table_says() {
    let denied = get("example", "/admin/users");
    assert_denied(&denied, "rbac_access_denied_matched_policy[ns[default]-policy[no-admin]-rule[0]]");
    assert_eq!(denied.header("x-authz").as_deref(), Some("ns[default]-policy[no-admin]-rule[0]"));
    let allowed = get("example", "/");
    assert_eq!(allowed.echo().unwrap().instance, "own");
    assert_eq!(allowed.header("x-authz"), None);
}

#[test]
fn paths_are_judged_as_envoy_normalizes_them() {
    for path in ["/public/../admin", "/%61dmin", "/admin?x=/public", "/./admin/"] {
        assert_eq!(get("example", path).status, 403, "{path}");
    }
    assert_eq!(get("example", "/public/admin").status, 200);
}

#[test]
fn without_policies_everything_is_allowed() {
    assert_eq!(get("as written", "/admin").status, 200);
}

#[test]
fn a_policy_without_rules_allows_nothing() {
    assert_denied(&get("nothing", "/"), "rbac_access_denied_matched_policy[none]");
}

#[test]
fn what_no_rule_allows_is_denied_and_deny_comes_first() {
    assert_eq!(get("both", "/public/a").status, 200);
    // No ALLOW rule took it: the details name the one that lacked least, and what.
    let nearest = |lack: &str| {
        format!("rbac_access_denied_matched_policy[none];nearest=ns[default]-policy[readers]-rule[0]:{lack}")
    };
    assert_denied(&get("both", "/private"), &nearest("to[0].operation.paths"));
    let post = Request::new("POST", "/public/a").host("customers");
    assert_denied(&send("both", &post), &nearest("to[0].operation.methods"));
    let rule =
        |number| format!("rbac_access_denied_matched_policy[ns[default]-policy[no-secrets]-rule[{number}]]");
    assert_denied(&get("both", "/public/secret"), &rule(1));
    let host = Request::get("/public/a").host("the.SECRET");
    assert_denied(&send("both", &host), &rule(0));
}

#[test]
fn a_denied_request_reaches_no_upstream() {
    assert_eq!(get("both", "/denied-and-nowhere").status, 403);
    assert_eq!(mesh().own.count_path("/denied-and-nowhere"), 0);
}

#[test]
fn blocks_are_compared_with_the_direct_peer_and_not_with_what_clients_forward() {
    let from = |source: &str, forwarded: Option<&str>| {
        let source: IpAddr = source.parse().unwrap();
        let mut request = Request::get("/").host("customers");
        if let Some(forwarded) = forwarded {
            request = request.header("x-forwarded-for", forwarded);
        }
        Client::new(mesh().envoy.listener("addresses").unwrap()).from(source).send(&request).unwrap()
    };
    assert_eq!(from("127.0.0.1", None).status, 200);
    assert_eq!(from("127.0.0.3", None).status, 200);
    let elsewhere = "rbac_access_denied_matched_policy[none];nearest=ns[default]-policy[local]-rule[0]:\
                     from[0].source.ipBlocks";
    assert_denied(&from("127.0.0.4", None), elsewhere);
    assert_denied(&from("127.0.0.9", Some("127.0.0.1")), elsewhere);
    let not_two = "rbac_access_denied_matched_policy[ns[default]-policy[not-two]-rule[0]]";
    assert_denied(&from("127.0.0.2", Some("127.0.0.1")), not_two);
}

#[test]
fn an_unknown_direct_peer_refuses_requests_and_says_what_is_missing() {
    let response = get("addresses not handed over", "/");
    assert_eq!(response.status, 500);
    assert_eq!(response.header("x-details").as_deref(), Some("mesh_policy_direct_peer_unknown"));
    let log = mesh().envoy.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("requests are refused")).collect();
    assert!(lines.len() == 1 && lines[0].contains("mesh_policy.direct_remote_ip"), "{lines:?}");
}
