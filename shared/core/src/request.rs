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
    // Asked for by nearly every condition, so they are looked for once.
    method: Option<&'r [u8]>,
    authority: Option<&'r [u8]>,
    scheme: Option<&'r [u8]>,
    path_and_query: Option<&'r [u8]>,
    path: Option<&'r [u8]>,
    attributes: &'r dyn Attributes,
    fetched: [OnceCell<Option<Vec<u8>>>; Attribute::COUNT],
    token: OnceCell<Token>,
}

impl<'r> RequestView<'r> {
    /// A view over headers and a source of attributes.
    #[must_use]
    #[inline]
    pub fn new(headers: &'r HeaderMap<'r>, attributes: &'r dyn Attributes) -> Self {
        let (mut method, mut authority, mut scheme, mut path_and_query) = (None, None, None, None);
        for (name, value) in headers.iter() {
            let [b':', name @ ..] = name else { continue };
            let found = match name {
                b"method" => &mut method,
                b"authority" => &mut authority,
                b"scheme" => &mut scheme,
                b"path" => &mut path_and_query,
                _ => continue,
            };
            // The first, should there ever be two.
            found.get_or_insert(value);
        }
        Self {
            headers,
            method,
            authority,
            scheme,
            path_and_query,
            path: path_and_query.map(without_query),
            attributes,
            fetched: Default::default(),
            token: OnceCell::new(),
        }
    }

    /// All headers, pseudo headers included.
    #[must_use]
    pub const fn headers(&self) -> &'r HeaderMap<'r> {
        self.headers
    }

    /// The lines of a header, by lower-case name: see [`HeaderMap::lines`].
    #[inline]
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
    #[inline]
    pub const fn method(&self) -> Option<&'r [u8]> {
        self.method
    }

    /// `:authority`, port included.
    #[must_use]
    #[inline]
    pub const fn authority(&self) -> Option<&'r [u8]> {
        self.authority
    }

    /// `:scheme`.
    #[must_use]
    #[inline]
    pub const fn scheme(&self) -> Option<&'r [u8]> {
        self.scheme
    }

    /// `:path`, with its query.
    #[must_use]
    #[inline]
    pub const fn path_and_query(&self) -> Option<&'r [u8]> {
        self.path_and_query
    }

    /// The path that rules compare: `:path` up to the first `?` or `#`.
    #[must_use]
    #[inline]
    pub const fn path(&self) -> Option<&'r [u8]> {
        self.path
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
    #[inline]
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

#[inline]
fn without_query(path_and_query: &[u8]) -> &[u8] {
    let end = path_and_query.iter().position(|byte| matches!(byte, b'?' | b'#'));
    end.and_then(|end| path_and_query.get(..end)).unwrap_or(path_and_query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pseudo_headers_are_told_from_others() {
        let buffer = HeaderMap::write(&[
            ("path", b"/no".as_slice()),
            (":path", b"/a"),
            (":paths", b"/no"),
            (":method", b"GET"),
            ("x", b""),
            (":scheme", b"https"),
            (":authority", b"\xff"),
            (":path", b"/later"),
        ]);
        let headers = HeaderMap::parse(&buffer).unwrap();
        let request = RequestView::new(&headers, &());
        assert_eq!(request.path_and_query(), Some(b"/a".as_slice()));
        assert_eq!(request.path(), Some(b"/a".as_slice()));
        assert_eq!(request.method(), Some(b"GET".as_slice()));
        assert_eq!(request.scheme(), Some(b"https".as_slice()));
        assert_eq!(request.authority(), Some(b"\xff".as_slice()));
        let none = HeaderMap::parse(b"").unwrap();
        let request = RequestView::new(&none, &());
        assert_eq!((request.path(), request.method()), (None, None));
        assert_eq!((request.scheme(), request.authority()), (None, None));
    }

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
