//! `Gateway`.

use super::server_tls;
use crate::values::{Protocol, check_port, is_dns_label, is_ip};
use mesh_policy_istio::gateway::{Gateway, Port, Server};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;

pub(super) fn validate(resource: &Resource, gateway: &Gateway, problems: &mut Problems) {
    let Gateway { selector, servers } = gateway;
    let at = resource.spec_path();
    if !is_dns_label(resource.name()) && !resource.name().is_empty() {
        problems.error(
            resource.path.field("metadata").field("name"),
            ProblemKind::InvalidValue,
            format!("expected a DNS label, found `{}`", resource.name()),
        );
    }
    crate::values::check_labels(selector, &at.field("selector"), problems);
    if servers.is_empty() {
        problems.error(
            at.field("servers"),
            ProblemKind::Missing,
            "missing: a Gateway has at least one server",
        );
    }
    for (index, server) in servers.iter().enumerate() {
        let at = at.field("servers").index(index);
        validate_server(server, &at, problems);
        let name = server.port.as_ref().and_then(|port| port.name.as_deref()).filter(|name| !name.is_empty());
        let twice = servers
            .iter()
            .take(index)
            .any(|other| name.is_some() && other.port.as_ref().and_then(|port| port.name.as_deref()) == name);
        if twice {
            problems.error(
                at.field("port").field("name"),
                ProblemKind::Conflict,
                format!("the port name `{}` is used twice", name.unwrap_or_default()),
            );
        }
    }
}

fn validate_server(server: &Server, at: &Path, problems: &mut Problems) {
    // Hosts are judged with the routes, as the filters read them too; `name` only names statistics.
    let Server { port, bind, hosts: _, tls, default_endpoint, name: _ } = server;
    if default_endpoint.is_some() {
        let message = "has no effect, in Istio neither";
        problems.warning(at.field("defaultEndpoint"), ProblemKind::Suspicious, message);
    }
    let unix = bind.as_deref().is_some_and(|bind| bind.starts_with("unix://"));
    if let Some(bind) = bind.as_deref().filter(|bind| !bind.is_empty()) {
        let good = match bind.strip_prefix("unix://") {
            Some(path) => path.starts_with('/') || (path.starts_with('@') && path.len() > 1),
            None => is_ip(bind),
        };
        if !good {
            problems.error(
                at.field("bind"),
                ProblemKind::InvalidValue,
                format!("expected an IP address or `unix://` and an absolute path, found `{bind}`"),
            );
        }
    }
    match port {
        None => {
            problems.error(at.field("port"), ProblemKind::Missing, "missing: a server has a port");
        }
        Some(port) => {
            let protocol = validate_port(port, unix, &at.field("port"), problems);
            if let Some(protocol) = protocol {
                server_tls::validate(protocol, tls.as_ref(), &at.field("tls"), problems);
            }
        }
    }
}

fn validate_port(port: &Port, unix: bool, at: &Path, problems: &mut Problems) -> Option<Protocol> {
    let Port { number, protocol, name, target_port } = port;
    match (number, unix) {
        (None | Some(0), true) => {}
        (Some(_), true) => {
            problems.error(
                at.field("number"),
                ProblemKind::Conflict,
                "a server that listens on a unix socket has the port 0",
            );
        }
        (None, false) => {
            problems.error(at.field("number"), ProblemKind::Missing, "missing: a port has a number");
        }
        (Some(number), false) => check_port(*number, at.field("number"), problems),
    }
    if target_port.is_some() {
        problems.error(
            at.field("targetPort"),
            ProblemKind::InvalidValue,
            "only the port of a ServiceEntry has a target port",
        );
    }
    if name.as_deref().is_none_or(str::is_empty) {
        problems.error(at.field("name"), ProblemKind::Missing, "missing: a port has a name");
    }
    let Some(protocol) = protocol.as_deref().filter(|protocol| !protocol.is_empty()) else {
        problems.error(at.field("protocol"), ProblemKind::Missing, "missing: a port has a protocol");
        return None;
    };
    let known = Protocol::parse(protocol).filter(|protocol| *protocol != Protocol::Udp);
    if known.is_none() {
        problems.error(
            at.field("protocol"),
            ProblemKind::InvalidValue,
            format!("expected one of {}, found `{protocol}`", Protocol::NAMES.trim_end_matches(", UDP")),
        );
    }
    known
}
