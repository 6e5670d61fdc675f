//! Which DestinationRule applies to a service as one proxy sees it, and what it says about one cluster.

use crate::envoy::locality::Locality;
use crate::identity::Identity;
use crate::service::Service;
use crate::values;
use crate::visibility;
use mesh_policy_core::host_name;
use mesh_policy_istio::destination_rule::{
    ClientTlsSettings, ConnectionPoolSettings, DestinationRule, LoadBalancerSettings, OutlierDetection,
    PortTrafficPolicy, ProxyProtocol, RetryBudget, Subset, TrafficPolicy, TunnelSettings,
};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::resource::{Resource, Spec};
use std::collections::BTreeMap;

/// The proxy that calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'c> {
    pub namespace: &'c str,
    pub labels: &'c BTreeMap<String, String>,
    /// Where it is.
    pub locality: &'c Locality,
    pub root_namespace: &'c str,
    /// What it proves itself with; without, it speaks no mutual TLS of the mesh.
    pub identity: Option<&'c Identity>,
    /// Whether it stands beside an application, which may name any host; a gateway knows those it was told.
    pub is_sidecar: bool,
}

/// A part of a resource, and where it stands.
pub(crate) type Placed<'s, T> = (&'s T, Path);

/// The rules that together speak for one host; several of one namespace are merged.
#[derive(Debug, Default)]
pub(crate) struct Applied<'s> {
    rules: Vec<(&'s Resource, &'s DestinationRule)>,
}

impl<'s> Applied<'s> {
    /// The subsets, each once: the first definition wins.
    pub(crate) fn subsets(&self) -> Vec<Placed<'s, Subset>> {
        let mut found: Vec<Placed<'s, Subset>> = Vec::new();
        for (resource, rule) in &self.rules {
            let at = resource.spec_path().field("subsets");
            for (index, subset) in rule.subsets.iter().enumerate() {
                if found.iter().all(|(other, _)| other.name != subset.name) {
                    found.push((subset, at.index(index)));
                }
            }
        }
        found
    }

    /// The policy for all subsets: that of the first rule that has one; policies are not merged.
    pub(crate) fn traffic_policy(&self) -> Option<Placed<'s, TrafficPolicy>> {
        self.rules.iter().find_map(|(resource, rule)| {
            Some((rule.traffic_policy.as_ref()?, resource.spec_path().field("trafficPolicy")))
        })
    }
}

/// Whether a rule belongs to one of the places that are searched in turn.
type Level<'l> = &'l dyn Fn(&Resource, &DestinationRule) -> bool;

/// The rules that apply when `caller` calls `service`.
///
/// The caller's own namespace decides first, and finally: even its wildcard hides an exact rule of the service's namespace.
pub(crate) fn applied<'s>(
    resources: &'s [Resource],
    caller: Caller<'_>,
    service: &Service<'_>,
) -> Applied<'s> {
    let mut rules: Vec<(&Resource, &DestinationRule)> = resources
        .iter()
        .filter_map(|resource| match &resource.spec {
            Spec::DestinationRule(rule) => Some((resource, &**rule)),
            _ => None,
        })
        .collect();
    rules.sort_by_key(|(resource, _)| resource.order());
    let root = caller.root_namespace;
    let own = caller.namespace;
    let in_root = own == root;
    let visible = |resource: &Resource, rule: &DestinationRule| {
        visibility::is_visible(&rule.export_to, resource.namespace(), own)
    };
    let levels: [Level<'_>; 3] = [
        &|resource, rule| {
            resource.namespace() == own
                && if in_root {
                    visibility::is_private(&rule.export_to, own)
                } else {
                    visible(resource, rule)
                }
        },
        &|resource, rule| resource.namespace() == service.namespace() && visible(resource, rule),
        &|resource, rule| resource.namespace() == root && visible(resource, rule),
    ];
    for level in levels {
        let mut candidates: Vec<(String, &Resource, &DestinationRule)> = rules
            .iter()
            .filter(|(resource, rule)| level(resource, rule) && is_for(resource, rule, caller))
            .filter_map(|(resource, rule)| {
                let host = host_name::resolve(rule.host.as_deref()?, resource.namespace());
                host_name::subset_of(service.host, &host).then_some((host, *resource, *rule))
            })
            .collect();
        // A rule for these very callers counts before one for all; the sorts are stable.
        candidates.sort_by(|a, b| {
            host_name::by_specificity(&a.0, &b.0)
                .then_with(|| b.2.workload_selector.is_some().cmp(&a.2.workload_selector.is_some()))
        });
        let Some((host, _, first)) = candidates.first() else { continue };
        let rules = candidates
            .iter()
            .filter(|(other, _, rule)| {
                other == host
                    && rule.workload_selector == first.workload_selector
                    && rule.export_to == first.export_to
            })
            .map(|(_, resource, rule)| (*resource, *rule))
            .collect();
        return Applied { rules };
    }
    Applied::default()
}

/// A rule with a selector is for the selected callers of its own namespace.
fn is_for(resource: &Resource, rule: &DestinationRule, caller: Caller<'_>) -> bool {
    rule.workload_selector.as_ref().is_none_or(|selector| {
        resource.namespace() == caller.namespace && values::selects(&selector.match_labels, caller.labels)
    })
}

/// What holds for one cluster, block by block.
#[derive(Debug, Clone, Default)]
pub(crate) struct EffectivePolicy<'s> {
    pub load_balancer: Option<Placed<'s, LoadBalancerSettings>>,
    pub connection_pool: Option<Placed<'s, ConnectionPoolSettings>>,
    pub outlier_detection: Option<Placed<'s, OutlierDetection>>,
    pub tls: Option<Placed<'s, ClientTlsSettings>>,
    pub tunnel: Option<Placed<'s, TunnelSettings>>,
    pub proxy_protocol: Option<Placed<'s, ProxyProtocol>>,
    pub retry_budget: Option<Placed<'s, RetryBudget>>,
}

/// The policy for one service port, of one subset or of none.
///
/// Blocks are replaced as a whole, never merged. Settings for a port replace all four blocks: those it does not give fall
/// back to the defaults, not to the level above.
pub(crate) fn effective<'s>(
    top: Option<&Placed<'s, TrafficPolicy>>,
    subset: Option<&Placed<'s, Subset>>,
    port: u16,
) -> EffectivePolicy<'s> {
    let mut policy = EffectivePolicy::default();
    if let Some((top, at)) = top {
        match port_settings(top, at, port) {
            Some(settings) => policy.replace_by(&settings),
            None => policy.overlay(top, at),
        }
    }
    let own =
        subset.and_then(|(subset, at)| Some((subset.traffic_policy.as_ref()?, at.field("trafficPolicy"))));
    if let Some((own, at)) = own {
        match port_settings(own, &at, port) {
            Some(settings) => policy.replace_by(&settings),
            None => policy.overlay(own, &at),
        }
    }
    policy
}

fn port_settings<'s>(
    policy: &'s TrafficPolicy,
    at: &Path,
    port: u16,
) -> Option<Placed<'s, PortTrafficPolicy>> {
    let wanted = Some(u32::from(port));
    let index = policy
        .port_level_settings
        .iter()
        .position(|settings| settings.port.as_ref().and_then(|port| port.number) == wanted)?;
    Some((policy.port_level_settings.get(index)?, at.field("portLevelSettings").index(index)))
}

impl<'s> EffectivePolicy<'s> {
    fn replace_by(&mut self, (settings, at): &Placed<'s, PortTrafficPolicy>) {
        let PortTrafficPolicy { port: _, load_balancer, connection_pool, outlier_detection, tls } = settings;
        self.load_balancer = load_balancer.as_ref().map(|block| (block, at.field("loadBalancer")));
        self.connection_pool = connection_pool.as_ref().map(|block| (block, at.field("connectionPool")));
        self.outlier_detection =
            outlier_detection.as_ref().map(|block| (block, at.field("outlierDetection")));
        self.tls = tls.as_ref().map(|block| (block, at.field("tls")));
    }

    fn overlay(&mut self, policy: &'s TrafficPolicy, at: &Path) {
        let TrafficPolicy {
            load_balancer,
            connection_pool,
            outlier_detection,
            tls,
            port_level_settings: _,
            tunnel,
            proxy_protocol,
            retry_budget,
        } = policy;
        set(&mut self.load_balancer, load_balancer.as_ref(), at, "loadBalancer");
        set(&mut self.connection_pool, connection_pool.as_ref(), at, "connectionPool");
        set(&mut self.outlier_detection, outlier_detection.as_ref(), at, "outlierDetection");
        set(&mut self.tls, tls.as_ref(), at, "tls");
        set(&mut self.tunnel, tunnel.as_ref(), at, "tunnel");
        set(&mut self.proxy_protocol, proxy_protocol.as_ref(), at, "proxyProtocol");
        set(&mut self.retry_budget, retry_budget.as_ref(), at, "retryBudget");
    }
}

fn set<'s, T>(slot: &mut Option<Placed<'s, T>>, block: Option<&'s T>, at: &Path, name: &str) {
    if let Some(block) = block {
        *slot = Some((block, at.field(name)));
    }
}

#[cfg(test)]
mod tests;
