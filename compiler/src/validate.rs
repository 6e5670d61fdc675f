//! What Istio's own validation refuses, for the kinds that no filter reads.

mod client_tls;
mod connection_rules;
mod destination_rule;
mod gateway;
mod load_balancer;
mod server_tls;
mod service_entry;
mod workload_entry;

use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};

/// Reports everything that is wrong in one resource.
pub(crate) fn validate(resource: &Resource, problems: &mut Problems) {
    let at = resource.spec_path();
    match &resource.spec {
        Spec::Gateway(spec) => gateway::validate(resource, spec, problems),
        Spec::DestinationRule(spec) => destination_rule::validate(resource, spec, problems),
        Spec::ServiceEntry(spec) => service_entry::validate(resource, spec, problems),
        Spec::WorkloadEntry(spec) => workload_entry::validate(spec, &at, problems),
        // Policies, and rules for HTTP, are judged where they are compiled.
        Spec::AuthorizationPolicy(_) => {}
        Spec::VirtualService(spec) => connection_rules::validate(resource, spec, problems),
        Spec::RequestAuthentication(spec) => crate::authentication::validate(spec, &at, problems),
        Spec::PeerAuthentication(spec) => crate::peer_authentication::validate(spec, &at, problems),
        Spec::Other(_) => {}
    }
    let dry_run = resource.metadata.annotations.contains_key("istio.io/dry-run");
    if dry_run && !matches!(resource.spec, Spec::AuthorizationPolicy(_)) {
        problems.error(
            resource.path.field("metadata").field("annotations").field("istio.io/dry-run"),
            ProblemKind::InvalidValue,
            "only an AuthorizationPolicy can be a dry run",
        );
    }
}

#[cfg(test)]
mod tests;
