//! RequestAuthentication: validated as Istio does, and carried out by Envoy's own JWT filter in front of ours.
//!
//! Tokens are never verified here: the filter publishes the payload of a verified token, and the rules read that.

mod keys;
mod validate;

use crate::envoy::{duration, extension, put};
use crate::options::Options;
use crate::source::Sources;
use keys::Keys;
use mesh_policy_core::authz::Scope;
use mesh_policy_core::proxy::{ProxyContext, ProxyRole};
use mesh_policy_istio::authentication::JwtRule;
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Spec;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(crate) use validate::validate;

const FILTER: &str = "envoy.filters.http.jwt_authn";

/// The key of the filter's metadata under which the payload of a verified token stands, as Istio names it.
const PAYLOAD: &str = "payload";

/// Claims that are lists separated by spaces, without being named.
const SPACE_DELIMITED: [&str; 2] = ["scope", "permission"];

/// Envoy's JWT filter for this proxy, when any RequestAuthentication with rules applies to it; clusters that its keys come
/// from are added to `clusters`, by name. It belongs in front of everything that asks what a token says.
///
/// Rules whose keys cannot be had are errors in `problems`.
pub fn filter(
    sources: &Sources,
    proxy: &ProxyContext,
    options: &Options,
    clusters: &mut BTreeMap<String, Value>,
    problems: &mut Problems,
) -> Option<Value> {
    let rules = rules(sources, proxy);
    if rules.is_empty() {
        return None;
    }
    let mut keys = Keys { roots: options.jwks_ca.as_deref(), clusters, problems };
    let mut providers = Map::new();
    for (index, (rule, at)) in rules.iter().enumerate() {
        let Some((name, value)) = keys.of(rule, at) else { continue };
        let mut provider = provider(rule);
        if matches!(proxy.role, ProxyRole::Gateway(_)) {
            // Envoy has chosen a route before this filter runs; claims, and headers made of them, may call for another.
            put(&mut provider, "clear_route_cache", json!(true));
        }
        put(&mut provider, name, value);
        providers.insert(provider_name(index), Value::Object(provider));
    }
    Some(extension(
        FILTER,
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        json!({
            "providers": providers,
            "rules": [{"match": {"prefix": "/"}, "requires": requirement(rules.len())}],
            "bypass_cors_preflight": true,
        }),
    ))
}

/// The rules of all policies that apply, by issuer.
fn rules<'s>(sources: &'s Sources, proxy: &ProxyContext) -> Vec<(&'s JwtRule, Path)> {
    let mut rules = Vec::new();
    for resource in sources.resources() {
        let Spec::RequestAuthentication(policy) = &resource.spec else { continue };
        if Scope::of(policy, resource.namespace(), proxy) == Scope::Applies {
            let at = resource.spec_path().field("jwtRules");
            rules.extend(policy.jwt_rules.iter().enumerate().map(|(i, rule)| (rule, at.index(i))));
        }
    }
    rules.sort_by(|(a, _), (b, _)| a.issuer.cmp(&b.issuer));
    rules
}

fn provider_name(index: usize) -> String {
    format!("origins-{index}")
}

fn provider(rule: &JwtRule) -> Map<String, Value> {
    let mut provider = Map::new();
    let text = |text: &Option<String>| json!(text.as_deref().filter(|text| !text.is_empty()));
    let list = |entries: &[String]| if entries.is_empty() { Value::Null } else { json!(entries) };
    put(&mut provider, "issuer", text(&rule.issuer));
    put(&mut provider, "audiences", list(&rule.audiences));
    put(&mut provider, "forward", json!(rule.forward_original_token.unwrap_or(false)));
    put(&mut provider, "forward_payload_header", text(&rule.output_payload_to_header));
    put(&mut provider, "payload_in_metadata", json!(PAYLOAD));
    let delimited: Vec<&str> =
        SPACE_DELIMITED.into_iter().chain(rule.space_delimited_claims.iter().map(String::as_str)).collect();
    put(&mut provider, "normalize_payload_in_metadata", json!({"space_delimited_claims": delimited}));
    let headers: Vec<Value> = rule
        .from_headers
        .iter()
        .map(|header| json!({"name": header.name, "value_prefix": header.prefix.as_deref().unwrap_or_default()}))
        .collect();
    if !headers.is_empty() {
        put(&mut provider, "from_headers", json!(headers));
    }
    put(&mut provider, "from_params", list(&rule.from_params));
    put(&mut provider, "from_cookies", list(&rule.from_cookies));
    let claims: Vec<Value> = rule
        .output_claim_to_headers
        .iter()
        .map(|claim| json!({"header_name": claim.header, "claim_name": claim.claim}))
        .collect();
    if !claims.is_empty() {
        put(&mut provider, "claim_to_headers", json!(claims));
    }
    provider
}

/// A token that is there must be good; none at all passes.
///
/// With several issuers one good token is enough, whatever the others think of it. That comes first, because issuers that
/// look in one place each refuse the tokens of the others; what follows it lets requests pass that have no token anywhere.
fn requirement(providers: usize) -> Value {
    let accepted = |index| json!({"provider_name": provider_name(index)});
    let accepted_or_missing =
        |index| json!({"requires_any": {"requirements": [accepted(index), {"allow_missing": {}}]}});
    if providers == 1 {
        return accepted_or_missing(0);
    }
    let all: Vec<Value> = (0..providers).map(accepted_or_missing).collect();
    let mut any: Vec<Value> = (0..providers).map(accepted).collect();
    any.push(json!({"requires_all": {"requirements": all}}));
    json!({"requires_any": {"requirements": any}})
}

#[cfg(test)]
mod tests;
