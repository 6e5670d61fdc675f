//! `DestinationRule`: how a service is talked to, and which subsets it has.

use crate::authorization_policy::WorkloadSelector;
use crate::decode::{Timespan, wire, wire_enum};
use crate::virtual_service::PortSelector;
use std::collections::BTreeMap;

wire! {
    /// `spec` of a DestinationRule.
    pub struct DestinationRule {
        /// The service.
        "host" => host: Option<String>,
        /// For all ports and subsets.
        "trafficPolicy" => traffic_policy: Option<TrafficPolicy>,
        /// Its versions.
        "subsets" => subsets: Vec<Subset>,
        /// The namespaces that see it.
        "exportTo" => export_to: Vec<String>,
        /// The calling workloads it applies to.
        "workloadSelector" => workload_selector: Option<WorkloadSelector>,
    }
}

wire! {
    /// A version of a service.
    pub struct Subset {
        /// Its name.
        "name" => name: Option<String>,
        /// Labels of its endpoints.
        "labels" => labels: BTreeMap<String, String>,
        /// What differs for it.
        "trafficPolicy" => traffic_policy: Option<TrafficPolicy>,
    }
}

wire! {
    /// How to talk to a service.
    pub struct TrafficPolicy {
        /// Which endpoint.
        "loadBalancer" => load_balancer: Option<LoadBalancerSettings>,
        /// How many connections and requests.
        "connectionPool" => connection_pool: Option<ConnectionPoolSettings>,
        /// When an endpoint is put aside.
        "outlierDetection" => outlier_detection: Option<OutlierDetection>,
        /// Encryption.
        "tls" => tls: Option<ClientTlsSettings>,
        /// Settings for single ports.
        "portLevelSettings" => port_level_settings: Vec<PortTrafficPolicy>,
        /// Tunnelling.
        "tunnel" => tunnel: Option<TunnelSettings>,
        /// PROXY protocol.
        "proxyProtocol" => proxy_protocol: Option<ProxyProtocol>,
        /// Bound on concurrent retries.
        "retryBudget" => retry_budget: Option<RetryBudget>,
    }
}

wire! {
    /// Settings for one port.
    pub struct PortTrafficPolicy {
        /// The service port.
        "port" => port: Option<PortSelector>,
        /// Which endpoint.
        "loadBalancer" => load_balancer: Option<LoadBalancerSettings>,
        /// How many connections and requests.
        "connectionPool" => connection_pool: Option<ConnectionPoolSettings>,
        /// When an endpoint is put aside.
        "outlierDetection" => outlier_detection: Option<OutlierDetection>,
        /// Encryption.
        "tls" => tls: Option<ClientTlsSettings>,
    }
}

wire! {
    /// Which endpoint takes a request.
    pub struct LoadBalancerSettings {
        /// A standard algorithm.
        "simple" => simple: Option<SimpleLb>,
        /// The same endpoint for the same key.
        "consistentHash" => consistent_hash: Option<ConsistentHashLb>,
        /// By locality.
        "localityLbSetting" => locality_lb_setting: Option<LocalityLbSetting>,
        /// By zone.
        "zoneAwareLbSetting" => zone_aware_lb_setting: Option<crate::decode::Opaque>,
        /// Deprecated: slow start window.
        "warmupDurationSecs" => warmup_duration_secs: Option<Timespan>,
        /// Slow start.
        "warmup" => warmup: Option<WarmupConfiguration>,
    }
}

wire_enum! {
    /// Standard load-balancing algorithms.
    pub enum SimpleLb {
        /// Istio's choice: least request.
        "UNSPECIFIED" = 0 => Unspecified,
        /// Deprecated name of least request.
        "LEAST_CONN" = 1 => LeastConn,
        /// Any.
        "RANDOM" = 2 => Random,
        /// The connection's own destination.
        "PASSTHROUGH" = 3 => Passthrough,
        /// In turn.
        "ROUND_ROBIN" = 4 => RoundRobin,
        /// The less busy of two.
        "LEAST_REQUEST" = 5 => LeastRequest,
    }
}

wire! {
    /// The same endpoint for the same key.
    pub struct ConsistentHashLb {
        /// The key is a header.
        "httpHeaderName" => http_header_name: Option<String>,
        /// The key is a cookie.
        "httpCookie" => http_cookie: Option<HttpCookie>,
        /// The key is the client's address.
        "useSourceIp" => use_source_ip: Option<bool>,
        /// The key is a query parameter.
        "httpQueryParameterName" => http_query_parameter_name: Option<String>,
        /// Ring hash.
        "ringHash" => ring_hash: Option<RingHash>,
        /// Maglev.
        "maglev" => maglev: Option<Maglev>,
        /// Deprecated: ring size.
        "minimumRingSize" => minimum_ring_size: Option<u64>,
    }
}

wire! {
    /// A cookie as key.
    pub struct HttpCookie {
        /// Name.
        "name" => name: Option<String>,
        /// Path.
        "path" => path: Option<String>,
        /// Lifetime; a cookie is made when it is set.
        "ttl" => ttl: Option<Timespan>,
        /// More attributes.
        "attributes" => attributes: Vec<CookieAttribute>,
    }
}

wire! {
    /// An attribute of a cookie.
    pub struct CookieAttribute {
        /// Name.
        "name" => name: Option<String>,
        /// Value.
        "value" => value: Option<String>,
    }
}

wire! {
    /// Ring hash.
    pub struct RingHash {
        /// Smallest ring.
        "minimumRingSize" => minimum_ring_size: Option<u64>,
    }
}

wire! {
    /// Maglev.
    pub struct Maglev {
        /// Table size, a prime.
        "tableSize" => table_size: Option<u64>,
    }
}

wire! {
    /// Load balancing by locality.
    pub struct LocalityLbSetting {
        /// Shares by locality.
        "distribute" => distribute: Vec<LocalityDistribute>,
        /// Where to go when a region fails.
        "failover" => failover: Vec<LocalityFailover>,
        /// Labels, most important first.
        "failoverPriority" => failover_priority: Vec<String>,
        /// Off switch.
        "enabled" => enabled: Option<bool>,
    }
}

wire! {
    /// Shares by locality.
    pub struct LocalityDistribute {
        /// Of the caller.
        "from" => from: Option<String>,
        /// Shares.
        "to" => to: BTreeMap<String, u32>,
    }
}

wire! {
    /// Where to go when a region fails.
    pub struct LocalityFailover {
        /// The region.
        "from" => from: Option<String>,
        /// The stand-in.
        "to" => to: Option<String>,
    }
}

wire! {
    /// Slow start.
    pub struct WarmupConfiguration {
        /// Window.
        "duration" => duration: Option<Timespan>,
        /// Share to begin with, in percent.
        "minimumPercent" => minimum_percent: Option<f64>,
        /// Shape of the increase.
        "aggression" => aggression: Option<f64>,
    }
}

wire! {
    /// How many connections and requests.
    pub struct ConnectionPoolSettings {
        /// Connections.
        "tcp" => tcp: Option<TcpSettings>,
        /// Requests.
        "http" => http: Option<HttpSettings>,
    }
}

wire! {
    /// Connections.
    pub struct TcpSettings {
        /// At most.
        "maxConnections" => max_connections: Option<i32>,
        /// Bound on connecting.
        "connectTimeout" => connect_timeout: Option<Timespan>,
        /// Keep-alive probes.
        "tcpKeepalive" => tcp_keepalive: Option<TcpKeepalive>,
        /// Lifetime.
        "maxConnectionDuration" => max_connection_duration: Option<Timespan>,
        /// Idle bound.
        "idleTimeout" => idle_timeout: Option<Timespan>,
    }
}

wire! {
    /// Keep-alive probes.
    pub struct TcpKeepalive {
        /// Unanswered probes before the connection is dead.
        "probes" => probes: Option<u32>,
        /// Idle time before the first.
        "time" => time: Option<Timespan>,
        /// Time between two.
        "interval" => interval: Option<Timespan>,
    }
}

wire! {
    /// Requests.
    pub struct HttpSettings {
        /// Queue.
        "http1MaxPendingRequests" => http1_max_pending_requests: Option<i32>,
        /// Active requests.
        "http2MaxRequests" => http2_max_requests: Option<i32>,
        /// Requests a connection.
        "maxRequestsPerConnection" => max_requests_per_connection: Option<i32>,
        /// Concurrent retries.
        "maxRetries" => max_retries: Option<i32>,
        /// Idle bound.
        "idleTimeout" => idle_timeout: Option<Timespan>,
        /// Whether to speak HTTP/2.
        "h2UpgradePolicy" => h2_upgrade_policy: Option<H2UpgradePolicy>,
        /// Speak what the client speaks.
        "useClientProtocol" => use_client_protocol: Option<bool>,
        /// Streams a connection.
        "maxConcurrentStreams" => max_concurrent_streams: Option<i32>,
        /// HTTP/2 pings.
        "http2KeepAlive" => http2_keep_alive: Option<Http2KeepAlive>,
    }
}

wire_enum! {
    /// Whether to speak HTTP/2 to an HTTP/1.1 port.
    pub enum H2UpgradePolicy {
        /// As the mesh says: no.
        "DEFAULT" = 0 => Default,
        /// No.
        "DO_NOT_UPGRADE" = 1 => DoNotUpgrade,
        /// Yes.
        "UPGRADE" = 2 => Upgrade,
    }
}

wire! {
    /// HTTP/2 pings.
    pub struct Http2KeepAlive {
        /// Between two.
        "interval" => interval: Option<Timespan>,
        /// For the answer.
        "timeout" => timeout: Option<Timespan>,
    }
}

wire! {
    /// When an endpoint is put aside.
    pub struct OutlierDetection {
        /// Ignored by Istio.
        "consecutiveErrors" => consecutive_errors: Option<i32>,
        /// Count failures of our own side apart.
        "splitExternalLocalOriginErrors" => split_external_local_origin_errors: Option<bool>,
        /// Failures of our own side in a row.
        "consecutiveLocalOriginFailures" => consecutive_local_origin_failures: Option<u32>,
        /// 502, 503 or 504 in a row.
        "consecutiveGatewayErrors" => consecutive_gateway_errors: Option<u32>,
        /// 5xx in a row.
        "consecutive5xxErrors" => consecutive_5xx_errors: Option<u32>,
        /// Between two sweeps.
        "interval" => interval: Option<Timespan>,
        /// How long the first time.
        "baseEjectionTime" => base_ejection_time: Option<Timespan>,
        /// At most this share of the endpoints.
        "maxEjectionPercent" => max_ejection_percent: Option<i32>,
        /// Below this share of healthy endpoints all are used.
        "minHealthPercent" => min_health_percent: Option<i32>,
        /// Statuses that count instead of 5xx.
        "outlierDetectionHttpErrorCodes" => http_error_codes: Vec<u32>,
    }
}

wire! {
    /// Encryption towards the service.
    pub struct ClientTlsSettings {
        /// How.
        "mode" => mode: Option<ClientTlsMode>,
        /// File of the client certificate.
        "clientCertificate" => client_certificate: Option<String>,
        /// File of its key.
        "privateKey" => private_key: Option<String>,
        /// File of the CA.
        "caCertificates" => ca_certificates: Option<String>,
        /// Secret.
        "credentialName" => credential_name: Option<String>,
        /// Names that the server must carry.
        "subjectAltNames" => subject_alt_names: Vec<String>,
        /// Server name to ask for.
        "sni" => sni: Option<String>,
        /// Take any certificate.
        "insecureSkipVerify" => insecure_skip_verify: Option<bool>,
        /// File of the revocation list.
        "caCrl" => ca_crl: Option<String>,
    }
}

wire_enum! {
    /// How a service is encrypted.
    pub enum ClientTlsMode {
        /// Not at all.
        "DISABLE" = 0 => Disable,
        /// The server is verified.
        "SIMPLE" = 1 => Simple,
        /// Both sides, with given certificates.
        "MUTUAL" = 2 => Mutual,
        /// Both sides, with mesh certificates.
        "ISTIO_MUTUAL" = 3 => IstioMutual,
    }
}

wire! {
    /// Tunnelling.
    pub struct TunnelSettings {
        /// CONNECT or POST.
        "protocol" => protocol: Option<String>,
        /// Where to.
        "targetHost" => target_host: Option<String>,
        /// Where to.
        "targetPort" => target_port: Option<u32>,
    }
}

wire! {
    /// PROXY protocol.
    pub struct ProxyProtocol {
        /// V1 or V2.
        "version" => version: Option<ProxyProtocolVersion>,
    }
}

wire_enum! {
    /// Version of the PROXY protocol.
    pub enum ProxyProtocolVersion {
        /// Text.
        "V1" = 0 => V1,
        /// Binary.
        "V2" = 1 => V2,
    }
}

wire! {
    /// Bound on concurrent retries.
    pub struct RetryBudget {
        /// Share of active requests.
        "percent" => percent: Option<f64>,
        /// Always allowed.
        "minRetryConcurrency" => min_retry_concurrency: Option<u32>,
        /// Window.
        "budgetInterval" => budget_interval: Option<Timespan>,
    }
}
