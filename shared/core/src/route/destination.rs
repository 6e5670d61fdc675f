//! Where a forwarded request goes.

use super::header_operations::{HeaderRules, Operations};
use super::name::{is_dns_label, is_wildcard_domain};
use super::place::Place;
use super::quantity;
use crate::effect::Random;
use crate::host_name::resolve;
use crate::proxy::ProxyContext;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use mesh_policy_istio::virtual_service as wire;
use std::collections::HashMap;

/// A service, a port of it, and a subset of it: one cluster; and what the rule does with requests that go there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    target: Target,
    cluster: String,
    weight: u32,
    /// The authority that the destination's headers ask for.
    pub(super) authority: Option<String>,
    pub(super) request: Operations,
    pub(super) response: Operations,
}

/// What a cluster stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    host: String,
    subset: String,
    port: u16,
}

impl Destination {
    /// The cluster, as Istio names it: `outbound|PORT|SUBSET|HOST`.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The full name of the service.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.target.host
    }

    /// The subset that a DestinationRule defines; empty for the whole service.
    #[must_use]
    pub fn subset(&self) -> &str {
        &self.target.subset
    }

    /// The service port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.target.port
    }

    /// The authority by which the service is known in the mesh; the port of HTTP goes without saying.
    pub(super) fn authority_of_service(&self) -> String {
        let Target { host, port, .. } = &self.target;
        if *port == 80 { host.clone() } else { format!("{host}:{port}") }
    }

    /// Its share of the sum of the weights of all destinations; 0 is never drawn, unless there is no other.
    #[must_use]
    pub const fn weight(&self) -> u32 {
        self.weight
    }
}

impl Target {
    /// The cluster, as Istio names it.
    pub(super) fn cluster(&self) -> String {
        let Self { host, subset, port } = self;
        format!("outbound|{port}|{subset}|{host}")
    }

    /// From the destination written at `at`, in a resource of `namespace`.
    pub(super) fn compile(
        written: Option<&wire::Destination>,
        namespace: &str,
        setting: &Setting<'_>,
        at: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let Some(wire::Destination { host, subset, port }) = written else {
            problems.error(at.path(), ProblemKind::Missing, "missing: expected a destination with a `host`");
            return None;
        };
        let host = match host.as_deref() {
            None | Some("") => {
                let message = "missing: expected the name of a service";
                problems.error(at.field("host").path(), ProblemKind::Missing, message);
                None
            }
            Some(host) if host == "*" || !is_wildcard_domain(host) => {
                problems.error(
                    at.field("host").path(),
                    ProblemKind::InvalidValue,
                    format!("expected the name of a service, found `{host}`"),
                );
                None
            }
            Some(host) => Some(resolve(host, namespace)),
        };
        let subset = subset.clone().unwrap_or_default();
        let subset_is_fine = subset.is_empty() || is_dns_label(&subset);
        if !subset_is_fine {
            problems.error(
                at.field("subset").path(),
                ProblemKind::InvalidValue,
                format!("expected the name of a subset, found `{subset}`"),
            );
        }
        let port = match port {
            Some(wire::PortSelector { number }) => {
                let at = at.field("port");
                Some(quantity::port(number.unwrap_or_default(), &at.field("number"), problems)?)
            }
            None => None,
        };
        let host = host.filter(|_| subset_is_fine)?;
        let port = port.unwrap_or_else(|| setting.default_port(&host));
        Some(Self { host, subset, port })
    }
}

/// All destinations of a rule, and the draw among them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destinations {
    list: Vec<Destination>,
    total: u64,
}

impl Destinations {
    /// From the `route` written at `at`; `rule` are the header operations of the rule itself.
    pub(super) fn compile(
        written: &[wire::HttpRouteDestination],
        rule: &HeaderRules,
        namespace: &str,
        setting: &Setting<'_>,
        at: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let only = written.len() == 1;
        let mut list = Vec::with_capacity(written.len());
        for (index, wire::HttpRouteDestination { destination, weight, headers }) in written.iter().enumerate()
        {
            let at = at.index(index);
            let target =
                Target::compile(destination.as_ref(), namespace, setting, &at.field("destination"), problems);
            let weight = weight.unwrap_or_default();
            let weight = u32::try_from(weight).map_err(|_| {
                problems.error(
                    at.field("weight").path(),
                    ProblemKind::InvalidValue,
                    format!("expected a weight of 0 or more, found `{weight}`"),
                );
            });
            let headers = headers
                .as_ref()
                .map(|headers| HeaderRules::compile(headers, &at.field("headers"), problems))
                .unwrap_or_default();
            let operations =
                if only { Operations::of_only_destination } else { Operations::of_one_destination };
            if let (Some(target), Ok(weight)) = (target, weight) {
                list.push(Destination {
                    cluster: target.cluster(),
                    target,
                    weight,
                    authority: headers.authority,
                    request: operations(&rule.request, &headers.request),
                    response: operations(&rule.response, &headers.response),
                });
            }
        }
        let total: u64 = list.iter().map(|destination| u64::from(destination.weight)).sum();
        if list.len() != written.len() {
            return None;
        }
        if !only && total == 0 {
            problems.error(
                at.path(),
                ProblemKind::InvalidValue,
                "expected weights with a sum above 0, found a sum of 0",
            );
            return None;
        }
        Some(Self { list, total })
    }

    /// All of them.
    pub(super) fn list(&self) -> &[Destination] {
        &self.list
    }

    /// Draws one by weight.
    pub(super) fn draw(&self, random: &mut dyn Random) -> usize {
        if self.list.len() < 2 {
            return 0;
        }
        let mut ticket = random.below(self.total);
        for (index, destination) in self.list.iter().enumerate() {
            let weight = u64::from(destination.weight);
            if ticket < weight {
                return index;
            }
            ticket -= weight;
        }
        0
    }
}

/// What a destination's default port depends on.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    pub(super) proxy: &'a ProxyContext,
    /// The ports of every service there is.
    pub(super) services: HashMap<&'a str, Vec<u16>>,
    /// The VirtualServices without hosts, by namespace and name.
    pub(super) delegates: HashMap<(&'a str, &'a str), &'a wire::VirtualService>,
}

impl<'a> Setting<'a> {
    /// Looks up the services among `resources`.
    pub(super) fn new(resources: &'a [Resource], proxy: &'a ProxyContext) -> Self {
        let mut services: HashMap<&str, Vec<u16>> = HashMap::new();
        let mut delegates = HashMap::new();
        for resource in resources {
            if let Spec::VirtualService(written) = &resource.spec
                && written.hosts.is_empty()
            {
                delegates.insert((resource.namespace(), resource.name()), written);
            }
            let Spec::ServiceEntry(entry) = &resource.spec else { continue };
            for host in &entry.hosts {
                let ports = services.entry(host).or_default();
                let numbers = entry.ports.iter().filter_map(|port| u16::try_from(port.number?).ok());
                for port in numbers {
                    if !ports.contains(&port) {
                        ports.push(port);
                    }
                }
            }
        }
        Self { proxy, services, delegates }
    }

    /// The service's only port, else the one that this proxy's listener serves, else that of HTTP.
    fn default_port(&self, host: &str) -> u16 {
        match self.services.get(host).map(Vec::as_slice) {
            Some([port]) => *port,
            _ => self.proxy.port.unwrap_or(80),
        }
    }
}
