//! When an instance is put aside.

use super::{duration, put};
use mesh_policy_istio::destination_rule::OutlierDetection;
use serde_json::{Map, Value, json};

/// Sets `outlier_detection` and the panic threshold.
///
/// The block's presence alone, even empty, switches detection on; the panic threshold is then 0, as Envoy's own would send
/// requests to ejected instances once half of them are out.
pub(crate) fn configure(cluster: &mut Map<String, Value>, settings: &OutlierDetection) {
    let OutlierDetection {
        // Has no effect in Istio.
        consecutive_errors: _,
        split_external_local_origin_errors,
        consecutive_local_origin_failures,
        consecutive_gateway_errors,
        consecutive_5xx_errors,
        interval,
        base_ejection_time,
        max_ejection_percent,
        min_health_percent,
        // Goes into the cluster's HTTP options.
        http_error_codes: _,
    } = settings;
    let mut out = Map::new();
    put(&mut out, "enforcing_success_rate", json!(0));
    if let Some(count) = consecutive_5xx_errors {
        put(&mut out, "consecutive_5xx", json!(count));
        put(&mut out, "enforcing_consecutive_5xx", json!(if *count > 0 { 100 } else { 0 }));
    }
    if let Some(count) = consecutive_gateway_errors {
        put(&mut out, "consecutive_gateway_failure", json!(count));
        put(&mut out, "enforcing_consecutive_gateway_failure", json!(if *count > 0 { 100 } else { 0 }));
    }
    if *split_external_local_origin_errors == Some(true) {
        put(&mut out, "split_external_local_origin_errors", json!(true));
        put(&mut out, "enforcing_local_origin_success_rate", json!(0));
        if let Some(count) = consecutive_local_origin_failures.filter(|count| *count > 0) {
            put(&mut out, "consecutive_local_origin_failure", json!(count));
            put(&mut out, "enforcing_consecutive_local_origin_failure", json!(100));
        }
    }
    put(&mut out, "interval", interval.map_or(Value::Null, duration));
    put(&mut out, "base_ejection_time", base_ejection_time.map_or(Value::Null, duration));
    put(&mut out, "max_ejection_percent", json!(max_ejection_percent.filter(|percent| *percent > 0)));
    cluster.insert("outlier_detection".to_owned(), Value::Object(out));
    let common = cluster.entry("common_lb_config").or_insert_with(|| json!({}));
    if let Some(common) = common.as_object_mut() {
        put(common, "healthy_panic_threshold", json!({"value": min_health_percent.unwrap_or(0)}));
    }
}
