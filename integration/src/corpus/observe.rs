//! What can be seen of a case from both ends.

use super::{CLUSTER, DETAILS, NUMBER, ROUTE, RULE};
use crate::client::{Headers, Response};
use crate::upstream::Received;
use mesh_policy_testkit::corpus::HeaderLine;
use mesh_policy_testkit::outcome::{Outcome, Upstream};
use std::collections::BTreeMap;

pub(super) fn is_echo(response: &Response) -> bool {
    response.echo().is_ok()
}

/// What the echo server got, by the number of the case.
pub(super) fn by_number(received: Vec<Received>) -> BTreeMap<usize, Vec<Received>> {
    let mut cases: BTreeMap<usize, Vec<Received>> = BTreeMap::new();
    for one in received {
        if let Some(number) = one.headers.get(NUMBER).and_then(|number| number.parse().ok()) {
            cases.entry(number).or_default().push(one);
        }
    }
    cases
}

/// `own` are the requests that the echo server got of this case.
pub(super) fn observe(response: &Response, mut own: Vec<Received>) -> Outcome {
    let mut outcome = Outcome {
        allowed: Some(response.status != 403),
        policy: denied_by(response),
        route: response.headers.get(ROUTE),
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
    if let Some(at) = own.iter().position(|received| received.headers.get(CLUSTER) == cluster) {
        let answered = own.remove(at);
        outcome.rule = answered.headers.get(RULE);
        outcome.upstream = Some(Upstream {
            path: answered.target.escape_ascii().to_string(),
            authority: answered.authority.escape_ascii().to_string(),
            headers: lines(&answered.headers),
        });
    }
    outcome.cluster = cluster;
    outcome.mirrors = Some(own.iter().map(|copy| copy.headers.get(CLUSTER).unwrap_or_default()).collect());
    outcome
}

/// The policy in brackets behind the response's details; none when something else answered or no rule was the reason.
fn denied_by(response: &Response) -> Option<String> {
    let details = response.headers.get(DETAILS)?;
    let policy = details.strip_prefix("rbac_access_denied_matched_policy[")?.strip_suffix(']')?;
    (policy != "none").then(|| policy.to_owned())
}

fn lines(headers: &Headers) -> Vec<HeaderLine> {
    let line = |(name, value): &(Vec<u8>, Vec<u8>)| HeaderLine {
        name: name.escape_ascii().to_string().to_ascii_lowercase(),
        value: value.clone(),
    };
    headers.0.iter().map(line).collect()
}
