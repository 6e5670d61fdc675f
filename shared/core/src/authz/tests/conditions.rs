//! What each condition compares with, and how.

use super::*;

#[test]
fn alternatives_are_ored_and_fields_are_anded() {
    let rule = r#"{
        "from": [{"source": {"namespaces": ["web"], "notPrincipals": ["cluster.local/ns/web/sa/bad"]}},
                 {"source": {"ipBlocks": ["10.0.0.0/8"]}}],
        "to": [{"operation": {"methods": ["GET"], "paths": ["/a", "/b*"]}}, {"operation": {"methods": ["POST"]}}],
        "when": [{"key": "request.headers[x-env]", "values": ["prod"], "notValues": ["x"]},
                 {"key": "request.headers[x-env]", "values": ["p*"]}]}"#;
    let web = Request::get("/a").header("x-env", "prod").peer("cluster.local/ns/web/sa/good");
    let outside = || web.clone().with(Attribute::DirectRemoteIp, "192.0.2.1");
    assert!(web.matches(rule));
    assert!(outside().matches(rule));
    assert!(!outside().peer("cluster.local/ns/web/sa/bad").matches(rule));
    assert!(web.clone().peer("cluster.local/ns/web/sa/bad").matches(rule));
    assert!(outside().header(":path", "/bc").matches(rule));
    assert!(!outside().header(":path", "/c").matches(rule));
    assert!(outside().header(":path", "/c").header(":method", "POST").matches(rule));
    assert!(!web.clone().without("x-env").matches(rule));
    assert!(web.clone().header("x-env", "prod").matches(rule));
    assert!(!web.clone().header("x-env", "x").matches(rule));
}

#[test]
fn operations_compare_as_envoy_does() {
    let get = Request::get;
    for (field, values, request, expected) in [
        ("hosts", r#"["ORDERS.shop"]"#, get("/"), true),
        ("hosts", r#"["orders.shop"]"#, get("/").header(":authority", "Orders.SHOP"), true),
        ("hosts", r#"["orders.shop"]"#, get("/").header(":authority", "orders.shop:8080"), false),
        ("hosts", r#"["orders.shop:*"]"#, get("/").header(":authority", "orders.shop:8080"), true),
        ("hosts", r#"["orders.shop"]"#, get("/").header(":authority", "orders.shop."), false),
        ("hosts", r#"["*.a.com"]"#, get("/").header(":authority", "a.com"), false),
        ("hosts", r#"["*a.com"]"#, get("/").header(":authority", "evila.com"), true),
        ("hosts", r#"["[::1]:80"]"#, get("/").header(":authority", "[::1]:80"), true),
        ("hosts", r#"["*"]"#, get("/").header(":authority", ""), true),
        ("hosts", r#"["*"]"#, get("/").without(":authority"), false),
        ("notHosts", r#"["*"]"#, get("/").without(":authority"), true),
        ("methods", r#"["GET"]"#, get("/"), true),
        ("methods", r#"["POST"]"#, get("/").header(":method", "post"), false),
        ("methods", r#"["*"]"#, get("/").header(":method", "FOO"), true),
        ("notMethods", r#"["POST", "P*"]"#, get("/").header(":method", "PUT"), false),
        ("ports", r#"["80", "8080"]"#, get("/"), true),
        ("ports", r#"["80"]"#, get("/"), false),
        ("notPorts", r#"["80"]"#, get("/"), true),
        ("paths", r#"["/admin"]"#, get("/admin?x"), true),
        ("paths", r#"["/admin"]"#, get("/admin#x?y"), true),
        ("paths", r#"["/admin"]"#, get("//admin"), false),
        ("paths", r#"["/admin"]"#, get("/admin/"), false),
        ("paths", r#"["/admin"]"#, get("/ADMIN"), false),
        ("paths", r#"["/admin"]"#, get("/admin;a=b"), false),
        ("paths", r#"["/admin*"]"#, get("/administrator"), true),
        ("paths", r#"["/admin/*"]"#, get("/admin"), false),
        ("paths", r#"["*x*"]"#, get("/axb"), false),
        ("paths", r#"["*x*"]"#, get("/ax*"), true),
        ("paths", r#"["*"]"#, get("?x"), false),
        ("paths", r#"["*"]"#, get("/"), true),
        ("paths", r#"["*"]"#, get("/").without(":path"), false),
        ("notPaths", r#"["/x"]"#, get("/").without(":path"), true),
        ("paths", r#"["/allow/admin/{**}"]"#, get("/allow/admin/f/t.txt?p"), true),
        ("paths", r#"["/allow/admin/{**}"]"#, get("/allow/admin?p=v"), false),
        ("notPaths", r#"["/allow/{*}"]"#, get("/allow/x"), false),
    ] {
        assert_eq!(request.matches(&operation(field, values)), expected, "{field} {values}");
    }
}

#[test]
fn sources_compare_as_envoy_does() {
    let plain = || Request::get("/");
    let web = || plain().peer("cluster.local/ns/shop/sa/web");
    for (field, values, request, expected) in [
        ("principals", r#"["cluster.local/ns/shop/sa/web"]"#, web(), true),
        ("principals", r#"["spiffe://cluster.local/ns/shop/sa/web"]"#, web(), false),
        ("principals", r#"["*/ns/shop/sa/*"]"#, web(), false),
        ("principals", r#"["*"]"#, web(), true),
        ("principals", r#"["*"]"#, plain(), false),
        ("principals", r#"["*"]"#, plain().with(Attribute::PeerSubject, "CN=x,O=y"), true),
        ("principals", r#"["*"]"#, plain().with(Attribute::PeerSubject, ""), false),
        ("namespaces", r#"["shop"]"#, web(), true),
        ("namespaces", r#"["sh*"]"#, web(), true),
        ("namespaces", r#"["web"]"#, web(), false),
        ("namespaces", r#"["x"]"#, plain().with(Attribute::PeerDnsSans, "a.com,b/ns/x/c"), true),
        ("serviceAccounts", r#"["web"]"#, web(), true),
        ("serviceAccounts", r#"["shop/web"]"#, plain().peer("other/ns/shop/sa/web"), true),
        ("serviceAccounts", r#"["web"]"#, plain().peer("cluster.local/ns/other/sa/web"), false),
        ("trustDomains", r#"["cluster.*"]"#, web(), true),
        ("trustDomains", r#"["other"]"#, web(), false),
        ("ipBlocks", r#"["10.0.0.0/24"]"#, plain(), true),
        ("ipBlocks", r#"["192.0.2.7"]"#, plain(), false),
        ("ipBlocks", r#"["2001:db8::/32"]"#, plain().with(Attribute::DirectRemoteIp, "2001:db8::9"), true),
        ("ipBlocks", r#"["10.0.0.9"]"#, plain().with(Attribute::DirectRemoteIp, "::ffff:10.0.0.9"), false),
        ("remoteIpBlocks", r#"["192.0.2.7"]"#, plain(), true),
        ("notRemoteIpBlocks", r#"["192.0.2.0/24"]"#, plain(), false),
        // Several names: any may match.
        ("namespaces", r#"["b"]"#, plain().peer("td/ns/a/sa/x,spiffe://td/ns/b/sa/y"), true),
        ("namespaces", r#"["c"]"#, plain().peer("td/ns/a/sa/x,spiffe://td/ns/b/sa/y"), false),
    ] {
        assert_eq!(request.matches(&source(field, values)), expected, "{field} {values}");
    }
}

#[test]
fn what_is_missing_matches_no_value_and_every_not() {
    let plain = Request::get("/").without(":path").without(":authority");
    for (positive, negative, values) in [
        ("principals", "notPrincipals", r#"["x"]"#),
        ("namespaces", "notNamespaces", r#"["x"]"#),
        ("serviceAccounts", "notServiceAccounts", r#"["x"]"#),
        ("trustDomains", "notTrustDomains", r#"["x"]"#),
        ("requestPrincipals", "notRequestPrincipals", r#"["*"]"#),
    ] {
        assert!(!plain.matches(&source(positive, values)), "{positive}");
        assert!(plain.matches(&source(negative, values)), "{negative}");
    }
    for (positive, negative) in [("paths", "notPaths"), ("hosts", "notHosts")] {
        assert!(!plain.matches(&operation(positive, r#"["*"]"#)), "{positive}");
        assert!(plain.matches(&operation(negative, r#"["*"]"#)), "{negative}");
    }
    for key in [
        "request.headers[x-a]",
        "source.principal",
        "source.namespace",
        "source.serviceAccount",
        "source.trustDomain",
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "request.auth.claims[a][b]",
        "connection.sni",
    ] {
        assert!(!plain.matches(&when(key, "values", r#"["x"]"#)), "{key}");
        assert!(plain.matches(&when(key, "notValues", r#"["x"]"#)), "{key}");
    }
}

#[test]
fn conditions_compare_as_envoy_does() {
    let plain = || Request::get("/");
    let web = || plain().peer("cluster.local/ns/shop/sa/web");
    let token = || {
        plain().token(
            r#"{"iss": "https://id.io", "sub": "u", "aud": ["a", "b"], "azp": "p", "e": "", "b": true, "n": 1,
                "scope": "read write", "o": {"i": ["x"]}, "o][i": "y", "k[0]": "z"}"#,
        )
    };
    for (key, values, request, expected) in [
        ("request.headers[X-A]", r#"["v*"]"#, plain().header("x-a", "value"), true),
        ("request.headers[x-a]", r#"["v"]"#, plain().header("x-a", "V"), false),
        ("request.headers[x-a]", r#"["*"]"#, plain().header("x-a", ""), true),
        (
            "request.headers[x-role]",
            r#"["admin"]"#,
            plain().header("x-role", "a").header("x-role", "admin"),
            true,
        ),
        (
            "request.headers[x-role]",
            r#"["admin,a"]"#,
            plain().header("x-role", "admin").header("x-role", "a"),
            false,
        ),
        ("request.headers[x-a]", r#"["v*"]"#, plain().header("x-a", b"v\xff"), true),
        ("request.headers[x_a]", r#"["v"]"#, plain().header("x-a", "v"), false),
        ("request.headers[:method]", r#"["GET"]"#, plain(), true),
        ("request.headers[Host]", r#"["orders.shop"]"#, plain(), true),
        ("request.headers[:path]", r#"["/?q"]"#, Request::get("/?q"), true),
        ("source.ip", r#"["10.0.0.9"]"#, plain(), true),
        ("remote.ip", r#"["10.0.0.9"]"#, plain(), false),
        ("remote.ip", r#"["192.0.2.0/24"]"#, plain(), true),
        ("destination.ip", r#"["10.0.0.1"]"#, plain(), true),
        ("destination.port", r#"["8080"]"#, plain(), true),
        ("source.principal", r#"["*"]"#, web(), true),
        ("source.namespace", r#"["*op"]"#, web(), true),
        ("source.serviceAccount", r#"["web"]"#, web(), true),
        ("source.trustDomain", r#"["cluster.local"]"#, web(), true),
        ("connection.sni", r#"["*.com"]"#, plain().with(Attribute::RequestedServerName, "a.com"), true),
        ("connection.sni", r#"["A.com"]"#, plain().with(Attribute::RequestedServerName, "a.com"), false),
        ("connection.sni", r#"["*"]"#, plain().with(Attribute::RequestedServerName, ""), false),
        ("request.auth.principal", r#"["https://id.io/u"]"#, token(), true),
        ("request.auth.audiences", r#"["b"]"#, token(), true),
        ("request.auth.audiences", r#"["a,b"]"#, token(), false),
        ("request.auth.presenter", r#"["*"]"#, token(), true),
        ("request.auth.claims[e]", r#"["*"]"#, token(), false),
        ("request.auth.claims[b]", r#"["true"]"#, token(), false),
        ("request.auth.claims[n]", r#"["1"]"#, token(), false),
        ("request.auth.claims[scope]", r#"["write"]"#, token(), true),
        ("request.auth.claims[scope]", r#"["read write"]"#, token(), false),
        ("request.auth.claims[o][i]", r#"["x"]"#, token(), true),
        ("request.auth.claims[o][i]", r#"["y"]"#, token(), false),
        ("request.auth.claims[k[0]]", r#"["z"]"#, token(), true),
    ] {
        assert_eq!(request.matches(&when(key, "values", values)), expected, "{key} {values}");
        assert_eq!(request.matches(&when(key, "notValues", values)), !expected, "{key} {values}");
    }
}

#[test]
fn doubt_never_lets_a_request_pass() {
    let plain = || Request::get("/");
    let two_names = || plain().peer("evil/x,spiffe://good/ns/shop/sa/web");
    for (rule, request) in [
        (source("ipBlocks", r#"["10.0.0.0/8"]"#), plain().lacking(Attribute::DirectRemoteIp)),
        (source("notIpBlocks", r#"["10.0.0.0/8"]"#), plain().lacking(Attribute::DirectRemoteIp)),
        (source("remoteIpBlocks", r#"["::1"]"#), plain().with(Attribute::RemoteIp, b"\xff")),
        (
            when("destination.ip", "values", r#"["::1"]"#),
            plain().with(Attribute::DestinationIp, "/run/x.sock"),
        ),
        (operation("ports", r#"["80"]"#), plain().lacking(Attribute::DestinationPort)),
        (operation("notPorts", r#"["80"]"#), plain().with(Attribute::DestinationPort, "http")),
        (operation("paths", r#"["/x", "/a/{**}"]"#), plain().header(":path", b"/a/\xff")),
        (operation("notPaths", r#"["/a/{*}"]"#), plain().header(":path", b"/a/\xff")),
        (source("requestPrincipals", r#"["*"]"#), plain().token("\u{1}")),
        (source("notRequestPrincipals", r#"["*"]"#), plain().token("[]")),
        (
            when("request.auth.claims[a]", "values", r#"["x"]"#),
            plain().with(Attribute::JwtPayload, b"{\"a\": \"\xff\"}"),
        ),
        (source("principals", r#"["good/ns/shop/sa/web"]"#), two_names()),
        (source("notPrincipals", r#"["good/ns/shop/sa/web"]"#), two_names()),
    ] {
        assert_eq!(request.decisions(&rule), (false, false), "{rule}");
    }
}

#[test]
fn trust_domain_aliases_reach_principals_and_trust_domains() {
    let proxy = ProxyContext {
        trust_domain: "new.io".to_owned(),
        trust_domain_aliases: vec!["old.io".to_owned(), "new.io".to_owned()],
        ..orders()
    };
    for (rule, peer, expected) in [
        (source("principals", r#"["cluster.local/ns/a/sa/b"]"#), "new.io/ns/a/sa/b", true),
        (source("principals", r#"["cluster.local/ns/a/sa/b"]"#), "old.io/ns/a/sa/b", true),
        (source("principals", r#"["cluster.local/ns/a/sa/b"]"#), "cluster.local/ns/a/sa/b", false),
        (source("principals", r#"["other.io/ns/a/sa/b"]"#), "new.io/ns/a/sa/b", false),
        (source("trustDomains", r#"["old.io"]"#), "new.io/ns/a/sa/b", true),
        (source("trustDomains", r#"["*.io"]"#), "third.io/ns/a/sa/b", true),
        (when("source.principal", "values", r#"["old.io/ns/a/sa/b"]"#), "new.io/ns/a/sa/b", true),
    ] {
        let (authorizer, problems) = compile(&[policy("p", &format!(r#"{{"rules": [{rule}]}}"#))], &proxy);
        assert!(problems.is_empty(), "{problems}");
        assert_eq!(Request::get("/").peer(peer).passes(&authorizer), expected, "{rule} {peer}");
    }
}
