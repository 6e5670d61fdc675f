//! One proxy's complete Envoy configuration.

mod applicable;
mod reachable;

use crate::authentication;
use crate::check::check_under;
use crate::destination::Caller;
use crate::envoy;
use crate::finding::{Finding, Refusal};
use crate::gateway::Listener;
use crate::native;
use crate::options::{Engine, Options, ProxyChoice};
use crate::plugin::{EnforcedListener, for_listener, listeners, only_gateways};
use crate::service::{Service, services};
use crate::source::Sources;
use mesh_policy_core::route::RouteTable;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use serde_json::Value;

/// What Envoy is started with.
#[derive(Debug, Clone, PartialEq)]
pub struct CompiledProxy {
    /// Envoy's bootstrap; JSON is YAML, so it can be written as `envoy.yaml`.
    pub bootstrap: Value,
    /// The listeners, by port.
    pub listeners: Vec<CompiledListener>,
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
    /// Where to reach it from this machine; empty while the port is unknown.
    pub urls: Vec<String>,
}

/// Compiles the proxy that `choice` names.
///
/// # Errors
/// All findings, when there are errors among them, or when the choice is one that cannot be compiled.
pub fn compile(sources: &Sources, choice: &ProxyChoice, options: &Options) -> Result<CompiledProxy, Refusal> {
    let labels = match choice {
        ProxyChoice::Gateway(labels) => labels,
        ProxyChoice::Workload(workload) => return Err(only_gateways(workload)),
    };
    let mut findings = check_under(sources, options.path_normalization);
    if findings.iter().any(Finding::is_error) {
        return Err(Refusal { findings });
    }
    let listeners = listeners(sources, choice, options, findings.clone())?;
    let mut problems = Problems::new();
    applicable::check(sources, labels, options, &mut problems);
    let services = visible(sources, options, &mut problems);
    let caller =
        Caller { namespace: &options.gateway_namespace, labels, root_namespace: &options.root_namespace };
    let mut clusters = envoy::cluster::clusters(sources.resources(), &services, caller, &mut problems);
    let enforced: Vec<EnforcedListener> =
        listeners.iter().map(|listener| for_listener(sources, labels, listener, options)).collect();
    // The workload is the same for all listeners.
    let authentication = enforced
        .first()
        .and_then(|first| authentication::filter(sources, &first.proxy, &mut clusters, &mut problems));
    let mut compiled = Vec::new();
    let mut opened = Vec::new();
    for (listener, enforced) in listeners.iter().zip(enforced) {
        reachable::check(&enforced, &services, &clusters, &mut problems);
        let (mut filters, routes) = match options.engine {
            Engine::Wasm => wasm(listener, &enforced, options),
            Engine::Native => {
                native::decisions(sources.resources(), listener, &enforced.proxy, &mut problems)
            }
        };
        // Whatever decides may ask what a token says.
        filters.splice(..0, authentication.clone());
        compiled.push(envoy::listener::listener(listener, filters, routes, options));
        opened.push(CompiledListener {
            name: listener.name.clone(),
            address: listener.address.to_string(),
            port: listener.port,
            gateway_port: listener.gateway_port,
            hosts: listener.hosts.clone(),
            urls: urls(listener.address, listener.port),
        });
    }
    findings.extend(sources.findings_of(&problems));
    let findings = sources.in_order(findings);
    if findings.iter().any(Finding::is_error) {
        return Err(Refusal { findings });
    }
    let clusters = clusters.into_values().collect();
    let bootstrap = envoy::bootstrap::bootstrap(choice, options, compiled, clusters);
    Ok(CompiledProxy { bootstrap, listeners: opened, warnings: findings })
}

/// The HTTP filters and the route configuration of a listener whose Wasm filters decide.
fn wasm(listener: &Listener<'_>, enforced: &EnforcedListener, options: &Options) -> (Vec<Value>, Value) {
    // What is wrong with the rules was found by `check`.
    let table = RouteTable::compile(&enforced.resources, &enforced.proxy, &mut Problems::new());
    let (name, config) = (&listener.name, &enforced.plugin_config);
    let filters = envoy::filter::http_filters(&options.modules, name, listener.grpc_web, config);
    (filters, envoy::route::route_config(listener.gateway_port, &table.profiles()))
}

/// The services that the proxy sees. One host defined by several ServiceEntries is refused: Istio would join them.
fn visible<'s>(sources: &'s Sources, options: &Options, problems: &mut Problems) -> Vec<Service<'s>> {
    let mut found: Vec<Service<'s>> = Vec::new();
    for service in services(sources.resources()) {
        if !service.is_visible_from(&options.gateway_namespace) {
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

fn urls(address: std::net::IpAddr, port: u16) -> Vec<String> {
    if port == 0 {
        return Vec::new();
    }
    let host = match address {
        std::net::IpAddr::V4(address) if address.is_unspecified() => "127.0.0.1".to_owned(),
        std::net::IpAddr::V6(address) if address.is_unspecified() => "[::1]".to_owned(),
        std::net::IpAddr::V4(address) => address.to_string(),
        std::net::IpAddr::V6(address) => format!("[{address}]"),
    };
    vec![format!("http://{host}:{port}/")]
}

#[cfg(test)]
mod tests;
