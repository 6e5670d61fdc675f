//! The clusters: one for each service, port and subset, as Istio names them.

use super::{circuit_breaker, endpoint, extension, http_protocol, load_balancing, outlier_detection, put};
use crate::destination::{Caller, EffectivePolicy, Placed, applied, effective};
use crate::service::{Endpoint, Service, protocol};
use crate::values::{Protocol, selects};
use mesh_policy_istio::destination_rule::{ClientTlsMode, Subset};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;
use mesh_policy_istio::service_entry::{Location, Resolution, ServicePort};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How long a connection to an instance may take to open, when nothing says otherwise.
const CONNECT_TIMEOUT: &str = "10s";

/// `outbound|80|v1|customers.shop.svc.cluster.local`
pub(crate) fn name(port: u16, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// All clusters of the services that the caller sees, by name.
pub(crate) fn clusters(
    resources: &[Resource],
    services: &[Service<'_>],
    caller: Caller<'_>,
    problems: &mut Problems,
) -> BTreeMap<String, Value> {
    let mut clusters = BTreeMap::new();
    for service in services {
        if !resolves(service, problems) {
            continue;
        }
        report_plain_text(service, problems);
        let rules = applied(resources, caller, service);
        let top = rules.traffic_policy();
        let subsets = rules.subsets();
        for (number, port) in service.ports().filter(|(_, port)| protocol(port) != Some(Protocol::Udp)) {
            for subset in std::iter::once(None).chain(subsets.iter().map(Some)) {
                let policy = effective(top.as_ref(), subset, number);
                let subset_name = subset.and_then(|(subset, _)| subset.name.as_deref()).unwrap_or_default();
                let name = name(number, subset_name, service.host);
                let cluster = cluster(&name, service, (number, port), subset, &policy, problems);
                clusters.insert(name, cluster);
            }
        }
    }
    clusters
}

/// Whether the instances can be found as the service says.
fn resolves(service: &Service<'_>, problems: &mut Problems) -> bool {
    let resolution = service.resolution();
    let refused = match resolution {
        Resolution::None => "at a gateway there is no destination of the client's own",
        Resolution::DynamicDns => "looking up the host of each request cannot be carried out yet",
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

/// Istio would use mutual TLS towards instances that can; here nothing holds certificates yet.
fn report_plain_text(service: &Service<'_>, problems: &mut Problems) {
    if service.spec.location != Some(Location::MeshInternal) {
        return;
    }
    for endpoint in &service.endpoints {
        let labelled = endpoint.labels.get("security.istio.io/tlsMode").is_some_and(|mode| mode == "istio");
        let account = endpoint.spec.service_account.as_deref().is_some_and(|account| !account.is_empty());
        if labelled || account {
            problems.warning(
                endpoint.path.clone(),
                ProblemKind::Unsupported,
                "spoken to in plain text: automatic mutual TLS is not carried out yet",
            );
        }
    }
}

fn cluster(
    name: &str,
    service: &Service<'_>,
    (number, port): (u16, &ServicePort),
    subset: Option<&Placed<'_, Subset>>,
    policy: &EffectivePolicy<'_>,
    problems: &mut Problems,
) -> Value {
    refuse(policy, problems);
    let selected: Vec<&Endpoint<'_>> = service
        .endpoints
        .iter()
        .filter(|endpoint| subset.is_none_or(|(subset, _)| selects(&subset.labels, &endpoint.labels)))
        .collect();
    let mut cluster = Map::new();
    put(&mut cluster, "name", json!(name));
    match service.resolution() {
        Resolution::Dns => put(&mut cluster, "cluster_type", dns(false)),
        Resolution::DnsRoundRobin => put(&mut cluster, "cluster_type", dns(true)),
        _ => put(&mut cluster, "type", json!("STATIC")),
    }
    let endpoints =
        endpoint::assignment(name, service, (number, port), &selected, subset.is_some(), problems);
    put(&mut cluster, "load_assignment", endpoints);
    let pool = policy.connection_pool.as_ref().map(|(pool, _)| *pool);
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let timeout = tcp.and_then(|tcp| tcp.connect_timeout).map_or(json!(CONNECT_TIMEOUT), super::duration);
    put(&mut cluster, "connect_timeout", timeout);
    put(&mut cluster, "upstream_connection_options", circuit_breaker::keepalive(tcp));
    let budget = policy.retry_budget.as_ref();
    put(&mut cluster, "circuit_breakers", circuit_breaker::circuit_breakers(pool, budget, problems));
    load_balancing::configure(&mut cluster, policy.load_balancer.as_ref(), problems);
    let outliers = policy.outlier_detection.as_ref().map(|(settings, _)| *settings);
    if let Some(settings) = outliers {
        outlier_detection::configure(&mut cluster, settings);
    }
    put(
        &mut cluster,
        "typed_extension_protocol_options",
        http_protocol::options(protocol(port), pool, outliers),
    );
    Value::Object(cluster)
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

/// What is legal and cannot be carried out yet.
fn refuse(policy: &EffectivePolicy<'_>, problems: &mut Problems) {
    if let Some((tls, at)) = &policy.tls {
        let mode = tls.mode.unwrap_or(ClientTlsMode::Disable);
        if mode != ClientTlsMode::Disable {
            problems.error(
                at.field("mode"),
                ProblemKind::Unsupported,
                format!("TLS towards a service cannot be carried out yet: the mode {}", mode.name()),
            );
        }
    }
    if let Some((_, at)) = &policy.tunnel {
        problems.error(at.clone(), ProblemKind::Unsupported, "tunnels cannot be carried out yet");
    }
    if let Some((_, at)) = &policy.proxy_protocol {
        problems.error(at.clone(), ProblemKind::Unsupported, "the PROXY protocol cannot be spoken yet");
    }
}
