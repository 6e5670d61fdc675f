//! The generic values of Istio's resources: names, hosts, addresses, lengths of time.

use mesh_policy_istio::decode::Timespan;
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What is spoken on a port, in the classes that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http,
    Http2,
    Grpc,
    GrpcWeb,
    HttpProxy,
    Https,
    Tls,
    Tcp,
    Mongo,
    Redis,
    Mysql,
    Udp,
}

impl Protocol {
    pub(crate) const NAMES: &str =
        "HTTP, HTTP2, GRPC, GRPC-Web, HTTP_PROXY, HTTPS, TLS, TCP, Mongo, Redis, MySQL, UDP";

    /// Read without regard to case, as Istio does.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "http" => Self::Http,
            "http2" => Self::Http2,
            "grpc" => Self::Grpc,
            "grpc-web" => Self::GrpcWeb,
            "http_proxy" => Self::HttpProxy,
            "https" => Self::Https,
            "tls" => Self::Tls,
            "tcp" => Self::Tcp,
            "mongo" => Self::Mongo,
            "redis" => Self::Redis,
            "mysql" => Self::Mysql,
            "udp" => Self::Udp,
            _ => return None,
        })
    }

    pub(crate) const fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Http2 | Self::Grpc | Self::GrpcWeb | Self::HttpProxy)
    }

    /// Whether the upstream is spoken to in HTTP/2.
    pub(crate) const fn is_http2(self) -> bool {
        matches!(self, Self::Http2 | Self::Grpc | Self::GrpcWeb)
    }

    pub(crate) const fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Tls)
    }
}

/// 1 to 63 letters, digits and hyphens, with a letter or digit at both ends. Upper case is allowed.
pub(crate) fn is_dns_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()].into_iter().all(|b| b.is_some_and(u8::is_ascii_alphanumeric));
    bytes.len() <= 63 && ends && bytes.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'-')
}

/// DNS labels joined by dots, one dot at the end allowed, the last label not a number.
pub(crate) fn is_domain(text: &str) -> bool {
    let body = text.strip_suffix('.').unwrap_or(text);
    let last = body.rsplit('.').next().unwrap_or_default();
    (1..=255).contains(&text.len())
        && body.split('.').all(is_dns_label)
        && !last.bytes().all(|b| b.is_ascii_digit())
}

/// A domain whose first label may also be `*`, `*label` or `*-label`.
pub(crate) fn is_wildcard_domain(text: &str) -> bool {
    if text == "*" {
        return true;
    }
    let Some(rest) = text.strip_prefix('*') else { return is_domain(text) };
    match rest.strip_prefix('.') {
        Some(domain) => is_domain(domain),
        // `*-label` and `*label`: an ordinary label with the star in front of its first characters.
        None => is_domain(&format!("x{rest}")),
    }
}

/// A star that stands for a part of a label.
pub(crate) fn is_partial_wildcard(text: &str) -> bool {
    text.contains('*') && text != "*" && !text.starts_with("*.")
}

pub(crate) fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// An address, or an address and a prefix length.
pub(crate) fn is_subnet(text: &str) -> bool {
    match text.split_once('/') {
        None => is_ip(text),
        Some((address, length)) => match (address.parse::<IpAddr>(), length.parse::<u8>()) {
            (Ok(address), Ok(length)) => length <= if address.is_ipv4() { 32 } else { 128 },
            _ => false,
        },
    }
}

/// A port number, unless it is 0 or too large.
pub(crate) fn port(number: u32) -> Option<u16> {
    u16::try_from(number).ok().filter(|port| *port != 0)
}

/// Reports a port out of range.
pub(crate) fn check_port(number: u32, path: Path, problems: &mut Problems) {
    if port(number).is_none() {
        problems.error(
            path,
            ProblemKind::InvalidValue,
            format!("expected a port from 1 to 65535, found `{number}`"),
        );
    }
}

/// Reports a length of time that is not a whole number of milliseconds, or shorter than one.
pub(crate) fn check_duration(span: Option<Timespan>, path: Path, problems: &mut Problems) {
    if span.is_some_and(|span| span.whole_millis().is_none_or(|millis| millis == 0)) {
        problems.error(
            path,
            ProblemKind::InvalidValue,
            "expected at least `1ms` and a whole number of milliseconds",
        );
    }
}

/// Reports labels that Kubernetes would not take.
pub(crate) fn check_labels(labels: &BTreeMap<String, String>, path: &Path, problems: &mut Problems) {
    for (key, value) in labels {
        let (prefix, name) = key.rsplit_once('/').map_or((None, key.as_str()), |(p, n)| (Some(p), n));
        if !is_qualified(name) || prefix.is_some_and(|prefix| prefix.len() > 253 || !is_domain(prefix)) {
            problems.error(path.field(key), ProblemKind::InvalidValue, format!("`{key}` is no label name"));
        }
        if !value.is_empty() && !is_qualified(value) {
            problems.error(
                path.field(key),
                ProblemKind::InvalidValue,
                format!("`{value}` is no label value"),
            );
        }
    }
}

fn is_qualified(text: &str) -> bool {
    let bytes = text.as_bytes();
    let ends = [bytes.first(), bytes.last()].into_iter().all(|b| b.is_some_and(u8::is_ascii_alphanumeric));
    bytes.len() <= 63 && ends && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(b))
}

/// Whether every label of `selector` is one of `labels`.
pub(crate) fn selects(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// `a=1,b=2`
pub(crate) fn show_labels(labels: &BTreeMap<String, String>) -> String {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_judged_as_istio_does() {
        for host in ["a", "a.b", "a.b.", "A-1.example.com", "customers.shop.svc.cluster.local"] {
            assert!(is_domain(host), "{host}");
        }
        for host in ["", ".", "a..b", "-a.b", "a_b", "*.a", "1.2.3.4", "a b"] {
            assert!(!is_domain(host), "{host}");
        }
        for host in ["*", "*.a.b", "*a.b", "*-a.b", "a.b"] {
            assert!(is_wildcard_domain(host), "{host}");
        }
        for host in ["a.*", "**.a", "*.", "*.*.a"] {
            assert!(!is_wildcard_domain(host), "{host}");
        }
        assert!(is_partial_wildcard("*a.b") && !is_partial_wildcard("*.a") && !is_partial_wildcard("*"));
    }

    #[test]
    fn subnets_are_addresses_with_or_without_a_length() {
        for text in ["10.0.0.1", "10.0.0.0/8", "::1", "fd00::/8"] {
            assert!(is_subnet(text), "{text}");
        }
        for text in ["10.0.0.0/33", "10.0.0/8", "10.0.0.0/8/8", "fd00::/129", "a"] {
            assert!(!is_subnet(text), "{text}");
        }
    }
}
