use super::*;

/// The routes of a root's rule that delegates to rules of the namespace `team`.
fn delegated(root: &str, rules: &str) -> Vec<Value> {
    let delegate = format!(
        "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: part, namespace: team}}\n\
         spec: {{http: {rules}}}\n"
    );
    let http = format!(
        "[{{delegate: {{name: part, namespace: team}}, {root}}}, {{name: end, route: [{{destination: {{host: api}}}}]}}]"
    );
    let hosts = virtual_hosts(&format!("{GATEWAY}{}{delegate}", virtual_service("root", "[a.io]", &http)));
    let mut routes = hosts[0]["routes"].as_array().unwrap().clone();
    assert_eq!(routes.pop().unwrap()["name"], "end");
    routes
}

#[test]
fn a_delegates_rules_stand_in_place_of_the_roots() {
    let found = delegated(
        "name: root, match: [{name: m, uri: {prefix: /team}, headers: {x-a: {exact: a}}}], timeout: 1s, headers: {request: {set: {x: root}}}",
        "[{name: one, match: [{name: n, uri: {prefix: /team/one}, headers: {x-b: {}}}], timeout: 2s, route: [{destination: {host: api}}]}, \
         {name: two, route: [{destination: {host: api}}]}]",
    );
    let names: Vec<&Value> = found.iter().map(|route| &route["name"]).collect();
    assert_eq!(names, ["root-one.m-n", "root-two.m"]);
    assert_eq!(
        found[0]["match"],
        json!({"prefix": "/team/one", "headers": [
            {"name": "x-a", "string_match": {"exact": "a"}},
            {"name": "x-b", "present_match": true},
        ]})
    );
    assert_eq!(found[1]["match"]["prefix"], "/team");
    // Short names are those of the delegate's namespace.
    assert_eq!(found[0]["route"]["cluster"], "outbound|8081||api.team.svc.cluster.local");
    assert_eq!((&found[0]["route"]["timeout"], &found[1]["route"]["timeout"]), (&json!("2s"), &json!("1s")));
    assert_eq!(found[1]["request_headers_to_add"][0]["header"]["value"], "root");
}

#[test]
fn a_rule_that_contradicts_the_root_is_dropped() {
    let to = "route: [{destination: {host: api}}]";
    let kept = |root: &str, delegate: &str| {
        !delegated(&format!("match: [{root}]"), &format!("[{{match: [{delegate}], {to}}}]")).is_empty()
    };
    for (root, delegate, agrees) in [
        ("{uri: {prefix: /a}}", "{uri: {prefix: /a/b}}", true),
        ("{uri: {prefix: /a}}", "{uri: {exact: /a}}", true),
        ("{uri: {prefix: /a}}", "{uri: {exact: /b}}", false),
        ("{uri: {exact: /a}}", "{uri: {exact: /a}}", true),
        ("{uri: {exact: /a}}", "{uri: {prefix: /a}}", false),
        ("{uri: {regex: /a}}", "{uri: {regex: /a}}", false),
        ("{uri: {prefix: /a}}", "{uri: {regex: /a.*}}", false),
        ("{headers: {x: {}}}", "{headers: {x: {exact: a}}}", false),
        ("{headers: {x: {exact: a}}}", "{headers: {y: {exact: b}}}", true),
        ("{withoutHeaders: {x: null}}", "{withoutHeaders: {x: {exact: a}}}", true),
        ("{uri: {prefix: /a}, ignoreUriCase: true}", "{uri: {prefix: /a/b}}", false),
        ("{port: 8081}", "{port: 8081, uri: {prefix: /a}}", true),
        ("{port: 8081}", "{port: 8082}", false),
        ("{sourceNamespace: istio-system}", "{uri: {prefix: /a}}", false),
        ("{sourceLabels: {istio: ingressgateway}}", "{sourceLabels: {istio: x}}", false),
    ] {
        assert_eq!(kept(root, delegate), agrees, "{root} {delegate}");
    }
}

#[test]
fn a_delegate_that_is_not_there_takes_its_rule_away() {
    let http = "[{delegate: {name: missing}}, {name: end, route: [{destination: {host: api}}]}]";
    let hosts = virtual_hosts(&format!("{GATEWAY}{}", virtual_service("root", "[a.io]", http)));
    assert_eq!(names(&hosts), [("a.io:8081".to_owned(), vec!["end".to_owned()])]);
}
