//! VirtualService and AuthorizationPolicy as Envoy's own configuration: routes, weighted clusters, the fault, CORS and RBAC
//! filters, in the shape that Istio's control plane gives them.
//!
//! Nothing here uses the evaluators of the filters. Both engines read the same resources and must answer every request alike:
//! what each gets wrong the other shows.

mod action;
mod authz;
pub(crate) mod binding;
mod claim;
mod cors;
mod delegation;
mod fault;
mod header_operations;
mod matcher;
mod redirect;
mod request_match;
mod retry;
mod route;
mod virtual_host;

use crate::envoy::extension;
use crate::ext_authz::Providers;
use crate::gateway::Listener;
use crate::visibility;
use authz::Traffic;
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::{Resource, Spec};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The proxy that routes are made for, and the services that it sees.
pub(crate) struct Site<'a> {
    pub proxy: &'a ProxyContext,
    /// The port that the listener serves, as the Gateway numbers it.
    pub port: u16,
    /// The ports of each visible service.
    services: BTreeMap<&'a str, Vec<u16>>,
}

impl<'a> Site<'a> {
    pub(crate) fn new(resources: &'a [Resource], proxy: &'a ProxyContext, port: u16) -> Self {
        let mut services: BTreeMap<&str, Vec<u16>> = BTreeMap::new();
        for resource in resources {
            let Spec::ServiceEntry(spec) = &resource.spec else { continue };
            if !visibility::is_visible(&spec.export_to, resource.namespace(), &proxy.namespace) {
                continue;
            }
            for host in &spec.hosts {
                let numbers = spec.ports.iter().filter_map(|port| port.number);
                services
                    .entry(host)
                    .or_default()
                    .extend(numbers.filter_map(|number| u16::try_from(number).ok()));
            }
        }
        Self { proxy, port, services }
    }

    /// The port of a destination that names none: the service's only one, else the one that the listener serves.
    fn default_port(&self, host: &str) -> u16 {
        match self.services.get(host).map(Vec::as_slice) {
            Some([only]) => *only,
            _ => self.port,
        }
    }
}

/// The HTTP filters and the route configuration of a gateway's listener.
pub(crate) fn decisions(
    resources: &[Resource],
    listener: &Listener<'_>,
    proxy: &ProxyContext,
    problems: &mut Problems,
) -> (Vec<Value>, Value) {
    let filters = http_filters(http_filters_for_policies(resources, proxy, problems), listener.grpc_web);
    (filters, route_config(resources, listener, proxy, problems))
}

/// The RBAC filters that enforce the AuthorizationPolicies of `resources` for HTTP at this proxy; none when no policy applies.
///
/// Values that Istio refuses are errors in `problems`; so are policies that cannot be carried out.
pub fn http_filters_for_policies(
    resources: &[Resource],
    proxy: &ProxyContext,
    problems: &mut Problems,
) -> Vec<Value> {
    authz::filters(resources, proxy, Traffic::Http, problems)
}

/// [`http_filters_for_policies`] for connections that are not known to carry HTTP: network filters.
pub fn network_filters_for_policies(
    resources: &[Resource],
    proxy: &ProxyContext,
    problems: &mut Problems,
) -> Vec<Value> {
    authz::filters(resources, proxy, Traffic::Tcp, problems)
}

/// The filters that carry out CUSTOM policies for HTTP at this proxy: to stand in front of all others that decide.
pub fn http_filters_for_custom(
    resources: &[Resource],
    proxy: &ProxyContext,
    providers: &Providers,
    problems: &mut Problems,
) -> Vec<Value> {
    authz::custom_filters(resources, proxy, Traffic::Http, providers, problems)
}

/// [`http_filters_for_custom`] for connections to the local `port` that are not known to carry HTTP: network filters.
///
/// A provider that is asked over HTTP cannot be asked about them. That is an error, unless the rules are for other ports: Istio
/// lets such connections pass.
pub fn network_filters_for_custom(
    resources: &[Resource],
    proxy: &ProxyContext,
    port: u16,
    providers: &Providers,
    problems: &mut Problems,
) -> Vec<Value> {
    authz::refuse_unasked(resources, proxy, port, providers, problems);
    authz::custom_filters(resources, proxy, Traffic::Tcp, providers, problems)
}

/// The route configuration of a gateway's listener.
fn route_config(
    resources: &[Resource],
    listener: &Listener<'_>,
    proxy: &ProxyContext,
    problems: &mut Problems,
) -> Value {
    let site = Site::new(resources, proxy, listener.opening.gateway_port);
    json!({
        "name": listener.route_config_name(),
        "validate_clusters": false,
        "ignore_port_in_host_matching": true,
        "max_direct_response_body_size_bytes": 1_048_576,
        "virtual_hosts": virtual_host::virtual_hosts(resources, &listener.servers, &site, problems),
    })
}

/// The HTTP filters of a gateway's listener, in Istio's order.
fn http_filters(authorization: Vec<Value>, grpc_web: bool) -> Vec<Value> {
    let filter = |name: &str, kind: &str| {
        let extensions = "envoy.extensions.filters.http";
        extension(&format!("envoy.filters.http.{name}"), &format!("{extensions}.{name}.v3.{kind}"), json!({}))
    };
    let mut filters = authorization;
    if grpc_web {
        filters.push(filter("grpc_web", "GrpcWeb"));
    }
    filters.extend([filter("fault", "HTTPFault"), filter("cors", "Cors"), filter("router", "Router")]);
    filters
}

#[cfg(test)]
mod tests;
