//! What is refused, in the words that people read.

use super::*;

/// The problems of one policy, each without the path to its resource.
fn problems_of(spec: &str) -> Vec<String> {
    let (_, problems) = compile(&[policy("p", spec)], &orders());
    problems.iter().map(|problem| problem.to_string().replace("items[0].", "")).collect()
}

fn with_rule(rule: &str) -> String {
    format!(r#"{{"rules": [{rule}]}}"#)
}

#[test]
fn values_that_do_not_compile_are_refused_with_their_place() {
    for (rule, expected) in [
        (
            source("ipBlocks", r#"["10.0.0.0/33", "::1", "10.0.0"]"#),
            &[
                "spec.rules[0].from[0].source.ipBlocks[0]: expected an IP address or a CIDR block such as `10.0.0.0/8`, \
                 found `10.0.0.0/33`",
                "spec.rules[0].from[0].source.ipBlocks[2]: expected an IP address or a CIDR block such as `10.0.0.0/8`, \
                 found `10.0.0`",
            ][..],
        ),
        (
            when("remote.ip", "notValues", r#"["*"]"#),
            &[
                "spec.rules[0].when[0].notValues[0]: expected an IP address or a CIDR block such as `10.0.0.0/8`, found `*`",
            ],
        ),
        (
            operation("ports", r#"["65536", "+80", "0"]"#),
            &[
                "spec.rules[0].to[0].operation.ports[0]: expected a port from 0 to 65535, found `65536`",
                "spec.rules[0].to[0].operation.ports[1]: expected a port from 0 to 65535, found `+80`",
            ],
        ),
        (
            operation("paths", r#"["/a{*}", "/{x}"]"#),
            &[
                "spec.rules[0].to[0].operation.paths[0]: expected `{*}` or `{**}` as a whole path segment, found `a{*}`",
                "spec.rules[0].to[0].operation.paths[1]: expected `{*}` or `{**}` as a whole path segment, found `{x}`",
            ],
        ),
        (
            operation("methods", r#"[""]"#),
            &["spec.rules[0].to[0].operation.methods[0]: expected a value, found an empty text"],
        ),
        (
            operation("methods", "[]"),
            &["spec.rules[0].to[0].operation.methods: expected at least one entry, found an empty list"],
        ),
        (
            source("serviceAccounts", r#"["a*", "a/b/c", "/b", "ok"]"#),
            &[
                "spec.rules[0].from[0].source.serviceAccounts[0]: expected `name` or `namespace/name` without `*`, found `a*`",
                "spec.rules[0].from[0].source.serviceAccounts[1]: expected `name` or `namespace/name` without `*`, \
                 found `a/b/c`",
                "spec.rules[0].from[0].source.serviceAccounts[2]: expected `name` or `namespace/name` without `*`, found `/b`",
            ],
        ),
        (
            source("trustDomains", r#"["a/b", "*a*", "a*b", "*a"]"#),
            &[
                "spec.rules[0].from[0].source.trustDomains[0]: expected a trust domain with one `*` at most, at its begin or \
                 end, found `a/b`",
                "spec.rules[0].from[0].source.trustDomains[1]: expected a trust domain with one `*` at most, at its begin or \
                 end, found `*a*`",
                "spec.rules[0].from[0].source.trustDomains[2]: expected a trust domain with one `*` at most, at its begin or \
                 end, found `a*b`",
            ],
        ),
        (
            r#"{"from": [{"source": {"serviceAccounts": ["a"], "principals": ["b"], "notNamespaces": ["c"]}}]}"#.to_owned(),
            &[
                "spec.rules[0].from[0].source.serviceAccounts: `serviceAccounts` cannot stand beside `principals` in one \
                 source",
                "spec.rules[0].from[0].source.serviceAccounts: `serviceAccounts` cannot stand beside `notNamespaces` in one \
                 source",
            ],
        ),
        (
            r#"{"from": [], "to": [], "when": []}"#.to_owned(),
            &[
                "spec.rules[0].from: expected at least one entry, found an empty list",
                "spec.rules[0].to: expected at least one entry, found an empty list",
                "spec.rules[0].when: expected at least one entry, found an empty list",
            ],
        ),
        (
            r#"{"from": [{}, {"source": {}}], "to": [{"operation": null}]}"#.to_owned(),
            &[
                "spec.rules[0].from[0].source: missing: expected at least one field that says what to match",
                "spec.rules[0].from[1].source: missing: expected at least one field that says what to match",
                "spec.rules[0].to[0].operation: missing: expected at least one field that says what to match",
            ],
        ),
        (
            r#"{"when": [{"values": ["x"]}, {"key": "source.ip"}]}"#.to_owned(),
            &[
                "spec.rules[0].when[0].key: missing: a condition has a key",
                "spec.rules[0].when[1]: missing: expected `values` or `notValues`",
            ],
        ),
        (
            when("request.header[x]", "values", r#"["x"]"#),
            &["spec.rules[0].when[0].key: unknown attribute `request.header[x]`"],
        ),
        (
            when("destination.labels[app]", "values", r#"["x"]"#),
            &["spec.rules[0].when[0].key: `destination.labels[app]` is no longer an attribute that can be matched"],
        ),
        (
            when("request.headers[]", "values", r#"["x"]"#),
            &[
                "spec.rules[0].when[0].key: expected a name in brackets behind the attribute, found `request.headers[]`",
            ],
        ),
        (
            when("request.auth.claims", "values", r#"["x"]"#),
            &[
                "spec.rules[0].when[0].key: expected a name in brackets behind the attribute, found `request.auth.claims`",
            ],
        ),
        (
            when("experimental.envoy.filters.a.b[c]", "values", r#"["x", ""]"#),
            &[
                "spec.rules[0].when[0].values[1]: expected a value, found an empty text",
                "spec.rules[0].when[0].key: `experimental.envoy.filters.a.b[c]` cannot be enforced: a Wasm filter \
                 does not read the metadata of other filters",
            ],
        ),
    ] {
        assert_eq!(problems_of(&with_rule(&rule)), expected, "{rule}");
    }
}

#[test]
fn policies_that_contradict_themselves_are_refused() {
    for (spec, expected) in [
        (
            r#"{"action": "DENY"}"#,
            &[
                "spec.rules: a DENY policy without rules would never match (to deny everything write `rules: [{}]`)",
            ][..],
        ),
        (
            r#"{"action": "DENY", "rules": []}"#,
            &[
                "spec.rules: a DENY policy without rules would never match (to deny everything write `rules: [{}]`)",
            ],
        ),
        (
            r#"{"action": "AUDIT", "provider": {"name": "x"}}"#,
            &["spec.provider: expected no provider for action AUDIT: only CUSTOM has one"],
        ),
        (
            r#"{"action": "CUSTOM", "rules": [{}], "provider": {"name": "x"}}"#,
            &[
                "spec.action: CUSTOM policies need Envoy's ext_authz filter, and none is there (have one filter in front of it \
                 and one behind it, and say so in `authz.extAuthz`)",
            ],
        ),
        (
            r#"{"action": "CUSTOM"}"#,
            &[
                "spec.provider: missing: a CUSTOM policy has a provider",
                "spec.rules: a CUSTOM policy without rules would never match",
                "spec.action: CUSTOM policies need Envoy's ext_authz filter, and none is there (have one filter in front of it \
                 and one behind it, and say so in `authz.extAuthz`)",
            ],
        ),
        (
            r#"{"selector": {"matchLabels": {"app": "a*", "": "x"}}, "targetRef": {"kind": "Pod", "namespace": "x"}}"#,
            &[
                "spec.selector.matchLabels: expected a label's key, found an empty one",
                "spec.selector.matchLabels.app: expected a label without `*`, found `app: a*`",
                "spec.selector: expected either `selector` or `targetRefs`, found both",
                "spec.targetRef.name: missing: a target has a name",
                "spec.targetRef.namespace: expected no namespace: a target stands in the policy's own",
                "spec.targetRef.kind: expected `Gateway` or `GatewayClass` of group `gateway.networking.k8s.io`, \
                 `ServiceEntry` of group `networking.istio.io` or `Service` without group, found `Pod` of group ``",
            ],
        ),
    ] {
        assert_eq!(problems_of(spec), expected, "{spec}");
    }
}

#[test]
fn identities_are_refused_in_custom_policies() {
    let rule = r#"{"from": [{"source": {"notPrincipals": ["x"], "requestPrincipals": ["x"], "ipBlocks": ["::1"]}}],
                   "when": [{"key": "request.auth.claims[a]", "values": ["x"]}]}"#;
    let spec = format!(r#"{{"action": "CUSTOM", "provider": {{"name": "x"}}, "rules": [{rule}]}}"#);
    // For another namespace: that CUSTOM cannot be enforced matters only where it would have to be.
    let (_, problems) = compile(&[policy_in("other", "p", "{}", &spec)], &orders());
    assert_eq!(
        problems.to_string(),
        "items[0].spec.rules[0].from[0].source.notPrincipals: `notPrincipals` cannot be used with action CUSTOM\n\
         items[0].spec.rules[0].from[0].source.requestPrincipals: `requestPrincipals` cannot be used with action CUSTOM\n\
         items[0].spec.rules[0].when[0].key: `request.auth.claims[a]` cannot be used with action CUSTOM\n"
    );
}

#[test]
fn too_many_entries_are_refused() {
    let many = |entry: &str, count: usize| vec![entry; count].join(",");
    assert_eq!(
        problems_of(&format!(r#"{{"rules": [{}]}}"#, many("{}", 513))),
        ["spec.rules: expected at most 512 rules, found 513"]
    );
    let accounts = format!("[{}]", many("\"a\"", 17));
    assert_eq!(
        problems_of(&with_rule(&source("notServiceAccounts", &accounts))),
        ["spec.rules[0].from[0].source.notServiceAccounts: expected at most 16 service accounts, found 17"]
    );
    let long = format!(r#"["{}"]"#, "a".repeat(321));
    assert_eq!(
        problems_of(&with_rule(&source("serviceAccounts", &long))),
        ["spec.rules[0].from[0].source.serviceAccounts[0]: expected at most 320 bytes, found 321"]
    );
    let targets = many(r#"{"kind": "Service", "name": "a"}"#, 17);
    assert_eq!(
        problems_of(&format!(r#"{{"targetRefs": [{targets}]}}"#)),
        ["spec.targetRefs: expected at most 16 targets, found 17"]
    );
}

#[test]
fn dry_runs_are_for_allow_and_deny_and_say_so_in_plain_words() {
    let annotated = |value: &str, spec: &str| {
        let annotations = format!(r#"{{"istio.io/dry-run": "{value}"}}"#);
        compile(&[policy_in("shop", "p", &annotations, spec)], &orders())
    };
    assert_eq!(
        annotated("yes", "{}").1.to_string(),
        "items[0].metadata.annotations[\"istio.io/dry-run\"]: expected `true` or `false`, found `yes`\n"
    );
    assert_eq!(
        annotated("true", r#"{"action": "AUDIT"}"#).1.to_string(),
        "items[0].metadata.annotations[\"istio.io/dry-run\"]: expected action ALLOW or DENY for a dry run, found AUDIT\n"
    );
    for (value, dry_run) in [("T", true), ("1", true), ("F", false), ("False", false)] {
        let (authorizer, problems) = annotated(value, "{}");
        assert!(problems.is_empty(), "{problems}");
        assert_eq!(Request::get("/").passes(&authorizer), dry_run, "{value}");
    }
}

#[test]
fn what_is_legal_and_surprising_gets_a_warning() {
    for (rule, expected) in [
        (
            source("principals", r#"["spiffe://a/ns/b/sa/c", "*/ns/b/sa/*"]"#),
            &[
                "spec.rules[0].from[0].source.principals[0]: a principal is written without `spiffe://`: \
                 `spiffe://a/ns/b/sa/c` never matches (write `a/ns/b/sa/c`)",
                "spec.rules[0].from[0].source.principals[1]: only one star at the begin or end of `*/ns/b/sa/*` is a \
                 wildcard, the other is literal",
            ][..],
        ),
        (
            operation("paths", r#"["/a?x=1", "/a/*/b"]"#),
            &[
                "spec.rules[0].to[0].operation.paths[0]: paths are compared without their query: `/a?x=1` never matches",
                "spec.rules[0].to[0].operation.paths[1]: the star inside `/a/*/b` is literal: only one at the begin or end \
                 is a wildcard",
            ],
        ),
        (
            when("connection.sni", "values", r#"["A.com"]"#),
            &[
                "spec.rules[0].when[0].values[0]: server names arrive in lower case: `A.com` never matches (write `a.com`)",
            ],
        ),
    ] {
        assert_eq!(problems_of(&with_rule(&rule)), expected, "{rule}");
    }
    assert_eq!(
        problems_of(r#"{"selector": {}}"#),
        ["spec.selector: a selector without labels selects every workload in scope"]
    );
    assert!(!compile(&[policy("p", r#"{"selector": {}}"#)], &orders()).1.has_errors());
}

#[test]
fn policies_that_do_not_apply_are_checked_too() {
    let wrong = with_rule(&operation("ports", r#"["x"]"#));
    let (authorizer, problems) = compile(&[policy_in("other", "p", "{}", &wrong)], &orders());
    assert!(authorizer.is_empty());
    assert_eq!(
        problems.to_string(),
        "items[0].spec.rules[0].to[0].operation.ports[0]: expected a port from 0 to 65535, found `x`\n"
    );
}

#[test]
fn a_name_is_given_once() {
    let (_, problems) =
        compile(&[policy("p", "{}"), policy("p", "{}"), policy_in("other", "p", "{}", "{}")], &orders());
    assert_eq!(
        problems.to_string(),
        "items[1].metadata.name: there is another AuthorizationPolicy `shop/p`\n"
    );
}
