//! `DestinationRule`.

use super::{client_tls, load_balancer};
use crate::values::{check_duration, check_labels, check_port, is_dns_label, is_ip, is_wildcard_domain};
use crate::visibility;
use mesh_policy_istio::destination_rule::{
    ConnectionPoolSettings, DestinationRule, H2UpgradePolicy, HttpSettings, OutlierDetection,
    PortTrafficPolicy, TcpSettings, TrafficPolicy, TunnelSettings,
};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;

pub(super) fn validate(resource: &Resource, rule: &DestinationRule, problems: &mut Problems) {
    let DestinationRule { host, traffic_policy, subsets, export_to, workload_selector } = rule;
    let at = resource.spec_path();
    match host.as_deref().filter(|host| !host.is_empty()) {
        None => {
            problems.error(at.field("host"), ProblemKind::Missing, "missing: a DestinationRule has a host");
        }
        Some(host) if !is_wildcard_domain(host) && !is_ip(host) => {
            problems.error(
                at.field("host"),
                ProblemKind::InvalidValue,
                format!("expected a host such as `orders` or `*.example.com`, found `{host}`"),
            );
        }
        Some(_) => {}
    }
    if let Some(policy) = traffic_policy {
        validate_policy(policy, &at.field("trafficPolicy"), problems);
    }
    for (index, subset) in subsets.iter().enumerate() {
        let at = at.field("subsets").index(index);
        let name = subset.name.as_deref().unwrap_or_default();
        if !is_dns_label(name) {
            problems.error(
                at.field("name"),
                if name.is_empty() { ProblemKind::Missing } else { ProblemKind::InvalidValue },
                if name.is_empty() {
                    "missing: a subset has a name".to_owned()
                } else {
                    format!("expected a DNS label, found `{name}`")
                },
            );
        } else if subsets.iter().take(index).any(|other| other.name.as_deref() == Some(name)) {
            problems.error(
                at.field("name"),
                ProblemKind::Conflict,
                format!("the subset `{name}` is defined twice"),
            );
        }
        check_labels(&subset.labels, &at.field("labels"), problems);
        if let Some(policy) = &subset.traffic_policy {
            validate_policy(policy, &at.field("trafficPolicy"), problems);
        }
    }
    visibility::check(export_to, resource.namespace(), false, &at.field("exportTo"), problems);
    if let Some(selector) = workload_selector {
        check_labels(&selector.match_labels, &at.field("workloadSelector").field("matchLabels"), problems);
        if !export_to.is_empty() && !visibility::is_private(export_to, resource.namespace()) {
            problems.error(
                at.field("exportTo"),
                ProblemKind::Conflict,
                "a rule with a workloadSelector applies in its own namespace only",
            );
        }
    }
}

fn validate_policy(policy: &TrafficPolicy, at: &Path, problems: &mut Problems) {
    let TrafficPolicy {
        load_balancer,
        connection_pool,
        outlier_detection,
        tls,
        port_level_settings,
        tunnel,
        proxy_protocol,
        retry_budget,
    } = policy;
    if *policy == TrafficPolicy::default() {
        problems.error(at.clone(), ProblemKind::Missing, "expected at least one setting");
    }
    if let Some(settings) = load_balancer {
        load_balancer::validate(settings, outlier_detection.is_some(), &at.field("loadBalancer"), problems);
    }
    if let Some(settings) = connection_pool {
        validate_pool(settings, &at.field("connectionPool"), problems);
    }
    if let Some(settings) = outlier_detection {
        validate_outlier_detection(settings, &at.field("outlierDetection"), problems);
    }
    if let Some(settings) = tls {
        client_tls::validate(settings, &at.field("tls"), problems);
    }
    for (index, settings) in port_level_settings.iter().enumerate() {
        validate_port_policy(settings, &at.field("portLevelSettings").index(index), problems);
    }
    if let Some(tunnel) = tunnel {
        validate_tunnel(tunnel, &at.field("tunnel"), problems);
        if proxy_protocol.is_some() {
            problems.error(
                at.field("proxyProtocol"),
                ProblemKind::Conflict,
                "a connection is tunnelled or begins with the PROXY protocol, not both",
            );
        }
    }
    if let Some(budget) = retry_budget {
        // 0 is no window, as if nothing were said.
        let interval = budget.budget_interval.filter(|span| span.whole_millis() != Some(0));
        check_duration(interval, at.field("retryBudget").field("budgetInterval"), problems);
    }
    if let Some(percent) = retry_budget.as_ref().and_then(|budget| budget.percent)
        && !(0.0..=100.0).contains(&percent)
    {
        problems.error(
            at.field("retryBudget").field("percent"),
            ProblemKind::InvalidValue,
            format!("expected a percentage from 0 to 100, found `{percent}`"),
        );
    }
}

fn validate_port_policy(settings: &PortTrafficPolicy, at: &Path, problems: &mut Problems) {
    let PortTrafficPolicy { port, load_balancer, connection_pool, outlier_detection, tls } = settings;
    match port.as_ref().and_then(|port| port.number) {
        None => {
            let at = at.field("port").field("number");
            problems.error(at, ProblemKind::Missing, "missing: settings for a port name it");
        }
        Some(number) => check_port(number, at.field("port").field("number"), problems),
    }
    if load_balancer.is_none() && connection_pool.is_none() && outlier_detection.is_none() && tls.is_none() {
        problems.error(at.clone(), ProblemKind::Missing, "expected at least one setting beside the port");
    }
    if let Some(settings) = load_balancer {
        load_balancer::validate(settings, outlier_detection.is_some(), &at.field("loadBalancer"), problems);
    }
    if let Some(settings) = connection_pool {
        validate_pool(settings, &at.field("connectionPool"), problems);
    }
    if let Some(settings) = outlier_detection {
        validate_outlier_detection(settings, &at.field("outlierDetection"), problems);
    }
    if let Some(settings) = tls {
        client_tls::validate(settings, &at.field("tls"), problems);
    }
}

fn not_negative(value: Option<i32>, at: Path, problems: &mut Problems) {
    if let Some(value) = value.filter(|value| *value < 0) {
        problems.error(at, ProblemKind::InvalidValue, format!("expected 0 or more, found `{value}`"));
    }
}

fn validate_pool(settings: &ConnectionPoolSettings, at: &Path, problems: &mut Problems) {
    let ConnectionPoolSettings { tcp, http } = settings;
    if tcp.is_none() && http.is_none() {
        problems.error(at.clone(), ProblemKind::Missing, "expected `tcp` or `http`");
    }
    if let Some(settings) = tcp {
        let at = at.field("tcp");
        let TcpSettings {
            max_connections,
            connect_timeout,
            tcp_keepalive,
            max_connection_duration,
            idle_timeout,
        } = settings;
        not_negative(*max_connections, at.field("maxConnections"), problems);
        check_duration(*connect_timeout, at.field("connectTimeout"), problems);
        check_duration(*max_connection_duration, at.field("maxConnectionDuration"), problems);
        // 0 switches the bound off.
        let idle = idle_timeout.filter(|span| span.whole_millis() != Some(0));
        check_duration(idle, at.field("idleTimeout"), problems);
        if let Some(keepalive) = tcp_keepalive {
            check_duration(keepalive.time, at.field("tcpKeepalive").field("time"), problems);
            check_duration(keepalive.interval, at.field("tcpKeepalive").field("interval"), problems);
        }
    }
    if let Some(settings) = http {
        validate_http(settings, &at.field("http"), problems);
    }
}

fn validate_http(settings: &HttpSettings, at: &Path, problems: &mut Problems) {
    let HttpSettings {
        http1_max_pending_requests,
        http2_max_requests,
        max_requests_per_connection,
        max_retries,
        idle_timeout,
        h2_upgrade_policy,
        use_client_protocol,
        max_concurrent_streams,
        http2_keep_alive,
    } = settings;
    for (name, value) in [
        ("http1MaxPendingRequests", http1_max_pending_requests),
        ("http2MaxRequests", http2_max_requests),
        ("maxRequestsPerConnection", max_requests_per_connection),
        ("maxRetries", max_retries),
        ("maxConcurrentStreams", max_concurrent_streams),
    ] {
        not_negative(*value, at.field(name), problems);
    }
    check_duration(*idle_timeout, at.field("idleTimeout"), problems);
    if *h2_upgrade_policy == Some(H2UpgradePolicy::Upgrade) && *use_client_protocol == Some(true) {
        problems.error(
            at.field("useClientProtocol"),
            ProblemKind::Conflict,
            "an upgraded connection cannot follow the client's protocol",
        );
    }
    if let Some(keepalive) = http2_keep_alive {
        for (name, value) in [("interval", keepalive.interval), ("timeout", keepalive.timeout)] {
            let at = at.field("http2KeepAlive").field(name);
            if value.is_none() {
                problems.error(at, ProblemKind::Missing, "missing: pings have an interval and a timeout");
            } else {
                check_duration(value, at, problems);
            }
        }
    }
}

fn validate_outlier_detection(settings: &OutlierDetection, at: &Path, problems: &mut Problems) {
    let OutlierDetection {
        consecutive_errors,
        split_external_local_origin_errors,
        consecutive_local_origin_failures,
        consecutive_gateway_errors: _,
        consecutive_5xx_errors: _,
        interval,
        base_ejection_time,
        max_ejection_percent,
        min_health_percent,
        http_error_codes,
    } = settings;
    if consecutive_errors.is_some_and(|count| count != 0) {
        problems
            .warning(at.field("consecutiveErrors"), ProblemKind::Suspicious, "has no effect in Istio")
            .help("write `consecutive5xxErrors` or `consecutiveGatewayErrors`");
    }
    if consecutive_local_origin_failures.is_some_and(|count| count > 0)
        && *split_external_local_origin_errors != Some(true)
    {
        problems.error(
            at.field("consecutiveLocalOriginFailures"),
            ProblemKind::Conflict,
            "needs `splitExternalLocalOriginErrors: true`",
        );
    }
    check_duration(*interval, at.field("interval"), problems);
    check_duration(*base_ejection_time, at.field("baseEjectionTime"), problems);
    for (name, value) in
        [("maxEjectionPercent", max_ejection_percent), ("minHealthPercent", min_health_percent)]
    {
        if let Some(value) = value.filter(|value| !(0..=100).contains(value)) {
            problems.error(
                at.field(name),
                ProblemKind::InvalidValue,
                format!("expected a percentage from 0 to 100, found `{value}`"),
            );
        }
    }
    for (index, code) in http_error_codes.iter().enumerate().filter(|(_, code)| !(100..=599).contains(*code))
    {
        problems.error(
            at.field("outlierDetectionHttpErrorCodes").index(index),
            ProblemKind::InvalidValue,
            format!("expected a status from 100 to 599, found `{code}`"),
        );
    }
}

fn validate_tunnel(tunnel: &TunnelSettings, at: &Path, problems: &mut Problems) {
    let TunnelSettings { protocol, target_host, target_port } = tunnel;
    if let Some(protocol) = protocol.as_deref().filter(|text| !matches!(*text, "" | "CONNECT" | "POST")) {
        problems.error(
            at.field("protocol"),
            ProblemKind::InvalidValue,
            format!("expected CONNECT or POST, found `{protocol}`"),
        );
    }
    let host = target_host.as_deref().unwrap_or_default();
    if !is_ip(host) && !crate::values::is_domain(host) {
        problems.error(
            at.field("targetHost"),
            ProblemKind::InvalidValue,
            format!("expected a host or an IP address, found `{host}`"),
        );
    }
    check_port(target_port.unwrap_or(0), at.field("targetPort"), problems);
}
