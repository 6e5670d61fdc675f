//! Cross-origin rules of a route.

use super::fault::per_hundred;
use super::matcher;
use crate::envoy::{put, typed};
use mesh_policy_istio::virtual_service::{CorsPolicy, UnmatchedPreflights};
use serde_json::{Map, Value, json};

/// The configuration of Envoy's CORS filter for one route.
pub(super) fn cors(policy: &CorsPolicy) -> Value {
    let origins: Vec<Value> = if policy.allow_origins.is_empty() {
        policy.allow_origin.iter().map(|origin| json!({"exact": origin})).collect()
    } else {
        policy.allow_origins.iter().filter_map(matcher::string).collect()
    };
    let mut config = Map::new();
    put(&mut config, "allow_origin_string_match", Value::Array(origins));
    put(&mut config, "filter_enabled", json!({"default_value": per_hundred(100)}));
    for (name, list) in [
        ("allow_methods", &policy.allow_methods),
        ("allow_headers", &policy.allow_headers),
        ("expose_headers", &policy.expose_headers),
    ] {
        if !list.is_empty() {
            put(&mut config, name, json!(list.join(",")));
        }
    }
    let age = policy.max_age.and_then(|age| age.whole_millis()).map(|millis| (millis / 1000).to_string());
    put(&mut config, "max_age", json!(age));
    put(&mut config, "allow_credentials", json!(policy.allow_credentials));
    let forward = policy.unmatched_preflights != Some(UnmatchedPreflights::Ignore);
    put(&mut config, "forward_not_matching_preflights", json!(forward));
    typed("envoy.extensions.filters.http.cors.v3.CorsPolicy", Value::Object(config))
}
