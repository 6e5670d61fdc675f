//! Which VirtualServices a gateway carries out, and in which order.

use crate::visibility::is_visible;
use mesh_policy_core::host_name::resolve_gateway;
use mesh_policy_istio::resource::{Resource, Spec};
use mesh_policy_istio::virtual_service::VirtualService;

/// A VirtualService with its envelope.
pub(crate) type Bound<'r> = (&'r Resource, &'r VirtualService);

/// The VirtualServices bound to `gateway` that a proxy in `viewer` sees: private ones first, then those exported to it by
/// name, then public ones; in each group the oldest first.
pub(crate) fn bound<'r>(resources: &'r [Resource], gateway: &str, viewer: &str) -> Vec<Bound<'r>> {
    let mut found: Vec<Bound<'r>> = resources
        .iter()
        .filter_map(|resource| match &resource.spec {
            Spec::VirtualService(spec) => Some((resource, spec)),
            _ => None,
        })
        .filter(|(resource, spec)| {
            let own = resource.namespace();
            !spec.hosts.is_empty()
                && is_visible(&spec.export_to, own, viewer)
                && spec.gateways.iter().any(|name| resolve_gateway(name, own) == gateway)
        })
        .collect();
    found.sort_by_key(|(resource, spec)| (group(resource, spec, viewer), resource.order()));
    found
}

/// The hosts of a server that count for VirtualServices of `namespace`, without their own namespaces.
pub(crate) fn hosts_for(hosts: &[String], own: &str, namespace: &str) -> Vec<String> {
    let counts =
        |wanted: &str| wanted == "*" || if wanted == "." { own == namespace } else { wanted == namespace };
    hosts
        .iter()
        .filter_map(|host| match host.split_once('/') {
            None => Some(host.clone()),
            Some((wanted, host)) => counts(wanted).then(|| host.to_owned()),
        })
        .collect()
}

fn group(resource: &Resource, spec: &VirtualService, viewer: &str) -> u8 {
    let own = resource.namespace();
    if spec.export_to.is_empty() || spec.export_to.iter().any(|entry| entry == "*") {
        2
    } else {
        u8::from(own != viewer)
    }
}
