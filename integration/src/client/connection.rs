//! One HTTP/1 connection: bytes out, responses in.

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use super::{
    message::{Headers, Response},
    stream::{Stream, Tls},
};
use crate::{Context, Error, Result, bytes::escape};

/// A head larger than this is not one that Envoy or the echo server sends.
const LARGEST_HEAD: usize = 256 * 1024;

/// A connection that sends whatever bytes it is given.
pub struct Connection {
    stream: Stream,
    /// What was read and not yet used.
    buffer: Vec<u8>,
    reusable: bool,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("reusable", &self.reusable).finish_non_exhaustive()
    }
}

/// How the end of a body is told.
#[derive(PartialEq, Eq)]
enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

impl Connection {
    /// Connects, from the address `source` if one is given, and sends `prelude` before anything else; reading and writing give up after `patience` without progress.
    ///
    /// # Errors
    /// Nobody listens, or TLS fails.
    pub fn open(
        address: SocketAddr,
        source: Option<IpAddr>,
        prelude: &[u8],
        tls: Option<&Tls>,
        patience: Duration,
    ) -> Result<Self> {
        let stream = Stream::connect(address, source, prelude, tls, patience)?;
        Ok(Self { stream, buffer: Vec::new(), reusable: true })
    }

    /// Sends these bytes.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).and_then(|()| self.stream.flush()).context("sending")
    }

    /// Sends a request's bytes and reads its response; `head` says that it has no body, as for `HEAD`.
    ///
    /// # Errors
    /// No complete response comes.
    pub fn exchange(&mut self, bytes: &[u8], head: bool) -> Result<Response> {
        let begun = Instant::now();
        // A server that refuses a request early answers and closes while it is still being sent.
        let sent = self.write(bytes);
        let mut response = self.read_response(head).map_err(|error| sent.err().unwrap_or(error))?;
        response.elapsed = begun.elapsed();
        Ok(response)
    }

    /// Reads the next response, skipping interim ones (1xx).
    ///
    /// # Errors
    /// The connection ends before the response does, or what comes is not HTTP/1.
    pub fn read_response(&mut self, head: bool) -> Result<Response> {
        let begun = Instant::now();
        let (version, status, headers) = loop {
            let (version, status, headers) = self.read_head()?;
            if !(100..200).contains(&status) || status == 101 {
                break (version, status, headers);
            }
        };
        let connection = headers.get("connection").unwrap_or_default().to_ascii_lowercase();
        let framing = framing(head, status, &headers)?;
        self.reusable = framing != Framing::UntilClose
            && status != 101
            && if version == b"HTTP/1.0" {
                connection.contains("keep-alive")
            } else {
                !connection.contains("close")
            };
        let mut trailers = Headers::default();
        let body = match framing {
            Framing::Length(length) => self.take(length)?,
            Framing::UntilClose => {
                while self.fill()? {}
                std::mem::take(&mut self.buffer)
            }
            Framing::Chunked => {
                let body = self.read_chunks()?;
                trailers = self.read_lines()?;
                body
            }
        };
        Ok(Response { status, headers, body, trailers, elapsed: begun.elapsed() })
    }

    /// Whether the last response allows another request on this connection.
    pub fn is_reusable(&self) -> bool {
        self.reusable && self.buffer.is_empty()
    }

    /// Whether the other side has neither closed the connection nor sent anything unasked.
    pub fn is_idle(&self) -> bool {
        self.stream.is_idle()
    }

    /// Whether the other side closes the connection, rather than sending more, within the patience.
    ///
    /// # Errors
    /// Neither happens in time.
    pub fn is_closed_by_peer(&mut self) -> Result<bool> {
        Ok(self.buffer.is_empty() && !self.fill()?)
    }

    fn read_head(&mut self) -> Result<(Vec<u8>, u16, Headers)> {
        let line = self.read_line()?;
        let mut words = line.splitn(3, |byte| *byte == b' ');
        let (version, status) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let number = std::str::from_utf8(status).ok().and_then(|digits| digits.parse().ok());
        match number {
            Some(status) if version.starts_with(b"HTTP/1.") => {
                Ok((version.to_vec(), status, self.read_lines()?))
            }
            _ => Err(Error::new(format!("`{}` is not a status line of HTTP/1", escape(&line)))),
        }
    }

    /// Header or trailer lines, up to the empty one.
    fn read_lines(&mut self) -> Result<Headers> {
        let mut headers = Headers::default();
        loop {
            let line = self.read_line()?;
            if line.is_empty() {
                return Ok(headers);
            }
            let mut parts = line.splitn(2, |byte| *byte == b':');
            match (parts.next(), parts.next()) {
                (Some(name), Some(value)) => headers.push(name, value.trim_ascii()),
                _ => return Err(Error::new(format!("`{}` is not a header line", escape(&line)))),
            }
        }
    }

    fn read_line(&mut self) -> Result<Vec<u8>> {
        let mut searched = 0;
        loop {
            let fresh = self.buffer.get(searched..).unwrap_or_default();
            if let Some(found) = fresh.windows(2).position(|pair| pair == b"\r\n") {
                let mut line = self.take(searched + found + 2)?;
                line.truncate(searched + found);
                return Ok(line);
            }
            searched = self.buffer.len().saturating_sub(1);
            if searched > LARGEST_HEAD {
                return Err(Error::new("the response has a line without end"));
            }
            self.fill_or_fail()?;
        }
    }

    fn read_chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let line = self.read_line()?;
            let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
            let size =
                std::str::from_utf8(digits).ok().and_then(|text| usize::from_str_radix(text.trim(), 16).ok());
            let size = size.context(format_args!("`{}` is not the size of a chunk", escape(&line)))?;
            if size == 0 {
                return Ok(body);
            }
            body.extend(self.take(size)?);
            if !self.read_line()?.is_empty() {
                return Err(Error::new("a chunk is longer than it says"));
            }
        }
    }

    fn take(&mut self, length: usize) -> Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.fill_or_fail()?;
        }
        let rest = self.buffer.split_off(length);
        Ok(std::mem::replace(&mut self.buffer, rest))
    }

    fn fill_or_fail(&mut self) -> Result<()> {
        if self.fill()? {
            return Ok(());
        }
        let got = escape(&self.buffer);
        Err(Error::new(format!("the connection closed in the middle of a response, after `{got}`")))
    }

    /// Reads what there is; `false` at the end of the stream.
    fn fill(&mut self) -> Result<bool> {
        let mut piece = [0; 16 * 1024];
        let count = self.stream.read(&mut piece).context("receiving")?;
        self.buffer.extend(piece.iter().take(count));
        Ok(count > 0)
    }
}

fn framing(head: bool, status: u16, headers: &Headers) -> Result<Framing> {
    if head || matches!(status, 204 | 304) {
        return Ok(Framing::Length(0));
    }
    if headers.get("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Ok(Framing::Chunked);
    }
    match headers.get("content-length") {
        Some(length) => {
            length.parse().map(Framing::Length).context(format_args!("`{length}` is not a content length"))
        }
        None => Ok(Framing::UntilClose),
    }
}
