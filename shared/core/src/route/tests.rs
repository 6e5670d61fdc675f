//! What rules written in YAML make of requests.

use super::*;
use crate::effect::{HeaderEdit, LocalReply, Random, SplitMix64};
use crate::request::{Attribute, Attributes, HeaderMap};
use mesh_policy_istio::decode::Context;
use mesh_policy_istio::{resource, yaml};

mod actions;
mod claims;
mod cors;
mod delegates;
mod headers;
mod hosts;
mod matching;
mod observing;
mod rejections;
mod shapes;
mod steering;
mod warnings;

/// All documents of `text`, which are right as documents.
fn resources(text: &str) -> Vec<Resource> {
    let mut cx = Context::new();
    let nodes = yaml::read(text).unwrap().nodes;
    let resources = nodes.iter().flat_map(|node| resource::read(node, &mut cx)).collect();
    assert_eq!(cx.into_problems().to_string(), "");
    resources
}

/// A VirtualService of namespace `shop` for `shop.io` at the gateway `shop/edge` with these members of `spec`.
fn virtual_service(spec: &str) -> String {
    let hosts = if spec.contains("hosts:") { "" } else { "hosts: [shop.io], gateways: [edge], " };
    let spec = spec.trim();
    format!(
        "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: web, namespace: shop}}\nspec: {{{hosts}{spec}}}\n---\n"
    )
}

fn gateway() -> ProxyContext {
    ProxyContext {
        namespace: "shop".to_owned(),
        role: ProxyRole::Gateway(vec!["shop/edge".to_owned()]),
        port: Some(80),
        ..ProxyContext::default()
    }
}

fn sidecar() -> ProxyContext {
    ProxyContext { namespace: "shop".to_owned(), port: Some(80), ..ProxyContext::default() }
}

fn compile(text: &str, proxy: &ProxyContext) -> (RouteTable, Vec<String>) {
    let mut problems = Problems::new();
    let table = RouteTable::compile(&resources(text), proxy, &mut problems);
    (table, problems.iter().map(ToString::to_string).collect())
}

/// The table of resources without errors.
fn table_for(text: &str, proxy: &ProxyContext) -> RouteTable {
    let mut problems = Problems::new();
    let table = RouteTable::compile(&resources(text), proxy, &mut problems);
    assert!(!problems.has_errors(), "{problems}");
    table
}

/// The table of one VirtualService, see [`virtual_service`], at its gateway.
fn table(spec: &str) -> RouteTable {
    table_for(&virtual_service(spec), &gateway())
}

/// A request in one line, `GET http://shop.io/path`, with headers behind it, and what the connection tells.
#[derive(Clone)]
struct Sent {
    buffer: Vec<u8>,
    attributes: Vec<(Attribute, &'static str)>,
}

impl Attributes for Sent {
    fn attribute(&self, wanted: Attribute) -> Option<Vec<u8>> {
        let found = self.attributes.iter().find(|(attribute, _)| *attribute == wanted)?;
        Some(found.1.as_bytes().to_vec())
    }
}

impl Sent {
    fn new(line: &str, headers: &[(&str, &str)]) -> Self {
        let (method, url) = line.split_once(' ').unwrap();
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, "*"),
        };
        let mut pairs =
            vec![(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)];
        pairs.extend_from_slice(headers);
        Self { buffer: HeaderMap::write(&pairs), attributes: Vec::new() }
    }

    fn with(mut self, attribute: Attribute, value: &'static str) -> Self {
        self.attributes.push((attribute, value));
        self
    }

    fn view<T>(&self, look: impl FnOnce(&RequestView<'_>) -> T) -> T {
        let headers = HeaderMap::parse(&self.buffer).unwrap();
        look(&RequestView::new(&headers, self))
    }
}

fn get(url: &str) -> Sent {
    Sent::new(&format!("GET http://{url}"), &[])
}

/// The name of the route that takes `sent`, or why there is none.
fn chosen(table: &RouteTable, sent: &Sent) -> String {
    sent.view(|request| match table.select(request, &mut ()) {
        Selection::Unmanaged => "unmanaged".to_owned(),
        Selection::UnknownHost => "unknown host".to_owned(),
        Selection::NoRoute => "no route".to_owned(),
        Selection::Route(route) => route.name().to_owned(),
    })
}

fn choice<'t>(table: &'t RouteTable, request: &RequestView<'_>, random: &mut dyn Random) -> RouteChoice<'t> {
    match table.select(request, &mut ()) {
        Selection::Route(route) => route.choose(random),
        other => panic!("{other:?}"),
    }
}

/// An edit as `name=value`, `name+=value` or `-name`.
fn show(edits: &[HeaderEdit<'_>]) -> Vec<String> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    edits
        .iter()
        .map(|edit| match edit {
            HeaderEdit::Set(name, value) => format!("{name}={}", text(value)),
            HeaderEdit::Add(name, value) => format!("{name}+={}", text(value)),
            HeaderEdit::Remove(name) => format!("-{name}"),
        })
        .collect()
}

fn forward_edits(table: &RouteTable, sent: &Sent) -> Vec<String> {
    sent.view(|request| {
        let mut random = SplitMix64::new(1);
        let choice = choice(table, request, &mut random);
        let mut edits = Vec::new();
        choice.forward_edits(request, &mut edits);
        show(&edits)
    })
}

fn local_reply(table: &RouteTable, sent: &Sent) -> Option<LocalReply> {
    sent.view(|request| choice(table, request, &mut SplitMix64::new(1)).local_reply(request))
}

#[test]
fn a_published_choice_is_read_back_by_an_equal_table_only() {
    let spec = "http: [{name: a, match: [{uri: {exact: /a}}], route: [{destination: {host: x}, weight: 1}, {destination: {host: y}, weight: 1}]}, {name: b, redirect: {uri: /}}]";
    let (first, second) = (table(spec), table(spec));
    let other = table(&spec.replace("host: y", "host: z"));
    for (url, name) in [("shop.io/a", "a"), ("shop.io/", "b")] {
        get(url).view(|request| {
            for seed in 0..8 {
                let choice = choice(&first, request, &mut SplitMix64::new(seed));
                let text = choice.publish();
                let read = second.published(text.as_bytes()).unwrap();
                assert_eq!(read.route().name(), name);
                assert_eq!(read.destination(), choice.destination());
                assert_eq!(read.publish(), text);
                assert!(other.published(text.as_bytes()).is_none());
            }
        });
    }
    for text in ["", ":", "0:0:0", "x", "ffffffffffffffffffff:0:0"] {
        assert!(first.published(text.as_bytes()).is_none(), "{text}");
    }
    let print = &first.fingerprint;
    for (rest, is_read) in [
        (":0:0", true),
        (":0:1", true),
        (":0:2", false),
        (":0:-", false),
        (":1:-", true),
        (":1:0", false),
        (":2:-", false),
        (":1:-:", false),
    ] {
        assert_eq!(first.published(format!("{print}{rest}").as_bytes()).is_some(), is_read, "{rest}");
    }
}

#[test]
fn control_headers_of_the_client_are_dropped_once_each() {
    let sent = Sent::new(
        "GET http://shop.io/",
        &[
            ("x-mesh-policy-cluster", "a"),
            ("x-mesh-policy-cluster", "b"),
            ("x-mesh-policy-anything", "c"),
            ("x-envoy-retry-on", "5xx"),
            ("x-envoy-original-path", "/x"),
            ("x-envoy-external-address", "1.2.3.4"),
            ("x-user", "me"),
        ],
    );
    sent.view(|request| {
        let mut edits = Vec::new();
        drop_control_headers(request, &mut edits);
        assert_eq!(
            show(&edits),
            [
                "-x-mesh-policy-cluster",
                "-x-mesh-policy-anything",
                "-x-envoy-retry-on",
                "-x-envoy-original-path"
            ]
        );
    });
}

#[test]
fn a_table_knows_what_its_rules_never_do() {
    let plain = table("http: [{route: [{destination: {host: a}}]}]");
    assert!(!plain.edits_requests() && !plain.edits_responses() && !plain.has_faults());
    let request = table("http: [{headers: {request: {set: {x: y}}}, route: [{destination: {host: a}}]}]");
    assert!(request.edits_requests() && !request.edits_responses());
    let response = table("http: [{redirect: {uri: /}, headers: {response: {remove: [x]}}}]");
    assert!(!response.edits_requests() && response.edits_responses());
    let fault = table(
        "http: [{fault: {abort: {httpStatus: 500, percentage: {value: 1}}}, route: [{destination: {host: a}}]}]",
    );
    assert!(fault.has_faults());
}

#[test]
fn no_rule_is_answered_with_404() {
    let reply = not_found();
    assert_eq!((reply.status, reply.details.as_str(), reply.body.len()), (404, "route_not_found", 0));
}
