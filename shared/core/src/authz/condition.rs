//! One field of a source or an operation, or one list of a `when` entry: the unit that holds or does not.

use super::cidr::Cidr;
use super::claims::RequestPrincipal;
use super::facts::{Facts, Side};
use super::filing::Filing;
use super::identity::PeerMatch;
use super::path_template::{self, PathTemplate};
use super::value_match::{Case, Star, ValueMatch};
use crate::request::Attribute;
use std::fmt::{self, Display};

/// A field and what it asks for.
#[derive(Debug)]
pub(super) struct Condition {
    /// Its name as written: `principals`, `notPaths`, `values`.
    pub(super) field: &'static str,
    /// Any of these must match, or none when the field is a `not`.
    pub(super) matcher: Matcher,
    /// Where it has many values.
    pub(super) filing: Option<Filing>,
}

/// What is looked at, and the values of which any may match.
#[derive(Debug)]
pub(super) enum Matcher {
    Peer(Vec<PeerMatch>),
    RequestPrincipal(Vec<RequestPrincipal>),
    Address(Side, Vec<Cidr>),
    Port(Vec<u16>),
    Host(Vec<ValueMatch>),
    Method(Vec<ValueMatch>),
    Path(Vec<PathMatch>),
    Header(Box<str>, Vec<ValueMatch>),
    Sni(Vec<ValueMatch>),
    Claim(Vec<Box<str>>, Vec<ValueMatch>),
}

/// One value of `paths`.
#[derive(Debug)]
pub(super) enum PathMatch {
    Plain(ValueMatch),
    Template(PathTemplate),
}

impl Condition {
    pub(super) fn new(field: &'static str, matcher: Matcher) -> Self {
        let filing = Filing::of_values(&matcher);
        Self { field, matcher, filing }
    }

    /// Whether none of the values must match.
    pub(super) fn is_negated(&self) -> bool {
        self.field.starts_with("not")
    }

    /// Whether the condition holds. What cannot be told counts as `open`: the caller passes what is stricter for its action.
    pub(super) fn holds(&self, facts: &Facts<'_, '_>, open: bool) -> bool {
        let found = facts.found_by(self.filing.as_ref());
        self.matcher.matches(facts, found.as_deref()).map_or(open, |matched| matched != self.is_negated())
    }

    /// What was asked for.
    pub(super) fn wanted(&self) -> String {
        format!("{} {}", if self.is_negated() { "none of" } else { "one of" }, self.matcher.values())
    }
}

impl Matcher {
    /// How many values there are.
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Peer(values) => values.len(),
            Self::RequestPrincipal(values) => values.len(),
            Self::Address(_, values) => values.len(),
            Self::Port(values) => values.len(),
            Self::Path(values) => values.len(),
            Self::Host(values)
            | Self::Method(values)
            | Self::Header(_, values)
            | Self::Sni(values)
            | Self::Claim(_, values) => values.len(),
        }
    }

    /// Whether any value, or any of those that were `found`, matches what the request has; what it does not have matches nothing. `None` when that is open:
    /// the proxy does not tell an address, or bytes can be read in more than one way.
    fn matches(&self, facts: &Facts<'_, '_>, found: Option<&[usize]>) -> Option<bool> {
        let request = facts.request();
        match self {
            Self::Peer(values) => {
                facts.any_peer(|name| picked(values, found).any(|value| value.matches(name)))
            }
            Self::RequestPrincipal(values) => {
                any(picked(values, found), |value| value.matches(facts.token()))
            }
            Self::Address(side, values) => {
                let address = facts.address(*side)?;
                Some(picked(values, found).any(|value| value.contains(address)))
            }
            Self::Port(values) => Some(values.contains(&facts.port()?)),
            Self::Host(values) => Some(any_value(values, found, request.authority(), Case::Insensitive)),
            Self::Method(values) => Some(any_value(values, found, request.method(), Case::Sensitive)),
            Self::Path(values) => match request.path() {
                None => Some(false),
                Some(path) => any(picked(values, found), |value| value.matches(path)),
            },
            Self::Header(name, values) => Some(
                request.header_lines(name).any(|line| any_value(values, found, Some(line), Case::Sensitive)),
            ),
            Self::Sni(values) => {
                let name = request.attribute(Attribute::RequestedServerName).filter(|name| !name.is_empty());
                Some(any_value(values, found, name, Case::Sensitive))
            }
            Self::Claim(path, values) => {
                facts.token().any(path, |text| any_value(values, found, Some(text), Case::Sensitive))
            }
        }
    }

    /// What is looked at, in the words of `when` keys.
    pub(super) fn attribute(&self) -> String {
        match self {
            Self::Peer(values) => match values.first() {
                Some(PeerMatch::Namespace { .. }) => "source.namespace",
                Some(PeerMatch::ServiceAccount { .. }) => "source.serviceAccount",
                Some(PeerMatch::TrustDomain(_)) => "source.trustDomain",
                Some(PeerMatch::Principal(_)) | None => "source.principal",
            },
            Self::RequestPrincipal(_) => "request.auth.principal",
            Self::Address(Side::DirectRemote, _) => "source.ip",
            Self::Address(Side::Remote, _) => "remote.ip",
            Self::Address(Side::Destination, _) => "destination.ip",
            Self::Port(_) => "destination.port",
            Self::Host(_) => "request.host",
            Self::Method(_) => "request.method",
            Self::Path(_) => "request.path",
            Self::Header(name, _) => return format!("request.headers[{name}]"),
            Self::Sni(_) => "connection.sni",
            Self::Claim(path, _) => return format!("request.auth.claims[{}]", path.join("][")),
        }
        .to_owned()
    }

    /// The values as written.
    fn values(&self) -> String {
        match self {
            Self::Peer(values) => list(values),
            Self::RequestPrincipal(values) => list(values),
            Self::Address(_, values) => list(values),
            Self::Port(values) => list(values),
            Self::Path(values) => list(values),
            Self::Host(values)
            | Self::Method(values)
            | Self::Header(_, values)
            | Self::Sni(values)
            | Self::Claim(_, values) => list(values),
        }
    }

    /// What the request has.
    pub(super) fn found(&self, facts: &Facts<'_, '_>) -> String {
        let request = facts.request();
        let attribute = |attribute, missing: &str| {
            quoted(request.attribute(attribute).filter(|b| !b.is_empty()), missing)
        };
        match self {
            Self::Peer(_) => {
                let names: Vec<String> =
                    [Attribute::PeerUriSans, Attribute::PeerDnsSans, Attribute::PeerSubject]
                        .into_iter()
                        .filter_map(|attribute| request.attribute(attribute))
                        .filter(|name| !name.is_empty())
                        .map(|name| quoted(Some(name), ""))
                        .collect();
                if names.is_empty() { "no peer identity".to_owned() } else { names.join(", ") }
            }
            Self::RequestPrincipal(_) => {
                let token = facts.token();
                format!("iss: {}, sub: {}", token.describe(&["iss".into()]), token.describe(&["sub".into()]))
            }
            Self::Address(Side::DirectRemote, _) => attribute(Attribute::DirectRemoteIp, "no address"),
            Self::Address(Side::Remote, _) => attribute(Attribute::RemoteIp, "no address"),
            Self::Address(Side::Destination, _) => attribute(Attribute::DestinationIp, "no address"),
            Self::Port(_) => attribute(Attribute::DestinationPort, "no port"),
            Self::Host(_) => quoted(request.authority(), "no authority"),
            Self::Method(_) => quoted(request.method(), "no method"),
            Self::Path(_) => quoted(request.path(), "no path"),
            Self::Header(name, _) => quoted(request.header(name).as_deref(), "no such header"),
            Self::Sni(_) => attribute(Attribute::RequestedServerName, "no server name"),
            Self::Claim(path, _) => facts.token().describe(path),
        }
    }
}

impl PathMatch {
    fn matches(&self, path: &[u8]) -> Option<bool> {
        match self {
            Self::Plain(value) => Some(value.matches(path, Case::Sensitive)),
            Self::Template(template) => template.matches(path),
        }
    }
}

/// Whether a value of `paths` matches this path; one that is refused matches nothing.
#[must_use]
pub fn path_value_matches(value: &str, path: &[u8]) -> bool {
    if path_template::is_template(value) {
        return PathTemplate::parse(value).is_ok_and(|template| template.matches(path) == Some(true));
    }
    ValueMatch::parse(value, Star::NonEmpty).matches(path, Case::Sensitive)
}

/// Whether a value of `hosts` matches this authority.
#[must_use]
pub fn host_value_matches(value: &str, authority: &[u8]) -> bool {
    ValueMatch::parse(value, Star::Present).matches(authority, Case::Insensitive)
}

impl Display for PathMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(value) => value.fmt(f),
            Self::Template(template) => template.fmt(f),
        }
    }
}

/// The values, or those at the places that were `found`.
fn picked<'v, T>(values: &'v [T], found: Option<&'v [usize]>) -> impl Iterator<Item = &'v T> {
    let count = found.map_or(values.len(), <[usize]>::len);
    (0..count).filter_map(move |at| values.get(found.map_or(Some(at), |found| found.get(at).copied())?))
}

fn any_value(values: &[ValueMatch], found: Option<&[usize]>, text: Option<&[u8]>, case: Case) -> bool {
    text.is_some_and(|text| picked(values, found).any(|value| value.matches(text, case)))
}

/// Whether any of the values matches: one that does settles it, one that is open leaves it open.
fn any<'v, T: 'v>(values: impl Iterator<Item = &'v T>, test: impl Fn(&T) -> Option<bool>) -> Option<bool> {
    let mut result = Some(false);
    for value in values {
        match test(value) {
            Some(true) => return Some(true),
            Some(false) => {}
            None => result = None,
        }
    }
    result
}

fn list<T: Display>(values: &[T]) -> String {
    let texts: Vec<String> = values.iter().map(|value| format!("`{value}`")).collect();
    texts.join(", ")
}

fn quoted(bytes: Option<&[u8]>, missing: &str) -> String {
    match bytes {
        None => missing.to_owned(),
        Some(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => format!("`{}`", text.escape_debug()),
            Err(_) => format!("`{}`", bytes.escape_ascii()),
        },
    }
}
