//! The listeners and clusters of a set as the one Envoy has them: under names of their own, and telling what came about.

use super::Engine;
use super::envoy::SERVER;
use super::observe::{CLUSTER, DETAILS, SHADOW_ALLOW, SHADOW_DENY};
use crate::Result;
use crate::certs::Authority;
use crate::config;
use serde_json::{Value, json};

/// Has every response tell the rule that denied it, and what policies on trial would have done.
fn tell_decisions(engine: Engine) -> Value {
    let shadow = |action: &str| match engine {
        Engine::Wasm => format!("%FILTER_STATE(wasm.mesh_policy.authz_shadow_{action}:PLAIN)%"),
        Engine::Native => {
            let key = |what| {
                format!("%DYNAMIC_METADATA(envoy.filters.http.rbac:istio_dry_run_{action}_shadow_{what})%")
            };
            format!("{}:{}", key("engine_result"), key("effective_policy_id"))
        }
    };
    let told = |name: &str, value: String| {
        json!({ "append": {
            "header": { "key": name, "value": value }, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        } })
    };
    json!({
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": { "response_mutations": [
                told(DETAILS, "%RESPONSE_CODE_DETAILS%".to_owned()),
                told(SHADOW_DENY, shadow("deny")),
                told(SHADOW_ALLOW, shadow("allow")),
            ] },
        },
    })
}

/// The listener under a name of its own, taking HTTP/1.0 and lines of the PROXY protocol.
pub(super) fn prepared(listener: &Value, name: &str, engine: Engine) -> Option<Value> {
    let mut listener = listener.clone();
    let proxied = json!({
        "name": "envoy.filters.listener.proxy_protocol",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
            "allow_requests_without_proxy_protocol": true,
        },
    });
    config::merge(&mut listener, &json!({ "name": name, "listener_filters": [proxied] }));
    let manager = config::manager_mut(&mut listener)?;
    let old = json!({ "accept_http_10": true, "default_host_for_http_10": "old.example" });
    config::merge(manager, &json!({ "http_protocol_options": old, "stat_prefix": "differential" }));
    let filters = manager.get_mut("http_filters")?.as_array_mut()?;
    for plugin in filters.iter_mut().filter_map(|filter| filter.pointer_mut("/typed_config/config")) {
        if plugin.get("vm_config").is_some() {
            // The sets share the module's VM; the root id tells them apart in it.
            config::merge(plugin, &json!({ "name": name, "root_id": name }));
        }
    }
    filters.insert(0, tell_decisions(engine));
    Some(listener)
}

pub(crate) fn transport(authority: &Authority) -> Result<Value> {
    Ok(config::mutual_tls(authority, &authority.server(&[SERVER])?))
}

/// The mutation by which a cluster tells its name.
pub(super) fn tell_cluster(name: &Value) -> Value {
    json!({ "append": {
        "header": { "key": CLUSTER, "value": name },
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    } })
}
