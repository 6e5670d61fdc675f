//! Names that lead nowhere: services, subsets, ports, gateways.

use crate::nearest::nearest;
use crate::service::{Service, services};
use crate::source::Sources;
use crate::values;
use mesh_policy_core::host_name;
use mesh_policy_core::proxy::MESH;
use mesh_policy_istio::destination_rule::{DestinationRule, Subset};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use mesh_policy_istio::service_entry::Resolution;
use mesh_policy_istio::virtual_service::{Destination, VirtualService};

/// Reports every reference of a sound resource to something that no resource defines.
pub(crate) fn check(sources: &Sources, problems: &mut Problems) {
    let names = Names::new(sources.resources());
    for resource in sources.sound() {
        match &resource.spec {
            Spec::VirtualService(spec) => {
                names.check_gateways(resource, spec, problems);
                for (destination, at) in destinations(resource, spec) {
                    names.check_destination(resource, destination, &at, problems);
                }
            }
            Spec::DestinationRule(rule) => names.check_rule(resource, rule, problems),
            _ => {}
        }
    }
}

/// Everything that a VirtualService forwards or mirrors to.
pub(crate) fn destinations<'s>(
    resource: &Resource,
    spec: &'s VirtualService,
) -> Vec<(&'s Destination, Path)> {
    let at = resource.spec_path();
    let mut found = Vec::new();
    for (i, rule) in spec.http.iter().enumerate() {
        let at = at.field("http").index(i);
        let routes = rule.route.iter().enumerate();
        found.extend(
            routes.map(|(i, route)| {
                (route.destination.as_ref(), at.field("route").index(i).field("destination"))
            }),
        );
        found.push((rule.mirror.as_ref(), at.field("mirror")));
        let mirrors = rule.mirrors.iter().enumerate();
        found.extend(
            mirrors.map(|(i, m)| (m.destination.as_ref(), at.field("mirrors").index(i).field("destination"))),
        );
    }
    for (i, rule) in spec.tls.iter().enumerate() {
        let at = at.field("tls").index(i).field("route");
        let routes = rule.route.iter().enumerate();
        found.extend(routes.map(|(i, route)| (route.destination.as_ref(), at.index(i).field("destination"))));
    }
    for (i, rule) in spec.tcp.iter().enumerate() {
        let at = at.field("tcp").index(i).field("route");
        let routes = rule.route.iter().enumerate();
        found.extend(routes.map(|(i, route)| (route.destination.as_ref(), at.index(i).field("destination"))));
    }
    found.into_iter().filter_map(|(destination, at)| Some((destination?, at))).collect()
}

/// Everything that can be referred to.
struct Names<'s> {
    services: Vec<Service<'s>>,
    rules: Vec<(String, &'s DestinationRule)>,
    gateways: Vec<String>,
}

impl<'s> Names<'s> {
    fn new(resources: &'s [Resource]) -> Self {
        let mut rules = Vec::new();
        let mut gateways = Vec::new();
        for resource in resources {
            match &resource.spec {
                Spec::DestinationRule(rule) => {
                    let host = rule.host.as_deref().unwrap_or_default();
                    rules.push((host_name::resolve(host, resource.namespace()), &**rule));
                }
                Spec::Gateway(_) => gateways.push(format!("{}/{}", resource.namespace(), resource.name())),
                _ => {}
            }
        }
        Self { services: services(resources), rules, gateways }
    }

    fn check_gateways(&self, resource: &Resource, spec: &VirtualService, problems: &mut Problems) {
        let at = resource.spec_path();
        let mut lists = vec![(&spec.gateways, at.field("gateways"))];
        for (i, rule) in spec.http.iter().enumerate() {
            for (j, m) in rule.matches.iter().enumerate() {
                lists
                    .push((&m.gateways, at.field("http").index(i).field("match").index(j).field("gateways")));
            }
        }
        for (i, rule) in spec.tls.iter().enumerate() {
            for (j, m) in rule.matches.iter().enumerate() {
                lists.push((&m.gateways, at.field("tls").index(i).field("match").index(j).field("gateways")));
            }
        }
        for (i, rule) in spec.tcp.iter().enumerate() {
            for (j, m) in rule.matches.iter().enumerate() {
                lists.push((&m.gateways, at.field("tcp").index(i).field("match").index(j).field("gateways")));
            }
        }
        for (list, at) in lists {
            for (index, written) in list.iter().enumerate().filter(|(_, written)| *written != MESH) {
                let name = host_name::resolve_gateway(written, resource.namespace());
                if self.gateways.contains(&name) {
                    continue;
                }
                let problem = problems.error(
                    at.index(index),
                    ProblemKind::UnknownReference,
                    format!("there is no Gateway `{name}`"),
                );
                let base = name.rsplit('/').next().unwrap_or_default();
                let elsewhere = self.gateways.iter().find(|other| other.rsplit('/').next() == Some(base));
                let near = nearest(&name, self.gateways.iter().map(String::as_str));
                if let Some(near) = elsewhere.map(String::as_str).or(near) {
                    problem.help(format!("did you mean `{near}`?"));
                }
            }
        }
    }

    fn check_destination(&self, resource: &Resource, to: &Destination, at: &Path, problems: &mut Problems) {
        let Some(written) = to.host.as_deref().filter(|host| !host.is_empty()) else { return };
        let host = host_name::resolve(written, resource.namespace());
        let found: Vec<&Service<'_>> = self.services.iter().filter(|service| service.host == host).collect();
        if found.is_empty() {
            let problem = problems.error(
                at.field("host"),
                ProblemKind::UnknownReference,
                format!("no ServiceEntry defines the host `{host}`"),
            );
            if host != written && self.services.iter().any(|service| service.host == written) {
                problem.help(format!("hosts of a ServiceEntry are not completed: write `{host}` there"));
            } else if let Some(near) = nearest(&host, self.services.iter().map(|service| service.host)) {
                problem.help(format!("did you mean `{near}`?"));
            }
            return;
        }
        if let Some(number) = to.port.as_ref().and_then(|port| port.number)
            && let Some(port) = values::port(number)
            && !found.iter().any(|service| service.has_port(port))
        {
            let ports = found.first().map(|service| service.show_ports()).unwrap_or_default();
            problems.error(
                at.field("port").field("number"),
                ProblemKind::UnknownReference,
                format!("`{host}` has no port {port}: its ports are {ports}"),
            );
        }
        if let Some(subset) = to.subset.as_deref().filter(|subset| !subset.is_empty()) {
            self.check_subset(&host, subset, at, problems);
        }
    }

    fn check_subset(&self, host: &str, subset: &str, at: &Path, problems: &mut Problems) {
        let rules = self.rules.iter().filter(|(of, _)| host_name::subset_of(host, of));
        let subsets: Vec<&Subset> = rules.flat_map(|(_, rule)| &rule.subsets).collect();
        let names: Vec<&str> = subsets.iter().filter_map(|subset| subset.name.as_deref()).collect();
        if names.contains(&subset) {
            return;
        }
        let problem = problems.error(
            at.field("subset"),
            ProblemKind::UnknownReference,
            format!("no DestinationRule for `{host}` defines the subset `{subset}`"),
        );
        if !names.is_empty() {
            problem.help(format!("defined subsets: {}", names.join(", ")));
        }
    }

    fn check_rule(&self, resource: &Resource, rule: &DestinationRule, problems: &mut Problems) {
        let Some(written) = rule.host.as_deref().filter(|host| !host.is_empty()) else { return };
        let host = host_name::resolve(written, resource.namespace());
        let at = resource.spec_path();
        let found: Vec<&Service<'_>> =
            self.services.iter().filter(|service| host_name::subset_of(service.host, &host)).collect();
        if found.is_empty() {
            let problem = problems.warning(
                at.field("host"),
                ProblemKind::Suspicious,
                format!("has no effect: no ServiceEntry defines the host `{host}`"),
            );
            if let Some(near) = nearest(&host, self.services.iter().map(|service| service.host)) {
                problem.help(format!("did you mean `{near}`?"));
            }
            return;
        }
        let listed = |service: &&&Service<'_>| service.resolution() != Resolution::None;
        for (index, subset) in rule.subsets.iter().enumerate() {
            let mut services = found.iter().filter(listed).peekable();
            let empty = services.peek().is_some()
                && !services.any(|s| s.endpoints.iter().any(|e| values::selects(&subset.labels, &e.labels)));
            if empty {
                problems.warning(
                    at.field("subsets").index(index).field("labels"),
                    ProblemKind::Suspicious,
                    format!("no endpoint of `{host}` has the labels {}", values::show_labels(&subset.labels)),
                );
            }
        }
    }
}
