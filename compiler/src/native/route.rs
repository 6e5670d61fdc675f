//! The routes of a VirtualService: one for each pair of a rule and one of its matches.

use super::binding::Bound;
use super::delegation::{Rule, rules};
use super::header_operations::put_operations;
use super::request_match::request_match;
use super::{Site, action, cors, fault, redirect};
use crate::envoy::put;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;
use mesh_policy_istio::virtual_service::HttpMatchRequest;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How long Envoy lets the name of a query parameter be.
const LONGEST_PARAMETER: usize = 1024;

/// One of Envoy's routes.
#[derive(Debug, Clone)]
pub(super) struct Route {
    pub config: Value,
    /// Whether it holds for every request, so that it has to stand behind all others of its virtual host.
    pub catch_all: bool,
}

/// Nothing behind the first catch-all can be reached, and nothing is emitted there. A match for another port, gateway or
/// source is passed over.
pub(super) fn routes(
    resources: &[Resource],
    (resource, spec): Bound<'_>,
    gateway: &str,
    site: &Site<'_>,
    problems: &mut Problems,
) -> Vec<Route> {
    let mut routes = Vec::new();
    for rule in rules(resources, resource, spec) {
        if rule.http.matches.is_empty() {
            routes.push(Route { catch_all: true, ..route(&rule, None, site, problems) });
            break;
        }
        for found in rule.http.matches.iter().filter(|found| applies(found, gateway, site)) {
            let route = route(&rule, Some(found), site, problems);
            let last = route.catch_all;
            routes.push(route);
            if last {
                return routes;
            }
        }
    }
    routes
}

/// What is known before any request arrives.
fn applies(found: &HttpMatchRequest, gateway: &str, site: &Site<'_>) -> bool {
    let port = found.port.unwrap_or(0);
    if port != 0 && port != u32::from(site.port) {
        return false;
    }
    // Naming gateways switches off the conditions on the source.
    if !found.gateways.is_empty() {
        return found.gateways.iter().any(|name| name == gateway);
    }
    let nothing = BTreeMap::new();
    let namespace = found.source_namespace.as_deref().unwrap_or_default();
    let labels = site.proxy.labels.as_ref().unwrap_or(&nothing);
    found.source_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
        && (namespace.is_empty() || namespace == site.proxy.namespace)
}

fn route(rule: &Rule, found: Option<&HttpMatchRequest>, site: &Site<'_>, problems: &mut Problems) -> Route {
    let http = &rule.http;
    let matched = request_match(found);
    for name in found.iter().flat_map(|found| found.query_params.keys()) {
        if name.is_empty() || name.len() > LONGEST_PARAMETER {
            let message = format!(
                "Envoy's own routes take names of query parameters of 1 to {LONGEST_PARAMETER} bytes, found {}",
                name.len()
            );
            problems.error(rule.path.field("match"), ProblemKind::Unsupported, message);
        }
    }
    let mut config = Map::new();
    let mut name = http.name.clone().unwrap_or_default();
    if let Some(of_match) = found.and_then(|found| found.name.as_deref()).filter(|name| !name.is_empty()) {
        name = format!("{name}.{of_match}");
    }
    put(&mut config, "name", json!(name));
    put(&mut config, "match", matched.config);
    let statistics = found.and_then(|found| found.stat_prefix.as_deref()).filter(|text| !text.is_empty());
    put(&mut config, "stat_prefix", json!(statistics));
    let mut blocks = vec![http.headers.as_deref()];
    if let Some(to) = &http.redirect {
        put(&mut config, "redirect", redirect::redirect(to, site.port));
    } else if let Some(response) = &http.direct_response {
        put(&mut config, "direct_response", redirect::direct_response(response));
    } else {
        put(&mut config, "route", action::forward(http, site));
        // The operations of a single destination join those of the rule; several keep their own.
        if let [only] = http.route.as_slice() {
            blocks.push(only.headers.as_deref());
        }
    }
    put_operations(&mut config, &blocks);
    let mut filters = Map::new();
    if let Some(wanted) = &http.fault
        && let Some(settings) = fault::fault(wanted, &rule.path.field("fault"), problems)
    {
        put(&mut filters, "envoy.filters.http.fault", settings);
    }
    if let Some(policy) = &http.cors_policy {
        put(&mut filters, "envoy.filters.http.cors", cors::cors(policy));
    }
    if !filters.is_empty() {
        put(&mut config, "typed_per_filter_config", Value::Object(filters));
    }
    Route { config: Value::Object(config), catch_all: matched.catch_all }
}
