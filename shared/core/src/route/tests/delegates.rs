use super::*;

fn delegate(namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: part, namespace: {namespace}}}\nspec: {{{spec}}}\n---\n"
    )
}

const ROOT: &str = "http: [{name: root, match: [{name: r, uri: {prefix: /a}, headers: {x: {exact: '1'}}}], timeout: 1s, headers: {request: {set: {x: root}}}, delegate: {name: part, namespace: team}}, {name: rest, redirect: {uri: /}}]";

#[test]
fn a_delegates_rules_stand_in_for_its_roots() {
    let text = virtual_service(ROOT)
        + &delegate(
            "team",
            "http: [{name: one, match: [{name: d, uri: {prefix: /a/b}, method: {exact: GET}}], route: [{destination: {host: svc}}]}, {match: [{uri: {prefix: /elsewhere}}], route: [{destination: {host: lost}}]}, {name: two, timeout: 2s, headers: {}, route: [{destination: {host: other}}]}]",
        );
    let table = table_for(&text, &gateway());
    let sent = |path: &str| Sent::new(&format!("GET http://shop.io{path}"), &[("x", "1")]);
    assert_eq!(chosen(&table, &sent("/a/b")), "root-one.r-d");
    assert_eq!(
        forward_edits(&table, &sent("/a/b")),
        [
            "x-mesh-policy-cluster=outbound|80||svc.team.svc.cluster.local",
            "x-envoy-upstream-rq-timeout-ms=1000"
        ]
    );
    assert_eq!(chosen(&table, &sent("/a/c")), "root-two.r");
    assert_eq!(
        forward_edits(&table, &sent("/a/c")),
        [
            "x-mesh-policy-cluster=outbound|80||other.team.svc.cluster.local",
            "x-envoy-upstream-rq-timeout-ms=2000"
        ]
    );
    assert_eq!(chosen(&table, &get("shop.io/a/b")), "rest");
    assert_eq!(chosen(&table, &sent("/elsewhere")), "rest");
    sent("/a/b").view(|request| {
        let Selection::Route(route) = table.select(request, &mut ()) else { panic!() };
        assert_eq!(
            route.rule().to_string(),
            "VirtualService shop/web http[0].match[0], VirtualService team/part http[0].match[0]"
        );
        let mut edits = Vec::new();
        route.choose(&mut SplitMix64::new(1)).request_edits(request, &mut edits);
        assert_eq!(show(&edits), ["x=root"]);
    });
}

#[test]
fn a_match_of_a_delegate_must_stay_inside_its_roots() {
    for (root, own, is_kept) in [
        ("uri: {prefix: /a}", "uri: {prefix: /ab}", true),
        ("uri: {prefix: /a}", "uri: {exact: /ab}", true),
        ("uri: {prefix: /a}", "uri: {exact: /b}", false),
        ("uri: {prefix: /a}", "uri: {regex: '/a.*'}", false),
        ("uri: {regex: '/a.*'}", "uri: {exact: /ab}", false),
        ("uri: {regex: '/a.*'}", "method: {exact: GET}", true),
        ("uri: {exact: /ab}", "uri: {exact: /ab}", true),
        ("uri: {exact: /ab}", "uri: {prefix: /a}", false),
        ("headers: {x: {}}", "headers: {x: {exact: a}}", false),
        ("headers: {x: {exact: a}}", "headers: {x: {}}", false),
        ("headers: {x: {exact: a}}", "headers: {y: {exact: a}}", true),
        ("withoutHeaders: {x: null}", "withoutHeaders: {x: {exact: a}}", false),
        ("queryParams: {x: {exact: a}}", "queryParams: {x: {exact: b}}", false),
        ("ignoreUriCase: true", "uri: {prefix: /a}", false),
        ("port: 80", "port: 81", false),
        ("port: 80", "uri: {prefix: /a}", true),
        ("sourceNamespace: shop", "uri: {prefix: /a}", false),
        ("sourceNamespace: shop", "sourceNamespace: shop", true),
        ("sourceLabels: {a: b}", "sourceLabels: {a: c}", false),
        ("gateways: [edge]", "gateways: [shop/edge]", true),
        ("gateways: [edge]", "gateways: [shop/edge, mesh]", false),
    ] {
        let text = virtual_service(&format!(
            "http: [{{match: [{{{root}}}], delegate: {{name: part, namespace: team}}}}]"
        )) + &delegate("team", &format!("http: [{{match: [{{{own}}}], redirect: {{uri: /}}}}]"));
        assert_eq!(table_for(&text, &gateway()).routes.len(), usize::from(is_kept), "{root} | {own}");
    }
}

#[test]
fn what_is_wrong_with_a_delegation_is_said() {
    let root =
        |delegate: &str| virtual_service(&format!("http: [{{match: [{{uri: {{exact: /a}}}}], {delegate}}}]"));
    let fine = "http: [{redirect: {uri: /}}]";
    for (text, expected) in [
        (
            root("delegate: {}"),
            "spec.http[0].delegate.name: missing: expected the name of a VirtualService without `hosts`",
        ),
        (
            root("delegate: {name: part}"),
            "spec.http[0].delegate: expected a VirtualService without `hosts`, found no such `shop/part`",
        ),
        (
            root("delegate: {name: part, namespace: team}")
                + &delegate("team", &format!("exportTo: ['.'], {fine}")),
            "spec.http[0].delegate: the VirtualService `team/part` is not exported to the namespace `shop`",
        ),
        (
            root("delegate: {name: part}, redirect: {uri: /}") + &delegate("shop", fine),
            "spec.http[0]: `delegate` and `redirect` exclude each other",
        ),
        (
            delegate("shop", "http: [{delegate: {name: x}}]"),
            "spec.http[0].delegate: a VirtualService without `hosts` is a delegate and cannot delegate any further",
        ),
        (
            root("delegate: {name: part}") + &delegate("shop", "http: [{redirect: {prefixRewrite: /}}]"),
            "spec.http[0].delegate: together with `http[0]` of `shop/part`: expected a `prefix`, as `redirect.prefixRewrite` replaces the matched prefix",
        ),
        (
            root("delegate: {name: part}") + &delegate("shop", "http: [{timeout: 0s, redirect: {uri: /}}]"),
            "spec.http[0].timeout: expected a duration of whole milliseconds, at least `1ms`, found `0s`",
        ),
    ] {
        let problems = compile(&text, &gateway()).1;
        let errors: Vec<_> = problems.iter().filter(|text| !text.contains("has no effect")).collect();
        assert_eq!(errors, [expected], "{text}");
    }
}
