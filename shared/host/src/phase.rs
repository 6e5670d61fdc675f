//! The steps that filters are made of: each adds to a [`Plan`] what one decision asks for.

use crate::abi;
use crate::host_call::LogLevel;
use crate::plan::Plan;
use mesh_policy_core::authz::{Authorizer, AuthzObserver, Verdict};
use mesh_policy_core::control;
use mesh_policy_core::effect::{HeaderEdit, Random};
use mesh_policy_core::request::RequestView;
use mesh_policy_core::route::{self, RouteChoice, RouteTable, Selection};

/// Decides whether the request may pass; a denial is the plan's reply. In front of Envoy's ext_authz filter it decides instead
/// who is asked, and what a client itself said about that does not count.
///
/// Returns whether the request may pass as far as this filter is concerned.
pub fn authorize(authorizer: &Authorizer, request: &RequestView<'_>, plan: &mut Plan<'_>) -> bool {
    if authorizer.is_empty() {
        return true;
    }
    let verdict = authorizer.authorize(request, &mut Enforcing);
    record(&verdict, plan);
    if authorizer.stands_before_ext_authz() {
        let edit = match verdict.asks() {
            Some(provider) => HeaderEdit::Set(control::EXT_AUTHZ.into(), provider.as_bytes().to_vec().into()),
            None => HeaderEdit::Remove(control::EXT_AUTHZ.into()),
        };
        plan.request_edits.push(edit);
    }
    if verdict.is_allowed() {
        return true;
    }
    let miss = match verdict.determining() {
        None => authorizer.nearest_miss(request, NEAREST_OF),
        Some(_) => None,
    };
    let reason = verdict.reason(miss.as_ref());
    let Some(mut reply) = verdict.denial(&reason) else { return true };
    if abi::logs(LogLevel::Debug) {
        abi::log(LogLevel::Debug, &format!("denied by {reason}"));
    }
    if authorizer.explains_denials() {
        reply.headers.push((control::DENIED_BY.to_owned(), reason.clone().into_bytes()));
    }
    plan.filter_state.push((control::AUTHZ_FILTER_STATE, reason));
    plan.reply = Some(reply);
    false
}

/// Asks for the decision alone: nobody is told which ALLOW rule let a request pass.
struct Enforcing;

impl AuthzObserver for Enforcing {
    fn takes_any_permit(&self) -> bool {
        true
    }
}

/// How many ALLOW rules are looked at for the nearest miss: a client that is denied decides how often that happens.
const NEAREST_OF: usize = 16;

/// What is recorded of a verdict whatever it is: the AUDIT rule that matched, and what policies on trial would have done.
fn record(verdict: &Verdict<'_>, plan: &mut Plan<'_>) {
    if let (Some(rule), Some(_)) = (verdict.determining(), verdict.asks()) {
        plan.filter_state.push((control::CUSTOM_FILTER_STATE, rule.to_string()));
    }
    if let Some(rule) = verdict.audited() {
        plan.filter_state.push((control::AUDIT_FILTER_STATE, rule.to_string()));
    }
    for (key, action, shadow) in [
        (control::SHADOW_DENY_FILTER_STATE, "DENY", verdict.shadow_deny()),
        (control::SHADOW_ALLOW_FILTER_STATE, "ALLOW", verdict.shadow_allow()),
    ] {
        let Some(shadow) = shadow else { continue };
        plan.filter_state.push((key, shadow.to_string()));
        let policy = shadow.rule.map_or_else(
            || "none".to_owned(),
            |rule| format!("{}/{}", rule.policy().namespace, rule.policy().name),
        );
        let labels = [("policy", policy.as_str()), ("action", action), ("result", shadow.result())];
        plan.counters.push(counter(SHADOW_COUNTER, &labels));
    }
}

/// Counts what policies on trial would have done.
const SHADOW_COUNTER: &str = "mesh_policy_shadow";

/// The name of a counter with labels, in the form from which the `stats_tags` of the compiled bootstrap take them. The
/// values come from the configuration, never from requests: each new one is a counter that stays.
fn counter(name: &str, labels: &[(&str, &str)]) -> String {
    let mut text = name.to_owned();
    for (label, value) in labels {
        let separator = if text.len() == name.len() { "." } else { "" };
        text += &format!("{separator}{label}=.={value};.;");
    }
    text
}

/// Takes away the control headers that a client sent: they never count, whatever becomes of the request.
pub fn drop_control_headers<'r>(table: &'r RouteTable, request: &RequestView<'r>, plan: &mut Plan<'r>) {
    table.steering().drop_client_orders(request, &mut plan.request_edits);
}

/// Where the request goes.
#[derive(Debug, Clone, Copy)]
pub enum Routed<'t> {
    /// The rules leave it to Envoy's own routes.
    Unmanaged,
    /// Nowhere: the answer is 404.
    Nowhere,
    /// As this rule says.
    Chosen(RouteChoice<'t>),
}

/// Selects a rule and draws its destination.
pub fn route<'t>(table: &'t RouteTable, request: &RequestView<'_>, random: &mut dyn Random) -> Routed<'t> {
    match table.select(request, &mut ()) {
        Selection::Unmanaged => Routed::Unmanaged,
        Selection::UnknownHost | Selection::NoRoute => Routed::Nowhere,
        Selection::Route(matched) => Routed::Chosen(matched.choose(random)),
    }
}

/// [`route()`] in a chain of filters: the first of them that selects publishes its choice, and later ones follow it, so that
/// all act on one choice, made for the request as it arrived.
pub fn route_in_chain<'t>(
    table: &'t RouteTable,
    request: &RequestView<'_>,
    random: &mut dyn Random,
    plan: &mut Plan<'_>,
) -> Routed<'t> {
    // What cannot be read was not published.
    let published = abi::property(&[control::ROUTE_FILTER_STATE]).ok().flatten();
    if let Some(choice) = published.and_then(|text| table.published(&text)) {
        return Routed::Chosen(choice);
    }
    let routed = route(table, request, random);
    if let Routed::Chosen(choice) = routed {
        plan.filter_state.push((control::ROUTE_FILTER_STATE, choice.publish()));
    }
    routed
}

/// The rule's operations on request and response headers.
pub fn edit_headers<'r>(choice: RouteChoice<'r>, request: &RequestView<'_>, plan: &mut Plan<'r>) {
    choice.request_edits(request, &mut plan.request_edits);
    choice.response_edits(request, &mut plan.response_edits);
}

/// [`edit_headers()`] in a chain of filters, where the changes of the router filter come before these on the way back.
pub fn edit_headers_in_chain<'r>(choice: RouteChoice<'r>, request: &RequestView<'_>, plan: &mut Plan<'r>) {
    edit_headers(choice, request, plan);
    // What the cross-origin policy says stands: Envoy's filter has the last word on these headers.
    let mut last = Vec::new();
    choice.cors_edits(request, &mut last);
    plan.response_edits.retain(|edit| !last.iter().any(|other| other.name() == edit.name()));
}

/// Draws the rule's faults.
pub fn inject_fault(
    choice: RouteChoice<'_>,
    request: &RequestView<'_>,
    random: &mut dyn Random,
    plan: &mut Plan<'_>,
) {
    plan.fault = choice.fault(request, random);
}

/// Answers redirects, direct responses and cross-origin preflights, and tells Envoy's router how to carry out everything else.
pub fn forward<'r>(routed: Routed<'r>, request: &RequestView<'_>, plan: &mut Plan<'r>) {
    match routed {
        Routed::Unmanaged => {}
        Routed::Nowhere => plan.reply = Some(route::not_found()),
        Routed::Chosen(choice) => {
            plan.reply = choice.local_reply(request);
            choice.cors_edits(request, &mut plan.unaborted_response_edits);
            if plan.reply.is_none() {
                choice.forward_edits(request, &mut plan.request_edits);
            }
        }
    }
}
