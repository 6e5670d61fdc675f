//! Rules by the dozen that share what they ask for, and rules with long lists.

use crate::generate::Draw;
use serde_json::{Map, Value, json};

/// More entries than are tried one by one.
const MANY: usize = 20;

/// Of each list the value of this number, or nothing for that field.
fn nth(values: &[&str], at: usize) -> Option<Value> {
    values.get(at).map(|value| json!([value]))
}

/// One policy with a rule for each two or three of some values, one of which may be left out.
pub(super) fn policy(draw: &mut Draw) -> Value {
    let paths = draw.some(
        &["/", "/a", "/a/b", "/a*", "/ab", "*b", "/s/{*}/c", "/{*}/b/{*}", "/a/{**}", "/admin*"],
        3,
        6,
    );
    let groups: [(&str, &str, Vec<&str>); 4] = [
        ("operation", "methods", draw.some(&["GET", "POST", "PUT", "HEAD"], 2, 4)),
        ("source", "namespaces", draw.some(&["shop", "shop*", "batch", "*"], 2, 4)),
        (
            "source",
            "ipBlocks",
            draw.some(&["127.0.0.1", "127.0.0.0/24", "10.0.0.0/8", "::/0", "127.0.0.2"], 2, 4),
        ),
        ("header", "request.headers[x-a]", draw.some(&["1", "2", "a*", "*", "*b"], 2, 4)),
    ];
    let (first, second) = (draw.between(0, 3), draw.between(0, 3));
    let chosen = |at: usize| groups.get(at).map(|(_, _, values)| values.len() + 1).unwrap_or(1);
    let mut rules = Vec::new();
    for at in 0..(paths.len() * chosen(first) * chosen(second)) {
        let mut operation = Map::new();
        let mut source = Map::new();
        let mut when = Vec::new();
        operation.extend(nth(&paths, at % paths.len()).map(|path| ("paths".to_owned(), path)));
        let rest = at / paths.len();
        for (group, at) in [(first, rest % chosen(first)), (second, rest / chosen(first))] {
            let Some((place, field, values)) = groups.get(group) else { continue };
            let Some(value) = nth(values, at) else { continue };
            match *place {
                "operation" => drop(operation.insert((*field).to_owned(), value)),
                "source" => drop(source.insert((*field).to_owned(), value)),
                _ => when.push(json!({ "key": field, "values": value })),
            }
        }
        let mut rule = json!({ "to": [{ "operation": operation }] });
        if let Some(rule) = rule.as_object_mut() {
            if !source.is_empty() {
                rule.insert("from".to_owned(), json!([{ "source": source }]));
            }
            if !when.is_empty() {
                rule.insert("when".to_owned(), Value::Array(when));
            }
        }
        rules.push(rule);
    }
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": { "name": "crowd", "namespace": "shop" },
        "spec": { "action": draw.text(&["ALLOW", "ALLOW", "DENY", "AUDIT"]), "rules": rules },
    })
}

/// Routes for each two or three of some values.
pub(super) fn routes(draw: &mut Draw) -> Vec<Value> {
    let paths =
        draw.one(&[["/", "/a", "/ab", "/a/b"], ["/a", "/b", "/A", "/a/"], ["/a/b", "/a", "/a/b/c", "/x"]]);
    let values = draw.some(&["1", "2", "a", "ab", ""], 2, 4);
    let methods = draw.some(&["GET", "POST", "PUT", "HEAD"], 2, 4);
    let matchers = ["exact", "prefix"];
    let fold = draw.percent(20);
    let mut routes = Vec::new();
    for number in 0..paths.len() * values.len() * methods.len() {
        let (Some(path), Some(value), Some(method)) = (
            paths.get(number % paths.len()),
            values.get(number / paths.len() % values.len()),
            methods.get(number / paths.len() / values.len()),
        ) else {
            continue;
        };
        let mut matched = json!({
            "uri": { draw.one(&matchers): path },
            "method": { "exact": method },
            "ignoreUriCase": fold,
        });
        if let Some(fields) = matched.as_object_mut()
            && !value.is_empty()
        {
            let name = draw.text(&["x-a", "x-a", "x-b"]);
            let field = draw.text(&["headers", "headers", "headers", "queryParams", "withoutHeaders"]);
            fields.insert(field.to_owned(), json!({ name: { draw.one(&matchers): value } }));
        }
        routes.push(json!({
            "name": format!("crowd-{number}"),
            "match": [matched],
            "route": [{ "destination": { "host": "customers" } }],
        }));
    }
    routes
}

/// Makes lists of a policy long: of values, and of alternatives.
pub(super) fn stretch(draw: &mut Draw, resource: &mut Value) {
    let Some(rules) = resource.pointer_mut("/spec/rules").and_then(Value::as_array_mut) else { return };
    for rule in rules.iter_mut().filter_map(Value::as_object_mut) {
        for (group, wrapper) in [("from", "source"), ("to", "operation")] {
            let Some(entries) = rule.get_mut(group).and_then(Value::as_array_mut) else { continue };
            for entry in entries.iter_mut() {
                let Some(fields) = entry.get_mut(wrapper).and_then(Value::as_object_mut) else { continue };
                for (name, values) in fields.iter_mut() {
                    if draw.percent(60) {
                        lengthen(draw, name, values);
                    }
                }
            }
            if draw.percent(30) {
                let field = if group == "from" { "namespaces" } else { "paths" };
                let more: Vec<Value> = (0..MANY)
                    .filter_map(|number| Some(json!({ wrapper: { field: [filler(field, number)?] } })))
                    .collect();
                let place = draw.between(0, entries.len());
                entries.splice(place..place, more);
            }
        }
        let when = rule.get_mut("when").and_then(Value::as_array_mut);
        for entry in when.into_iter().flatten().filter_map(Value::as_object_mut) {
            let key = entry.get("key").and_then(Value::as_str).unwrap_or_default().to_owned();
            for field in ["values", "notValues"] {
                if let Some(values) = entry.get_mut(field)
                    && draw.percent(60)
                {
                    lengthen(draw, &key, values);
                }
            }
        }
    }
}

/// Adds values of the same kind.
fn lengthen(draw: &mut Draw, name: &str, values: &mut Value) {
    let Some(values) = values.as_array_mut() else { return };
    let more: Vec<Value> = (0..MANY).filter_map(|number| filler(name, number)).collect();
    let place = draw.between(0, values.len());
    values.splice(place..place, more);
}

/// A value for a field or a key that hardly any request has; `None` for what lists cannot be long of.
fn filler(name: &str, number: usize) -> Option<Value> {
    let field = name.strip_prefix("not").unwrap_or(name).to_ascii_lowercase();
    Some(match field.as_str() {
        "ipblocks" | "remoteipblocks" | "source.ip" | "remote.ip" | "destination.ip" => {
            json!(format!("10.{number}.0.0/16"))
        }
        "ports" | "destination.port" => json!((9_000 + number).to_string()),
        "paths" => json!(format!("/filler/{number}")),
        "principals" | "source.principal" => json!(format!("cluster.local/ns/filler/sa/{number}")),
        "requestprincipals" | "request.auth.principal" => json!(format!("filler/{number}")),
        "namespaces" | "source.namespace" | "methods" | "hosts" | "connection.sni" => {
            json!(format!("filler{number}"))
        }
        _ if field.starts_with("request.headers") || field.starts_with("request.auth.claims") => {
            json!(format!("filler{number}"))
        }
        _ => return None,
    })
}
