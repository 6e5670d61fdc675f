//! Clients that send exactly what a test asks for.
//!
//! [`Client`] speaks HTTP/1.1 over its own few lines instead of a library, because libraries
//! rightly refuse to send what an attacker sends: duplicate and missing `Host`, bytes that are not
//! UTF-8, absolute targets, malformed lines. [`Http2Client`] speaks HTTP/2, in clear text with
//! prior knowledge or over TLS, trailers included.

mod connection;
pub(crate) mod http2;
mod message;
mod pool;
mod stream;

pub use connection::Connection;
pub use http2::{Http2Client, Pending};
pub use message::{Headers, Host, Request, Response, Version};
pub use pool::Client;
pub use stream::Tls;

#[cfg(test)]
mod tests;
