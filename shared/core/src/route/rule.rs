//! One entry of `http`, compiled: what it does with a request that it takes.

use super::cors::Cors;
use super::destination::{Destination, Destinations, Setting};
use super::direct_response::DirectResponse;
use super::fault::Fault;
use super::header_operations::{HeaderRules, Operations};
use super::mirror;
use super::place::Place;
use super::profile::ForwardingProfile;
use super::quantity;
use super::redirect::Redirect;
use super::retry::{self, Order};
use super::rewrite::{PathRewrite, Rewrite};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::{HttpRoute, StringMatch};

/// What a rule does.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) action: RuleAction,
    pub(super) fault: Fault,
}

/// What becomes of the request.
#[derive(Debug)]
pub(super) enum RuleAction {
    Forward(Box<Forward>),
    Redirect(Redirect, Operations),
    DirectResponse(DirectResponse, Operations),
}

/// Everything about a request that goes to an upstream.
#[derive(Debug)]
pub(super) struct Forward {
    pub(super) destinations: Destinations,
    pub(super) path: Option<PathRewrite>,
    /// The authority that the rule itself asks for; a destination's own counts only without it.
    pub(super) authority: Option<String>,
    /// What the router is told about retries.
    pub(super) orders: Vec<Order>,
    /// The bound on the whole request in milliseconds, which bounds a client's own wish, too.
    pub(super) timeout_ms: Option<u64>,
    /// The bound on each try in milliseconds.
    pub(super) per_try_timeout_ms: Option<u64>,
    pub(super) cors: Option<Cors>,
    pub(super) profile: Option<ForwardingProfile>,
}

impl Forward {
    /// The authority for one of its destinations.
    pub(super) fn authority<'t>(&'t self, destination: &'t Destination) -> Option<&'t str> {
        self.authority.as_deref().or(destination.authority.as_deref())
    }
}

impl Rule {
    /// From the entry written at `at`, in a VirtualService of `namespace`.
    pub(super) fn compile(
        written: &HttpRoute,
        namespace: &str,
        setting: &Setting<'_>,
        at: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        check_combination(written, at, problems);
        // Everything is compiled before anything is left out, so that no mistake hides behind another.
        let rewrite = written
            .rewrite
            .as_ref()
            .map(|rewrite| Rewrite::compile(rewrite, &at.field("rewrite"), problems))
            .unwrap_or_default();
        let headers = written
            .headers
            .as_ref()
            .map(|headers| HeaderRules::compile(headers, &at.field("headers"), problems))
            .unwrap_or_default();
        if rewrite.authority.is_some() && headers.authority.is_some() {
            let message = "the authority is set by `rewrite.authority` and by `headers.request`";
            problems.error(at.path(), ProblemKind::Conflict, message);
        }
        let timeout_ms =
            written.timeout.and_then(|span| quantity::milliseconds(span, &at.field("timeout"), problems));
        let mut orders: Vec<Order> = Vec::new();
        let retries = written.retries.as_ref().map(|retries| {
            let (own, said) = retry::compile(retries, &at.field("retries"), problems);
            orders.extend(said);
            own
        });
        let mirrors = mirror::compile(written, namespace, setting, at, problems);
        let fault = written
            .fault
            .as_ref()
            .map(|fault| Fault::compile(fault, &at.field("fault"), problems))
            .unwrap_or_default();
        let cors =
            written.cors_policy.as_ref().map(|cors| Cors::compile(cors, &at.field("corsPolicy"), problems));
        setting.proxy.steering.check(written, at, problems);
        let redirect = written.redirect.as_ref().map(|redirect| {
            check_prefix_rewrite(written, at, problems);
            Redirect::compile(redirect, setting.proxy.port, &at.field("redirect"), problems)
        });
        let direct = written.direct_response.as_ref().map(|direct_response| {
            DirectResponse::compile(direct_response, &at.field("directResponse"), problems)
        });
        let destinations = (!written.route.is_empty()).then(|| {
            Destinations::compile(&written.route, &headers, namespace, setting, &at.field("route"), problems)
        });
        let response = Operations::of_rule(&headers.response);
        let action = match (redirect, direct, destinations) {
            (Some(redirect), _, _) => RuleAction::Redirect(redirect?, response),
            (None, Some(direct), _) => RuleAction::DirectResponse(direct?, response),
            (None, None, Some(destinations)) => {
                let forward = Forward {
                    destinations: destinations?,
                    path: rewrite.path,
                    authority: rewrite.authority.or(headers.authority),
                    timeout_ms,
                    per_try_timeout_ms: retry::per_try_timeout_ms(&orders),
                    orders,
                    cors,
                    profile: ForwardingProfile::new(retries, mirrors),
                };
                setting.proxy.steering.check_destinations(&forward, at, problems);
                RuleAction::Forward(Box::new(forward))
            }
            (None, None, None) => return None,
        };
        Some(Self { action, fault })
    }
}

/// Which fields of a rule exclude each other, and which do nothing together.
fn check_combination(written: &HttpRoute, at: &Place<'_>, problems: &mut Problems) {
    let route = ("route", !written.route.is_empty());
    let redirect = ("redirect", written.redirect.is_some());
    let direct_response = ("directResponse", written.direct_response.is_some());
    let rewrite = ("rewrite", written.rewrite.is_some());
    let fault = ("fault", written.fault.is_some());
    let delegate = ("delegate", written.delegate.is_some());
    if ![route, redirect, direct_response, delegate].iter().any(|(_, is_there)| *is_there) {
        problems.error(
            at.path(),
            ProblemKind::Missing,
            "expected one of `route`, `redirect`, `directResponse` and `delegate`, found none",
        );
    }
    for (first, others) in [
        (redirect, [route, fault, rewrite, direct_response].as_slice()),
        (direct_response, &[route, fault, rewrite]),
        (delegate, &[route, redirect]),
    ] {
        for second in others {
            if first.1 && second.1 {
                problems.error(
                    at.path(),
                    ProblemKind::Conflict,
                    format!("`{}` and `{}` exclude each other", first.0, second.0),
                );
            }
        }
    }
    let answered = [redirect, direct_response].into_iter().find(|(_, is_there)| *is_there);
    if let Some((action, _)) = answered {
        for (field, is_there) in [
            ("timeout", written.timeout.is_some()),
            ("retries", written.retries.is_some()),
            ("mirror", written.mirror.is_some()),
            ("mirrors", !written.mirrors.is_empty()),
            // Envoy's filter finds its policy in routes that forward only.
            ("corsPolicy", written.cors_policy.is_some()),
        ] {
            if is_there {
                problems.warning(
                    at.field(field).path(),
                    ProblemKind::Suspicious,
                    format!("`{field}` has no effect beside `{action}`"),
                );
            }
        }
    }
}

/// A prefix can only be replaced where one was matched.
fn check_prefix_rewrite(written: &HttpRoute, at: &Place<'_>, problems: &mut Problems) {
    let wants_prefix = written
        .redirect
        .as_ref()
        .is_some_and(|redirect| redirect.prefix_rewrite.as_ref().is_some_and(|p| !p.is_empty()));
    if !wants_prefix {
        return;
    }
    let below = at.field("match");
    for (index, matched) in written.matches.iter().enumerate() {
        if matches!(matched.uri, Some(StringMatch::Exact(_) | StringMatch::Regex(_))) {
            problems.error(
                below.index(index).field("uri").path(),
                ProblemKind::Conflict,
                "expected a `prefix`, as `redirect.prefixRewrite` replaces the matched prefix",
            );
        }
    }
}
