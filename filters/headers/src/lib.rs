//! `mesh_headers.wasm`: the header operations of routing rules.
//!
//! Fails closed: a request that cannot be judged is answered with 500.

use mesh_policy_core::effect::Random;
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_core::request::RequestView;
use mesh_policy_core::route::RouteTable;
use mesh_policy_host::phase::{self, Routed};
use mesh_policy_host::{Filter, Plan};
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::Resource;

struct Headers {
    table: RouteTable,
}

impl Filter for Headers {
    fn compile(resources: &mut [Resource], proxy: &ProxyContext, problems: &mut Problems) -> Self {
        Self { table: RouteTable::take(resources, proxy, problems) }
    }

    fn is_idle(&self) -> bool {
        !self.table.edits_requests() && !self.table.edits_responses()
    }

    fn decide<'r>(&'r self, request: &RequestView<'r>, random: &mut dyn Random) -> Plan<'r> {
        let mut plan = Plan::default();
        if let Routed::Chosen(choice) = phase::route_in_chain(&self.table, request, random, &mut plan) {
            phase::edit_headers_in_chain(choice, request, &mut plan);
        }
        plan
    }
}

mesh_policy_host::filter!(Headers);
