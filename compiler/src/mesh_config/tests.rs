use crate::{Options, PathNormalization, Sources, check};

const POLICY: &str = "apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: ask, namespace: shop}
spec: {action: CUSTOM, provider: {name: opa}, rules: [{}]}
";

const PROVIDER: &str = "extensionProviders:
- name: opa
  envoyExtAuthzHttp: {service: opa.shop.svc.cluster.local, port: 9000}
";

fn sources(mesh: &str) -> Sources {
    let mut sources = Sources::from_text("policy.yaml", POLICY);
    sources.add_mesh_config_text("mesh.yaml", mesh);
    sources
}

fn findings(mesh: &str) -> Vec<String> {
    check(&sources(mesh)).iter().map(ToString::to_string).collect()
}

fn indented(text: &str, by: usize) -> String {
    text.lines().map(|line| format!("{:by$}{line}\n", "")).collect()
}

#[test]
fn a_policy_without_its_provider_is_warned_about() {
    let expected = "policy.yaml:4:35: warning[unknown-reference]: AuthorizationPolicy shop/ask: spec.provider.name: no external \
                    authorizer `opa` is defined: requests that match are denied (`extensionProviders` of a mesh configuration \
                    define them; --mesh-config names its file)";
    let alone: Vec<String> =
        check(&Sources::from_text("policy.yaml", POLICY)).iter().map(ToString::to_string).collect();
    assert_eq!(alone, [expected]);
    assert_eq!(findings("trustDomain: a.io"), [expected]);
    assert_eq!(findings(PROVIDER), [""; 0]);
}

#[test]
fn a_mesh_configuration_is_found_in_whatever_it_is_kept_in() {
    let mesh = "trustDomain: a.io\nrootNamespace: root\npathNormalization: {normalization: MERGE_SLASHES}\n";
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: istio}}\ndata:\n  mesh: |-\n{}  meshNetworks: 'networks: {{}}'\n",
        indented(mesh, 4)
    );
    let operator = format!(
        "apiVersion: install.istio.io/v1alpha1\nkind: IstioOperator\nspec:\n  meshConfig:\n{}",
        indented(mesh, 4)
    );
    for text in [mesh, &map, &operator] {
        let options = Options::default().under_mesh_config(&sources(text));
        assert_eq!(options.trust_domain, "a.io", "{text}");
        assert_eq!(options.root_namespace, "root");
        assert_eq!(options.path_normalization, PathNormalization::MergeSlashes);
    }
}

#[test]
fn a_mistake_inside_a_config_map_is_shown_at_its_own_line() {
    let text = "kind: ConfigMap\ndata:\n  mesh: |-\n    trustDomain: a.io\n    extensionProvider: []\n";
    let of_mesh =
        |text: &str| findings(text).into_iter().find(|finding| finding.starts_with("mesh")).unwrap();
    assert_eq!(
        of_mesh(text),
        "mesh.yaml:5:5: error[unknown-field]: MeshConfig: extensionProvider: unknown field (did you mean `extensionProviders`?)"
    );
    // A text without lines of its own is named as a whole.
    let text = "kind: ConfigMap\ndata:\n  mesh: \"trustDomain: a.io\\nextensionProvider: []\\n\"\n";
    assert!(of_mesh(text).starts_with("mesh.yaml:3:9: error[unknown-field]"), "{}", of_mesh(text));
    let text = "kind: ConfigMap\ndata:\n  mesh: |-\n    trustDomain: [\n";
    assert!(
        of_mesh(text).starts_with("mesh.yaml:5:5: error[syntax]: data.mesh: not YAML"),
        "{}",
        of_mesh(text)
    );
}

#[test]
fn what_is_no_mesh_configuration_is_refused() {
    for (text, expected) in [
        ("", "mesh.yaml: error[syntax]: empty: expected a MeshConfig"),
        (
            "kind: Service",
            "mesh.yaml:1:1: error[syntax]: expected a MeshConfig, or the ConfigMap or IstioOperator with it, found a `Service`",
        ),
        ("kind: ConfigMap\ndata: {}", "mesh.yaml:1:1: error[syntax]: this ConfigMap has no `data.mesh`"),
        (
            "kind: ConfigMap\ndata: {mesh: {}}",
            "mesh.yaml:2:14: error[syntax]: data.mesh: expected a text with YAML, found an object",
        ),
        ("a: 1\n---\nb: 1", "mesh.yaml:3:1: error[syntax]: expected one MeshConfig, found another document"),
        (
            "trustDomain: 1",
            "mesh.yaml:1:1: error[wrong-type]: MeshConfig: trustDomain: expected a string, found a number (quote it: \"1\")",
        ),
    ] {
        assert!(findings(text).iter().any(|finding| finding == expected), "{:?}", findings(text));
    }
}

#[test]
fn what_is_not_carried_out_is_said() {
    assert_eq!(
        findings(&format!("outboundTrafficPolicy: {{mode: REGISTRY_ONLY}}\n{PROVIDER}")),
        [
            "mesh.yaml:1:1: warning[unsupported]: MeshConfig: outboundTrafficPolicy: not carried out: of a mesh configuration, only \
          trust domain, root namespace, path normalization and external authorizers are"
        ]
    );
}

#[test]
fn providers_are_judged_field_by_field() {
    let provider =
        |fields: &str| format!("extensionProviders: [{{name: opa, envoyExtAuthzHttp: {{{fields}}}}}]");
    let good = "service: a.io, port: 80";
    for (fields, expected) in [
        ("port: 80".to_owned(), "service: missing: expected the host of a service"),
        (
            "service: a/b/c, port: 80".to_owned(),
            "service: expected `HOST` or `NAMESPACE/HOST`, found `a/b/c`",
        ),
        ("service: a.io".to_owned(), "port: expected a port from 1 to 65535, found none"),
        ("service: a.io, port: 65536".to_owned(), "port: expected a port from 1 to 65535, found `65536`"),
        (format!("{good}, timeout: 0s"), "timeout: expected a time of at least 1ms, in whole milliseconds"),
        (
            format!("{good}, pathPrefix: check"),
            "pathPrefix: expected a path that begins with `/`, found `check`",
        ),
        (
            format!("{good}, statusOnError: \"600\""),
            "statusOnError: expected an HTTP status such as \"503\", found `600`",
        ),
        (
            format!("{good}, includeRequestHeadersInCheck: [x-*-y]"),
            "includeRequestHeadersInCheck[0]: expected a header's name, with one `*` at most at its begin or end, found `x-*-y`",
        ),
        (
            format!("{good}, headersToUpstreamOnAllow: [\"a b\"]"),
            "headersToUpstreamOnAllow[0]: expected a header's name, with one `*` at most at its begin or end, found `a b`",
        ),
        (
            format!("{good}, includeHeadersInCheck: [a], includeRequestHeadersInCheck: [b]"),
            "includeHeadersInCheck: this is the former name of `includeRequestHeadersInCheck`, and both are there",
        ),
        (
            format!("{good}, includeRequestBodyInCheck: {{}}"),
            "includeRequestBodyInCheck.maxRequestBytes: missing: expected how many bytes of the body are sent at most, above 0",
        ),
    ] {
        let found = findings(&provider(&fields));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].contains(&format!("envoyExtAuthzHttp.{expected}")),
            "{} instead of {expected}",
            found[0]
        );
    }
    let two = "extensionProviders: [{name: opa, prometheus: {}}, {name: opa}]";
    let found = findings(two).join("\n");
    assert!(found.contains("extensionProviders[1].name: there is another provider `opa`"), "{found}");
    assert!(
        found.contains("extensionProviders[1]: expected exactly one kind of provider beside `name`, found 0"),
        "{found}"
    );
}
