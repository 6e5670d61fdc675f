//! The HTTP filters of a listener.

use super::extension;
use crate::options::Modules;
use serde_json::{Value, json};
use std::path::Path;

/// The filters in their order; `plugin_config` is what the Wasm filters enforce, `before` what stands in front of them.
pub(crate) fn http_filters(
    modules: &Modules,
    listener: &str,
    grpc_web: bool,
    plugin_config: &Value,
    before: Vec<Value>,
) -> Vec<Value> {
    let configuration = plugin_config.to_string();
    let wasm = |name: &str, file: &Path| wasm_filter(name, name, file, listener, &configuration);
    let mut filters = before;
    match modules {
        Modules::Fused(file) => filters.push(wasm("mesh_policy", file)),
        Modules::Separate { authz, headers, fault, router } => filters.extend([
            wasm("mesh_authz", authz),
            wasm("mesh_headers", headers),
            wasm("mesh_fault", fault),
            wasm("mesh_router", router),
        ]),
    }
    if grpc_web {
        filters.push(extension(
            "envoy.filters.http.grpc_web",
            "envoy.extensions.filters.http.grpc_web.v3.GrpcWeb",
            json!({}),
        ));
    }
    filters.push(extension(
        "envoy.filters.http.router",
        "envoy.extensions.filters.http.router.v3.Router",
        json!({}),
    ));
    filters
}

/// The instance in front of Envoy's ext_authz filter, which judges CUSTOM policies.
pub(crate) fn custom(modules: &Modules, listener: &str, plugin_config: &Value) -> Value {
    let (name, vm, file) = match modules {
        Modules::Fused(file) => ("mesh_policy_custom", "mesh_policy", file),
        Modules::Separate { authz, .. } => ("mesh_authz_custom", "mesh_authz", authz),
    };
    wasm_filter(name, vm, file, listener, &plugin_config.to_string())
}

/// A module that fails fails closed. `FAIL_RELOAD` does so too, but then starts the module anew, where the default would
/// answer 503 until somebody restarts Envoy.
fn wasm_filter(name: &str, vm: &str, file: &Path, listener: &str, configuration: &str) -> Value {
    extension(
        name,
        "envoy.extensions.filters.http.wasm.v3.Wasm",
        json!({"config": {
            "name": format!("{name}.{listener}"),
            // Listeners share one VM; the root id tells them apart in it.
            "root_id": format!("{name}.{listener}"),
            "failure_policy": "FAIL_RELOAD",
            "vm_config": {
                "vm_id": vm,
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": file}},
            },
            "configuration": {
                "@type": "type.googleapis.com/google.protobuf.StringValue",
                "value": configuration,
            },
        }}),
    )
}
