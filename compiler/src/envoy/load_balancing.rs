//! Which instance takes a request.

mod consistent_hash;

use super::{duration, put};
use crate::destination::Placed;
use mesh_policy_istio::destination_rule::{LoadBalancerSettings, SimpleLb};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use serde_json::{Map, Value, json};

/// Sets `lb_policy` and what belongs to it; least request unless the settings say otherwise.
pub(crate) fn configure(
    cluster: &mut Map<String, Value>,
    settings: Option<&Placed<'_, LoadBalancerSettings>>,
    has_shares: bool,
    problems: &mut Problems,
) {
    let Some((settings, at)) = settings else {
        put(cluster, "lb_policy", json!("LEAST_REQUEST"));
        return;
    };
    refuse(settings, at, problems);
    if let Some(hash) = &settings.consistent_hash {
        put(cluster, "load_balancing_policy", consistent_hash::policy(hash, has_shares));
        return;
    }
    if has_shares {
        put(cluster, "common_lb_config", json!({"locality_weighted_lb_config": {}}));
    }
    let (policy, field) = match settings.simple.unwrap_or(SimpleLb::Unspecified) {
        SimpleLb::Unspecified | SimpleLb::LeastConn | SimpleLb::LeastRequest | SimpleLb::Passthrough => {
            ("LEAST_REQUEST", Some("least_request_lb_config"))
        }
        SimpleLb::RoundRobin => ("ROUND_ROBIN", Some("round_robin_lb_config")),
        SimpleLb::Random => ("RANDOM", None),
    };
    put(cluster, "lb_policy", json!(policy));
    if let (Some(field), Some(slow_start)) = (field, slow_start(settings)) {
        put(cluster, field, json!({"slow_start_config": slow_start}));
    }
}

/// Whether an instance is chosen by a key.
pub(crate) fn key(settings: &LoadBalancerSettings) -> bool {
    settings.consistent_hash.as_ref().is_some_and(|hash| consistent_hash::key(hash).is_some())
}

fn slow_start(settings: &LoadBalancerSettings) -> Option<Value> {
    let warmup = settings.warmup.as_ref();
    let window = warmup.map_or(settings.warmup_duration_secs, |warmup| warmup.duration)?;
    Some(json!({
        "slow_start_window": duration(window),
        "aggression": {
            "default_value": warmup.and_then(|warmup| warmup.aggression).unwrap_or(1.0),
            "runtime_key": "mesh_policy.slow_start.aggression",
        },
        "min_weight_percent": {"value": warmup.and_then(|warmup| warmup.minimum_percent).unwrap_or(10.0)},
    }))
}

fn refuse(settings: &LoadBalancerSettings, at: &Path, problems: &mut Problems) {
    let mut unsupported = |field: &str, message: &str| {
        problems.error(at.field(field), ProblemKind::Unsupported, message);
    };
    if settings.simple == Some(SimpleLb::Passthrough) {
        unsupported(
            "simple",
            "PASSTHROUGH cannot be carried out: a connection has no destination of the client's own here",
        );
    }
    if settings.zone_aware_lb_setting.is_some() {
        unsupported(
            "zoneAwareLbSetting",
            "balancing by zone cannot be carried out: Envoy has to know how many proxies like this one there are in each zone; \
             `localityLbSetting` prefers what is near",
        );
    }
}
