//! Which resources matter to a proxy.

use super::Relevant;
use crate::gateway::Listener;
use crate::references::destinations;
use crate::source::Sources;
use crate::values;
use crate::visibility;
use mesh_policy_core::host_name;
use mesh_policy_core::proxy::MESH;
use mesh_policy_istio::resource::{Resource, Spec};
use mesh_policy_istio::virtual_service::VirtualService;
use mesh_policy_istio::workload::Workload;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What a gateway's listener enforces: its own servers, the VirtualServices bound to their Gateways, the services these
/// forward to, and the policies of its namespace and of the root namespace.
pub(super) fn for_gateway(sources: &Sources, workload: &Workload, listener: &Listener<'_>) -> Vec<Relevant> {
    let mut found: Vec<Relevant> =
        listener.servers.iter().map(|(resource, indexes)| narrowed(sources, resource, indexes)).collect();
    found.extend(others(sources, workload));
    found
}

/// What a sidecar enforces: VirtualServices bound to the mesh, the services these forward to, and policies.
pub(super) fn for_sidecar(sources: &Sources, workload: &Workload) -> Vec<Relevant> {
    others(sources, workload)
}

/// A Gateway with only those servers that the listener carries out: the filter of another port must not serve their hosts.
fn narrowed(sources: &Sources, resource: &Resource, indexes: &[usize]) -> Relevant {
    let mut written = written(sources, resource);
    if let Some(servers) = written.pointer_mut("/spec/servers").and_then(Value::as_array_mut) {
        let mut index = 0..;
        servers.retain(|_| index.next().is_some_and(|index| indexes.contains(&index)));
    }
    let mut resource = resource.clone();
    if let Spec::Gateway(gateway) = &mut resource.spec {
        let mut index = 0..;
        gateway.servers.retain(|_| index.next().is_some_and(|index| indexes.contains(&index)));
    }
    (resource, written)
}

fn written(sources: &Sources, resource: &Resource) -> Value {
    sources.written(resource).map_or(Value::Null, |node| json!(node))
}

fn others(sources: &Sources, workload: &Workload) -> Vec<Relevant> {
    let namespace = workload.namespace.as_deref().unwrap_or_default();
    let routes: Vec<(&Resource, &VirtualService)> = virtual_services(sources)
        .filter(|(resource, spec)| {
            !spec.hosts.is_empty()
                && visibility::is_visible(&spec.export_to, resource.namespace(), namespace)
                && is_bound(resource, spec, &workload.gateways)
        })
        .collect();
    let delegates: BTreeSet<(String, String)> = routes
        .iter()
        .flat_map(|(resource, spec)| {
            spec.http.iter().filter_map(|rule| {
                let delegate = rule.delegate.as_ref()?;
                let namespace = delegate.namespace.as_deref().filter(|namespace| !namespace.is_empty());
                Some((namespace.unwrap_or(resource.namespace()).to_owned(), delegate.name.clone()?))
            })
        })
        .collect();
    let mut served = routes;
    served.extend(virtual_services(sources).filter(|(resource, spec)| {
        spec.hosts.is_empty()
            && delegates.contains(&(resource.namespace().to_owned(), resource.name().to_owned()))
    }));
    let hosts: BTreeSet<String> = served
        .iter()
        .flat_map(|(resource, spec)| {
            destinations(resource, spec)
                .into_iter()
                .filter_map(|(to, _)| Some(host_name::resolve(to.host.as_deref()?, resource.namespace())))
        })
        .collect();
    sources
        .resources()
        .iter()
        .filter(|resource| match &resource.spec {
            Spec::VirtualService(_) => served.iter().any(|(other, _)| other.path == resource.path),
            Spec::ServiceEntry(spec) => {
                visibility::is_visible(&spec.export_to, resource.namespace(), namespace)
                    && spec.hosts.iter().any(|host| hosts.contains(host))
            }
            Spec::AuthorizationPolicy(spec) => {
                let in_scope = resource.namespace() == namespace
                    || Some(resource.namespace()) == workload.root_namespace.as_deref();
                // Without labels nobody can tell whom a selector means: the filter must see it, and refuse it.
                in_scope
                    && spec.selector.as_ref().is_none_or(|selector| {
                        workload
                            .labels
                            .as_ref()
                            .is_none_or(|labels| values::selects(&selector.match_labels, labels))
                    })
            }
            _ => false,
        })
        .map(|resource| (resource.clone(), written(sources, resource)))
        .collect()
}

fn virtual_services(sources: &Sources) -> impl Iterator<Item = (&Resource, &VirtualService)> {
    sources.resources().iter().filter_map(|resource| match &resource.spec {
        Spec::VirtualService(spec) => Some((resource, spec)),
        _ => None,
    })
}

/// Whether a VirtualService names one of these gateways; one that names none is bound to the mesh.
pub(crate) fn is_bound(resource: &Resource, spec: &VirtualService, gateways: &[String]) -> bool {
    if spec.gateways.is_empty() {
        return gateways.iter().any(|gateway| gateway == MESH);
    }
    spec.gateways
        .iter()
        .any(|name| gateways.contains(&host_name::resolve_gateway(name, resource.namespace())))
}
