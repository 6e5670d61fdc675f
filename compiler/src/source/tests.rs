use super::*;

fn findings(text: &str) -> Vec<String> {
    Sources::from_text("shop.yaml", text).findings().iter().map(ToString::to_string).collect()
}

const CUSTOMERS: &str = "\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: customers, namespace: shop}
spec:
  hosts: [customers]
  http:
  - route:
    - destination: {host: customers}
";

#[test]
fn documents_and_lists_become_resources() {
    let list = r#"{"apiVersion": "v1", "kind": "List", "items": [
      {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "deny"}, "spec": {}}]}"#;
    let sources = Sources::from_text("shop.yaml", &format!("# nothing\n---\n{CUSTOMERS}---\n---\n{list}\n"));
    assert_eq!(sources.findings(), []);
    let names: Vec<String> = sources.resources().iter().map(ToString::to_string).collect();
    assert_eq!(names, ["VirtualService shop/customers", "AuthorizationPolicy default/deny"]);
    assert_eq!(sources.place(&sources.resources()[0]), "shop.yaml:3");
    assert_eq!(sources.place(&sources.resources()[1]), "shop.yaml:14");
}

#[test]
fn a_finding_names_line_resource_and_field() {
    let text = CUSTOMERS
        .replace("destination: {host: customers}", "destination: {host: customers}\n      timeout: 5s");
    assert_eq!(
        findings(&text),
        [
            "shop.yaml:9:7: error[misplaced-field]: VirtualService shop/customers: spec.http[0].route[0].timeout: \
          unknown field; it belongs in spec.http[0].timeout"
        ]
    );
}

#[test]
fn the_same_key_twice_is_found_at_the_second() {
    let text = CUSTOMERS.replace("  http:", "  hosts: [other]\n  http:");
    assert_eq!(
        findings(&text),
        [
            "shop.yaml:6:3: error[duplicate-key]: VirtualService shop/customers: spec.hosts: duplicate key `hosts`"
        ]
    );
}

#[test]
fn a_number_in_place_of_text_is_quoted_as_it_was_written() {
    let text =
        CUSTOMERS.replace("{name: customers, namespace: shop}", "{name: customers, labels: {version: 1.10}}");
    assert_eq!(
        findings(&text),
        ["shop.yaml:3:38: error[wrong-type]: VirtualService default/customers: metadata.labels.version: \
          expected a string, found a number (quote it: \"1.10\")"]
    );
}

#[test]
fn two_resources_of_one_name_are_refused_with_both_places() {
    assert_eq!(
        findings(&format!("{CUSTOMERS}---\n{CUSTOMERS}")),
        ["shop.yaml:12:12: error[conflict]: VirtualService shop/customers: metadata.name: \
          VirtualService shop/customers is defined twice: here and at shop.yaml:1"]
    );
}

#[test]
fn a_kind_of_kubernetes_is_refused() {
    let found = findings("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n");
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with(
            "shop.yaml:2:1: error[invalid-value]: Deployment default/web: kind: unknown kind `Deployment`"
        ),
        "{found:?}"
    );
}

#[test]
fn text_that_is_not_yaml_is_refused_where_it_stops_being_yaml() {
    let found = findings("spec:\n  a: [1\nb: 2\n");
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("shop.yaml:3:"), "{found:?}");
    assert!(found[0].contains("error[syntax]: not YAML: "), "{found:?}");
}

#[test]
fn folders_are_read_in_order_and_other_files_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("a")).unwrap();
    std::fs::write(folder.path().join("a/x.yml"), CUSTOMERS).unwrap();
    std::fs::write(folder.path().join("b.yaml"), CUSTOMERS.replace("name: customers,", "name: other,"))
        .unwrap();
    std::fs::write(folder.path().join("README.md"), "not: [yaml").unwrap();
    let sources = Sources::load(&[folder.path()], &mut std::io::empty()).unwrap();
    assert_eq!(sources.findings(), []);
    let names: Vec<&str> = sources.resources().iter().map(Resource::name).collect();
    assert_eq!(names, ["customers", "other"]);
}

#[test]
fn standard_input_is_a_dash_and_missing_inputs_are_errors() {
    let sources = Sources::load(&["-"], &mut CUSTOMERS.as_bytes()).unwrap();
    assert_eq!(sources.file_names().collect::<Vec<_>>(), ["<stdin>"]);
    assert_eq!(sources.resources().len(), 1);
    let error = Sources::load(&["no/such/file"], &mut std::io::empty()).unwrap_err().to_string();
    assert!(error.starts_with("cannot read `no/such/file`: "), "{error}");
    let folder = tempfile::tempdir().unwrap();
    let error = Sources::load(&[folder.path()], &mut std::io::empty()).unwrap_err().to_string();
    assert!(error.starts_with("no *.yaml, *.yml or *.json file in "), "{error}");
}

#[test]
fn a_json_file_must_be_json() {
    let text = r#"{"kind": "List", "apiVersion": "v1", "items": [],}"#;
    let sources = Sources::from_text("shop.json", text);
    assert_eq!(
        sources.findings()[0].to_string(),
        "shop.json:1:50: error[syntax]: not JSON: trailing comma at line 1 column 50"
    );
}

#[test]
fn paths_in_messages_are_told_from_the_reader_s_side() {
    let sources =
        Sources::from_text("shop.yaml", &format!("{CUSTOMERS}---\n{}", CUSTOMERS.replace("shop}", "other}")));
    let mut problems = Problems::new();
    problems.error(
        sources.resources()[1].spec_path().field("hosts"),
        ProblemKind::Conflict,
        "like documents[0].spec.hosts[0] and documents[1].spec.http",
    );
    assert_eq!(
        sources.findings_of(&problems)[0].message,
        "like VirtualService shop/customers spec.hosts[0] and spec.http"
    );
}
