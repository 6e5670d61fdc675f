//! The echo: what a server received, as JSON, and back.

use serde_json::{Value, json};

use super::Received;
use crate::{
    Context, Error, Result,
    bytes::{escape, unescape},
    client::Headers,
};

/// What the echo server that answered says about itself and the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The server's name.
    pub instance: String,
    /// The server's version.
    pub version: String,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// The method.
    pub method: String,
    /// Path and query, bytes beyond printable ASCII escaped (see [`crate::bytes::escape`]).
    pub path: String,
    /// `Host` or `:authority`, escaped likewise.
    pub authority: String,
    /// The header lines, as bytes.
    pub headers: Headers,
    /// How long the body was.
    pub body_length: u64,
}

impl Echo {
    /// The values of a request header joined with `,`, as the upstream received it.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)
    }

    pub(super) fn to_json(instance: &str, version: &str, received: &Received) -> Value {
        let headers: Vec<_> =
            received.headers.0.iter().map(|(name, value)| [escape(name), escape(value)]).collect();
        json!({
            "instance": instance,
            "version": version,
            "protocol": received.protocol,
            "method": received.method,
            "path": escape(&received.target),
            "authority": escape(&received.authority),
            "headers": headers,
            "body_length": received.body.len(),
        })
    }

    /// Reads an echo.
    ///
    /// # Errors
    /// The body is not one; the text shows it.
    pub fn from_body(body: &[u8]) -> Result<Self> {
        let parsed = serde_json::from_slice(body).ok().and_then(|json: Value| Self::from_json(&json));
        parsed.ok_or_else(|| Error::new(format!("not the answer of an echo server: `{}`", escape(body))))
    }

    /// Reads the echo in a gRPC answer: one message behind five bytes of framing.
    ///
    /// # Errors
    /// The body is not one uncompressed message with an echo.
    pub fn from_grpc_body(body: &[u8]) -> Result<Self> {
        match body {
            [0, a, b, c, d, message @ ..]
                if u32::from_be_bytes([*a, *b, *c, *d]) as usize == message.len() =>
            {
                Self::from_body(message)
            }
            _ => Err(Error::new(format!("not one gRPC message: `{}`", escape(body)))),
        }
    }

    fn from_json(json: &Value) -> Option<Self> {
        let text = |field: &str| Some(json.get(field)?.as_str()?.to_owned());
        let line = |pair: &Value| {
            let bytes = |index: usize| unescape(pair.get(index)?.as_str()?);
            Some((bytes(0)?, bytes(1)?))
        };
        Some(Self {
            instance: text("instance")?,
            version: text("version")?,
            protocol: text("protocol")?,
            method: text("method")?,
            path: text("path")?,
            authority: text("authority")?,
            headers: Headers(json.get("headers")?.as_array()?.iter().map(line).collect::<Option<_>>()?),
            body_length: json.get("body_length")?.as_u64()?,
        })
    }
}

/// One gRPC message: not compressed, its length, itself.
pub(super) fn grpc_message(message: &[u8]) -> Result<Vec<u8>> {
    let length = u32::try_from(message.len()).context("a gRPC message this long")?;
    Ok([&[0], length.to_be_bytes().as_slice(), message].concat())
}
