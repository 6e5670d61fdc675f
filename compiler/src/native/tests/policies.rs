use super::*;

fn policy(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n\
         metadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n"
    )
}

fn dry_run(policy: &str) -> String {
    policy.replacen("metadata: {", "metadata: {annotations: {istio.io/dry-run: \"true\"}, ", 1)
}

fn workload() -> ProxyContext {
    ProxyContext {
        namespace: "shop".to_owned(),
        labels: Some([("app".to_owned(), "api".to_owned())].into()),
        ..ProxyContext::default()
    }
}

fn filters(text: &str) -> Vec<Value> {
    let mut problems = Problems::new();
    let filters = http_filters_for_policies(resources(text).resources(), &workload(), &mut problems);
    assert_eq!(problems, Problems::new());
    filters.into_iter().map(|filter| filter["typed_config"].clone()).collect()
}

fn keys(value: &Value) -> Vec<&String> {
    value.as_object().map_or_else(Vec::new, |object| object.keys().collect())
}

/// The entry of a policy's only rule.
fn entry(rule: &str) -> Value {
    let all = filters(&policy("p", "shop", &format!("{{rules: [{rule}]}}")));
    all[0]["rules"]["policies"]["ns[shop]-policy[p]-rule[0]"].clone()
}

#[test]
fn audits_come_before_denials_before_permissions() {
    let text = [
        policy("a", "shop", "{rules: [{}]}"),
        policy("d", "istio-system", "{action: DENY, rules: [{}, {to: [{operation: {methods: [GET]}}]}]}"),
        policy("l", "shop", "{action: AUDIT, rules: [{}]}"),
        policy("other", "elsewhere", "{action: DENY, rules: [{}]}"),
        policy("labels", "shop", "{selector: {matchLabels: {app: web}}, action: DENY, rules: [{}]}"),
        policy("attached", "shop", "{targetRefs: [{kind: Service, name: api}], action: DENY, rules: [{}]}"),
    ]
    .concat();
    let found = filters(&text);
    let actions: Vec<&Value> = found.iter().map(|filter| &filter["rules"]["action"]).collect();
    assert_eq!(actions, ["LOG", "DENY", "ALLOW"]);
    assert_eq!(
        keys(&found[1]["rules"]["policies"]),
        ["ns[istio-system]-policy[d]-rule[0]", "ns[istio-system]-policy[d]-rule[1]"]
    );
}

#[test]
fn without_a_policy_there_is_no_filter() {
    assert!(filters("").is_empty());
}

#[test]
fn a_policy_without_rules_has_an_entry_that_never_matches() {
    let never = json!({
        "permissions": [{"not_rule": {"any": true}}],
        "principals": [{"not_id": {"any": true}}],
    });
    let found = filters(&policy("none", "shop", "{}"));
    assert_eq!(
        found[0]["rules"],
        json!({"action": "ALLOW", "policies": {"ns[shop]-policy[none]-rule[0]": never}})
    );
}

#[test]
fn a_dry_run_is_a_shadow_that_denies_nothing() {
    let text = [
        dry_run(&policy("a", "shop", "{}")),
        dry_run(&policy("d", "shop", "{action: DENY, rules: [{}]}")),
        policy("e", "shop", "{action: DENY, rules: [{}]}"),
    ]
    .concat();
    let found = filters(&text);
    assert_eq!(keys(&found[0]["rules"]["policies"]), ["ns[shop]-policy[e]-rule[0]"]);
    assert_eq!(keys(&found[0]["shadow_rules"]["policies"]), ["ns[shop]-policy[d]-rule[0]"]);
    assert_eq!(found[0]["shadow_rules_stat_prefix"], "istio_dry_run_deny_");
    assert_eq!(found[1].get("rules"), None);
    assert_eq!(found[1]["shadow_rules"]["action"], "ALLOW");
    assert_eq!(found[1]["shadow_rules_stat_prefix"], "istio_dry_run_allow_");
}

#[test]
fn fields_are_anded_values_are_ored_and_twins_negate() {
    let found = entry(
        "{from: [{source: {ipBlocks: [10.0.0.0/8, 1.2.3.4], notNamespaces: [bad]}}, {source: {trustDomains: [td]}}], \
         to: [{operation: {methods: [GET], notPaths: [/x]}}], \
         when: [{key: remote.ip, notValues: [::1]}, {key: destination.port, values: [\"80\"]}]}",
    );
    let range = |address: &str, length: u8| json!({"address_prefix": address, "prefix_len": length});
    let regex = |text: &str| json!({"authenticated": {"principal_name": {"safe_regex": {"regex": text}}}});
    let not_remote = json!({"not_id": {"or_ids": {"ids": [{"remote_ip": range("::1", 128)}]}}});
    assert_eq!(
        found["principals"],
        json!([
            {"and_ids": {"ids": [
                {"not_id": {"or_ids": {"ids": [regex(".*/ns/bad/.*")]}}},
                {"or_ids": {"ids": [
                    {"direct_remote_ip": range("10.0.0.0", 8)},
                    {"direct_remote_ip": range("1.2.3.4", 32)},
                ]}},
                not_remote,
            ]}},
            {"and_ids": {"ids": [
                {"or_ids": {"ids": [{"authenticated": {"principal_name": {"prefix": "spiffe://td/"}}}]}},
                not_remote,
            ]}},
        ])
    );
    assert_eq!(
        found["permissions"],
        json!([{"and_rules": {"rules": [
            {"not_rule": {"or_rules": {"rules": [{"url_path": {"path": {"exact": "/x"}}}]}}},
            {"or_rules": {"rules": [{"header": {"name": ":method", "string_match": {"exact": "GET"}}}]}},
            {"or_rules": {"rules": [{"destination_port": 80}]}},
        ]}}])
    );
}

#[test]
fn a_rule_without_conditions_holds_for_everyone() {
    assert_eq!(
        entry("{}"),
        json!({
            "permissions": [{"and_rules": {"rules": [{"any": true}]}}],
            "principals": [{"and_ids": {"ids": [{"any": true}]}}],
        })
    );
}

#[test]
fn a_plain_connection_has_no_request_to_ask_about() {
    let network = |spec: &str| {
        let mut problems = Problems::new();
        let text = policy("p", "shop", spec);
        let found = network_filters_for_policies(resources(&text).resources(), &workload(), &mut problems);
        assert_eq!(found[0]["name"], "envoy.filters.network.rbac");
        found[0]["typed_config"]["rules"]["policies"].clone()
    };
    let rules = "rules: [{to: [{operation: {methods: [GET], ports: [\"80\"]}}]}, {to: [{operation: {ports: [\"90\"]}}]}]";
    // The rule of an ALLOW is dropped as a whole, so that it permits nothing it should not.
    assert_eq!(keys(&network(&format!("{{{rules}}}"))), ["ns[shop]-policy[p]-rule[1]"]);
    // Of a DENY only the field is dropped, so that it denies rather more.
    let denied = network(&format!("{{action: DENY, {rules}}}"));
    assert_eq!(
        denied["ns[shop]-policy[p]-rule[0]"]["permissions"],
        json!([{"and_rules": {"rules": [{"or_rules": {"rules": [{"destination_port": 80}]}}]}}])
    );
    let none = network("{rules: [{to: [{operation: {methods: [GET]}}]}]}");
    assert_eq!(none["ns[shop]-policy[p]-rule[0]"]["permissions"], json!([{"not_rule": {"any": true}}]));
}

#[test]
fn what_cannot_be_carried_out_is_refused_at_its_place() {
    let text = [policy(
        "v",
        "shop",
        "{rules: [{from: [{source: {ipBlocks: [10.0.0.300]}}], when: [{key: a.b, values: [c]}]}]}",
    )]
    .concat();
    let mut problems = Problems::new();
    let sources = resources(&text);
    let _ = http_filters_for_policies(sources.resources(), &workload(), &mut problems);
    let found: Vec<String> = sources.findings_of(&problems).iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "test.yaml:5:69: error[invalid-value]: AuthorizationPolicy shop/v: spec.rules[0].when[0].key: unknown attribute `a.b`",
            "test.yaml:5:34: error[invalid-value]: AuthorizationPolicy shop/v: spec.rules[0].from[0].source.ipBlocks: `10.0.0.300` is no \
             value for this",
        ]
    );
}
