//! The headers by which the filters tell Envoy's router what to do: the contract between filters and compiled configuration.
//!
//! A client's own copies never count and never reach the upstream: the filters drop them from every request, and the
//! compiled routes drop what the filters set once a route and its cluster are chosen.

/// All control headers of this project begin with this.
pub const PREFIX: &str = "x-mesh-policy-";

/// The cluster that the catch-all route forwards to (`cluster_header`).
pub const CLUSTER: &str = "x-mesh-policy-cluster";

/// The forwarding profile of the matched rule, if it has one: selects the catch-all route with its mirrors and retries.
pub const PROFILE: &str = "x-mesh-policy-profile";

/// The external authorizer that a CUSTOM policy has Envoy ask about the request. It does not live long: Envoy makes metadata
/// of it, which its ext_authz filter goes by, before anybody else sees the header.
pub const EXT_AUTHZ: &str = "x-mesh-policy-ext-authz";

/// The namespace and the key of the metadata that [`EXT_AUTHZ`] becomes.
pub const EXT_AUTHZ_METADATA: (&str, &str) = ("mesh_policy.ext_authz", "provider");

/// Every header of ours that outlives the filters, for the routes that remove them.
pub const ALL: [&str; 2] = [CLUSTER, PROFILE];

/// Headers by which Envoy's router takes orders from whoever sends them.
pub const ENVOY_ORDERS: &[&str] = &[
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-max-retries",
    "x-envoy-original-path",
    "x-envoy-retriable-header-names",
    "x-envoy-retriable-status-codes",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-alt-response",
    "x-envoy-upstream-rq-timeout-ms",
    "x-envoy-upstream-stream-duration-ms",
];

/// Whether a request header is an order that only a filter may give.
#[must_use]
#[inline]
pub fn is_control_header(name: &[u8]) -> bool {
    // Asked of every header of every request, and few begin like this.
    let is_extension = matches!(name, [b'x', b'-', ..]);
    is_extension
        && (name.starts_with(PREFIX.as_bytes())
            || (name.starts_with(b"x-envoy-") && ENVOY_ORDERS.iter().any(|order| order.as_bytes() == name)))
}

/// The filter state under which the first filter that matches a request publishes its choice for the later ones.
pub const ROUTE_FILTER_STATE: &str = "mesh_policy.route";

/// The filter state under which the denial's reason is published for access logs: the rule that denied, or `none` and the
/// ALLOW rule that lacked least.
pub const AUTHZ_FILTER_STATE: &str = "mesh_policy.authz";

/// The filter state with the CUSTOM rule by which an external authorizer was asked.
pub const CUSTOM_FILTER_STATE: &str = "mesh_policy.authz_custom";

/// The filter state with the AUDIT rule that a request matched.
pub const AUDIT_FILTER_STATE: &str = "mesh_policy.authz_audit";

/// The filter state with what the DENY policies on trial would have done: `denied:ns[x]-policy[y]-rule[0]`, `allowed:none`.
pub const SHADOW_DENY_FILTER_STATE: &str = "mesh_policy.authz_shadow_deny";

/// The filter state with what the ALLOW policies on trial would have done.
pub const SHADOW_ALLOW_FILTER_STATE: &str = "mesh_policy.authz_shadow_allow";

/// The response header that tells the client why it was denied, where the configuration asks for that.
pub const DENIED_BY: &str = "x-mesh-policy-denied-by";

/// The filter state in which the compiled listener hands the filters the direct peer's address, without port: a Wasm filter
/// can only ask Envoy for the address that forwarding headers may have replaced.
pub const DIRECT_REMOTE_IP_FILTER_STATE: &str = "mesh_policy.direct_remote_ip";

/// The filter state in which the compiled listener hands the filters all URI SANs of the peer's certificate, separated by
/// `,`: a Wasm filter can only ask Envoy for the first one.
pub const PEER_URI_SANS_FILTER_STATE: &str = "mesh_policy.peer_uri_sans";
