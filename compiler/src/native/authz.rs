//! AuthorizationPolicies as Envoy's RBAC filters: one each for AUDIT, DENY and ALLOW, in this order.

mod attribute;
mod custom;
mod identity;
mod rule;
mod value;

use crate::envoy::{extension, put};
use crate::values::selects;
pub(super) use custom::{filters as custom_filters, refuse_unasked};
use identity::TrustDomains;
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_istio::authorization_policy::{Action, AuthorizationPolicy};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use rule::{Scope, policy};
use serde_json::{Map, Value, json};

const DRY_RUN: &str = "istio.io/dry-run";

/// What the connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Traffic {
    Http,
    /// Not known to be HTTP: what only a request has cannot be asked for.
    Tcp,
}

/// The RBAC filters of a proxy, empty ones left out.
pub(super) fn filters(
    resources: &[Resource],
    proxy: &ProxyContext,
    traffic: Traffic,
    problems: &mut Problems,
) -> Vec<Value> {
    let policies = selected(resources, proxy, problems);
    // The deciding action, Envoy's name of it, and Istio's prefix for what a dry run leaves behind.
    let actions = [
        (Action::Audit, "LOG", ""),
        (Action::Deny, "DENY", "istio_dry_run_deny_"),
        (Action::Allow, "ALLOW", "istio_dry_run_allow_"),
    ];
    let mut filters = Vec::new();
    for (action, name, prefix) in actions {
        let (mut enforced, mut shadow) = (Map::new(), Map::new());
        for (resource, spec) in policies.iter().filter(|(_, spec)| action_of(spec) == action) {
            let policies = if is_dry_run(resource) { &mut shadow } else { &mut enforced };
            policies.extend(entries(resource, spec, proxy, traffic, problems));
        }
        let mut config = Map::new();
        if !enforced.is_empty() {
            put(&mut config, "rules", json!({"action": name, "policies": enforced}));
        }
        if !shadow.is_empty() {
            put(&mut config, "shadow_rules", json!({"action": name, "policies": shadow}));
            put(&mut config, "shadow_rules_stat_prefix", json!(prefix));
        }
        if !config.is_empty() {
            filters.push(filter(traffic, config));
        }
    }
    filters
}

fn filter(traffic: Traffic, mut config: Map<String, Value>) -> Value {
    let layer = match traffic {
        Traffic::Http => "http",
        Traffic::Tcp => {
            put(&mut config, "stat_prefix", json!("tcp."));
            "network"
        }
    };
    extension(
        &format!("envoy.filters.{layer}.rbac"),
        &format!("envoy.extensions.filters.{layer}.rbac.v3.RBAC"),
        Value::Object(config),
    )
}

fn action_of(spec: &AuthorizationPolicy) -> Action {
    spec.action.unwrap_or(Action::Allow)
}

/// The policies that hold for the proxy: of its own and of the root namespace, by their labels. Those attached to an object
/// are for the proxies of that object.
fn selected<'r>(
    resources: &'r [Resource],
    proxy: &ProxyContext,
    problems: &mut Problems,
) -> Vec<(&'r Resource, &'r AuthorizationPolicy)> {
    let mut found = Vec::new();
    for resource in resources {
        let Spec::AuthorizationPolicy(spec) = &resource.spec else { continue };
        let namespace = resource.namespace();
        if namespace != proxy.namespace && namespace != proxy.root_namespace {
            continue;
        }
        if spec.target_ref.is_some() || !spec.target_refs.is_empty() {
            continue;
        }
        let wanted = spec.selector.as_ref().map(|selector| &selector.match_labels);
        let applies = match (wanted.filter(|labels| !labels.is_empty()), &proxy.labels) {
            (None, _) => true,
            (Some(wanted), Some(labels)) => selects(wanted, labels),
            (Some(_), None) => {
                let message = "the labels of the workload are not known";
                problems.error(
                    resource.spec_path().field("selector"),
                    ProblemKind::UnknownReference,
                    message,
                );
                false
            }
        };
        if !applies {
            continue;
        }
        found.push((resource, spec));
    }
    found
}

/// As Go reads a boolean; what else there may be does not pass validation.
fn is_dry_run(resource: &Resource) -> bool {
    resource
        .metadata
        .annotations
        .get(DRY_RUN)
        .is_some_and(|text| ["1", "t", "T", "TRUE", "true", "True"].contains(&text.as_str()))
}

/// One entry a rule. A policy without a rule that can match still counts: an ALLOW of this kind denies all.
fn entries(
    resource: &Resource,
    spec: &AuthorizationPolicy,
    proxy: &ProxyContext,
    traffic: Traffic,
    problems: &mut Problems,
) -> Vec<(String, Value)> {
    let (namespace, name) = (resource.namespace(), resource.name());
    let entry = |index: usize| format!("ns[{namespace}]-policy[{name}]-rule[{index}]");
    let scope = Scope { namespace, domains: TrustDomains::of(proxy), traffic, action: action_of(spec) };
    let at = resource.spec_path().field("rules");
    let mut entries: Vec<(String, Value)> = spec
        .rules
        .iter()
        .flatten()
        .enumerate()
        .filter_map(|(index, rule)| Some((entry(index), policy(rule, &scope, &at.index(index), problems)?)))
        .collect();
    if entries.is_empty() {
        let never = json!({
            "permissions": [{"not_rule": {"any": true}}],
            "principals": [{"not_id": {"any": true}}],
        });
        entries.push((entry(0), never));
    }
    entries
}
