//! Requests that no honest client sends, judged by the filter and by Envoy's own RBAC filter: the same verdict for each, and
//! never an error of ours.

use std::fmt::Write as _;

use mesh_policy_integration::{
    Result,
    certs::{Authority, Expect},
    client::{Client, Request, Tls},
    config,
    envoy::{Envoy, Options},
    mesh::{list, policy},
    modules::Module,
};
use serde_json::{Value, json};

/// Who calls over mutual TLS.
const CALLER: &str = "spiffe://cluster.local/ns/shop/sa/web";

/// A header condition of Envoy's, in the words of its RBAC filter.
fn header(name: &str, how: Value) -> Value {
    let mut header = json!({ "name": name });
    config::merge(&mut header, &how);
    json!({ "header": header })
}

fn exact(text: &str, ignore_case: bool) -> Value {
    json!({ "string_match": { "exact": text, "ignore_case": ignore_case } })
}

/// Pairs of listeners: a policy for the filter, and what it means written out for Envoy.
fn pairs() -> Vec<(&'static str, Value, Value)> {
    let any = json!([{ "any": true }]);
    let denied = policy(
        "denied",
        &json!({ "action": "DENY", "rules": [
            { "when": [{ "key": "request.headers[x-role]", "values": ["admin"] }] },
            { "when": [{ "key": "request.headers[x-empty]", "values": ["*"] }] },
            { "when": [{ "key": "request.headers[x-long]", "values": ["*end"] }] },
            { "to": [{ "operation": { "hosts": ["a.com", "[::1]:8080", "b.com:*"] } }] },
            { "to": [{ "operation": { "paths": ["/admin*"] } }] },
            {
                "from": [{ "source": { "principals": ["cluster.local/ns/shop/sa/web"] } }],
                "when": [{ "key": "request.headers[x-long]", "values": ["*"] }],
            },
        ] }),
    );
    let denied_by_envoy = json!({ "action": "DENY", "policies": {
        "role": { "permissions": any, "principals": [header("x-role", exact("admin", false))] },
        "empty": { "permissions": any, "principals": [header("x-empty", json!({ "present_match": true }))] },
        "long": { "permissions": any,
            "principals": [header("x-long", json!({ "string_match": { "suffix": "end" } }))] },
        "hosts": { "principals": any, "permissions": [
            header(":authority", exact("a.com", true)),
            header(":authority", exact("[::1]:8080", true)),
            header(":authority", json!({ "string_match": { "prefix": "b.com:", "ignore_case": true } })),
        ] },
        "caller": { "permissions": any, "principals": [{ "and_ids": { "ids": [
            { "authenticated": { "principal_name": { "exact": CALLER } } },
            header("x-long", json!({ "present_match": true })),
        ] } }] },
        "paths": { "principals": any, "permissions": [{ "url_path": { "path": { "prefix": "/admin" } } }] },
    } });
    let allowed = policy(
        "allowed",
        &json!({ "rules": [{
            "to": [{ "operation": { "hosts": ["*"], "methods": ["GET", "OPTIONS"], "notPaths": ["/admin"] } }],
            "when": [
                { "key": "request.headers[x-role]", "notValues": ["admin"] },
                { "key": "request.headers[x-long]", "notValues": ["*"] },
            ],
        }] }),
    );
    let allowed_by_envoy = json!({ "action": "ALLOW", "policies": { "rule": {
        "permissions": [{ "and_rules": { "rules": [
            header(":authority", json!({ "present_match": true })),
            { "or_rules": { "rules": [
                header(":method", exact("GET", false)), header(":method", exact("OPTIONS", false)),
            ] } },
            { "not_rule": { "url_path": { "path": { "exact": "/admin" } } } },
        ] } }],
        "principals": [{ "and_ids": { "ids": [
            { "not_id": header("x-role", exact("admin", false)) },
            { "not_id": header("x-long", json!({ "present_match": true })) },
        ] } }],
    } } });
    vec![("deny", denied, denied_by_envoy), ("allow", allowed, allowed_by_envoy)]
}

/// The name of the listeners' certificate.
const SERVER: &str = "workload.test";

/// Every listener of [`pairs`] twice: in plain text and for mutual TLS.
fn start(authority: &Authority) -> Result<Envoy> {
    // As lenient as Envoy gets: whatever is let in, the rules have to stand.
    let manager = json!({
        "normalize_path": true,
        "max_request_headers_kb": 96,
        "http_protocol_options": { "accept_http_10": true, "allow_absolute_url": true },
        "common_http_protocol_options": { "max_headers_count": 2000 },
    });
    let routes = config::routes(&[config::direct_response("/", 200, "passed")]);
    // A target of `*` has no path that a prefix route matches.
    let mut listeners = Vec::new();
    for (name, ours, native) in pairs() {
        let authz = config::wasm_filter(name, &Module::Authz.path()?, &list(&[ours]).to_string());
        let rbac = json!({ "name": "envoy.filters.http.rbac", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC", "rules": native,
        } });
        listeners.push(config::listener_with(name, &[config::peer_facts(), authz], &routes, &manager));
        listeners.push(config::listener_with(&format!("{name} native"), &[rbac], &routes, &manager));
    }
    let transport = config::mutual_tls(authority, &authority.server(&[SERVER])?);
    let over_tls = listeners.iter().filter_map(|listener| {
        let name = format!("{} over TLS", listener.get("name")?.as_str()?);
        config::over_tls(listener, &name, &transport)
    });
    let over_tls: Vec<Value> = over_tls.collect();
    listeners.extend(over_tls);
    Envoy::start(&config::bootstrap(&listeners, &[]), &Options::default())
}

fn repeated(request: Request, name: &str, value: &str, times: usize) -> Request {
    (0..times).fold(request, |request, _| request.header(name, value))
}

fn requests() -> Vec<(&'static str, Request)> {
    let get = || Request::get("/").host("any");
    let long = "x".repeat(60 * 1024);
    vec![
        ("an honest request", get()),
        ("a denied value", get().header("x-role", "admin")),
        ("a value that is not UTF-8", get().header("x-role", b"\xff\xfeadmin\x80")),
        ("a value that is not UTF-8 and ends as denied", get().header("x-long", b"\xc3\x28end")),
        ("every byte that a value can have", get().header("x-role", (0x80..=0xff).collect::<Vec<u8>>())),
        ("an empty value", get().header("x-empty", "")),
        ("an empty value of a header compared", get().header("x-role", "")),
        ("white space around a denied value", get().header("x-role", "  admin\t")),
        ("a denied value twice", get().header("x-role", "admin").header("x-role", "admin")),
        ("a denied value behind an empty one", get().header("x-role", "").header("x-role", "admin")),
        ("a denied value before another", get().header("x-role", "admin").header("x-role", "user")),
        ("a denied value in two lines", get().header("x-role", "ad").header("x-role", "min")),
        ("a denied end before another", get().header("x-long", "the end").header("x-long", "or not")),
        ("another case of the name", get().header("X-ROLE", "admin")),
        ("another case of the value", get().header("x-role", "Admin")),
        ("100 copies", repeated(get(), "x-role", "user", 100)),
        ("100 copies of a denied value", repeated(get(), "x-role", "admin", 100)),
        ("1000 headers", (0..1000).fold(get(), |request, index| request.header(format!("x-{index}"), "v"))),
        ("60 KB in one header", get().header("x-long", &long)),
        ("60 KB that end as denied", get().header("x-long", format!("{long}end"))),
        (
            "60 KB of small headers",
            (0..600).fold(get(), |request, i| request.header(format!("x-{i}"), "x".repeat(90))),
        ),
        ("60 KB of path", Request::get(format!("/{long}")).host("any")),
        ("a path that is not UTF-8", Request::get(b"/admin\xff\xfe").host("any")),
        ("a path that is not UTF-8 before what is denied", Request::get(b"/\xff/../admin").host("any")),
        ("a host of other case", Request::get("/").host("A.COM")),
        ("a host with a port", Request::get("/").host("a.com:8080")),
        ("a host with a dot at its end", Request::get("/").host("a.com.")),
        ("a host and a port that are denied", Request::get("/").host("b.com:65535")),
        ("an IPv6 host with port", Request::get("/").host("[::1]:8080")),
        ("an IPv6 host without port", Request::get("/").host("[::1]")),
        ("an IPv6 host of another spelling", Request::get("/").host("[0::1]:8080")),
        ("a host that is not UTF-8", Request::get("/").host(b"a.com\xff")),
        ("an empty host", Request::get("/").host("")),
        ("no host", Request::get("/").without_host()),
        ("HTTP/1.0", get().http10()),
        ("HTTP/1.0 without host", Request::get("/").without_host().http10()),
        ("HTTP/1.0 to what is denied", Request::get("/admin").without_host().http10()),
        ("two hosts", get().header("host", "a.com")),
        ("an absolute target", Request::get("http://other/x").host("any")),
        ("an absolute target that is denied", Request::get("http://a.com/").host("any")),
        ("an absolute target beside a denied host", Request::get("http://other/").host("a.com")),
        ("an absolute target with a denied path", Request::get("http://other/x/../admin").host("any")),
        ("an absolute target of HTTP/1.0", Request::get("http://a.com/").without_host().http10()),
        ("an absolute target without path", Request::get("http://other").host("any")),
        ("the target of OPTIONS", Request::new("OPTIONS", "*").host("any")),
        ("a target without slash", Request::get("admin").host("any")),
        ("a method of the client's own", Request::new("ADMIN", "/").host("any")),
        ("a method in small letters", Request::new("get", "/").host("any")),
        ("a query that is denied as path", Request::get("/?/admin").host("any")),
        ("a header of ours", get().header("x-mesh-policy-cluster", "outbound|80||x")),
        (
            "a chunked body with a length",
            get().header("transfer-encoding", "chunked").header("content-length", "5"),
        ),
    ]
}

/// Sends every request to each pair of listeners; gives how many were denied.
fn hold_against_envoy(envoy: &Envoy, over: &str, tls: Option<&Tls>) -> Result<usize> {
    let mut failures = String::new();
    let mut denied = 0;
    for (name, _, _) in pairs() {
        let (ours, native) =
            (envoy.listener(&format!("{name}{over}"))?, envoy.listener(&format!("{name} native{over}"))?);
        for (what, request) in requests() {
            // A connection that Envoy closes without an answer is an outcome too.
            let outcome = |address| {
                let client = match tls {
                    Some(tls) => Client::with_tls(address, tls.clone()),
                    None => Client::new(address),
                };
                client.send(&request).map(|r| (r.status, r.text())).ok()
            };
            let (found, expected) = (outcome(ours), outcome(native));
            if found != expected {
                let _ = writeln!(failures, "{name}{over}: {what}: {found:?}, but Envoy {expected:?}");
            }
            if let Some((500.., _)) = found {
                let _ = writeln!(failures, "{name}{over}: {what}: {found:?}");
            }
            denied += usize::from(matches!(found, Some((403, _))));
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    Ok(denied)
}

#[test]
fn each_request_gets_the_verdict_of_envoys_own_filter_and_no_error_of_ours() -> Result<()> {
    let authority = Authority::new("hostile")?;
    let envoy = start(&authority)?;
    let caller = authority.workload(CALLER)?;
    let tls = authority.client(Expect::Dns(SERVER.to_owned()), Some(&caller))?;
    let plain = hold_against_envoy(&envoy, "", None)?;
    let known = hold_against_envoy(&envoy, " over TLS", Some(&tls))?;
    // Neither filter is a wall or a hole, and who is known by a certificate is denied more.
    assert!((20..70).contains(&plain), "{plain}");
    assert!((plain + 1..70).contains(&known), "{plain}, {known}");
    // And the filter still works: nothing of the above has ended it.
    assert_eq!(Client::new(envoy.listener("deny")?).get("/")?.status, 200);
    assert_eq!(Client::with_tls(envoy.listener("deny over TLS")?, tls).get("/")?.status, 200);
    assert!(!envoy.log().contains("panicked"), "{}", envoy.log());
    Ok(())
}
