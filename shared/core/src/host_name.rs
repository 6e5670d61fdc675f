//! Host names as Istio compares and completes them.
//!
//! A host is a wildcard when its first byte is `*`; what stands behind the star is its tail.

use std::cmp::Ordering;

/// The DNS suffix of services.
pub const DOMAIN_SUFFIX: &str = "cluster.local";

fn tail(host: &str) -> Option<&str> {
    host.strip_prefix('*')
}

/// Whether the two hosts have a host in common.
#[must_use]
pub fn matches(a: &str, b: &str) -> bool {
    match (tail(a), tail(b)) {
        (None, None) => a == b,
        (Some(tail), None) => b.ends_with(tail),
        (None, Some(tail)) => a.ends_with(tail),
        (Some(x), Some(y)) if x.len() >= y.len() => x.ends_with(y),
        (Some(x), Some(y)) => y.ends_with(x),
    }
}

/// Whether every host of `a` is one of `b`.
#[must_use]
pub fn subset_of(a: &str, b: &str) -> bool {
    match (tail(a), tail(b)) {
        (None, None) => a == b,
        (None, Some(tail)) => a.ends_with(tail),
        (Some(_), None) => false,
        (Some(x), Some(y)) => a.len() >= b.len() && x.ends_with(y),
    }
}

/// More specific hosts first: plain before wildcard, longer before shorter, then by bytes.
#[must_use]
pub fn by_specificity(a: &str, b: &str) -> Ordering {
    let rank = |host: &str| (tail(host).is_some(), std::cmp::Reverse(host.len()));
    rank(a).cmp(&rank(b)).then_with(|| a.cmp(b))
}

/// The hosts that both lists have: of each pair the narrower one, each once, in the order of `a`, then of `b`.
#[must_use]
pub fn intersection(a: &[String], b: &[String]) -> Vec<String> {
    let mut common: Vec<String> = Vec::new();
    for x in a {
        for y in b {
            let narrower = if subset_of(x, y) {
                x
            } else if subset_of(y, x) {
                y
            } else {
                continue;
            };
            if !common.contains(narrower) {
                common.push(narrower.clone());
            }
        }
    }
    common
}

/// The full name of a service: short names get the namespace and the cluster's suffix, anything with a dot stays.
#[must_use]
pub fn resolve(host: &str, namespace: &str) -> String {
    if host.is_empty() || host == "*" || host.contains('.') || host.parse::<std::net::IpAddr>().is_ok() {
        return host.to_owned();
    }
    format!("{host}.{namespace}.svc.{DOMAIN_SUFFIX}")
}

/// The full name of a gateway, `namespace/name`; `mesh` stays.
#[must_use]
pub fn resolve_gateway(name: &str, namespace: &str) -> String {
    if name == crate::proxy::MESH {
        return name.to_owned();
    }
    if let Some(own) = name.strip_prefix("./") {
        return format!("{namespace}/{own}");
    }
    if name.contains('/') {
        return name.to_owned();
    }
    // The form from before namespaces could be written with a slash: `name.namespace[.svc...]`.
    match name.split_once('.') {
        Some((name, rest)) => format!("{}/{name}", rest.split('.').next().unwrap_or_default()),
        None => format!("{namespace}/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_needs_its_dot() {
        assert!(!matches("*.foo.com", "foo.com"));
        assert!(matches("*foo.com", "foo.com"));
        assert!(matches("*foo.com", "barfoo.com"));
        assert!(matches("*.foo.com", "*.com"));
        assert!(matches("*", "a.b"));
    }

    #[test]
    fn a_subset_is_as_narrow_or_narrower() {
        assert!(subset_of("a.foo.com", "*.foo.com"));
        assert!(subset_of("*.a.foo.com", "*.foo.com"));
        assert!(!subset_of("*.foo.com", "a.foo.com"));
        assert!(!subset_of("*.com", "*.foo.com"));
    }

    #[test]
    fn an_intersection_keeps_the_narrower_of_each_pair() {
        let list = |hosts: &[&str]| hosts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            intersection(&list(&["*.shop.io"]), &list(&["api.shop.io", "other.org"])),
            ["api.shop.io"]
        );
        assert_eq!(intersection(&list(&["api.shop.io"]), &list(&["*.shop.io"])), ["api.shop.io"]);
        assert_eq!(intersection(&list(&["*"]), &list(&["*"])), ["*"]);
    }

    #[test]
    fn short_names_get_their_namespace() {
        assert_eq!(resolve("customers", "shop"), "customers.shop.svc.cluster.local");
        assert_eq!(resolve("api.github.com", "shop"), "api.github.com");
        assert_eq!(resolve("::1", "shop"), "::1");
        assert_eq!(resolve("*", "shop"), "*");
    }

    #[test]
    fn gateways_get_their_namespace() {
        for (written, full) in [
            ("mesh", "mesh"),
            ("edge", "shop/edge"),
            ("./edge", "shop/edge"),
            ("infra/edge", "infra/edge"),
            ("edge.infra.svc.cluster.local", "infra/edge"),
        ] {
            assert_eq!(resolve_gateway(written, "shop"), full);
        }
    }

    #[test]
    fn the_most_specific_host_comes_first() {
        let mut hosts = ["*", "*.com", "b.com", "*.a.com", "a.com"];
        hosts.sort_by(|a, b| by_specificity(a, b));
        assert_eq!(hosts, ["a.com", "b.com", "*.a.com", "*.com", "*"]);
    }
}
