//! What makes a filter.

use crate::plan::Plan;
use mesh_policy_core::effect::Random;
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_core::request::RequestView;
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::Resource;

/// One decision: compiled once, asked for each request.
pub trait Filter: Sized + 'static {
    /// Compiles what this filter enforces. It is not used when `problems` has errors then.
    fn compile(resources: &mut [Resource], proxy: &ProxyContext, problems: &mut Problems) -> Self;

    /// Whether no request at all concerns it: then it does not even look at them.
    fn is_idle(&self) -> bool {
        false
    }

    /// What to do with a request.
    fn decide<'r>(&'r self, request: &RequestView<'r>, random: &mut dyn Random) -> Plan<'r>;
}
