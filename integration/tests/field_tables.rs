//! The tables of fields in `docs/`: every field of the wire model has a row, every row a field, and every test named exists.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "the functions beside the tests belong to them"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use mesh_policy_integration::modules::repository;

/// The fields of each type of a file of the wire model, as they are written there.
fn wire_fields(file: &str) -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(repository().join("shared/istio/src").join(file)).unwrap();
    let mut types = BTreeMap::new();
    let mut current: Option<String> = None;
    for line in text.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("pub struct ") {
            current = rest.split([' ', '{']).next().map(str::to_owned);
        } else if line.starts_with("pub enum ") {
            current = None;
        } else if let (Some(name), Some((field, _))) = (&current, line.split_once("\" => ")) {
            let fields: &mut BTreeSet<String> = types.entry(name.clone()).or_default();
            fields.insert(field.trim_start_matches('"').to_owned());
        }
    }
    assert!(!types.is_empty(), "{file}");
    types
}

/// The rows of the table with three columns below a heading: the field's path, and the tests.
fn rows(document: &str, heading: &str) -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(repository().join("docs").join(document)).unwrap();
    let section = text.split("\n## ").find(|section| section.lines().next() == Some(heading)).unwrap();
    let cells =
        |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let table = section.lines().filter(|line| line.starts_with("| `")).map(cells);
    table
        .map(|row| {
            let [field, _, tests] = row.as_slice() else { panic!("{document}: {row:?}") };
            let tests = tests.split('`').skip(1).step_by(2).map(str::to_owned).collect();
            (field.trim_matches('`').to_owned(), tests)
        })
        .collect()
}

fn tests_in(folder: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            tests_in(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let functions =
                text.split("#[test]").skip(1).filter_map(|rest| rest.split_once("fn ")?.1.split_once('('));
            found.extend(functions.map(|(name, _)| name.to_owned()));
        }
    }
}

/// All tests of the repository.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for folder in ["shared", "compiler", "integration"] {
        tests_in(&repository().join(folder), &mut found);
    }
    found
}

/// Compares a table with the types that it is about: from the type of the spec to those that its fields hold.
fn compare(document: &str, heading: &str, file: &str, types: &[&str]) {
    let wire = wire_fields(file);
    let known = tests();
    let rows = rows(document, heading);
    let last = |path: &str| path.trim_end_matches("[]").rsplit('.').next().unwrap_or_default().to_owned();
    let written: BTreeSet<String> = rows.iter().map(|(path, _)| last(path)).collect();
    let fields: BTreeSet<String> = types.iter().flat_map(|name| wire[*name].clone()).collect();
    assert_eq!(written, fields, "{document}: {heading}");
    let mut seen = BTreeSet::new();
    for (path, tests) in &rows {
        assert!(seen.insert(path), "{document}: `{path}` has two rows");
        assert!(!tests.is_empty(), "{document}: `{path}` names no test");
        for test in tests {
            assert!(known.contains(test), "{document}: `{path}`: there is no test `{test}`");
        }
    }
}

#[test]
fn authorization_policy_has_a_row_for_every_field_and_a_test_for_every_row() {
    let types = [
        "AuthorizationPolicy",
        "WorkloadSelector",
        "PolicyTargetReference",
        "ExtensionProvider",
        "Rule",
        "RuleFrom",
        "RuleTo",
        "Source",
        "Operation",
        "Condition",
    ];
    compare("authorization-policy.md", "AuthorizationPolicy", "authorization_policy.rs", &types);
    assert_eq!(wire_fields("authorization_policy.rs").len(), types.len(), "a type without rows");
}

#[test]
fn external_authorizers_have_a_row_for_every_field_and_a_test_for_every_row() {
    let types = ["ExternalAuthorizationHttp", "ExternalAuthorizationGrpc", "RequestBody"];
    compare("authorization-policy.md", "External authorizers", "mesh_config.rs", &types);
}

#[test]
fn request_authentication_has_a_row_for_every_field_and_a_test_for_every_row() {
    let types = ["RequestAuthentication", "JwtRule", "JwtHeader", "ClaimToHeader"];
    compare("authorization-policy.md", "RequestAuthentication", "authentication.rs", &types);
}

/// The fields of each type in files of the wire model, in their order, each with the type that it holds.
fn wire_types(files: &[&str]) -> BTreeMap<String, Vec<(String, String)>> {
    let mut types: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for file in files {
        let text = fs::read_to_string(repository().join("shared/istio/src").join(file)).unwrap();
        let mut current = None;
        for line in text.lines().map(str::trim) {
            if let Some(rest) = line.strip_prefix("pub struct ") {
                current = rest.split([' ', '{']).next().map(str::to_owned);
            } else if line.starts_with("pub enum ") {
                current = None;
            } else if let (Some(name), Some((field, rest))) = (&current, line.split_once("\" => ")) {
                let (_, kind) = rest.split_once(": ").unwrap();
                let field = (field.trim_start_matches('"').to_owned(), kind.trim_end_matches(',').to_owned());
                types.entry(name.clone()).or_default().push(field);
            }
        }
    }
    types
}

/// The paths of all fields below a type. Each type is laid out where it comes first.
fn paths(
    types: &BTreeMap<String, Vec<(String, String)>>,
    root: &str,
    above: &str,
    seen: &mut BTreeSet<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for (field, kind) in &types[root] {
        let path = format!("{above}{field}");
        found.push(path.clone());
        let inner = kind.trim_end_matches('>').rsplit(['<', ' ']).next().unwrap_or_default();
        if types.contains_key(inner) && seen.insert(inner.to_owned()) {
            let several = if kind.starts_with("Vec<") {
                "[]"
            } else if kind.starts_with("BTreeMap<") {
                "{}"
            } else {
                ""
            };
            found.extend(paths(types, inner, &format!("{path}{several}."), seen));
        }
    }
    found
}

/// As [`compare`], path by path.
fn compare_paths(document: &str, heading: &str, root: &str, files: &[&str], laid_out_elsewhere: &[&str]) {
    let known = tests();
    let mut seen = laid_out_elsewhere.iter().map(|name| (*name).to_owned()).collect();
    let expected: BTreeSet<String> = paths(&wire_types(files), root, "", &mut seen).into_iter().collect();
    let rows = rows(document, heading);
    let written: BTreeSet<String> = rows.iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(written, expected, "{document}: {heading}");
    assert_eq!(written.len(), rows.len(), "{document}: {heading}: a field has two rows");
    for (path, tests) in &rows {
        assert!(!tests.is_empty(), "{document}: `{path}` names no test");
        for test in tests {
            assert!(known.contains(test), "{document}: `{path}`: there is no test `{test}`");
        }
    }
}

#[test]
fn the_meshs_resources_have_a_row_for_every_field_and_a_test_for_every_row() {
    let document = "mesh-resources.md";
    compare_paths(document, "Gateway", "Gateway", &["gateway.rs"], &[]);
    let files = ["destination_rule.rs", "authorization_policy.rs", "virtual_service.rs"];
    compare_paths(document, "DestinationRule", "DestinationRule", &files, &[]);
    compare_paths(document, "ServiceEntry", "ServiceEntry", &["service_entry.rs"], &["WorkloadEntry"]);
    compare_paths(document, "WorkloadEntry", "WorkloadEntry", &["service_entry.rs"], &[]);
    let files = ["authentication.rs", "authorization_policy.rs"];
    compare_paths(document, "PeerAuthentication", "PeerAuthentication", &files, &[]);
}
