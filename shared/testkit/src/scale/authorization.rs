//! One ALLOW policy for each rule: policies are tried in the order of their names.

use super::{TENANT, header, path, prefix as path_prefix, tenant};
use crate::generate::{Peer, Probe};
use serde_json::{Value, json};

fn policy(namespace: &str, rule: usize, fields: &Value) -> Value {
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": { "name": format!("rule-{rule:05}"), "namespace": namespace },
        "spec": { "action": "ALLOW", "rules": [fields] },
    })
}

/// A method and a path prefix.
pub(super) fn prefix(namespace: &str, rule: usize) -> Value {
    policy(namespace, rule, &operation(format!("{}*", path_prefix(rule))))
}

fn operation(path: String) -> Value {
    json!({ "to": [{ "operation": { "methods": ["GET"], "paths": [path] } }] })
}

/// What a rule asks for.
pub(super) fn mixed(rule: usize) -> Value {
    let fields = match rule % 10 {
        0..=2 => operation(format!("/orders/{rule:05}/status")),
        3..=5 => operation(format!("{}*", path_prefix(rule))),
        6 if rule % 20 < 10 => operation(format!("/tenants/{{*}}/report-{rule:05}")),
        6 => operation(format!("*/export-{rule:05}.csv")),
        7 => {
            json!({ "when": [{ "key": format!("request.headers[{TENANT}]"), "values": [tenant(rule)] }] })
        }
        _ => json!({
            "from": [{ "source": { "principals": [format!("cluster.local/ns/shop/sa/client-{rule:05}")] } }],
            "to": [{ "operation": { "methods": ["GET"] } }],
        }),
    };
    policy("shop", rule, &fields)
}

/// Makes `request` one that meets the rule.
pub(super) fn meet(rule: usize, request: &mut Probe) {
    match rule % 10 {
        0..=2 => request.target = format!("/orders/{rule:05}/status?verbose=1").into_bytes(),
        3..=5 => request.target = path(rule),
        6 if rule % 20 < 10 => request.target = format!("/tenants/acme/report-{rule:05}").into_bytes(),
        6 => request.target = format!("/files/2026/export-{rule:05}.csv").into_bytes(),
        7 => header(request, TENANT, tenant(rule)),
        _ => {
            let identity = format!("spiffe://cluster.local/ns/shop/sa/client-{rule:05}");
            request.peer = Peer::Mutual(vec![identity]);
        }
    }
}
