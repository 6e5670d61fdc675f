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

#[test]
fn certificates_are_files_of_their_own_that_come_first_and_can_be_held() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("tls.crt", "certificate"), ("tls.key", "key"), ("ca.crt", "ca")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let file = |name: &str| json!({"filename": folder.path().join(name)});
    let context = json!({"common_tls_context": {
        "tls_certificates": [{"certificate_chain": file("tls.crt"), "private_key": file("tls.key")}],
        "validation_context": {"trusted_ca": file("ca.crt"), "match_typed_subject_alt_names": ["a"]},
    }});
    let socket = json!({"typed_config": context});
    let bootstrap = json!({"static_resources": {
        "clusters": [{"name": "a", "transport_socket_matches": [{"transport_socket": socket}]}],
        "listeners": [{"name": "b", "filter_chains": [{"transport_socket": socket}]}],
    }});
    assert_eq!(named(&bootstrap).len(), 6);
    let mut dynamic = dynamic(&bootstrap, Path::new("/etc/mesh"));
    let secrets: Vec<String> =
        dynamic.files.keys().filter(|name| name.starts_with(SECRETS)).cloned().collect();
    assert_eq!(secrets.len(), 2, "shared by cluster and listener: {secrets:?}");
    let divided = dynamic.files[CLUSTERS].resources[0]
        .pointer("/transport_socket_matches/0/transport_socket/typed_config/common_tls_context")
        .unwrap();
    let source = |pointer: &str| divided.pointer(pointer).and_then(Value::as_str).unwrap().to_owned();
    assert!(source("/tls_certificate_sds_secret_configs/0/name").contains("tls.crt-"));
    assert!(
        source("/combined_validation_context/validation_context_sds_secret_config/name").contains("ca.crt-")
    );
    assert_eq!(
        divided.pointer("/combined_validation_context/default_validation_context"),
        Some(&json!({"match_typed_subject_alt_names": ["a"]}))
    );
    let nothing = Dynamic { bootstrap: json!({}), files: BTreeMap::new() };
    assert_eq!(steps(&nothing, &dynamic)[0].files.keys().cloned().collect::<Vec<_>>(), secrets);

    let of = |dynamic: &Dynamic, name: &str| dynamic.files[name].resources[0].clone();
    let pair = secrets.iter().find(|name| name.contains("tls.crt")).unwrap();
    assert_eq!(
        of(&dynamic, pair).pointer("/tls_certificate/watched_directory/path"),
        Some(&json!(folder.path()))
    );
    dynamic.hold_secrets().unwrap();
    assert_eq!(
        of(&dynamic, pair)["tls_certificate"],
        json!({"certificate_chain": {"inline_string": "certificate"}, "private_key": {"inline_string": "key"}})
    );
    std::fs::remove_file(folder.path().join("ca.crt")).unwrap();
    let mut gone = super::dynamic(&bootstrap, Path::new("/etc/mesh"));
    let error = gone.hold_secrets().unwrap_err();
    assert!(error.contains("ca.crt` cannot be read: "), "{error}");
}

/// The filter in front of ext_authz and the one behind it are two files: a rule that moves from one to the other must not be in
/// neither of them for a moment.
#[test]
fn a_policy_that_becomes_custom_makes_another_listener() {
    let policy = |name: &str, spec: &str| {
        format!(
            "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: istio-system}}\nspec: {spec}"
        )
    };
    let rules = |path: &str| format!("rules: [{{to: [{{operation: {{paths: [{path}]}}}}]}}]");
    let ask =
        |path: &str| policy("ask", &format!("{{action: CUSTOM, provider: {{name: opa}}, {}}}", rules(path)));
    let deny = |path: &str| policy("deny", &format!("{{action: DENY, {}}}", rules(path)));
    let all = |policies: &[String]| {
        let documents: Vec<&str> = policies.iter().map(String::as_str).chain([GATEWAY]).collect();
        generation(&documents)
    };
    let listeners = |proxy: &Dynamic| proxy.files[LISTENERS].resources.clone();
    let before = all(&[ask("/a"), deny("/b")]);
    assert_eq!(before.files.keys().filter(|name| name.starts_with("filters/")).count(), 2);
    assert_ne!(listeners(&before), listeners(&all(&[ask("/b")])));
    assert_ne!(listeners(&before), listeners(&all(&[deny("/b")])));
    // What moves nothing leaves the listener as it is.
    assert_eq!(listeners(&before), listeners(&all(&[ask("/a"), deny("/c")])));
}
