//! A rule that matched, and the destination drawn for one request.

use super::{Destination, RouteTable, RuleId};
use crate::control::is_control_header;
use crate::effect::{FaultDecision, HeaderEdit, LocalReply, Random};
use crate::request::RequestView;
use std::borrow::Cow;

/// A rule that matched, and which of its matches did.
#[derive(Debug, Clone, Copy)]
pub struct RouteMatch<'t> {
    table: &'t RouteTable,
    id: &'t RuleId,
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
    /// The route's name: `<http.name>`, `<http.name>.<match.name>` or `default`.
    #[must_use]
    pub fn name(&self) -> &'t str {
        "default"
    }

    /// The rule, and its match.
    #[must_use]
    pub const fn rule(&self) -> &'t RuleId {
        self.id
    }

    /// What the rule does.
    #[must_use]
    pub fn action(&self) -> Action<'t> {
        Action::Redirect
    }

    /// Draws the destination.
    pub fn choose(&self, random: &mut dyn Random) -> RouteChoice<'t> {
        let _ = random;
        RouteChoice { route: *self }
    }
}

/// A rule that matched, and the destination drawn for this request.
#[derive(Debug, Clone, Copy)]
pub struct RouteChoice<'t> {
    route: RouteMatch<'t>,
}

impl<'t> RouteChoice<'t> {
    /// The choice as text, for filter state: see [`RouteTable::published`].
    #[must_use]
    pub fn publish(&self) -> String {
        let _ = self.route.table;
        String::new()
    }

    /// The rule.
    #[must_use]
    pub const fn route(&self) -> RouteMatch<'t> {
        self.route
    }

    /// The destination drawn; `None` for a redirect or a direct response.
    #[must_use]
    pub fn destination(&self) -> Option<&'t Destination> {
        None
    }

    /// The answer of a redirect or a direct response.
    #[must_use]
    pub fn local_reply(&self, request: &RequestView<'_>) -> Option<LocalReply> {
        let _ = request;
        None
    }

    /// Draws the faults to inject.
    pub fn fault(&self, request: &RequestView<'_>, random: &mut dyn Random) -> FaultDecision {
        let _ = (request, random);
        FaultDecision::default()
    }

    /// The rule's operations on request headers, without the authority.
    pub fn request_edits(&self, request: &RequestView<'_>, edits: &mut Vec<HeaderEdit<'t>>) {
        let _ = (request, edits);
    }

    /// The rule's operations on response headers; computed when the request arrives, to be kept until the response.
    pub fn response_edits(&self, request: &RequestView<'_>, edits: &mut Vec<HeaderEdit<'t>>) {
        let _ = (request, edits);
    }

    /// What Envoy's router must be told to carry out the choice: cluster, mirrors, timeout, retries, new path and authority.
    pub fn forward_edits(
        &self,
        request: &RequestView<'_>,
        random: &mut dyn Random,
        edits: &mut Vec<HeaderEdit<'t>>,
    ) {
        let _ = (request, random, edits);
    }
}

/// Removes every control header that the client sent.
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
