//! Header operations as Envoy's lists.

use crate::envoy::put;
use mesh_policy_istio::virtual_service::{HeaderOperations, Headers};
use serde_json::{Map, Value, json};

/// Names that stand for the authority.
const AUTHORITY: [&str; 2] = ["host", ":authority"];

/// Puts the operations of these blocks, in this order, where Envoy's routes and weighted clusters have theirs.
pub(super) fn put_operations(into: &mut Map<String, Value>, blocks: &[Option<&Headers>]) {
    let direction = |of: fn(&Headers) -> Option<&HeaderOperations>| -> Vec<&HeaderOperations> {
        blocks.iter().flatten().filter_map(|headers| of(headers)).collect()
    };
    let directions = [
        ("request", direction(|headers| headers.request.as_ref())),
        ("response", direction(|headers| headers.response.as_ref())),
    ];
    for (name, blocks) in directions {
        let added: Vec<Value> = blocks.iter().flat_map(|block| additions(block)).collect();
        if !added.is_empty() {
            put(into, &format!("{name}_headers_to_add"), Value::Array(added));
        }
        let removed: Vec<&String> =
            blocks.iter().flat_map(|block| &block.remove).filter(|name| is_plain(name)).collect();
        if !removed.is_empty() {
            put(into, &format!("{name}_headers_to_remove"), json!(removed));
        }
    }
}

/// The authority that the request operations write: `set` counts before `add`.
pub(super) fn authority(headers: Option<&Headers>) -> Option<&str> {
    let request = headers?.request.as_ref()?;
    [&request.set, &request.add]
        .into_iter()
        .flatten()
        .find(|(name, _)| is_authority(name))
        .map(|(_, value)| value.as_str())
}

fn is_authority(name: &str) -> bool {
    AUTHORITY.iter().any(|authority| name.eq_ignore_ascii_case(authority))
}

/// Whether this is a header that may be changed as such.
fn is_plain(name: &str) -> bool {
    !name.starts_with(':') && !is_authority(name)
}

/// Envoy itself overwrites before it appends. It leaves a header alone when the value comes out empty.
fn additions(block: &HeaderOperations) -> impl Iterator<Item = Value> {
    let all = [(&block.set, "OVERWRITE_IF_EXISTS_OR_ADD"), (&block.add, "APPEND_IF_EXISTS_OR_ADD")];
    all.into_iter().flat_map(|(values, action)| {
        values.iter().filter(|(name, _)| is_plain(name)).map(
            move |(name, value)| json!({"header": {"key": name, "value": value}, "append_action": action}),
        )
    })
}
