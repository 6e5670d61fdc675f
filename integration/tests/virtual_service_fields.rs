//! The table of VirtualService's fields in `docs`: it has them all, and what it names is there.

#![expect(clippy::panic, reason = "the functions beside the tests belong to them")]

use std::{collections::BTreeMap, fs};

use mesh_policy_compiler::{Sources, check};
use mesh_policy_integration::modules::repository;
use mesh_policy_istio::virtual_service as wire;
use mesh_policy_testkit::{corpus, files};

/// Every object of a VirtualService and its fields.
const OBJECTS: &[(&str, &[&str])] = &[
    ("VirtualService", wire::VirtualService::FIELDS),
    ("HttpRoute", wire::HttpRoute::FIELDS),
    ("HttpMatchRequest", wire::HttpMatchRequest::FIELDS),
    ("StringMatch", wire::StringMatch::FIELDS),
    ("HttpRouteDestination", wire::HttpRouteDestination::FIELDS),
    ("Destination", wire::Destination::FIELDS),
    ("PortSelector", wire::PortSelector::FIELDS),
    ("Headers", wire::Headers::FIELDS),
    ("HeaderOperations", wire::HeaderOperations::FIELDS),
    ("HttpRedirect", wire::HttpRedirect::FIELDS),
    ("HttpDirectResponse", wire::HttpDirectResponse::FIELDS),
    ("HttpBody", wire::HttpBody::FIELDS),
    ("Delegate", wire::Delegate::FIELDS),
    ("HttpRewrite", wire::HttpRewrite::FIELDS),
    ("RegexRewrite", wire::RegexRewrite::FIELDS),
    ("HttpRetry", wire::HttpRetry::FIELDS),
    ("HttpFaultInjection", wire::HttpFaultInjection::FIELDS),
    ("FaultDelay", wire::FaultDelay::FIELDS),
    ("FaultAbort", wire::FaultAbort::FIELDS),
    ("Percent", wire::Percent::FIELDS),
    ("HttpMirrorPolicy", wire::HttpMirrorPolicy::FIELDS),
    ("CorsPolicy", wire::CorsPolicy::FIELDS),
    ("TlsRoute", wire::TlsRoute::FIELDS),
    ("TlsMatchAttributes", wire::TlsMatchAttributes::FIELDS),
    ("TcpRoute", wire::TcpRoute::FIELDS),
    ("L4MatchAttributes", wire::L4MatchAttributes::FIELDS),
    ("RouteDestination", wire::RouteDestination::FIELDS),
];

/// A row of the table: the field, and what shows it.
type Row = (String, Vec<String>);

fn text(path: &str) -> String {
    fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn quoted(cell: &str) -> Option<&str> {
    cell.trim().strip_prefix('`')?.strip_suffix('`')
}

/// The rows below each heading.
fn tables() -> BTreeMap<String, Vec<Row>> {
    let mut tables: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let mut heading = String::new();
    for line in text("docs/virtual-service.md").lines() {
        if let Some(name) = line.strip_prefix("## ") {
            name.clone_into(&mut heading);
        }
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").collect();
        if let [field, _, shown] = cells.as_slice()
            && let Some(field) = quoted(field)
        {
            let shown = shown.split("<br>").map(|shown| shown.trim().to_owned()).collect();
            tables.entry(heading.clone()).or_default().push((field.to_owned(), shown));
        }
    }
    tables
}

#[test]
fn every_object_of_the_wire_model_is_known_here() {
    let source = text("shared/istio/src/virtual_service.rs");
    let mut declared: Vec<&str> = source
        .lines()
        .filter_map(|line| line.trim().strip_prefix("pub struct ")?.strip_suffix(" {"))
        .collect();
    declared.sort_unstable();
    let mut known: Vec<&str> = OBJECTS.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    assert_eq!(declared, known);
}

#[test]
fn the_table_has_every_field_and_no_other() {
    let tables = tables();
    for (object, fields) in OBJECTS {
        let rows = tables.get(*object).unwrap_or_else(|| panic!("no table for {object}"));
        let mut written: Vec<&str> = rows.iter().map(|(field, _)| field.as_str()).collect();
        written.sort_unstable();
        let mut fields = fields.to_vec();
        fields.sort_unstable();
        assert_eq!(written, fields, "{object}");
    }
}

#[test]
fn every_case_and_every_test_that_the_table_names_is_there() {
    let mut cases: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (file, group) in files::FILES {
        let groups = corpus::groups(group, files::COMMON).unwrap();
        let names = groups.iter().flat_map(|group| {
            let cases = group.cases.iter().map(|case| case.name.clone());
            cases.chain(group.refused.iter().map(|refusal| refusal.name.clone()))
        });
        cases.entry(file).or_default().extend(names.flatten());
    }
    let mut missing = Vec::new();
    for (object, _) in OBJECTS {
        for (field, shown) in tables().remove(*object).unwrap_or_default() {
            assert!(!shown.is_empty(), "{object}.{field}");
            for proof in shown {
                let (file, name) = proof.split_once(": ").unwrap_or((&proof, ""));
                let is_there = match (quoted(file), quoted(name)) {
                    (Some(file), Some(test)) => {
                        let body = text(file);
                        body.split("#[test]\n").skip(1).any(|test_on| {
                            test_on.lines().take(3).any(|line| line.starts_with(&format!("fn {test}()")))
                        })
                    }
                    (Some(file), None) => {
                        cases.get(file).is_some_and(|names| names.iter().any(|known| known == name))
                    }
                    _ => false,
                };
                if !is_there {
                    missing.push(format!("{object}.{field}: {proof}"));
                }
            }
        }
    }
    assert_eq!(missing, [""; 0]);
}

/// Rules for connections are read whole, and what they name is looked up.
#[test]
fn the_destinations_of_rules_for_connections_are_looked_up() {
    let found = |rules: &str| -> Vec<String> {
        let text = format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a}}\n\
             spec: {{hosts: [a.example.com], {rules}}}\n"
        );
        check(&Sources::from_text("f.yaml", &text)).iter().map(ToString::to_string).collect()
    };
    for (rules, at) in [
        (
            "tls: [{match: [{sniHosts: [a.example.com], destinationSubnets: [10.0.0.0/8], port: 443, sourceLabels: {a: b}, \
             gateways: [mesh], sourceNamespace: a}], route: [{destination: {host: nowhere}, weight: 1}]}]",
            "tls",
        ),
        (
            "tcp: [{match: [{destinationSubnets: [10.0.0.0/8], port: 1, sourceSubnet: 10.0.0.0/8, sourceLabels: {a: b}, \
             gateways: [mesh], sourceNamespace: a}], route: [{destination: {host: nowhere}, weight: 1}]}]",
            "tcp",
        ),
    ] {
        let [finding] = <[String; 1]>::try_from(found(rules)).unwrap();
        let expected =
            format!("spec.{at}[0].route[0].destination.host: no ServiceEntry defines the host `nowhere.");
        assert!(finding.contains(&expected), "{finding}");
    }
}
