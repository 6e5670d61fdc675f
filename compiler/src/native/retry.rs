//! Retry policies.

use crate::envoy::{duration, extension, put};
use mesh_policy_istio::virtual_service::HttpRetry;
use serde_json::{Map, Value, json};

const DEFAULT_RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

const STATUS_CODES: &str = "retriable-status-codes";

/// The `retry_policy` of a route; null when nothing is tried again.
pub(super) fn retry_policy(retries: Option<&HttpRetry>) -> Value {
    let mut policy = Map::new();
    let attempts = retries.map_or(2, |retries| retries.attempts.unwrap_or(0));
    if attempts <= 0 {
        return Value::Null;
    }
    let default = HttpRetry::default();
    let retries = retries.unwrap_or(&default);
    put(&mut policy, "num_retries", json!(attempts));
    let (retry_on, codes) = reasons(retries);
    put(&mut policy, "retry_on", json!(retry_on));
    if !codes.is_empty() {
        put(&mut policy, "retriable_status_codes", json!(codes));
    }
    put(&mut policy, "per_try_timeout", retries.per_try_timeout.map_or(Value::Null, duration));
    put(&mut policy, "host_selection_retry_max_attempts", json!("5"));
    if retries.retry_ignore_previous_hosts != Some(false) {
        let predicate = extension(
            "envoy.retry_host_predicates.previous_hosts",
            "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            json!({}),
        );
        put(&mut policy, "retry_host_predicate", json!([predicate]));
    }
    if retries.retry_remote_localities == Some(true) {
        let priority = extension(
            "envoy.retry_priorities.previous_priorities",
            "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            json!({"update_frequency": 2}),
        );
        put(&mut policy, "retry_priority", priority);
    }
    if let Some(interval) = retries.backoff {
        put(&mut policy, "retry_back_off", json!({"base_interval": duration(interval)}));
    }
    Value::Object(policy)
}

/// Envoy's words, and status codes, which Istio takes in the same list.
fn reasons(retries: &HttpRetry) -> (String, Vec<u32>) {
    let mut codes = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    for item in retries.retry_on.as_deref().unwrap_or_default().split(',').map(str::trim) {
        match item.parse() {
            Ok(code) => codes.push(code),
            Err(_) if item.is_empty() => {}
            Err(_) => words.push(item),
        }
    }
    if words.is_empty() && codes.is_empty() {
        words.push(DEFAULT_RETRY_ON);
    }
    for code in &retries.retriable_status_codes {
        if !codes.contains(code) {
            codes.push(*code);
        }
    }
    if !codes.is_empty() && !words.iter().any(|words| words.contains(STATUS_CODES)) {
        words.push(STATUS_CODES);
    }
    (words.join(","), codes)
}
