use crate::workload::PluginConfig;

fn problems(json: &str) -> Vec<String> {
    match PluginConfig::from_json(json.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn list(item: &str) -> String {
    format!(r#"{{"apiVersion": "v1", "kind": "List", "items": [{item}]}}"#)
}

const ROUTE: &str = r#"{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "customers"},
    "spec": {"hosts": ["customers"], "http": [{"route": [{"destination": {"host": "customers"}}]}]}}"#;

#[test]
fn what_kubectl_prints_is_a_configuration() {
    let item = ROUTE.replace(
        r#""name": "customers""#,
        r#""name": "customers", "namespace": "shop", "uid": "1", "resourceVersion": "7", "generation": 1,
           "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [{"a": 1}]"#,
    );
    let text = format!(
        r#"{{"apiVersion": "v1", "kind": "List", "metadata": {{"resourceVersion": ""}}, "items": [{item}]}}"#
    );
    let config = PluginConfig::from_json(text.as_bytes()).unwrap();
    assert_eq!(config.resources.len(), 1);
    assert_eq!(config.resources[0].to_string(), "VirtualService shop/customers");
    assert_eq!(config.resources[0].spec_path().to_string(), "items[0].spec");
}

#[test]
fn the_guides_misplaced_timeout_is_sent_home() {
    let item = ROUTE.replace(
        r#""destination": {"host": "customers"}"#,
        r#""destination": {"host": "customers"}, "timeout": "5s""#,
    );
    assert_eq!(
        problems(&list(&item)),
        [
            "items[0].spec.http[0].route[0].timeout: unknown field; it belongs in items[0].spec.http[0].timeout"
        ]
    );
}

#[test]
fn an_unknown_kind_is_refused() {
    let item = ROUTE.replace("VirtualService", "VirtualServer");
    assert_eq!(
        problems(&list(&item)),
        [
            "items[0].kind: unknown kind `VirtualServer`: expected one of VirtualService, DestinationRule, Gateway, \
          ServiceEntry, WorkloadEntry, AuthorizationPolicy, PeerAuthentication, RequestAuthentication"
        ]
    );
}

#[test]
fn a_kind_of_another_group_is_refused() {
    let item = ROUTE.replace("networking.istio.io/v1", "security.istio.io/v1");
    assert_eq!(
        problems(&list(&item)),
        [
            "items[0].apiVersion: expected `networking.istio.io/VERSION` with a version of v1, v1beta1, v1alpha3 for a \
          VirtualService, found `security.istio.io/v1`"
        ]
    );
}

#[test]
fn an_empty_configuration_is_refused() {
    for text in ["", " \n"] {
        assert_eq!(
            problems(text),
            [". : the plugin configuration is empty (give it the resources as JSON: {\"apiVersion\": \"v1\", \"kind\": \
              \"List\", \"items\": [...]})"
                .replace(". :", ".:")]
        );
    }
}

#[test]
fn a_struct_in_wire_format_is_recognised() {
    assert_eq!(
        problems("\n\u{d}\n\u{5}items\u{12}\u{4}2\u{2}\n\u{0}"),
        [
            ".: not JSON: expected value at line 3 column 1 (this looks like a google.protobuf.Struct; wrap the JSON text in a \
          google.protobuf.StringValue)"
        ]
    );
}

#[test]
fn json_that_begins_with_a_line_feed_is_no_struct() {
    for text in
        ["\n{\"kind\": \"List\" \"items\": []}", "\n{\n  \"kind\": \"List\"\n", "\n", "\n\n\n[", "\n\u{80}"]
    {
        assert!(!problems(text).concat().contains("Struct"), "{text:?}");
    }
}

#[test]
fn bytes_behind_the_document_are_refused() {
    assert_eq!(
        problems(&(list(ROUTE) + "]"))[0].split(" at").next(),
        Some(".: not JSON: trailing characters")
    );
}
