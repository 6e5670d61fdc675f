//! A sidecar: what comes to its workload, and what its application sends.
//!
//! Nothing redirects connections here, so the ports are laid out in the open: the sidecar listens where the mesh expects the
//! workload (the endpoint's address and port), the application on loopback, and what it sends goes to one port of the sidecar,
//! which tells services apart by the host of a request.

use super::reachable::Reach;
use super::{Built, Opened, applicable, custom, retries, visible};
use crate::authentication;
use crate::destination::Caller;
use crate::envoy::listener::{ChainMatch, Position, chain};
use crate::envoy::locality::Locality;
use crate::envoy::tcp_proxy::{Connections, tcp_proxy};
use crate::envoy::{self, circuit_breaker, http_protocol, socket_address};
use crate::ext_authz::Providers;
use crate::finding::Finding;
use crate::gateway::Opening;
use crate::gateway::redirect::Domains;
use crate::identity::{ISSUE, Identity, WAYS};
use crate::native;
use crate::options::{Engine, Modules, Options, WorkloadChoice};
use crate::peer_authentication::{Mode, modes, warn_without_certificate};
use crate::plugin::{Direction, EnforcedListener, for_sidecar};
use crate::service::Service;
use crate::sidecar::{Site, SitePort, find};
use crate::source::Sources;
use crate::tls::mesh_server;
use crate::values::Protocol;
use mesh_policy_core::route::RouteTable;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Spec;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

/// What Istio's own clients offer, by which a sidecar knows them.
const MESH_ALPN: [&str; 5] = ["istio", "istio-peer-exchange", "istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// Of these, those that say HTTP.
const MESH_HTTP_ALPN: [&str; 3] = ["istio-http/1.0", "istio-http/1.1", "istio-h2"];
/// Those that do not.
const MESH_TCP_ALPN: [&str; 2] = ["istio", "istio-peer-exchange"];
/// What a look at plain bytes can tell.
const PLAIN_HTTP: [&str; 2] = ["http/1.1", "h2c"];

pub(super) fn build(
    sources: &Sources,
    choice: &WorkloadChoice,
    options: &Options,
    problems: &mut Problems,
) -> Result<Built, Box<Finding>> {
    let refuse = |message: String| Box::new(Finding::placeless(ProblemKind::InvalidValue, message, None));
    if options.engine == Engine::Native {
        return Err(Box::new(Finding::placeless(
            ProblemKind::Unsupported,
            "sidecars cannot be carried out by Envoy itself yet: only by the Wasm filters",
            None,
        )));
    }
    let namespace = &choice.namespace;
    let services = visible(sources, namespace, problems);
    let site = find(sources.resources(), &services, choice)?;
    applicable::check(sources, namespace, &site.labels, &applicable::AT_SIDECARS, options, problems);
    refuse_tcp_rules(sources, namespace, problems);
    let identity = match &site.service_account {
        Some(account) => Identity::load(options, namespace, account).map_err(|message| {
            Box::new(Finding::placeless(ProblemKind::InvalidValue, message, Some(ISSUE.to_owned())))
        })?,
        None if options.certificates.is_some() || options.sds.is_some() => {
            return Err(refuse(format!(
                "the workload `{namespace}/{}` has no service account, and so no certificate",
                choice.name
            )));
        }
        None => None,
    };
    let caller = Caller {
        namespace,
        labels: &site.labels,
        locality: &Locality::parse(
            options.locality.as_deref().or(site.locality.as_deref()).unwrap_or_default(),
        ),
        root_namespace: &options.root_namespace,
        identity: identity.as_ref(),
        is_sidecar: true,
    };
    let mut clusters = envoy::cluster::clusters(sources.resources(), &services, caller, options, problems);
    let mut sidecar =
        Sidecar { sources, choice, site: &site, identity: identity.as_ref(), options, problems };
    let providers = custom::providers(sources, &services, &clusters);
    custom::check_protocols(sources, &services, sidecar.problems);
    let mut openings = sidecar.inbound(&mut clusters.by_name, &providers)?;
    let mut outbound = sidecar.enforced(Direction::Outbound, None);
    let reach = Reach { namespace, services: &services, clusters: &clusters };
    reach.check_http(&outbound.resources, None, problems);
    retries::settle(&mut outbound, &reach);
    let name = format!("127.0.0.1_{}", options.outbound_port);
    let table = RouteTable::compile(&outbound.resources, &outbound.proxy, &mut Problems::new());
    // Two services with one address, say: Envoy takes each name once, and Istio gives it to the first.
    let mut taken = BTreeSet::new();
    let own: Vec<envoy::route::OwnHost> = services
        .iter()
        .filter_map(|service| {
            let ports: Vec<u16> = service
                .ports()
                .filter(|(_, port)| crate::service::protocol(port).is_none_or(Protocol::is_http))
                .map(|(number, _)| number)
                .collect();
            let clusters = ports.iter().map(|port| (*port, envoy::cluster::name(*port, "", service.host)));
            let clusters: Vec<(u16, String)> =
                clusters.filter(|(_, name)| reach.clusters.by_name.contains_key(name)).collect();
            let mut domains = domains(service, namespace);
            domains.retain(|domain| clusters.is_empty() || taken.insert(domain.clone()));
            (!clusters.is_empty() && !domains.is_empty())
                .then_some(envoy::route::OwnHost { domains, clusters })
        })
        .collect();
    let routes = envoy::route::Routes {
        name: &options.outbound_port.to_string(),
        profiles: &table.profiles(),
        hashed: &clusters.hashed,
        redirected: &Domains::default(),
        modules: &options.modules,
    };
    let filters =
        envoy::filter::http_filters(&options.modules, "outbound", false, &outbound.plugin_config, Vec::new());
    let manager =
        envoy::listener::http("outbound", Position::Outbound, filters, routes.outbound(&own), options);
    openings.push(Opened {
        opening: Opening {
            name,
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            port: options.outbound_port,
            gateway_port: options.outbound_port,
        },
        direction: "OUTBOUND",
        scheme: "http",
        hosts: own.iter().filter_map(|host| host.domains.first().cloned()).collect(),
        chains: vec![chain("", &ChainMatch::default(), &[manager], None)],
    });
    Ok(Built { openings, clusters: clusters.by_name })
}

/// The name of what serves requests for a port.
fn inbound(number: u16) -> String {
    format!("inbound_{number}")
}

/// The names by which an application calls a service; the shortest ones only in their own namespace, and its addresses.
fn domains(service: &Service<'_>, namespace: &str) -> Vec<String> {
    let (host, is_own) = (service.host, service.namespace() == namespace);
    let mut domains = vec![host.to_owned()];
    if !host.starts_with('*') {
        domains.push(format!("{host}."));
    }
    // A network is no host that a request could name.
    let addresses = service.spec.addresses.iter().filter_map(|address| address.parse::<IpAddr>().ok());
    domains.extend(addresses.map(|address| match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }));
    let parts: Vec<&str> = host.splitn(4, '.').collect();
    if let [name, namespace, "svc", _] = parts.as_slice() {
        domains.push(format!("{name}.{namespace}.svc"));
        domains.push(format!("{name}.{namespace}"));
        if is_own {
            domains.push((*name).to_owned());
        }
    }
    domains
}

/// Only HTTP names its destination by itself; without redirected connections, TCP and TLS rules have nothing to go by.
fn refuse_tcp_rules(sources: &Sources, namespace: &str, problems: &mut Problems) {
    for resource in sources.resources() {
        let Spec::VirtualService(spec) = &resource.spec else { continue };
        let mesh = [mesh_policy_core::proxy::MESH.to_owned()];
        if !crate::plugin::relevant::is_bound(resource, spec, &mesh)
            || !crate::visibility::is_visible(&spec.export_to, resource.namespace(), namespace)
        {
            continue;
        }
        for (field, is_there) in [("tls", !spec.tls.is_empty()), ("tcp", !spec.tcp.is_empty())] {
            if is_there {
                problems
                    .error(
                        resource.spec_path().field(field),
                        ProblemKind::Unsupported,
                        "rules for connections cannot be carried out by a sidecar yet: only those for HTTP",
                    )
                    .help("a TCP or TLS server of a gateway can carry them out");
            }
        }
    }
}

struct Sidecar<'a, 'p> {
    sources: &'a Sources,
    choice: &'a WorkloadChoice,
    site: &'a Site,
    identity: Option<&'a Identity>,
    options: &'a Options,
    problems: &'p mut Problems,
}

impl Sidecar<'_, '_> {
    fn enforced(&self, direction: Direction, port: Option<u16>) -> EnforcedListener {
        let choice = WorkloadChoice {
            labels: Some(self.site.labels.clone()),
            service_account: self.site.service_account.clone(),
            port,
            ..self.choice.clone()
        };
        for_sidecar(self.sources, &choice, direction, self.options)
    }

    /// A listener for each port that others reach the workload at.
    fn inbound(
        &mut self,
        clusters: &mut std::collections::BTreeMap<String, Value>,
        providers: &Providers,
    ) -> Result<Vec<Opened>, Box<Finding>> {
        let root = &self.options.root_namespace;
        let (resources, namespace, labels) =
            (self.sources.resources(), &self.choice.namespace, &self.site.labels);
        let modes = modes(resources, namespace, labels, root);
        if self.identity.is_none() {
            warn_without_certificate(resources, namespace, labels, root, self.problems);
        }
        let mut openings = Vec::new();
        for (number, port) in self.site.ports.clone() {
            let mode = modes.of(number);
            if self.identity.is_none() && mode == Mode::Strict {
                return Err(Box::new(Finding::placeless(
                    ProblemKind::Unsupported,
                    format!(
                        "port {number} takes mutual TLS only (STRICT), and the sidecar has no certificate"
                    ),
                    Some(WAYS.to_owned()),
                )));
            }
            let cluster = format!("inbound|{number}||");
            clusters.insert(cluster.clone(), self.application(&cluster, number, &port)?);
            let enforced = self.enforced(Direction::Inbound, Some(number));
            let authentication =
                authentication::filter(self.sources, &enforced.proxy, self.options, clusters, self.problems);
            let name = inbound(number);
            let mut before = custom::filters(&name, &enforced, providers, self.options, self.problems);
            before.extend(authentication);
            let http = self.http(number, &cluster, &enforced, before);
            let resources = self.sources.resources();
            let local = self.options.ports.get(&number).copied().unwrap_or(number);
            // No bytes but HTTP come through a port that says so.
            let mut policies = match port.protocol {
                Some(protocol) if protocol.is_http() => Vec::new(),
                _ => native::network_filters_for_custom(
                    resources,
                    &enforced.proxy,
                    local,
                    providers,
                    self.problems,
                ),
            };
            policies.extend(native::network_filters_for_policies(resources, &enforced.proxy, self.problems));
            let tcp: Vec<Value> = policies
                .into_iter()
                .chain([tcp_proxy(&cluster, &[(cluster.clone(), 100)], &Connections::default())])
                .collect();
            let address = port.address.unwrap_or(self.options.listen_address);
            openings.push(Opened {
                opening: Opening {
                    name: format!("{address}_{number}"),
                    address,
                    port: local,
                    gateway_port: number,
                },
                direction: "INBOUND",
                scheme: if port.protocol.is_none_or(Protocol::is_http) { "http" } else { "tcp" },
                hosts: port.hosts.clone(),
                chains: self.chains(mode, port.protocol, &http, &tcp),
            });
        }
        Ok(openings)
    }

    /// Where the application listens.
    fn application(&self, name: &str, number: u16, port: &SitePort) -> Result<Value, Box<Finding>> {
        let told = self.options.app_ports.get(&number).copied();
        // On an address of its own the sidecar leaves the same port on loopback free.
        let apart = port.address.is_some_and(|address| !address.is_loopback() && !address.is_unspecified());
        let Some(local) = told.or_else(|| apart.then_some(number)) else {
            return Err(Box::new(Finding::placeless(
                ProblemKind::Missing,
                format!(
                    "port {number} is the sidecar's on this machine, so the application has to listen on another one"
                ),
                Some(format!(
                    "say which: --app-port {number}={}",
                    number.checked_add(10_000).unwrap_or(number / 2)
                )),
            )));
        };
        let address = socket_address(IpAddr::V4(Ipv4Addr::LOCALHOST), local);
        Ok(json!({
            "name": name,
            "type": "STATIC",
            "connect_timeout": "10s",
            "load_assignment": {
                "cluster_name": name,
                "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
            },
            "circuit_breakers": circuit_breaker::circuit_breakers(None, None),
            "typed_extension_protocol_options":
                http_protocol::options(port.protocol, None, None, http_protocol::ByHost::default()),
        }))
    }

    fn http(&self, number: u16, cluster: &str, enforced: &EnforcedListener, before: Vec<Value>) -> Value {
        let name = inbound(number);
        // What is sent to a workload is routed already: authorization is all that is left.
        let modules = match &self.options.modules {
            Modules::Separate { authz, .. } => Modules::Fused(authz.clone()),
            fused @ Modules::Fused(_) => fused.clone(),
        };
        let filters = envoy::filter::http_filters(&modules, &name, false, &enforced.plugin_config, before);
        let routes = json!({
            "name": format!("inbound|{number}||"),
            "validate_clusters": false,
            "virtual_hosts": [{
                "name": format!("inbound|http|{number}"),
                "domains": ["*"],
                "routes": [{
                    "name": "default",
                    "match": {"prefix": "/"},
                    "route": {
                        "cluster": cluster,
                        "timeout": "0s",
                        "max_stream_duration": {"grpc_timeout_header_max": "0s"},
                        "retry_policy": {"retry_on": "reset-before-request", "num_retries": 2},
                    },
                }],
            }],
        });
        envoy::listener::http(&name, Position::Inbound, filters, routes, self.options)
    }

    /// The filter chains by which a port takes plain text, mutual TLS, or both.
    fn chains(&self, mode: Mode, protocol: Option<Protocol>, http: &Value, tcp: &[Value]) -> Vec<Value> {
        let tls = |alpn: &[&'static str]| {
            self.identity.map(|identity| {
                let mut context = mesh_server(identity);
                context.alpn = alpn.to_vec();
                context.downstream(true)
            })
        };
        let http_socket = tls(&["h2", "http/1.1"]);
        let tcp_socket = tls(&["istio-peer-exchange", "h2", "http/1.1"]);
        let http = &[envoy::listener::peer_facts(), http.clone()];
        let chain = |name: &str,
                     transport,
                     application: &[&'static str],
                     filters: &[Value],
                     socket: Option<&Value>| {
            let matched = ChainMatch {
                transport: Some(transport),
                application: application.to_vec(),
                ..ChainMatch::default()
            };
            chain(name, &matched, filters, socket.cloned())
        };
        let plain = |name: &str, application: &[&'static str], filters: &[Value]| {
            chain(name, "raw_buffer", application, filters, None)
        };
        let any: &[&'static str] = &[];
        let is_http = protocol.map(Protocol::is_http);
        let mut chains = Vec::new();
        // Without a certificate there is plain text alone, whatever the mode: STRICT was refused before.
        let mode = if self.identity.is_none() { Mode::Disable } else { mode };
        match (mode, is_http) {
            (Mode::Disable, Some(true)) => chains.push(plain("http", any, http)),
            (Mode::Disable, Some(false)) => chains.push(plain("tcp", any, tcp)),
            (Mode::Disable, None) => {
                chains.extend([plain("http", &PLAIN_HTTP, http), plain("tcp", any, tcp)]);
            }
            (Mode::Strict, Some(true)) => {
                chains.push(chain("mtls-http", "tls", any, http, http_socket.as_ref()));
            }
            (Mode::Strict, Some(false)) => {
                chains.push(chain("mtls-tcp", "tls", any, tcp, tcp_socket.as_ref()));
            }
            (Mode::Strict, None) => chains.extend([
                chain("mtls-http", "tls", &MESH_HTTP_ALPN, http, http_socket.as_ref()),
                chain("mtls-tcp", "tls", any, tcp, tcp_socket.as_ref()),
            ]),
            (Mode::Permissive, Some(true)) => chains.extend([
                chain("mtls-http", "tls", &MESH_ALPN, http, http_socket.as_ref()),
                plain("http", any, http),
            ]),
            (Mode::Permissive, Some(false)) => chains.extend([
                chain("mtls-tcp", "tls", &MESH_ALPN, tcp, tcp_socket.as_ref()),
                chain("tls", "tls", any, tcp, None),
                plain("tcp", any, tcp),
            ]),
            (Mode::Permissive, None) => chains.extend([
                chain("mtls-http", "tls", &MESH_HTTP_ALPN, http, http_socket.as_ref()),
                plain("http", &PLAIN_HTTP, http),
                chain("mtls-tcp", "tls", &MESH_TCP_ALPN, tcp, tcp_socket.as_ref()),
                plain("tcp", any, tcp),
                chain("tls", "tls", any, tcp, None),
            ]),
        }
        chains
    }
}
