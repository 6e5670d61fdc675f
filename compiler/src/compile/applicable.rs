//! Resources of kinds that are not carried out here, where they would change what this proxy does.

use crate::options::Options;
use crate::source::Sources;
use mesh_policy_istio::node::Node;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use std::collections::BTreeMap;

/// Where the selector of a kind stands.
type Kinds<'k> = [(&'k str, &'k [&'k str])];

/// PeerAuthentication and Sidecar have no say at a gateway in Istio either. The rest is not about requests: ProxyConfig,
/// Telemetry, WorkloadGroup.
pub(super) const AT_GATEWAYS: [(&str, &[&str]); 3] = [
    ("EnvoyFilter", &["workloadSelector", "labels"]),
    ("WasmPlugin", &["selector", "matchLabels"]),
    ("TrafficExtension", &["selector", "matchLabels"]),
];

pub(super) const AT_SIDECARS: [(&str, &[&str]); 4] = [
    ("EnvoyFilter", &["workloadSelector", "labels"]),
    ("WasmPlugin", &["selector", "matchLabels"]),
    ("TrafficExtension", &["selector", "matchLabels"]),
    ("Sidecar", &["workloadSelector", "labels"]),
];

/// For a proxy of this namespace with these labels.
pub(super) fn check(
    sources: &Sources,
    namespace: &str,
    labels: &BTreeMap<String, String>,
    kinds: &Kinds<'_>,
    options: &Options,
    problems: &mut Problems,
) {
    for resource in sources.resources() {
        let own = resource.namespace();
        let Spec::Other(kind) = &resource.spec else { continue };
        if own != namespace && own != options.root_namespace {
            continue;
        }
        let selector = kinds.iter().find(|(name, _)| name == kind);
        if selector.is_some_and(|(_, fields)| selected(sources.written(resource), fields, labels)) {
            refuse(resource, problems);
        }
    }
}

fn refuse(resource: &Resource, problems: &mut Problems) {
    problems.error(
        resource.spec_path(),
        ProblemKind::Unsupported,
        format!("a {} that applies to this proxy cannot be carried out yet", resource.spec.kind()),
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
        .all(|member| labels.get(&*member.key).map(String::as_str) == member.value.as_str())
}
