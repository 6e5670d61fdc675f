//! `mesh_fault.wasm`: the delays and aborts of routing rules.
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

struct Fault {
    table: RouteTable,
}

impl Filter for Fault {
    fn compile(resources: &mut [Resource], proxy: &ProxyContext, problems: &mut Problems) -> Self {
        Self { table: RouteTable::take(resources, proxy, problems) }
    }

    fn is_idle(&self) -> bool {
        !self.table.has_faults()
    }

    fn decide<'r>(&'r self, request: &RequestView<'r>, random: &mut dyn Random) -> Plan<'r> {
        let mut plan = Plan::default();
        if let Routed::Chosen(choice) = phase::route_in_chain(&self.table, request, random, &mut plan) {
            phase::inject_fault(choice, request, random, &mut plan);
        }
        plan
    }
}

mesh_policy_host::filter!(Fault);
