//! CUSTOM policies: shadow rules say which requests a provider is asked about, Envoy's ext_authz filter behind them asks.

use super::{Traffic, action_of, entries, filter, selected};
use crate::envoy::put;
use crate::ext_authz::{Providers, SHADOW_PREFIX, SHADOW_RULE, Trigger};
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_istio::authorization_policy::{Action, AuthorizationPolicy};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What follows the name of a rule when nobody can be asked.
const BAD: &str = "-deny-due-to-bad-CUSTOM-action";

/// The filters for CUSTOM policies; none where no such policy applies.
///
/// All policies have to name one provider, and it has to be known. Else what they match is denied.
pub(in super::super) fn filters(
    resources: &[Resource],
    proxy: &ProxyContext,
    traffic: Traffic,
    providers: &Providers,
    problems: &mut Problems,
) -> Vec<Value> {
    let policies = custom(resources, proxy, problems);
    if policies.is_empty() {
        return Vec::new();
    }
    let asked = sole_provider(&policies).and_then(|name| Some((name, providers.get(name)?)));
    let external = asked.and_then(|(name, provider)| match traffic {
        Traffic::Http => Some((name, provider.http_filter(name, Trigger::ShadowRule))),
        Traffic::Tcp => Some((name, provider.network_filter(name)?)),
    });
    if traffic == Traffic::Tcp && asked.is_some() && external.is_none() {
        // Refused, or for other ports.
        return Vec::new();
    }
    let mut rules = Map::new();
    for (resource, spec) in &policies {
        for (name, rule) in entries(resource, spec, proxy, traffic, problems) {
            let name = match &external {
                Some((provider, _)) => format!("{SHADOW_RULE}{provider}-{name}"),
                None => format!("{name}{BAD}"),
            };
            rules.insert(name, rule);
        }
    }
    let mut config = Map::new();
    let rules = json!({"action": "DENY", "policies": rules});
    match external {
        Some((_, external)) => {
            put(&mut config, "shadow_rules", rules);
            put(&mut config, "shadow_rules_stat_prefix", json!(SHADOW_PREFIX));
            vec![filter(traffic, config), external]
        }
        None => {
            put(&mut config, "rules", rules);
            vec![filter(traffic, config)]
        }
    }
}

/// Refuses policies whose provider cannot be asked about connections, unless all their rules are for ports other than `port`.
pub(in super::super) fn refuse_unasked(
    resources: &[Resource],
    proxy: &ProxyContext,
    port: u16,
    providers: &Providers,
    problems: &mut Problems,
) {
    let policies = custom(resources, proxy, problems);
    let provider = sole_provider(&policies).and_then(|name| providers.get(name));
    if provider.is_none_or(|provider| provider.judges_connections()) {
        return;
    }
    let port = port.to_string();
    for (resource, spec) in policies {
        let concerned = spec.rules.iter().flatten().any(|rule| {
            let mut operations = rule.to.iter().flatten().map(|to| to.operation.as_ref());
            rule.to.is_none()
                || operations.any(|operation| {
                    operation
                        .and_then(|operation| operation.ports.as_ref())
                        .is_none_or(|ports| ports.contains(&port))
                })
        });
        if concerned {
            problems
                .error(
                    resource.spec_path().field("provider"),
                    ProblemKind::Unsupported,
                    format!("a provider that is asked over HTTP cannot be asked about connections, and port {port} takes some"),
                )
                .help("name the HTTP ports in `to[].operation.ports`, or use a provider with `envoyExtAuthzGrpc`");
        }
    }
}

fn custom<'r>(
    resources: &'r [Resource],
    proxy: &ProxyContext,
    problems: &mut Problems,
) -> Vec<(&'r Resource, &'r AuthorizationPolicy)> {
    let mut policies = selected(resources, proxy, problems);
    policies.retain(|(_, spec)| action_of(spec) == Action::Custom);
    policies
}

fn sole_provider<'r>(policies: &[(&Resource, &'r AuthorizationPolicy)]) -> Option<&'r str> {
    let names: BTreeSet<&str> =
        policies.iter().filter_map(|(_, spec)| spec.provider.as_ref()?.name.as_deref()).collect();
    let mut names = names.into_iter();
    names.next().filter(|_| names.next().is_none())
}
