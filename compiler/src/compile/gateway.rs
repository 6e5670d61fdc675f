//! A gateway.

use super::reachable::Reach;
use super::{Built, Opened, applicable, custom, retries, visible, wasm};
use crate::authentication;
use crate::destination::Caller;
use crate::envoy;
use crate::envoy::listener::{ChainMatch, Position, chain};
use crate::envoy::locality::Locality;
use crate::ext_authz::Providers;
use crate::finding::Finding;
use crate::gateway::{Listener, Opening, Servers, TcpServer, TcpTls, redirect};
use crate::identity::{ISSUE, Identity};
use crate::native;
use crate::options::{Engine, Options};
use crate::plugin::{EnforcedListener, for_gateway, for_listener};
use crate::source::Sources;
use crate::tcp;
use crate::tls;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use serde_json::Value;
use std::collections::BTreeMap;

pub(super) fn build(
    sources: &Sources,
    labels: &BTreeMap<String, String>,
    servers: &Servers<'_>,
    options: &Options,
    problems: &mut Problems,
) -> Result<Built, Box<Finding>> {
    let namespace = &options.gateway_namespace;
    let identity =
        Identity::load(options, namespace, &options.gateway_service_account).map_err(|message| {
            Box::new(Finding::placeless(ProblemKind::InvalidValue, message, Some(ISSUE.to_owned())))
        })?;
    applicable::check(sources, namespace, labels, &applicable::AT_GATEWAYS, options, problems);
    let services = visible(sources, namespace, problems);
    let caller = Caller {
        namespace,
        labels,
        locality: &Locality::parse(options.locality.as_deref().unwrap_or_default()),
        root_namespace: &options.root_namespace,
        identity: identity.as_ref(),
        is_sidecar: false,
    };
    let mut clusters = envoy::cluster::clusters(sources.resources(), &services, caller, options, problems);
    let enforced: Vec<EnforcedListener> =
        servers.http.iter().map(|listener| for_listener(sources, labels, listener, options)).collect();
    // The workload is the same for all listeners.
    let authentication = enforced.first().and_then(|first| {
        authentication::filter(sources, &first.proxy, options, &mut clusters.by_name, problems)
    });
    let providers = custom::providers(sources, &services, &clusters);
    custom::check_protocols(sources, &services, problems);
    let reach = Reach { namespace, services: &services, clusters: &clusters };
    let mut openings = Openings::default();
    for (listener, mut enforced) in servers.http.iter().zip(enforced) {
        reach.check_http(&enforced.resources, enforced.port, problems);
        retries::settle(&mut enforced, &reach);
        // Whatever else decides may ask what a token says; CUSTOM policies may not, and come first.
        let mut before = custom::filters(&listener.name(), &enforced, &providers, options, problems);
        before.extend(authentication.clone());
        let (filters, routes) = match options.engine {
            Engine::Wasm => {
                let domains = redirect::domains(sources.resources(), &listener.servers, namespace);
                wasm(listener, &enforced, &clusters, &domains, options, before)
            }
            Engine::Native => {
                let (filters, routes) =
                    native::decisions(sources.resources(), listener, &enforced.proxy, problems);
                (before.into_iter().chain(filters).collect(), routes)
            }
        };
        let http = envoy::listener::http(&listener.name(), Position::Gateway, filters, routes, options);
        let Some(chain) = http_chain(listener, http, options, identity.as_ref(), problems) else { continue };
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        openings.add(&listener.opening, scheme, &listener.hosts, vec![chain]);
    }
    for server in &servers.tcp {
        let socket = match &server.tls {
            TcpTls::Terminated(settings) => {
                match tls::server(settings, false, options, identity.as_ref(), problems) {
                    None => continue,
                    socket => socket,
                }
            }
            TcpTls::None | TcpTls::Passthrough => None,
        };
        let proxy = tcp::Proxy { namespace, labels };
        let mut chains = tcp::chains(sources.resources(), server, proxy, socket.as_ref(), &reach, problems);
        let policies = policies(sources, labels, server, &providers, options, problems);
        for filters in chains.iter_mut().filter_map(|chain| chain.get_mut("filters")?.as_array_mut()) {
            filters.splice(..0, policies.iter().cloned());
        }
        let scheme = if matches!(server.tls, TcpTls::None) { "tcp" } else { "tls" };
        if !chains.is_empty() {
            openings.add(&server.opening, scheme, &server.hosts, chains);
        }
    }
    Ok(Built { openings: openings.0, clusters: clusters.by_name })
}

/// Connections are no requests: Envoy's own filters judge them, whichever engine judges requests.
fn policies(
    sources: &Sources,
    labels: &BTreeMap<String, String>,
    server: &TcpServer<'_>,
    providers: &Providers,
    options: &Options,
    problems: &mut Problems,
) -> Vec<Value> {
    let proxy =
        for_gateway(labels, vec![crate::gateway::gateway_name(server.resource)], &server.opening, options);
    let port = server.opening.port;
    let mut filters =
        native::network_filters_for_custom(sources.resources(), &proxy, port, providers, problems);
    filters.extend(native::network_filters_for_policies(sources.resources(), &proxy, problems));
    filters
}

fn http_chain(
    listener: &Listener<'_>,
    http: Value,
    options: &Options,
    identity: Option<&Identity>,
    problems: &mut Problems,
) -> Option<Value> {
    let filters = match options.engine {
        Engine::Wasm => vec![envoy::listener::peer_facts(), http],
        Engine::Native => vec![http],
    };
    let Some(settings) = &listener.tls else {
        return Some(chain("", &ChainMatch::default(), &filters, None));
    };
    let socket = tls::server(settings, true, options, identity, problems)?;
    let any = listener.hosts.iter().any(|host| host == "*");
    let matched = ChainMatch {
        server_names: if any { Vec::new() } else { listener.hosts.clone() },
        transport: Some("tls"),
        ..ChainMatch::default()
    };
    Some(chain(&listener.name(), &matched, &filters, Some(socket)))
}

/// What is opened, in the order of the first server of each port.
#[derive(Default)]
struct Openings(Vec<Opened>);

impl Openings {
    fn add(&mut self, opening: &Opening, scheme: &'static str, hosts: &[String], chains: Vec<Value>) {
        let index = self.0.iter().position(|opened| opened.opening == *opening).unwrap_or_else(|| {
            self.0.push(Opened {
                opening: opening.clone(),
                direction: "OUTBOUND",
                scheme,
                hosts: Vec::new(),
                chains: Vec::new(),
            });
            self.0.len() - 1
        });
        let Some(opened) = self.0.get_mut(index) else { return };
        opened.hosts.extend_from_slice(hosts);
        opened.hosts.sort();
        opened.hosts.dedup();
        opened.chains.extend(chains);
    }
}
