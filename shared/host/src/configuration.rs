//! From the bytes of a plugin configuration to a filter.

use crate::delays::MAX_ACTIVE_FAULTS;
use crate::filter::Filter;
use crate::node;
use mesh_policy_core::authz::ExternalAuthorization;
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_core::route::Steering;
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Spec;
use mesh_policy_istio::workload::{PluginConfig, Workload};

/// What a configuration says.
#[derive(Debug)]
pub struct Loaded<F> {
    /// The filter.
    pub filter: F,
    /// How many requests may be held at a time.
    pub max_active_faults: usize,
}

/// Reads and compiles; the filter is there exactly when no problem refuses the configuration.
pub fn load<F: Filter>(text: Vec<u8>) -> (Option<Loaded<F>>, Problems) {
    let (mut config, mut problems) = PluginConfig::read_json(&text);
    // A module's memory never shrinks: what is of no more use makes room for what comes.
    drop(text);
    if problems.has_errors() && config.resources.is_empty() {
        // Nothing is left to judge, and what is missing besides follows from what was said.
        return (None, problems);
    }
    let workload = match config.workload.clone() {
        Some(workload) => workload,
        None => node_workload(&config, &mut problems),
    };
    let mut proxy = ProxyContext::compile(&workload, &mut problems);
    proxy.explain_denials = config.authz.explain_denials.unwrap_or(false);
    proxy.ext_authz = ExternalAuthorization::compile(config.authz.ext_authz.as_ref(), &mut problems);
    proxy.steering = Steering::compile(&config.router, &mut problems);
    let filter = F::compile(&mut config.resources, &proxy, &mut problems);
    let bound = config.fault.max_active_faults.and_then(|bound| usize::try_from(bound).ok());
    let loaded = Loaded { filter, max_active_faults: bound.unwrap_or(MAX_ACTIVE_FAULTS) };
    (Some(loaded).filter(|_| !problems.has_errors()), problems)
}

/// The workload of a configuration that names none.
fn node_workload(config: &PluginConfig, problems: &mut Problems) -> Workload {
    let at = Path::root().field("workload");
    let routes = config.resources.iter().any(|resource| matches!(resource.spec, Spec::VirtualService(_)));
    if routes && node::is_gateway() {
        problems
            .warning(
                at.field("gateways"),
                ProblemKind::Suspicious,
                "missing: this Envoy is a gateway, and VirtualServices bound to gateways do not apply",
            )
            .help("name the gateways that it carries out, as `namespace/name`");
    }
    match node::workload() {
        Ok(workload) => workload.unwrap_or_default(),
        Err(error) => {
            problems.error(at, ProblemKind::Missing, format!("missing, and {error}"));
            Workload::default()
        }
    }
}
