//! `redirect`: an answer that sends the client elsewhere.

use super::place::Place;
use super::string_matcher::MatchedPart;
use crate::effect::LocalReply;
use crate::request::{Attribute, RequestView};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::{HttpRedirect, RedirectPortSelection};

/// Where a client is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Redirect {
    status: u16,
    scheme: Option<Scheme>,
    authority: Option<String>,
    port: Port,
    path: PathChange,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Http,
    Https,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Port {
    /// That of the request.
    Keep,
    /// This one, unless it is the scheme's own.
    Set(u16),
    /// The one that the client connected to, unless it is the scheme's own.
    OfConnection,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PathChange {
    Keep,
    /// The whole path becomes this; a query in it replaces the request's.
    Whole(String),
    /// The matched prefix becomes this.
    Prefix(String),
}

impl Scheme {
    const fn text(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    fn read(text: &[u8]) -> Option<Self> {
        [Self::Http, Self::Https].into_iter().find(|scheme| scheme.text().as_bytes() == text)
    }
}

impl Redirect {
    /// From the object written at `at`; `listener_port` is the port that the proxy serves, where there is only one.
    pub(super) fn compile(
        written: &HttpRedirect,
        listener_port: Option<u16>,
        at: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        let HttpRedirect { uri, prefix_rewrite, authority, port, derive_port, scheme, redirect_code } =
            written;
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let (uri, prefix_rewrite, authority) = (given(uri), given(prefix_rewrite), given(authority));
        let scheme = given(scheme);
        let mut valid = true;
        let mut refuse = |at: &Place<'_>, kind: ProblemKind, message: String| {
            problems.error(at.path(), kind, message);
            valid = false;
        };
        let nothing = uri.is_none() && prefix_rewrite.is_none() && authority.is_none() && scheme.is_none();
        if nothing && port.is_none() && derive_port.is_none() {
            refuse(
                at,
                ProblemKind::Missing,
                "expected at least one of `uri`, `prefixRewrite`, `authority`, `port`, `derivePort` and `scheme`, found none"
                    .to_owned(),
            );
        }
        if uri.is_some() && prefix_rewrite.is_some() {
            refuse(
                at,
                ProblemKind::Conflict,
                "expected one of `uri` and `prefixRewrite`, found both".to_owned(),
            );
        }
        if port.is_some() && derive_port.is_some() {
            refuse(
                at,
                ProblemKind::Conflict,
                "expected one of `port` and `derivePort`, found both".to_owned(),
            );
        }
        let scheme = scheme.and_then(|text| {
            let scheme = Scheme::read(text.as_bytes());
            if scheme.is_none() {
                let message = format!("expected `http` or `https`, found `{text}`");
                refuse(&at.field("scheme"), ProblemKind::InvalidValue, message);
            }
            scheme
        });
        let port = match (port, derive_port) {
            (Some(0) | None, None | Some(RedirectPortSelection::FromProtocolDefault)) => Port::Keep,
            (Some(number), _) => match u16::try_from(*number) {
                Ok(number) => Port::Set(number),
                Err(_) => {
                    let message = format!("expected a port from 1 to 65535, found `{number}`");
                    refuse(&at.field("port"), ProblemKind::InvalidValue, message);
                    Port::Keep
                }
            },
            (None, Some(RedirectPortSelection::FromRequestPort)) => {
                listener_port.map_or(Port::OfConnection, Port::Set)
            }
        };
        let status = match redirect_code {
            None | Some(0) => 301,
            Some(code @ (301 | 302 | 303 | 307 | 308)) => u16::try_from(*code).unwrap_or(301),
            Some(code) => {
                let message = format!("expected 301, 302, 303, 307 or 308, found `{code}`");
                refuse(&at.field("redirectCode"), ProblemKind::InvalidValue, message);
                301
            }
        };
        let path = match (uri, prefix_rewrite) {
            (Some(uri), _) => PathChange::Whole(with_slash(uri)),
            (None, Some(prefix)) => PathChange::Prefix(prefix),
            (None, None) => PathChange::Keep,
        };
        valid.then_some(Self { status, scheme, authority, port, path })
    }

    /// The answer to `request`, of whose path the rule matched `part`.
    pub(super) fn reply(&self, request: &RequestView<'_>, part: MatchedPart) -> LocalReply {
        LocalReply {
            status: self.status,
            headers: vec![("location".to_owned(), self.location(request, part))],
            body: Vec::new(),
            grpc_status: None,
            details: "direct_response".to_owned(),
        }
    }

    fn location(&self, request: &RequestView<'_>, part: MatchedPart) -> Vec<u8> {
        let old_scheme = request.scheme().unwrap_or(b"http");
        let scheme = self.scheme.map_or(old_scheme, |scheme| scheme.text().as_bytes());
        let port = match self.port {
            Port::Keep => None,
            Port::Set(port) => Some(port),
            Port::OfConnection => request
                .attribute(Attribute::DestinationPort)
                .and_then(|port| std::str::from_utf8(port).ok()?.parse().ok()),
        };
        // Istio leaves out a port that is the scheme's own; then the request's stays, if it has one.
        let port = port.filter(|port| Scheme::read(scheme).map(Scheme::port) != Some(*port));
        let mut location = [scheme, b"://"].concat();
        match &self.authority {
            Some(authority) => location.extend_from_slice(authority.as_bytes()),
            None => {
                let authority = request.authority().unwrap_or_default();
                location.extend_from_slice(host(authority, old_scheme, scheme, port.is_some()));
            }
        }
        if let Some(port) = port {
            location.extend_from_slice(format!(":{port}").as_bytes());
        }
        let path_and_query = request.path_and_query().unwrap_or_default();
        let path_length = request.path().unwrap_or_default().len();
        match &self.path {
            PathChange::Keep => location.extend(with_leading_slash(path_and_query)),
            PathChange::Whole(uri) => {
                location.extend_from_slice(uri.as_bytes());
                if !uri.contains('?') {
                    location.extend_from_slice(path_and_query.get(path_length..).unwrap_or_default());
                }
            }
            PathChange::Prefix(prefix) => {
                let matched = match part {
                    MatchedPart::Prefix(length) => length,
                    MatchedPart::Whole => path_length,
                };
                let rest = path_and_query.get(matched..).unwrap_or_default();
                location.extend(with_leading_slash(&[prefix.as_bytes(), rest].concat()));
            }
        }
        location
    }
}

fn with_slash(path: String) -> String {
    if path.starts_with('/') { path } else { format!("/{path}") }
}

fn with_leading_slash(path: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let slash = if path.starts_with(b"/") { None } else { Some(b'/') };
    slash.into_iter().chain(path.iter().copied())
}

/// The authority of the request as the new location shows it: without port when a new one comes, or when the scheme changes
/// and the port was the old scheme's own.
fn host<'r>(authority: &'r [u8], old_scheme: &[u8], new_scheme: &[u8], new_port: bool) -> &'r [u8] {
    let colon = authority.iter().rposition(|byte| *byte == b':');
    let bracket = authority.iter().rposition(|byte| *byte == b']');
    let Some(colon) = colon.filter(|colon| bracket.is_none_or(|bracket| bracket < *colon)) else {
        return authority;
    };
    let Some((host, port)) = authority.split_at_checked(colon) else { return authority };
    let own_port = match old_scheme {
        b"http" => port == b":80",
        b"https" => port == b":443",
        _ => false,
    };
    if new_port || (old_scheme != new_scheme && own_port) { host } else { authority }
}
