//! What can be seen of a request from both ends.

use super::difference::IGNORED_HEADERS;
use crate::Result;
use crate::bytes::escape;
use crate::client::{Headers, Response};
use crate::upstream::{Echo, Received};
use mesh_policy_testkit::generate::{Peer, Probe};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The header that carries the number of a request.
pub(super) const NUMBER: &str = "x-differential-number";

/// The header by which a cluster tells the echo server its name.
pub(super) const CLUSTER: &str = "x-differential-cluster";

/// The response header with Envoy's details of the response.
pub(super) const DETAILS: &str = "x-differential-details";

/// The response header with what the DENY policies on trial would have done: the result and the policy.
pub(super) const SHADOW_DENY: &str = "x-differential-shadow-deny";

/// The same of the ALLOW policies.
pub(super) const SHADOW_ALLOW: &str = "x-differential-shadow-allow";

/// What came of one request, as lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Outcome {
    /// The status; `None` when there was no response.
    pub(super) status: Option<u16>,
    /// The whole response.
    pub(super) response: String,
    /// What the upstreams got, copies and retries included, in an order of their own.
    pub(super) received: Vec<String>,
}

impl Outcome {
    /// The same without the lines that begin like this, received ones included.
    pub(super) fn without(&self, starts: &[&str]) -> Self {
        let without = |text: &String| {
            let kept =
                text.lines().filter(|line| !starts.iter().any(|start| line.trim_start().starts_with(start)));
            kept.fold(String::new(), |text, line| text + line + "\n")
        };
        Self {
            status: self.status,
            response: without(&self.response),
            received: self.received.iter().map(without).collect(),
        }
    }

    pub(super) fn new(response: &Result<Response>, received: &[&Received]) -> Self {
        let mut received: Vec<String> = received.iter().map(|received| shown(received)).collect();
        received.sort();
        match response {
            Ok(response) => Self { status: Some(response.status), response: answer(response), received },
            Err(error) => Self { status: None, response: format!("no response: {error}\n"), received },
        }
    }
}

fn answer(response: &Response) -> String {
    let mut text = format!("status {}\n", response.status);
    let echoed = response.echo().is_ok() || Echo::from_grpc_body(&response.body).is_ok();
    let forwarded = echoed || response.headers.has("x-envoy-upstream-service-time");
    // The echo tells what the upstream got, which is compared itself, and its length depends on what is not compared.
    let ignored = |name: &str| forwarded && name == "content-length";
    text += &lines(&response.headers, ignored);
    if !echoed {
        let _ = writeln!(text, "body {}", escape(&response.body));
    }
    text + &lines(&response.trailers, |_| false)
}

fn shown(received: &Received) -> String {
    let mut text = format!("received by {}\n", received.header(CLUSTER).unwrap_or_default());
    let _ = writeln!(text, "  {} {}", received.method, escape(&received.target));
    let _ = writeln!(text, "  authority {}", escape(&received.authority));
    for line in lines(&received.headers, |name| name == CLUSTER).lines() {
        let _ = writeln!(text, "  {line}");
    }
    text
}

/// Header lines by name; those of one name in their order.
fn lines(headers: &Headers, ignored: impl Fn(&str) -> bool) -> String {
    let mut shown: Vec<(String, String)> = Vec::new();
    for (name, value) in &headers.0 {
        let name = escape(name).to_ascii_lowercase();
        if [SHADOW_DENY, SHADOW_ALLOW].contains(&name.as_str()) {
            shown.extend(shadow(value).map(|value| (name, value)));
        } else if !ignored(&name) && !IGNORED_HEADERS.iter().any(|(ignored, _)| *ignored == name) {
            // Long values are long on purpose; their beginning and length tell them apart.
            let value = match value.get(..200) {
                Some(start) => format!("{}... ({} bytes)", escape(start), value.len()),
                None => escape(value),
            };
            shown.push((name, value));
        }
    }
    shown.sort_by(|(a, _), (b, _)| a.cmp(b));
    shown.into_iter().fold(String::new(), |text, (name, value)| text + &name + ": " + &value + "\n")
}

/// What policies on trial would have done, in our words; none where none is on trial.
fn shadow(value: &[u8]) -> Option<String> {
    let text = escape(value);
    match text.strip_suffix(':') {
        Some("") => None,
        Some(result) => Some(format!("{result}:none")),
        None => Some(text),
    }
}

/// All outcomes that were seen, for people.
pub(super) fn text(outcomes: &BTreeSet<Outcome>) -> String {
    let one = |outcome: &Outcome| outcome.response.clone() + &outcome.received.concat();
    outcomes.iter().map(one).collect::<Vec<_>>().join("or\n")
}

/// Both texts without the lines that they share; the first line of each stays.
pub(super) fn only_differences(a: &str, b: &str) -> (String, String) {
    let rest = |text: &str, other: &str| {
        let other: Vec<&str> = other.lines().collect();
        let own = text.lines().enumerate().filter(|(at, line)| *at == 0 || !other.contains(line));
        own.fold(String::new(), |text, (_, line)| text + "  " + line + "\n")
    };
    (rest(a, b), rest(b, a))
}

/// A request, for people.
pub(super) fn show(probe: &Probe) -> String {
    let mut text = format!("{} {}", escape(&probe.method), escape(&probe.target));
    if probe.http10 {
        text += " HTTP/1.0";
    }
    match &probe.authority {
        Some(host) => {
            let _ = write!(text, "\n  host: {}", escape(host));
        }
        None => text += "\n  without host",
    }
    for (name, value) in &probe.headers {
        let start = value.get(..60).unwrap_or(value);
        let _ = write!(text, "\n  {name}: {}", escape(start));
    }
    if let Some(payload) = &probe.token {
        let _ = write!(text, "\n  token {payload}");
    }
    if let Peer::Mutual(ids) = &probe.peer {
        let _ = write!(text, "\n  as {ids:?}");
    }
    let _ = write!(text, "\n  from {}", probe.source_ip);
    if let Some(told) = &probe.told {
        let _ = write!(
            text,
            ", told to come from {} to {} port {}",
            told.remote_ip, told.destination_ip, told.destination_port
        );
    }
    text
}
