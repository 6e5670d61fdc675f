//! What came of a request, however it was run, and how it is held against what was expected.

use crate::corpus::{Expect, HeaderLine};
use std::fmt::{Debug, Write as _};

/// What came of a request. `None` where a runner cannot see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Whether authorization let it pass.
    pub allowed: Option<bool>,
    /// The external authorizer that was asked; empty for nobody.
    pub asks: Option<String>,
    /// The authorization rule that decided.
    pub policy: Option<String>,
    /// The name of the route that was chosen; empty when none was.
    pub route: Option<String>,
    /// The rule that was chosen, `VirtualService ns/name http[0]`: of a delegate, the delegate's.
    pub rule: Option<String>,
    /// The status that the client got.
    pub status: Option<u32>,
    /// The cluster that got the request; `None` when none did.
    pub cluster: Option<String>,
    /// The clusters that got copies.
    pub mirrors: Option<Vec<String>>,
    /// What the upstream got.
    pub upstream: Option<Upstream>,
    /// Header lines that the client got.
    pub response_headers: Option<Vec<HeaderLine>>,
    /// The body that the client got, when the proxy itself answered.
    pub body: Option<Vec<u8>>,
}

/// What an upstream got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Upstream {
    /// Path and query.
    pub path: String,
    /// Authority.
    pub authority: String,
    /// Header lines in order, pseudo headers left out.
    pub headers: Vec<HeaderLine>,
}

/// Holds what Envoy made of a request against what the core says of it, chance aside.
///
/// # Errors
/// A line for each difference.
pub fn agree(core: &Outcome, envoy: &Outcome) -> Result<(), String> {
    let mut differences = String::new();
    visible(&mut differences, "core's asking", core.asks.as_ref(), envoy.asks.as_ref());
    visible(&mut differences, "core's policy", core.policy.as_ref(), envoy.policy.as_ref());
    visible(&mut differences, "core's status", core.status.as_ref(), envoy.status.as_ref());
    visible(&mut differences, "core's rule", core.rule.as_ref(), envoy.rule.as_ref());
    visible(&mut differences, "core's body", core.body.as_ref(), envoy.body.as_ref());
    if let (Some(core), Some(envoy)) = (&core.upstream, &envoy.upstream) {
        visible(&mut differences, "core's path", Some(&core.path), Some(&envoy.path));
        visible(&mut differences, "core's authority", Some(&core.authority), Some(&envoy.authority));
    }
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}

/// Holds `outcome` against `expect`.
///
/// # Errors
/// A line for each difference.
pub fn compare(expect: &Expect, outcome: &Outcome) -> Result<(), String> {
    let Expect {
        allowed,
        asks,
        policy,
        route,
        status,
        cluster,
        mirrors,
        path,
        authority,
        upstream_headers,
        upstream_without,
        response_headers,
        response_without,
        body,
    } = expect;
    let mut differences = String::new();
    visible(&mut differences, "allowed", allowed.as_ref(), outcome.allowed.as_ref());
    visible(&mut differences, "asks", asks.as_ref(), outcome.asks.as_ref());
    visible(&mut differences, "policy", policy.as_ref(), outcome.policy.as_ref());
    visible(&mut differences, "route", route.as_ref(), outcome.route.as_ref());
    visible(&mut differences, "status", status.as_ref(), outcome.status.as_ref());
    visible(&mut differences, "mirrors", mirrors.as_ref(), outcome.mirrors.as_ref());
    visible(&mut differences, "body", body.as_ref().map(String::as_bytes), outcome.body.as_deref());
    let sent = |found: bool, differences: &mut String, name: &str| {
        if !found {
            let _ = writeln!(differences, "{name}: nothing was forwarded");
        }
    };
    if let Some(expected) = cluster {
        sent(outcome.cluster.is_some(), &mut differences, "cluster");
        visible(&mut differences, "cluster", Some(expected), outcome.cluster.as_ref());
    }
    let asks =
        path.is_some() || authority.is_some() || !upstream_headers.is_empty() || !upstream_without.is_empty();
    if asks {
        sent(outcome.upstream.is_some(), &mut differences, "upstream");
    }
    if let Some(upstream) = &outcome.upstream {
        visible(&mut differences, "path", path.as_ref(), Some(&upstream.path));
        visible(&mut differences, "authority", authority.as_ref(), Some(&upstream.authority));
        lines(&mut differences, "upstream header", upstream_headers, upstream_without, &upstream.headers);
    }
    if let Some(headers) = &outcome.response_headers {
        lines(&mut differences, "response header", response_headers, response_without, headers);
    } else if !response_headers.is_empty() {
        differences.push_str("response headers: the runner saw none\n");
    }
    if differences.is_empty() { Ok(()) } else { Err(differences) }
}

fn visible<T: PartialEq + Debug + ?Sized>(
    out: &mut String,
    what: &str,
    expected: Option<&T>,
    found: Option<&T>,
) {
    if let (Some(expected), Some(found)) = (expected, found)
        && expected != found
    {
        let _ = writeln!(out, "{what}: expected {expected:?}, found {found:?}");
    }
}

fn lines(out: &mut String, what: &str, expected: &[HeaderLine], without: &[String], found: &[HeaderLine]) {
    let values = |lines: &[HeaderLine], name: &str| -> Vec<String> {
        let of_name = lines.iter().filter(|line| line.name == name);
        of_name.map(|line| line.value.escape_ascii().to_string()).collect()
    };
    let mut names: Vec<&str> = expected.iter().map(|line| line.name.as_str()).collect();
    names.dedup();
    for name in names {
        let (expected, found) = (values(expected, name), values(found, name));
        if expected != found {
            let _ = writeln!(out, "{what} {name}: expected {expected:?}, found {found:?}");
        }
    }
    for name in without {
        let found = values(found, name);
        if !found.is_empty() {
            let _ = writeln!(out, "{what} {name}: expected none, found {found:?}");
        }
    }
}
