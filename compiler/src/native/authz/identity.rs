//! Identities of peers: SPIFFE URIs of their certificates.

use super::value::{quoted, starred};
use crate::native::matcher::regex;
use mesh_policy_core::proxy::ProxyContext;
use serde_json::{Value, json};

const SPIFFE: &str = "spiffe://";

/// The name by which policies may always mean the local trust domain.
const LOCAL: &str = "cluster.local";

/// The trust domain of the mesh, and its other names.
pub(super) struct TrustDomains<'p>(Vec<&'p str>);

impl<'p> TrustDomains<'p> {
    pub(super) fn of(proxy: &'p ProxyContext) -> Self {
        let aliases = proxy.trust_domain_aliases.iter();
        Self(std::iter::once(&proxy.trust_domain).chain(aliases).map(String::as_str).collect())
    }

    /// A principal under every name of the trust domain, if it is of the local one.
    pub(super) fn principals(&self, principal: &str) -> Vec<String> {
        let unchanged = || vec![principal.to_owned()];
        let Some((domain, rest)) = principal.split_once('/') else { return unchanged() };
        if rest.split('/').count() != 4 || domain == "*" {
            return unchanged();
        }
        if domain != LOCAL && !self.0.iter().any(|member| covers(domain, member)) {
            return unchanged();
        }
        distinct(self.0.iter().map(|member| {
            // What a star in front covers, it goes on covering.
            if domain.starts_with('*') && covers(domain, member) {
                principal.to_owned()
            } else {
                format!("{member}/{rest}")
            }
        }))
    }

    /// A trust domain under every name, if it is the local one.
    pub(super) fn trust_domains(&self, domain: &str) -> Vec<String> {
        if self.0.contains(&domain) {
            distinct(self.0.iter().map(|member| (*member).to_owned()))
        } else {
            vec![domain.to_owned()]
        }
    }
}

fn covers(domain: &str, member: &str) -> bool {
    if let Some(end) = domain.strip_prefix('*') {
        member.ends_with(end)
    } else if let Some(start) = domain.strip_suffix('*') {
        member.starts_with(start)
    } else {
        domain == member
    }
}

fn distinct(texts: impl Iterator<Item = String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for text in texts {
        if !kept.contains(&text) {
            kept.push(text);
        }
    }
    kept
}

/// Any URI SAN, any DNS SAN, or the subject may match.
fn authenticated(name: Value) -> Value {
    json!({"authenticated": {"principal_name": name}})
}

pub(super) fn principal(value: &str) -> Value {
    authenticated(if value == "*" {
        regex(".+")
    } else if let Some(end) = value.strip_prefix('*') {
        regex(&format!("{SPIFFE}.*{}", quoted(end)))
    } else if let Some(start) = value.strip_suffix('*') {
        json!({"prefix": format!("{SPIFFE}{start}")})
    } else {
        json!({"exact": format!("{SPIFFE}{value}")})
    })
}

pub(super) fn namespace(value: &str) -> Value {
    authenticated(regex(&format!(".*/ns/{}/.*", starred(value, ".*"))))
}

/// An account without namespace is one of the policy's own namespace.
pub(super) fn service_account(value: &str, own: &str) -> Value {
    let (namespace, account) = value.split_once('/').unwrap_or((own, value));
    let (namespace, account) = (quoted(namespace), quoted(account));
    authenticated(regex(&format!("{SPIFFE}.+/ns/{namespace}/(.+/|)sa/{account}(/.+)?")))
}

pub(super) fn trust_domain(value: &str) -> Value {
    authenticated(if value == "*" {
        json!({"prefix": SPIFFE})
    } else if value.contains('*') {
        regex(&format!("{SPIFFE}{}/.*", starred(value, "[^/]*")))
    } else {
        json!({"prefix": format!("{SPIFFE}{value}/")})
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domains() -> ProxyContext {
        ProxyContext {
            trust_domain: "td1".to_owned(),
            trust_domain_aliases: vec!["old-td".to_owned(), "td1".to_owned()],
            ..ProxyContext::default()
        }
    }

    #[test]
    fn a_principal_of_the_local_domain_has_all_its_names() {
        let proxy = domains();
        let domains = TrustDomains::of(&proxy);
        let both = ["td1/ns/a/sa/b", "old-td/ns/a/sa/b"];
        assert_eq!(domains.principals("td1/ns/a/sa/b"), both);
        assert_eq!(domains.principals("old-td/ns/a/sa/b"), both);
        assert_eq!(domains.principals("cluster.local/ns/a/sa/b"), both);
        assert_eq!(domains.principals("td*/ns/a/sa/b"), both);
        assert_eq!(domains.principals("*-td/ns/a/sa/b"), ["td1/ns/a/sa/b", "*-td/ns/a/sa/b"]);
        for unchanged in ["other/ns/a/sa/b", "*/ns/a/sa/b", "td1/ns/a", "*", "td1/ns/a/sa/b/c"] {
            assert_eq!(domains.principals(unchanged), [unchanged]);
        }
        assert_eq!(domains.trust_domains("old-td"), ["td1", "old-td"]);
        assert_eq!(domains.trust_domains("cluster.local"), ["cluster.local"]);
    }

    #[test]
    fn identities_are_compared_as_spiffe_uris() {
        let name = |value: Value| value["authenticated"]["principal_name"].clone();
        let expression = |text: &str| json!({"safe_regex": {"regex": text}});
        assert_eq!(name(principal("td/ns/n/sa/s")), json!({"exact": "spiffe://td/ns/n/sa/s"}));
        assert_eq!(name(principal("td/*")), json!({"prefix": "spiffe://td/"}));
        assert_eq!(name(principal("*/sa/s*")), expression(r"spiffe://.*\/sa\/s\*"));
        assert_eq!(name(namespace("prod-*")), expression(r".*/ns/prod\-.*/.*"));
        assert_eq!(
            name(service_account("web", "shop")),
            expression(r"spiffe://.+/ns/shop/(.+/|)sa/web(/.+)?")
        );
        assert_eq!(name(trust_domain("*.local")), expression(r"spiffe://[^/]*\.local/.*"));
        assert_eq!(name(trust_domain("td")), json!({"prefix": "spiffe://td/"}));
    }
}
