//! The bootstrap around listeners and clusters.

use super::{sds, socket_address};
use crate::options::{Options, ProxyChoice};
use serde_json::{Value, json};

/// The labels that counters of the filters have.
const COUNTER_LABELS: [&str; 3] = ["policy", "action", "result"];

pub(crate) fn bootstrap(
    choice: &ProxyChoice,
    options: &Options,
    listeners: Vec<Value>,
    mut clusters: Vec<Value>,
) -> Value {
    clusters.extend(options.sds.as_ref().map(sds::cluster));
    let (namespace, labels) = match choice {
        ProxyChoice::Gateway(labels) => (&options.gateway_namespace, Some(labels)),
        ProxyChoice::Workload(workload) => (&workload.namespace, workload.labels.as_ref()),
    };
    let mut bootstrap = json!({
        "node": {
            "id": options.node_id,
            "cluster": "mesh-policy",
            "metadata": {"NAMESPACE": namespace, "LABELS": labels},
        },
        "layered_runtime": {"layers": [
            {
                "name": "mesh_policy",
                "static_layer": {
                    // As Istio: a fragment in the request target is cut off rather than answered with 400, and long
                    // expressions are not refused.
                    "envoy.reloadable_features.http_reject_path_with_fragment": false,
                    "re2.max_program_size.error_level": 32768,
                },
            },
            {"name": "admin", "admin_layer": {}},
        ]},
        // Labels of the filters' counters stand in their names: `mesh_policy_shadow.policy=.=shop/no-admin;.;..`
        "stats_config": {"stats_tags": COUNTER_LABELS.map(|label| json!({
            "tag_name": label,
            "regex": format!("^wasmcustom\\.mesh_policy_.*?(\\.?{label}=\\.=(.*?);\\.;)"),
        }))},
        "static_resources": {"listeners": listeners, "clusters": clusters},
    });
    if let (Some(admin), Some(object)) = (options.admin, bootstrap.as_object_mut()) {
        let address = socket_address(admin.ip(), admin.port());
        object.insert("admin".to_owned(), json!({"address": address}));
    }
    bootstrap
}
