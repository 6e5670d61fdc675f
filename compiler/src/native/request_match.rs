//! The conditions of a match as Envoy's route match.

use super::{claim, matcher};
use crate::envoy::put;
use mesh_policy_istio::virtual_service::{HttpMatchRequest, StringMatch};
use serde_json::{Map, Value, json};

/// A route match, and whether it holds for every request.
pub(super) struct RequestMatch {
    pub config: Value,
    pub catch_all: bool,
}

/// Of a rule without matches when there is none.
pub(super) fn request_match(found: Option<&HttpMatchRequest>) -> RequestMatch {
    let default = HttpMatchRequest::default();
    let found = found.unwrap_or(&default);
    let mut config = Map::new();
    match &found.uri {
        None | Some(StringMatch::Present) => put(&mut config, "prefix", json!("/")),
        Some(StringMatch::Exact(path)) => put(&mut config, "path", json!(path)),
        Some(StringMatch::Prefix(prefix)) => put(&mut config, "prefix", json!(prefix)),
        Some(StringMatch::Regex(expression)) => {
            put(&mut config, "safe_regex", json!({"regex": expression}));
        }
    }
    let any_path = match &found.uri {
        None | Some(StringMatch::Present) => true,
        Some(StringMatch::Prefix(prefix)) => prefix == "/",
        Some(StringMatch::Regex(expression)) => expression == ".*",
        Some(StringMatch::Exact(_)) => false,
    };
    if found.ignore_uri_case == Some(true) {
        put(&mut config, "case_sensitive", json!(false));
    }
    let (headers, claims) = headers(found);
    let parameters: Vec<Value> = found.query_params.iter().map(|(name, value)| named(name, value)).collect();
    let catch_all = any_path && headers.is_empty() && claims.is_empty() && parameters.is_empty();
    for (name, list) in [("headers", headers), ("dynamic_metadata", claims), ("query_parameters", parameters)]
    {
        if !list.is_empty() {
            put(&mut config, name, Value::Array(list));
        }
    }
    RequestMatch { config: Value::Object(config), catch_all }
}

/// Matchers of headers, and of claims, which are written in their place.
fn headers(found: &HttpMatchRequest) -> (Vec<Value>, Vec<Value>) {
    let (mut headers, mut claims) = (Vec::new(), Vec::new());
    for (name, value) in &found.headers {
        match claim::path(name) {
            Some(names) => claims.push(claim::metadata(&names, value, false)),
            None => headers.push(named(name, value)),
        }
    }
    for (name, value) in &found.without_headers {
        let value = value.as_ref().unwrap_or(&StringMatch::Present);
        match claim::path(name) {
            Some(names) => claims.push(claim::metadata(&names, value, true)),
            None => headers.push(without(name, value)),
        }
    }
    let pseudo = [(":method", &found.method), (":authority", &found.authority), (":scheme", &found.scheme)];
    let pseudo = pseudo.into_iter().filter_map(|(name, value)| Some(named(name, value.as_ref()?)));
    headers.extend(pseudo);
    (headers, claims)
}

fn named(name: &str, value: &StringMatch) -> Value {
    match matcher::string(value) {
        Some(text) => json!({"name": name, "string_match": text}),
        None => json!({"name": name, "present_match": true}),
    }
}

/// An absent header counts as an empty one, unless absence is what is asked for.
fn without(name: &str, value: &StringMatch) -> Value {
    match matcher::string(value) {
        Some(text) => json!({
            "name": name,
            "string_match": text,
            "invert_match": true,
            "treat_missing_header_as_empty": true,
        }),
        None => json!({"name": name, "present_match": true, "invert_match": true}),
    }
}
