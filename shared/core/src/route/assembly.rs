//! From VirtualServices to the virtual hosts of one proxy.

use super::domain::{Domains, of_host};
use super::fingerprint::Fingerprint;
use super::gateway_server::GatewayServer;
use super::name::is_ip;
use super::request_match::ProxyConditions;
use super::rule::Rule;
use super::rule_id::DelegateRule;
use super::virtual_host::{Route, VirtualHost, Why};
use super::virtual_service::VirtualService;
use super::{RouteTable, RuleId};
use crate::host_name::{DOMAIN_SUFFIX, by_specificity, intersection, matches};
use crate::order::sort_by;
use crate::proxy::{MESH, ProxyContext, ProxyRole};
use std::collections::{HashMap, HashSet};

/// What a VirtualService contributes at one gateway, or in the mesh.
#[derive(Debug, Default)]
struct Segment {
    routes: Vec<usize>,
    excluded: Vec<(usize, Why)>,
}

/// The table while it is put together.
pub(super) struct Assembly<'a> {
    proxy: &'a ProxyContext,
    virtual_services: Vec<VirtualService>,
    rules: Vec<Rule>,
    routes: Vec<Route>,
    /// The routes of each VirtualService, by its position.
    ranges: Vec<std::ops::Range<usize>>,
    segments: Vec<Segment>,
    virtual_hosts: Vec<VirtualHost>,
    domains: Domains,
}

impl<'a> Assembly<'a> {
    /// Takes the VirtualServices that `proxy` sees, oldest first.
    pub(super) fn new(proxy: &'a ProxyContext, mut virtual_services: Vec<VirtualService>) -> Self {
        virtual_services.retain(|service| service.export_to.is_visible(&service.namespace, &proxy.namespace));
        if matches!(proxy.role, ProxyRole::Gateway(_)) {
            sort_by(&mut virtual_services, |a, b| a.export_to.rank().cmp(&b.export_to.rank()));
        }
        Self {
            proxy,
            virtual_services,
            rules: Vec::new(),
            routes: Vec::new(),
            ranges: Vec::new(),
            segments: Vec::new(),
            virtual_hosts: Vec::new(),
            domains: Domains::default(),
        }
    }

    /// The table of a gateway, whose `bindings` are its gateways by name, each with its servers.
    pub(super) fn gateway(mut self, bindings: &[(&str, Vec<GatewayServer>)]) -> RouteTable {
        self.take_routes(|service| {
            bindings.iter().any(|(name, _)| service.gateways.iter().any(|g| g == name))
        });
        let mut domains: Vec<(String, Vec<usize>)> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut listed: HashSet<(usize, usize)> = HashSet::new();
        for (gateway, servers) in bindings {
            let segments: Vec<Option<usize>> = (0..self.virtual_services.len())
                .map(|service| {
                    let bound = self.virtual_services.get(service)?.gateways.iter().any(|g| g == gateway);
                    bound.then(|| self.segment(service, gateway))
                })
                .collect();
            for server in servers.iter().filter(|server| self.is_served(server)) {
                for (service, segment) in self.virtual_services.iter().zip(&segments) {
                    // A VirtualService without any rule for this proxy opens no host.
                    let Some(segment) = segment.filter(|at| self.has_routes(*at)) else { continue };
                    // As Istio does: compared as they are written, served in any case.
                    for host in intersection(&server.hosts_for(&service.namespace), &service.hosts) {
                        let place = *places.entry(host.to_ascii_lowercase()).or_insert_with_key(|host| {
                            domains.push((of_host(host).into_owned(), Vec::new()));
                            domains.len() - 1
                        });
                        if listed.insert((place, segment))
                            && let Some((_, list)) = domains.get_mut(place)
                        {
                            list.push(segment);
                        }
                    }
                }
            }
        }
        let mut known: HashMap<Vec<usize>, usize> = HashMap::new();
        for (domain, segments) in domains {
            let virtual_host = match known.get(&segments) {
                Some(virtual_host) => *virtual_host,
                None => {
                    let virtual_host = self.push_virtual_host(&segments);
                    known.insert(segments, virtual_host);
                    virtual_host
                }
            };
            self.domains.insert(&domain, virtual_host);
        }
        self.finish(false)
    }

    /// The table of a sidecar in a mesh with these `services`.
    pub(super) fn sidecar(mut self, services: &[&str]) -> RouteTable {
        self.take_routes(|service| service.gateways.iter().any(|gateway| gateway == MESH));
        // Each host belongs to the oldest VirtualService that names it; there is no merging.
        let mut hosts: Vec<(String, usize)> = Vec::new();
        let mut taken: HashMap<String, usize> = HashMap::new();
        for service in 0..self.virtual_services.len() {
            let Some(written) = self.virtual_services.get(service) else { continue };
            if !written.gateways.iter().any(|gateway| gateway == MESH) {
                continue;
            }
            let names = written.hosts.iter().map(|host| host.to_ascii_lowercase());
            let names: Vec<String> = names.filter(|host| !taken.contains_key(host)).collect();
            if names.is_empty() {
                continue;
            }
            let segment = self.segment(service, MESH);
            let virtual_host = self.push_virtual_host(&[segment]);
            for name in names {
                taken.insert(name.clone(), virtual_host);
                hosts.push((name, virtual_host));
            }
        }
        for (host, virtual_host) in &hosts {
            self.domains.insert(&of_host(host), *virtual_host);
        }
        // A service under a wildcard can be called by its short names too.
        let mut wildcards: Vec<&(String, usize)> =
            hosts.iter().filter(|(host, _)| host.starts_with('*')).collect();
        sort_by(&mut wildcards, |(a, _), (b, _)| by_specificity(a, b));
        let mut named: Vec<(String, usize)> =
            hosts.iter().filter(|(host, _)| !host.starts_with('*')).cloned().collect();
        for service in services {
            let service = service.to_ascii_lowercase();
            if taken.contains_key(&service) {
                continue;
            }
            if let Some((_, virtual_host)) = wildcards.iter().find(|(host, _)| matches(host, &service)) {
                self.domains.insert(&of_host(&service), *virtual_host);
                if !service.starts_with('*') {
                    named.push((service, *virtual_host));
                }
            }
        }
        for (host, virtual_host) in named {
            for alias in aliases(&host, &self.proxy.namespace) {
                self.domains.insert(&alias, virtual_host);
            }
        }
        self.finish(true)
    }

    /// Turns the rules of the VirtualServices that `concern` this proxy into routes.
    fn take_routes(&mut self, concerns: impl Fn(&VirtualService) -> bool) {
        let compiled = || self.virtual_services.iter().flat_map(|service| &service.rules);
        self.rules.reserve_exact(compiled().count());
        self.routes.reserve_exact(compiled().map(|rule| rule.matches.len()).sum());
        for service in &mut self.virtual_services {
            let start = self.routes.len();
            let rules = std::mem::take(&mut service.rules);
            // A delegate acts only through its root.
            if concerns(service) && !service.hosts.is_empty() {
                for compiled in rules {
                    let rule = self.rules.len();
                    self.rules.push(compiled.rule);
                    let delegate = compiled.delegate;
                    self.routes.extend(compiled.matches.into_iter().map(|matched| Route {
                        id: RuleId::new(
                            service.id.clone(),
                            compiled.http,
                            matched.index,
                            delegate.as_ref().map(|(virtual_service, http)| DelegateRule {
                                virtual_service: virtual_service.clone(),
                                http: *http,
                                matched: matched.delegate_index,
                            }),
                        ),
                        name: matched.route_name,
                        rule,
                        matched: matched.request,
                    }));
                }
            }
            self.ranges.push(start..self.routes.len());
        }
        // A port that every request arrives at is known now; where there are several, each request must tell.
        let port = self.proxy.port;
        for route in &mut self.routes {
            if port.is_none()
                && let Some(wanted) = route.matched.proxy.port.take()
            {
                route.matched.conditions.push(super::condition::Condition::Port(wanted));
            }
        }
    }

    fn is_served(&self, server: &GatewayServer) -> bool {
        match (self.proxy.port, server.port) {
            (Some(served), Some(port)) => served == port,
            _ => true,
        }
    }

    fn has_routes(&self, segment: usize) -> bool {
        self.segments.get(segment).is_some_and(|segment| !segment.routes.is_empty())
    }

    /// What the VirtualService at `service` contributes at `gateway`: its routes up to the first that takes every request.
    fn segment(&mut self, service: usize, gateway: &str) -> usize {
        let mut segment = Segment::default();
        let mut last: Option<usize> = None;
        for index in self.ranges.get(service).cloned().unwrap_or_default() {
            let Some(route) = self.routes.get(index) else { continue };
            if let Some(last) = last {
                segment.excluded.push((index, Why::Behind(last)));
            } else if let Some(why) = unmet(&route.matched.proxy, gateway, self.proxy) {
                segment.excluded.push((index, why));
            } else {
                segment.routes.push(index);
                last = route.matched.is_catch_all().then_some(index);
            }
        }
        self.segments.push(segment);
        self.segments.len() - 1
    }

    /// A virtual host of these segments one after the other, with what takes every request at the end.
    fn push_virtual_host(&mut self, segments: &[usize]) -> usize {
        let mut virtual_host = VirtualHost::default();
        let mut last = Vec::new();
        for segment in segments.iter().filter_map(|index| self.segments.get(*index)) {
            for index in &segment.routes {
                match self.routes.get(*index) {
                    Some(route) if route.matched.is_catch_all() => last.push(*index),
                    _ => virtual_host.routes.push(*index),
                }
            }
            virtual_host.excluded.extend(segment.excluded.iter().cloned());
        }
        virtual_host.routes.append(&mut last);
        self.virtual_hosts.push(virtual_host);
        self.virtual_hosts.len() - 1
    }

    fn finish(mut self, is_sidecar: bool) -> RouteTable {
        for virtual_host in &mut self.virtual_hosts {
            virtual_host.arrange(&self.routes);
        }
        let fingerprint = format!("{:016x}", Fingerprint::of(&self.routes, &self.rules));
        RouteTable {
            rules: self.rules,
            routes: self.routes,
            virtual_hosts: self.virtual_hosts,
            domains: self.domains,
            is_sidecar,
            fingerprint,
            steering: self.proxy.steering.clone(),
        }
    }
}

/// The condition on the proxy that does not hold at `gateway`, if there is one.
fn unmet(wanted: &ProxyConditions, gateway: &str, proxy: &ProxyContext) -> Option<Why> {
    let ProxyConditions { gateways, source_labels, source_namespace, port } = wanted;
    let why = |field: &'static str, key: Option<&str>, wants: String, found: String| {
        Some(Why::Proxy { field, key: key.map(str::to_owned), wants, found })
    };
    if !gateways.is_empty() && !gateways.iter().any(|name| name == gateway) {
        return why("gateways", None, gateways.join(", "), gateway.to_owned());
    }
    if let Some((key, value)) = source_labels
        .iter()
        .find(|(key, value)| proxy.labels.as_ref().and_then(|labels| labels.get(*key)) != Some(*value))
    {
        let found = proxy.labels.as_ref().and_then(|labels| labels.get(key)).cloned();
        return why(
            "sourceLabels",
            Some(key),
            value.clone(),
            found.unwrap_or_else(|| "no such label".to_owned()),
        );
    }
    if let Some(namespace) = source_namespace
        && *namespace != proxy.namespace
    {
        return why("sourceNamespace", None, namespace.clone(), proxy.namespace.clone());
    }
    if let (Some(wanted), Some(port)) = (port, proxy.port)
        && *wanted != port
    {
        return why("port", None, wanted.to_string(), port.to_string());
    }
    None
}

/// The other names of a service: with the root's dot, and shorter ones for a service of the cluster.
fn aliases(host: &str, namespace: &str) -> Vec<String> {
    if is_ip(host) {
        return Vec::new();
    }
    let mut aliases = Vec::new();
    if !host.ends_with('.') {
        aliases.push(format!("{host}."));
    }
    let of_cluster = host.strip_suffix(DOMAIN_SUFFIX).and_then(|rest| rest.strip_suffix(".svc."));
    if let Some((name, own)) = of_cluster.and_then(|rest| rest.split_once('.')) {
        aliases.push(format!("{name}.{own}"));
        aliases.push(format!("{name}.{own}.svc"));
        if own == namespace {
            aliases.push(name.to_owned());
        }
    }
    aliases
}
