//! The rules of a VirtualService, those of its delegates in their places.

use crate::visibility::is_visible;
use mesh_policy_core::host_name::{resolve, resolve_gateway};
use mesh_policy_istio::map::Map;
use mesh_policy_istio::path::Path;
use mesh_policy_istio::resource::{Resource, Spec};
use mesh_policy_istio::virtual_service::{
    Destination, HttpMatchRequest, HttpRoute, StringMatch, VirtualService,
};

/// A rule with all names in full, and where it stands.
pub(super) struct Rule {
    pub http: HttpRoute,
    pub path: Path,
}

/// One level of delegation. A delegate that is missing or not exported takes its rule away; of a delegate only the rules go
/// that contradict the root's.
pub(super) fn rules(resources: &[Resource], resource: &Resource, spec: &VirtualService) -> Vec<Rule> {
    let mut rules = Vec::new();
    for own in own_rules(resource, spec) {
        let Some(to) = own.http.delegate.clone() else {
            rules.push(own);
            continue;
        };
        let namespace = to.namespace.filter(|namespace| !namespace.is_empty());
        let namespace = namespace.unwrap_or_else(|| resource.namespace().to_owned());
        let name = to.name.unwrap_or_default();
        let delegate = resources.iter().find_map(|other| match &other.spec {
            Spec::VirtualService(spec) => (other.name() == name
                && other.namespace() == namespace
                && spec.hosts.is_empty()
                && is_visible(&spec.export_to, &namespace, resource.namespace()))
            .then_some((other, spec)),
            _ => None,
        });
        let Some((other, spec)) = delegate else { continue };
        let merged = own_rules(other, spec)
            .filter(|rule| rule.http.delegate.is_none())
            .filter_map(|rule| Some(Rule { http: merged(&own.http, rule.http)?, path: rule.path }));
        rules.extend(merged);
    }
    rules
}

fn own_rules(resource: &Resource, spec: &VirtualService) -> impl Iterator<Item = Rule> {
    let namespace = resource.namespace().to_owned();
    let at = resource.spec_path().field("http");
    spec.http
        .iter()
        .enumerate()
        .map(move |(index, http)| Rule { http: in_full(http, &namespace), path: at.index(index) })
}

fn in_full(http: &HttpRoute, namespace: &str) -> HttpRoute {
    let mut http = http.clone();
    let name = |destination: &mut Destination| {
        destination.host = destination.host.as_deref().map(|host| resolve(host, namespace));
    };
    http.route.iter_mut().filter_map(|route| route.destination.as_mut()).for_each(name);
    http.mirrors.iter_mut().filter_map(|mirror| mirror.destination.as_mut()).for_each(name);
    http.mirror.iter_mut().for_each(name);
    for gateway in http.matches.iter_mut().flat_map(|found| found.gateways.iter_mut()) {
        *gateway = resolve_gateway(gateway, namespace);
    }
    http
}

/// What the delegate says counts; where it is silent, the root's word does. `None` when no match of one of its own agrees
/// with the root's.
fn merged(root: &HttpRoute, delegate: HttpRoute) -> Option<HttpRoute> {
    let root = root.clone();
    Some(HttpRoute {
        name: joined(root.name, delegate.name),
        matches: merged_matches(&root.matches, delegate.matches)?,
        route: delegate.route,
        redirect: delegate.redirect,
        delegate: None,
        direct_response: delegate.direct_response.or(root.direct_response),
        rewrite: delegate.rewrite.or(root.rewrite),
        timeout: delegate.timeout.or(root.timeout),
        retries: delegate.retries.or(root.retries),
        fault: delegate.fault.or(root.fault),
        mirror: delegate.mirror.or(root.mirror),
        mirrors: if delegate.mirrors.is_empty() { root.mirrors } else { delegate.mirrors },
        mirror_percent: delegate.mirror_percent.or(root.mirror_percent),
        mirror_percentage: delegate.mirror_percentage.or(root.mirror_percentage),
        cors_policy: delegate.cors_policy.or(root.cors_policy),
        headers: delegate.headers.or(root.headers),
    })
}

fn joined(root: Option<String>, delegate: Option<String>) -> Option<String> {
    let text = |name: Option<String>| name.filter(|name| !name.is_empty());
    match (text(root), text(delegate)) {
        (Some(root), Some(delegate)) => Some(format!("{root}-{delegate}")),
        (root, delegate) => root.or(delegate),
    }
}

fn merged_matches(
    root: &[HttpMatchRequest],
    delegate: Vec<HttpMatchRequest>,
) -> Option<Vec<HttpMatchRequest>> {
    if root.is_empty() {
        return Some(delegate);
    }
    if delegate.is_empty() {
        return Some(root.to_vec());
    }
    let mut all = Vec::new();
    for leaf in delegate {
        let before = all.len();
        all.extend(root.iter().filter(|root| !conflict(root, &leaf)).map(|root| merged_match(root, &leaf)));
        if all.len() == before {
            return None;
        }
    }
    Some(all)
}

fn merged_match(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> HttpMatchRequest {
    fn united<V: Clone>(root: &Map<V>, leaf: &Map<V>) -> Map<V> {
        let mut all = root.clone();
        for (key, value) in leaf {
            all.insert(key.clone(), value.clone());
        }
        all
    }
    fn text(root: &Option<String>, leaf: &Option<String>) -> Option<String> {
        leaf.clone().filter(|text| !text.is_empty()).or_else(|| root.clone())
    }
    HttpMatchRequest {
        name: joined(root.name.clone(), leaf.name.clone()),
        uri: leaf.uri.clone().or_else(|| root.uri.clone()),
        scheme: leaf.scheme.clone().or_else(|| root.scheme.clone()),
        method: leaf.method.clone().or_else(|| root.method.clone()),
        authority: leaf.authority.clone().or_else(|| root.authority.clone()),
        headers: united(&root.headers, &leaf.headers),
        without_headers: united(&root.without_headers, &leaf.without_headers),
        query_params: united(&root.query_params, &leaf.query_params),
        port: leaf.port.filter(|port| *port != 0).or(root.port),
        source_labels: united(&root.source_labels, &leaf.source_labels),
        source_namespace: text(&root.source_namespace, &leaf.source_namespace),
        gateways: if leaf.gateways.is_empty() { root.gateways.clone() } else { leaf.gateways.clone() },
        ignore_uri_case: leaf.ignore_uri_case.or(root.ignore_uri_case),
        stat_prefix: text(&root.stat_prefix, &leaf.stat_prefix),
    }
}

fn conflict(root: &HttpMatchRequest, leaf: &HttpMatchRequest) -> bool {
    let texts = [
        (&root.uri, &leaf.uri),
        (&root.scheme, &leaf.scheme),
        (&root.method, &leaf.method),
        (&root.authority, &leaf.authority),
    ];
    let values = |root: &Map<StringMatch>, leaf: &Map<StringMatch>| {
        root.iter().any(|(key, root)| leaf.get(key).is_some_and(|leaf| text_conflict(root, leaf)))
    };
    let absent = root.without_headers.iter().any(|(key, root)| {
        let leaf = leaf.without_headers.get(key).and_then(Option::as_ref);
        root.as_ref().zip(leaf).is_some_and(|(root, leaf)| text_conflict(root, leaf))
    });
    let ports = [root.port, leaf.port].map(Option::unwrap_or_default);
    let source = root.source_namespace.as_deref().unwrap_or_default();
    texts.iter().any(|(root, leaf)| {
        root.as_ref().zip(leaf.as_ref()).is_some_and(|(root, leaf)| text_conflict(root, leaf))
    }) || values(&root.headers, &leaf.headers)
        || values(&root.query_params, &leaf.query_params)
        || absent
        || root.ignore_uri_case.unwrap_or_default() != leaf.ignore_uri_case.unwrap_or_default()
        || (!ports.contains(&0) && root.port != leaf.port)
        || (!source.is_empty() && source != leaf.source_namespace.as_deref().unwrap_or_default())
        || root.source_labels.iter().any(|(key, root)| leaf.source_labels.get(key).is_some_and(|l| l != root))
        || (!root.gateways.is_empty()
            && (leaf.gateways.len() > root.gateways.len()
                || leaf.gateways.iter().any(|name| !root.gateways.contains(name))))
}

/// A delegate may only narrow: an exact value to itself, a prefix to a longer one or to an exact value.
fn text_conflict(root: &StringMatch, leaf: &StringMatch) -> bool {
    match (root, leaf) {
        (StringMatch::Exact(root), StringMatch::Exact(leaf)) => root.is_empty() || root != leaf,
        (StringMatch::Prefix(root), StringMatch::Prefix(leaf) | StringMatch::Exact(leaf)) => {
            root.is_empty() || leaf.is_empty() || !leaf.starts_with(root.as_str())
        }
        _ => true,
    }
}
