//! The cases of `testdata`, sent through a real Envoy.
//!
//! Every cluster leads to one echo server, and tells it by a header which cluster it was. A request carries a number, so that
//! what the echo server got, mirrored copies included, finds its case again.

mod gateway;
mod workload;

use crate::client::{Client, Request, Response};
use crate::modules::Module;
use crate::upstream::{Received, Upstream};
use crate::{Context, Error, Result, wait};
use mesh_policy_testkit::corpus::{self, Case, Group, HeaderLine};
use mesh_policy_testkit::files::{COMMON, File};
use mesh_policy_testkit::outcome::{self, Outcome, compare};
use mesh_policy_testkit::run::DEFAULT_AUTHORITY;
use std::fmt::Write as _;

/// The header by which a cluster tells the echo server its name.
const CLUSTER: &str = "x-corpus-cluster";

/// The header that carries the number of the case.
const NUMBER: &str = "x-corpus-number";

/// How the filters stand in the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `mesh_policy.wasm`.
    Fused,
    /// The four single filters in a chain.
    Separate,
}

/// An Envoy that enforces one group.
trait Proxy {
    /// A client for the connection that the case describes.
    fn client(&mut self, case: &Case) -> Result<Client>;
}

/// Sends every case of one file through an Envoy; gives the number of cases.
///
/// # Errors
/// The file, the compilation or Envoy fails, or a case comes out otherwise than expected.
pub fn run((name, text): File, layout: Layout) -> Result<usize> {
    let group = corpus::read(text, COMMON).map_err(|text| Error::new(format!("{name}: {text}")))?;
    let upstream = Upstream::start("corpus")?;
    let cases: Vec<&Case> = group.cases.iter().filter(|case| !is_skipped(case)).collect();
    if cases.is_empty() {
        return Ok(0);
    }
    let mut proxy: Box<dyn Proxy> = match &group.workload {
        None => Box::new(gateway::Gateway::start(&group, layout, &upstream).context(name)?),
        Some(_) => Box::new(workload::Workload::start(&group, layout, &upstream).context(name)?),
    };
    let mut responses = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let request = request(case, number);
        let sent = proxy.client(case).and_then(|client| client.send(&request));
        responses.push(sent.context(format_args!("{name}: {}", sentence(case)))?);
    }
    // Copies may arrive after the answer; those that are expected are waited for.
    let copies: usize = cases.iter().filter_map(|case| case.expect.mirrors.as_ref()).map(Vec::len).sum();
    let forwarded = responses.iter().filter(|response| is_echo(response)).count();
    let complete = || (upstream.count() >= forwarded + copies).then_some(());
    // When they do not come, the comparison below says which are missing.
    let _ = wait::until(std::time::Duration::from_secs(5), "all copies", complete);
    let received = upstream.requests();
    let mut failures = String::new();
    for (number, (case, response)) in cases.iter().zip(&responses).enumerate() {
        if let Err(differences) = compare(&case.expect, &observe(number, response, &received)) {
            let _ = writeln!(failures, "{name} ({layout:?}): {}\n{differences}", sentence(case));
        }
    }
    if failures.is_empty() { Ok(cases.len()) } else { Err(Error::new(failures)) }
}

fn sentence(case: &Case) -> &str {
    case.name.as_deref().unwrap_or_default()
}

/// Whether the run through Envoy leaves a case out: for the stated reason, or because its scheme is not that of the listener.
fn is_skipped(case: &Case) -> bool {
    case.skip.as_ref().is_some_and(|skip| skip.envoy.is_some())
}

fn request(case: &Case, number: usize) -> Request {
    let text = |field: &Option<String>, default: &str| field.clone().unwrap_or_else(|| default.to_owned());
    let asked = &case.request;
    let mut request = Request::new(text(&asked.method, "GET"), text(&asked.path, "/"))
        .host(text(&asked.authority, DEFAULT_AUTHORITY))
        .header(NUMBER, number.to_string());
    for line in &asked.headers {
        request = request.header(&line.name, &line.value);
    }
    for line in &asked.response_headers {
        let value = [line.name.as_bytes(), b": ", &line.value].concat();
        request = request.header("x-echo-header", value);
    }
    request
}

fn is_echo(response: &Response) -> bool {
    response.echo().is_ok()
}

/// What can be seen of a case from both ends.
fn observe(number: usize, response: &Response, received: &[Received]) -> Outcome {
    let number = number.to_string();
    let value = |received: &Received, name: &str| received.headers.get(name);
    let mut own: Vec<&Received> =
        received.iter().filter(|received| value(received, NUMBER).as_deref() == Some(&number)).collect();
    let lines = |headers: &crate::client::Headers| -> Vec<HeaderLine> {
        let line = |(name, value): &(Vec<u8>, Vec<u8>)| HeaderLine {
            name: name.escape_ascii().to_string().to_ascii_lowercase(),
            value: value.clone(),
        };
        headers.0.iter().map(line).collect()
    };
    let mut outcome = Outcome {
        allowed: Some(response.status != 403),
        status: Some(u32::from(response.status)),
        response_headers: Some(lines(&response.headers)),
        ..Outcome::default()
    };
    let Ok(echo) = response.echo() else {
        outcome.body = Some(response.body.clone());
        return outcome;
    };
    // The one that answered is the one whose cluster stands in the echo; the others are copies.
    let cluster = echo.header(CLUSTER);
    if let Some(at) = own.iter().position(|received| value(received, CLUSTER) == cluster) {
        let answered = own.remove(at);
        outcome.upstream = Some(outcome::Upstream {
            path: answered.target.escape_ascii().to_string(),
            authority: answered.authority.escape_ascii().to_string(),
            headers: lines(&answered.headers),
        });
    }
    outcome.cluster = cluster;
    outcome.mirrors = Some(own.iter().map(|copy| value(copy, CLUSTER).unwrap_or_default()).collect());
    outcome
}

/// The module files of a layout.
fn modules(layout: Layout) -> Result<mesh_policy_compiler::Modules> {
    Ok(match layout {
        Layout::Fused => mesh_policy_compiler::Modules::Fused(Module::Policy.path()?),
        Layout::Separate => mesh_policy_compiler::Modules::Separate {
            authz: Module::Authz.path()?,
            headers: Module::Headers.path()?,
            fault: Module::Fault.path()?,
            router: Module::Router.path()?,
        },
    })
}

/// The resources of a group as the text of a List.
fn list(group: &Group, workload: Option<serde_json::Value>) -> String {
    let mut list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": group.resources.nodes });
    if let (Some(workload), Some(fields)) = (workload, list.as_object_mut()) {
        fields.insert("workload".to_owned(), workload);
    }
    list.to_string()
}
