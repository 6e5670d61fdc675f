//! Resources of kinds that are not carried out here, where they would change what this proxy does.

use crate::options::Options;
use crate::source::Sources;
use mesh_policy_istio::node::Node;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use std::collections::BTreeMap;

pub(super) fn check(
    sources: &Sources,
    labels: &BTreeMap<String, String>,
    options: &Options,
    problems: &mut Problems,
) {
    for resource in sources.resources() {
        let namespace = resource.namespace();
        if namespace != options.gateway_namespace && namespace != options.root_namespace {
            continue;
        }
        let written = sources.written(resource);
        let applies = match &resource.spec {
            Spec::Other("EnvoyFilter") => selected(written, &["workloadSelector", "labels"], labels),
            Spec::Other("WasmPlugin" | "TrafficExtension") => {
                selected(written, &["selector", "matchLabels"], labels)
            }
            // Has no say at a gateway in Istio either: PeerAuthentication and Sidecar are about inbound traffic and
            // sidecars. The rest is not about requests: ProxyConfig, Telemetry, WorkloadGroup.
            Spec::PeerAuthentication(_) | Spec::Other(_) => false,
            Spec::VirtualService(_)
            | Spec::AuthorizationPolicy(_)
            | Spec::RequestAuthentication(_)
            | Spec::Gateway(_)
            | Spec::DestinationRule(_)
            | Spec::ServiceEntry(_)
            | Spec::WorkloadEntry(_) => false,
        };
        if applies {
            refuse(resource, problems);
        }
    }
}

fn refuse(resource: &Resource, problems: &mut Problems) {
    problems.error(
        resource.spec_path(),
        ProblemKind::Unsupported,
        format!("a {} that applies to this gateway cannot be carried out yet", resource.spec.kind()),
    );
}

/// Whether the labels at `path` of a spec that is not read further select the proxy; no labels select every proxy.
fn selected(written: Option<&Node>, path: &[&str], labels: &BTreeMap<String, String>) -> bool {
    let spec = written.and_then(|node| node.get("spec"));
    let selector = path.iter().try_fold(spec, |node, name| Some(node?.get(name)));
    let Some(Some(selector)) = selector else { return true };
    selector
        .members()
        .iter()
        .all(|member| labels.get(&member.key).map(String::as_str) == member.value.as_str())
}
