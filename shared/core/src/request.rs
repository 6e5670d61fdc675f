//! What the evaluators see of a request.

use std::borrow::Cow;
use std::cell::OnceCell;

mod header_map;
mod token;
pub use header_map::{HeaderMap, InvalidHeaderMap};
pub(crate) use token::Token;

/// A fact about a request or its connection that does not stand in its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Attribute {
    /// Address of the direct peer, as text, without port.
    DirectRemoteIp,
    /// Address of the client after trusted proxies, as text, without port.
    RemoteIp,
    /// Address that the client connected to, as text, without port.
    DestinationIp,
    /// Port that the client connected to, as decimal text.
    DestinationPort,
    /// One of the URI SANs of a verified peer certificate, several separated by `,` as Envoy's formatter prints them.
    PeerUriSans,
    /// The DNS SANs of a verified peer certificate, several separated by `,`.
    PeerDnsSans,
    /// The subject of a verified peer certificate.
    PeerSubject,
    /// The server name that the client asked for in the TLS handshake.
    RequestedServerName,
    /// `HTTP/1.1`, `HTTP/2` and the like.
    Protocol,
    /// The verified JWT payload, as JSON text.
    JwtPayload,
    /// Address of the client after trusted proxies, as Envoy writes it: with its port, IPv6 in brackets.
    RemoteAddress,
    /// Address that the client connected to, as Envoy writes it: with its port, IPv6 in brackets.
    DestinationAddress,
}

impl Attribute {
    /// How many there are.
    const COUNT: usize = Self::DestinationAddress as usize + 1;
}

/// Gives attributes on demand: each costs a call into the proxy, so none is fetched before a rule needs it.
pub trait Attributes {
    /// The attribute's bytes; `None` when the request or connection has no such thing.
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>>;
}

/// No attributes at all.
impl Attributes for () {
    fn attribute(&self, _: Attribute) -> Option<Vec<u8>> {
        None
    }
}

/// A request as it arrived: its headers, and its attributes when asked for. Each attribute is fetched once at most.
pub struct RequestView<'r> {
    headers: &'r HeaderMap<'r>,
    attributes: &'r dyn Attributes,
    fetched: [OnceCell<Option<Vec<u8>>>; Attribute::COUNT],
    token: OnceCell<Token>,
    /// Asked for by nearly every condition, so its end is looked for once.
    path_length: OnceCell<usize>,
}

impl<'r> RequestView<'r> {
    /// A view over headers and a source of attributes.
    #[must_use]
    pub fn new(headers: &'r HeaderMap<'r>, attributes: &'r dyn Attributes) -> Self {
        Self {
            headers,
            attributes,
            fetched: Default::default(),
            token: OnceCell::new(),
            path_length: OnceCell::new(),
        }
    }

    /// All headers, pseudo headers included.
    #[must_use]
    pub const fn headers(&self) -> &'r HeaderMap<'r> {
        self.headers
    }

    /// The lines of a header, by lower-case name: see [`HeaderMap::lines`].
    pub fn header_lines<'n>(&'n self, name: &'n str) -> impl Iterator<Item = &'r [u8]> + 'n {
        self.headers.lines(name)
    }

    /// The value of a header, by lower-case name, several lines joined with `,`: to show it, not to match it.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Cow<'r, [u8]>> {
        self.headers.get(name)
    }

    /// `:method`.
    #[must_use]
    pub fn method(&self) -> Option<&'r [u8]> {
        self.headers.first(":method")
    }

    /// `:authority`, port included.
    #[must_use]
    pub fn authority(&self) -> Option<&'r [u8]> {
        self.headers.first(":authority")
    }

    /// `:scheme`.
    #[must_use]
    pub fn scheme(&self) -> Option<&'r [u8]> {
        self.headers.first(":scheme")
    }

    /// `:path`, with its query.
    #[must_use]
    pub fn path_and_query(&self) -> Option<&'r [u8]> {
        self.headers.first(":path")
    }

    /// The path that rules compare: `:path` up to the first `?` or `#`.
    #[must_use]
    pub fn path(&self) -> Option<&'r [u8]> {
        let whole = self.path_and_query()?;
        let end = || whole.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(whole.len());
        whole.get(..*self.path_length.get_or_init(end))
    }

    /// What stands behind the first `?`, without fragment.
    #[must_use]
    pub fn query(&self) -> Option<&'r [u8]> {
        let path = self.path_and_query()?.split(|byte| *byte == b'#').next()?;
        let question_mark = path.iter().position(|byte| *byte == b'?')?;
        path.get(question_mark + 1..)
    }

    /// Whether Envoy treats this as a gRPC request: content type `application/grpc`, alone or followed by `+`.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.headers
            .first("content-type")
            .and_then(|value| value.strip_prefix(b"application/grpc"))
            .is_some_and(|rest| rest.first().is_none_or(|byte| *byte == b'+'))
    }

    /// An attribute, fetched at the first call.
    #[must_use]
    pub fn attribute(&self, attribute: Attribute) -> Option<&[u8]> {
        self.fetched.get(attribute as usize)?.get_or_init(|| self.attributes.attribute(attribute)).as_deref()
    }

    /// The verified token, read at the first call.
    pub(crate) fn token(&self) -> &Token {
        self.token.get_or_init(|| Token::read(self.attribute(Attribute::JwtPayload)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_and_query_are_cut_at_the_first_mark() {
        let buffer = HeaderMap::write(&[(":path", b"/a?x=1?y#z")]);
        let headers = HeaderMap::parse(&buffer).unwrap();
        let request = RequestView::new(&headers, &());
        assert_eq!(request.path(), Some(b"/a".as_slice()));
        assert_eq!(request.query(), Some(b"x=1?y".as_slice()));
    }

    #[test]
    fn grpc_is_told_by_the_content_type_alone() {
        for (content_type, grpc) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; x=y", false),
            ("application/grpc-web", false),
            ("text/plain", false),
        ] {
            let buffer = HeaderMap::write(&[("content-type", content_type.as_bytes())]);
            let headers = HeaderMap::parse(&buffer).unwrap();
            assert_eq!(RequestView::new(&headers, &()).is_grpc(), grpc, "{content_type}");
        }
    }
}
