//! The servers of a gateway: those of all Gateways that its labels satisfy, sorted into what Envoy has to build for each.

pub(crate) mod redirect;
pub(crate) mod server;

use crate::destination::Placed;
use crate::finding::Finding;
use crate::options::Options;
use crate::values::{self, Protocol};
use mesh_policy_istio::gateway::{Gateway, Server, ServerTlsSettings};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use server::{Kind, kind};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The address and port that servers share, each under conditions of its own on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    /// `0.0.0.0_80`, as Istio names its listeners.
    pub name: String,
    pub address: IpAddr,
    /// The port that is opened.
    pub port: u16,
    /// The port as the Gateways number it.
    pub gateway_port: u16,
}

/// Servers that one set of HTTP rules speaks for, and what of which Gateway they carry out: all plain ones of a port, or a
/// single one with TLS. A request that came through one must not see the hosts of another.
#[derive(Debug, Clone)]
pub(crate) struct Listener<'s> {
    pub opening: Opening,
    /// Whether requests of gRPC-Web are translated.
    pub grpc_web: bool,
    /// The servers by their Gateway; the indexes are those of `servers`.
    pub servers: Vec<(&'s Resource, Vec<usize>)>,
    /// All hosts, sorted, namespaces stripped.
    pub hosts: Vec<String>,
    /// How TLS is terminated, where it is.
    pub tls: Option<Placed<'s, ServerTlsSettings>>,
}

/// A server whose connections are forwarded as they are, or after TLS was terminated.
#[derive(Debug, Clone)]
pub(crate) struct TcpServer<'s> {
    pub opening: Opening,
    pub resource: &'s Resource,
    pub index: usize,
    pub server: &'s Server,
    pub hosts: Vec<String>,
    pub tls: TcpTls<'s>,
}

/// What happens to TLS on its way through a TCP server.
#[derive(Debug, Clone)]
pub(crate) enum TcpTls<'s> {
    /// There is none that the gateway cares for.
    None,
    /// It is passed on, to where the server name says.
    Passthrough,
    /// It ends here.
    Terminated(Placed<'s, ServerTlsSettings>),
}

/// All servers of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Servers<'s> {
    /// By port.
    pub http: Vec<Listener<'s>>,
    /// By port.
    pub tcp: Vec<TcpServer<'s>>,
}

impl Listener<'_> {
    /// The Gateways, `namespace/name`.
    pub(crate) fn gateways(&self) -> Vec<String> {
        self.servers.iter().map(|(resource, _)| gateway_name(resource)).collect()
    }

    /// What tells it from every other of the proxy: `0.0.0.0_80`, or with TLS the name of its route configuration.
    pub(crate) fn name(&self) -> String {
        if self.tls.is_some() { self.route_config_name() } else { self.opening.name.clone() }
    }

    /// As Istio names it: `http.80`, `https.443.PORT-NAME.GATEWAY.NAMESPACE`; with the address only where the Gateway gives one.
    pub(crate) fn route_config_name(&self) -> String {
        let port = self.opening.gateway_port;
        let server = self.servers.first().and_then(|(resource, indexes)| {
            let Spec::Gateway(gateway) = &resource.spec else { return None };
            let server = gateway.servers.get(*indexes.first()?)?;
            let name = server.port.as_ref().and_then(|port| port.name.as_deref()).unwrap_or_default();
            Some(format!("https.{port}.{name}.{}.{}", resource.name(), resource.namespace()))
        });
        let name = server.filter(|_| self.tls.is_some()).unwrap_or_else(|| format!("http.{port}"));
        match self.opening.name.strip_suffix(&format!("_{port}")) {
            Some(bind) if bind != "0.0.0.0" => format!("{name}.{bind}"),
            _ => name,
        }
    }
}

impl TcpServer<'_> {
    pub(crate) fn at(&self) -> mesh_policy_istio::path::Path {
        self.resource.spec_path().field("servers").index(self.index)
    }
}

pub(crate) fn gateway_name(resource: &Resource) -> String {
    format!("{}/{}", resource.namespace(), resource.name())
}

/// The servers of the gateway with these labels, by port.
///
/// A server that is legal but cannot be carried out here is an error in `problems`; what is wrong with the whole choice is
/// returned as an error.
pub(crate) fn servers<'s>(
    resources: &'s [Resource],
    labels: &BTreeMap<String, String>,
    options: &Options,
    problems: &mut Problems,
) -> Result<Servers<'s>, Box<Finding>> {
    let mut gateways: Vec<(&Resource, &Gateway)> = resources
        .iter()
        .filter_map(|resource| match &resource.spec {
            Spec::Gateway(gateway) => Some((resource, &**gateway)),
            _ => None,
        })
        .collect();
    gateways.sort_by_key(|(resource, _)| resource.order());
    let selected: Vec<_> =
        gateways.iter().filter(|(_, gateway)| values::selects(&gateway.selector, labels)).collect();
    if selected.is_empty() {
        let selectors: Vec<String> =
            gateways.iter().map(|(_, gateway)| values::show_labels(&gateway.selector)).collect();
        let help =
            (!selectors.is_empty()).then(|| format!("selectors of Gateways: {}", selectors.join("; ")));
        return Err(Box::new(Finding::placeless(
            ProblemKind::UnknownReference,
            format!("no Gateway selects a proxy with the labels `{}`", values::show_labels(labels)),
            help,
        )));
    }
    let mut ports: BTreeMap<(u16, String), Port<'s>> = BTreeMap::new();
    for (resource, gateway) in selected {
        for (index, server) in gateway.servers.iter().enumerate() {
            let Some(kind) = kind(resource, index, server, problems) else { continue };
            let number = server.port.as_ref().and_then(|port| port.number).and_then(values::port);
            let bind = server.bind.as_deref().filter(|bind| !bind.is_empty());
            let address = bind.map_or(Some(options.listen_address), |bind| bind.parse().ok());
            let (Some(number), Some(address)) = (number, address) else { continue };
            let opening = Opening {
                name: format!("{}_{number}", bind.unwrap_or("0.0.0.0")),
                address,
                port: options.ports.get(&number).copied().unwrap_or(number),
                gateway_port: number,
            };
            let port = ports.entry((number, bind.unwrap_or_default().to_owned())).or_default();
            port.add(opening, (resource, index, server), kind, problems);
        }
    }
    let mut servers = Servers::default();
    for port in ports.into_values() {
        servers.http.extend(port.http);
        servers.tcp.extend(port.tcp);
    }
    match clash(&servers) {
        Some(finding) => Err(Box::new(finding)),
        None => Ok(servers),
    }
}

/// The servers of one address and port.
#[derive(Debug, Default)]
struct Port<'s> {
    http: Vec<Listener<'s>>,
    tcp: Vec<TcpServer<'s>>,
    /// What the first server made of it.
    layer: Option<Layer>,
    /// The hosts that TLS servers have taken: the server name has to tell them apart.
    taken: Vec<String>,
}

/// What is spoken first on a connection; nothing tells two of these apart on one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Http,
    Tls,
    Tcp,
}

impl<'s> Port<'s> {
    /// As Istio does, the first server has a port or a host; a later one that cannot stand beside it has no effect.
    fn add(
        &mut self,
        opening: Opening,
        (resource, index, server): (&'s Resource, usize, &'s Server),
        kind: Kind<'s>,
        problems: &mut Problems,
    ) {
        let at = resource.spec_path().field("servers").index(index);
        let mut hosts: Vec<String> = server.hosts.iter().map(|host| strip(host).to_owned()).collect();
        hosts.sort();
        hosts.dedup();
        let layer = match kind {
            Kind::Http { .. } => Layer::Http,
            Kind::Https(_) | Kind::Passthrough | Kind::TerminatedTcp(_) => Layer::Tls,
            Kind::Tcp => Layer::Tcp,
        };
        let first = *self.layer.get_or_insert(layer);
        if first != layer || (layer == Layer::Tcp && !self.tcp.is_empty()) {
            problems.warning(
                at.field("port"),
                ProblemKind::Suspicious,
                format!("has no effect: another server has port {} already, and nothing tells their connections apart", opening.gateway_port),
            );
            return;
        }
        if layer == Layer::Tls {
            if let Some(host) = hosts.iter().find(|host| self.taken.contains(host)) {
                problems.warning(
                    at.field("hosts"),
                    ProblemKind::Suspicious,
                    format!(
                        "the server has no effect: another one with TLS on port {} has the host `{host}`",
                        opening.gateway_port
                    ),
                );
                return;
            }
            self.taken.extend(hosts.iter().cloned());
        }
        let tcp =
            |tls| TcpServer { opening: opening.clone(), resource, index, server, hosts: hosts.clone(), tls };
        match kind {
            Kind::Http { grpc_web } => self.add_http(&opening, resource, index, hosts, grpc_web),
            Kind::Https(tls) => self.http.push(Listener {
                opening,
                grpc_web: false,
                servers: vec![(resource, vec![index])],
                hosts,
                tls: Some(tls),
            }),
            Kind::Passthrough => self.tcp.push(tcp(TcpTls::Passthrough)),
            Kind::TerminatedTcp(tls) => self.tcp.push(tcp(TcpTls::Terminated(tls))),
            Kind::Tcp => self.tcp.push(tcp(TcpTls::None)),
        }
    }

    /// Plain servers of a port are one: nothing but the host of a request tells them apart.
    fn add_http(
        &mut self,
        opening: &Opening,
        resource: &'s Resource,
        index: usize,
        hosts: Vec<String>,
        grpc_web: bool,
    ) {
        if self.http.is_empty() {
            self.http.push(Listener {
                opening: opening.clone(),
                grpc_web: false,
                servers: Vec::new(),
                hosts: Vec::new(),
                tls: None,
            });
        }
        let Some(listener) = self.http.first_mut() else { return };
        listener.grpc_web |= grpc_web;
        match listener.servers.iter_mut().find(|(other, _)| other.path == resource.path) {
            Some((_, indexes)) => indexes.push(index),
            None => listener.servers.push((resource, vec![index])),
        }
        listener.hosts.extend(hosts);
        listener.hosts.sort();
        listener.hosts.dedup();
    }
}

/// A host of a server without its namespace.
pub(crate) fn strip(host: &str) -> &str {
    host.split_once('/').map_or(host, |(_, host)| host)
}

/// Two addresses that would open the same port, as can happen when ports are opened under other numbers.
fn clash(servers: &Servers<'_>) -> Option<Finding> {
    let mut opened: BTreeMap<(IpAddr, u16), &Opening> = BTreeMap::new();
    let http = servers.http.iter().map(|listener| &listener.opening);
    let tcp = servers.tcp.iter().map(|server| &server.opening);
    for opening in http.chain(tcp).filter(|opening| opening.port != 0) {
        let other = opened.insert((opening.address, opening.port), opening);
        if let Some(other) = other.filter(|other| other.name != opening.name) {
            return Some(Finding::placeless(
                ProblemKind::Conflict,
                format!(
                    "the ports {} and {} would both be opened as {}",
                    other.gateway_port, opening.gateway_port, opening.port
                ),
                None,
            ));
        }
    }
    None
}

/// Whether requests of this protocol are gRPC-Web.
pub(crate) fn is_grpc_web(protocol: Protocol) -> bool {
    protocol == Protocol::GrpcWeb
}
