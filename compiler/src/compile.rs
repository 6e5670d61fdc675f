//! One proxy's complete Envoy configuration.

mod applicable;
mod custom;
mod gateway;
mod instances;
pub(crate) mod reachable;
mod retries;
mod sidecar;

use crate::check::check_under;
use crate::envoy;
use crate::envoy::cluster::Clusters;
use crate::finding::{Finding, Refusal};
use crate::gateway::redirect::Domains;
use crate::gateway::{Listener, Opening};
use crate::options::{Options, ProxyChoice};
use crate::plugin::{EnforcedListener, servers};
use crate::service::{Service, services};
use crate::source::Sources;
use crate::xds;
use mesh_policy_core::route::RouteTable;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

pub use instances::{Instance, instances};

/// What Envoy is started with.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledProxy {
    /// Envoy's bootstrap; JSON is YAML, so it can be written as `envoy.yaml`.
    pub bootstrap: Value,
    /// The listeners, by port.
    pub listeners: Vec<CompiledListener>,
    /// The files with certificates, keys and CAs that it reads.
    pub certificates: BTreeSet<PathBuf>,
    /// What is legal but likely not meant.
    pub warnings: Vec<Finding>,
}

/// A listener of a compiled proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompiledListener {
    /// Envoy's name of it, `0.0.0.0_80`.
    pub name: String,
    /// The address it binds to.
    pub address: String,
    /// The port it binds to; 0 when the kernel chooses (Envoy's admin interface tells which).
    pub port: u16,
    /// The port as the Gateway numbers it.
    pub gateway_port: u16,
    /// The hosts it serves, namespaces stripped.
    pub hosts: Vec<String>,
    /// What is spoken there: `http`, `https`, `tcp` or `tls`.
    pub scheme: &'static str,
    /// Where to reach it from this machine; empty while the port is unknown.
    pub urls: Vec<String>,
}

/// Compiles the proxy that `choice` names.
///
/// # Errors
/// All findings, when there are errors among them, or when the choice is one that cannot be compiled.
pub fn compile(sources: &Sources, choice: &ProxyChoice, options: &Options) -> Result<CompiledProxy, Refusal> {
    let mut findings = check_under(sources, options.path_normalization);
    if findings.iter().any(Finding::is_error) {
        return Err(Refusal { findings });
    }
    let mut problems = Problems::new();
    let built = match choice {
        ProxyChoice::Gateway(labels) => {
            let servers = servers(sources, labels, options, findings.clone(), &mut problems)?;
            gateway::build(sources, labels, &servers, options, &mut problems)
        }
        ProxyChoice::Workload(workload) => sidecar::build(sources, workload, options, &mut problems),
    };
    findings.extend(sources.findings_of(&problems));
    let built = match built {
        Ok(built) => built,
        Err(finding) => {
            findings.push(*finding);
            return Err(Refusal { findings: sources.in_order(findings) });
        }
    };
    let findings = sources.in_order(findings);
    if findings.iter().any(Finding::is_error) {
        return Err(Refusal { findings });
    }
    let Built { openings, clusters } = built;
    let listeners = openings.iter().map(Opened::listener).collect();
    let clusters = clusters.into_values().collect();
    let bootstrap = envoy::bootstrap::bootstrap(choice, options, listeners, clusters);
    let listeners = openings.into_iter().map(Opened::into_compiled).collect();
    let certificates = xds::named(&bootstrap).into_iter().collect();
    Ok(CompiledProxy { bootstrap, listeners, certificates, warnings: findings })
}

/// A proxy's parts.
struct Built {
    openings: Vec<Opened>,
    clusters: BTreeMap<String, Value>,
}

/// An address and port, with what is behind it.
struct Opened {
    opening: Opening,
    direction: &'static str,
    scheme: &'static str,
    hosts: Vec<String>,
    chains: Vec<Value>,
}

impl Opened {
    fn listener(&self) -> Value {
        let Opening { name, address, port, .. } = &self.opening;
        envoy::listener::listener(name, *address, *port, self.direction, &self.chains)
    }

    fn into_compiled(self) -> CompiledListener {
        let Opening { name, address, port, gateway_port } = self.opening;
        CompiledListener {
            name,
            address: address.to_string(),
            port,
            gateway_port,
            hosts: self.hosts,
            scheme: self.scheme,
            urls: urls(self.scheme, address, port),
        }
    }
}

/// The HTTP filters and the route configuration of a listener whose Wasm filters decide.
fn wasm(
    listener: &Listener<'_>,
    enforced: &EnforcedListener,
    clusters: &Clusters,
    redirected: &Domains,
    options: &Options,
    before: Vec<Value>,
) -> (Vec<Value>, Value) {
    // What is wrong with the rules was found by `check`.
    let table = RouteTable::compile(&enforced.resources, &enforced.proxy, &mut Problems::new());
    let (name, config) = (listener.name(), &enforced.plugin_config);
    let filters = envoy::filter::http_filters(&options.modules, &name, listener.grpc_web, config, before);
    let routes = envoy::route::Routes {
        name: &listener.route_config_name(),
        profiles: &table.profiles(),
        hashed: &clusters.hashed,
        redirected,
        modules: &options.modules,
    };
    (filters, routes.config())
}

/// The services that the proxy sees. One host defined by several ServiceEntries is refused: Istio would join them.
pub(crate) fn visible<'s>(
    sources: &'s Sources,
    namespace: &str,
    problems: &mut Problems,
) -> Vec<Service<'s>> {
    let mut found: Vec<Service<'s>> = Vec::new();
    for service in services(sources.resources()) {
        if !service.is_visible_from(namespace) {
            continue;
        }
        if let Some(other) = found.iter().find(|other| other.host == service.host) {
            problems.error(
                service.resource.spec_path().field("hosts"),
                ProblemKind::Unsupported,
                format!(
                    "{} also defines the host `{}`, at {}: joining them cannot be carried out yet",
                    other.resource,
                    service.host,
                    sources.place(other.resource)
                ),
            );
            continue;
        }
        found.push(service);
    }
    found
}

fn urls(scheme: &str, address: std::net::IpAddr, port: u16) -> Vec<String> {
    if port == 0 {
        return Vec::new();
    }
    let host = match address {
        std::net::IpAddr::V4(address) if address.is_unspecified() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V6(address) if address.is_unspecified() => "[::1]".to_owned(),
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    };
    let slash = if matches!(scheme, "http" | "https") { "/" } else { "" };
    vec![format!("{scheme}://{host}:{port}{slash}")]
}

#[cfg(test)]
mod tests;
