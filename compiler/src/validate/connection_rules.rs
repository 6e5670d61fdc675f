//! `tls` and `tcp` of a VirtualService, which no filter reads.

use crate::values::{check_port, is_ip, is_subnet, is_wildcard_domain};
use mesh_policy_core::host_name::{resolve, subset_of};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;
use mesh_policy_istio::virtual_service::{RouteDestination, VirtualService};

pub(super) fn validate(resource: &Resource, spec: &VirtualService, problems: &mut Problems) {
    let at = resource.spec_path();
    let hosts: Vec<String> =
        spec.hosts.iter().map(|host| resolve(host, resource.namespace()).to_lowercase()).collect();
    for (index, rule) in spec.tls.iter().enumerate() {
        let at = at.field("tls").index(index);
        if rule.matches.is_empty() {
            let message = "missing: a rule for TLS says which server names it is for";
            problems.error(at.field("match"), ProblemKind::Missing, message);
        }
        for (index, matched) in rule.matches.iter().enumerate() {
            let at = at.field("match").index(index);
            if matched.sni_hosts.is_empty() {
                let message = "missing: expected at least one server name, or `*` for any";
                problems.error(at.field("sniHosts"), ProblemKind::Missing, message);
            }
            for (index, name) in matched.sni_hosts.iter().enumerate() {
                validate_sni(name, &hosts, at.field("sniHosts").index(index), problems);
            }
            validate_subnets(&matched.destination_subnets, &at, problems);
            if let Some(port) = matched.port {
                check_port(port, at.field("port"), problems);
            }
        }
        validate_route(&rule.route, &at.field("route"), problems);
    }
    for (index, rule) in spec.tcp.iter().enumerate() {
        let at = at.field("tcp").index(index);
        for (index, matched) in rule.matches.iter().enumerate() {
            let at = at.field("match").index(index);
            validate_subnets(&matched.destination_subnets, &at, problems);
            if let Some(port) = matched.port {
                check_port(port, at.field("port"), problems);
            }
        }
        validate_route(&rule.route, &at.field("route"), problems);
    }
}

/// Every server name has to be one of the hosts, or below one.
fn validate_sni(name: &str, hosts: &[String], at: Path, problems: &mut Problems) {
    if is_ip(name) {
        let message = format!("`{name}` never matches: clients send names, not addresses");
        problems.warning(at, ProblemKind::Suspicious, message);
    } else if !name.starts_with("outbound_.") && !is_wildcard_domain(name) {
        let message = format!("expected a host name, a `*.` wildcard or `*`, found `{name}`");
        problems.error(at, ProblemKind::InvalidValue, message);
    } else if !hosts.iter().any(|host| subset_of(&name.to_lowercase(), host)) {
        let message = format!("expected a name within `hosts`, found `{name}`");
        problems.error(at, ProblemKind::Conflict, message);
    }
}

fn validate_subnets(subnets: &[String], at: &Path, problems: &mut Problems) {
    for (index, subnet) in subnets.iter().enumerate().filter(|(_, subnet)| !is_subnet(subnet)) {
        problems.error(
            at.field("destinationSubnets").index(index),
            ProblemKind::InvalidValue,
            format!("expected an address or a network such as `10.0.0.0/8`, found `{subnet}`"),
        );
    }
}

fn validate_route(route: &[RouteDestination], at: &Path, problems: &mut Problems) {
    if route.is_empty() {
        problems.error(at.clone(), ProblemKind::Missing, "missing: expected at least one destination");
    }
    for (index, to) in route.iter().enumerate() {
        let at = at.index(index);
        let host = to.destination.as_ref().and_then(|destination| destination.host.as_deref());
        if host.is_none_or(|host| host.is_empty() || host == "*" || !is_wildcard_domain(host)) {
            let message = format!("expected the name of a service, found `{}`", host.unwrap_or_default());
            problems.error(at.field("destination").field("host"), ProblemKind::InvalidValue, message);
        }
        if let Some(weight) = to.weight.filter(|weight| *weight < 0) {
            let message = format!("expected 0 or more, found `{weight}`");
            problems.error(at.field("weight"), ProblemKind::InvalidValue, message);
        }
    }
    let sum: i64 = route.iter().map(|to| i64::from(to.weight.unwrap_or(0))).sum();
    if route.len() > 1 && sum == 0 {
        let message = "the weights of several destinations must not all be 0";
        problems.error(at.clone(), ProblemKind::Conflict, message);
    }
}

#[cfg(test)]
mod tests {
    use crate::source::Sources;

    fn found(rules: &str) -> Vec<String> {
        let text = format!(
            "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: a, namespace: shop}}\n\
             spec:\n  hosts: [a.io]\n  gateways: [edge]\n  {rules}\n---\napiVersion: networking.istio.io/v1\n\
             kind: Gateway\nmetadata: {{name: edge, namespace: shop}}\nspec:\n  servers:\n  - {{port: {{number: 443, name: tls, \
             protocol: TLS}}, hosts: [\"*\"], tls: {{mode: PASSTHROUGH}}}}\n---\napiVersion: networking.istio.io/v1\n\
             kind: ServiceEntry\nmetadata: {{name: b, namespace: shop}}\nspec:\n  hosts: [b.io]\n  ports: [{{number: 443, name: tls, \
             protocol: TLS}}]\n  resolution: STATIC\n  endpoints: [{{address: 127.0.0.1}}]\n"
        );
        let findings = crate::check(&Sources::from_text("a.yaml", &text));
        findings.iter().map(|finding| format!("{}: {}", finding.path, finding.message)).collect()
    }

    #[test]
    fn sound_rules_are_taken() {
        let rules = "tls: [{match: [{sniHosts: [a.io], port: 443}], route: [{destination: {host: b.io}}]}]";
        assert_eq!(found(rules), [""; 0]);
    }

    #[test]
    fn what_istio_refuses_is_refused() {
        for (rules, expected) in [
            (
                "tls: [{route: [{destination: {host: b.io}}]}]",
                "spec.tls[0].match: missing: a rule for TLS says which server names it is for",
            ),
            (
                "tls: [{match: [{port: 443}], route: [{destination: {host: b.io}}]}]",
                "spec.tls[0].match[0].sniHosts: missing: expected at least one server name, or `*` for any",
            ),
            (
                "tls: [{match: [{sniHosts: [b.io]}], route: [{destination: {host: b.io}}]}]",
                "spec.tls[0].match[0].sniHosts[0]: expected a name within `hosts`, found `b.io`",
            ),
            (
                "tcp: [{match: [{destinationSubnets: [10.0.0/8], port: 1}], route: [{destination: {host: b.io}}]}]",
                "spec.tcp[0].match[0].destinationSubnets[0]: expected an address or a network such as `10.0.0.0/8`, found `10.0.0/8`",
            ),
            (
                "tcp: [{match: [{port: 443}]}]",
                "spec.tcp[0].route: missing: expected at least one destination",
            ),
            (
                "tcp: [{route: [{destination: {host: b.io}}, {destination: {host: b.io}}]}]",
                "spec.tcp[0].route: the weights of several destinations must not all be 0",
            ),
        ] {
            assert_eq!(found(rules), [expected], "{rules}");
        }
    }
}
