use super::*;

/// A VirtualService whose one rule carries its name.
fn named(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {{{spec}, http: [{{name: {name}, route: [{{destination: {{host: a.b}}}}]}}]}}\n---\n"
    )
}

fn gateway_resource(servers: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: edge, namespace: shop}}\nspec: {{servers: [{servers}]}}\n---\n"
    )
}

#[test]
fn a_gateway_serves_what_servers_and_virtual_services_have_in_common() {
    let text = gateway_resource(
        "{port: {number: 80, name: a, protocol: HTTP}, hosts: ['*.shop.io', 'exact.org']}, {port: {number: 8080, name: b, protocol: HTTP}, hosts: ['late.org']}, {port: {number: 80, name: c, protocol: TLS}, hosts: ['tls.org']}",
    ) + &named("one", "shop", "hosts: [api.shop.io, other.org, tls.org], gateways: [edge]")
        + &named("two", "shop", "hosts: ['*.org'], gateways: [edge]")
        + &named("unbound", "shop", "hosts: [www.shop.io], gateways: [elsewhere]");
    let table = table_for(&text, &gateway());
    for (host, expected) in [
        ("api.shop.io", "one"),
        ("API.Shop.io:8080", "one"),
        ("other.org", "unknown host"),
        ("exact.org", "two"),
        ("late.org", "unknown host"),
        ("tls.org", "unknown host"),
        ("www.shop.io", "unknown host"),
        ("shop.io", "unknown host"),
        ("api.shop.io.", "unknown host"),
    ] {
        assert_eq!(chosen(&table, &get(&format!("{host}/"))), expected, "{host}");
    }
    let other_port = table_for(&text, &ProxyContext { port: Some(8080), ..gateway() });
    assert_eq!(chosen(&other_port, &get("late.org/")), "two");
    assert_eq!(chosen(&other_port, &get("exact.org/")), "unknown host");
}

#[test]
fn a_server_can_be_for_one_namespace() {
    let text = gateway_resource(
        "{port: {number: 80, name: a, protocol: HTTP}, hosts: ['./own.io', 'other/foreign.io', '*/any.io']}",
    ) + &named("own", "shop", "hosts: [own.io, foreign.io], gateways: [shop/edge]")
        + &named("foreign", "other", "hosts: [own.io, foreign.io, any.io], gateways: [shop/edge]");
    let table = table_for(&text, &gateway());
    assert_eq!(chosen(&table, &get("own.io/")), "own");
    assert_eq!(chosen(&table, &get("foreign.io/")), "foreign");
    assert_eq!(chosen(&table, &get("any.io/")), "foreign");
}

#[test]
fn hosts_meet_as_they_are_written_and_are_served_in_any_case() {
    let text = gateway_resource(
        "{port: {number: 80, name: a, protocol: HTTP}, hosts: [low.io, 'Both.io', '*.Wild.io']}",
    ) + &named("one", "shop", "hosts: [Low.io, 'Both.io', a.wild.io], gateways: [edge]")
        + &named("two", "shop", "hosts: [A.Wild.io], gateways: [edge]");
    let table = table_for(&text, &gateway());
    for (host, expected) in [
        ("low.io", "unknown host"),
        ("Low.io", "unknown host"),
        ("both.io", "one"),
        ("BOTH.io", "one"),
        ("a.wild.io", "two"),
    ] {
        assert_eq!(chosen(&table, &get(&format!("{host}/"))), expected, "{host}");
    }
}

#[test]
fn without_the_gateway_resource_the_hosts_are_taken_as_they_are() {
    let text = named("one", "shop", "hosts: ['*.shop.io', a.org], gateways: [edge]");
    let table = table_for(&text, &gateway());
    assert_eq!(chosen(&table, &get("x.y.shop.io/")), "one");
    assert_eq!(chosen(&table, &get("a.org/")), "one");
    assert_eq!(chosen(&table, &get("b.org/")), "unknown host");
}

#[test]
fn no_request_falls_back_to_a_wider_virtual_host() {
    let wide = named("wide", "shop", "hosts: ['*.a.com'], gateways: [edge]");
    let narrow = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: narrow, namespace: shop}\nspec: {hosts: [x.a.com], gateways: [edge], http: [{name: narrow, match: [{uri: {prefix: /v1}}], route: [{destination: {host: a.b}}]}]}\n";
    let table = table_for(&(wide + narrow), &gateway());
    assert_eq!(chosen(&table, &get("x.a.com/v1")), "narrow");
    assert_eq!(chosen(&table, &get("x.a.com/v2")), "no route");
    assert_eq!(chosen(&table, &get("y.a.com/v2")), "wide");
}

#[test]
fn virtual_services_of_one_domain_are_concatenated_with_catch_alls_last() {
    let rules = |name: &str, created: &str, rules: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: shop, creationTimestamp: '{created}'}}\nspec: {{hosts: [shop.io], gateways: [edge], http: [{rules}]}}\n---\n"
        )
    };
    let rule = |name: &str, matched: &str| {
        format!("{{name: {name}, {matched} route: [{{destination: {{host: a}}}}]}},")
    };
    let young = rules(
        "a",
        "2024-02-02T00:00:00Z",
        &(rule("young", "match: [{uri: {prefix: /x}}],") + &rule("young-all", "")),
    );
    let old = rules(
        "z",
        "2024-01-01T00:00:00Z",
        &(rule("old", "match: [{uri: {exact: /x}}],")
            + &rule("old-all", "match: [{uri: {regex: '.*'}}],")
            + &rule("never", "match: [{uri: {exact: /y}}],")),
    );
    let table = table_for(&(young + &old), &gateway());
    for (path, expected) in [("/x", "old"), ("/xy", "young"), ("/y", "old-all")] {
        assert_eq!(chosen(&table, &get(&format!("shop.io{path}"))), expected, "{path}");
    }
}

#[test]
fn gateways_take_private_virtual_services_first() {
    let text = named("a-public", "shop", "hosts: [shop.io], gateways: [edge]")
        + &named("b-named", "shop", "hosts: [shop.io], gateways: [edge], exportTo: [shop, x]")
        + &named("c-private", "shop", "hosts: [shop.io], gateways: [edge], exportTo: ['.']");
    assert_eq!(chosen(&table_for(&text, &gateway()), &get("shop.io/")), "c-private");
    let hidden = named("hidden", "other", "hosts: [shop.io], gateways: [shop/edge], exportTo: ['.']");
    assert_eq!(chosen(&table_for(&hidden, &gateway()), &get("shop.io/")), "unknown host");
}

#[test]
fn a_sidecar_takes_the_oldest_virtual_service_whole() {
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec: {hosts: [reviews], http: [{name: a, match: [{uri: {prefix: /a}}], route: [{destination: {host: reviews}}]}]}\n---\n".to_owned()
        + &named("b", "shop", "hosts: [reviews]")
        + &named("edge-only", "shop", "hosts: [ratings], gateways: [edge]");
    let table = table_for(&text, &sidecar());
    assert_eq!(chosen(&table, &get("reviews/a")), "a");
    assert_eq!(chosen(&table, &get("reviews/b")), "no route");
    assert_eq!(chosen(&table, &get("ratings/")), "unmanaged");
}

#[test]
fn a_service_is_known_by_all_its_names() {
    let text = named("a", "shop", "hosts: [reviews]");
    for (host, expected) in [
        ("reviews.shop.svc.cluster.local", "a"),
        ("reviews.shop.svc.cluster.local.:8080", "a"),
        ("reviews.shop.svc", "a"),
        ("reviews.shop", "a"),
        ("reviews:9080", "a"),
        ("reviews.other", "unmanaged"),
    ] {
        assert_eq!(chosen(&table_for(&text, &sidecar()), &get(&format!("{host}/"))), expected, "{host}");
    }
    let elsewhere = ProxyContext { namespace: "other".to_owned(), ..sidecar() };
    assert_eq!(chosen(&table_for(&text, &elsewhere), &get("reviews/")), "unmanaged");
    assert_eq!(chosen(&table_for(&text, &elsewhere), &get("reviews.shop/")), "a");
}

#[test]
fn a_service_follows_the_most_specific_host() {
    let text = named("wide", "shop", "hosts: ['*.shop.svc.cluster.local']")
        + &named("exact", "shop", "hosts: [reviews]")
        + "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: s, namespace: shop}\nspec: {hosts: [reviews.shop.svc.cluster.local, ratings.shop.svc.cluster.local], ports: [{number: 80, name: http, protocol: HTTP}]}\n";
    let table = table_for(&text, &sidecar());
    assert_eq!(chosen(&table, &get("reviews/")), "exact");
    assert_eq!(chosen(&table, &get("ratings/")), "wide");
    assert_eq!(chosen(&table, &get("ratings.shop.svc.cluster.local/")), "wide");
}

#[test]
fn a_sidecar_without_any_rule_for_it_leaves_the_service_alone() {
    let text = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec: {hosts: [reviews], http: [{match: [{port: 9080}], route: [{destination: {host: reviews}}]}]}\n";
    assert_eq!(chosen(&table_for(text, &sidecar()), &get("reviews/")), "unmanaged");
    let tcp = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a, namespace: shop}\nspec: {hosts: [reviews], tcp: [{route: [{destination: {host: reviews}}]}]}\n";
    assert_eq!(chosen(&table_for(tcp, &sidecar()), &get("reviews/")), "unmanaged");
}

#[test]
fn addresses_can_be_hosts() {
    let text = named("v6", "shop", "hosts: ['2001:db8::1', 10.0.0.1], gateways: [edge]");
    let table = table_for(&text, &gateway());
    assert_eq!(chosen(&table, &get("[2001:db8::1]:8080/")), "v6");
    assert_eq!(chosen(&table, &get("10.0.0.1:80/")), "v6");
}
