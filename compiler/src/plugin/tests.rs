use super::*;
use serde_json::json;
use std::collections::BTreeMap;

const SHOP: &str = include_str!("../compile/tests/shop.yaml");

fn gateway() -> ProxyChoice {
    ProxyChoice::Gateway(BTreeMap::from([("istio".to_owned(), "ingressgateway".to_owned())]))
}

fn names(config: &Value) -> Vec<String> {
    let items = config["items"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap_or("default").to_owned();
    items
        .iter()
        .map(|item| {
            format!(
                "{} {}/{}",
                text(&item["kind"]),
                text(&item["metadata"]["namespace"]),
                text(&item["metadata"]["name"])
            )
        })
        .collect()
}

const MORE: &str = "\
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: inner, namespace: shop}
spec: {hosts: [orders], http: [{route: [{destination: {host: orders}}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: hidden, namespace: shop}
spec: {hosts: [h.shop.io], gateways: [istio-system/edge], exportTo: [.], http: [{route: [{destination: {host: orders}}]}]}
---
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {name: web, namespace: shop, labels: {app: web}}
spec: {address: 10.0.0.1, serviceAccount: web}
";

#[test]
fn a_gateway_is_told_its_servers_routes_and_services() {
    let sources = Sources::from_text("shop.yaml", &format!("{SHOP}{MORE}"));
    let config = plugin_config(&sources, &gateway(), None, &Options::default()).unwrap();
    assert_eq!(
        names(&config),
        [
            "Gateway istio-system/edge",
            "VirtualService shop/shop",
            "ServiceEntry shop/orders",
            "ServiceEntry shop/customers"
        ]
    );
    assert_eq!(
        config["workload"],
        json!({"namespace": "istio-system", "labels": {"istio": "ingressgateway"}, "gateways": ["istio-system/edge"],
               "port": 80, "trustDomain": "cluster.local", "rootNamespace": "istio-system"})
    );
    let read = mesh_policy_istio::workload::PluginConfig::from_json(config.to_string().as_bytes()).unwrap();
    assert_eq!(read.resources.len(), 4);
}

#[test]
fn a_sidecar_is_told_what_is_bound_to_the_mesh() {
    let sources = Sources::from_text("shop.yaml", &format!("{SHOP}{MORE}"));
    let choice = ProxyChoice::Workload(WorkloadChoice {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        ..WorkloadChoice::default()
    });
    let config = plugin_config(&sources, &choice, None, &Options::default()).unwrap();
    assert_eq!(names(&config), ["ServiceEntry shop/orders", "VirtualService shop/inner"]);
    assert_eq!(
        config["workload"],
        json!({"namespace": "shop", "labels": {"app": "web"}, "serviceAccount": "web", "gateways": ["mesh"],
               "trustDomain": "cluster.local", "rootNamespace": "istio-system"})
    );
}

#[test]
fn each_listener_is_told_only_its_own_servers() {
    let two = SHOP.replace(
        "  - hosts: [\"*.shop.io\",",
        "  - port: {number: 81, name: more, protocol: HTTP}\n    hosts: [more.io]\n  - hosts: [\"*.shop.io\",",
    );
    let sources = Sources::from_text("shop.yaml", &two);
    let listeners = enforced(&sources, &gateway(), &Options::default()).unwrap();
    let hosts: Vec<(&str, Option<u16>, &Value)> = listeners
        .iter()
        .map(|l| (l.name.as_str(), l.port, l.plugin_config.pointer("/items/0/spec/servers").unwrap()))
        .collect();
    assert_eq!(hosts.len(), 2);
    assert_eq!(
        hosts[0],
        (
            "0.0.0.0_80",
            Some(80),
            &json!([{"hosts": ["*.shop.io", "shop/admin.shop.io"],
        "port": {"number": 80, "name": "http", "protocol": "HTTP"}}])
        )
    );
    assert_eq!(
        hosts[1],
        (
            "0.0.0.0_81",
            Some(81),
            &json!([{"hosts": ["more.io"],
        "port": {"number": 81, "name": "more", "protocol": "HTTP"}}])
        )
    );
    let all = plugin_config(&sources, &gateway(), None, &Options::default()).unwrap();
    assert_eq!(all["workload"].get("port"), None);
    assert_eq!(all.pointer("/items/0/spec/servers").and_then(Value::as_array).map(Vec::len), Some(2));
}

#[test]
fn resources_with_errors_configure_nothing() {
    let sources = Sources::from_text("shop.yaml", &SHOP.replace("host: orders", "hosst: orders"));
    let refusal = plugin_config(&sources, &gateway(), None, &Options::default()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "shop.yaml:20:21: error[unknown-field]: VirtualService shop/shop: spec.http[0].route[0].destination.hosst: \
         unknown field (did you mean `host`?)"
    );
}

#[test]
fn policies_of_the_own_and_of_the_root_namespace_matter_unless_they_select_others() {
    let policy = |namespace: &str, name: &str, spec: &str| {
        format!(
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
        )
    };
    let edge = "{selector: {matchLabels: {istio: ingressgateway}}, action: DENY, rules: [{}]}";
    let other = "{selector: {matchLabels: {app: other}}, action: DENY, rules: [{}]}";
    let text = [
        SHOP.to_owned(),
        policy("edges", "own", edge),
        policy("edges", "others", other),
        policy("istio-system", "everywhere", "{}"),
        policy("shop", "foreign", "{}"),
    ];
    let sources = Sources::from_text("shop.yaml", &text.concat());
    let options = Options { gateway_namespace: "edges".to_owned(), ..Options::default() };
    let config = plugin_config(&sources, &gateway(), None, &options).unwrap();
    let policies: Vec<String> = names(&config).into_iter().filter(|name| name.starts_with("Auth")).collect();
    assert_eq!(policies, ["AuthorizationPolicy edges/own", "AuthorizationPolicy istio-system/everywhere"]);
}

#[test]
fn denials_are_explained_to_clients_only_when_asked() {
    let sources = Sources::from_text("shop.yaml", SHOP);
    let workload =
        WorkloadChoice { namespace: "shop".to_owned(), name: "web".to_owned(), ..WorkloadChoice::default() };
    for choice in [gateway(), ProxyChoice::Workload(workload)] {
        let config = plugin_config(&sources, &choice, None, &Options::default()).unwrap();
        assert_eq!(config.get("authz"), None);
        let options = Options { explain_denials: true, ..Options::default() };
        let config = plugin_config(&sources, &choice, None, &options).unwrap();
        assert_eq!(config["authz"], json!({"explainDenials": true}));
    }
}
