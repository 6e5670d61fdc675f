//! What surrounds the rules: selector, targets, provider, annotations, name.

use super::super::at::At;
use super::super::scope::Attachment;
use mesh_policy_istio::authorization_policy as wire;
use mesh_policy_istio::authorization_policy::{Action, AuthorizationPolicy};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;

const MAX_TARGETS: usize = 16;
const DRY_RUN: &str = "istio.io/dry-run";

impl Attachment<'_> {
    /// Reports what is wrong with the `selector` and the `targetRefs` of the spec at `spec`.
    pub fn check(self, spec: &Path, problems: &mut Problems) {
        attachment(self, At::Base(spec), problems);
    }
}

/// `selector` and `targetRefs`.
pub(super) fn attachment(policy: Attachment<'_>, at: At<'_>, problems: &mut Problems) {
    let selector = at.field("selector");
    let labels = selector.field("matchLabels");
    if let Some(wire::WorkloadSelector { match_labels }) = policy.selector {
        if match_labels.is_empty() {
            problems.warning(
                selector.path(),
                ProblemKind::Suspicious,
                "a selector without labels selects every workload in scope",
            );
        }
        for (key, value) in match_labels {
            if key.is_empty() {
                problems.error(
                    labels.path(),
                    ProblemKind::InvalidValue,
                    "expected a label's key, found an empty one",
                );
            }
            if key.contains('*') || value.contains('*') {
                problems.error(
                    labels.field(key).path(),
                    ProblemKind::InvalidValue,
                    format!("expected a label without `*`, found `{key}: {value}`"),
                );
            }
        }
    }
    let refs = at.field("targetRefs");
    if policy.selector.is_some() && (policy.target_ref.is_some() || !policy.target_refs.is_empty()) {
        problems.error(
            selector.path(),
            ProblemKind::Conflict,
            "expected either `selector` or `targetRefs`, found both",
        );
    }
    if policy.target_ref.is_some() && !policy.target_refs.is_empty() {
        problems.error(
            at.field("targetRef").path(),
            ProblemKind::Conflict,
            "expected either `targetRef` or `targetRefs`, found both",
        );
    }
    if policy.target_refs.len() > MAX_TARGETS {
        problems.error(
            refs.path(),
            ProblemKind::InvalidValue,
            format!("expected at most {MAX_TARGETS} targets, found {}", policy.target_refs.len()),
        );
    }
    if let Some(target) = policy.target_ref {
        target_ref(target, at.field("targetRef"), problems);
    }
    for (index, target) in policy.target_refs.iter().enumerate() {
        target_ref(target, refs.index(index), problems);
    }
}

fn target_ref(target: &wire::PolicyTargetReference, at: At<'_>, problems: &mut Problems) {
    if target.name.as_deref().is_none_or(str::is_empty) {
        problems.error(at.field("name").path(), ProblemKind::Missing, "missing: a target has a name");
    }
    if target.namespace.as_deref().is_some_and(|namespace| !namespace.is_empty()) {
        problems.error(
            at.field("namespace").path(),
            ProblemKind::InvalidValue,
            "expected no namespace: a target stands in the policy's own",
        );
    }
    let kind = target.kind.as_deref().unwrap_or_default();
    let group = target.group.as_deref().unwrap_or_default();
    let known = matches!(
        (group, kind),
        ("gateway.networking.k8s.io", "Gateway" | "GatewayClass")
            | ("" | "core", "Service")
            | ("networking.istio.io", "ServiceEntry")
    );
    if !known {
        problems.error(
            at.field("kind").path(),
            ProblemKind::InvalidValue,
            format!(
                "expected `Gateway` or `GatewayClass` of group `gateway.networking.k8s.io`, `ServiceEntry` of group \
                 `networking.istio.io` or `Service` without group, found `{kind}` of group `{group}`"
            ),
        );
    }
}

pub(super) fn provider(policy: &AuthorizationPolicy, action: Action, at: At<'_>, problems: &mut Problems) {
    let at = at.field("provider");
    match (&policy.provider, action) {
        (None, Action::Custom) => {
            problems.error(at.path(), ProblemKind::Missing, "missing: a CUSTOM policy has a provider");
        }
        (Some(provider), Action::Custom) if provider.name.as_deref().is_none_or(str::is_empty) => {
            problems.error(at.field("name").path(), ProblemKind::Missing, "missing: a provider has a name");
        }
        (Some(_), Action::Allow | Action::Deny | Action::Audit) => {
            problems.error(
                at.path(),
                ProblemKind::Conflict,
                format!("expected no provider for action {}: only CUSTOM has one", action.name()),
            );
        }
        (Some(_), Action::Custom) | (None, _) => {}
    }
}

pub(super) fn dry_run(resource: &Resource, action: Action, problems: &mut Problems) -> bool {
    let Some(text) = resource.metadata.annotations.get(DRY_RUN) else { return false };
    let path = || resource.path.field("metadata").field("annotations").field(DRY_RUN);
    if matches!(action, Action::Audit | Action::Custom) {
        problems.error(
            path(),
            ProblemKind::Conflict,
            format!("expected action ALLOW or DENY for a dry run, found {}", action.name()),
        );
    }
    match text.as_str() {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => true,
        "0" | "f" | "F" | "FALSE" | "false" | "False" => false,
        _ => {
            problems.error(
                path(),
                ProblemKind::InvalidValue,
                format!("expected `true` or `false`, found `{text}`"),
            );
            false
        }
    }
}

/// Whether two policies have one name; reported at the second.
pub(in super::super) fn duplicate(resource: &Resource, problems: &mut Problems) {
    let path = resource.path.field("metadata").field("name");
    problems.error(
        path,
        ProblemKind::Conflict,
        format!("there is another AuthorizationPolicy `{}/{}`", resource.namespace(), resource.name()),
    );
}
