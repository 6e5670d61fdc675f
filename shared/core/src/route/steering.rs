//! How Envoy's router is told the destination that a rule chose.

use super::name::is_token;
use super::place::Place;
use super::rule::Forward;
use crate::control;
use crate::effect::HeaderEdit;
use crate::request::RequestView;
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::HttpRoute;
use mesh_policy_istio::workload::RouterSettings;
use std::borrow::Cow;

/// How Envoy's router is told the destination that a rule chose: a matter of the route table behind the filter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Steering {
    /// By our control headers, in front of the routes that the compiler writes.
    #[default]
    Compiled,
    /// By the name of the cluster in this header, lower case, in front of routes of somebody else's that follow it.
    Header(String),
    /// By the authority, in front of routes of somebody else's that go by host.
    Authority,
}

impl Steering {
    /// From the `router` of a plugin configuration; its problems are reported there.
    pub fn compile(written: &RouterSettings, problems: &mut Problems) -> Self {
        let at = Path::root().field("router");
        let RouterSettings { destination_header, destination_authority } = written;
        match (destination_header, destination_authority.unwrap_or_default()) {
            (None, false) => Self::Compiled,
            (None, true) => Self::Authority,
            (Some(_), true) => {
                let message = "expected one of `destinationHeader` and `destinationAuthority`, found both";
                problems.error(at, ProblemKind::Conflict, message);
                Self::default()
            }
            (Some(name), false) => {
                let header = name.to_ascii_lowercase();
                if !is_token(&header) || control::is_control_header(header.as_bytes()) {
                    problems.error(
                        at.field("destinationHeader"),
                        ProblemKind::InvalidValue,
                        format!("expected the name of a header that no other part of the proxy reads, found `{name}`"),
                    );
                }
                Self::Header(header)
            }
        }
    }

    /// Removes the client's own orders: they never count and never reach the upstream.
    pub fn drop_client_orders<'r>(&'r self, request: &RequestView<'r>, edits: &mut Vec<HeaderEdit<'r>>) {
        super::drop_control_headers(request, edits);
        if let Self::Header(name) = self
            && request.header(name).is_some()
        {
            edits.push(HeaderEdit::Remove(Cow::Borrowed(name)));
        }
    }

    /// Whether routes that are not ours can carry out the rule written at `at`.
    pub(super) fn check(&self, written: &HttpRoute, at: &Place<'_>, problems: &mut Problems) {
        if *self == Self::Compiled {
            return;
        }
        let mut refuse = |at: &Place<'_>, what: &str| {
            problems.error(
                at.path(),
                ProblemKind::Unsupported,
                format!(
                    "{what} need the routes that `mesh-policy compile` writes, and `router` names others"
                ),
            );
        };
        if written.mirror.is_some() {
            refuse(&at.field("mirror"), "copies");
        }
        if !written.mirrors.is_empty() {
            refuse(&at.field("mirrors"), "copies");
        }
        let Some(retries) = &written.retries else { return };
        let at = at.field("retries");
        for (field, is_there) in [
            ("backoff", retries.backoff.is_some()),
            ("retryRemoteLocalities", retries.retry_remote_localities.is_some()),
            ("retryIgnorePreviousHosts", retries.retry_ignore_previous_hosts.is_some()),
        ] {
            if is_there {
                refuse(&at.field(field), "the place and the time of retries");
            }
        }
    }

    /// Whether the authority can tell the destinations of the rule written at `at` apart.
    pub(super) fn check_destinations(&self, forward: &Forward, at: &Place<'_>, problems: &mut Problems) {
        if *self != Self::Authority {
            return;
        }
        let below = at.field("route");
        for (index, destination) in forward.destinations.list().iter().enumerate() {
            if !destination.subset().is_empty() {
                problems.error(
                    below.index(index).field("destination").field("subset").path(),
                    ProblemKind::Unsupported,
                    "a subset cannot be told by the authority, as `router.destinationAuthority` asks",
                );
            }
            if forward.authority(destination).is_some() {
                problems.error(
                    below.index(index).path(),
                    ProblemKind::Conflict,
                    "the authority tells the destination, as `router.destinationAuthority` asks, and cannot be rewritten",
                );
            }
        }
    }
}
