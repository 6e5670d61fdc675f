//! Which proxy, and how it is built.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

/// The proxy that is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProxyChoice {
    /// A gateway with these labels: it carries out every Gateway whose selector they satisfy.
    Gateway(BTreeMap<String, String>),
    /// The sidecar of a workload.
    Workload(WorkloadChoice),
}

/// A workload, as Istio would learn about it from its pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkloadChoice {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its labels; when `None`, those of the WorkloadEntry `namespace/name`, if there is one.
    pub labels: Option<BTreeMap<String, String>>,
    /// Its service account; when `None`, that of the WorkloadEntry.
    pub service_account: Option<String>,
    /// The port that its listener serves, when one configuration is for one port.
    pub port: Option<u16>,
}

/// How a proxy is built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The namespace of a gateway proxy; that of a workload is part of the choice.
    pub gateway_namespace: String,
    /// The service account of a gateway proxy, whose certificate it shows to the mesh.
    pub gateway_service_account: String,
    /// The folder of the secrets that `credentialName` names: `NAME/tls.crt`, `NAME/tls.key`, `NAME/ca.crt`.
    pub secrets: Option<PathBuf>,
    /// The folder of the mesh's certificates, as `mesh-policy certs` fills it; without it nothing speaks mutual TLS.
    pub certificates: Option<PathBuf>,
    /// Who gives the proxy its certificate of the mesh over Envoy's secret discovery service, instead of such a folder.
    pub sds: Option<SdsAddress>,
    /// Where the proxy is, `region/zone/subzone`; that of its WorkloadEntry when nothing is said.
    pub locality: Option<String>,
    /// The roots, a PEM file, that servers of a `jwksUri` with https are verified with; those of the machine when `None`.
    pub jwks_ca: Option<PathBuf>,
    /// The trust domain.
    pub trust_domain: String,
    /// Former and foreign names of the trust domain.
    pub trust_domain_aliases: Vec<String>,
    /// The namespace whose policies hold everywhere.
    pub root_namespace: String,
    /// Who decides over requests.
    pub engine: Engine,
    /// The Wasm modules of each listener; of no account when the engine is Envoy itself.
    pub modules: Modules,
    /// Where a server without `bind` listens. A Gateway that names no address serves all of them, as with Istio.
    pub listen_address: IpAddr,
    /// Where the application of a sidecar listens on loopback, by the port of its workload.
    pub app_ports: BTreeMap<u16, u16>,
    /// Where a sidecar's application sends its requests, on loopback; 0 lets the kernel choose.
    pub outbound_port: u16,
    /// Ports of Gateways that are opened under another number; 0 lets the kernel choose.
    pub ports: BTreeMap<u16, u16>,
    /// Envoy's admin interface; none leaves it closed. Whoever reaches it can stop the proxy: keep it on loopback.
    pub admin: Option<SocketAddr>,
    /// Where each request is logged.
    pub access_log: AccessLog,
    /// What is done to paths before any rule sees them.
    pub path_normalization: PathNormalization,
    /// Whether a client that is denied is told why, in a header of the answer.
    pub explain_denials: bool,
    /// Envoy's `node.id`.
    pub node_id: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            gateway_namespace: "istio-system".to_owned(),
            gateway_service_account: "istio-ingressgateway-service-account".to_owned(),
            secrets: None,
            certificates: None,
            sds: None,
            locality: None,
            jwks_ca: None,
            trust_domain: "cluster.local".to_owned(),
            trust_domain_aliases: Vec::new(),
            root_namespace: "istio-system".to_owned(),
            engine: Engine::Wasm,
            modules: Modules::Fused(PathBuf::from("dist/mesh_policy.wasm")),
            listen_address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            app_ports: BTreeMap::new(),
            outbound_port: 15001,
            ports: BTreeMap::new(),
            admin: Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 15000)),
            access_log: AccessLog::Stdout,
            path_normalization: PathNormalization::Base,
            explain_denials: false,
            node_id: "mesh-policy".to_owned(),
        }
    }
}

/// Where a server of secrets listens, such as SPIRE's agent. Keys are sent in plain text, so it is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SdsAddress {
    /// A Unix socket.
    Socket(PathBuf),
    /// A port on loopback.
    Loopback(SocketAddr),
}

impl FromStr for SdsAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let path = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:")).unwrap_or(text);
        if path.starts_with('/') && path.len() > 1 {
            return Ok(Self::Socket(PathBuf::from(path)));
        }
        match text.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Loopback(address)),
            Ok(_) => {
                Err(format!("keys must not leave this machine in plain text: `{text}` is not on loopback"))
            }
            Err(_) => Err(format!(
                "expected the path of a socket, such as `unix:///run/spire/sockets/agent.sock`, or an address on loopback, found `{text}`"
            )),
        }
    }
}

/// Who decides over requests. Both give the same answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Engine {
    /// The Wasm filters.
    #[default]
    Wasm,
    /// Envoy's own routes and filters.
    Native,
}

/// The Wasm modules of a listener, by file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modules {
    /// `mesh_policy.wasm`: all decisions in one.
    Fused(PathBuf),
    /// One module a decision, chained in this order.
    Separate {
        /// `mesh_authz.wasm`
        authz: PathBuf,
        /// `mesh_headers.wasm`
        headers: PathBuf,
        /// `mesh_fault.wasm`
        fault: PathBuf,
        /// `mesh_router.wasm`
        router: PathBuf,
    },
}

/// Where each request is logged, one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// On Envoy's standard output.
    Stdout,
    /// In a file.
    File(PathBuf),
}

/// Istio's `pathNormalization`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathNormalization {
    /// Paths stay as they come.
    None,
    /// RFC 3986: dot segments, unreserved escapes, backslashes. Istio's default.
    Base,
    /// As `Base`, and repeated slashes become one.
    MergeSlashes,
    /// As `MergeSlashes`, after escaped slashes were decoded.
    DecodeAndMergeSlashes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_of_secrets_is_on_this_machine() {
        let socket = SdsAddress::Socket(PathBuf::from("/run/agent.sock"));
        for text in ["unix:///run/agent.sock", "unix:/run/agent.sock", "/run/agent.sock"] {
            assert_eq!(text.parse(), Ok(socket.clone()), "{text}");
        }
        assert_eq!("127.0.0.1:8".parse(), Ok(SdsAddress::Loopback(SocketAddr::from(([127, 0, 0, 1], 8)))));
        let refused = |text: &str| text.parse::<SdsAddress>().unwrap_err();
        assert_eq!(
            refused("10.0.0.1:8"),
            "keys must not leave this machine in plain text: `10.0.0.1:8` is not on loopback"
        );
        for text in ["", "/", "unix://", "agent.sock", "127.0.0.1"] {
            assert!(refused(text).starts_with("expected the path of a socket"), "{text}");
        }
    }
}
