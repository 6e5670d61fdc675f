//! `delegate`: rules that another VirtualService, one without hosts, contributes.

use super::destination::Setting;
use super::place::Place;
use super::virtual_service::{CompiledRule, ExportTo};
use crate::host_name::{resolve, resolve_gateway};
use mesh_policy_istio::map::Map;
use mesh_policy_istio::problem::{ProblemKind, Problems, Severity};
use mesh_policy_istio::virtual_service::{
    Delegate, Destination, HttpMatchRequest, HttpRoute, StringMatch, VirtualService,
};
use std::sync::Arc;

/// The rules that the delegate of `root` puts in its place.
pub(super) fn rules(
    http: usize,
    root: &HttpRoute,
    service: &VirtualService,
    namespace: &str,
    setting: &Setting<'_>,
    at: &Place<'_>,
    problems: &mut Problems,
) -> Vec<CompiledRule> {
    // What the root's rule says by itself is judged where it stands.
    let mut own = Problems::new();
    let _ = CompiledRule::compile(http, root, namespace, setting, at, &mut own);
    let root_is_fine = !own.has_errors();
    problems.append(own);
    let Some(Delegate { name, namespace: of }) = &root.delegate else { return Vec::new() };
    let at = at.field("delegate");
    let Some(name) = name.as_deref().filter(|name| !name.is_empty()) else {
        let message = "missing: expected the name of a VirtualService without `hosts`";
        problems.error(at.field("name").path(), ProblemKind::Missing, message);
        return Vec::new();
    };
    if service.hosts.is_empty() {
        let message = "a VirtualService without `hosts` is a delegate and cannot delegate any further";
        problems.error(at.path(), ProblemKind::Conflict, message);
        return Vec::new();
    }
    let owner = of.as_deref().filter(|namespace| !namespace.is_empty()).unwrap_or(namespace);
    let Some(delegate) = setting.delegates.get(&(owner, name)) else {
        let message = format!("expected a VirtualService without `hosts`, found no such `{owner}/{name}`");
        problems.error(at.path(), ProblemKind::UnknownReference, message);
        return Vec::new();
    };
    let mut ignored = Problems::new();
    let exported = ExportTo::compile(&delegate.export_to, owner, &at, &mut ignored);
    if !exported.is_visible(owner, namespace) {
        let message =
            format!("the VirtualService `{owner}/{name}` is not exported to the namespace `{namespace}`");
        problems.error(at.path(), ProblemKind::UnknownReference, message);
        return Vec::new();
    }
    let id: Arc<str> = format!("{owner}/{name}").into();
    let mut rules = Vec::with_capacity(delegate.http.len());
    for (index, rule) in delegate.http.iter().enumerate() {
        let Some(merged) = merge(root, namespace, rule, owner) else { continue };
        let mut own = Problems::new();
        let _ = CompiledRule::compile(index, rule, owner, setting, &at, &mut own);
        let is_fine = root_is_fine && !own.has_errors();
        let mut together = Problems::new();
        let compiled = CompiledRule::compile(http, &merged.rule, owner, setting, &at, &mut together);
        // What either of them gets wrong alone is reported where it stands.
        if is_fine {
            for problem in together.into_iter().filter(|problem| problem.severity == Severity::Error) {
                let message = format!("together with `http[{index}]` of `{id}`: {}", problem.message);
                problems.error(at.path(), problem.kind, message);
            }
        }
        rules.extend(compiled.map(|mut compiled| {
            for (matched, (root, own)) in compiled.matches.iter_mut().zip(&merged.origins) {
                matched.index = *root;
                matched.delegate_index = *own;
            }
            compiled.delegate = Some((id.clone(), index));
            compiled
        }));
    }
    rules
}

/// A rule of a delegate under a rule of its root, and for each of its matches where it comes from: the index in the root's
/// `match` and in the delegate's.
#[derive(Debug)]
struct Merged {
    rule: HttpRoute,
    origins: Vec<(Option<usize>, Option<usize>)>,
}

/// The rule as its delegate's namespace reads it, or `None` when no request can satisfy both.
fn merge(
    root: &HttpRoute,
    root_namespace: &str,
    delegate: &HttpRoute,
    delegate_namespace: &str,
) -> Option<Merged> {
    let root_matches: Vec<_> = root.matches.iter().map(|m| with_gateways(m, root_namespace)).collect();
    let own_matches: Vec<_> = delegate.matches.iter().map(|m| with_gateways(m, delegate_namespace)).collect();
    let (matches, origins) = merge_matches(&root_matches, &own_matches)?;
    let mirror = |mirror: &Option<Destination>| mirror.as_ref().map(|d| with_host(d, root_namespace));
    let mirrors = || {
        root.mirrors.iter().cloned().map(|mut policy| {
            policy.destination = mirror(&policy.destination);
            policy
        })
    };
    let rule = HttpRoute {
        name: joined(root.name.as_deref(), delegate.name.as_deref()),
        matches,
        route: delegate.route.clone(),
        redirect: delegate.redirect.clone(),
        delegate: None,
        direct_response: delegate.direct_response.clone().or_else(|| root.direct_response.clone()),
        rewrite: delegate.rewrite.clone().or_else(|| root.rewrite.clone()),
        timeout: delegate.timeout.or(root.timeout),
        retries: delegate.retries.clone().or_else(|| root.retries.clone()),
        fault: delegate.fault.clone().or_else(|| root.fault.clone()),
        mirror: delegate.mirror.clone().or_else(|| mirror(&root.mirror)),
        mirrors: if delegate.mirrors.is_empty() { mirrors().collect() } else { delegate.mirrors.clone() },
        mirror_percent: delegate.mirror_percent.or(root.mirror_percent),
        mirror_percentage: delegate.mirror_percentage.clone().or_else(|| root.mirror_percentage.clone()),
        cors_policy: delegate.cors_policy.clone().or_else(|| root.cors_policy.clone()),
        headers: delegate.headers.clone().or_else(|| root.headers.clone()),
    };
    Some(Merged { rule, origins })
}

/// Names resolve where they are written, so they must not reach the other namespace short.
fn with_gateways(written: &HttpMatchRequest, namespace: &str) -> HttpMatchRequest {
    let gateways = written.gateways.iter().map(|name| resolve_gateway(name, namespace)).collect();
    HttpMatchRequest { gateways, ..written.clone() }
}

fn with_host(written: &Destination, namespace: &str) -> Destination {
    Destination { host: written.host.as_ref().map(|host| resolve(host, namespace)), ..written.clone() }
}

fn joined(root: Option<&str>, delegate: Option<&str>) -> Option<String> {
    match (root.filter(|name| !name.is_empty()), delegate.filter(|name| !name.is_empty())) {
        (Some(root), Some(delegate)) => Some(format!("{root}-{delegate}")),
        (name, None) | (None, name) => name.map(str::to_owned),
    }
}

type Origins = Vec<(Option<usize>, Option<usize>)>;

fn merge_matches(
    root: &[HttpMatchRequest],
    delegate: &[HttpMatchRequest],
) -> Option<(Vec<HttpMatchRequest>, Origins)> {
    if delegate.is_empty() {
        return Some((root.to_vec(), (0..root.len()).map(|index| (Some(index), None)).collect()));
    }
    if root.is_empty() {
        return Some((delegate.to_vec(), (0..delegate.len()).map(|index| (None, Some(index))).collect()));
    }
    let (mut matches, mut origins) = (Vec::new(), Vec::new());
    for (own_index, own) in delegate.iter().enumerate() {
        let before = matches.len();
        for (root_index, root) in root.iter().enumerate().filter(|(_, root)| !conflict(root, own)) {
            matches.push(merge_match(root, own));
            origins.push((Some(root_index), Some(own_index)));
        }
        // One match of the delegate that no root match leaves room for drops the whole rule.
        if matches.len() == before {
            return None;
        }
    }
    Some((matches, origins))
}

fn merge_match(root: &HttpMatchRequest, own: &HttpMatchRequest) -> HttpMatchRequest {
    fn united<V: Clone>(root: &Map<V>, own: &Map<V>) -> Map<V> {
        let mut united = root.clone();
        for (key, value) in own {
            united.insert(key.clone(), value.clone());
        }
        united
    }
    HttpMatchRequest {
        name: joined(root.name.as_deref(), own.name.as_deref()),
        uri: own.uri.clone().or_else(|| root.uri.clone()),
        scheme: own.scheme.clone().or_else(|| root.scheme.clone()),
        method: own.method.clone().or_else(|| root.method.clone()),
        authority: own.authority.clone().or_else(|| root.authority.clone()),
        headers: united(&root.headers, &own.headers),
        without_headers: united(&root.without_headers, &own.without_headers),
        query_params: united(&root.query_params, &own.query_params),
        port: own.port.or(root.port),
        source_labels: united(&root.source_labels, &own.source_labels),
        source_namespace: own.source_namespace.clone().or_else(|| root.source_namespace.clone()),
        gateways: if own.gateways.is_empty() { root.gateways.clone() } else { own.gateways.clone() },
        ignore_uri_case: own.ignore_uri_case.or(root.ignore_uri_case),
        stat_prefix: own.stat_prefix.clone().or_else(|| root.stat_prefix.clone()),
    }
}

/// Whether the delegate's match reaches outside of the root's, as far as Istio can tell.
fn conflict(root: &HttpMatchRequest, own: &HttpMatchRequest) -> bool {
    let texts = [
        (&root.uri, &own.uri),
        (&root.scheme, &own.scheme),
        (&root.method, &own.method),
        (&root.authority, &own.authority),
    ];
    let both = |root: &Map<StringMatch>, own: &Map<StringMatch>| {
        root.iter().any(|(key, root)| own.get(key).is_some_and(|own| text_conflict(root, own)))
    };
    let absent = StringMatch::Present;
    let namespace = |name: &Option<String>| name.clone().unwrap_or_default();
    texts.into_iter().any(|(root, own)| {
        root.as_ref().zip(own.as_ref()).is_some_and(|(root, own)| text_conflict(root, own))
    }) || both(&root.headers, &own.headers)
        || both(&root.query_params, &own.query_params)
        || root.without_headers.iter().any(|(key, root)| {
            own.without_headers.get(key).is_some_and(|own| {
                text_conflict(root.as_ref().unwrap_or(&absent), own.as_ref().unwrap_or(&absent))
            })
        })
        || root.ignore_uri_case.unwrap_or_default() != own.ignore_uri_case.unwrap_or_default()
        || matches!((root.port, own.port), (Some(a), Some(b)) if a != 0 && b != 0 && a != b)
        || (!namespace(&root.source_namespace).is_empty()
            && namespace(&root.source_namespace) != namespace(&own.source_namespace))
        || root
            .source_labels
            .iter()
            .any(|(key, root)| own.source_labels.get(key).is_some_and(|own| own != root))
        || (!root.gateways.is_empty()
            && !own.gateways.is_empty()
            && (own.gateways.len() > root.gateways.len()
                || own.gateways.iter().any(|gateway| !root.gateways.contains(gateway))))
}

fn text_conflict(root: &StringMatch, own: &StringMatch) -> bool {
    match (root, own) {
        (StringMatch::Exact(root), StringMatch::Exact(own)) => root.is_empty() || root != own,
        (StringMatch::Prefix(root), StringMatch::Exact(own) | StringMatch::Prefix(own)) => {
            root.is_empty() || !own.starts_with(root.as_str())
        }
        _ => true,
    }
}
