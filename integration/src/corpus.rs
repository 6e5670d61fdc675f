//! The cases of `testdata`, sent through a real Envoy.
//!
//! One Envoy enforces all groups, each with listeners and plugin configurations of its own. Every cluster leads to one echo
//! server, and tells it by a header which cluster it was. A request carries a number, so that what the echo server got,
//! mirrored copies included, finds its case again. What cannot be seen from outside is made visible by headers: every
//! destination tells the rule that it stands in, and every response the policy that denied it.

mod gateway;
mod observe;
mod proxy;
mod workload;

use crate::client::Request;
use crate::tokens::Issuer;
use crate::upstream::Upstream;
use crate::{Context, Error, Result, wait};
use mesh_policy_istio::node::Node;
use mesh_policy_testkit::corpus::{self, Case, Group};
use mesh_policy_testkit::files::{COMMON, File};
use mesh_policy_testkit::outcome::{agree, compare};
use mesh_policy_testkit::run::{self, DEFAULT_AUTHORITY, Policy, fixed_random};
use observe::{is_echo, observe};
use proxy::Proxy;
use std::fmt::Write as _;
use std::time::Duration;

/// The header by which a cluster tells the echo server its name.
const CLUSTER: &str = "x-corpus-cluster";

/// The header that carries the number of the case.
const NUMBER: &str = "x-corpus-number";

/// The header by which a destination tells the rule that it stands in.
const RULE: &str = "x-corpus-rule";

/// The response header with the name of Envoy's route, where Envoy's own routes decide.
const ROUTE: &str = "x-corpus-route";

/// The response header with Envoy's details of the response.
const DETAILS: &str = "x-corpus-details";

/// The header that tells the server of all external authorizers which of them is asked.
const PROVIDER: &str = "x-corpus-provider";

/// How the filters stand in the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `mesh_policy.wasm`.
    Fused,
    /// The four single filters in a chain.
    Separate,
    /// None of ours: Envoy's own routes and filters.
    Native,
}

/// How many cases there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Sent through Envoy.
    pub run: usize,
    /// Left out for the reason that they state.
    pub skipped: usize,
}

/// A group and its cases that run.
struct Loaded {
    /// The file, and the number of the document.
    name: String,
    group: Group,
    cases: Vec<Case>,
    /// What the core says of the cases.
    policy: Policy,
}

/// Sends every case of these files through an Envoy.
///
/// # Errors
/// A file cannot be read, its resources are refused, Envoy fails, or a case comes out otherwise than expected.
pub fn run(files: &[File], layout: Layout) -> Result<Count> {
    let mut count = Count::default();
    let mut groups = Vec::new();
    let refuse = |name: &str, text: &str| Error::new(format!("{name}: {text}"));
    let mut all = Vec::new();
    for (name, text) in files {
        let groups = corpus::groups(text, COMMON).map_err(|text| refuse(name, &text))?;
        all.extend(groups.into_iter().enumerate().map(|(index, group)| (format!("{name}#{index}"), group)));
    }
    for (name, group) in all {
        let cases: Vec<Case> =
            group.cases.iter().filter(|case| !is_skipped(&group, case, layout)).cloned().collect();
        count.run += cases.len();
        count.skipped += group.cases.len() - cases.len();
        if !cases.is_empty() {
            let policy = Policy::compile(&group).map_err(|text| refuse(&name, &text))?;
            groups.push(Loaded { name, group, cases, policy });
        }
    }
    let upstream = Upstream::start("corpus")?;
    let issuer = Issuer::new("corpus")?;
    groups.iter_mut().try_for_each(|loaded| verify_tokens(loaded, &issuer))?;
    let provider = Upstream::start("provider")?;
    let mut proxy = Proxy::start(&groups, layout, &upstream, &provider)?;
    let mut sent = Vec::new();
    let mut failures = String::new();
    for loaded in &groups {
        for case in &loaded.cases {
            let request = request(case, sent.len(), &issuer)?;
            let answered = proxy.client(loaded, case).and_then(|client| client.send(&request));
            match answered {
                Ok(response) => sent.push((loaded, case, response)),
                Err(error) => {
                    let _ = writeln!(failures, "{}: {}\n{error}", loaded.name, sentence(case));
                }
            }
        }
    }
    // Copies may arrive after the answer; those that are expected are waited for.
    let copies: usize =
        sent.iter().filter_map(|(_, case, _)| case.expect.mirrors.as_ref()).map(Vec::len).sum();
    let forwarded = sent.iter().filter(|(_, _, response)| is_echo(response)).count();
    let complete = || (upstream.count() >= forwarded + copies).then_some(());
    // When they do not come, the comparison below says which are missing.
    let _ = wait::until(Duration::from_secs(5), "all copies", complete);
    let mut received = observe::by_number(upstream.requests());
    let asked = observe::by_number(provider.requests());
    for (number, (loaded, case, response)) in sent.iter().enumerate() {
        let mut outcome = observe(response, received.remove(&number).unwrap_or_default());
        let asks = asked.get(&number).into_iter().flatten().filter_map(|check| check.header(PROVIDER));
        outcome.asks = Some(asks.collect::<Vec<_>>().join(", "));
        let mut differences = compare(&case.expect, &outcome).err().unwrap_or_default();
        if !run::is_skipped(&loaded.group, case) {
            let core = loaded.policy.run(case, &mut fixed_random());
            differences += &agree(&core, &outcome).err().unwrap_or_default();
        }
        if !differences.is_empty() {
            let _ = writeln!(failures, "{} ({layout:?}): {}\n{differences}", loaded.name, sentence(case));
        }
    }
    if failures.is_empty() { Ok(count) } else { Err(Error::new(failures)) }
}

fn sentence(case: &Case) -> &str {
    case.name.as_deref().unwrap_or_default()
}

/// Whether the run through Envoy leaves a case out.
fn is_skipped(group: &Group, case: &Case, layout: Layout) -> bool {
    let mut skips = [&group.skip, &case.skip].into_iter().flatten();
    skips.any(|skip| skip.envoy.is_some() || (layout == Layout::Native && skip.native.is_some()))
}

/// Has a group whose cases have tokens verify them.
fn verify_tokens(loaded: &mut Loaded, issuer: &Issuer) -> Result<()> {
    if loaded.cases.iter().all(|case| case.request.token.is_none()) {
        return Ok(());
    }
    let workload = loaded.group.workload.as_ref();
    let root = workload.and_then(|workload| workload.root_namespace.as_deref()).unwrap_or("istio-system");
    let text = issuer.any_issuer(root).to_string();
    let node = Node::from_json(text.as_bytes()).context("reading a RequestAuthentication")?;
    loaded.group.resources.nodes.push(node.into_owned());
    Ok(())
}

fn request(case: &Case, number: usize, issuer: &Issuer) -> Result<Request> {
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
    if let Some(payload) = asked.token_payload() {
        request = request.header("authorization", format!("Bearer {}", issuer.sign(&payload)?));
    }
    Ok(request)
}
