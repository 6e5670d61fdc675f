//! Keys that are fetched by https: from whom Envoy takes them, and what becomes of tokens when the keys change.

#![expect(clippy::unwrap_used, reason = "the functions beside the tests belong to them")]

use mesh_policy_compiler::Options;
use mesh_policy_integration::{
    Result,
    certs::Authority,
    client::Request,
    config,
    edge::{Edge, resource},
    tokens::Issuer,
    upstream::Upstream,
    wait,
};
use rcgen::SanType;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

/// Gives the keys of an issuer by https, with a certificate for this name or address.
fn server(authority: &Authority, name: SanType, issuer: &Issuer) -> Result<Upstream> {
    let identity = authority.issue(vec![name])?;
    let server = Upstream::builder("keys").tls(authority.server_config(&identity, false)?).start()?;
    server.answer_with(Some(issuer.keys()));
    Ok(server)
}

fn loopback() -> SanType {
    SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))
}

fn authentication(uri: &str) -> String {
    resource(
        "RequestAuthentication",
        "jwt",
        &format!("{{jwtRules: [{{issuer: 'https://id.io', jwksUri: '{uri}'}}]}}"),
    )
}

fn trusting(authority: &Authority) -> Options {
    Options { jwks_ca: Some(authority.certificate()), ..Options::default() }
}

/// Status and body for a token of this issuer.
fn with_token(edge: &Edge, issuer: &Issuer) -> Result<(u16, String)> {
    let token = issuer.token(&json!({ "sub": "a" }))?;
    let response = edge.send(&Request::get("/").header("authorization", format!("Bearer {token}")))?;
    Ok((response.status, response.text()))
}

const UNVERIFIED: (u16, &str) = (401, "Jwks remote fetch is failed");

#[test]
fn keys_come_by_https_from_a_server_of_a_trusted_root() -> Result<()> {
    let (authority, issuer) = (Authority::new("keys")?, Issuer::new("https://id.io")?);
    let server = server(&authority, loopback(), &issuer)?;
    let policies = authentication(&format!("https://{}/keys", server.address()));
    let edge = Edge::start_with(&policies, trusting(&authority))?;
    assert_eq!(with_token(&edge, &issuer)?.0, 200);
    assert_eq!(with_token(&edge, &Issuer::new("https://id.io")?)?.0, 401);
    let asked = server.requests();
    assert_eq!(asked.first().map(|asked| asked.target.clone()).unwrap(), b"/keys");
    Ok(())
}

#[test]
fn keys_of_a_server_that_is_not_trusted_do_not_count_and_nothing_waits_for_them() -> Result<()> {
    let (authority, strangers) = (Authority::new("keys")?, Authority::new("strangers")?);
    let issuer = Issuer::new("https://id.io")?;
    let good = server(&authority, loopback(), &issuer)?;
    let other_name = server(&authority, SanType::DnsName("keys.test".try_into().unwrap()), &issuer)?;
    let other_address = server(&authority, SanType::IpAddress(IpAddr::from([127, 0, 0, 2])), &issuer)?;
    for (server, roots) in [(&good, &strangers), (&other_name, &authority), (&other_address, &authority)] {
        let policies = authentication(&format!("https://{}/keys", server.address()));
        let edge = Edge::start_with(&policies, trusting(roots))?;
        let (status, text) = with_token(&edge, &issuer)?;
        assert_eq!((status, text.as_str()), UNVERIFIED);
        // Whoever brings no token needs no keys.
        assert_eq!(edge.send(&Request::get("/"))?.status, 200);
        // The handshake failed: nothing was asked.
        assert_eq!(server.count(), 0);
    }
    Ok(())
}

#[test]
fn a_destination_rule_says_how_a_service_with_keys_is_verified() -> Result<()> {
    let (authority, strangers) = (Authority::new("keys")?, Authority::new("strangers")?);
    let issuer = Issuer::new("https://id.io")?;
    let server = server(&authority, SanType::DnsName("keys.test".try_into().unwrap()), &issuer)?;
    let policies = |authority: &Authority| {
        format!(
            "{}apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: keys, namespace: istio-system}}
spec:
  hosts: [keys.test]
  ports: [{{number: 443, name: https, protocol: HTTPS, targetPort: {}}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: keys, namespace: istio-system}}
spec:
  host: keys.test
  trafficPolicy: {{tls: {{mode: SIMPLE, caCertificates: {}, sni: keys.test, subjectAltNames: [keys.test]}}}}
---
",
            authentication("https://keys.test/keys"),
            server.address().port(),
            authority.certificate().display(),
        )
    };
    let edge = Edge::start(&policies(&authority))?;
    assert_eq!(with_token(&edge, &issuer)?.0, 200);
    let edge = Edge::start(&policies(&strangers))?;
    let (status, text) = with_token(&edge, &issuer)?;
    assert_eq!((status, text.as_str()), UNVERIFIED);
    Ok(())
}

/// Has Envoy fetch keys again after this long.
fn cache_for(bootstrap: &mut Value, time: &str) {
    let listener = bootstrap.pointer_mut("/static_resources/listeners/0").unwrap();
    let filters = config::manager_mut(listener).unwrap()["http_filters"].as_array_mut().unwrap();
    let jwt = filters.iter_mut().find(|filter| filter["name"] == "envoy.filters.http.jwt_authn").unwrap();
    let duration = jwt.pointer_mut("/typed_config/providers/origins-0/remote_jwks/cache_duration").unwrap();
    assert_eq!(*duration, "300s");
    *duration = json!(time);
}

#[test]
fn new_keys_count_once_envoy_fetches_again_and_the_old_ones_until_then() -> Result<()> {
    let authority = Authority::new("keys")?;
    let (old, new) = (Issuer::new("https://id.io")?, Issuer::new("https://id.io")?);
    let server = server(&authority, loopback(), &old)?;
    let policies = authentication(&format!("https://{}/keys", server.address()));
    let slow = Edge::start_with(&policies, trusting(&authority))?;
    let fast = Edge::start_edited(&policies, trusting(&authority), |bootstrap| cache_for(bootstrap, "6s"))?;
    for edge in [&slow, &fast] {
        assert_eq!((with_token(edge, &old)?.0, with_token(edge, &new)?.0), (200, 401));
    }
    server.answer_with(Some(new.keys()));
    let fetches = server.count();
    // Envoy fetches five seconds before the cache expires, not when a token names a key that it has not.
    assert_eq!((with_token(&slow, &old)?.0, with_token(&slow, &new)?.0), (200, 401));
    wait::until(wait::PATIENCE, "the new keys", || (with_token(&fast, &new).ok()?.0 == 200).then_some(()))?;
    assert_eq!(with_token(&fast, &old)?.0, 401);
    assert!(server.count() > fetches);
    // While the server fails, what was fetched stays in force, also beyond the six seconds: Envoy asks again every second.
    server.always(Some(503));
    let failed = server.count();
    wait::until(wait::PATIENCE, "another fetch", || (server.count() > failed + 8).then_some(()))?;
    assert_eq!(with_token(&fast, &new)?.0, 200);
    Ok(())
}

#[test]
fn roots_that_cannot_be_read_are_refused() {
    let options = Options { jwks_ca: Some("/nowhere/roots.pem".into()), ..Options::default() };
    let refusal = Edge::start_with(&authentication("https://id.io/keys"), options).unwrap_err().to_string();
    assert!(refusal.contains("/nowhere/roots.pem` does not exist"), "{refusal}");
    assert!(refusal.contains("jwksUri"), "{refusal}");
}
