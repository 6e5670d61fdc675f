//! `MeshConfig`: what holds for a whole mesh, as the ConfigMap `istio` has it.
//!
//! The fields that are carried out are typed; the others of Istio's are known by name only.

use crate::decode::{Opaque, Timespan, wire, wire_enum};
use std::collections::BTreeMap;

/// Declares [`MeshConfig`]: its own fields, and Istio's others by name.
macro_rules! mesh_config {
    ($($field:literal => $name:ident,)*) => {
        wire! {
            /// The mesh configuration.
            pub struct MeshConfig {
                /// The trust domain of all workloads.
                "trustDomain" => trust_domain: Option<String>,
                /// Its former and foreign names.
                "trustDomainAliases" => trust_domain_aliases: Vec<String>,
                /// The namespace whose policies hold everywhere.
                "rootNamespace" => root_namespace: Option<String>,
                /// What is done to paths before any rule sees them.
                "pathNormalization" => path_normalization: Option<ProxyPathNormalization>,
                /// Services that proxies lean on, external authorizers among them.
                "extensionProviders" => extension_providers: Vec<ExtensionProvider>,
                $(
                    /// Not carried out.
                    $field => $name: Option<Opaque>,
                )*
            }
        }

        impl MeshConfig {
            /// The fields that are there, but not carried out.
            #[must_use]
            pub fn not_carried_out(&self) -> Vec<&'static str> {
                [$(($field, self.$name.is_some())),*]
                    .into_iter()
                    .filter_map(|(field, is_there)| is_there.then_some(field))
                    .collect()
            }
        }
    };
}

mesh_config! {
    "accessLogEncoding" => access_log_encoding,
    "accessLogFile" => access_log_file,
    "accessLogFormat" => access_log_format,
    "ca" => ca,
    "caCertificates" => ca_certificates,
    "certificates" => certificates,
    "configSources" => config_sources,
    "connectTimeout" => connect_timeout,
    "defaultConfig" => default_config,
    "defaultDestinationRuleExportTo" => default_destination_rule_export_to,
    "defaultHttpRetryPolicy" => default_http_retry_policy,
    "defaultProviders" => default_providers,
    "defaultServiceExportTo" => default_service_export_to,
    "defaultTrafficPolicy" => default_traffic_policy,
    "defaultVirtualServiceExportTo" => default_virtual_service_export_to,
    "disableEnvoyListenerLog" => disable_envoy_listener_log,
    "discoverySelectors" => discovery_selectors,
    "dnsRefreshRate" => dns_refresh_rate,
    "enableAutoMtls" => enable_auto_mtls,
    "enableEnvoyAccessLogService" => enable_envoy_access_log_service,
    "enablePrometheusMerge" => enable_prometheus_merge,
    "enableTracing" => enable_tracing,
    "h2UpgradePolicy" => h2_upgrade_policy,
    "hboneIdleTimeout" => hbone_idle_timeout,
    "inboundClusterStatName" => inbound_cluster_stat_name,
    "inboundTrafficPolicy" => inbound_traffic_policy,
    "ingressClass" => ingress_class,
    "ingressControllerMode" => ingress_controller_mode,
    "ingressSelector" => ingress_selector,
    "ingressService" => ingress_service,
    "localityLbSetting" => locality_lb_setting,
    "meshMTLS" => mesh_mtls,
    "outboundClusterStatName" => outbound_cluster_stat_name,
    "outboundTrafficPolicy" => outbound_traffic_policy,
    "protocolDetectionTimeout" => protocol_detection_timeout,
    "proxyHttpPort" => proxy_http_port,
    "proxyInboundListenPort" => proxy_inbound_listen_port,
    "proxyListenPort" => proxy_listen_port,
    "serviceScopeConfigs" => service_scope_configs,
    "serviceSettings" => service_settings,
    "tcpKeepalive" => tcp_keepalive,
    "thriftConfig" => thrift_config,
    "tlsDefaults" => tls_defaults,
    "verifyCertificateAtClient" => verify_certificate_at_client,
}

wire! {
    /// `pathNormalization`.
    pub struct ProxyPathNormalization {
        /// How far paths are normalized; DEFAULT when absent.
        "normalization" => normalization: Option<NormalizationType>,
    }
}

wire_enum! {
    /// How far paths are normalized.
    pub enum NormalizationType {
        /// BASE.
        "DEFAULT" = 0 => Default,
        /// Not at all.
        "NONE" = 1 => None,
        /// RFC 3986.
        "BASE" = 2 => Base,
        /// And repeated slashes become one.
        "MERGE_SLASHES" = 3 => MergeSlashes,
        /// After escaped slashes were decoded.
        "DECODE_AND_MERGE_SLASHES" = 4 => DecodeAndMergeSlashes,
    }
}

wire! {
    /// A service that proxies lean on: a name, and exactly one of the others.
    pub struct ExtensionProvider {
        /// How policies name it.
        "name" => name: Option<String>,
        /// An external authorizer that is asked over HTTP.
        "envoyExtAuthzHttp" => envoy_ext_authz_http: Option<ExternalAuthorizationHttp>,
        /// An external authorizer that is asked over gRPC.
        "envoyExtAuthzGrpc" => envoy_ext_authz_grpc: Option<ExternalAuthorizationGrpc>,
        /// No authorizer.
        "zipkin" => zipkin: Option<Opaque>,
        /// No authorizer.
        "lightstep" => lightstep: Option<Opaque>,
        /// No authorizer.
        "datadog" => datadog: Option<Opaque>,
        /// No authorizer.
        "stackdriver" => stackdriver: Option<Opaque>,
        /// No authorizer.
        "opencensus" => opencensus: Option<Opaque>,
        /// No authorizer.
        "skywalking" => skywalking: Option<Opaque>,
        /// No authorizer.
        "opentelemetry" => opentelemetry: Option<Opaque>,
        /// No authorizer.
        "prometheus" => prometheus: Option<Opaque>,
        /// No authorizer.
        "envoyFileAccessLog" => envoy_file_access_log: Option<Opaque>,
        /// No authorizer.
        "envoyHttpAls" => envoy_http_als: Option<Opaque>,
        /// No authorizer.
        "envoyTcpAls" => envoy_tcp_als: Option<Opaque>,
        /// No authorizer.
        "envoyOtelAls" => envoy_otel_als: Option<Opaque>,
        /// No authorizer.
        "sds" => sds: Option<Opaque>,
    }
}

wire! {
    /// `envoyExtAuthzHttp`.
    pub struct ExternalAuthorizationHttp {
        /// The service, `HOST` or `NAMESPACE/HOST`.
        "service" => service: Option<String>,
        /// Its port.
        "port" => port: Option<u32>,
        /// How long its answer may take; 600s when absent.
        "timeout" => timeout: Option<Timespan>,
        /// What stands before the path of the request in the path that it is asked about.
        "pathPrefix" => path_prefix: Option<String>,
        /// Whether requests pass when it cannot be reached.
        "failOpen" => fail_open: Option<bool>,
        /// The status of requests that are denied because it cannot be reached; 403 when absent.
        "statusOnError" => status_on_error: Option<String>,
        /// Headers of the request that it sees, beside `Host`, method, path, `Content-Length` and `Authorization`.
        "includeRequestHeadersInCheck" => include_request_headers_in_check: Vec<String>,
        /// The former name of `includeRequestHeadersInCheck`.
        "includeHeadersInCheck" => include_headers_in_check: Vec<String>,
        /// Headers that it gets besides, with these values.
        "includeAdditionalHeadersInCheck" => include_additional_headers_in_check: BTreeMap<String, String>,
        /// Whether it sees the body.
        "includeRequestBodyInCheck" => include_request_body_in_check: Option<RequestBody>,
        /// Headers of its answer that go upstream when it allows.
        "headersToUpstreamOnAllow" => headers_to_upstream_on_allow: Vec<String>,
        /// Headers of its answer that the client gets when it denies; all when absent.
        "headersToDownstreamOnDeny" => headers_to_downstream_on_deny: Vec<String>,
        /// Headers of its answer that the client gets when it allows.
        "headersToDownstreamOnAllow" => headers_to_downstream_on_allow: Vec<String>,
        /// Whether the route is chosen anew when it changed headers.
        "clearRouteCache" => clear_route_cache: Option<bool>,
    }
}

wire! {
    /// `envoyExtAuthzGrpc`.
    pub struct ExternalAuthorizationGrpc {
        /// The service, `HOST` or `NAMESPACE/HOST`.
        "service" => service: Option<String>,
        /// Its port.
        "port" => port: Option<u32>,
        /// How long its answer may take; 600s when absent.
        "timeout" => timeout: Option<Timespan>,
        /// Whether requests pass when it cannot be reached.
        "failOpen" => fail_open: Option<bool>,
        /// The status of requests that are denied because it cannot be reached; 403 when absent.
        "statusOnError" => status_on_error: Option<String>,
        /// Whether it sees the body.
        "includeRequestBodyInCheck" => include_request_body_in_check: Option<RequestBody>,
        /// Whether the route is chosen anew when it changed headers.
        "clearRouteCache" => clear_route_cache: Option<bool>,
    }
}

wire! {
    /// How much of a request's body an authorizer sees.
    pub struct RequestBody {
        /// Bytes at most.
        "maxRequestBytes" => max_request_bytes: Option<u32>,
        /// Whether a longer body is cut off; else the request is answered with 413.
        "allowPartialMessage" => allow_partial_message: Option<bool>,
        /// Whether the body is sent as bytes; else as text in UTF-8.
        "packAsBytes" => pack_as_bytes: Option<bool>,
    }
}
