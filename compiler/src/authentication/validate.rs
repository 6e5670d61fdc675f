//! What Istio's validation refuses in a RequestAuthentication, and what Envoy would.

use mesh_policy_core::authz::Attachment;
use mesh_policy_istio::authentication::{JwtRule, RequestAuthentication};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use serde_json::Value;

/// Reports everything that is wrong with the spec at `at`.
pub(crate) fn validate(policy: &RequestAuthentication, at: &Path, problems: &mut Problems) {
    Attachment::from(policy).check(at, problems);
    for (index, rule) in policy.jwt_rules.iter().enumerate() {
        Rule { at: at.field("jwtRules").index(index), problems }.validate(rule);
    }
}

struct Rule<'p> {
    at: Path,
    problems: &'p mut Problems,
}

impl Rule<'_> {
    fn validate(&mut self, rule: &JwtRule) {
        let is_set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        if !is_set(&rule.issuer) && !is_set(&rule.jwks_uri) {
            self.problems.error(
                self.at.field("issuer"),
                ProblemKind::Missing,
                "missing: a rule has an `issuer` or a `jwksUri`",
            );
        }
        self.entries("audiences", &rule.audiences);
        self.entries("fromParams", &rule.from_params);
        self.entries("fromCookies", &rule.from_cookies);
        self.entries("spaceDelimitedClaims", &rule.space_delimited_claims);
        self.keys(rule);
        for (index, header) in rule.from_headers.iter().enumerate() {
            let at = self.at.field("fromHeaders").index(index).field("name");
            self.header(header.name.as_deref(), at, is_token, "a header's name");
        }
        if is_set(&rule.output_payload_to_header) {
            let at = self.at.field("outputPayloadToHeader");
            self.header(rule.output_payload_to_header.as_deref(), at, is_token, "a header's name");
        }
        for (index, claim) in rule.output_claim_to_headers.iter().enumerate() {
            let at = self.at.field("outputClaimToHeaders").index(index);
            self.header(
                claim.header.as_deref(),
                at.field("header"),
                is_plain_name,
                "a header's name of letters, digits, `-` and `_`",
            );
            if claim.claim.as_deref().is_none_or(str::is_empty) {
                self.problems.error(at.field("claim"), ProblemKind::Missing, "missing: the claim to pass on");
            }
        }
        crate::values::check_duration(rule.timeout, self.at.field("timeout"), self.problems);
    }

    fn entries(&mut self, field: &str, entries: &[String]) {
        for (index, entry) in entries.iter().enumerate() {
            if entry.is_empty() {
                let at = self.at.field(field).index(index);
                self.problems.error(at, ProblemKind::InvalidValue, "expected a text, found an empty one");
            }
        }
    }

    fn header(&mut self, name: Option<&str>, at: Path, legal: fn(&str) -> bool, expected: &str) {
        match name {
            None | Some("") => {
                self.problems.error(at, ProblemKind::Missing, format!("missing: expected {expected}"));
            }
            Some(name) if !legal(name) => {
                let message = format!("expected {expected}, found `{name}`");
                self.problems.error(at, ProblemKind::InvalidValue, message);
            }
            Some(_) => {}
        }
    }

    fn keys(&mut self, rule: &JwtRule) {
        let uri = rule.jwks_uri.as_deref().filter(|uri| !uri.is_empty());
        let jwks = rule.jwks.as_deref().filter(|jwks| !jwks.is_empty());
        if let Some(uri) = uri
            && !uri.starts_with("http://")
            && !uri.starts_with("https://")
        {
            self.problems.error(
                self.at.field("jwksUri"),
                ProblemKind::InvalidValue,
                format!("expected an address that begins with `http://` or `https://`, found `{uri}`"),
            );
        }
        let Some(jwks) = jwks else { return };
        let at = self.at.field("jwks");
        match serde_json::from_str::<Value>(jwks) {
            Err(error) => {
                self.problems.error(at, ProblemKind::InvalidValue, format!("not JSON: {error}"));
            }
            Ok(set) => {
                let keys = set.get("keys").and_then(Value::as_array);
                if keys.is_none_or(|keys| keys.is_empty() || !keys.iter().all(|key| key.get("kty").is_some()))
                {
                    self.problems.error(
                        at,
                        ProblemKind::InvalidValue,
                        "expected a set of keys: `{\"keys\": [{\"kty\": ..}, ..]}`",
                    );
                }
            }
        }
        if uri.is_some() {
            self.problems.warning(
                self.at.field("jwksUri"),
                ProblemKind::Suspicious,
                "has no effect: the keys stand in `jwks`",
            );
        }
    }
}

fn is_plain_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A token as RFC 9110 defines it.
fn is_token(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
