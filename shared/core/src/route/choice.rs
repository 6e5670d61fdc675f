//! A rule that matched, and the destination drawn for one request.

use super::destination::Destination;
use super::grpc_timeout;
use super::header_operations::Operations;
use super::profile::ForwardingProfile;
use super::retry;
use super::rule::{Forward, Rule, RuleAction};
use super::virtual_host::Route;
use super::{RouteTable, RuleId, Steering};
use crate::control::{self, is_control_header};
use crate::effect::{FaultDecision, HeaderEdit, LocalReply, Random};
use crate::request::RequestView;
use std::borrow::Cow;

/// A rule that matched, and which of its matches did.
#[derive(Debug, Clone, Copy)]
pub struct RouteMatch<'t> {
    table: &'t RouteTable,
    position: usize,
    route: &'t Route,
    rule: &'t Rule,
}

/// What a rule does with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action<'t> {
    /// Forward it to one of these, drawn by weight.
    Forward(&'t [Destination]),
    /// Send the client elsewhere.
    Redirect,
    /// Answer in place of an upstream.
    DirectResponse,
}

impl<'t> RouteMatch<'t> {
    /// The route at `position` of `table`.
    pub(super) fn new(table: &'t RouteTable, position: usize) -> Option<Self> {
        let route = table.routes.get(position)?;
        Some(Self { table, position, route, rule: table.rules.get(route.rule)? })
    }

    /// The route's name: `<http.name>`, `<http.name>.<match.name>` or `default`.
    #[must_use]
    pub fn name(&self) -> &'t str {
        &self.route.name
    }

    /// The rule, and its match.
    #[must_use]
    pub const fn rule(&self) -> &'t RuleId {
        &self.route.id
    }

    /// What the rule does.
    #[must_use]
    pub fn action(&self) -> Action<'t> {
        match &self.rule.action {
            RuleAction::Forward(forward) => Action::Forward(forward.destinations.list()),
            RuleAction::Redirect(..) => Action::Redirect,
            RuleAction::DirectResponse(..) => Action::DirectResponse,
        }
    }

    /// Draws the destination.
    pub fn choose(&self, random: &mut dyn Random) -> RouteChoice<'t> {
        match &self.rule.action {
            RuleAction::Forward(forward) => {
                RouteChoice { route: *self, destination: Some(forward.destinations.draw(random)) }
            }
            RuleAction::Redirect(..) | RuleAction::DirectResponse(..) => {
                RouteChoice { route: *self, destination: None }
            }
        }
    }
}

/// A rule that matched, and the destination drawn for this request.
#[derive(Debug, Clone, Copy)]
pub struct RouteChoice<'t> {
    route: RouteMatch<'t>,
    destination: Option<usize>,
}

impl<'t> RouteChoice<'t> {
    /// The choice as text, for filter state: see [`RouteTable::published`].
    #[must_use]
    pub fn publish(&self) -> String {
        let Self { route: RouteMatch { table, position, .. }, destination } = self;
        let destination = destination.map(|index| index.to_string());
        // Not formatted: that is a thousand instructions for each request.
        [&table.fingerprint, ":", &position.to_string(), ":", destination.as_deref().unwrap_or("-")].concat()
    }

    /// Reads what [`RouteChoice::publish`] wrote, if `table` is an equal table.
    pub(super) fn read(table: &'t RouteTable, text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let of_table = text.strip_prefix(table.fingerprint.as_str())?.strip_prefix(':')?;
        let (position, destination) = of_table.split_once(':')?;
        let route = RouteMatch::new(table, position.parse().ok()?)?;
        let destination = match (&route.rule.action, destination) {
            (RuleAction::Forward(forward), index) => {
                let index = index.parse().ok()?;
                forward.destinations.list().get(index)?;
                Some(index)
            }
            (_, "-") => None,
            _ => return None,
        };
        Some(Self { route, destination })
    }

    /// The rule.
    #[must_use]
    pub const fn route(&self) -> RouteMatch<'t> {
        self.route
    }

    /// The destination drawn; `None` for a redirect or a direct response.
    #[must_use]
    pub fn destination(&self) -> Option<&'t Destination> {
        self.forward().map(|(_, destination)| destination)
    }

    #[inline]
    fn forward(&self) -> Option<(&'t Forward, &'t Destination)> {
        let RuleAction::Forward(forward) = &self.route.rule.action else { return None };
        Some((forward, forward.destinations.list().get(self.destination?)?))
    }

    /// The answer of a redirect or a direct response, or to a cross-origin preflight.
    #[must_use]
    pub fn local_reply(&self, request: &RequestView<'_>) -> Option<LocalReply> {
        match &self.route.rule.action {
            RuleAction::Forward(forward) => forward.cors.as_ref()?.preflight(request),
            RuleAction::Redirect(redirect, _) => Some(redirect.reply(request, self.route.route.matched.part)),
            RuleAction::DirectResponse(response, _) => Some(response.reply(request)),
        }
    }

    /// Draws the faults to inject.
    pub fn fault(&self, request: &RequestView<'_>, random: &mut dyn Random) -> FaultDecision {
        let _ = request;
        self.route.rule.fault.draw(random)
    }

    /// Whether the request is a cross-origin preflight that the rule answers: no header operation applies to that.
    fn answers_preflight(&self, request: &RequestView<'_>) -> bool {
        match &self.route.rule.action {
            RuleAction::Forward(forward) => forward.cors.as_ref().is_some_and(|cors| cors.answers(request)),
            RuleAction::Redirect(..) | RuleAction::DirectResponse(..) => false,
        }
    }

    /// What marks the response as open to the origin that asks. It comes behind all other edits of the response, and an
    /// injected abort goes without it.
    pub fn cors_edits(&self, request: &RequestView<'_>, edits: &mut Vec<HeaderEdit<'t>>) {
        if let RuleAction::Forward(forward) = &self.route.rule.action
            && let Some(cors) = &forward.cors
            && !cors.answers(request)
        {
            cors.response_edits(request, edits);
        }
    }

    /// The rule's operations on request headers, without the authority.
    #[inline]
    pub fn request_edits(&self, request: &RequestView<'_>, edits: &mut Vec<HeaderEdit<'t>>) {
        if let Some((_, destination)) = self.forward() {
            destination.request.request_edits(request, edits);
        }
    }

    /// The rule's operations on response headers; computed when the request arrives, to be kept until the response.
    #[inline]
    pub fn response_edits(&self, request: &RequestView<'_>, edits: &mut Vec<HeaderEdit<'t>>) {
        if self.answers_preflight(request) {
            return;
        }
        let operations: &'t Operations = match &self.route.rule.action {
            RuleAction::Forward(_) => match self.forward() {
                Some((_, destination)) => &destination.response,
                None => return,
            },
            RuleAction::Redirect(_, operations) | RuleAction::DirectResponse(_, operations) => operations,
        };
        let mut seen = Vec::new();
        if operations.reads_request_headers() {
            self.request_edits(request, &mut seen);
            // By then the request has its new path and authority.
            self.forward_edits(request, &mut seen);
        }
        operations.response_edits(request, &seen, edits);
    }

    /// What the rule needs of Envoy's own route: mirrors and the manner of its retries.
    #[must_use]
    pub fn profile(&self) -> Option<&'t ForwardingProfile> {
        self.forward().and_then(|(forward, _)| forward.profile.as_ref())
    }

    /// What Envoy's router must be told to carry out the choice: cluster, profile, timeout, retries, new path and authority.
    #[inline]
    pub fn forward_edits(&self, request: &RequestView<'_>, edits: &mut Vec<HeaderEdit<'t>>) {
        let Some((forward, destination)) = self.forward() else { return };
        let mut set = |name: &'t str, value: Cow<'t, [u8]>| edits.push(HeaderEdit::Set(name.into(), value));
        match &self.route.table.steering {
            Steering::Compiled => {
                set(control::CLUSTER, Cow::Borrowed(destination.cluster().as_bytes()));
                if let Some(profile) = &forward.profile {
                    set(control::PROFILE, Cow::Borrowed(profile.name().as_bytes()));
                }
            }
            Steering::Header(name) => set(name, Cow::Borrowed(destination.cluster().as_bytes())),
            Steering::Authority => {
                set(":authority", Cow::Owned(destination.authority_of_service().into_bytes()))
            }
        }
        let timeout_ms = grpc_timeout::bound(request, forward.timeout_ms);
        if let Some(milliseconds) = timeout_ms {
            set(retry::TIMEOUT, Cow::Owned(milliseconds.to_string().into_bytes()));
        }
        // The upstream is told of the first time that runs out.
        let soonest = [timeout_ms, forward.per_try_timeout_ms].into_iter().flatten().min();
        if let Some(milliseconds) = soonest.filter(|_| request.is_grpc()) {
            set(grpc_timeout::HEADER, Cow::Owned(grpc_timeout::value(milliseconds).into_bytes()));
        }
        for (name, value) in &forward.orders {
            set(name, Cow::Borrowed(value.as_bytes()));
        }
        if let Some(rewrite) = &forward.path
            && let (Some(path_and_query), Some(path)) = (request.path_and_query(), request.path())
        {
            // Envoy's router keeps the path as it arrived here, too.
            set("x-envoy-original-path", Cow::Owned(path_and_query.to_vec()));
            let path = rewrite.apply(path_and_query, path.len(), self.route.route.matched.part);
            set(":path", Cow::Owned(path));
        }
        if let Some(authority) = forward.authority(destination) {
            if let Some(old) = noted_authority(forward, destination, request) {
                set("x-envoy-original-host", old);
            }
            set(":authority", Cow::Borrowed(authority.as_bytes()));
        }
    }
}

/// The authority that Envoy notes when it writes a new one. It writes that of one of several destinations first, and notes
/// nothing; then that of the rule, and notes the one it finds.
fn noted_authority<'t>(
    forward: &'t Forward,
    destination: &'t Destination,
    request: &RequestView<'_>,
) -> Option<Cow<'t, [u8]>> {
    let several = forward.destinations.list().len() > 1;
    let old = match (&forward.authority, &destination.authority) {
        (Some(_), Some(first)) if several => Cow::Borrowed(first.as_bytes()),
        (None, _) if several => return None,
        _ => Cow::Owned(request.authority()?.to_vec()),
    };
    Some(old).filter(|old| !old.is_empty())
}

/// Removes every control header that the client sent.
#[inline]
pub fn drop_control_headers<'r>(request: &RequestView<'r>, edits: &mut Vec<HeaderEdit<'r>>) {
    for (name, _) in request.headers().iter() {
        if is_control_header(name)
            && let Ok(name) = std::str::from_utf8(name)
            && !edits.iter().any(|edit| matches!(edit, HeaderEdit::Remove(removed) if removed == name))
        {
            edits.push(HeaderEdit::Remove(Cow::Borrowed(name)));
        }
    }
}
