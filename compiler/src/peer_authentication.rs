//! PeerAuthentication: whether a sidecar takes plain text, mutual TLS, or both.

use crate::values::{check_labels, port, selects};
use mesh_policy_istio::authentication::{MutualTls, MutualTlsMode, PeerAuthentication};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use std::collections::BTreeMap;

/// What a port takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Plain text only.
    Disable,
    /// Both, on one port.
    #[default]
    Permissive,
    /// Mutual TLS only.
    Strict,
}

/// What the ports of a workload take.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Modes {
    all: Mode,
    ports: BTreeMap<u16, Mode>,
}

impl Modes {
    /// By the workload's port, not the service's.
    pub(crate) fn of(&self, port: u16) -> Mode {
        self.ports.get(&port).copied().unwrap_or(self.all)
    }
}

/// What holds for a workload: the mesh's policy, over it the namespace's, over that its own. Of several at one level the
/// first counts.
pub(crate) fn modes(
    resources: &[Resource],
    namespace: &str,
    labels: &BTreeMap<String, String>,
    root: &str,
) -> Modes {
    let policies = policies(resources);
    let mut modes = Modes { all: shared(&policies, namespace, root), ports: BTreeMap::new() };
    // In the root namespace a policy with a selector has no effect.
    let own = policies.iter().find(|(resource, policy)| {
        namespace != root
            && resource.namespace() == namespace
            && has_selector(policy)
            && policy.selector.as_ref().is_some_and(|selector| selects(&selector.match_labels, labels))
    });
    if let Some((_, policy)) = own {
        modes.all = mode(policy.mtls.as_ref()).unwrap_or(modes.all);
        for (number, mtls) in &policy.port_level_mtls {
            if let Some(number) = number.parse().ok().and_then(port) {
                modes.ports.insert(number, mode(Some(mtls)).unwrap_or(modes.all));
            }
        }
    }
    modes
}

/// Warns about policies that ask a workload without a certificate for mutual TLS beside plain text (PERMISSIVE): it takes plain
/// text alone.
pub(crate) fn warn_without_certificate(
    resources: &[Resource],
    namespace: &str,
    labels: &BTreeMap<String, String>,
    root: &str,
    problems: &mut Problems,
) {
    for (resource, policy) in policies(resources) {
        let level = resource.namespace();
        let own = level == namespace && level != root;
        let selected =
            policy.selector.as_ref().is_none_or(|selector| selects(&selector.match_labels, labels));
        let applies =
            if has_selector(policy) { own && selected } else { level == namespace || level == root };
        let is_permissive = |mtls: Option<&MutualTls>| mode(mtls) == Some(Mode::Permissive);
        if applies
            && (is_permissive(policy.mtls.as_ref())
                || policy.port_level_mtls.values().any(|mtls| is_permissive(Some(mtls))))
        {
            problems
                .warning(
                    resource.spec_path(),
                    ProblemKind::Suspicious,
                    "PERMISSIVE takes mutual TLS beside plain text, but the sidecar has no certificate: plain text is all it takes, \
                     and no caller proves who it is",
                )
                .help("`mesh-policy certs` issues certificates; `--certs` names the folder");
        }
    }
}

/// Whether callers of a namespace need not try mutual TLS: what single workloads and ports say they do not ask.
pub(crate) fn is_off(resources: &[Resource], namespace: &str, root: &str) -> bool {
    shared(&policies(resources), namespace, root) == Mode::Disable
}

/// What the mesh and the namespace say.
fn shared(policies: &[(&Resource, &PeerAuthentication)], namespace: &str, root: &str) -> Mode {
    let level = |level: &str| {
        let policy =
            policies.iter().find(|(resource, policy)| resource.namespace() == level && !has_selector(policy));
        policy.and_then(|(_, policy)| mode(policy.mtls.as_ref()))
    };
    level(namespace).or_else(|| level(root)).unwrap_or_default()
}

fn policies(resources: &[Resource]) -> Vec<(&Resource, &PeerAuthentication)> {
    let mut policies: Vec<(&Resource, &PeerAuthentication)> = resources
        .iter()
        .filter_map(|resource| match &resource.spec {
            Spec::PeerAuthentication(policy) => Some((resource, policy)),
            _ => None,
        })
        .collect();
    policies.sort_by_key(|(resource, _)| resource.order());
    policies
}

/// A selector without labels counts as none.
fn has_selector(policy: &PeerAuthentication) -> bool {
    policy.selector.as_ref().is_some_and(|selector| !selector.match_labels.is_empty())
}

fn mode(mtls: Option<&MutualTls>) -> Option<Mode> {
    match mtls?.mode.unwrap_or(MutualTlsMode::Unset) {
        MutualTlsMode::Unset => None,
        MutualTlsMode::Disable => Some(Mode::Disable),
        MutualTlsMode::Permissive => Some(Mode::Permissive),
        MutualTlsMode::Strict => Some(Mode::Strict),
    }
}

/// Reports what Istio refuses.
pub(crate) fn validate(policy: &PeerAuthentication, at: &Path, problems: &mut Problems) {
    let PeerAuthentication { selector, mtls: _, port_level_mtls } = policy;
    if let Some(selector) = selector {
        check_labels(&selector.match_labels, &at.field("selector").field("matchLabels"), problems);
    }
    let at = at.field("portLevelMtls");
    if !port_level_mtls.is_empty() && !has_selector(policy) {
        problems.error(
            at.clone(),
            ProblemKind::Conflict,
            "the ports of single workloads are meant: expected a `selector` with labels",
        );
    }
    for number in port_level_mtls.keys() {
        if number.parse().ok().and_then(port).is_none() {
            problems.error(
                at.field(number),
                ProblemKind::InvalidValue,
                format!("expected a port from 1 to 65535, found `{number}`"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
