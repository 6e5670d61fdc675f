//! What is sent and what comes back, as bytes.

use std::time::Duration;

use serde_json::Value;

use crate::{Context, Result, bytes::same_name, upstream::Echo};

/// Header lines in the order of the wire, duplicates included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(Vec<u8>, Vec<u8>)>);

impl Headers {
    /// The values of every line with this name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |(found, _)| same_name(found, name.as_bytes()))
            .map(|(_, value)| value.as_slice())
    }

    /// The values joined with `,` as text, where there is such a header; bytes that are not UTF-8
    /// show as replacement characters.
    pub fn get(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self.all(name).map(String::from_utf8_lossy).collect();
        (!values.is_empty()).then(|| values.join(","))
    }

    /// Whether there is a line with this name.
    pub fn has(&self, name: &str) -> bool {
        self.all(name).next().is_some()
    }

    pub(crate) fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.0.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
    }
}

/// What stands in `Host` (HTTP/1) or `:authority` (HTTP/2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// The address the client is connected to.
    Address,
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing: the line is not sent.
    Absent,
}

/// The version an HTTP/1 request claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `HTTP/1.0`
    Http10,
    /// `HTTP/1.1`
    Http11,
}

/// A request, every part of it bytes and none of them checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Vec<u8>,
    /// The target as it stands in the request line: path and query, absolute form, `*`.
    pub target: Vec<u8>,
    /// The version; HTTP/2 ignores it.
    pub version: Version,
    /// The host.
    pub host: Host,
    /// The header lines besides the host and the length.
    pub headers: Headers,
    /// The body. HTTP/1 sends `content-length` with it unless the headers already frame it.
    pub body: Vec<u8>,
    /// Trailers; with any, HTTP/1 sends the body chunked.
    pub trailers: Headers,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self {
            method: method.as_ref().to_vec(),
            target: target.as_ref().to_vec(),
            version: Version::Http11,
            host: Host::Address,
            headers: Headers::default(),
            body: Vec::new(),
            trailers: Headers::default(),
        }
    }

    /// `GET` of a path.
    pub fn get(target: impl AsRef<[u8]>) -> Self {
        Self::new("GET", target)
    }

    /// Adds a header line, after those there are and beside any of the same name.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Sets the host.
    #[must_use]
    pub fn host(mut self, host: impl AsRef<[u8]>) -> Self {
        self.host = Host::Bytes(host.as_ref().to_vec());
        self
    }

    /// Sends no host.
    #[must_use]
    pub fn without_host(mut self) -> Self {
        self.host = Host::Absent;
        self
    }

    /// Claims HTTP/1.0.
    #[must_use]
    pub fn http10(mut self) -> Self {
        self.version = Version::Http10;
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// Adds a trailer.
    #[must_use]
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers.push(name, value);
        self
    }

    /// The request as HTTP/1 sends it to `address`.
    pub fn to_bytes(&self, address: &str) -> Vec<u8> {
        let Self { method, target, version, host, headers, body, trailers } = self;
        let version: &[u8] = match version {
            Version::Http10 => b"HTTP/1.0",
            Version::Http11 => b"HTTP/1.1",
        };
        let mut wire = [method, b" ".as_slice(), target, b" ", version, b"\r\n"].concat();
        let mut line = |name: &[u8], value: &[u8]| wire.extend([name, b": ", value, b"\r\n"].concat());
        match host {
            Host::Address => line(b"host", address.as_bytes()),
            Host::Bytes(host) => line(b"host", host),
            Host::Absent => {}
        }
        for (name, value) in &headers.0 {
            line(name, value);
        }
        let framed = headers.has("content-length") || headers.has("transfer-encoding");
        let chunked = !framed && !trailers.0.is_empty();
        if chunked {
            line(b"transfer-encoding", b"chunked");
        } else if !framed && (!body.is_empty() || matches!(method.as_slice(), b"POST" | b"PUT" | b"PATCH")) {
            line(b"content-length", body.len().to_string().as_bytes());
        }
        wire.extend(b"\r\n");
        if !chunked {
            wire.extend(body);
            return wire;
        }
        if !body.is_empty() {
            wire.extend(format!("{:x}\r\n", body.len()).as_bytes());
            wire.extend(body);
            wire.extend(b"\r\n");
        }
        wire.extend(b"0\r\n");
        for (name, value) in &trailers.0 {
            wire.extend([name, b": ".as_slice(), value, b"\r\n"].concat());
        }
        wire.extend(b"\r\n");
        wire
    }
}

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The header lines.
    pub headers: Headers,
    /// The body, unchunked.
    pub body: Vec<u8>,
    /// The trailers.
    pub trailers: Headers,
    /// From the first byte sent to the last byte received.
    pub elapsed: Duration,
}

impl Response {
    /// The values of a header joined with `,`.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)
    }

    /// The body as text; bytes that are not UTF-8 show as replacement characters.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is not JSON.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).context(format_args!("reading `{}` as JSON", self.text()))
    }

    /// What the echo server that answered says it received, also in a gRPC answer.
    ///
    /// # Errors
    /// The answer does not come from an echo server; the text shows it.
    pub fn echo(&self) -> Result<Echo> {
        let kind = self.header("content-type").unwrap_or_default();
        let read = if kind.starts_with("application/grpc") { Echo::from_grpc_body } else { Echo::from_body };
        read(&self.body).context(format_args!("status {}", self.status))
    }
}
