//! From the authority of a request to the one virtual host that speaks for it.

use mesh_policy_bytes::Configured;
use std::borrow::Cow;
use std::collections::HashMap;

/// Domains of virtual hosts, looked up as Envoy does: exact, then the longest `*suffix`, then `*`.
#[derive(Debug, Default)]
pub(super) struct Domains {
    exact: HashMap<Box<[u8]>, usize, Configured>,
    /// By what stands behind the star.
    suffixes: HashMap<Box<[u8]>, usize, Configured>,
    /// The lengths of those, longest first.
    lengths: Vec<usize>,
    any: Option<usize>,
    /// The domains themselves, and the virtual host of each.
    entries: Vec<(String, usize)>,
}

impl Domains {
    /// Adds a lower-case domain, unless it is there already: the first one stays.
    pub(super) fn insert(&mut self, domain: &str, virtual_host: usize) {
        let entry = self.entries.len();
        if domain == "*" {
            if self.any.is_some() {
                return;
            }
            self.any = Some(entry);
        } else {
            let (map, key) = match domain.strip_prefix('*') {
                Some(tail) => (&mut self.suffixes, tail),
                None => (&mut self.exact, domain),
            };
            if map.contains_key(key.as_bytes()) {
                return;
            }
            map.insert(key.as_bytes().into(), entry);
            if domain.starts_with('*')
                && let Err(at) = self.lengths.binary_search_by(|length| key.len().cmp(length))
            {
                self.lengths.insert(at, key.len());
            }
        }
        self.entries.push((domain.to_owned(), virtual_host));
    }

    /// The domain that stands for `host`, and its virtual host.
    pub(super) fn find(&self, host: &[u8]) -> Option<(&str, usize)> {
        let suffix = || {
            self.lengths.iter().find_map(|length| {
                // The star stands for one character at least.
                let start = host.len().checked_sub(*length).filter(|start| *start > 0)?;
                self.suffixes.get(host.get(start..)?)
            })
        };
        let entry = self.exact.get(host).or_else(suffix).copied().or(self.any)?;
        self.entries.get(entry).map(|(domain, virtual_host)| (domain.as_str(), *virtual_host))
    }

    /// All domains, in the order in which they were added.
    pub(super) fn names(&self) -> Vec<&str> {
        self.entries.iter().map(|(domain, _)| domain.as_str()).collect()
    }
}

/// The host of an authority: lower case, without port. Nothing is copied when it is lower case already.
pub(super) fn host_of(authority: &[u8]) -> Cow<'_, [u8]> {
    let colon = authority.iter().rposition(|byte| *byte == b':');
    let bracket = authority.iter().rposition(|byte| *byte == b']');
    // A colon before the closing bracket belongs to an IPv6 address.
    let end = colon.filter(|colon| bracket.is_none_or(|bracket| bracket < *colon));
    let host = end.and_then(|end| authority.get(..end)).unwrap_or(authority);
    if host.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}

/// The domain for a host of a VirtualService: IPv6 addresses stand in brackets in an authority.
pub(super) fn of_host(host: &str) -> Cow<'_, str> {
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        Cow::Owned(format!("[{host}]"))
    } else {
        Cow::Borrowed(host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_virtual_host_speaks_for_an_authority() {
        let mut domains = Domains::default();
        for (index, domain) in ["*", "*.com", "foo.com", "*.foo.com", "*-api.foo.com", "[::1]", "foo.com"]
            .into_iter()
            .enumerate()
        {
            domains.insert(domain, index);
        }
        for (authority, domain) in [
            ("foo.com", "foo.com"),
            ("FOO.com:8080", "foo.com"),
            ("a.b.foo.com", "*.foo.com"),
            ("x-api.foo.com", "*-api.foo.com"),
            ("-api.foo.com", "*.foo.com"),
            (".foo.com", "*.com"),
            ("bar.com", "*.com"),
            ("foo.com.", "*"),
            ("com", "*"),
            ("", "*"),
            ("[::1]", "[::1]"),
            ("[::1]:8080", "[::1]"),
        ] {
            let found = domains.find(&host_of(authority.as_bytes())).map(|(domain, _)| domain);
            assert_eq!(found, Some(domain), "{authority}");
        }
        assert_eq!(domains.find(b"foo.com"), Some(("foo.com", 2)), "the first of two equal domains stays");
    }

    #[test]
    fn a_wildcard_needs_a_character() {
        let mut domains = Domains::default();
        domains.insert("*.foo.com", 0);
        for (host, found) in
            [("foo.com", false), (".foo.com", false), ("a.foo.com", true), ("evilfoo.com", false)]
        {
            assert_eq!(domains.find(host.as_bytes()).is_some(), found, "{host}");
        }
    }

    #[test]
    fn a_lower_case_authority_is_not_copied() {
        assert!(matches!(host_of(b"foo.com:80"), Cow::Borrowed(b"foo.com")));
        assert!(matches!(host_of(b"fOo.com:80"), Cow::Owned(_)));
    }
}
