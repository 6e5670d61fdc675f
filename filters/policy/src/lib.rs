//! `mesh_policy.wasm`: authorization, header operations, faults and routing in one callback.
//!
//! Fails closed: a request that cannot be judged is answered with 500.

use mesh_policy_core::authz::Authorizer;
use mesh_policy_core::effect::Random;
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_core::request::RequestView;
use mesh_policy_core::route::RouteTable;
use mesh_policy_host::phase::{self, Routed};
use mesh_policy_host::{Filter, Plan};
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::Resource;

struct Policy {
    authorizer: Authorizer,
    table: RouteTable,
}

impl Filter for Policy {
    fn compile(resources: &mut [Resource], proxy: &ProxyContext, problems: &mut Problems) -> Self {
        Self {
            authorizer: Authorizer::take(resources, proxy, problems),
            table: RouteTable::take(resources, proxy, problems),
        }
    }

    fn decide<'r>(&'r self, request: &RequestView<'r>, random: &mut dyn Random) -> Plan<'r> {
        let mut plan = Plan::default();
        if !phase::authorize(&self.authorizer, request, &mut plan) {
            return plan;
        }
        // In front of Envoy's ext_authz filter: the rest is decided behind it, by another instance.
        if self.authorizer.stands_before_ext_authz() {
            return plan;
        }
        phase::drop_control_headers(&self.table, request, &mut plan);
        let routed = phase::route(&self.table, request, random);
        if let Routed::Chosen(choice) = routed {
            phase::edit_headers(choice, request, &mut plan);
            phase::inject_fault(choice, request, random, &mut plan);
        }
        phase::forward(routed, request, &mut plan);
        plan
    }
}

mesh_policy_host::filter!(Policy);
