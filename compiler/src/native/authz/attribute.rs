//! What policies compare, each as Envoy's permission or principal.

use super::identity::{self, TrustDomains};
use super::value::{range, text};
use crate::native::matcher::regex;
use serde_json::{Value, json};

/// The filter that leaves the claims of verified tokens in the metadata.
const TOKENS: &str = "envoy.filters.http.jwt_authn";

/// An attribute of a request or a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attribute {
    Host,
    Method,
    Path,
    DestinationIp,
    DestinationPort,
    ServerName,
    /// Metadata of a filter, by key.
    Metadata(String, String),
    SourceIp,
    RemoteIp,
    Namespace,
    ServiceAccount,
    Principal,
    TrustDomain,
    RequestPrincipal,
    /// A claim by its path.
    Claim(Vec<String>),
    Header(String),
}

impl Attribute {
    /// The attribute that a condition names.
    pub(super) fn named(key: &str) -> Option<Self> {
        Some(match key {
            "source.ip" => Self::SourceIp,
            "remote.ip" => Self::RemoteIp,
            "source.namespace" => Self::Namespace,
            "source.serviceAccount" => Self::ServiceAccount,
            "source.principal" => Self::Principal,
            "source.trustDomain" => Self::TrustDomain,
            "request.auth.principal" => Self::RequestPrincipal,
            "request.auth.audiences" => Self::Claim(vec!["aud".to_owned()]),
            "request.auth.presenter" => Self::Claim(vec!["azp".to_owned()]),
            "destination.ip" => Self::DestinationIp,
            "destination.port" => Self::DestinationPort,
            "connection.sni" => Self::ServerName,
            _ => {
                if let Some(claim) = key.strip_prefix("request.auth.claims") {
                    return claim_path(claim).map(Self::Claim);
                }
                let (name, inner) = key.strip_suffix(']')?.split_once('[')?;
                if inner.is_empty() {
                    return None;
                }
                if name == "request.headers" {
                    return Some(Self::Header(inner.to_owned()));
                }
                let filter = name.strip_prefix("experimental.")?;
                filter.strip_prefix("envoy.filters.")?;
                Self::Metadata(filter.to_owned(), inner.to_owned())
            }
        })
    }

    /// Whether it stands among Envoy's permissions, or among its principals.
    pub(super) const fn is_permission(&self) -> bool {
        matches!(
            self,
            Self::Host
                | Self::Method
                | Self::Path
                | Self::DestinationIp
                | Self::DestinationPort
                | Self::ServerName
                | Self::Metadata(..)
        )
    }

    /// Whether a connection that is not known to carry HTTP lacks it.
    pub(super) const fn is_http(&self) -> bool {
        matches!(
            self,
            Self::Host
                | Self::Method
                | Self::Path
                | Self::RequestPrincipal
                | Self::Claim(_)
                | Self::Header(_)
        )
    }

    /// The values that one value stands for.
    pub(super) fn expand(&self, value: &str, domains: &TrustDomains<'_>) -> Vec<String> {
        match self {
            Self::Principal => domains.principals(value),
            Self::TrustDomain => domains.trust_domains(value),
            _ => vec![value.to_owned()],
        }
    }

    /// The permission or principal that holds when the attribute has this value; `None` when it cannot have it.
    /// `namespace` is that of the policy.
    pub(super) fn holds(&self, value: &str, namespace: &str) -> Option<Value> {
        Some(match self {
            Self::Host => header(":authority", value, true),
            Self::Method => header(":method", value, false),
            Self::Header(name) => header(name, value, false),
            Self::Path if value.contains("{*}") || value.contains("{**}") => {
                let template = value.replace("{**}", "**").replace("{*}", "*");
                json!({"uri_template": crate::envoy::extension(
                    "envoy.path.match.uri_template.uri_template_matcher",
                    "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                    json!({"path_template": template}),
                )})
            }
            Self::Path => json!({"url_path": {"path": text(value)}}),
            Self::DestinationIp => json!({"destination_ip": range(value)?}),
            Self::DestinationPort => json!({"destination_port": value.parse::<u16>().ok()?}),
            Self::ServerName => json!({"requested_server_name": text(value)}),
            Self::Metadata(filter, key) => {
                let list = value.strip_prefix('[').and_then(|value| value.strip_suffix(']'));
                let matcher = match list {
                    Some(value) => json!({"list_match": {"one_of": {"string_match": text(value)}}}),
                    None => json!({"string_match": text(value)}),
                };
                metadata(filter, &[key], &matcher)
            }
            Self::SourceIp => json!({"direct_remote_ip": range(value)?}),
            Self::RemoteIp => json!({"remote_ip": range(value)?}),
            Self::Namespace => identity::namespace(value),
            Self::ServiceAccount => identity::service_account(value, namespace),
            Self::Principal => identity::principal(value),
            Self::TrustDomain => identity::trust_domain(value),
            Self::RequestPrincipal => request_principal(value),
            Self::Claim(path) => {
                let path: Vec<&str> =
                    std::iter::once("payload").chain(path.iter().map(String::as_str)).collect();
                let matcher = json!({"or_match": {"value_matchers": [
                    {"string_match": text(value)},
                    {"list_match": {"one_of": {"string_match": text(value)}}},
                ]}});
                metadata(TOKENS, &path, &matcher)
            }
        })
    }
}

/// `[a][b]` is a path; brackets inside brackets make one name of all that is between the first and the last.
fn claim_path(written: &str) -> Option<Vec<String>> {
    let inner = written.strip_prefix('[')?.strip_suffix(']')?;
    let names: Vec<&str> = inner.split("][").collect();
    let clean = names.iter().all(|name| !name.is_empty() && !name.contains(['[', ']']));
    if inner.is_empty() {
        return None;
    }
    Some(if clean { names.into_iter().map(str::to_owned).collect() } else { vec![inner.to_owned()] })
}

/// A header that is there, with whatever value, when the value is a star alone.
fn header(name: &str, value: &str, ignore_case: bool) -> Value {
    if value == "*" {
        return json!({"header": {"name": name, "present_match": true}});
    }
    let mut matcher = text(value);
    if let (true, Some(fields)) = (ignore_case, matcher.as_object_mut()) {
        fields.insert("ignore_case".to_owned(), json!(true));
    }
    json!({"header": {"name": name, "string_match": matcher}})
}

fn metadata(filter: &str, path: &[&str], value: &Value) -> Value {
    let path: Vec<Value> = path.iter().map(|key| json!({"key": key})).collect();
    // Istio still writes `metadata`, which newer Envoys call deprecated; the meaning is the same.
    json!({"sourced_metadata": {"metadata_matcher": {"filter": filter, "path": path, "value": value}}})
}

/// Issuer and subject of a token, divided at the last slash.
fn request_principal(value: &str) -> Value {
    let any = || regex(".+");
    let exact = |text: &str| json!({"exact": text});
    let (issuer, subject) = match value.rsplit_once('/') {
        Some((issuer, subject)) => {
            let some = |text: &str, matcher: Value| if text.is_empty() { any() } else { matcher };
            if let Some(end) = issuer.strip_prefix('*') {
                (some(end, json!({"suffix": end})), exact(subject))
            } else if let Some(start) = subject.strip_suffix('*') {
                (exact(issuer), some(start, json!({"prefix": start})))
            } else {
                (exact(issuer), exact(subject))
            }
        }
        None if value == "*" => (any(), any()),
        None => match (value.strip_prefix('*'), value.strip_suffix('*')) {
            (Some(end), _) => (any(), json!({"suffix": end})),
            (None, Some(start)) => (json!({"prefix": start}), any()),
            (None, None) => (exact(value), exact("")),
        },
    };
    let claim =
        |name: &str, matcher: Value| metadata(TOKENS, &["payload", name], &json!({"string_match": matcher}));
    json!({"and_ids": {"ids": [claim("iss", issuer), claim("sub", subject)]}})
}

#[cfg(test)]
mod tests;
