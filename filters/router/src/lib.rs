//! `mesh_router.wasm`: which destination a request goes to, and how.
//!
//! Fails closed: a request that cannot be judged is answered with 500.

use mesh_policy_core::effect::Random;
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_core::request::RequestView;
use mesh_policy_core::route::RouteTable;
use mesh_policy_host::{Filter, Plan, phase};
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::Resource;

struct Router {
    table: RouteTable,
}

impl Filter for Router {
    fn compile(resources: &mut [Resource], proxy: &ProxyContext, problems: &mut Problems) -> Self {
        Self { table: RouteTable::take(resources, proxy, problems) }
    }

    fn decide<'r>(&'r self, request: &RequestView<'r>, random: &mut dyn Random) -> Plan<'r> {
        let mut plan = Plan::default();
        phase::drop_control_headers(&self.table, request, &mut plan);
        let routed = phase::route_in_chain(&self.table, request, random, &mut plan);
        phase::forward(routed, request, &mut plan);
        plan
    }
}

mesh_policy_host::filter!(Router);
