//! `VirtualService`: where a request goes.

use crate::decode::{Bytes, Context, Decode, Timespan, wire, wire_enum};
use crate::map::Map;
use crate::node::Node;
use crate::problem::ProblemKind;
use std::collections::BTreeMap;

wire! {
    /// `spec` of a VirtualService.
    pub struct VirtualService {
        /// The hosts it speaks for; empty makes it a delegate.
        "hosts" => hosts: Vec<String>,
        /// The gateways, or `mesh`, at which it applies.
        "gateways" => gateways: Vec<String>,
        /// The HTTP rules, first match wins.
        "http" => http: Vec<HttpRoute>,
        /// The TLS rules, by SNI.
        "tls" => tls: Vec<TlsRoute>,
        /// The TCP rules.
        "tcp" => tcp: Vec<TcpRoute>,
        /// The namespaces that see it.
        "exportTo" => export_to: Vec<String>,
    }
}

wire! {
    /// One HTTP rule.
    pub struct HttpRoute {
        /// Its name in logs.
        "name" => name: Option<String>,
        /// Any of these selects the rule; none at all selects every request.
        "match" => matches: Vec<HttpMatchRequest>,
        /// Where to forward to.
        "route" => route: Vec<HttpRouteDestination>,
        /// Answer with a redirect instead.
        "redirect" => redirect: Option<Box<HttpRedirect>>,
        /// Answer with a fixed response instead.
        "directResponse" => direct_response: Option<Box<HttpDirectResponse>>,
        /// Hand over to another VirtualService.
        "delegate" => delegate: Option<Delegate>,
        /// Change path and authority before forwarding.
        "rewrite" => rewrite: Option<Box<HttpRewrite>>,
        /// Bound on the whole request, retries included.
        "timeout" => timeout: Option<Timespan>,
        /// When to try again.
        "retries" => retries: Option<Box<HttpRetry>>,
        /// Delays and aborts.
        "fault" => fault: Option<Box<HttpFaultInjection>>,
        /// Where a copy goes.
        "mirror" => mirror: Option<Destination>,
        /// Where copies go.
        "mirrors" => mirrors: Vec<HttpMirrorPolicy>,
        /// Deprecated: share of requests mirrored, in whole percent.
        "mirrorPercent" => mirror_percent: Option<u32>,
        /// Share of requests mirrored.
        "mirrorPercentage" => mirror_percentage: Option<Percent>,
        /// Cross-origin rules.
        "corsPolicy" => cors_policy: Option<Box<CorsPolicy>>,
        /// Header operations for all destinations.
        "headers" => headers: Option<Box<Headers>>,
    }
}

wire! {
    /// Conditions that must all hold.
    pub struct HttpMatchRequest {
        /// Its name in logs, behind the rule's.
        "name" => name: Option<String>,
        /// The path, without query.
        "uri" => uri: Option<StringMatch>,
        /// The scheme.
        "scheme" => scheme: Option<StringMatch>,
        /// The method.
        "method" => method: Option<StringMatch>,
        /// The authority, port included.
        "authority" => authority: Option<StringMatch>,
        /// Headers that must match.
        "headers" => headers: Map<StringMatch>,
        /// Headers that must not match; `null` stands for "must be absent".
        "withoutHeaders" => without_headers: Map<Option<StringMatch>>,
        /// Query parameters that must match.
        "queryParams" => query_params: Map<StringMatch>,
        /// The port that the listener serves.
        "port" => port: Option<u32>,
        /// Labels of the calling proxy.
        "sourceLabels" => source_labels: Map<String>,
        /// Namespace of the calling proxy.
        "sourceNamespace" => source_namespace: Option<String>,
        /// Gateways at which this match applies.
        "gateways" => gateways: Vec<String>,
        /// Compare exact and prefix uris without regard to case.
        "ignoreUriCase" => ignore_uri_case: Option<bool>,
        /// Name for statistics.
        "statPrefix" => stat_prefix: Option<String>,
    }
}

/// `exact`, `prefix` or `regex`; the empty object asks for presence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StringMatch {
    /// `{}`: the attribute must be there.
    #[default]
    Present,
    /// Byte equality.
    Exact(String),
    /// A prefix, by bytes.
    Prefix(String),
    /// An RE2 expression for the whole value.
    Regex(String),
}

/// How a [`StringMatch`] is written.
mod written {
    use crate::decode::wire;

    wire! {
        /// The object, of whose fields one at most may be there.
        pub struct StringMatch {
            /// Equality.
            "exact" => exact: Option<String>,
            /// Prefix.
            "prefix" => prefix: Option<String>,
            /// Expression.
            "regex" => regex: Option<String>,
        }
    }
}

impl StringMatch {
    /// The names of its fields, as they are written.
    pub const FIELDS: &'static [&'static str] = written::StringMatch::FIELDS;
}

impl Decode for StringMatch {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        use written::StringMatch as Written;
        match Written::decode(node, cx)? {
            Written { exact: None, prefix: None, regex: None } => Some(Self::Present),
            Written { exact: Some(text), prefix: None, regex: None } => Some(Self::Exact(text)),
            Written { exact: None, prefix: Some(text), regex: None } => Some(Self::Prefix(text)),
            Written { exact: None, prefix: None, regex: Some(text) } => Some(Self::Regex(text)),
            Written { .. } => {
                cx.error(
                    ProblemKind::Conflict,
                    "expected one of `exact`, `prefix` and `regex`, found more than one",
                );
                None
            }
        }
    }
}

wire! {
    /// A destination with its share and its header operations.
    pub struct HttpRouteDestination {
        /// Where to.
        "destination" => destination: Option<Destination>,
        /// Its share of the sum of all weights.
        "weight" => weight: Option<i32>,
        /// Header operations for this destination only.
        "headers" => headers: Option<Box<Headers>>,
    }
}

wire! {
    /// A service, a subset of it, a port of it.
    pub struct Destination {
        /// The service.
        "host" => host: Option<String>,
        /// A subset that a DestinationRule defines.
        "subset" => subset: Option<String>,
        /// The service port.
        "port" => port: Option<PortSelector>,
    }
}

wire! {
    /// A port by number.
    pub struct PortSelector {
        /// 1 to 65535.
        "number" => number: Option<u32>,
    }
}

wire! {
    /// Header operations in both directions.
    pub struct Headers {
        /// On the way to the destination.
        "request" => request: Option<HeaderOperations>,
        /// On the way back.
        "response" => response: Option<HeaderOperations>,
    }
}

wire! {
    /// Header operations in one direction.
    pub struct HeaderOperations {
        /// Overwrite or create.
        "set" => set: Map<String>,
        /// Append a line.
        "add" => add: Map<String>,
        /// Delete.
        "remove" => remove: Vec<String>,
    }
}

wire! {
    /// An answer that sends the client elsewhere.
    pub struct HttpRedirect {
        /// Replaces the whole path.
        "uri" => uri: Option<String>,
        /// Replaces the matched prefix.
        "prefixRewrite" => prefix_rewrite: Option<String>,
        /// The new host.
        "authority" => authority: Option<String>,
        /// The new port.
        "port" => port: Option<u32>,
        /// Where the new port comes from.
        "derivePort" => derive_port: Option<RedirectPortSelection>,
        /// The new scheme.
        "scheme" => scheme: Option<String>,
        /// 301, 302, 303, 307 or 308.
        "redirectCode" => redirect_code: Option<u32>,
    }
}

wire_enum! {
    /// Where the port of a redirect comes from.
    pub enum RedirectPortSelection {
        /// The scheme's own port: none is written.
        "FROM_PROTOCOL_DEFAULT" = 0 => FromProtocolDefault,
        /// The port that the listener serves.
        "FROM_REQUEST_PORT" = 1 => FromRequestPort,
    }
}

wire! {
    /// A fixed answer.
    pub struct HttpDirectResponse {
        /// 200 to 599.
        "status" => status: Option<u32>,
        /// What it says.
        "body" => body: Option<HttpBody>,
    }
}

wire! {
    /// The body of a fixed answer.
    pub struct HttpBody {
        /// As text.
        "string" => string: Option<String>,
        /// As base64.
        "bytes" => bytes: Option<Bytes>,
    }
}

wire! {
    /// The VirtualService that takes over.
    pub struct Delegate {
        /// Its name.
        "name" => name: Option<String>,
        /// Its namespace; the root's own when absent.
        "namespace" => namespace: Option<String>,
    }
}

wire! {
    /// Changes of path and authority.
    pub struct HttpRewrite {
        /// Replaces the matched part of the path.
        "uri" => uri: Option<String>,
        /// The new authority.
        "authority" => authority: Option<String>,
        /// Search and replace on the path.
        "uriRegexRewrite" => uri_regex_rewrite: Option<RegexRewrite>,
    }
}

wire! {
    /// Search and replace.
    pub struct RegexRewrite {
        /// What to look for, anywhere in the path.
        "match" => pattern: Option<String>,
        /// What to put there; `\1` stands for the first group.
        "rewrite" => rewrite: Option<String>,
    }
}

wire! {
    /// When to try again.
    pub struct HttpRetry {
        /// Tries after the first.
        "attempts" => attempts: Option<i32>,
        /// Bound on each try.
        "perTryTimeout" => per_try_timeout: Option<Timespan>,
        /// Comma-separated reasons.
        "retryOn" => retry_on: Option<String>,
        /// Status codes that count as failures, beside numbers in `retryOn`.
        "retriableStatusCodes" => retriable_status_codes: Vec<u32>,
        /// Whether other localities may be tried.
        "retryRemoteLocalities" => retry_remote_localities: Option<bool>,
        /// Whether hosts that failed are avoided.
        "retryIgnorePreviousHosts" => retry_ignore_previous_hosts: Option<bool>,
        /// Base interval between tries.
        "backoff" => backoff: Option<Timespan>,
    }
}

wire! {
    /// Faults to inject.
    pub struct HttpFaultInjection {
        /// Hold the request.
        "delay" => delay: Option<FaultDelay>,
        /// Answer with a failure.
        "abort" => abort: Option<FaultAbort>,
    }
}

wire! {
    /// Hold the request.
    pub struct FaultDelay {
        /// For how long.
        "fixedDelay" => fixed_delay: Option<Timespan>,
        /// Not supported by Istio.
        "exponentialDelay" => exponential_delay: Option<Timespan>,
        /// Share of requests.
        "percentage" => percentage: Option<Percent>,
        /// Deprecated: share in whole percent.
        "percent" => percent: Option<i32>,
    }
}

wire! {
    /// Answer with a failure.
    pub struct FaultAbort {
        /// The HTTP status.
        "httpStatus" => http_status: Option<i32>,
        /// The gRPC status, by name.
        "grpcStatus" => grpc_status: Option<String>,
        /// Not supported by Istio.
        "http2Error" => http2_error: Option<String>,
        /// Share of requests.
        "percentage" => percentage: Option<Percent>,
    }
}

wire! {
    /// A share of requests.
    pub struct Percent {
        /// 0 to 100.
        "value" => value: Option<f64>,
    }
}

wire! {
    /// Where a copy goes, and of how many requests.
    pub struct HttpMirrorPolicy {
        /// Where to.
        "destination" => destination: Option<Destination>,
        /// Share of requests; all when absent.
        "percentage" => percentage: Option<Percent>,
    }
}

wire! {
    /// Cross-origin rules.
    pub struct CorsPolicy {
        /// Origins, any may match.
        "allowOrigins" => allow_origins: Vec<StringMatch>,
        /// Deprecated: origins by equality.
        "allowOrigin" => allow_origin: Vec<String>,
        /// Methods.
        "allowMethods" => allow_methods: Vec<String>,
        /// Request headers.
        "allowHeaders" => allow_headers: Vec<String>,
        /// Response headers that scripts may read.
        "exposeHeaders" => expose_headers: Vec<String>,
        /// How long a preflight may be cached.
        "maxAge" => max_age: Option<Timespan>,
        /// Whether credentials may be sent.
        "allowCredentials" => allow_credentials: Option<bool>,
        /// What becomes of preflights from other origins.
        "unmatchedPreflights" => unmatched_preflights: Option<UnmatchedPreflights>,
    }
}

wire_enum! {
    /// What becomes of preflights from origins that are not allowed.
    pub enum UnmatchedPreflights {
        /// Istio's default, which forwards.
        "UNSPECIFIED" = 0 => Unspecified,
        /// To the upstream.
        "FORWARD" = 1 => Forward,
        /// Answered here, without permission.
        "IGNORE" = 2 => Ignore,
    }
}

wire! {
    /// One TLS rule.
    pub struct TlsRoute {
        /// Any of these selects the rule.
        "match" => matches: Vec<TlsMatchAttributes>,
        /// Where to forward to.
        "route" => route: Vec<RouteDestination>,
    }
}

wire! {
    /// Conditions on a TLS connection.
    pub struct TlsMatchAttributes {
        /// Server names.
        "sniHosts" => sni_hosts: Vec<String>,
        /// Destination networks.
        "destinationSubnets" => destination_subnets: Vec<String>,
        /// Port.
        "port" => port: Option<u32>,
        /// Labels of the calling proxy.
        "sourceLabels" => source_labels: BTreeMap<String, String>,
        /// Gateways at which this match applies.
        "gateways" => gateways: Vec<String>,
        /// Namespace of the calling proxy.
        "sourceNamespace" => source_namespace: Option<String>,
    }
}

wire! {
    /// One TCP rule.
    pub struct TcpRoute {
        /// Any of these selects the rule.
        "match" => matches: Vec<L4MatchAttributes>,
        /// Where to forward to.
        "route" => route: Vec<RouteDestination>,
    }
}

wire! {
    /// Conditions on a TCP connection.
    pub struct L4MatchAttributes {
        /// Destination networks.
        "destinationSubnets" => destination_subnets: Vec<String>,
        /// Port.
        "port" => port: Option<u32>,
        /// Deprecated: source network.
        "sourceSubnet" => source_subnet: Option<String>,
        /// Labels of the calling proxy.
        "sourceLabels" => source_labels: BTreeMap<String, String>,
        /// Gateways at which this match applies.
        "gateways" => gateways: Vec<String>,
        /// Namespace of the calling proxy.
        "sourceNamespace" => source_namespace: Option<String>,
    }
}

wire! {
    /// A destination of a connection.
    pub struct RouteDestination {
        /// Where to.
        "destination" => destination: Option<Destination>,
        /// Its share.
        "weight" => weight: Option<i32>,
    }
}
