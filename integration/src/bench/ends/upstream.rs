//! A connection of the upstream's: every request gets the same answer.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
};

use crate::{Context, Result};

/// A head larger than this is not one that the bench sends.
const LARGEST_HEAD: usize = 64 * 1024;

#[derive(Debug)]
pub(super) struct Served {
    stream: TcpStream,
    buffer: Vec<u8>,
    answer: Vec<u8>,
}

impl Served {
    pub(super) fn new(stream: TcpStream, number: usize) -> Result<Self> {
        stream.set_nonblocking(true).and_then(|()| stream.set_nodelay(true)).context("a connection")?;
        let body = format!("{{\"upstream\":{number}}}");
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncache-control: no-cache\r\n\
             content-length: {length}\r\n\r\n{body}"
        );
        Ok(Self { stream, buffer: Vec::new(), answer: answer.into_bytes() })
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads what is there and answers a complete request, which has no body; false when the connection is over.
    pub(super) fn serve(&mut self) -> bool {
        let mut chunk = [0; 8 * 1024];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(size) => {
                    self.buffer.extend_from_slice(chunk.get(..size).unwrap_or_default());
                    if size < chunk.len() {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        if !self.buffer.ends_with(b"\r\n\r\n") {
            return self.buffer.len() < LARGEST_HEAD;
        }
        self.buffer.clear();
        self.stream.write_all(&self.answer).is_ok()
    }
}
