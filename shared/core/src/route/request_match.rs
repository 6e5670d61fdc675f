//! One entry of a rule's `match` list, compiled.

use super::claim::{self, Claim};
use super::condition::{Condition, Named};
use super::name::{is_dns_label, is_gateway_reference, is_label_key, is_label_value, is_token};
use super::place::Place;
use super::quantity;
use super::string_matcher::{MatchedPart, StringMatcher, UriMatcher};
use crate::host_name::resolve_gateway;
use mesh_policy_istio::map::Map;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::{HttpMatchRequest, StringMatch};

/// What a match asks of the request, and of the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestMatch {
    /// All must hold. The first is always the one on the path.
    pub(super) conditions: Vec<Condition>,
    /// What is known before any request arrives.
    pub(super) proxy: ProxyConditions,
    /// What a rewrite replaces.
    pub(super) part: MatchedPart,
}

/// What a match asks of the proxy that enforces it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct ProxyConditions {
    /// Resolved names, any of which will do; none: no condition.
    pub(super) gateways: Vec<String>,
    /// Labels that the proxy must have.
    pub(super) source_labels: Map<String>,
    /// The proxy's namespace.
    pub(super) source_namespace: Option<String>,
    /// The port that its listener serves.
    pub(super) port: Option<u16>,
}

const PSEUDO_HEADERS: &[&str] = &[":method", ":scheme", ":authority", ":path", ":status"];

impl RequestMatch {
    /// What a rule without `match` asks for.
    pub(super) fn any() -> Self {
        let uri = UriMatcher::any();
        let part = uri.matched_part();
        Self { conditions: vec![Condition::Uri(uri)], proxy: ProxyConditions::default(), part }
    }

    /// Whether Istio counts it as a match of every request.
    pub(super) fn is_catch_all(&self) -> bool {
        matches!(self.conditions.as_slice(), [Condition::Uri(uri)] if uri.takes_every_path())
    }

    /// From the entry written at `at`; `namespace` is the VirtualService's.
    pub(super) fn compile(
        written: &HttpMatchRequest,
        namespace: &str,
        at: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let HttpMatchRequest {
            name: _,
            uri,
            scheme,
            method,
            authority,
            headers,
            without_headers,
            query_params,
            port,
            source_labels,
            source_namespace,
            gateways,
            ignore_uri_case,
            stat_prefix,
        } = written;
        let mut conditions = Vec::with_capacity(4);
        let mut complete = true;
        let mut add = |condition: Option<Condition>| match condition {
            Some(condition) => conditions.push(condition),
            None => complete = false,
        };
        let uri = match uri {
            Some(uri) => {
                UriMatcher::compile(uri, ignore_uri_case.unwrap_or_default(), &at.field("uri"), problems)
            }
            None => Some(UriMatcher::any()),
        };
        let part = uri.as_ref().map(UriMatcher::matched_part);
        add(uri.map(Condition::Uri));
        for (written, field, condition) in [
            (method, "method", Condition::Method as fn(StringMatcher) -> Condition),
            (authority, "authority", Condition::Authority),
            (scheme, "scheme", Condition::Scheme),
        ] {
            if let Some(written) = written {
                add(StringMatcher::compile(written, &at.field(field), problems).map(condition));
            }
        }
        let below = at.field("headers");
        for (key, written) in headers {
            let at = below.field(key);
            if let Some(path) = claim::path(key) {
                add(on_claim(path, key, Some(written), &at, problems).map(Condition::Claim));
                continue;
            }
            let name = header_name(key, &at, problems);
            let matcher = StringMatcher::compile(written, &at, problems);
            add(named(name, key, matcher).map(Condition::Header));
        }
        let below = at.field("withoutHeaders");
        for (key, written) in without_headers {
            let at = below.field(key);
            if let Some(path) = claim::path(key) {
                add(on_claim(path, key, written.as_ref(), &at, problems).map(Condition::WithoutClaim));
                continue;
            }
            let name = header_name(key, &at, problems);
            let matcher = match written {
                // Istio's marker for presence, which is no expression.
                Some(StringMatch::Regex(star)) if star == "*" => Some(StringMatcher::Present),
                Some(written) => StringMatcher::compile(written, &at, problems),
                None => Some(StringMatcher::Present),
            };
            add(named(name, key, matcher).map(Condition::WithoutHeader));
        }
        let below = at.field("queryParams");
        for (key, written) in query_params {
            let at = below.field(key);
            let matcher = StringMatcher::compile(written, &at, problems);
            // Envoy's bounds on the name in a query parameter matcher.
            let is_name = (1..=1024).contains(&key.len());
            if !is_name {
                let message = format!(
                    "expected the name of a query parameter, of 1 to 1024 bytes, found one of {}",
                    key.len()
                );
                problems.error(at.path(), ProblemKind::InvalidValue, message);
            }
            let name = is_name.then(|| key.as_str().into());
            add(named(name, key, matcher).map(Condition::QueryParam));
        }
        let port = match port {
            Some(number) => {
                let port = quantity::port(*number, &at.field("port"), problems);
                complete &= port.is_some();
                port
            }
            None => None,
        };
        check_proxy_conditions(source_labels, source_namespace.as_deref(), gateways, at, problems);
        if stat_prefix.as_ref().is_some_and(|prefix| !prefix.is_empty()) {
            problems.warning(
                at.field("statPrefix").path(),
                ProblemKind::Suspicious,
                "has no effect here: no statistics are kept under this prefix",
            );
        }
        let gateways: Vec<String> = gateways.iter().map(|name| resolve_gateway(name, namespace)).collect();
        // With gateways named, Istio looks at no label and no namespace.
        let proxy = if gateways.is_empty() {
            ProxyConditions {
                gateways,
                source_labels: source_labels.clone(),
                source_namespace: source_namespace.clone().filter(|namespace| !namespace.is_empty()),
                port,
            }
        } else {
            ProxyConditions { gateways, port, ..ProxyConditions::default() }
        };
        // Most have fewer than there was room for, and they stay.
        conditions.shrink_to_fit();
        complete.then_some(Self { conditions, proxy, part: part? })
    }
}

fn named(name: Option<Box<str>>, key: &str, matcher: Option<StringMatcher>) -> Option<Named> {
    Some(Named { name: name?, key: key.into(), matcher: matcher? })
}

/// A condition on a claim. Presence is none: Istio makes of it what Envoy refuses.
fn on_claim(
    path: Box<[Box<str>]>,
    key: &str,
    written: Option<&StringMatch>,
    at: &Place<'_>,
    problems: &mut Problems,
) -> Option<Claim> {
    match written {
        None | Some(StringMatch::Present) => {
            problems
                .error(
                    at.path(),
                    ProblemKind::Unsupported,
                    "expected one of `exact`, `prefix` and `regex` for the claim of a token, found none",
                )
                .help("write `regex: .*` for any string");
            None
        }
        Some(written) => {
            let matcher = StringMatcher::compile(written, at, problems)?;
            Some(Claim { path, key: key.into(), matcher })
        }
    }
}

/// The header that a key of `headers` or `withoutHeaders` means, in lower case.
fn header_name(key: &str, at: &Place<'_>, problems: &mut Problems) -> Option<Box<str>> {
    let name = key.to_ascii_lowercase();
    if PSEUDO_HEADERS.contains(&name.as_str()) {
        return Some(name.into());
    }
    if !is_token(&name) {
        problems.error(
            at.path(),
            ProblemKind::InvalidValue,
            format!("expected the name of a header, found `{key}`"),
        );
        return None;
    }
    Some(if name == "host" { ":authority".into() } else { name.into() })
}

fn check_proxy_conditions(
    source_labels: &Map<String>,
    source_namespace: Option<&str>,
    gateways: &[String],
    at: &Place<'_>,
    problems: &mut Problems,
) {
    let below = at.field("sourceLabels");
    for (key, value) in source_labels {
        let at = below.field(key);
        if !is_label_key(key) {
            let message = format!("expected the key of a label, found `{key}`");
            problems.error(at.path(), ProblemKind::InvalidValue, message);
        }
        if !is_label_value(value) {
            let message = format!("expected the value of a label, found `{value}`");
            problems.error(at.path(), ProblemKind::InvalidValue, message);
        }
    }
    if let Some(namespace) = source_namespace.filter(|namespace| !namespace.is_empty())
        && !is_dns_label(namespace)
    {
        problems.error(
            at.field("sourceNamespace").path(),
            ProblemKind::InvalidValue,
            format!("expected a namespace, found `{namespace}`"),
        );
    }
    check_gateways(gateways, &at.field("gateways"), problems);
    if !gateways.is_empty() && (!source_labels.is_empty() || source_namespace.is_some()) {
        problems.warning(
            at.path(),
            ProblemKind::Suspicious,
            "`sourceLabels` and `sourceNamespace` have no effect in a match with `gateways`",
        );
    }
}

/// Whether the entries of a `gateways` list are names of gateways.
pub(super) fn check_gateways(gateways: &[String], at: &Place<'_>, problems: &mut Problems) {
    for (index, name) in gateways.iter().enumerate() {
        if !is_gateway_reference(name) {
            problems.error(
                at.index(index).path(),
                ProblemKind::InvalidValue,
                format!("expected `NAMESPACE/NAME`, `NAME` or `mesh`, found `{name}`"),
            );
        } else if !name.contains('/') && name.contains('.') {
            let (gateway, rest) = name.split_once('.').unwrap_or((name, ""));
            let namespace = rest.split('.').next().unwrap_or_default();
            problems
                .warning(
                    at.index(index).path(),
                    ProblemKind::Suspicious,
                    format!("`{name}` is the form from before namespaces were written in front"),
                )
                .help(format!("write `{namespace}/{gateway}`"));
        }
    }
}
