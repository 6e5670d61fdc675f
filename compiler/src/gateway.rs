//! The listeners of a gateway: the servers of all Gateways that its labels satisfy, merged by address and port.

use crate::finding::Finding;
use crate::options::Options;
use crate::values::{self, Protocol};
use mesh_policy_istio::gateway::{Gateway, Server};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A listener, and what of which Gateway it carries out.
#[derive(Debug, Clone)]
pub(crate) struct Listener<'s> {
    /// `0.0.0.0_80`, as Istio names it.
    pub name: String,
    pub address: IpAddr,
    /// The port that it opens.
    pub port: u16,
    /// The port as the Gateways number it.
    pub gateway_port: u16,
    /// Whether requests of gRPC-Web are translated.
    pub grpc_web: bool,
    /// The servers by their Gateway; the indexes are those of `servers`.
    pub servers: Vec<(&'s Resource, Vec<usize>)>,
    /// All hosts, sorted, namespaces stripped.
    pub hosts: Vec<String>,
}

impl Listener<'_> {
    /// The Gateways, `namespace/name`.
    pub(crate) fn gateways(&self) -> Vec<String> {
        self.servers.iter().map(|(resource, _)| gateway_name(resource)).collect()
    }
}

pub(crate) fn gateway_name(resource: &Resource) -> String {
    format!("{}/{}", resource.namespace(), resource.name())
}

/// The listeners of the gateway with these labels, by port.
///
/// A server that is legal but cannot be carried out here is an error in `problems`; what is wrong with the whole choice is
/// returned as an error.
pub(crate) fn listeners<'s>(
    resources: &'s [Resource],
    labels: &BTreeMap<String, String>,
    options: &Options,
    problems: &mut Problems,
) -> Result<Vec<Listener<'s>>, Box<Finding>> {
    let mut gateways: Vec<(&Resource, &Gateway)> = resources
        .iter()
        .filter_map(|resource| match &resource.spec {
            Spec::Gateway(gateway) => Some((resource, gateway)),
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
    let mut listeners: BTreeMap<(u16, String), Listener<'s>> = BTreeMap::new();
    for (resource, gateway) in selected {
        for (index, server) in gateway.servers.iter().enumerate() {
            let Some(protocol) = supported(resource, index, server, problems) else { continue };
            let number = server.port.as_ref().and_then(|port| port.number).and_then(values::port);
            let bind = server.bind.as_deref().filter(|bind| !bind.is_empty());
            let address = bind.map_or(Some(options.listen_address), |bind| bind.parse().ok());
            let (Some(number), Some(address)) = (number, address) else { continue };
            let listener =
                listeners.entry((number, bind.unwrap_or_default().to_owned())).or_insert_with(|| Listener {
                    name: format!("{}_{number}", bind.unwrap_or("0.0.0.0")),
                    address,
                    port: options.ports.get(&number).copied().unwrap_or(number),
                    gateway_port: number,
                    grpc_web: false,
                    servers: Vec::new(),
                    hosts: Vec::new(),
                });
            listener.grpc_web |= protocol == Protocol::GrpcWeb;
            match listener.servers.iter_mut().find(|(other, _)| other.path == resource.path) {
                Some((_, indexes)) => indexes.push(index),
                None => listener.servers.push((resource, vec![index])),
            }
            let hosts =
                server.hosts.iter().map(|host| host.split_once('/').map_or(host.as_str(), |(_, host)| host));
            listener.hosts.extend(hosts.map(str::to_owned));
        }
    }
    let mut listeners: Vec<Listener<'s>> = listeners.into_values().collect();
    for listener in &mut listeners {
        listener.hosts.sort();
        listener.hosts.dedup();
    }
    match clash(&listeners) {
        Some(finding) => Err(Box::new(finding)),
        None => Ok(listeners),
    }
}

/// Two listeners that would open the same port, as can happen when ports are opened under other numbers.
fn clash(listeners: &[Listener<'_>]) -> Option<Finding> {
    let mut opened = BTreeMap::new();
    for listener in listeners.iter().filter(|listener| listener.port != 0) {
        if let Some(other) = opened.insert((listener.address, listener.port), listener.gateway_port) {
            return Some(Finding::placeless(
                ProblemKind::Conflict,
                format!(
                    "the ports {other} and {} would both be opened as {}",
                    listener.gateway_port, listener.port
                ),
                None,
            ));
        }
    }
    None
}

/// The protocol of a plain HTTP server; everything else is reported.
fn supported(
    resource: &Resource,
    index: usize,
    server: &Server,
    problems: &mut Problems,
) -> Option<Protocol> {
    let at = resource.spec_path().field("servers").index(index);
    let protocol = server.port.as_ref()?.protocol.as_deref().and_then(Protocol::parse)?;
    let (at, message) = if !protocol.is_http() || protocol == Protocol::HttpProxy {
        let name = server.port.as_ref().and_then(|port| port.protocol.as_deref()).unwrap_or_default();
        (
            at.field("port").field("protocol"),
            format!(
                "servers of the protocol {name} cannot be carried out yet: only plain HTTP, HTTP2, GRPC and GRPC-Web"
            ),
        )
    } else if server.tls.as_ref().and_then(|tls| tls.https_redirect) == Some(true) {
        (at.field("tls").field("httpsRedirect"), "redirects to https cannot be carried out yet".to_owned())
    } else if server.bind.as_deref().is_some_and(|bind| bind.starts_with("unix://")) {
        (at.field("bind"), "listening on a unix socket cannot be carried out yet".to_owned())
    } else {
        return Some(protocol);
    };
    problems.error(at, ProblemKind::Unsupported, message);
    None
}
