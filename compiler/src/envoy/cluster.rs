//! The clusters: one for each service, port and subset, as Istio names them.

use super::locality::{Locality, Preference};
use super::tcp_proxy::Connections;
use super::{circuit_breaker, endpoint, extension, http_protocol, load_balancing, outlier_detection, put};
use crate::destination::{Caller, EffectivePolicy, Placed, applied, effective};
use crate::options::Options;
use crate::security::{self, Security};
use crate::service::{Endpoint, Service, protocol};
use crate::values::{Protocol, selects};
use mesh_policy_istio::destination_rule::Subset;
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;
use mesh_policy_istio::service_entry::{Resolution, ServicePort};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// How long a connection to an instance may take to open, when nothing says otherwise.
const CONNECT_TIMEOUT: &str = "10s";

/// `outbound|80|v1|customers.shop.svc.cluster.local`
pub(crate) fn name(port: u16, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// The clusters of a proxy.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    pub by_name: BTreeMap<String, Value>,
    /// What rules say about connections that are forwarded as they are.
    pub connections: BTreeMap<String, Connections>,
    /// Those that choose an instance by a key.
    pub hashed: BTreeSet<String>,
}

/// All clusters of the services that the caller sees.
pub(crate) fn clusters(
    resources: &[Resource],
    services: &[Service<'_>],
    caller: Caller<'_>,
    options: &Options,
    problems: &mut Problems,
) -> Clusters {
    let mut clusters = Clusters::default();
    for service in services {
        if !resolves(service, caller, problems) {
            continue;
        }
        let rules = applied(resources, caller, service);
        let top = rules.traffic_policy();
        let subsets = rules.subsets();
        for (number, port) in service.ports().filter(|(_, port)| protocol(port) != Some(Protocol::Udp)) {
            for subset in std::iter::once(None).chain(subsets.iter().map(Some)) {
                let policy = effective(top.as_ref(), subset, number);
                let subset_name = subset.and_then(|(subset, _)| subset.name.as_deref()).unwrap_or_default();
                let name = name(number, subset_name, service.host);
                let one = Cluster { name: &name, service, number, port, subset, policy: &policy, caller };
                let peer = security::Peer {
                    service,
                    number,
                    subset: subset_name,
                    protocol: protocol(port),
                    caller,
                    resources,
                };
                let security = security::towards(&peer, policy.tls.as_ref(), options, problems);
                let cluster = one.build(&security, problems);
                let pool = policy.connection_pool.as_ref();
                let tcp = pool.and_then(|(pool, _)| pool.tcp.as_ref());
                let connections = Connections {
                    idle: tcp.and_then(|tcp| tcp.idle_timeout),
                    lifetime: tcp.and_then(|tcp| tcp.max_connection_duration),
                    tunnel: policy.tunnel.as_ref().map(|(tunnel, _)| (*tunnel).clone()),
                };
                clusters.connections.insert(name.clone(), connections);
                if policy.load_balancer.as_ref().is_some_and(|(settings, _)| load_balancing::key(settings)) {
                    clusters.hashed.insert(name.clone());
                }
                clusters.by_name.insert(name, cluster);
            }
        }
    }
    clusters
}

/// A cluster to be built.
struct Cluster<'c, 's> {
    name: &'c str,
    service: &'c Service<'s>,
    number: u16,
    port: &'s ServicePort,
    subset: Option<&'c Placed<'s, Subset>>,
    policy: &'c EffectivePolicy<'s>,
    caller: Caller<'c>,
}

/// Whether the instances can be found as the service says.
fn resolves(service: &Service<'_>, caller: Caller<'_>, problems: &mut Problems) -> bool {
    let resolution = service.resolution();
    let refused = match resolution {
        Resolution::None if caller.is_sidecar && !service.host.starts_with('*') => return true,
        Resolution::None => "a connection has no destination of the client's own here",
        Resolution::DynamicDns => {
            "a client would choose, by the host and port that it names, where this proxy connects to"
        }
        Resolution::Static | Resolution::Dns | Resolution::DnsRoundRobin => return true,
    };
    problems
        .error(
            service.resource.spec_path().field("resolution"),
            ProblemKind::Unsupported,
            format!("the resolution {} cannot be carried out: {refused}", resolution.name()),
        )
        .help("list the instances with STATIC, or find them with DNS");
    false
}

impl Cluster<'_, '_> {
    fn build(&self, security: &Security, problems: &mut Problems) -> Value {
        let Self { name, service, number, port, subset, policy, caller } = *self;
        self.point_out(problems);
        let mut cluster = Map::new();
        put(&mut cluster, "name", json!(name));
        match service.resolution() {
            Resolution::Dns => put(&mut cluster, "cluster_type", dns(false)),
            // The application did not look the host up, as it talks to its sidecar; so that does.
            Resolution::DnsRoundRobin | Resolution::None => put(&mut cluster, "cluster_type", dns(true)),
            Resolution::Static | Resolution::DynamicDns => put(&mut cluster, "type", json!("STATIC")),
        }
        let balancing = policy.load_balancer.as_ref();
        let setting = balancing.and_then(|(settings, _)| settings.locality_lb_setting.as_ref());
        let preference = Preference {
            locality: caller.locality,
            labels: caller.labels,
            setting,
            detects_outliers: policy.outlier_detection.is_some(),
        };
        let selected = |endpoint: &&Endpoint<'_>| {
            subset.is_none_or(|(subset, _)| selects(&subset.labels, &endpoint.labels))
        };
        let instances = endpoint::Instances {
            service,
            port: (number, port),
            endpoints: service.endpoints.iter().filter(selected).collect(),
            is_subset: subset.is_some(),
            mark_mutual: security.is_automatic(),
            preference,
        };
        let endpoints = endpoint::assignment(name, &instances, problems);
        put(&mut cluster, "load_assignment", endpoints);
        let pool = policy.connection_pool.as_ref().map(|(pool, _)| *pool);
        let tcp = pool.and_then(|pool| pool.tcp.as_ref());
        let timeout = tcp.and_then(|tcp| tcp.connect_timeout).map_or(json!(CONNECT_TIMEOUT), super::duration);
        put(&mut cluster, "connect_timeout", timeout);
        put(&mut cluster, "upstream_connection_options", circuit_breaker::keepalive(tcp));
        let budget = policy.retry_budget.as_ref().map(|(budget, _)| *budget);
        put(&mut cluster, "circuit_breakers", circuit_breaker::circuit_breakers(pool, budget));
        load_balancing::configure(&mut cluster, balancing, preference.has_shares(), problems);
        security.apply(&mut cluster, policy.proxy_protocol.as_ref().map(|(settings, _)| *settings));
        let outliers = policy.outlier_detection.as_ref().map(|(settings, _)| *settings);
        if let Some(settings) = outliers {
            outlier_detection::configure(&mut cluster, settings);
        }
        put(
            &mut cluster,
            "typed_extension_protocol_options",
            http_protocol::options(protocol(port), pool, outliers, security.by_host()),
        );
        Value::Object(cluster)
    }
}

impl Cluster<'_, '_> {
    /// What has no effect here, once for all subsets.
    fn point_out(&self, problems: &mut Problems) {
        let Self { port, subset, policy, caller, .. } = *self;
        let mut without_effect = |at: Path, message: &str| {
            problems.warning(at, ProblemKind::Suspicious, format!("has no effect {message}"));
        };
        if let Some((_, at)) =
            policy.tunnel.as_ref().filter(|_| protocol(port).is_some_and(Protocol::is_http))
            && subset.is_none()
        {
            without_effect(
                at.clone(),
                "on HTTP: only connections that are forwarded as they are go through a tunnel",
            );
        }
        if let Some((settings, at)) = &policy.load_balancer
            && let Some(setting) = &settings.locality_lb_setting
            && setting.enabled != Some(false)
            && caller.locality == &Locality::default()
            && (subset.is_none() || subset.is_some_and(|(subset, _)| subset.traffic_policy.is_some()))
        {
            let at = at.field("localityLbSetting");
            for (field, is_there) in
                [("distribute", !setting.distribute.is_empty()), ("failover", !setting.failover.is_empty())]
            {
                if is_there {
                    without_effect(
                        at.field(field),
                        "where the proxy's own locality is not known: `--locality` says it",
                    );
                }
            }
        }
    }
}

/// A cluster whose addresses DNS gives: every address an instance, or one of them for each new connection.
fn dns(single: bool) -> Value {
    extension(
        "envoy.cluster.dns",
        "envoy.extensions.clusters.dns.v3.DnsCluster",
        json!({
            "dns_lookup_family": "V4_PREFERRED",
            "respect_dns_ttl": true,
            "dns_failure_refresh_rate": {"base_interval": "60s", "max_interval": "60s"},
            "all_addresses_in_single_endpoint": single,
        }),
    )
}
