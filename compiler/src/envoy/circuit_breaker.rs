//! Bounds on connections and requests.

use super::{duration, put};
use mesh_policy_istio::decode::Timespan;
use mesh_policy_istio::destination_rule::{ConnectionPoolSettings, RetryBudget, TcpSettings};
use serde_json::{Map, Value, json};

/// Practically none. Always given, as Envoy's own bounds (1024 requests, 3 retries) are far lower than Istio's.
const UNBOUNDED: u32 = u32::MAX;

/// Istio's share of active requests that may be retries, once there is a budget at all.
const RETRY_BUDGET_PERCENT: f64 = 20.0;
const RETRY_BUDGET_CONCURRENCY: u32 = 3;

pub(crate) fn circuit_breakers(pool: Option<&ConnectionPoolSettings>, budget: Option<&RetryBudget>) -> Value {
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let http = pool.and_then(|pool| pool.http.as_ref());
    let bound = |value: Option<i32>| {
        value.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(UNBOUNDED)
    };
    let mut thresholds = json!({
        "max_connections": bound(tcp.and_then(|tcp| tcp.max_connections)),
        "max_pending_requests": bound(http.and_then(|http| http.http1_max_pending_requests)),
        "max_requests": bound(http.and_then(|http| http.http2_max_requests)),
        "max_retries": bound(http.and_then(|http| http.max_retries)),
        "track_remaining": true,
    });
    if let (Some(budget), Some(object)) = (budget, thresholds.as_object_mut()) {
        let mut fields = Map::new();
        let percent = budget.percent.unwrap_or(RETRY_BUDGET_PERCENT);
        put(&mut fields, "budget_percent", json!({"value": percent}));
        let concurrency = budget.min_retry_concurrency.unwrap_or(RETRY_BUDGET_CONCURRENCY);
        put(&mut fields, "min_retry_concurrency", json!(concurrency));
        let interval = budget.budget_interval.filter(|interval| interval.whole_millis() != Some(0));
        put(&mut fields, "budget_interval", interval.map_or(Value::Null, duration));
        object.insert("retry_budget".to_owned(), Value::Object(fields));
    }
    json!({"thresholds": [thresholds]})
}

/// `upstream_connection_options`, or null. The kernel counts in seconds.
pub(crate) fn keepalive(tcp: Option<&TcpSettings>) -> Value {
    let Some(keepalive) = tcp.and_then(|tcp| tcp.tcp_keepalive.as_ref()) else { return Value::Null };
    let mut object = Map::new();
    let mut seconds = |name: &str, span: Option<Timespan>| {
        if let Some(span) = span.and_then(Timespan::duration) {
            // A part of a second counts as a whole one: 0 would mean the kernel's own default.
            let whole = span.as_secs() + u64::from(span.subsec_nanos() > 0);
            object.insert(name.to_owned(), json!(whole));
        }
    };
    seconds("keepalive_time", keepalive.time);
    seconds("keepalive_interval", keepalive.interval);
    if let Some(probes) = keepalive.probes.filter(|probes| *probes > 0) {
        object.insert("keepalive_probes".to_owned(), json!(probes));
    }
    json!({"tcp_keepalive": object})
}
