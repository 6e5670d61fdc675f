//! A connection of the client's: one request at a time.

use std::{
    fmt,
    io::{ErrorKind, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio_rustls::rustls::{ClientConnection, StreamOwned};

use crate::{Context, Error, Result, bytes::escape, client::Tls};

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// That an answer has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) took: Duration,
}

/// What is read at once.
const CHUNK: usize = 16 * 1024;

pub(super) struct Client {
    wire: Wire,
    buffer: Vec<u8>,
    /// The answer of before, whole.
    last: Vec<u8>,
    sent: Instant,
}

enum Wire {
    Plain(TcpStream),
    Encrypted(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("socket", self.socket()).finish_non_exhaustive()
    }
}

impl Client {
    pub(super) fn connect(address: SocketAddr, tls: Option<&Tls>) -> Result<Self> {
        let socket = TcpStream::connect(address).context(format_args!("connecting to {address}"))?;
        socket.set_nodelay(true).context("preparing a connection")?;
        let wire = match tls {
            None => Wire::Plain(socket),
            Some(tls) => {
                let session = ClientConnection::new(Arc::clone(&tls.config), tls.server_name.clone());
                let mut stream = StreamOwned::new(session.context("starting TLS")?, socket);
                while stream.conn.is_handshaking() {
                    let greeted = stream.conn.complete_io(&mut stream.sock);
                    greeted.context(format_args!("TLS handshake with {address}"))?;
                }
                Wire::Encrypted(Box::new(stream))
            }
        };
        let client = Self { wire, buffer: Vec::new(), last: Vec::new(), sent: Instant::now() };
        client.socket().set_nonblocking(true).context("preparing a connection")?;
        Ok(client)
    }

    pub(super) fn socket(&self) -> &TcpStream {
        match &self.wire {
            Wire::Plain(socket) => socket,
            Wire::Encrypted(stream) => &stream.sock,
        }
    }

    /// Sends a request. It is small and the only one on its way, so that the kernel takes it at once.
    pub(super) fn send(&mut self, request: &[u8]) -> Result<()> {
        self.sent = Instant::now();
        let written = match &mut self.wire {
            Wire::Plain(socket) => socket.write_all(request),
            Wire::Encrypted(stream) => stream.write_all(request).and_then(|()| stream.flush()),
        };
        written.context("sending a request")
    }

    /// Reads what is there; says so when the answer is complete.
    pub(super) fn receive(&mut self) -> Result<Option<Answered>> {
        let mut chunk = [0; CHUNK];
        loop {
            let read = match &mut self.wire {
                Wire::Plain(socket) => socket.read(&mut chunk),
                Wire::Encrypted(stream) => stream.read(&mut chunk),
            };
            match read {
                Ok(0) => return Err(Error::new("envoy closed the connection")),
                Ok(size) => {
                    self.buffer.extend_from_slice(chunk.get(..size).unwrap_or_default());
                    // A short read has emptied the socket; of what TLS holds back nothing is said.
                    if size < CHUNK && matches!(self.wire, Wire::Plain(_)) {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("reading an answer"),
            }
        }
        let Some((status, _)) = complete(&self.buffer)? else { return Ok(None) };
        std::mem::swap(&mut self.buffer, &mut self.last);
        self.buffer.clear();
        Ok(Some(Answered { status, took: self.sent.elapsed() }))
    }

    /// The last answer.
    pub(super) fn answer(&self) -> Option<Answer> {
        let (status, head) = complete(&self.last).ok()??;
        Some(Answer { status, body: self.last.get(head..)?.to_vec() })
    }
}

/// The status of a complete answer, and where its body begins; none as long as something is missing.
fn complete(bytes: &[u8]) -> Result<Option<(u16, usize)>> {
    let Some(end) = position(bytes, b"\r\n\r\n") else { return Ok(None) };
    let (head, begin) = (bytes.get(..end).unwrap_or_default(), end + 4);
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.trim().parse().ok();
    let status = head.get(9..12).and_then(number);
    let length = position(head, b"\r\ncontent-length:").and_then(|at| {
        let value = head.get(at + 17..)?;
        number(value.split(|byte| *byte == b'\r').next()?)
    });
    let status = status.and_then(|status| u16::try_from(status).ok());
    let (Some(status), Some(length)) = (status, length) else {
        return Err(Error::new(format!("no status and length in `{}`", escape(head))));
    };
    Ok((bytes.len() - begin >= length).then_some((status, begin)))
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_complete_with_its_last_byte() {
        let answer = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nserver: envoy\r\n\r\nno";
        for size in 0..answer.len() {
            assert_eq!(complete(&answer[..size]).unwrap(), None, "{size} bytes");
        }
        assert_eq!(complete(answer).unwrap(), Some((403, answer.len() - 2)));
        assert!(complete(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }
}
