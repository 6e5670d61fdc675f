//! One VirtualService, checked and compiled, before it is known where it applies.

use super::claim;
use super::delegate;
use super::destination::Setting;
use super::name::{is_dns_label, is_ip, is_wildcard_domain};
use super::place::Place;
use super::reachability;
use super::request_match::{RequestMatch, check_gateways};
use super::rule::Rule;
use crate::host_name::{matches, resolve, resolve_gateway};
use crate::proxy::MESH;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;
use mesh_policy_istio::virtual_service as wire;
use std::sync::Arc;

/// A VirtualService, compiled.
#[derive(Debug)]
pub(super) struct VirtualService {
    /// `namespace/name`.
    pub(super) id: Arc<str>,
    pub(super) namespace: String,
    /// Full names, lower case.
    pub(super) hosts: Vec<String>,
    /// Full names, or `mesh`.
    pub(super) gateways: Vec<String>,
    pub(super) export_to: ExportTo,
    pub(super) rules: Vec<CompiledRule>,
}

/// An entry of `http`.
#[derive(Debug)]
pub(super) struct CompiledRule {
    /// Its index.
    pub(super) http: usize,
    pub(super) rule: Rule,
    pub(super) matches: Vec<CompiledMatch>,
    /// The delegate whose rule this is, and the index there.
    pub(super) delegate: Option<(Arc<str>, usize)>,
}

/// An entry of `match`, or what stands for none.
#[derive(Debug)]
pub(super) struct CompiledMatch {
    /// Its index; `None` when the rule has no `match`.
    pub(super) index: Option<usize>,
    /// Its index in the delegate's rule.
    pub(super) delegate_index: Option<usize>,
    /// The name of the route in logs.
    pub(super) route_name: String,
    pub(super) request: RequestMatch,
}

/// Who sees a VirtualService; in the order in which gateways take them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ExportTo {
    /// Its own namespace only.
    Private,
    /// These namespaces.
    Namespaces(Vec<String>),
    /// All.
    Public,
}

impl ExportTo {
    /// Whether the namespace `viewer` sees what `owner` exports.
    pub(super) fn is_visible(&self, owner: &str, viewer: &str) -> bool {
        match self {
            Self::Private => owner == viewer,
            Self::Namespaces(namespaces) => namespaces.iter().any(|namespace| namespace == viewer),
            Self::Public => true,
        }
    }

    /// Where it stands in the order of gateways.
    pub(super) const fn rank(&self) -> u8 {
        match self {
            Self::Private => 0,
            Self::Namespaces(_) => 1,
            Self::Public => 2,
        }
    }

    /// From the list written at `at`.
    pub(super) fn compile(written: &[String], owner: &str, at: &Place<'_>, problems: &mut Problems) -> Self {
        let mut namespaces: Vec<String> = Vec::new();
        for (index, name) in written.iter().enumerate() {
            let at = at.index(index);
            let mut refuse = |kind, message: String| {
                problems.error(at.path(), kind, message);
            };
            let namespace = if name == "." { owner } else { name };
            if name == "~" {
                let message = "expected `*`, `.` or a namespace, found `~`, which only a ServiceEntry takes";
                refuse(ProblemKind::InvalidValue, message.to_owned());
            } else if name != "*" && !is_dns_label(namespace) {
                refuse(
                    ProblemKind::InvalidValue,
                    format!("expected `*`, `.` or a namespace, found `{name}`"),
                );
            } else if namespaces.iter().any(|known| known == namespace) {
                refuse(ProblemKind::Conflict, format!("the namespace `{namespace}` is there twice"));
            } else if name == "*" && written.len() > 1 {
                refuse(ProblemKind::Conflict, "`*` stands for every namespace: expected no other".to_owned());
            }
            namespaces.push(namespace.to_owned());
        }
        match namespaces.as_slice() {
            [] => Self::Public,
            [only] if only == "*" => Self::Public,
            [only] if only == owner => Self::Private,
            _ => Self::Namespaces(namespaces),
        }
    }
}

impl VirtualService {
    /// From `resource`, whose spec is `written`.
    pub(super) fn compile(
        resource: &Resource,
        mut written: wire::VirtualService,
        setting: &Setting<'_>,
        problems: &mut Problems,
    ) -> Self {
        let http = std::mem::take(&mut written.http);
        let wire::VirtualService { hosts, gateways, http: _, tls, tcp, export_to } = &written;
        let root = resource.spec_path();
        let at = Place::at(&root);
        let namespace = resource.namespace();
        if http.is_empty() && tls.is_empty() && tcp.is_empty() {
            let message = "expected rules in at least one of `http`, `tls` and `tcp`, found none";
            problems.error(at.path(), ProblemKind::Missing, message);
        }
        check_hosts(&written, &at, problems);
        check_gateways(gateways, &at.field("gateways"), problems);
        if is_bound_to_mesh(gateways) {
            check_claims(&http, &at.field("http"), problems);
        }
        if hosts.is_empty() {
            check_delegate(&written, &at, problems);
        }
        let export_to = ExportTo::compile(export_to, namespace, &at.field("exportTo"), problems);
        let below = at.field("http");
        let mut rules = Vec::with_capacity(http.len());
        for (index, rule) in http.into_iter().enumerate() {
            let at = below.index(index);
            match &rule.delegate {
                None => rules.extend(CompiledRule::compile(index, &rule, namespace, setting, &at, problems)),
                Some(_) => {
                    rules.extend(delegate::rules(index, &rule, &written, namespace, setting, &at, problems))
                }
            }
        }
        reachability::check(&rules, &below, problems);
        Self {
            id: format!("{namespace}/{}", resource.name()).into(),
            namespace: namespace.to_owned(),
            hosts: hosts.iter().map(|host| resolve(host, namespace)).collect(),
            gateways: if gateways.is_empty() {
                vec![MESH.to_owned()]
            } else {
                gateways.iter().map(|name| resolve_gateway(name, namespace)).collect()
            },
            export_to,
            rules,
        }
    }
}

fn is_bound_to_mesh(gateways: &[String]) -> bool {
    gateways.is_empty() || gateways.iter().any(|gateway| gateway == MESH)
}

fn check_hosts(written: &wire::VirtualService, at: &Place<'_>, problems: &mut Problems) {
    let at = at.field("hosts");
    let mesh = is_bound_to_mesh(&written.gateways);
    for (index, host) in written.hosts.iter().enumerate() {
        let at = at.index(index);
        // A gateway that passes TLS on may name a service by the server name that Istio makes of a cluster.
        let is_sni = !mesh && !written.tls.is_empty() && host.starts_with("outbound_.");
        if !is_sni && !is_ip(host) && !is_wildcard_domain(host) {
            let message = format!("expected a host name, a `*.` wildcard or an address, found `{host}`");
            let problem = problems.error(at.path(), ProblemKind::InvalidValue, message);
            if let Some((name, port)) = host.split_once(':')
                && port.bytes().all(|byte| byte.is_ascii_digit())
                && is_wildcard_domain(name)
            {
                problem.help(format!("write `{name}`: ports are not part of hosts"));
            }
        } else if host == "*" && mesh {
            let message = "expected a narrower host than `*`, as the VirtualService is bound to `mesh`";
            problems.error(at.path(), ProblemKind::InvalidValue, message);
        }
        if let Some(earlier) = written.hosts.iter().take(index).find(|earlier| matches(earlier, host)) {
            let message = if earlier == host {
                format!("the host `{host}` is there twice")
            } else {
                format!("the hosts `{earlier}` and `{host}` overlap")
            };
            problems.error(at.path(), ProblemKind::Conflict, message);
        }
    }
}

/// Only gateways check tokens before they route.
fn check_claims(http: &[wire::HttpRoute], at: &Place<'_>, problems: &mut Problems) {
    for (index, rule) in http.iter().enumerate() {
        let at = at.index(index);
        let at = at.field("match");
        for (index, matched) in rule.matches.iter().enumerate() {
            let at = at.index(index);
            let headers = matched.headers.keys().map(|key| ("headers", key));
            let without = matched.without_headers.keys().map(|key| ("withoutHeaders", key));
            for (field, key) in headers.chain(without).filter(|(_, key)| claim::path(key).is_some()) {
                problems.error(
                    at.field(field).field(key).path(),
                    ProblemKind::Conflict,
                    "the claims of a token select routes at gateways only: expected `gateways` without `mesh`",
                );
            }
        }
    }
}

fn check_delegate(written: &wire::VirtualService, at: &Place<'_>, problems: &mut Problems) {
    for (field, is_there) in [
        ("gateways", !written.gateways.is_empty()),
        ("tls", !written.tls.is_empty()),
        ("tcp", !written.tcp.is_empty()),
    ] {
        if is_there {
            let message = format!("a VirtualService without `hosts` is a delegate and has no `{field}`");
            problems.error(at.field(field).path(), ProblemKind::Conflict, message);
        }
    }
}

impl CompiledRule {
    /// From the entry written at `at`, in a VirtualService of `namespace`.
    pub(super) fn compile(
        http: usize,
        written: &wire::HttpRoute,
        namespace: &str,
        setting: &Setting<'_>,
        at: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let below = at.field("match");
        let rule_name = written.name.as_deref().unwrap_or_default();
        let mut matches = Vec::with_capacity(written.matches.len());
        for (index, matched) in written.matches.iter().enumerate() {
            let request = RequestMatch::compile(matched, namespace, &below.index(index), problems);
            let route_name = route_name(rule_name, matched.name.as_deref().unwrap_or_default());
            matches.extend(request.map(|request| CompiledMatch {
                index: Some(index),
                delegate_index: None,
                route_name,
                request,
            }));
        }
        if written.matches.is_empty() {
            let route_name = route_name(rule_name, "");
            let request = RequestMatch::any();
            matches.push(CompiledMatch { index: None, delegate_index: None, route_name, request });
        }
        let rule = Rule::compile(written, namespace, setting, at, problems);
        Some(Self { http, rule: rule?, matches, delegate: None })
    }
}

fn route_name(rule: &str, matched: &str) -> String {
    match (rule, matched) {
        ("", "") => "default".to_owned(),
        (rule, "") => rule.to_owned(),
        ("", matched) => matched.to_owned(),
        (rule, matched) => format!("{rule}.{matched}"),
    }
}
