//! `@request.auth.claims.a.b` and `@request.auth.claims[a][b]`: a token's claim in place of a header's name.

use super::matcher;
use mesh_policy_istio::virtual_service::StringMatch;
use serde_json::{Value, json};

const PREFIX: &str = "@request.auth.claims";

/// The names of nested claims, if `key` means a claim.
pub(super) fn path(key: &str) -> Option<Vec<&str>> {
    let (prefix, rest) = key.split_at_checked(PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let names: Vec<&str> = match rest.strip_prefix('.') {
        Some(names) => names.split('.').collect(),
        None => rest.strip_prefix('[')?.strip_suffix(']')?.split("][").collect(),
    };
    (!names.iter().any(|name| name.is_empty())).then_some(names)
}

/// A matcher of the metadata in which the filter for tokens leaves their claims: a text, or a list with such a text.
pub(super) fn metadata(names: &[&str], value: &StringMatch, invert: bool) -> Value {
    // Presence: whatever text.
    let text = matcher::string(value).unwrap_or_else(|| matcher::regex(".*"));
    let path: Vec<Value> =
        std::iter::once(&"payload").chain(names).map(|name| json!({"key": name})).collect();
    json!({
        "filter": "envoy.filters.http.jwt_authn",
        "path": path,
        "value": {"or_match": {"value_matchers": [
            {"string_match": text},
            {"list_match": {"one_of": {"string_match": text}}},
        ]}},
        "invert": invert,
    })
}
