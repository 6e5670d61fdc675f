//! Where a request goes: VirtualServices compiled and evaluated.
//!
//! ```text
//! VirtualServices, Gateways --compile--> RouteTable          once; every mistake reported
//! request --select--> Selection::Route(RouteMatch)           one virtual host by authority, then its rules in order
//! RouteMatch --choose--> RouteChoice                         the destination drawn, once a request
//! RouteChoice --> local reply, fault, header edits, orders   effects as data
//! ```
//! VirtualServices act where a request leaves a client or enters at a gateway, never on the server's side of the mesh.

use crate::effect::LocalReply;
use crate::order::sort_by;
use crate::proxy::{ProxyContext, ProxyRole};
use crate::request::RequestView;
use assembly::Assembly;
use destination::Setting;
use domain::{Domains, host_of};
use gateway_server::GatewayServer;
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::{Resource, Spec};
use mesh_policy_istio::virtual_service as wire;
use rule::{Rule, RuleAction};
use std::collections::HashMap;
use virtual_host::{Route, VirtualHost};
use virtual_service::VirtualService;

mod assembly;
mod choice;
mod claim;
mod condition;
mod cors;
mod delegate;
mod destination;
mod direct_response;
mod domain;
mod fault;
mod filing;
mod fingerprint;
mod gateway_server;
mod grpc_timeout;
mod header_operations;
mod header_value;
mod mirror;
mod name;
mod observer;
mod place;
mod profile;
mod quantity;
mod re2;
mod reachability;
mod redirect;
mod request_match;
mod retry;
mod rewrite;
mod rule;
mod rule_id;
mod steering;
mod string_matcher;
mod virtual_host;
mod virtual_service;

pub use choice::{Action, RouteChoice, RouteMatch, drop_control_headers};
pub use destination::Destination;
pub use observer::{Excluded, FailedCondition, RouteObserver};
pub use profile::{ForwardingProfile, OwnRetries};
pub use rule_id::RuleId;
pub use steering::Steering;

/// All rules that one proxy serves, ready to run.
#[derive(Debug)]
pub struct RouteTable {
    rules: Vec<Rule>,
    routes: Vec<Route>,
    virtual_hosts: Vec<VirtualHost>,
    domains: Domains,
    is_sidecar: bool,
    /// As text, which is how it is published.
    fingerprint: String,
    steering: Steering,
}

/// What the table says about a request.
#[derive(Debug, Clone, Copy)]
pub enum Selection<'t> {
    /// No VirtualService speaks for this host: at a sidecar, Envoy's own routes apply.
    Unmanaged,
    /// No virtual host serves this host: at a gateway, the answer is 404.
    UnknownHost,
    /// A virtual host serves this host, but none of its rules matched: the answer is 404.
    NoRoute,
    /// This rule matched.
    Route(RouteMatch<'t>),
}

impl RouteTable {
    /// Validates all VirtualServices of `resources`, and the hosts of its Gateways, and assembles what `proxy` serves.
    ///
    /// Whatever is wrong is reported in `problems`, also in resources that do not concern this proxy. A table must not be
    /// used when there are errors.
    #[must_use]
    pub fn compile(resources: &[Resource], proxy: &ProxyContext, problems: &mut Problems) -> Self {
        Self::take(&mut resources.to_vec(), proxy, problems)
    }

    /// The same, with the VirtualServices taken out of `resources`: each of their rules is gone before the next is compiled.
    #[must_use]
    pub fn take(resources: &mut [Resource], proxy: &ProxyContext, problems: &mut Problems) -> Self {
        let taken: Vec<_> = resources.iter_mut().map(|resource| taken(&mut resource.spec)).collect();
        let resources = &*resources;
        let setting = Setting::new(resources, proxy);
        let mut compiled = Vec::new();
        let mut gateways: HashMap<String, Vec<GatewayServer>> = HashMap::new();
        let mut gateway_order = Vec::new();
        for (resource, taken) in resources.iter().zip(taken) {
            if let Some(written) = taken {
                let service = VirtualService::compile(resource, written, &setting, problems);
                compiled.push((resource.order(), service));
                continue;
            }
            match &resource.spec {
                Spec::VirtualService(written) => {
                    let written = written.clone();
                    let service = VirtualService::compile(resource, written, &setting, problems);
                    compiled.push((resource.order(), service));
                }
                Spec::Gateway(written) => {
                    let name = format!("{}/{}", resource.namespace(), resource.name());
                    gateway_order.push((resource.order(), name.clone()));
                    gateways.insert(name, gateway_server::compile(resource, written, problems));
                }
                _ => {}
            }
        }
        sort_by(&mut compiled, |(a, _), (b, _)| a.cmp(b));
        let assembly = Assembly::new(proxy, compiled.into_iter().map(|(_, service)| service).collect());
        match &proxy.role {
            ProxyRole::Sidecar => {
                let mut services: Vec<&str> = setting.services.keys().copied().collect();
                sort_by(&mut services, |a, b| a.cmp(b));
                assembly.sidecar(&services)
            }
            ProxyRole::Gateway(names) => {
                // A gateway whose resource is not here lives in a cluster that knows it: its hosts are not ours to narrow.
                sort_by(&mut gateway_order, Ord::cmp);
                let known = gateway_order.iter().map(|(_, name)| name).filter(|name| names.contains(name));
                let foreign = names.iter().filter(|name| !gateways.contains_key(*name));
                let bindings: Vec<(&str, Vec<GatewayServer>)> = known
                    .chain(foreign)
                    .map(|name| {
                        let servers = gateways.get(name).cloned();
                        (name.as_str(), servers.unwrap_or_else(|| vec![GatewayServer::open()]))
                    })
                    .collect();
                assembly.gateway(&bindings)
            }
        }
    }

    /// What the table's rules need of Envoy's own routes, each once, in the order of their names.
    #[must_use]
    pub fn profiles(&self) -> Vec<&ForwardingProfile> {
        let forwards = self.rules.iter().filter_map(|rule| match &rule.action {
            RuleAction::Forward(forward) => forward.profile.as_ref(),
            RuleAction::Redirect(..) | RuleAction::DirectResponse(..) => None,
        });
        let mut profiles: Vec<_> = forwards.collect();
        sort_by(&mut profiles, |a, b| a.cmp(b));
        profiles.dedup();
        profiles
    }

    /// The first rule that matches `request`, in the one virtual host that speaks for its authority.
    #[must_use]
    pub fn select<'t, O: RouteObserver>(
        &'t self,
        request: &RequestView<'_>,
        observer: &mut O,
    ) -> Selection<'t> {
        let host = host_of(request.authority().unwrap_or_default());
        let found = self.domains.find(&host);
        if O::LISTENS {
            observer.virtual_host(&host, found.map(|(domain, _)| domain), &self.domains.names());
        }
        let Some(virtual_host) = found.and_then(|(_, index)| self.virtual_hosts.get(index)) else {
            return if self.is_sidecar { Selection::Unmanaged } else { Selection::UnknownHost };
        };
        if O::LISTENS {
            virtual_host.tell_excluded(&self.routes, observer);
        }
        // Without a rule for this proxy a service keeps the route that it has without any VirtualService.
        if self.is_sidecar && virtual_host.routes.is_empty() {
            return Selection::Unmanaged;
        }
        if !O::LISTENS {
            let found = virtual_host.find(&self.routes, request);
            let matched = found.and_then(|position| RouteMatch::new(self, position));
            return matched.map_or(Selection::NoRoute, Selection::Route);
        }
        let mut positions = virtual_host.routes.iter();
        while let Some(position) = positions.next() {
            let Some(route) = self.routes.get(*position) else { continue };
            if route.verify(request, observer)
                && let Some(matched) = RouteMatch::new(self, *position)
            {
                let behind = positions.filter_map(|position| self.routes.get(*position));
                behind.for_each(|route| observer.passed_over(&route.id, matched.rule()));
                return Selection::Route(matched);
            }
        }
        Selection::NoRoute
    }

    /// The choice that an earlier filter published; `None` when the text is not from an equal table.
    #[must_use]
    pub fn published(&self, text: &[u8]) -> Option<RouteChoice<'_>> {
        RouteChoice::read(self, text)
    }

    /// How Envoy is told where a request goes.
    #[must_use]
    pub const fn steering(&self) -> &Steering {
        &self.steering
    }

    /// Whether any rule has operations on response headers.
    #[must_use]
    pub fn edits_responses(&self) -> bool {
        self.rules.iter().any(|rule| match &rule.action {
            RuleAction::Forward(forward) => {
                forward.destinations.list().iter().any(|d| !d.response.is_empty())
            }
            RuleAction::Redirect(_, operations) | RuleAction::DirectResponse(_, operations) => {
                !operations.is_empty()
            }
        })
    }

    /// Whether any rule has operations on request headers.
    #[must_use]
    pub fn edits_requests(&self) -> bool {
        self.rules.iter().any(|rule| match &rule.action {
            RuleAction::Forward(forward) => forward.destinations.list().iter().any(|d| !d.request.is_empty()),
            RuleAction::Redirect(..) | RuleAction::DirectResponse(..) => false,
        })
    }

    /// Whether any rule injects faults.
    #[must_use]
    pub fn has_faults(&self) -> bool {
        self.rules.iter().any(|rule| rule.fault.is_some())
    }
}

/// A VirtualService, unless others may delegate to it.
fn taken(spec: &mut Spec) -> Option<wire::VirtualService> {
    match spec {
        Spec::VirtualService(written) if !written.hosts.is_empty() => {
            let written = std::mem::take(written);
            *spec = Spec::Other("VirtualService");
            Some(written)
        }
        _ => None,
    }
}

/// The answer to a request that no rule takes.
#[must_use]
pub fn not_found() -> LocalReply {
    LocalReply {
        status: 404,
        headers: Vec::new(),
        body: Vec::new(),
        grpc_status: None,
        details: "route_not_found".to_owned(),
    }
}

#[cfg(test)]
mod tests;
