use crate::check::check_under;
use crate::options::PathNormalization::{self, Base, DecodeAndMergeSlashes, MergeSlashes, None as Unchanged};
use crate::source::Sources;

fn policy(name: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec: {spec}\n---\n"
    )
}

fn warnings(text: &str, mode: PathNormalization) -> Vec<String> {
    let findings = check_under(&Sources::from_text("policy.yaml", text), mode);
    assert!(findings.iter().all(|finding| !finding.is_error()), "{findings:?}");
    findings.iter().map(|finding| format!("{}: {}", finding.path, finding.message)).collect()
}

fn examples(spec: &str) -> Vec<String> {
    [Unchanged, Base, MergeSlashes, DecodeAndMergeSlashes]
        .into_iter()
        .map(|mode| {
            let found = warnings(&policy("deny", spec), mode);
            assert!(found.len() <= 1, "one warning a rule: {found:?}");
            let example = found.first().and_then(|text| text.split('`').nth(1)).unwrap_or_default();
            example.to_owned()
        })
        .collect()
}

fn deny(operation: &str) -> String {
    format!("{{action: DENY, rules: [{{to: [{{operation: {{{operation}}}}}]}}]}}")
}

#[test]
fn the_example_is_one_that_the_mode_leaves_as_it_is() {
    for (paths, expected) in [
        ("/admin", ["GET /./admin", "GET //admin", "GET /admin/", "GET /admin/"]),
        ("/admin*", ["GET /./admin", "GET //admin", "", ""]),
        ("/a/admin*", ["GET /./a/admin", "GET //a/admin", "GET /a%2Fadmin", ""]),
        ("*/admin", ["GET /x/admin/", "GET /x/admin/", "GET /x/admin/", "GET /x/admin/"]),
        ("/a/{*}", ["GET /./a/x", "GET //a/x", "GET /a/x/", "GET /a/x/"]),
        ("/a/{**}", ["GET /./a/x", "GET //a/x", "GET /a%2Fx", ""]),
        ("*", ["", "", "", ""]),
    ] {
        assert_eq!(examples(&deny(&format!("paths: [\"{paths}\"]"))), expected, "{paths}");
    }
}

#[test]
fn the_example_has_a_method_that_the_rule_denies() {
    assert_eq!(examples(&deny("paths: [/admin], methods: [\"*\", DELETE]"))[1], "DELETE //admin");
}

#[test]
fn what_another_value_or_operation_of_the_rule_denies_is_no_example() {
    assert_eq!(examples(&deny("paths: [/admin, //admin]"))[1], "GET ///admin");
    assert_eq!(examples(&deny("paths: [/admin, //*, \"/admin/*\"]"))[1], "GET /admin;x=1");
    let two = "{action: DENY, rules: [{to: [{operation: {paths: [/admin]}}, {operation: {notPaths: [/admin, \"/open/*\"]}}]}]}";
    assert_eq!(examples(two)[1], "");
}

#[test]
fn the_warning_says_where_why_and_what_to_do() {
    let findings =
        check_under(&Sources::from_text("policy.yaml", &policy("deny", &deny("paths: [/admin]"))), Base);
    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert_eq!(
        finding.to_string(),
        "policy.yaml:4:57: warning[suspicious]: AuthorizationPolicy shop/deny: \
         spec.rules[0].to[0].operation.paths[0]: `GET //admin` is not denied by `/admin`, and many servers take it for \
         `/admin`: repeated slashes are not merged under the path normalization BASE (normalize paths with \
         MERGE_SLASHES, or allow known paths instead of denying this one)"
    );
}

#[test]
fn what_no_allow_policy_lets_pass_is_no_example() {
    let denied = policy("deny", &deny("paths: [/admin]"));
    let allow = |paths: &str| {
        policy("allow", &format!("{{rules: [{{to: [{{operation: {{paths: [\"{paths}\"]}}}}]}}]}}"))
    };
    assert_eq!(warnings(&format!("{denied}{}", allow("/shop/*")), Base), Vec::<String>::new());
    assert_eq!(warnings(&format!("{denied}{}", allow("/*")), Base).len(), 1);
    // An ALLOW policy for other workloads denies nothing here.
    let elsewhere =
        policy("allow", "{selector: {matchLabels: {app: a}}, rules: [{to: [{operation: {paths: [/x]}}]}]}");
    assert_eq!(warnings(&format!("{denied}{elsewhere}"), Base).len(), 1);
}

#[test]
fn a_denied_host_is_reached_with_its_port() {
    let host = |hosts: &str| examples(&deny(&format!("hosts: [{hosts}]")))[1].clone();
    assert_eq!(host("a.com"), "host: a.com:80");
    assert_eq!(host("\"*.a.com\""), "host: x.a.com:80");
    assert_eq!(host("a.com, \"a.com:*\""), "");
    assert_eq!(host("\"a.com*\""), "");
    assert_eq!(host("\"*\""), "");
}

#[test]
fn a_path_that_an_allow_rule_excludes_is_reached_otherwise() {
    let allow = |operation: &str| examples(&format!("{{rules: [{{to: [{{operation: {{{operation}}}}}]}}]}}"));
    assert_eq!(allow("notPaths: [\"/admin*\"]"), ["GET /./admin", "GET //admin", "", ""]);
    assert_eq!(allow("paths: [\"/public/*\"]"), ["GET /public/../admin", "", "", ""]);
    assert_eq!(allow("paths: [/public]"), ["", "", "", ""]);
}

#[test]
fn a_rule_that_asks_is_passed_by_as_one_that_denies() {
    let spec = "{action: CUSTOM, provider: {name: opa}, rules: [{to: [{operation: {paths: [/admin]}}]}]}";
    let findings = check_under(&Sources::from_text("policy.yaml", &policy("ask", spec)), MergeSlashes);
    let found = findings.iter().find(|finding| finding.path.starts_with("spec.rules")).unwrap();
    assert!(found.message.starts_with("`GET /admin/` is not asked about by `/admin`"), "{}", found.message);
    assert_eq!(
        found.help.as_deref(),
        Some("ask about `/admin*`, or allow known paths instead of asking about this one")
    );
}
