//! Every way to write a path that has fooled an authorization somewhere, in each path normalization: what reaches the
//! upstream is what the filter sees, and the verdicts are pinned beside it.

#![expect(clippy::indexing_slicing, reason = "what a test cannot have ends it, wherever it says so")]

use std::fmt::Write as _;

use mesh_policy_compiler::{
    Options,
    PathNormalization::{self, Base, DecodeAndMergeSlashes, MergeSlashes, None as Unchanged},
};
use mesh_policy_integration::{
    Result,
    client::Request,
    edge::{Edge, policy},
};

const MODES: [PathNormalization; 4] = [Unchanged, Base, MergeSlashes, DecodeAndMergeSlashes];

/// `=` stands for the path as it was sent.
const SAME: &str = "=";

/// A path, and what the filter sees in each mode; an answer of Envoy's own stands as its status.
type Row = (&'static str, [&'static str; 4]);

#[rustfmt::skip]
const PATHS: &[Row] = &[
    // As in the upstream project's own table of normalizations.
    ("/app#foo",                  ["/app", "/app", "/app", "/app"]),
    ("/app/../admin",             [SAME, "/admin", "/admin", "/admin"]),
    ("/app//",                    [SAME, SAME, "/app/", "/app/"]),
    ("/app/%2f",                  [SAME, SAME, SAME, "/app/"]),
    ("/xyz%30..//abc",            [SAME, "/xyz0..//abc", "/xyz0../abc", "/xyz0../abc"]),
    ("/app/%2E./admin",           [SAME, "/admin", "/admin", "/admin"]),
    ("/app\\admin",               [SAME, "/app/admin", "/app/admin", "/app/admin"]),
    ("/app/\\/\\/\\admin",        [SAME, "/app//////admin", "/app/admin", "/app/admin"]),
    ("/%2Fapp%5cadmin%5Cabc",     [SAME, SAME, SAME, "/app/admin/abc"]),
    ("/app//../admin",            [SAME, "/app/admin", "/app/admin", "/app/admin"]),
    ("/app//../../admin",         [SAME, "/admin", "/admin", "/admin"]),
    ("/%252e%252e/admin",         [SAME, SAME, SAME, SAME]),
    ("/%c0%ae%c0%ae/admin",       [SAME, SAME, SAME, SAME]),
    // DIFFERENCE: older Envoys keep it; this one takes it for a dot segment.
    ("/..;/admin",                [SAME, "/admin", "/admin", "/admin"]),
    ("/admin;a=b",                [SAME, SAME, SAME, SAME]),
    ("/Admin",                    [SAME, SAME, SAME, SAME]),
    ("/.../admin",                [SAME, SAME, SAME, SAME]),
    ("/admin%00",                 [SAME, "400", "400", "400"]),
    // Further ones.
    ("/admin",                    [SAME, SAME, SAME, SAME]),
    ("/admin/",                   [SAME, SAME, SAME, SAME]),
    ("//admin",                   [SAME, SAME, "/admin", "/admin"]),
    ("/./admin",                  [SAME, "/admin", "/admin", "/admin"]),
    ("/public/%2e%2e/admin",      [SAME, "/admin", "/admin", "/admin"]),
    ("/public/..%2fadmin",        [SAME, SAME, SAME, "/admin"]),
    ("/public%2F..%2Fadmin",      [SAME, SAME, SAME, "/admin"]),
    ("/public/..;/admin",         [SAME, "/admin", "/admin", "/admin"]),
    ("/public/..;x=1/admin",      [SAME, "/admin", "/admin", "/admin"]),
    ("/public/;/../admin",        [SAME, "/public/admin", "/public/admin", "/public/admin"]),
    ("/public/..\\admin",         [SAME, "/admin", "/admin", "/admin"]),
    ("/%61dmin",                  [SAME, "/admin", "/admin", "/admin"]),
    ("/a%64min/",                 [SAME, "/admin/", "/admin/", "/admin/"]),
    ("/%2561dmin",                [SAME, SAME, SAME, SAME]),
    ("/0x2e0x2e/admin",           [SAME, SAME, SAME, SAME]),
    ("/admin?x=/../y",            [SAME, SAME, SAME, SAME]),
    ("/admin?",                   [SAME, SAME, SAME, SAME]),
    ("/x?/admin",                 [SAME, SAME, SAME, SAME]),
    ("/x?y=//z%2F..",             [SAME, SAME, SAME, SAME]),
    ("/x#/../admin",              ["/x", "/x", "/x", "/x"]),
    ("/admin#?y",                 ["/admin", "/admin", "/admin", "/admin"]),
    ("/admin%20",                 [SAME, SAME, SAME, SAME]),
    ("/admin%3b",                 [SAME, SAME, SAME, SAME]),
    ("/admin%3Fx",                [SAME, SAME, SAME, SAME]),
    ("/admin%23x",                [SAME, SAME, SAME, SAME]),
];

/// What stands behind the path is not compared; rows of one spelling must not hide behind it.
fn path(seen: &str) -> &str {
    seen.split(['?', '#']).next().unwrap_or_default()
}

fn seen_in(mode: usize, (sent, seen): &Row) -> String {
    match seen[mode] {
        SAME => (*sent).to_owned(),
        other => other.to_owned(),
    }
}

#[test]
fn the_filter_decides_about_the_path_that_goes_upstream() -> Result<()> {
    let policies = [
        policy("exact", "{action: DENY, rules: [{to: [{operation: {hosts: [exact], paths: [/admin]}}]}]}"),
        policy(
            "prefix",
            "{action: DENY, rules: [{to: [{operation: {hosts: [prefix], paths: ['/admin*']}}]}]}",
        ),
        policy(
            "suffix",
            "{action: DENY, rules: [{to: [{operation: {hosts: [suffix], paths: ['*/admin']}}]}]}",
        ),
        policy(
            "template",
            "{action: DENY, rules: [{to: [{operation: {hosts: [template], paths: ['/app/{**}']}}]}]}",
        ),
    ]
    .concat();
    let mut failures = String::new();
    for (index, mode) in MODES.into_iter().enumerate() {
        let edge = Edge::start_with(&policies, Options { path_normalization: mode, ..Options::default() })?;
        let client = edge.client()?;
        let send = |host: &str, sent: &str| client.send(&Request::get(sent).host(host)).unwrap();
        for row in PATHS {
            let (sent, _) = row;
            let seen = seen_in(index, row);
            let response = send("any", sent);
            let found = match response.status {
                200 => response.echo()?.path,
                status => status.to_string(),
            };
            // The echo shows a backslash escaped.
            let found = found.replace("\\\\", "\\");
            if found != seen {
                let _ = writeln!(failures, "{mode:?}: `{sent}` was seen as `{found}`, expected `{seen}`");
            }
            if response.status != 200 {
                continue;
            }
            let compared = path(&found);
            for (host, denied) in [
                ("exact", compared == "/admin"),
                ("prefix", compared.starts_with("/admin")),
                ("suffix", compared.ends_with("/admin")),
                ("template", compared.starts_with("/app/") && !compared.contains('\\')),
            ] {
                let expected = if denied { 403 } else { 200 };
                let status = send(host, sent).status;
                if status != expected {
                    let _ = writeln!(failures, "{mode:?}: `{sent}` by {host}: {status}, expected {expected}");
                }
            }
        }
    }
    assert!(failures.is_empty(), "\n{failures}");
    Ok(())
}

/// What `check` warns of is what happens: its example passes, and what it was about is denied.
#[test]
fn what_check_warns_of_passes_through_envoy() -> Result<()> {
    let denying = policy("deny", "{action: DENY, rules: [{to: [{operation: {paths: [/a/admin]}}]}]}");
    for mode in MODES {
        let sources = mesh_policy_compiler::Sources::from_text("policy.yaml", &denying);
        let findings = mesh_policy_compiler::check_under(&sources, mode);
        let [warning] = findings.as_slice() else { panic!("{mode:?}: {findings:?}") };
        let example =
            warning.message.split('`').nth(1).and_then(|request| request.strip_prefix("GET ")).unwrap();
        let edge = Edge::start_with(&denying, Options { path_normalization: mode, ..Options::default() })?;
        assert_eq!(edge.send(&Request::get("/a/admin"))?.status, 403);
        assert_eq!(edge.send(&Request::get(example))?.status, 200, "{mode:?}: {}", warning.message);
    }
    Ok(())
}
