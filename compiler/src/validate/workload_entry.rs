//! `WorkloadEntry`, alone or as an endpoint of a ServiceEntry.

use crate::values::{check_labels, check_port, is_domain, is_ip};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::service_entry::WorkloadEntry;

pub(super) fn validate(entry: &WorkloadEntry, at: &Path, problems: &mut Problems) {
    let WorkloadEntry { address, ports, labels, network, locality, weight: _, service_account: _ } = entry;
    let address = address.as_deref().unwrap_or_default();
    if let Some(path) = address.strip_prefix("unix://") {
        if !(path.starts_with('/') || (path.starts_with('@') && path.len() > 1)) {
            problems.error(
                at.field("address"),
                ProblemKind::InvalidValue,
                format!("expected an absolute path or `@` and a name behind `unix://`, found `{path}`"),
            );
        }
        if !ports.is_empty() {
            problems.error(at.field("ports"), ProblemKind::Conflict, "a unix socket has no ports");
        }
    } else if address.is_empty() {
        if network.as_deref().is_none_or(str::is_empty) {
            problems.error(at.field("address"), ProblemKind::Missing, "missing: an instance has an address");
        }
    } else if !is_ip(address) && !is_domain(address) {
        problems.error(
            at.field("address"),
            ProblemKind::InvalidValue,
            format!("expected an IP address, a host or a unix socket, found `{address}`"),
        );
    }
    for (name, port) in ports {
        check_port(*port, at.field("ports").field(name), problems);
    }
    check_labels(labels, &at.field("labels"), problems);
    if let Some(locality) = locality.as_deref().filter(|locality| !locality.is_empty()) {
        let parts: Vec<&str> = locality.split('/').collect();
        if parts.len() > 3 || parts.iter().any(|part| part.is_empty() || part.contains('*')) {
            problems.error(
                at.field("locality"),
                ProblemKind::InvalidValue,
                format!("expected `region`, `region/zone` or `region/zone/subzone`, found `{locality}`"),
            );
        }
    }
}
