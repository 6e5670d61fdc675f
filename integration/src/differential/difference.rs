//! Where the engines differ on purpose, or where a comparison would say nothing.

use super::observe::Outcome;
use mesh_policy_testkit::generate::{Peer, PolicySet, Probe};
use std::collections::BTreeSet;

/// Headers that are not compared, and why.
pub const IGNORED_HEADERS: &[(&str, &str)] = &[
    ("x-request-id", "random for each request"),
    ("date", "the clock"),
    ("x-envoy-upstream-service-time", "a measurement"),
    (
        "x-envoy-expected-rq-timeout-ms",
        "Envoy writes it for a timeout that a header asks for, and not for one of a route",
    ),
    ("x-differential-number", "the number that the test gives to each request"),
    ("x-echo-key", "the same number, for the echo server"),
];

/// An intended difference.
pub struct Difference {
    /// Its name in `docs/differences.md`.
    pub name: &'static str,
    /// Why it is intended.
    pub reason: &'static str,
    /// How the lines begin in which it shows; none if the decision itself differs, and with it everything.
    lines: &'static [&'static str],
    /// Whether it can show in these outcomes.
    applies: fn(&Seen<'_>) -> bool,
}

/// What a difference is told of a pair of outcomes.
struct Seen<'a> {
    set: &'a PolicySet,
    probe: &'a Probe,
    wasm: &'a BTreeSet<Outcome>,
    native: &'a BTreeSet<Outcome>,
}

/// Every intended difference.
pub const DIFFERENCES: &[Difference] = &[
    Difference {
        name: "control headers",
        reason: "the filters steer Envoy by headers that begin with `x-mesh-policy-` and remove those that a client sends",
        lines: &["x-mesh-policy-"],
        applies: |seen| seen.probe.headers.iter().any(|(name, _)| name.starts_with("x-mesh-policy-")),
    },
    Difference {
        name: "preflights that call themselves gRPC",
        reason: "a filter answers by a local reply, which Envoy puts in gRPC's words for such a content type; its own filter \
                 answers without; browsers send no content type with a preflight",
        lines: &["content-type:", "grpc-status:"],
        applies: |seen| {
            let answered = "x-differential-details: cors_response";
            let is_grpc = |(name, value): &(String, Vec<u8>)| {
                name.eq_ignore_ascii_case("content-type") && value.starts_with(b"application/grpc")
            };
            seen.probe.headers.iter().any(is_grpc) && all(seen.wasm, answered) && all(seen.native, answered)
        },
    },
    Difference {
        name: "reason of a default denial",
        reason: "where no ALLOW rule matched, the filters add to the response's details the rule that came closest",
        lines: &["x-differential-details: rbac_access_denied_matched_policy[none]"],
        applies: |seen| all(seen.wasm, "[none];nearest=") && all(seen.native, "[none]\n"),
    },
    Difference {
        name: "header operations on refusals",
        reason: "Envoy has chosen a route before it asks for a token or who may pass, so what that route does to responses is \
                 done to refusals too; the filters choose a rule only for requests that may pass",
        lines: &[""],
        applies: |seen| {
            let refused = |outcomes: &BTreeSet<Outcome>| {
                outcomes.iter().all(|outcome| {
                    let by = ["jwt_authn_access_denied", "rbac_access_denied"];
                    let by = by.map(|by| format!("x-differential-details: {by}"));
                    outcome.received.is_empty() && by.iter().any(|by| outcome.response.contains(by))
                })
            };
            seen.set.workload.is_none() && refused(seen.wasm) && refused(seen.native)
        },
    },
    Difference {
        name: "ALLOW policies on trial",
        reason: "the filters also tell what they would have done of a request that a DENY rule denied; Envoy's own filter for \
                 ALLOW is not reached then",
        lines: &["x-differential-shadow-allow:"],
        applies: |seen| {
            let denied = "x-differential-details: rbac_access_denied_matched_policy[ns";
            all(seen.wasm, denied)
                && all(seen.native, denied)
                && !seen
                    .native
                    .iter()
                    .any(|outcome| outcome.response.contains("x-differential-shadow-allow:"))
        },
    },
    Difference {
        name: "several names in a certificate",
        reason: "a filter gets the names of a certificate as one text with commas, which a single name could be, too; a DENY \
                 rule counts by that reading as well, so a rule may deny that Envoy, which knows the names apart, passes by",
        lines: &[],
        applies: |seen| {
            // Only a rule that denies is named; what no ALLOW rule allows is not excused.
            let denied = "x-differential-details: rbac_access_denied_matched_policy[ns";
            matches!(&seen.probe.peer, Peer::Mutual(names) if names.len() > 1) && all(seen.wasm, denied)
        },
    },
    Difference {
        name: "time of one try",
        reason: "a gRPC request gets the time of the whole request in `grpc-timeout`, as the filters' rule takes its timer from \
                 that header; Envoy's own route writes the time of one try",
        lines: &["grpc-timeout:"],
        applies: |seen| {
            seen.set.resources.iter().any(|resource| resource.to_string().contains("perTryTimeout"))
        },
    },
];

/// Whether every response says this.
fn all(outcomes: &BTreeSet<Outcome>, text: &str) -> bool {
    outcomes.iter().all(|outcome| outcome.response.contains(text))
}

pub(super) fn explains(
    set: &PolicySet,
    probe: &Probe,
    wasm: &BTreeSet<Outcome>,
    native: &BTreeSet<Outcome>,
) -> bool {
    let seen = Seen { set, probe, wasm, native };
    // Several may show at once.
    let applying: Vec<_> = DIFFERENCES.iter().filter(|difference| (difference.applies)(&seen)).collect();
    if applying.iter().any(|difference| difference.lines.is_empty()) {
        return true;
    }
    let lines: Vec<&str> = applying.iter().flat_map(|difference| difference.lines).copied().collect();
    let without = |outcomes: &BTreeSet<Outcome>| -> BTreeSet<Outcome> {
        outcomes.iter().map(|outcome| outcome.without(&lines)).collect()
    };
    without(wasm) == without(native)
}
