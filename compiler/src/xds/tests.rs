use super::*;
use crate::options::{Options, ProxyChoice};
use crate::source::Sources;

const GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {istio: ingressgateway}
  servers:
  - {port: {number: 80, name: http, protocol: HTTP}, hosts: [a.com]}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: a}
spec:
  hosts: [a.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1}]
";

const SECOND_SERVICE: &str = "
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: b}
spec:
  hosts: [b.default.svc.cluster.local]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}]
  endpoints: [{address: 127.0.0.1}]
";

fn route(host: &str, more: &str) -> String {
    format!(
        "apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: a}}
spec:
  hosts: [a.com]
  gateways: [edge]
  http:
  - route: [{{destination: {{host: {host}}}}}]
{more}"
    )
}

fn generation(documents: &[&str]) -> Dynamic {
    let sources = Sources::from_text("mesh.yaml", &documents.join("\n---\n"));
    let labels = [("istio".to_owned(), "ingressgateway".to_owned())].into();
    let choice = ProxyChoice::Gateway(labels);
    let compiled = crate::compile(&sources, &choice, &Options::default()).unwrap();
    dynamic(&compiled.bootstrap, Path::new("/etc/mesh"))
}

fn written(steps: &[Step]) -> Vec<Vec<&str>> {
    let kind = |name: &String| match name.split('/').next() {
        Some("filters") => "filter",
        Some("routes") => "routes",
        _ if name == CLUSTERS => "clusters",
        _ => "listeners",
    };
    steps.iter().map(|step| step.files.keys().map(kind).collect()).collect()
}

#[test]
fn listeners_clusters_routes_and_wasm_filters_stand_in_files() {
    let proxy = generation(&[GATEWAY, &route("a", "")]);
    let names: Vec<&str> = proxy.files.keys().map(|name| name.split("0.0.0.0_80").next().unwrap()).collect();
    assert_eq!(names, ["clusters.json", "filters/mesh_policy.", "listeners.json", "routes/"]);
    let path = "/dynamic_resources/lds_config/path_config_source/path";
    assert_eq!(proxy.bootstrap.pointer(path), Some(&json!("/etc/mesh/listeners.json")));
    assert_eq!(proxy.bootstrap.pointer("/static_resources/listeners"), Some(&Value::Null));
    let filter = proxy.files.values().find(|f| f.subscription.starts_with("extension_config")).unwrap();
    let configuration = filter.resources[0].pointer("/typed_config/config/configuration/value");
    assert!(configuration.and_then(Value::as_str).unwrap().contains("VirtualService"));
    let listener = &proxy.files[LISTENERS].resources[0];
    assert!(!listener.to_string().contains("VirtualService"), "{listener}");
}

#[test]
fn an_edit_of_policy_is_one_new_filter_configuration() {
    let from = generation(&[GATEWAY, &route("a", "")]);
    let to = generation(&[GATEWAY, &route("a", "    timeout: 2s\n")]);
    let steps = steps(&from, &to);
    assert_eq!(written(&steps), [["filter"]]);
    assert_eq!(steps[0].watched.len(), 1);
    assert_eq!(unused(&from, &to).count(), 0);
}

#[test]
fn a_cluster_comes_before_the_rule_that_needs_it_and_goes_after_it() {
    let from = generation(&[GATEWAY, &route("a", "")]);
    let to = generation(&[GATEWAY, SECOND_SERVICE, &route("b", "")]);
    assert_eq!(written(&steps(&from, &to)), [["clusters"], ["filter"]]);
    assert_eq!(written(&steps(&to, &from)), [["filter"], ["clusters"]]);
}

#[test]
fn clusters_can_be_kept_for_requests_on_their_way() {
    let from = generation(&[GATEWAY, SECOND_SERVICE, &route("b", "")]);
    let to = generation(&[GATEWAY, &route("a", "")]);
    let kept = keeping(&from, &to);
    assert_eq!(written(&steps(&from, &kept)), [["filter"]]);
    assert_eq!(written(&steps(&kept, &to)), [["clusters"]]);
}

#[test]
fn a_rule_finds_its_route_whichever_of_both_tables_it_is_from() {
    let from = generation(&[GATEWAY, &route("a", "    retries: {attempts: 1, backoff: 10ms}\n")]);
    let to = generation(&[GATEWAY, &route("a", "    retries: {attempts: 1, backoff: 20ms}\n")]);
    let steps = steps(&from, &to);
    assert_eq!(written(&steps), [["routes"], ["filter"], ["routes"]]);
    let count = |step: &Step| {
        let table = &step.files.values().next().unwrap().resources[0];
        table.pointer(ALL_ROUTES).and_then(Value::as_array).unwrap().len()
    };
    assert_eq!((count(&steps[0]), count(&steps[2])), (3, 2));
}

#[test]
fn a_listener_of_another_shape_has_routes_and_filters_of_its_own() {
    let from = generation(&[GATEWAY, &route("a", "")]);
    let mut edited =
        crate::Options { path_normalization: crate::PathNormalization::MergeSlashes, ..Options::default() };
    edited.ports.insert(80, 8080);
    let sources =
        Sources::from_text("mesh.yaml", &[GATEWAY, &route("a", "    timeout: 2s\n")].join("\n---\n"));
    let choice = ProxyChoice::Gateway([("istio".to_owned(), "ingressgateway".to_owned())].into());
    let compiled = crate::compile(&sources, &choice, &edited).unwrap();
    let to = dynamic(&compiled.bootstrap, Path::new("/etc/mesh"));
    let steps = steps(&from, &to);
    assert_eq!(written(&steps), [["routes"], ["filter"], ["listeners"]]);
    // Nothing asks for the new files before the listener does.
    assert_eq!(steps.iter().map(|step| step.watched.len()).collect::<Vec<_>>(), [0, 0, 1]);
    assert_eq!(unused(&from, &to).count(), 2);
}

#[test]
fn a_table_that_envoy_decides_by_is_replaced_at_once() {
    let table = |routes: Value| File {
        subscription: "http.a.rds.a".to_owned(),
        resources: vec![
            json!({"name": "a", "virtual_hosts": [{"name": "a", "domains": ["*"], "routes": routes}]}),
        ],
    };
    let of = |routes: Value| Dynamic {
        bootstrap: json!({}),
        files: [("routes/a.json".to_owned(), table(routes))].into(),
    };
    let (from, to) = (of(json!([{"name": "1", "match": {"prefix": "/"}}])), of(json!([{"name": "2"}])));
    let steps = steps(&from, &to);
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].files, to.files);
}

#[test]
fn a_name_becomes_a_file_name_of_its_own() {
    assert_eq!(file_name("mesh_policy.::_80"), "mesh_policy.%3A%3A_80");
    assert_ne!(file_name("a/b"), file_name("a_b"));
}
