use super::*;
use crate::service::services;
use crate::source::Sources;

fn rule(namespace: &str, name: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

/// The names of the subsets that a caller in `client` sees of the service `a.shop.svc.cluster.local`.
fn subsets(rules: &[String], client: &str) -> Vec<String> {
    let service = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: a, namespace: shop}\n\
                   spec: {hosts: [a.shop.svc.cluster.local]}\n";
    let sources = Sources::from_text("f.yaml", &format!("{service}{}", rules.concat()));
    assert_eq!(sources.findings(), []);
    let services = services(sources.resources());
    let labels = BTreeMap::from([("app".to_owned(), "edge".to_owned())]);
    let caller = Caller {
        namespace: client,
        labels: &labels,
        locality: &Locality::default(),
        root_namespace: "root",
        identity: None,
        is_sidecar: false,
    };
    let applied = applied(sources.resources(), caller, &services[0]);
    applied.subsets().iter().map(|(subset, _)| subset.name.clone().unwrap()).collect()
}

#[test]
fn the_caller_s_namespace_decides_before_the_service_s_and_that_before_the_root() {
    let own = rule("client", "own", "{host: '*.shop.svc.cluster.local', subsets: [{name: own}]}");
    let service = rule("shop", "service", "{host: a, subsets: [{name: service}]}");
    let root = rule("root", "root", "{host: a.shop.svc.cluster.local, subsets: [{name: root}]}");
    assert_eq!(subsets(&[root.clone(), service.clone(), own], "client"), ["own"]);
    assert_eq!(subsets(&[root.clone(), service.clone()], "client"), ["service"]);
    assert_eq!(subsets(std::slice::from_ref(&root), "client"), ["root"]);
    assert_eq!(subsets(&[root, service.clone()], "root"), ["service"]);
    let private = rule(
        "root",
        "private",
        "{host: a.shop.svc.cluster.local, exportTo: [.], subsets: [{name: private}]}",
    );
    assert_eq!(subsets(&[private, service], "root"), ["private"]);
}

#[test]
fn a_rule_that_is_not_exported_does_not_count() {
    let service = rule("shop", "service", "{host: a, exportTo: [.], subsets: [{name: service}]}");
    assert_eq!(subsets(std::slice::from_ref(&service), "client"), [""; 0]);
    assert_eq!(subsets(&[service], "shop"), ["service"]);
}

#[test]
fn the_most_specific_host_wins_and_nothing_is_inherited() {
    let wide = rule("shop", "wide", "{host: '*.svc.cluster.local', subsets: [{name: wide}]}");
    let exact = rule("shop", "exact", "{host: a, subsets: [{name: exact}]}");
    assert_eq!(subsets(&[wide, exact], "client"), ["exact"]);
}

#[test]
fn rules_for_one_host_are_merged_and_the_first_definition_wins() {
    let first = rule("shop", "a", "{host: a, subsets: [{name: v1}, {name: v2}]}");
    let second = rule("shop", "b", "{host: a.shop.svc.cluster.local, subsets: [{name: v2}, {name: v3}]}");
    assert_eq!(subsets(&[second, first], "client"), ["v1", "v2", "v3"]);
}

#[test]
fn a_rule_for_these_callers_counts_before_one_for_all() {
    let all = rule("client", "a", "{host: a.shop.svc.cluster.local, subsets: [{name: all}]}");
    let mine = rule(
        "client",
        "b",
        "{host: a.shop.svc.cluster.local, workloadSelector: {matchLabels: {app: edge}}, subsets: [{name: mine}]}",
    );
    let other = mine.replace("app: edge", "app: other");
    let foreign = mine.replace("namespace: client", "namespace: shop");
    assert_eq!(subsets(&[all.clone(), mine], "client"), ["mine"]);
    assert_eq!(subsets(&[all.clone(), other], "client"), ["all"]);
    assert_eq!(subsets(&[foreign], "client"), [""; 0]);
}

/// Which blocks hold for port 80: the simple algorithm, the connections, whether outliers are detected.
fn blocks(spec: &str) -> (Option<&'static str>, Option<i32>, bool) {
    let text = format!(
        "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: a}}\nspec: {spec}\n"
    );
    let sources = Sources::from_text("f.yaml", &text);
    assert_eq!(sources.findings(), []);
    let resource = &sources.resources()[0];
    let Spec::DestinationRule(rule) = &resource.spec else { panic!("{resource}") };
    let applied = Applied { rules: vec![(resource, rule)] };
    let subsets = applied.subsets();
    let policy = effective(applied.traffic_policy().as_ref(), subsets.first(), 80);
    (
        policy.load_balancer.and_then(|(lb, _)| lb.simple).map(|simple| simple.name()),
        policy.connection_pool.and_then(|(pool, _)| pool.tcp.as_ref()?.max_connections),
        policy.outlier_detection.is_some(),
    )
}

#[test]
fn blocks_are_replaced_whole_and_port_settings_reset_the_rest() {
    let top =
        "loadBalancer: {simple: RANDOM}, connectionPool: {tcp: {maxConnections: 1}}, outlierDetection: {}";
    let port = |settings: &str| format!("portLevelSettings: [{{port: {{number: 80}}, {settings}}}]");
    let round_robin = "loadBalancer: {simple: ROUND_ROBIN}";
    for (spec, expected) in [
        (format!("{{host: a, trafficPolicy: {{{top}}}}}"), (Some("RANDOM"), Some(1), true)),
        (
            format!("{{host: a, trafficPolicy: {{{top}, {}}}}}", port(round_robin)),
            (Some("ROUND_ROBIN"), None, false),
        ),
        (
            format!(
                "{{host: a, trafficPolicy: {{{top}}}, subsets: [{{name: v, trafficPolicy: {{{round_robin}}}}}]}}"
            ),
            (Some("ROUND_ROBIN"), Some(1), true),
        ),
        (
            format!(
                "{{host: a, trafficPolicy: {{{top}}}, subsets: [{{name: v, trafficPolicy: {{{}}}}}]}}",
                port("outlierDetection: {}")
            ),
            (None, None, true),
        ),
        (
            format!(
                "{{host: a, trafficPolicy: {{{top}}}, subsets: [{{name: v, trafficPolicy: {{connectionPool: {{http: {{}}}}}}}}]}}"
            ),
            (Some("RANDOM"), None, true),
        ),
        (
            format!(
                "{{host: a, trafficPolicy: {{{top}, {}}}}}",
                port(round_robin).replace("number: 80", "number: 81")
            ),
            (Some("RANDOM"), Some(1), true),
        ),
    ] {
        assert_eq!(blocks(&spec), expected, "{spec}");
    }
}
