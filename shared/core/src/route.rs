//! Where a request goes: VirtualServices compiled and evaluated.

use crate::effect::LocalReply;
use crate::proxy::ProxyContext;
use crate::request::RequestView;
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::Resource;

mod choice;
mod destination;
mod observer;
mod rule_id;

pub use choice::{Action, RouteChoice, RouteMatch, drop_control_headers};
pub use destination::Destination;
pub use observer::{Excluded, FailedCondition, RouteObserver};
pub use rule_id::RuleId;

/// All rules that one proxy serves, ready to run.
#[derive(Debug)]
pub struct RouteTable {
    routes: Vec<RuleId>,
}

/// What the table says about a request.
#[derive(Debug, Clone, Copy)]
pub enum Selection<'t> {
    /// No VirtualService speaks for this host: at a sidecar, Envoy's own routes apply.
    Unmanaged,
    /// No virtual host serves this host: at a gateway, the answer is 404.
    UnknownHost,
    /// A virtual host serves this host, but none of its rules matched: the answer is 404.
    NoRoute,
    /// This rule matched.
    Route(RouteMatch<'t>),
}

impl RouteTable {
    /// Validates all VirtualServices of `resources`, and the hosts of its Gateways, and assembles what `proxy` serves.
    ///
    /// Whatever is wrong is reported in `problems`, also in resources that do not concern this proxy. A table must not be
    /// used when there are errors.
    #[must_use]
    pub fn compile(resources: &[Resource], proxy: &ProxyContext, problems: &mut Problems) -> Self {
        let _ = (resources, proxy, problems);
        Self { routes: Vec::new() }
    }

    /// The first rule that matches `request`, in the one virtual host that speaks for its authority.
    #[must_use]
    pub fn select<'t, O: RouteObserver>(
        &'t self,
        request: &RequestView<'_>,
        observer: &mut O,
    ) -> Selection<'t> {
        let _ = (request, observer);
        Selection::Unmanaged
    }

    /// The choice that an earlier filter published; `None` when the text is not from an equal table.
    #[must_use]
    pub fn published(&self, text: &[u8]) -> Option<RouteChoice<'_>> {
        let _ = text;
        None
    }

    /// Whether any rule has operations on response headers.
    #[must_use]
    pub fn edits_responses(&self) -> bool {
        false
    }

    /// Whether any rule has operations on request headers.
    #[must_use]
    pub fn edits_requests(&self) -> bool {
        false
    }

    /// Whether any rule injects faults.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        false
    }
}

/// The answer to a request that no rule takes.
#[must_use]
pub fn not_found() -> LocalReply {
    LocalReply {
        status: 404,
        headers: Vec::new(),
        body: Vec::new(),
        grpc_status: None,
        details: "route_not_found".to_owned(),
    }
}
