//! Which proxy, and how it is built.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

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
