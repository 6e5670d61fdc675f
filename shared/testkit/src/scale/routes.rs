//! One VirtualService with many rules.

use super::{HOST, TENANT, VERSION, header, path, prefix, tenant};
use crate::generate::Probe;
use serde_json::{Map, Value, json};

fn virtual_service(rules: impl Iterator<Item = Value>) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": { "name": "scale", "namespace": "default" },
        "spec": { "hosts": [HOST], "gateways": ["default/edge"], "http": rules.collect::<Vec<_>>() },
    })
}

fn route(number: usize, matched: Value) -> Map<String, Value> {
    let subset = if number.is_multiple_of(2) { "v1" } else { "v2" };
    let mut rule = Map::new();
    rule.insert("name".to_owned(), json!(format!("rule-{number:05}")));
    rule.insert("match".to_owned(), Value::Array(vec![matched]));
    rule.insert(
        "route".to_owned(),
        json!([{ "destination": { "host": "customers", "subset": subset, "port": { "number": 80 } } }]),
    );
    rule
}

fn prefix_and_header(number: usize) -> Map<String, Value> {
    let headers = json!({ VERSION: { "exact": "v1" } });
    route(number, json!({ "uri": { "prefix": prefix(number) }, "headers": headers }))
}

/// A path prefix and a header in each rule.
pub(super) fn prefixes(rules: usize) -> Value {
    virtual_service((0..rules).map(|number| Value::Object(prefix_and_header(number))))
}

/// The same, with operations on headers, and a delay in each tenth rule.
pub(super) fn full(rules: usize) -> Value {
    virtual_service((0..rules).map(|number| {
        let mut rule = prefix_and_header(number);
        let headers = json!({
            "request": { "set": { "x-rule": format!("rule-{number:05}") }, "remove": ["x-debug"] },
            "response": { "add": { "x-served-by": "edge" } },
        });
        rule.insert("headers".to_owned(), headers);
        if number.is_multiple_of(10) {
            let delay = json!({ "percentage": { "value": 0.01 }, "fixedDelay": "1ms" });
            rule.insert("fault".to_owned(), json!({ "delay": delay }));
        }
        Value::Object(rule)
    }))
}

/// Rules of all kinds.
pub(super) fn mixed(rules: usize) -> Value {
    virtual_service((0..rules).map(|number| {
        let matched = match number % 10 {
            0..=3 => json!({ "uri": { "exact": format!("/orders/{number:05}/status") } }),
            4..=6 => json!({ "uri": { "prefix": prefix(number) } }),
            7 => json!({ "uri": { "regex": format!("/items-{number:05}/[0-9]+(/reviews)?") } }),
            _ => json!({ "headers": { TENANT: { "exact": tenant(number) } } }),
        };
        Value::Object(route(number, matched))
    }))
}

/// Makes `request` one that meets the rule of [`mixed`].
pub(super) fn meet(rule: usize, request: &mut Probe) {
    match rule % 10 {
        0..=3 => request.target = format!("/orders/{rule:05}/status?verbose=1").into_bytes(),
        4..=6 => request.target = path(rule),
        7 => request.target = format!("/items-{rule:05}/4711/reviews").into_bytes(),
        _ => header(request, TENANT, tenant(rule)),
    }
}
