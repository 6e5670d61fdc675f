//! Envoy's matchers of text.

use mesh_policy_istio::virtual_service::StringMatch;
use serde_json::{Value, json};

/// Envoy's string matcher of a VirtualService's `StringMatch`; `None` when it asks for presence only.
pub(super) fn string(found: &StringMatch) -> Option<Value> {
    match found {
        StringMatch::Present => None,
        // Istio's own mark for presence; not an expression.
        StringMatch::Regex(text) if text == "*" => None,
        StringMatch::Exact(text) => Some(json!({"exact": text})),
        StringMatch::Prefix(text) => Some(json!({"prefix": text})),
        StringMatch::Regex(text) => Some(regex(text)),
    }
}

/// A string matcher by an expression for the whole value.
pub(super) fn regex(expression: &str) -> Value {
    json!({"safe_regex": {"regex": expression}})
}
