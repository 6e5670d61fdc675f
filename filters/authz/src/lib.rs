//! `mesh_authz.wasm`: whether a request may pass.
//!
//! Fails closed: a request that cannot be judged is answered with 500.

use mesh_policy_core::authz::Authorizer;
use mesh_policy_core::effect::Random;
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_core::request::RequestView;
use mesh_policy_host::{Filter, Plan, phase};
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::Resource;

struct Authz {
    authorizer: Authorizer,
}

impl Filter for Authz {
    fn compile(resources: &mut [Resource], proxy: &ProxyContext, problems: &mut Problems) -> Self {
        Self { authorizer: Authorizer::take(resources, proxy, problems) }
    }

    fn is_idle(&self) -> bool {
        self.authorizer.is_empty()
    }

    fn decide<'r>(&'r self, request: &RequestView<'r>, _: &mut dyn Random) -> Plan<'r> {
        let mut plan = Plan::default();
        let _allowed = phase::authorize(&self.authorizer, request, &mut plan);
        plan
    }
}

mesh_policy_host::filter!(Authz);
