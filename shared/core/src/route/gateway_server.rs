//! The hosts that a gateway's HTTP servers open.

use super::name::{is_dns_label, is_gateway_host};
use super::place::Place;
use mesh_policy_istio::gateway::{Gateway, Server, TlsMode};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;

/// A server of a gateway.
#[derive(Debug, Clone)]
pub(super) struct GatewayServer {
    /// The port that it serves.
    pub(super) port: Option<u16>,
    pub(super) hosts: Vec<ServerHost>,
}

/// A host of a server, and the namespace whose VirtualServices it serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ServerHost {
    /// `None` for every namespace.
    namespace: Option<String>,
    host: String,
}

impl GatewayServer {
    /// Stands for a gateway whose resource is somewhere else: every host, on every port.
    pub(super) fn open() -> Self {
        Self { port: None, hosts: vec![ServerHost { namespace: None, host: "*".to_owned() }] }
    }

    /// The hosts open to VirtualServices of `namespace`.
    pub(super) fn hosts_for(&self, namespace: &str) -> Vec<String> {
        self.hosts
            .iter()
            .filter(|host| host.namespace.as_deref().is_none_or(|only| only == namespace))
            .map(|host| host.host.clone())
            .collect()
    }
}

/// The servers of `resource` that route by HTTP rules; the hosts of all of its servers are checked.
pub(super) fn compile(resource: &Resource, written: &Gateway, problems: &mut Problems) -> Vec<GatewayServer> {
    let root = resource.spec_path();
    let at = Place::at(&root);
    let below = at.field("servers");
    let mut servers = Vec::new();
    for (index, server) in written.servers.iter().enumerate() {
        let at = below.index(index);
        let at = at.field("hosts");
        if server.hosts.is_empty() {
            let message = "missing: expected at least one host, or `*` for any";
            problems.error(at.path(), ProblemKind::Missing, message);
        }
        let hosts = server.hosts.iter().enumerate();
        let hosts = hosts.filter_map(|(index, host)| {
            ServerHost::compile(host, resource.namespace(), &at.index(index), problems)
        });
        let hosts = hosts.collect();
        if routes_http(server) {
            let port = server.port.as_ref().and_then(|port| u16::try_from(port.number?).ok());
            servers.push(GatewayServer { port, hosts });
        }
    }
    servers
}

impl ServerHost {
    fn compile(written: &str, owner: &str, at: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        let (namespace, host) = match written.split_once('/') {
            Some((namespace, host)) => (Some(namespace), host),
            None => (None, written),
        };
        let namespace_is_fine = namespace.is_none_or(|name| matches!(name, "*" | ".") || is_dns_label(name));
        if !namespace_is_fine || !is_gateway_host(host) {
            problems.error(
                at.path(),
                ProblemKind::InvalidValue,
                format!(
                    "expected a host with a dot, a `*.` wildcard, an address or `*`, with or without `NAMESPACE/` in front, found `{written}`"
                ),
            );
            return None;
        }
        let namespace = match namespace {
            None | Some("*") => None,
            Some(".") => Some(owner.to_owned()),
            Some(name) => Some(name.to_owned()),
        };
        Some(Self { namespace, host: host.to_owned() })
    }
}

/// Whether requests are told apart here, and not only connections.
fn routes_http(server: &Server) -> bool {
    let protocol = server.port.as_ref().and_then(|port| port.protocol.as_deref()).unwrap_or_default();
    match protocol.to_ascii_lowercase().as_str() {
        "http" | "http2" | "grpc" | "grpc-web" | "http_proxy" => true,
        "https" => {
            let mode = server.tls.as_ref().and_then(|tls| tls.mode).unwrap_or(TlsMode::Passthrough);
            !matches!(mode, TlsMode::Passthrough | TlsMode::AutoPassthrough)
        }
        _ => false,
    }
}
