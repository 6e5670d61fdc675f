//! Which rules for TLS and TCP a gateway's servers carry out.

use crate::compile::reachable::Reach;
use crate::envoy::cluster;
use crate::envoy::listener::{ChainMatch, chain};
use crate::envoy::tcp_proxy::tcp_proxy;
use crate::gateway::{TcpServer, TcpTls, gateway_name};
use crate::native::binding::{bound, hosts_for};
use crate::values;
use mesh_policy_core::host_name::{intersection, resolve, resolve_gateway};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;
use mesh_policy_istio::virtual_service::{L4MatchAttributes, RouteDestination, VirtualService};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The gateway proxy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proxy<'p> {
    pub namespace: &'p str,
    pub labels: &'p BTreeMap<String, String>,
}

/// The filter chains of a server; none when no rule is for it, which is said.
pub(crate) fn chains(
    resources: &[Resource],
    server: &TcpServer<'_>,
    proxy: Proxy<'_>,
    socket: Option<&Value>,
    reach: &Reach<'_>,
    problems: &mut Problems,
) -> Vec<Value> {
    let gateway = gateway_name(server.resource);
    let services: Vec<(&Resource, &VirtualService)> = bound(resources, &gateway, proxy.namespace)
        .into_iter()
        .filter(|(owner, spec)| {
            let served = hosts_for(&server.server.hosts, server.resource.namespace(), owner.namespace());
            let wanted: Vec<String> =
                spec.hosts.iter().map(|host| resolve(host, owner.namespace())).collect();
            !intersection(&served, &wanted).is_empty()
        })
        .collect();
    let mut scene = Scene { server, proxy, gateway: &gateway, reach, problems };
    let chains = match server.tls {
        TcpTls::Passthrough => scene.by_server_name(&services),
        TcpTls::None | TcpTls::Terminated(_) => scene.first_rule(&services, socket),
    };
    if chains.is_empty() {
        let rules = if matches!(server.tls, TcpTls::Passthrough) { "tls" } else { "tcp" };
        problems.warning(
            server.at(),
            ProblemKind::Suspicious,
            format!("has no effect: no VirtualService has a rule below `{rules}` for it"),
        );
    }
    chains
}

struct Scene<'a, 'p> {
    server: &'a TcpServer<'a>,
    proxy: Proxy<'a>,
    gateway: &'a str,
    reach: &'a Reach<'a>,
    problems: &'p mut Problems,
}

impl Scene<'_, '_> {
    /// TLS that is passed on: a chain for each match of each rule. A server name that came up before stays where it is.
    fn by_server_name(&mut self, services: &[(&Resource, &VirtualService)]) -> Vec<Value> {
        let mut chains = Vec::new();
        let mut taken: Vec<String> = Vec::new();
        for (owner, spec) in services {
            for (i, rule) in spec.tls.iter().enumerate() {
                let at = owner.spec_path().field("tls").index(i);
                for (j, matched) in rule.matches.iter().enumerate() {
                    let here = self.is_here(owner, matched.port, &matched.gateways)
                        && values::selects(&matched.source_labels, self.proxy.labels)
                        && matched.source_namespace.as_deref().is_none_or(|namespace| {
                            namespace.is_empty() || namespace == self.proxy.namespace
                        });
                    if !here {
                        continue;
                    }
                    let at_match = at.field("match").index(j);
                    let mut names = Vec::new();
                    for (k, name) in matched.sni_hosts.iter().enumerate() {
                        let name = name.to_lowercase();
                        if taken.contains(&name) {
                            self.problems.warning(
                                at_match.field("sniHosts").index(k),
                                ProblemKind::Suspicious,
                                format!(
                                    "has no effect: an earlier rule has the server name `{name}` on this port"
                                ),
                            );
                        } else {
                            names.push(name);
                        }
                    }
                    if names.is_empty() {
                        continue;
                    }
                    taken.extend(names.iter().cloned());
                    let Some(filter) = self.forward(owner, &rule.route, &at) else { continue };
                    // `*` restricts nothing, so it does not do so together with others either.
                    let any = names.iter().any(|name| name == "*");
                    let matched = ChainMatch {
                        server_names: if any { Vec::new() } else { names },
                        prefix_ranges: ranges(&matched.destination_subnets),
                        transport: Some("tls"),
                        application: Vec::new(),
                    };
                    let name = format!("{}.{}.tls.{i}.{j}", owner.name(), owner.namespace());
                    chains.push(chain(&name, &matched, &[filter], None));
                }
            }
        }
        chains
    }

    /// Bytes: the first rule that is for this gateway and port has the server, and no other.
    fn first_rule(
        &mut self,
        services: &[(&Resource, &VirtualService)],
        socket: Option<&Value>,
    ) -> Vec<Value> {
        for (owner, spec) in services {
            for (i, rule) in spec.tcp.iter().enumerate() {
                let here = rule.matches.is_empty()
                    || rule.matches.iter().any(|m| self.is_here(owner, m.port, &m.gateways));
                if !here {
                    continue;
                }
                let at = owner.spec_path().field("tcp").index(i);
                for (j, matched) in rule.matches.iter().enumerate() {
                    self.report_ignored(matched, &at.field("match").index(j));
                }
                let Some(filter) = self.forward(owner, &rule.route, &at) else { return Vec::new() };
                let any = self.server.hosts.iter().any(|host| host == "*");
                let terminated = matches!(self.server.tls, TcpTls::Terminated(_));
                let matched = ChainMatch {
                    server_names: if terminated && !any { self.server.hosts.clone() } else { Vec::new() },
                    transport: terminated.then_some("tls"),
                    ..ChainMatch::default()
                };
                let name = format!("{}.{}.tcp.{i}", owner.name(), owner.namespace());
                return vec![chain(&name, &matched, &[filter], socket.cloned())];
            }
        }
        Vec::new()
    }

    /// At a gateway Istio asks only for port and gateway.
    fn report_ignored(&mut self, matched: &L4MatchAttributes, at: &Path) {
        let L4MatchAttributes {
            destination_subnets,
            port: _,
            source_subnet,
            source_labels,
            gateways: _,
            source_namespace,
        } = matched;
        for (field, is_there) in [
            ("destinationSubnets", !destination_subnets.is_empty()),
            ("sourceSubnet", source_subnet.is_some()),
            ("sourceLabels", !source_labels.is_empty()),
            ("sourceNamespace", source_namespace.is_some()),
        ] {
            if is_there {
                let message = "has no effect at a gateway, which asks only for the port";
                self.problems.warning(at.field(field), ProblemKind::Suspicious, message);
            }
        }
    }

    fn is_here(&self, owner: &Resource, port: Option<u32>, gateways: &[String]) -> bool {
        port.is_none_or(|port| port == u32::from(self.server.opening.gateway_port))
            && (gateways.is_empty()
                || gateways.iter().any(|name| resolve_gateway(name, owner.namespace()) == self.gateway))
    }

    fn forward(&mut self, owner: &Resource, route: &[RouteDestination], at: &Path) -> Option<Value> {
        let mut clusters = Vec::new();
        let several = route.len() > 1;
        for (index, to) in route.iter().enumerate() {
            let Some(destination) = &to.destination else { continue };
            let at = at.field("route").index(index).field("destination");
            let port = Some(self.server.opening.gateway_port);
            let (host, port) = self.reach.check(owner, destination, port, &at, self.problems)?;
            let subset = destination.subset.as_deref().unwrap_or_default();
            let weight = to.weight.and_then(|weight| u32::try_from(weight).ok()).unwrap_or(0);
            // A single destination gets everything, whatever its weight.
            if several && weight == 0 {
                continue;
            }
            clusters.push((cluster::name(port, subset, &host), if several { weight } else { 100 }));
        }
        let (first, _) = clusters.first()?;
        let connections = self.reach.connections(first);
        if let Some((other, _)) =
            clusters.iter().find(|(name, _)| self.reach.connections(name).tunnel != connections.tunnel)
        {
            self.problems
                .error(
                    at.field("route"),
                    ProblemKind::Unsupported,
                    format!("`{first}` and `{other}` are reached through different tunnels, or one of them through none"),
                )
                .help("a rule for connections has one tunnel");
            return None;
        }
        let stat_prefix = match clusters.as_slice() {
            [(only, _)] => only.clone(),
            _ => format!("{}.{}", owner.name(), owner.namespace()),
        };
        Some(tcp_proxy(&stat_prefix, &clusters, &connections))
    }
}

fn ranges(subnets: &[String]) -> Vec<Value> {
    subnets
        .iter()
        .filter_map(|subnet| {
            let (address, length) = subnet.split_once('/').unwrap_or((subnet, ""));
            let whole = if address.contains(':') { 128 } else { 32 };
            let length: u8 = if length.is_empty() { whole } else { length.parse().ok()? };
            Some(json!({"address_prefix": address, "prefix_len": length}))
        })
        .collect()
}
