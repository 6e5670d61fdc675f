//! VirtualServices and requests for a gateway.

mod action;
mod cors;
mod matching;

use super::{Draw, PolicySet, Probe, oddity, target, token};
use mesh_policy_core::host_name;
use serde_json::{Map, Value, json};

const HOSTS: &[&str] = &[
    "a.example",
    "b.a.example",
    "*.a.example",
    "*.example",
    "*",
    "*",
    "a.example",
    "c.b.a.example",
    "*a.example",
    "A.Example",
    "d.example",
];

const REQUEST_HOSTS: &[&str] =
    &["a.example", "b.a.example", "c.b.a.example", "d.example", "xa.example", "e.a.example", "e.example"];

const METHODS: &[&str] = &["GET", "GET", "GET", "GET", "POST", "POST", "PUT", "get", "HEAD", "OPTIONS"];

/// A set with this many requests.
#[must_use]
pub fn generate(seed: u64, requests: usize) -> PolicySet {
    let mut draw = Draw::new(seed);
    let by_chance = draw.percent(15);
    let mut resources = Vec::new();
    let narrow = draw.percent(30);
    if narrow {
        resources.push(gateway(&mut draw));
    }
    let mut delegates = Vec::new();
    for number in 0..draw.between(1, 3) {
        let name = format!("vs-{number}");
        let spec = virtual_service(&mut draw, narrow, by_chance, &mut delegates);
        resources.push(resource("VirtualService", &name, draw_namespace(&mut draw), spec));
    }
    for (number, spec) in delegates.into_iter().enumerate() {
        resources.push(resource("VirtualService", &format!("delegate-{number}"), "shop", spec));
    }
    // Who may pass is asked first, of the request as it came.
    if draw.percent(15) {
        let mut policy = super::authorization::policy(&mut draw, 0);
        if let Some(metadata) = policy.get_mut("metadata") {
            metadata["namespace"] = json!("istio-system");
        }
        resources.push(policy);
    }
    let written: String = resources.iter().map(ToString::to_string).collect();
    let asks = Asks {
        origins: if written.contains("corsPolicy") { 40 } else { 3 },
        tokens: if written.contains("@request.auth.claims") { 70 } else { 5 },
    };
    let mut probes: Vec<Probe> = (0..requests).map(|_| probe_asking(&mut draw, &asks)).collect();
    // The echo server counts a copy as a try: which of both fails first would be a matter of chance.
    if written.contains("\"mirror") {
        for probe in &mut probes {
            probe.headers.retain(|(name, _)| name != "x-echo-fail-first");
        }
    }
    PolicySet { workload: None, resources, probes, by_chance }
}

fn draw_namespace(draw: &mut Draw) -> &'static str {
    draw.text(&["default", "default", "shop"])
}

fn resource(kind: &str, name: &str, namespace: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": kind,
        "metadata": { "name": name, "namespace": namespace },
        "spec": spec,
    })
}

/// A second gateway on the same port, for fewer hosts.
fn gateway(draw: &mut Draw) -> Value {
    let hosts = draw.some(
        &[
            "*.example",
            "a.example",
            "*.a.example",
            "default/a.example",
            "shop/*",
            "d.example",
            "./b.a.example",
        ],
        1,
        3,
    );
    let server =
        json!({ "port": { "number": 80, "name": "http-narrow", "protocol": "HTTP" }, "hosts": hosts });
    let spec = json!({ "selector": { "istio": "ingressgateway" }, "servers": [server] });
    resource("Gateway", "narrow", "default", spec)
}

fn virtual_service(draw: &mut Draw, narrow: bool, by_chance: bool, delegates: &mut Vec<Value>) -> Value {
    let gateways = match (narrow, draw.between(0, 3)) {
        (true, 0 | 1) => vec!["default/narrow"],
        (true, 2) => vec!["default/edge", "default/narrow"],
        _ => vec!["default/edge"],
    };
    let mut rules: Vec<Value> = Vec::new();
    let count = draw.between(1, 5);
    for number in 0..count {
        let last = number + 1 == count;
        let matches = if last && draw.percent(40) { Vec::new() } else { matching::matches(draw, narrow) };
        if delegates.len() < 2 && draw.percent(6) {
            rules.push(delegation(draw, number, matches, delegates.len()));
            let inner = (0..draw.between(1, 2)).map(|inner| {
                let mut matches = if draw.percent(40) { Vec::new() } else { matching::matches(draw, narrow) };
                // A delegate names no gateway, and only gateways look at tokens.
                matches.iter_mut().for_each(matching::drop_claims);
                Value::Object(action::rule(draw, inner, matches, by_chance))
            });
            let inner: Vec<Value> = inner.collect();
            delegates.push(json!({ "http": inner }));
            continue;
        }
        rules.push(Value::Object(action::rule(draw, number, matches, by_chance)));
    }
    let mut spec = json!({ "hosts": hosts(draw), "gateways": gateways, "http": rules });
    if draw.percent(8)
        && let Some(spec) = spec.as_object_mut()
    {
        let export = draw.text(&["*", ".", "istio-system", "shop"]);
        spec.insert("exportTo".to_owned(), json!([export]));
    }
    spec
}

/// Hosts of which none contains another, as validation demands.
fn hosts(draw: &mut Draw) -> Vec<&'static str> {
    let mut hosts: Vec<&'static str> = Vec::new();
    for _ in 0..draw.between(1, 3) {
        let host = draw.text(HOSTS);
        if hosts.iter().all(|other| !host_name::matches(other, host)) {
            hosts.push(host);
        }
    }
    hosts
}

fn delegation(draw: &mut Draw, number: usize, matches: Vec<Value>, delegate: usize) -> Value {
    let mut rule = Map::new();
    rule.insert("name".to_owned(), json!(format!("rule-{number}")));
    if !matches.is_empty() {
        rule.insert("match".to_owned(), Value::Array(matches));
    }
    rule.insert(
        "delegate".to_owned(),
        json!({ "name": format!("delegate-{delegate}"), "namespace": "shop" }),
    );
    if draw.percent(30) {
        rule.insert("headers".to_owned(), json!({ "request": { "set": { "x-root": "1" } } }));
    }
    Value::Object(rule)
}

/// One or two entries of a `match` list.
pub(crate) fn matches(draw: &mut Draw) -> Vec<Value> {
    matching::matches(draw, false)
}

/// How many of a hundred requests ask for what only some rules look at.
struct Asks {
    /// Those of scripts from other origins.
    origins: u32,
    /// Those with a token.
    tokens: u32,
}

/// A request for whatever rules.
pub(crate) fn probe(draw: &mut Draw) -> Probe {
    probe_asking(draw, &Asks { origins: 3, tokens: 25 })
}

fn probe_asking(draw: &mut Draw, asks: &Asks) -> Probe {
    let mut probe = Probe {
        method: draw.text(METHODS).as_bytes().to_vec(),
        target: target::path(draw, target::PATHS),
        authority: target::authority(draw, REQUEST_HOSTS),
        token: token::payload(draw, asks.tokens),
        source_ip: "127.0.0.1".to_owned(),
        ..Probe::default()
    };
    target::headers(draw, matching::HEADERS, matching::VALUES, &mut probe);
    match draw.between(0, 59) {
        0..=2 => probe.headers.push(("x-echo-fail-first".to_owned(), draw.text(&["1", "2", "3"]).into())),
        3..=4 => {
            probe.headers.push(("x-echo-status".to_owned(), draw.text(&["503", "500", "404", "418"]).into()))
        }
        5..=9 => {
            let line = draw.text(&["x-r: u", "x-s: u", "x-a: u", "server: u", "x-r:", "date: u"]);
            probe.headers.push(("x-echo-header".to_owned(), line.into()));
        }
        10..=11 => {
            probe.headers.push(("content-type".to_owned(), b"application/grpc".to_vec()));
            if draw.percent(50) {
                let wish = draw.text(&["3S", "2M", "9000m", "5x"]);
                probe.headers.push(("grpc-timeout".to_owned(), wish.into()));
            }
        }
        12 => probe.headers.push(("x-echo-close".to_owned(), b"true".to_vec())),
        _ => {}
    }
    if draw.percent(2) {
        let line = draw.one(&[
            ("x-envoy-max-retries", "3"),
            ("x-envoy-retry-on", "5xx"),
            ("x-envoy-original-path", "/a"),
            ("x-mesh-policy-cluster", "outbound|80|v1|customers.default.svc.cluster.local"),
            ("x-mesh-policy-anything", "1"),
            ("x-envoy-upstream-rq-timeout-ms", "1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "a.example"),
        ]);
        probe.headers.push((line.0.to_owned(), line.1.into()));
    }
    if draw.percent(asks.origins) {
        cors::ask(draw, &mut probe);
    }
    target::form(draw, &mut probe);
    oddity::some(draw, &mut probe);
    probe
}
