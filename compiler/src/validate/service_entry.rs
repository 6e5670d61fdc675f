//! `ServiceEntry`.

use super::workload_entry;
use crate::values::{
    Protocol, check_port, is_dns_label, is_domain, is_ip, is_partial_wildcard, is_subnet, is_wildcard_domain,
};
use crate::visibility;
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;
use mesh_policy_istio::service_entry::{Resolution, ServiceEntry, ServicePort};

pub(super) fn validate(resource: &Resource, entry: &ServiceEntry, problems: &mut Problems) {
    let ServiceEntry {
        hosts,
        addresses: _,
        ports,
        location: _,
        resolution,
        endpoints: _,
        workload_selector,
        export_to,
        subject_alt_names: _,
    } = entry;
    let at = resource.spec_path();
    let resolution = resolution.unwrap_or(Resolution::None);
    if hosts.is_empty() {
        problems.error(at.field("hosts"), ProblemKind::Missing, "missing: a service has at least one host");
    }
    for (index, host) in hosts.iter().enumerate() {
        validate_host(host, resolution, at.field("hosts").index(index), problems);
    }
    validate_addresses(entry, resolution, &at, problems);
    for (index, port) in ports.iter().enumerate() {
        validate_port(
            port,
            ports.get(..index).unwrap_or_default(),
            &at.field("ports").index(index),
            problems,
        );
    }
    validate_endpoints(entry, resolution, &at, problems);
    if let Some(selector) = workload_selector {
        let at = at.field("workloadSelector");
        if selector.labels.is_empty() {
            problems.warning(at.clone(), ProblemKind::Suspicious, "selects every workload of its namespace");
        }
        for (key, value) in &selector.labels {
            if key.is_empty() || key.contains('*') || value.contains('*') {
                problems.error(
                    at.field("labels").field(key),
                    ProblemKind::InvalidValue,
                    "expected a label name and a value, both without `*`",
                );
            }
        }
        if resolution == Resolution::None {
            problems.warning(at, ProblemKind::Suspicious, "has no effect with the resolution NONE");
        }
    }
    let several = hosts.len() > 1 && resolution != Resolution::None;
    for (index, port) in ports.iter().enumerate().filter(|_| several) {
        let told_apart =
            port.protocol.as_deref().and_then(Protocol::parse).is_some_and(|p| p.is_http() || p.is_tls());
        if !told_apart {
            problems.error(
                at.field("ports").index(index).field("protocol"),
                ProblemKind::Conflict,
                "expected HTTP or TLS: with several hosts nothing else tells them apart",
            );
        }
    }
    visibility::check(export_to, resource.namespace(), true, &at.field("exportTo"), problems);
}

fn validate_host(host: &str, resolution: Resolution, at: Path, problems: &mut Problems) {
    if host == "*" || !is_wildcard_domain(host) {
        problems.error(
            at,
            ProblemKind::InvalidValue,
            format!("expected a host such as `orders.example.com` or `*.example.com`, found `{host}`"),
        );
        return;
    }
    let wildcard = host.starts_with('*');
    if resolution == Resolution::DynamicDns && !wildcard {
        problems.error(
            at,
            ProblemKind::InvalidValue,
            format!("expected a wildcard with DYNAMIC_DNS, found `{host}`"),
        );
    } else if resolution != Resolution::DynamicDns && is_partial_wildcard(host) {
        problems.warning(
            at,
            ProblemKind::Suspicious,
            format!("`{host}` also matches hosts of other domains that end alike"),
        );
    }
}

fn validate_addresses(entry: &ServiceEntry, resolution: Resolution, at: &Path, problems: &mut Problems) {
    let dns = matches!(resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    for (index, address) in entry.addresses.iter().enumerate() {
        let at = at.field("addresses").index(index);
        if !is_subnet(address) {
            problems.error(
                at,
                ProblemKind::InvalidValue,
                format!("expected an IP address or a network such as `10.0.0.0/8`, found `{address}`"),
            );
        } else if dns && !is_ip(address) && !address.ends_with("/32") {
            problems.error(
                at,
                ProblemKind::Conflict,
                format!(
                    "expected an address with the resolution {}, found the network `{address}`",
                    resolution.name()
                ),
            );
        }
    }
    if resolution == Resolution::DynamicDns && !entry.addresses.is_empty() {
        problems.error(at.field("addresses"), ProblemKind::Conflict, "DYNAMIC_DNS has no addresses");
    }
}

fn validate_port(port: &ServicePort, earlier: &[ServicePort], at: &Path, problems: &mut Problems) {
    let ServicePort { number, protocol, name, target_port } = port;
    match number {
        None => {
            problems.error(at.field("number"), ProblemKind::Missing, "missing: a port has a number");
        }
        Some(number) => {
            check_port(*number, at.field("number"), problems);
            if earlier.iter().any(|other| other.number == Some(*number)) {
                problems.error(
                    at.field("number"),
                    ProblemKind::Conflict,
                    format!("the port {number} is given twice"),
                );
            }
        }
    }
    match name.as_deref().filter(|name| !name.is_empty()) {
        None => {
            problems.error(at.field("name"), ProblemKind::Missing, "missing: a port has a name");
        }
        Some(name) if !is_dns_label(name) => {
            problems.error(
                at.field("name"),
                ProblemKind::InvalidValue,
                format!("expected a DNS label, found `{name}`"),
            );
        }
        Some(name) if earlier.iter().any(|other| other.name.as_deref() == Some(name)) => {
            problems.error(
                at.field("name"),
                ProblemKind::Conflict,
                format!("the port name `{name}` is used twice"),
            );
        }
        Some(_) => {}
    }
    if let Some(protocol) =
        protocol.as_deref().filter(|text| !text.is_empty() && Protocol::parse(text).is_none())
    {
        problems.error(
            at.field("protocol"),
            ProblemKind::InvalidValue,
            format!("expected one of {}, found `{protocol}`", Protocol::NAMES),
        );
    }
    if let Some(target) = target_port {
        check_port(*target, at.field("targetPort"), problems);
    }
}

fn validate_endpoints(entry: &ServiceEntry, resolution: Resolution, at: &Path, problems: &mut Problems) {
    let list = at.field("endpoints");
    if !entry.endpoints.is_empty() {
        let refused = match resolution {
            _ if entry.workload_selector.is_some() => {
                Some("a service has endpoints or a workloadSelector, not both")
            }
            Resolution::None => Some("endpoints need the resolution STATIC or DNS"),
            Resolution::DynamicDns => Some("DYNAMIC_DNS has no endpoints"),
            Resolution::DnsRoundRobin if entry.endpoints.len() > 1 => {
                Some("DNS_ROUND_ROBIN has at most one endpoint")
            }
            _ => None,
        };
        if let Some(message) = refused {
            problems.error(list.clone(), ProblemKind::Conflict, message);
        }
    }
    let by_name = matches!(resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    if by_name && entry.endpoints.is_empty() && entry.workload_selector.is_none() {
        for (index, host) in entry.hosts.iter().enumerate().filter(|(_, host)| !is_domain(host)) {
            problems.error(
                at.field("hosts").index(index),
                ProblemKind::InvalidValue,
                format!("expected a plain host, as DNS is asked for it, found `{host}`"),
            );
        }
    }
    for (index, endpoint) in entry.endpoints.iter().enumerate() {
        let at = list.index(index);
        workload_entry::validate(endpoint, &at, problems);
        let address = endpoint.address.as_deref().unwrap_or_default();
        let unix = address.starts_with("unix://");
        if resolution == Resolution::Static
            && !address.is_empty()
            && !unix
            && is_domain(address)
            && !is_ip(address)
        {
            problems
                .error(
                    at.field("address"),
                    ProblemKind::InvalidValue,
                    format!("expected an IP address with the resolution STATIC, found `{address}`"),
                )
                .help("for a host use the resolution DNS");
        }
        if by_name && unix {
            problems.error(
                at.field("address"),
                ProblemKind::InvalidValue,
                format!("expected a host or an IP address with the resolution {}", resolution.name()),
            );
        }
        if unix && entry.ports.len() != 1 {
            problems.error(
                at.field("address"),
                ProblemKind::Conflict,
                "a service on a unix socket has exactly one port",
            );
        }
        for name in endpoint.ports.keys() {
            if !entry.ports.iter().any(|port| port.name.as_deref() == Some(name.as_str())) {
                problems.error(
                    at.field("ports").field(name),
                    ProblemKind::UnknownReference,
                    format!("the service has no port called `{name}`"),
                );
            }
        }
    }
}
