//! RequestAuthentication through a real Envoy: what its JWT filter finds out about tokens signed here is what the rules see.

#![expect(clippy::unwrap_used, reason = "a fixture of tests: what it cannot have ends the test that asks")]

use mesh_policy_integration::{
    Result,
    client::Request,
    config,
    edge::{Edge, policy, resource},
    envoy::{self, Envoy},
    tokens::Issuer,
};
use serde_json::json;

fn authentication(name: &str, issuer: &Issuer, more: &str) -> String {
    let spec = format!("{{jwtRules: [{{issuer: '{}', jwks: '{}'{more}}}]}}", issuer.name(), issuer.keys());
    resource("RequestAuthentication", name, &spec)
}

fn with(token: &str) -> Request {
    Request::get("/").header("authorization", format!("Bearer {token}"))
}

fn status(edge: &Edge, request: &Request) -> u16 {
    edge.send(request).unwrap().status
}

#[test]
fn rules_see_the_claims_of_a_verified_token() -> Result<()> {
    let issuer = Issuer::new("https://id.io")?;
    // Each path stands for one way to ask, so that one Envoy answers all of them.
    let rules = [
        ("principal", "from: [{source: {requestPrincipals: ['https://id.io/alice']}}]"),
        ("any-principal", "from: [{source: {requestPrincipals: ['*']}}]"),
        ("not-principal", "from: [{source: {notRequestPrincipals: ['*']}}]"),
        ("issuer", "when: [{key: request.auth.principal, values: ['https://id.io/*']}]"),
        ("audience", "when: [{key: request.auth.audiences, values: [shop]}]"),
        ("presenter", "when: [{key: request.auth.presenter, values: [app]}]"),
        ("claim", "when: [{key: 'request.auth.claims[role]', values: [admin]}]"),
        ("nested", "when: [{key: 'request.auth.claims[realm][roles]', values: [admin]}]"),
        ("scope", "when: [{key: 'request.auth.claims[scope]', values: [read]}]"),
        ("words", "when: [{key: 'request.auth.claims[words]', values: [two]}]"),
        ("sentence", "when: [{key: 'request.auth.claims[sentence]', values: ['one two']}]"),
        ("dotted", "when: [{key: 'request.auth.claims[a.b/c]', values: [x]}]"),
        ("flag", "when: [{key: 'request.auth.claims[flag]', values: ['true', '1', '*']}]"),
        ("not-claim", "when: [{key: 'request.auth.claims[role]', notValues: [admin]}]"),
    ];
    let rules: Vec<String> = rules
        .iter()
        .map(|(path, rule)| format!("{{to: [{{operation: {{paths: [/{path}]}}}}], {rule}}}"))
        .collect();
    let edge = Edge::start(&format!(
        "{}{}",
        authentication("jwt", &issuer, ", spaceDelimitedClaims: [words]"),
        policy("claims", &format!("{{rules: [{}]}}", rules.join(", ")))
    ))?;
    let alice = json!({
        "sub": "alice", "aud": ["other", "shop"], "azp": "app", "role": ["user", "admin"],
        "realm": {"roles": ["admin"], "n": 1}, "scope": "read write", "words": "one two", "sentence": "one two",
        "a.b/c": "x", "flag": true,
    });
    let bob = json!({
        "sub": "bob", "aud": "else", "azp": "else", "role": "admins", "realm": {"roles": "user"}, "scope": "readwrite",
        "words": "onetwo", "sentence": "one", "flag": 1,
    });
    let ask = |path: &str, token: Option<&str>| {
        let request = Request::get(format!("/{path}"));
        let request = match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        };
        edge.send(&request).unwrap().status
    };
    let (alice, bob) = (issuer.token(&alice)?, issuer.token(&bob)?);
    let mut found = Vec::new();
    let paths = [
        "principal",
        "any-principal",
        "not-principal",
        "issuer",
        "audience",
        "presenter",
        "claim",
        "nested",
        "scope",
        "words",
        "sentence",
        "dotted",
        "flag",
        "not-claim",
    ];
    for path in paths {
        found.push((path, ask(path, Some(&alice)), ask(path, Some(&bob)), ask(path, None)));
    }
    assert_eq!(
        found,
        [
            ("principal", 200, 403, 403),
            ("any-principal", 200, 200, 403),
            ("not-principal", 403, 403, 200),
            ("issuer", 200, 200, 403),
            ("audience", 200, 403, 403),
            ("presenter", 200, 403, 403),
            ("claim", 200, 403, 403),
            ("nested", 200, 403, 403),
            ("scope", 200, 403, 403),
            ("words", 200, 403, 403),
            ("sentence", 200, 403, 403),
            ("dotted", 200, 403, 403),
            ("flag", 403, 403, 403),
            ("not-claim", 403, 200, 200),
        ]
    );
    Ok(())
}

#[test]
fn a_token_that_is_not_good_is_401_and_none_passes_without_identity() -> Result<()> {
    let (issuer, stranger) = (Issuer::new("https://id.io")?, Issuer::new("https://id.io")?);
    let edge = Edge::start(&authentication("jwt", &issuer, ", audiences: [shop]"))?;
    let good = issuer.token(&json!({"sub": "a", "aud": "shop"}))?;
    let expired = issuer.token(&json!({"sub": "a", "aud": "shop", "exp": 1_000_000_000}))?;
    let forged = stranger.token(&json!({"sub": "a", "aud": "shop"}))?;
    let audience = issuer.token(&json!({"sub": "a", "aud": "other"}))?;
    let (head, _) = good.rsplit_once('.').unwrap();
    let unsigned = format!("{head}.");
    for (token, expected) in [
        (good.as_str(), 200),
        (&expired, 401),
        (&forged, 401),
        (&audience, 403),
        (&unsigned, 401),
        ("x", 401),
    ] {
        assert_eq!(status(&edge, &with(token)), expected, "{token}");
    }
    assert_eq!(status(&edge, &Request::get("/")), 200);
    // A preflight has no token of its own, and a bad one beside it is nobody's business.
    let preflight = Request::new("OPTIONS", "/")
        .header("origin", "https://shop.io")
        .header("access-control-request-method", "GET")
        .header("authorization", "Bearer x");
    assert_eq!(status(&edge, &preflight), 200);
    Ok(())
}

#[test]
fn tokens_are_found_where_the_rule_says_and_go_upstream_only_if_it_says_so() -> Result<()> {
    let issuer = Issuer::new("https://id.io")?;
    let rule = ", fromHeaders: [{name: x-token, prefix: 'T '}], fromParams: [token], fromCookies: [session], \
                outputPayloadToHeader: x-payload, outputClaimToHeaders: [{header: x-role, claim: realm.role}]";
    let edge = Edge::start(&format!(
        "{}{}",
        authentication("jwt", &issuer, rule),
        policy("token", "{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}")
    ))?;
    let token = issuer.token(&json!({"sub": "a", "realm": {"role": "admin"}}))?;
    for (request, expected) in [
        (Request::get("/").header("x-token", format!("T {token}")), 200),
        (Request::get(format!("/?token={token}")), 200),
        (Request::get("/").header("cookie", format!("session={token}")), 200),
        // Nowhere else once the rule names places.
        (with(&token), 403),
    ] {
        assert_eq!(status(&edge, &request), expected, "{request:?}");
    }
    // What a client claims to have been proved does not count.
    let forged = Request::get("/").header("x-token", format!("T {token}")).header("x-role", "root");
    let echo = edge.send(&forged)?.echo()?;
    assert_eq!(echo.header("x-token"), None);
    assert_eq!(echo.header("x-role").as_deref(), Some("admin"));
    assert_eq!(echo.header("x-payload").as_deref(), token.split('.').nth(1));

    let forwarding = Edge::start(&authentication("jwt", &issuer, ", forwardOriginalToken: true"))?;
    let echo = forwarding.send(&with(&token))?.echo()?;
    assert_eq!(echo.header("authorization"), Some(format!("Bearer {token}")));
    Ok(())
}

#[test]
fn with_two_issuers_a_good_token_of_either_passes_and_a_bad_one_does_not() -> Result<()> {
    let (one, two, stranger) = (Issuer::new("one")?, Issuer::new("two")?, Issuer::new("three")?);
    let edge = Edge::start(&format!(
        "{}{}{}",
        authentication("one", &one, ""),
        authentication("two", &two, ""),
        policy(
            "who",
            "{rules: [{to: [{operation: {paths: [/one]}}], from: [{source: {requestPrincipals: [one/a]}}]}, \
             {to: [{operation: {paths: [/two]}}], from: [{source: {requestPrincipals: [two/a]}}]}, \
             {to: [{operation: {paths: [/open]}}]}]}"
        )
    ))?;
    let claims = json!({"sub": "a"});
    let (one, two, stranger) = (one.token(&claims)?, two.token(&claims)?, stranger.token(&claims)?);
    let ask = |path: &str, token: Option<&str>| {
        let request = Request::get(path);
        let token = token.map(|token| format!("Bearer {token}"));
        status(&edge, &token.map_or(request.clone(), |token| request.header("authorization", token)))
    };
    assert_eq!([ask("/one", Some(&one)), ask("/two", Some(&two))], [200, 200]);
    assert_eq!([ask("/one", Some(&two)), ask("/two", Some(&one))], [403, 403]);
    assert_eq!([ask("/open", Some(&stranger)), ask("/open", Some("x"))], [401, 401]);
    assert_eq!([ask("/open", None), ask("/one", None)], [200, 403]);
    Ok(())
}

#[test]
fn keys_are_fetched_before_the_first_request() -> Result<()> {
    let (issuer, stranger) = (Issuer::new("https://id.io")?, Issuer::new("https://id.io")?);
    let routes = config::routes(&[config::direct_response("/keys", 200, &issuer.keys())]);
    let server = Envoy::start(
        &config::bootstrap(&[config::listener("keys", &[], &routes)], &[]),
        &envoy::Options::default(),
    )?;
    let uri = format!("http://{}/keys", server.listener("keys")?);
    let spec = format!("{{jwtRules: [{{issuer: 'https://id.io', jwksUri: '{uri}'}}]}}");
    let edge = Edge::start(&resource("RequestAuthentication", "jwt", &spec))?;
    let claims = json!({"sub": "a"});
    assert_eq!(status(&edge, &with(&issuer.token(&claims)?)), 200);
    assert_eq!(status(&edge, &with(&stranger.token(&claims)?)), 401);
    // Without its keys a token proves nothing, and a request without a token needs none. Nobody listens on port 1.
    let spec = "{jwtRules: [{issuer: 'https://id.io', jwksUri: 'http://127.0.0.1:1/keys'}]}";
    let edge = Edge::start(&resource("RequestAuthentication", "jwt", spec))?;
    assert_eq!(status(&edge, &with(&issuer.token(&claims)?)), 401);
    assert_eq!(status(&edge, &Request::get("/")), 200);
    Ok(())
}
