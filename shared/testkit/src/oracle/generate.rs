//! Crowds: many rules that share keys, nest them and nearly have them.

mod crowd;

use super::{Asked, Crowd};
use crate::generate::{self, Draw};
use serde_json::{Map, Value, json};

/// Authorization policies for a workload, with this many requests.
#[must_use]
pub fn authorization(seed: u64, requests: usize) -> Crowd {
    let mut draw = Draw::new(seed);
    let policies = draw.between(1, 24);
    let set = generate::authorization::of(&mut draw, policies, requests);
    let mut resources = set.resources;
    // One action more often than the others, so that its rules are many.
    let action = draw.text(&["", "", "ALLOW", "DENY", "AUDIT"]);
    if !action.is_empty() {
        for resource in &mut resources {
            if let Some(spec) = resource.pointer_mut("/spec").and_then(Value::as_object_mut)
                && spec.contains_key("rules")
            {
                spec.insert("action".to_owned(), json!(action));
            }
        }
    }
    for resource in &mut resources {
        odd_rules(&mut draw, resource);
        if draw.percent(25) {
            crowd::stretch(&mut draw, resource);
        }
    }
    if draw.percent(40) {
        resources.push(crowd::policy(&mut draw));
    }
    if action == "AUDIT" {
        for resource in &mut resources {
            if let Some(metadata) = resource.pointer_mut("/metadata").and_then(Value::as_object_mut) {
                metadata.remove("annotations");
            }
        }
    }
    let asked = set.probes.into_iter().map(|probe| Asked::draw(&mut draw, probe)).collect();
    Crowd { workload: set.workload, resources, asked }
}

/// Paths that share beginnings, and ends.
const PATHS: &[&str] = &[
    "/", "/a", "/ab", "/a/b", "/a/b/c", "/a*", "/a/b*", "/a/b/c*", "/*", "*/c", "*c", "*b/c", "*/b",
    "/a/{*}/c", "/{*}/b", "/{*}/{*}", "/{**}/c", "/s/{*}/c", "/a/{**}", "*", "/A*",
];

/// Adds rules of a kind that is rare otherwise.
fn odd_rules(draw: &mut Draw, resource: &mut Value) {
    let Some(rules) = resource.pointer_mut("/spec/rules").and_then(Value::as_array_mut) else { return };
    for _ in 0..draw.between(0, 3) {
        rules.push(match draw.between(0, 4) {
            0 => json!({ "to": [{ "operation": { "paths": draw.some(PATHS, 1, 4) } }] }),
            1 => json!({ "to": [
                { "operation": { "paths": draw.some(PATHS, 1, 2), "methods": ["GET"] } },
                { "operation": { "notPaths": draw.some(PATHS, 1, 2), "hosts": ["*.shop"] } },
            ] }),
            2 => {
                let key = draw.text(&["group", "aud", "scope", "group][nested"]);
                let values = draw.some(&["1", "admin", "*", "a*", "*in", "read", "b"], 1, 2);
                json!({ "when": [{ "key": format!("request.auth.claims[{key}]"), "values": values }] })
            }
            3 => {
                let values = draw.some(&["*", "iss/sub", "iss/*", "*/sub", "iss", "iss/su*", "i*"], 1, 2);
                json!({ "from": [{ "source": { "requestPrincipals": values } }] })
            }
            _ => {
                let accounts = draw.some(&["web", "shop/web", "batch/runner", "y/web", "ns/web"], 1, 2);
                json!({ "from": [{ "source": { "serviceAccounts": accounts } }] })
            }
        });
    }
}

/// One VirtualService with many matches, with this many requests.
#[must_use]
pub fn routing(seed: u64, requests: usize) -> Crowd {
    let mut draw = Draw::new(seed);
    let mut rules: Vec<Value> = (0..draw.between(1, 30)).map(|number| rule(&mut draw, number)).collect();
    if draw.percent(40) {
        let more = crowd::routes(&mut draw);
        let place = draw.between(0, rules.len());
        rules.splice(place..place, more);
    }
    let spec = json!({ "hosts": ["a.example", "*.a.example"], "gateways": ["default/edge"], "http": rules });
    let resource = json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": { "name": "crowd", "namespace": "default" },
        "spec": spec,
    });
    let asked = (0..requests)
        .map(|_| {
            let mut probe = generate::routing::probe(&mut draw);
            if draw.percent(80) {
                probe.authority = Some(draw.text(&["a.example", "A.Example:80", "b.a.example"]).into());
            }
            Asked::draw(&mut draw, probe)
        })
        .collect();
    let workload = json!({
        "namespace": "istio-system",
        "labels": { "istio": "ingressgateway" },
        "gateways": ["default/edge"],
        "port": 80,
    });
    // Without a port each request must tell its own.
    let mut workload = workload;
    if draw.percent(30)
        && let Some(workload) = workload.as_object_mut()
    {
        workload.remove("port");
    }
    Crowd { workload: Some(workload), resources: vec![resource], asked }
}

/// Expressions of which the literals are not plain to see.
const REGEXES: &[&str] = &[
    "/a|/b",
    "a|b",
    "(?i)/A",
    "(?i)/a/b",
    "^/a",
    "^/a$|/b/1",
    "/a?",
    "/ab?c*",
    "/(a|b)/.*",
    ".*/c",
    ".*b",
    "/a/.*/c",
    "[/]a",
    "/[ab]",
    "/[ab]/[bc]?",
    "/a{1,2}.*",
    "(/a)?/b",
    "/a(?:/b)?(?:/c)?",
    "\\Q/a\\E.*",
    "/a\\b.*",
    "(?s).*",
    "/./b",
    "(/a|)",
    "/a+",
    "(?:/a/b|/a).*",
    "/a$",
    "\\/a",
    "(?i:/a)/b",
    "(?m)^/a",
    "/[^a].*",
    "/\\x61",
    "|/a",
    "/a{0}.*",
    "(/a/b){1}",
];

fn rule(draw: &mut Draw, number: usize) -> Value {
    let mut matches = generate::routing::matches(draw);
    for matched in &mut matches {
        let Some(fields) = matched.as_object_mut() else { continue };
        if draw.percent(25) {
            fields.insert("uri".to_owned(), json!({ "regex": draw.text(REGEXES) }));
        }
        if draw.percent(10) {
            let value =
                json!({ "regex": draw.text(&["1", "1.*|2", "(?i)a.*", ".*", "a?b?", "[12]", "1{2}"]) });
            let name = draw.text(&["x-a", "x-b", "x-c", "cookie"]);
            fields.insert("headers".to_owned(), json!({ name: value }));
        }
        if draw.percent(5) {
            let claim = draw.text(&["@request.auth.claims.group", "@request.auth.claims[aud]"]);
            let value = draw.one(&[("exact", "admin"), ("prefix", "a"), ("regex", "1|a.*")]);
            fields.insert("headers".to_owned(), json!({ claim: { value.0: value.1 } }));
        }
    }
    let mut rule = Map::new();
    rule.insert("name".to_owned(), json!(format!("rule-{number}")));
    // One match without any condition would hide all that come behind it.
    rule.insert("match".to_owned(), Value::Array(matches));
    rule.insert("route".to_owned(), json!([{ "destination": { "host": "customers" } }]));
    Value::Object(rule)
}
