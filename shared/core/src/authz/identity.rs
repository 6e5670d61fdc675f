//! Who the peer is: matchers on the SPIFFE identities of a certificate.
//!
//! Envoy gets these as prefixes and regular expressions; here each is what its expression means.

use super::value_match::{Case, Star, ValueMatch};
use std::fmt;

/// How the identities of a mesh begin.
pub(super) const SPIFFE: &str = "spiffe://";

/// One value of `principals`, `namespaces`, `serviceAccounts` or `trustDomains`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PeerMatch {
    /// An identity without its `spiffe://`.
    Principal(ValueMatch),
    /// Any text, `/ns/`, the namespace with any text for each star, `/`, any text. Not anchored to `spiffe://`.
    Namespace {
        /// As it was written.
        text: Box<str>,
        /// What must follow each other in the identity, with any text between.
        literals: Box<[Box<str>]>,
    },
    /// `spiffe://`, a trust domain or more, `/ns/NAMESPACE/`, optionally text that ends in `/`, `sa/NAME`, then the end or a
    /// further path.
    ServiceAccount {
        /// `NAMESPACE/NAME`.
        text: Box<str>,
        /// `/ns/NAMESPACE/`.
        namespace: Box<str>,
        /// `sa/NAME`.
        account: Box<str>,
    },
    /// The part between `spiffe://` and the next slash.
    TrustDomain(ValueMatch),
}

impl PeerMatch {
    pub(super) fn principal(text: &str) -> Self {
        Self::Principal(ValueMatch::parse(text, Star::NonEmpty))
    }

    pub(super) fn namespace(text: &str) -> Self {
        // Stars side by side leave nothing between them.
        let literals =
            format!("/ns/{text}/").split('*').filter(|literal| !literal.is_empty()).map(Into::into).collect();
        Self::Namespace { text: text.into(), literals }
    }

    pub(super) fn service_account(namespace: &str, name: &str) -> Self {
        Self::ServiceAccount {
            text: format!("{namespace}/{name}").into(),
            namespace: format!("/ns/{namespace}/").into(),
            account: format!("sa/{name}").into(),
        }
    }

    pub(super) fn trust_domain(text: &str) -> Self {
        Self::TrustDomain(ValueMatch::parse(text, Star::Present))
    }

    /// Whether the identity is one of those meant.
    pub(super) fn matches(&self, identity: &[u8]) -> bool {
        match self {
            Self::Principal(ValueMatch::NonEmpty) => !identity.is_empty(),
            Self::Principal(value) => identity
                .strip_prefix(SPIFFE.as_bytes())
                .is_some_and(|principal| value.matches(principal, Case::Sensitive)),
            Self::Namespace { literals, .. } => {
                let mut rest = Some(identity);
                for literal in literals {
                    rest = rest.and_then(|rest| after(rest, literal.as_bytes()));
                }
                rest.is_some()
            }
            // At least one byte stands before `/ns/`. Its first place is as good as a later one, which would be part of the
            // optional text.
            Self::ServiceAccount { namespace, account, .. } => identity
                .strip_prefix(SPIFFE.as_bytes())
                .and_then(|rest| after(rest.get(1..)?, namespace.as_bytes()))
                .is_some_and(|rest| ends_with_account(rest, account)),
            Self::TrustDomain(ValueMatch::Present) => identity.starts_with(SPIFFE.as_bytes()),
            Self::TrustDomain(value) => identity
                .strip_prefix(SPIFFE.as_bytes())
                .and_then(|rest| rest.get(..rest.iter().position(|byte| *byte == b'/')?))
                .is_some_and(|domain| value.matches(domain, Case::Sensitive)),
        }
    }
}

impl fmt::Display for PeerMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Principal(value) | Self::TrustDomain(value) => value.fmt(f),
            Self::Namespace { text, .. } | Self::ServiceAccount { text, .. } => f.write_str(text),
        }
    }
}

/// What stands behind the first `needle`, which is not empty.
fn after<'h>(haystack: &'h [u8], needle: &[u8]) -> Option<&'h [u8]> {
    let first = needle.first()?;
    let starts = haystack.iter().enumerate().filter(|(_, byte)| *byte == first);
    starts.filter_map(|(start, _)| haystack.get(start..)).find_map(|rest| rest.strip_prefix(needle))
}

/// Whether `account` stands at the start or behind a slash, and then nothing or a further path.
fn ends_with_account(mut rest: &[u8], account: &str) -> bool {
    loop {
        let found = rest
            .strip_prefix(account.as_bytes())
            .is_some_and(|tail| tail.is_empty() || (tail.len() > 1 && tail.starts_with(b"/")));
        if found {
            return true;
        }
        match after(rest, b"/") {
            Some(next) => rest = next,
            None => return false,
        }
    }
}

/// Whether any name of a list that is printed with `,` between its names passes `test`; `None` when that is open.
///
/// A name may itself hold a comma, so the text has two readings. `spiffe://evil/a,spiffe://good/ns/x/sa/y` may be the one
/// name of a certificate that the authority of `evil` signed: read as two, it would let that authority speak for `good`.
/// So two names are believed only where all of them belong to one trust domain, whose authority could have issued them one
/// by one. Elsewhere, when the readings disagree, the answer is open, and the caller takes the stricter one.
pub(super) fn any_name(list: &[u8], test: impl Fn(&[u8]) -> bool) -> Option<bool> {
    let whole = test(list);
    if !list.contains(&b',') {
        return Some(whole);
    }
    let names = || list.split(|byte| *byte == b',');
    let first = trust_domain(list);
    match (whole, names().any(test)) {
        (true, true) => Some(true),
        (false, false) => Some(false),
        (false, true) if names().all(|name| trust_domain(name) == first) => Some(true),
        _ => None,
    }
}

/// Visits every text that [`any_name`] could test.
pub(super) fn each_name(list: &[u8], visit: &mut dyn FnMut(&[u8])) {
    visit(list);
    if list.contains(&b',') {
        list.split(|byte| *byte == b',').for_each(visit);
    }
}

/// Scheme and authority of a URI; `None` for any other name.
fn trust_domain(name: &[u8]) -> Option<&[u8]> {
    let behind = after(name, b"://")?;
    let path = behind.iter().position(|byte| matches!(byte, b'/' | b',')).unwrap_or(behind.len());
    name.get(..name.len() - behind.len() + path)
}

/// A principal as the proxy's own trust domain and its aliases write it: one entry per member of `domains` when it names one
/// of them, else itself. `cluster.local` always stands for the proxy's own.
pub(super) fn with_aliases(principal: &str, domains: &[String]) -> Vec<String> {
    let Some((domain, rest)) = principal.split_once('/') else { return vec![principal.to_owned()] };
    let known = |member: &String| {
        ValueMatch::parse(domain, Star::Present).matches(member.as_bytes(), Case::Sensitive)
    };
    if domain == "*"
        || rest.split('/').count() != 4
        || !(domain == crate::host_name::DOMAIN_SUFFIX || domains.iter().any(known))
    {
        return vec![principal.to_owned()];
    }
    let mut principals = Vec::new();
    for member in domains {
        let covered = domain.strip_prefix('*').is_some_and(|tail| member.ends_with(tail));
        let renamed = if covered { principal.to_owned() } else { format!("{member}/{rest}") };
        if !principals.contains(&renamed) {
            principals.push(renamed);
        }
    }
    principals
}

#[cfg(test)]
mod tests;
