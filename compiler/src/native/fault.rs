//! Faults of a route, and shares of requests.

use crate::envoy::{duration, put, typed};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::{HttpFaultInjection, Percent};
use serde_json::{Map, Value, json};

/// gRPC's statuses by number.
const GRPC_STATUSES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The configuration of Envoy's fault filter for one route; `None` when there is nothing to inject.
pub(super) fn fault(fault: &HttpFaultInjection, path: &Path, problems: &mut Problems) -> Option<Value> {
    let mut config = Map::new();
    if let Some((delay, fixed)) = fault.delay.as_ref().and_then(|delay| Some((delay, delay.fixed_delay?))) {
        // Without any share nothing is delayed.
        let share = match &delay.percentage {
            Some(percentage) => per_million(percentage),
            None => per_hundred(delay.percent.and_then(|share| u32::try_from(share).ok()).unwrap_or(0)),
        };
        put(&mut config, "delay", json!({"fixed_delay": duration(fixed), "percentage": share}));
    }
    if let Some(abort) = &fault.abort {
        let mut settings = Map::new();
        put(&mut settings, "http_status", json!(abort.http_status));
        if let Some(name) = &abort.grpc_status {
            match GRPC_STATUSES.iter().position(|status| status == name) {
                Some(number) => put(&mut settings, "grpc_status", json!(number)),
                None => {
                    let message = format!("`{name}` is no status of gRPC");
                    let at = path.field("abort").field("grpcStatus");
                    problems.error(at, ProblemKind::InvalidValue, message);
                }
            }
        }
        if !settings.is_empty() {
            let share = abort.percentage.as_ref().map_or_else(|| per_hundred(0), per_million);
            put(&mut settings, "percentage", share);
            put(&mut config, "abort", Value::Object(settings));
        }
    }
    let kind = "envoy.extensions.filters.http.fault.v3.HTTPFault";
    (!config.is_empty()).then(|| typed(kind, Value::Object(config)))
}

/// Istio cuts what is finer than one in a million.
pub(super) fn per_million(share: &Percent) -> Value {
    let share = (share.value.unwrap_or(0.0) * 10_000.0).clamp(0.0, 1_000_000.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to a million, and the fraction is to be cut"
    )]
    let numerator = share as u32;
    json!({"numerator": numerator, "denominator": "MILLION"})
}

pub(super) fn per_hundred(share: u32) -> Value {
    json!({"numerator": share, "denominator": "HUNDRED"})
}
