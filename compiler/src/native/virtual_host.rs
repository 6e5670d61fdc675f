//! The virtual hosts of a gateway's listener.

use super::Site;
use super::binding::{bound, hosts_for};
use super::route::{Route, routes};
use crate::gateway::{gateway_name, redirect};
use mesh_policy_core::host_name::{intersection, resolve};
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::{Resource, Spec};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One virtual host for each host that a server and a VirtualService have in common. Several VirtualServices on one host are
/// joined, the catch-alls at the end.
pub(super) fn virtual_hosts(
    resources: &[Resource],
    servers: &[(&Resource, Vec<usize>)],
    site: &Site<'_>,
    problems: &mut Problems,
) -> Vec<Value> {
    let mut domains: BTreeMap<String, Vec<Route>> = BTreeMap::new();
    for (resource, indexes) in servers {
        let Spec::Gateway(gateway) = &resource.spec else { continue };
        let name = gateway_name(resource);
        let services: Vec<_> = bound(resources, &name, &site.proxy.namespace)
            .into_iter()
            .map(|service| (service, routes(resources, service, &name, site, problems)))
            // Without a route for this gateway there is no virtual host either: a less specific one may answer.
            .filter(|(_, routes)| !routes.is_empty())
            .collect();
        for server in indexes.iter().filter_map(|index| gateway.servers.get(*index)) {
            for ((owner, spec), routes) in &services {
                let served = hosts_for(&server.hosts, resource.namespace(), owner.namespace());
                let wanted: Vec<String> =
                    spec.hosts.iter().map(|host| resolve(host, owner.namespace())).collect();
                for host in intersection(&served, &wanted) {
                    domains.entry(host.to_lowercase()).or_default().extend(routes.iter().cloned());
                }
            }
        }
    }
    let redirected = redirect::domains(resources, servers, &site.proxy.namespace).redirected;
    for domain in &redirected {
        domains.entry(domain.clone()).or_default();
    }
    if domains.is_empty() {
        return vec![json!({"name": format!("blackhole:{}", site.port), "domains": ["*"]})];
    }
    domains
        .into_iter()
        .map(|(domain, routes)| {
            let (last, first): (Vec<_>, Vec<_>) = routes.into_iter().partition(|route| route.catch_all);
            let routes: Vec<Value> = first.into_iter().chain(last).map(|route| route.config).collect();
            let name = format!("{domain}:{}", site.port);
            if redirected.contains(&domain) {
                return json!({"name": name, "domains": [domain], "routes": routes, "require_tls": "ALL"});
            }
            json!({"name": name, "domains": [domain], "routes": routes})
        })
        .collect()
}
