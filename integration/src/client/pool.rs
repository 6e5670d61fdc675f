//! The HTTP/1.1 client: connections are kept and used again.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    connection::Connection,
    message::{Request, Response},
    stream::Tls,
};
use crate::{Context, Error, Result, wait::PATIENCE};

/// An HTTP/1.1 client for one address. Threads may share it.
///
/// A request is sent once: nothing here retries, so what the upstream counts is what Envoy did.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    authority: String,
    source: Option<IpAddr>,
    tls: Option<Tls>,
    prelude: Vec<u8>,
    patience: Duration,
    idle: Mutex<Vec<Connection>>,
}

impl Client {
    /// A client in clear text.
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            authority: address.to_string(),
            source: None,
            tls: None,
            prelude: Vec::new(),
            patience: PATIENCE,
            idle: Mutex::default(),
        }
    }

    /// A client over TLS.
    pub fn with_tls(address: SocketAddr, tls: Tls) -> Self {
        Self { tls: Some(tls), ..Self::new(address) }
    }

    /// Connects from this address of the machine: any of 127.0.0.0/8 will do.
    #[must_use]
    pub fn from(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// Sends these bytes first on every connection, before TLS too: a line of the PROXY protocol.
    #[must_use]
    pub fn prelude(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.prelude = bytes.as_ref().to_vec();
        self
    }

    /// Gives up on a connection that makes no progress for this long.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends `request` and waits for its response, on a kept connection where one is idle.
    ///
    /// # Errors
    /// No connection, or no complete response.
    pub fn send(&self, request: &Request) -> Result<Response> {
        let mut connection = match self.take_idle() {
            Some(connection) => connection,
            None => self.connect()?,
        };
        let response = connection.exchange(&request.to_bytes(&self.authority), request.method == b"HEAD")?;
        if connection.is_reusable() {
            self.lock().push(connection);
        }
        Ok(response)
    }

    /// `GET` of a path.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn get(&self, target: &str) -> Result<Response> {
        self.send(&Request::get(target))
    }

    /// Sends these bytes on a connection of their own and reads one response.
    ///
    /// # Errors
    /// As [`send`](Self::send).
    pub fn send_raw(&self, bytes: impl AsRef<[u8]>) -> Result<Response> {
        self.connect()?.exchange(bytes.as_ref(), false)
    }

    /// Sends the requests that `make` gives for 0 to `count`, over `connections` connections at a
    /// time, and gives their responses in the same order.
    ///
    /// # Errors
    /// The first request that got no response.
    pub fn send_many(
        &self,
        count: usize,
        connections: usize,
        make: impl Fn(usize) -> Request + Sync,
    ) -> Result<Vec<Response>> {
        let next = AtomicUsize::new(0);
        let work = || -> Result<Vec<(usize, Response)>> {
            let mut done = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= count {
                    return Ok(done);
                }
                let response = self.send(&make(index)).context(format_args!("request {index} of {count}"));
                // Whoever fails stops the others: their results would be thrown away.
                done.push((index, response.inspect_err(|_| next.store(count, Ordering::Relaxed))?));
            }
        };
        let mut all = Vec::with_capacity(count);
        thread::scope(|scope| {
            let workers: Vec<_> = (0..connections.max(1)).map(|_| scope.spawn(work)).collect();
            for worker in workers {
                all.extend(worker.join().map_err(|_| Error::new("a sending thread panicked"))??);
            }
            Ok(())
        })?;
        all.sort_by_key(|(index, _)| *index);
        Ok(all.into_iter().map(|(_, response)| response).collect())
    }

    /// A connection to send anything on, not shared with anyone.
    ///
    /// # Errors
    /// Nobody listens, or TLS fails.
    pub fn connect(&self) -> Result<Connection> {
        Connection::open(self.address, self.source, &self.prelude, self.tls.as_ref(), self.patience)
    }

    fn take_idle(&self) -> Option<Connection> {
        loop {
            let connection = self.lock().pop()?;
            if connection.is_idle() {
                return Some(connection);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
