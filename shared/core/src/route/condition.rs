//! One condition on a request, compiled.

use super::claim::Claim;
use super::string_matcher::{StringMatcher, UriMatcher};
use crate::request::{Attribute, RequestView};
use mesh_policy_istio::path::Path;
use std::borrow::Cow;
use std::fmt;

/// One condition on a request. Names of headers are lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Condition {
    /// `uri`: the path without query.
    Uri(UriMatcher),
    /// `method`.
    Method(StringMatcher),
    /// `authority`, port included, case kept.
    Authority(StringMatcher),
    /// `scheme`.
    Scheme(StringMatcher),
    /// An entry of `headers`; the second name is the key as it is written.
    Header(Named),
    /// An entry of `withoutHeaders`.
    WithoutHeader(Named),
    /// An entry of `headers` that means a claim of the token.
    Claim(Claim),
    /// An entry of `withoutHeaders` that means a claim of the token.
    WithoutClaim(Claim),
    /// An entry of `queryParams`.
    QueryParam(Named),
    /// `port`, where one configuration serves several.
    Port(u16),
}

/// A condition on a header or a query parameter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Named {
    /// What to look up.
    pub(super) name: Box<str>,
    /// The key as it is written.
    pub(super) key: Box<str>,
    /// What its value must be.
    pub(super) matcher: StringMatcher,
}

impl Condition {
    /// Whether it holds for `request`.
    #[inline]
    pub(super) fn holds(&self, request: &RequestView<'_>) -> bool {
        match self {
            // Most rules end here, and a path is there in place: it is not worth a detour over `found`.
            Self::Uri(matcher) => request.path().is_some_and(|path| matcher.matches(path)),
            Self::WithoutHeader(Named { matcher: StringMatcher::Present, name, .. }) => {
                request.header_lines(name).next().is_none()
            }
            Self::WithoutHeader(Named { matcher, name, .. }) => {
                let mut lines = request.header_lines(name).peekable();
                // Envoy takes an absent header for an empty one when it inverts a match on a value.
                match lines.peek() {
                    None => !matcher.matches(b""),
                    Some(_) => !lines.any(|line| matcher.matches(line)),
                }
            }
            Self::Header(Named { matcher, name, .. }) => {
                request.header_lines(name).any(|line| matcher.matches(line))
            }
            Self::Method(matcher)
            | Self::Authority(matcher)
            | Self::Scheme(matcher)
            | Self::QueryParam(Named { matcher, .. }) => {
                self.found(request).is_some_and(|value| matcher.matches(&value))
            }
            // What a token says that cannot be read is open: neither a claim nor its absence can be taken from it.
            Self::Claim(claim) => claim.matches(request) == Some(true),
            Self::WithoutClaim(claim) => claim.matches(request) == Some(false),
            Self::Port(wanted) => port(request) == Some(*wanted),
        }
    }

    /// What the request has to show for it.
    pub(super) fn found<'r>(&self, request: &'r RequestView<'_>) -> Option<Cow<'r, [u8]>> {
        match self {
            Self::Uri(_) => request.path().map(Cow::Borrowed),
            Self::Method(_) => request.method().map(Cow::Borrowed),
            Self::Authority(_) => request.authority().map(Cow::Borrowed),
            Self::Scheme(_) => request.scheme().map(Cow::Borrowed),
            Self::Header(Named { name, .. }) | Self::WithoutHeader(Named { name, .. }) => {
                request.header(name)
            }
            Self::QueryParam(Named { name, .. }) => {
                query_param(request.query()?, name.as_bytes()).map(Cow::Borrowed)
            }
            Self::Claim(claim) | Self::WithoutClaim(claim) => claim.found(request),
            Self::Port(_) => request.attribute(Attribute::DestinationPort).map(Cow::Borrowed),
        }
    }

    /// Where it stands, below its match.
    pub(super) fn field(&self, at: &Path) -> Path {
        match self {
            Self::Uri(_) => at.field("uri"),
            Self::Method(_) => at.field("method"),
            Self::Authority(_) => at.field("authority"),
            Self::Scheme(_) => at.field("scheme"),
            Self::Header(Named { key, .. }) => at.field("headers").field(key),
            Self::WithoutHeader(Named { key, .. }) => at.field("withoutHeaders").field(key),
            Self::Claim(Claim { key, .. }) => at.field("headers").field(key),
            Self::WithoutClaim(Claim { key, .. }) => at.field("withoutHeaders").field(key),
            Self::QueryParam(Named { key, .. }) => at.field("queryParams").field(key),
            Self::Port(_) => at.field("port"),
        }
    }
}

/// The port that the client connected to.
pub(super) fn port(request: &RequestView<'_>) -> Option<u16> {
    std::str::from_utf8(request.attribute(Attribute::DestinationPort)?).ok()?.parse().ok()
}

/// The value of the first parameter of that name, raw: Envoy decodes neither names nor values here.
pub(super) fn query_param<'q>(query: &'q [u8], name: &[u8]) -> Option<&'q [u8]> {
    query.split(|byte| *byte == b'&').find_map(|parameter| {
        let rest = parameter.strip_prefix(name)?;
        match rest.split_first() {
            None => Some(rest),
            Some((b'=', value)) => Some(value),
            Some(_) => None,
        }
    })
}

impl fmt::Display for Condition {
    /// What it wants.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(matcher) => write!(f, "{matcher}"),
            Self::WithoutHeader(Named { matcher: StringMatcher::Present, .. }) => {
                f.write_str("no such header")
            }
            Self::WithoutHeader(Named { matcher, .. }) | Self::WithoutClaim(Claim { matcher, .. }) => {
                write!(f, "anything but {matcher}")
            }
            Self::Claim(Claim { matcher, .. }) => write!(f, "{matcher}"),
            Self::Method(matcher)
            | Self::Authority(matcher)
            | Self::Scheme(matcher)
            | Self::Header(Named { matcher, .. })
            | Self::QueryParam(Named { matcher, .. }) => write!(f, "{matcher}"),
            Self::Port(port) => write!(f, "port {port}"),
        }
    }
}
