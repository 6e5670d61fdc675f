//! Hosts of which every request is sent to https.

use super::{gateway_name, strip};
use crate::native::binding::{bound, hosts_for};
use crate::values::Protocol;
use mesh_policy_core::host_name::{intersection, resolve};
use mesh_policy_istio::gateway::Server;
use mesh_policy_istio::resource::{Resource, Spec};
use std::collections::BTreeSet;

/// The domains of a listener.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Domains {
    /// Those of a server with `httpsRedirect`. Domains that another server of the port shares are among them, as they are one
    /// virtual host in Istio.
    pub redirected: BTreeSet<String>,
    /// The others that VirtualServices speak for.
    pub open: BTreeSet<String>,
}

/// Sorts the domains of servers that share a port, for a proxy of the namespace `viewer`.
pub(crate) fn domains(resources: &[Resource], servers: &[(&Resource, Vec<usize>)], viewer: &str) -> Domains {
    let mut domains = Domains::default();
    for (resource, indexes) in servers {
        let Spec::Gateway(gateway) = &resource.spec else { continue };
        let services = bound(resources, &gateway_name(resource), viewer);
        for server in indexes.iter().filter_map(|index| gateway.servers.get(*index)) {
            let redirects =
                is_plain(server) && server.tls.as_ref().and_then(|tls| tls.https_redirect) == Some(true);
            let into = if redirects { &mut domains.redirected } else { &mut domains.open };
            for (owner, spec) in &services {
                let served = hosts_for(&server.hosts, resource.namespace(), owner.namespace());
                let wanted: Vec<String> =
                    spec.hosts.iter().map(|host| resolve(host, owner.namespace())).collect();
                into.extend(intersection(&served, &wanted).iter().map(|host| host.to_lowercase()));
            }
            // Hosts that no VirtualService claims are redirected too.
            if redirects {
                into.extend(server.hosts.iter().map(|host| strip(host).to_lowercase()));
            }
        }
    }
    domains.open.retain(|domain| !domains.redirected.contains(domain));
    domains
}

/// What came by TLS needs no redirect.
fn is_plain(server: &Server) -> bool {
    let protocol = server.port.as_ref().and_then(|port| port.protocol.as_deref());
    protocol.and_then(Protocol::parse).is_some_and(Protocol::is_http)
}
