//! AuthorizationPolicies and requests for a workload, in plain text and by mutual TLS.

mod condition;
mod operation;
mod source;

use super::{Draw, Peer, PolicySet, Probe, Told, oddity, target, token};
use serde_json::{Map, Value, json};

pub(super) const REQUEST_HOSTS: &[&str] = &["orders.shop", "orders.shop.svc", "web.shop", "a.example"];

/// URI SANs of certificates; some nearly what policies name.
pub const IDENTITIES: &[&[&str]] = &[
    &["spiffe://cluster.local/ns/shop/sa/web"],
    &["spiffe://td1/ns/shop/sa/web"],
    &["spiffe://old.td/ns/shop/sa/web"],
    &["spiffe://cluster.local/ns/shop/sa/webx"],
    &["spiffe://cluster.local/ns/batch/sa/runner"],
    &["spiffe://cluster.local/ns/batch/sa/runner", "spiffe://cluster.local/ns/shop/sa/web"],
    &["spiffe://cluster.local/ns/shopping/sa/web"],
    &["spiffe://cluster.local/ns/SHOP/sa/web"],
    &["spiffe://cluster.local.evil/ns/shop/sa/web"],
    &["spiffe://cluster.local/ns/shop/sa/web/more"],
    &["spiffe://cluster.local/x/ns/shop/y/sa/web"],
    &["spiffe://cluster.local"],
    &["https://cluster.local/ns/shop/sa/web"],
    &[],
];

/// Addresses that clients connect from.
const ADDRESSES: &[&str] = &["127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.1.1"];

pub(super) const PATHS: &[&str] = &[
    "/",
    "/a",
    "/a/",
    "/a/b",
    "/ab",
    "/A",
    "/a/b/c",
    "/admin",
    "/admin/",
    "/admin/x",
    "/public/a",
    "/s/1/c",
    "/s//c",
    "/s/1/2/c",
    "/s/c",
];

/// A set with this many requests.
#[must_use]
pub fn generate(seed: u64, requests: usize) -> PolicySet {
    let mut draw = Draw::new(seed);
    let policies = draw.between(1, 4);
    of(&mut draw, policies, requests)
}

/// A set with this many policies and requests.
pub(crate) fn of(draw: &mut Draw, policies: usize, requests: usize) -> PolicySet {
    let mut workload = json!({
        "namespace": "shop",
        "labels": { "app": "orders", "version": "v1" },
        "serviceAccount": "orders",
        "rootNamespace": "istio-system",
    });
    if let Some(workload) = workload.as_object_mut()
        && draw.percent(50)
    {
        workload.insert("trustDomain".to_owned(), json!(draw.text(&["td1", "cluster.local"])));
        if draw.percent(60) {
            let aliases = draw.some(&["old.td", "cluster.local", "td2"], 1, 2);
            workload.insert("trustDomainAliases".to_owned(), json!(aliases));
        }
    }
    let resources = (0..policies).map(|number| policy(draw, number)).collect();
    let probes = (0..requests).map(|_| probe(draw)).collect();
    PolicySet { workload: Some(workload), resources, probes, by_chance: false }
}

/// A policy, mostly for the workload `orders` in `shop` or for all.
pub(super) fn policy(draw: &mut Draw, number: usize) -> Value {
    let mut spec = Map::new();
    let action = draw.text(&["ALLOW", "ALLOW", "ALLOW", "DENY", "DENY", "AUDIT"]);
    if action != "ALLOW" || draw.percent(50) {
        spec.insert("action".to_owned(), json!(action));
    }
    match draw.between(0, 19) {
        0 => drop(spec.insert("selector".to_owned(), json!({ "matchLabels": { "app": "other" } }))),
        1..=4 => drop(spec.insert("selector".to_owned(), json!({ "matchLabels": { "app": "orders" } }))),
        5 => {
            let labels = json!({ "app": "orders", "version": draw.text(&["v1", "v2"]) });
            spec.insert("selector".to_owned(), json!({ "matchLabels": labels }));
        }
        6 => drop(spec.insert("selector".to_owned(), json!({ "matchLabels": {} }))),
        _ => {}
    }
    // DENY without rules is invalid; ALLOW without is the idiom for denying everything.
    if action == "DENY" || !draw.percent(4) {
        let rules: Vec<Value> = (0..draw.between(1, 3)).map(|_| rule(draw)).collect();
        spec.insert("rules".to_owned(), Value::Array(rules));
    }
    let namespace = draw.text(&["shop", "shop", "shop", "istio-system", "other"]);
    let mut metadata = json!({ "name": format!("policy-{number}"), "namespace": namespace });
    if action != "AUDIT"
        && draw.percent(14)
        && let Some(metadata) = metadata.as_object_mut()
    {
        let value = draw.text(&["true", "false", "1", "T"]);
        metadata.insert("annotations".to_owned(), json!({ "istio.io/dry-run": value }));
    }
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": metadata,
        "spec": spec,
    })
}

fn rule(draw: &mut Draw) -> Value {
    let mut fields = Map::new();
    if draw.percent(50) {
        let entries: Vec<Value> =
            (0..draw.between(1, 2)).map(|_| json!({ "source": source::source(draw) })).collect();
        fields.insert("from".to_owned(), Value::Array(entries));
    }
    if draw.percent(60) {
        let entries: Vec<Value> =
            (0..draw.between(1, 2)).map(|_| json!({ "operation": operation::operation(draw) })).collect();
        fields.insert("to".to_owned(), Value::Array(entries));
    }
    if draw.percent(35) {
        let entries: Vec<Value> = (0..draw.between(1, 2)).map(|_| condition::condition(draw)).collect();
        fields.insert("when".to_owned(), Value::Array(entries));
    }
    Value::Object(fields)
}

/// Adds some of the fields, each as `x`, `notX` or both.
fn fields(draw: &mut Draw, of: &[(&str, &str, &[&'static str], u32)]) -> Value {
    let mut fields = Map::new();
    for (name, negated, values, share) in of {
        if draw.percent(*share) {
            fields.insert((*name).to_owned(), json!(draw.some(values, 1, 2)));
        }
        if draw.percent(*share / 3) {
            fields.insert((*negated).to_owned(), json!(draw.some(values, 1, 2)));
        }
    }
    if let (true, Some((name, _, values, _))) = (fields.is_empty(), of.first()) {
        fields.insert((*name).to_owned(), json!(draw.some(values, 1, 2)));
    }
    Value::Object(fields)
}

fn probe(draw: &mut Draw) -> Probe {
    let peer = if draw.percent(60) {
        let ids: &[&str] = match draw.between(0, 9) {
            0..=4 => IDENTITIES.first().copied().unwrap_or_default(),
            _ => {
                let at = draw.between(0, IDENTITIES.len() - 1);
                IDENTITIES.get(at).copied().unwrap_or_default()
            }
        };
        Peer::Mutual(ids.iter().map(|id| (*id).to_owned()).collect())
    } else {
        Peer::Plain
    };
    let told = if draw.percent(80) {
        Told {
            remote_ip: draw.text(&["127.0.0.1", "127.0.0.2", "10.0.0.1", "10.1.2.3", "127.0.0.4"]).to_owned(),
            destination_ip: draw.text(&["127.0.0.1", "10.0.0.9"]).to_owned(),
            destination_port: draw.one(&[80, 80, 8080]),
        }
    } else {
        let remote_ip = draw.text(&["::1", "2001:db8::1", "::ffff:127.0.0.1"]).to_owned();
        Told { remote_ip, destination_ip: "::1".to_owned(), destination_port: 80 }
    };
    let mut probe = Probe {
        told: Some(told),
        method: draw
            .text(&["GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "OPTIONS"])
            .as_bytes()
            .to_vec(),
        target: target::path(draw, PATHS),
        authority: target::authority(draw, REQUEST_HOSTS),
        token: token::payload(draw, 45),
        peer,
        source_ip: draw.text(ADDRESSES).to_owned(),
        ..Probe::default()
    };
    target::headers(draw, condition::HEADERS, condition::VALUES, &mut probe);
    if draw.percent(8) {
        let addresses = draw.text(&[
            "10.0.0.1",
            "10.0.0.1, 127.0.0.2",
            "not an address",
            "10.1.2.3",
            "::1",
            "::ffff:10.0.0.1",
            "127.0.0.2",
        ]);
        probe.headers.push(("x-forwarded-for".to_owned(), addresses.into()));
    }
    if draw.percent(4) {
        probe.headers.push(("content-type".to_owned(), b"application/grpc".to_vec()));
    }
    target::form(draw, &mut probe);
    oddity::some(draw, &mut probe);
    probe
}
