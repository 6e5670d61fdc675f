//! What is to be done with a request: filled by the phases, carried out by the stream.

use mesh_policy_core::effect::{FaultDecision, HeaderEdit, LocalReply};
use std::borrow::Cow;

/// What is to be done with a request. The default lets it pass untouched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan<'p> {
    /// Published for later filters and for access logs, also when the request is refused.
    pub filter_state: Vec<(&'static str, String)>,
    /// Counters to add one to, by name. A name must not be made of what a request says.
    pub counters: Vec<String>,
    /// Changes to the request, in order; not carried out when the request is answered here.
    pub request_edits: Vec<HeaderEdit<'p>>,
    /// Whether the changes concern Envoy's own choice of a route.
    pub clear_route_cache: bool,
    /// Changes to the response, in order, whoever gives it.
    pub response_edits: Vec<HeaderEdit<'p>>,
    /// Further changes to the response, behind the others; an injected abort goes without them.
    pub unaborted_response_edits: Vec<HeaderEdit<'p>>,
    /// What to inject before anything else.
    pub fault: FaultDecision,
    /// The answer to give in place of an upstream.
    pub reply: Option<LocalReply>,
}

/// The edit without borrows, to be kept until the response.
pub fn owned(edit: HeaderEdit<'_>) -> HeaderEdit<'static> {
    fn text(text: Cow<'_, str>) -> Cow<'static, str> {
        Cow::Owned(text.into_owned())
    }
    fn bytes(bytes: Cow<'_, [u8]>) -> Cow<'static, [u8]> {
        Cow::Owned(bytes.into_owned())
    }
    match edit {
        HeaderEdit::Set(name, value) => HeaderEdit::Set(text(name), bytes(value)),
        HeaderEdit::Add(name, value) => HeaderEdit::Add(text(name), bytes(value)),
        HeaderEdit::Remove(name) => HeaderEdit::Remove(text(name)),
    }
}
