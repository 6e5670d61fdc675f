use crate::{Options, ProxyChoice, Sources, compile};
use serde_json::{Value, json};

const GATEWAY: &str = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge, namespace: istio-system}
spec:
  selector: {istio: ingressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ['*']}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: keys, namespace: istio-system}
spec:
  hosts: [keys.internal]
  ports: [{number: 8080, name: http, protocol: HTTP}, {number: 443, name: tls, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 10.0.0.1}]
---
";

const KEYS: &str = r#"'{"keys": [{"kty": "RSA"}]}'"#;

fn authentication(name: &str, namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {{name: {name}, namespace: {namespace}}}\nspec: {spec}\n---\n"
    )
}

fn bootstrap(policies: &str) -> Result<Value, Vec<String>> {
    let sources = Sources::from_text("edge.yaml", &format!("{GATEWAY}{policies}"));
    let choice = ProxyChoice::Gateway([("istio".to_owned(), "ingressgateway".to_owned())].into());
    compile(&sources, &choice, &Options::default()).map(|proxy| proxy.bootstrap).map_err(|refusal| {
        let errors = refusal.findings.iter().filter(|finding| finding.is_error());
        errors.map(|finding| format!("{}: {}", finding.path, finding.message)).collect()
    })
}

fn filters(bootstrap: &Value) -> Vec<&Value> {
    let filters = bootstrap
        .pointer("/static_resources/listeners/0/filter_chains/0/filters/1/typed_config/http_filters")
        .and_then(Value::as_array)
        .unwrap();
    filters.iter().collect()
}

/// The configuration of the JWT filter, which comes before everything that decides.
fn filter(policies: &str) -> Value {
    let bootstrap = bootstrap(policies).unwrap();
    let filters = filters(&bootstrap);
    assert_eq!(filters[0]["name"], "envoy.filters.http.jwt_authn");
    filters[0]["typed_config"].clone()
}

fn rule(rule: &str) -> Result<Value, Vec<String>> {
    bootstrap(&authentication("jwt", "istio-system", &format!("{{jwtRules: [{rule}]}}")))
}

#[test]
fn every_field_of_a_rule_reaches_envoy() {
    let found = filter(&authentication(
        "jwt",
        "istio-system",
        &format!(
            "{{jwtRules: [{{issuer: id.io, audiences: [a, b], jwks: {KEYS}, fromHeaders: [{{name: x-token, prefix: 'T '}}, \
             {{name: y}}], fromParams: [token], fromCookies: [session], outputPayloadToHeader: x-payload, \
             forwardOriginalToken: true, outputClaimToHeaders: [{{header: x-sub, claim: a.sub}}], \
             spaceDelimitedClaims: [roles]}}]}}"
        ),
    ));
    assert_eq!(
        found["providers"],
        json!({"origins-0": {
            "issuer": "id.io",
            "audiences": ["a", "b"],
            "local_jwks": {"inline_string": "{\"keys\": [{\"kty\": \"RSA\"}]}"},
            "from_headers": [{"name": "x-token", "value_prefix": "T "}, {"name": "y", "value_prefix": ""}],
            "from_params": ["token"],
            "from_cookies": ["session"],
            "forward_payload_header": "x-payload",
            "forward": true,
            "payload_in_metadata": "payload",
            "normalize_payload_in_metadata": {"space_delimited_claims": ["scope", "permission", "roles"]},
            "claim_to_headers": [{"header_name": "x-sub", "claim_name": "a.sub"}],
            "clear_route_cache": true,
        }})
    );
    assert_eq!(found["bypass_cors_preflight"], true);
}

#[test]
fn one_issuer_accepts_its_tokens_or_none() {
    let found = filter(&authentication(
        "jwt",
        "istio-system",
        &format!("{{jwtRules: [{{issuer: a, jwks: {KEYS}}}]}}"),
    ));
    assert_eq!(
        found["rules"],
        json!([{"match": {"prefix": "/"}, "requires": {"requires_any": {"requirements": [
            {"provider_name": "origins-0"}, {"allow_missing": {}},
        ]}}}])
    );
}

#[test]
fn issuers_of_all_policies_are_tried_in_the_order_of_their_names() {
    let policy = |name, namespace, issuer| {
        authentication(name, namespace, &format!("{{jwtRules: [{{issuer: {issuer}, jwks: {KEYS}}}]}}"))
    };
    let found =
        filter(&format!("{}{}", policy("one", "istio-system", "b"), policy("two", "istio-system", "a")));
    assert_eq!(found["providers"]["origins-0"]["issuer"], "a");
    assert_eq!(found["providers"]["origins-1"]["issuer"], "b");
    let or_missing =
        |name| json!({"requires_any": {"requirements": [{"provider_name": name}, {"allow_missing": {}}]}});
    assert_eq!(
        found["rules"][0]["requires"],
        json!({"requires_any": {"requirements": [
            {"provider_name": "origins-0"},
            {"provider_name": "origins-1"},
            {"requires_all": {"requirements": [or_missing("origins-0"), or_missing("origins-1")]}},
        ]}})
    );
}

#[test]
fn policies_for_other_workloads_change_nothing() {
    for policy in [
        authentication("jwt", "shop", &format!("{{jwtRules: [{{issuer: a, jwks: {KEYS}}}]}}")),
        authentication(
            "jwt",
            "istio-system",
            &format!("{{selector: {{matchLabels: {{app: x}}}}, jwtRules: [{{issuer: a, jwks: {KEYS}}}]}}"),
        ),
        authentication("jwt", "istio-system", "{}"),
    ] {
        let bootstrap = bootstrap(&policy).unwrap();
        assert!(filters(&bootstrap).iter().all(|filter| filter["name"] != "envoy.filters.http.jwt_authn"));
    }
}

#[test]
fn keys_are_fetched_from_a_service_or_through_dns() {
    let source = |uri: &str| {
        let bootstrap = rule(&format!("{{issuer: a, jwksUri: '{uri}', timeout: 2s}}")).unwrap();
        let remote = filters(&bootstrap)[0]["typed_config"]["providers"]["origins-0"]["remote_jwks"].clone();
        assert_eq!((&remote["http_uri"]["uri"], &remote["http_uri"]["timeout"]), (&json!(uri), &json!("2s")));
        let clusters = bootstrap["static_resources"]["clusters"].as_array().unwrap();
        let named = |cluster: &&Value| cluster["name"] == remote["http_uri"]["cluster"];
        clusters.iter().find(named).unwrap().clone()
    };
    assert_eq!(source("http://keys.internal:8080/jwks")["name"], "outbound|8080||keys.internal");

    let secure = source("https://keys.internal/jwks");
    assert_eq!(secure["name"], "jwks|443||keys.internal");
    assert_eq!(secure["load_assignment"]["cluster_name"], "jwks|443||keys.internal");
    let address = "/load_assignment/endpoints/0/lb_endpoints/0/endpoint/address/socket_address/address";
    assert_eq!(secure.pointer(address).unwrap(), "10.0.0.1");
    let tls = &secure["transport_socket"]["typed_config"];
    assert_eq!(tls["sni"], "keys.internal");
    assert_eq!(
        tls["common_tls_context"]["validation_context"]["match_typed_subject_alt_names"],
        json!([{"san_type": "DNS", "matcher": {"exact": "keys.internal"}}])
    );

    let public = source("http://id.io:81/jwks");
    assert_eq!((&public["name"], &public["type"]), (&json!("jwks|81||id.io"), &json!("STRICT_DNS")));
    assert!(public.get("transport_socket").is_none());
}

#[test]
fn what_is_wrong_with_a_rule_is_said_all_at_once() {
    let broken = "{audiences: [''], jwks: '[]', fromHeaders: [{prefix: x}, {name: 'a b'}], fromParams: [''], \
                  outputClaimToHeaders: [{header: 'x.y'}], timeout: 100us}";
    assert_eq!(
        rule(broken).unwrap_err(),
        [
            "spec.jwtRules[0].issuer: missing: a rule has an `issuer` or a `jwksUri`",
            "spec.jwtRules[0].audiences[0]: expected a text, found an empty one",
            "spec.jwtRules[0].jwks: expected a set of keys: `{\"keys\": [{\"kty\": ..}, ..]}`",
            "spec.jwtRules[0].fromHeaders[0].name: missing: expected a header's name",
            "spec.jwtRules[0].fromHeaders[1].name: expected a header's name, found `a b`",
            "spec.jwtRules[0].fromParams[0]: expected a text, found an empty one",
            "spec.jwtRules[0].outputClaimToHeaders[0].claim: missing: the claim to pass on",
            "spec.jwtRules[0].outputClaimToHeaders[0].header: expected a header's name of letters, digits, `-` and `_`, found `x.y`",
            "spec.jwtRules[0].timeout: expected at least `1ms` and a whole number of milliseconds",
        ]
    );
    assert_eq!(
        rule("{issuer: a, jwksUri: 'ftp://id.io/keys'}").unwrap_err(),
        [
            "spec.jwtRules[0].jwksUri: expected an address that begins with `http://` or `https://`, found `ftp://id.io/keys`"
        ]
    );
    assert_eq!(
        rule("{issuer: a}").unwrap_err(),
        ["spec.jwtRules[0]: asking the issuer where its keys are (OpenID discovery) cannot be carried out"]
    );
    assert_eq!(
        rule("{issuer: a, jwksUri: 'https://user@id.io/keys'}").unwrap_err(),
        [
            "spec.jwtRules[0].jwksUri: keys can be fetched from `http://HOST[:PORT]/..` and `https://HOST[:PORT]/..`, found `https://user@id.io/keys`"
        ]
    );
    assert_eq!(
        bootstrap(&authentication(
            "jwt",
            "istio-system",
            "{selector: {matchLabels: {'*': a}}, targetRefs: [{kind: Pod}]}"
        ))
        .unwrap_err()
        .len(),
        4
    );
}
