//! Echo servers: upstreams that say what they received and misbehave on request.
//!
//! An [`Upstream`] speaks HTTP/1.1 and HTTP/2 (and TLS, where given) on a loopback port. It answers
//! with what it received as JSON, and keeps every request for the test to read: mirrored requests
//! leave no other trace.
//!
//! A request steers its answer by headers, or by query parameters for those who type URLs:
//!
//! | header | query parameter | effect |
//! |---|---|---|
//! | `x-echo-status: 503` | `echo-status=503` | this status |
//! | `x-echo-delay-ms: 200` | `echo-delay-ms=200` | the answer waits this long |
//! | `x-echo-fail-first: 2` | `echo-fail-first=2` | the first two requests get 503 (or `x-echo-status`), later ones 200; counted per `x-echo-key`, or per path without one |
//! | `x-echo-key: a` | `echo-key=a` | see above |
//! | `x-echo-close: true` | `echo-close=true` | the connection (HTTP/2: the stream) ends without an answer |
//! | `x-echo-header: name: value` | | adds a response header, once per line |
//! | `x-echo-grpc-status: 7` | | the `grpc-status` trailer of a gRPC answer, 0 without it |
//!
//! Requests with a `content-type` of `application/grpc` get the echo as one gRPC message and the
//! status as a trailer.

mod behaviour;
mod control;
mod echo;
mod received;
mod server;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::task::AbortHandle;
use tokio_rustls::rustls::ServerConfig;

pub use behaviour::Tries;
pub use control::Remote;
pub use echo::Echo;
pub use received::Received;

use self::{received::Records, server::Shared};
use crate::{Context, Result, client::Headers, runtime::block_on, wait};

/// What an echo server is and how it answers when the request does not say.
#[derive(Debug)]
pub struct Builder {
    name: String,
    version: String,
    address: SocketAddr,
    headers: Headers,
    status: Option<u16>,
    tries: Tries,
    tls: Option<Arc<ServerConfig>>,
    message: Option<fn(&Received) -> Vec<u8>>,
    control: Option<SocketAddr>,
}

impl Builder {
    /// The version it states, for example `v1`.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = version.into();
        self
    }

    /// Listens here instead of on a free port.
    #[must_use]
    pub fn bind(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Adds a header to every response.
    #[must_use]
    pub fn response_header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers.push(name, value);
        self
    }

    /// Answers every request with this status, whatever the request says.
    #[must_use]
    pub fn always(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Answers gRPC calls with this message in place of an echo.
    #[must_use]
    pub fn grpc_message(mut self, message: fn(&Received) -> Vec<u8>) -> Self {
        self.message = Some(message);
        self
    }

    /// Counts tries together with other servers: a retry may reach another instance.
    #[must_use]
    pub fn tries(mut self, tries: &Tries) -> Self {
        self.tries = tries.clone();
        self
    }

    /// Speaks TLS: see [`Authority::server_config`](crate::certs::Authority::server_config).
    #[must_use]
    pub fn tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    /// Listens here, too, for who asks from another process: see [`Remote`].
    #[must_use]
    pub fn control(mut self, address: SocketAddr) -> Self {
        self.control = Some(address);
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// An address cannot be bound, or a response header is not one.
    pub fn start(self) -> Result<Upstream> {
        let Self { name, version, address, headers, status, tries, tls, message, control } = self;
        let shared = Arc::new(Shared::new(name, version, &headers, status, tries, message)?);
        let (address, mut tasks) = block_on(wait::PATIENCE, "starting an echo server", async {
            let (address, task) = server::start(address, tls, Arc::clone(&shared)).await?;
            Ok((address, vec![task]))
        })
        .context(format_args!("echo server `{}`", shared.name))?;
        if let Some(control) = control {
            let task = block_on(wait::PATIENCE, "opening the port for control", async {
                control::start(control, Arc::clone(&shared)).await
            });
            tasks.push(task?);
        }
        Ok(Upstream { address, shared, tasks })
    }
}

/// A running echo server. Dropping it closes its socket and its connections.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: Vec<AbortHandle>,
}

impl Upstream {
    /// A server with this instance name, to be configured further.
    pub fn builder(name: impl Into<String>) -> Builder {
        Builder {
            name: name.into(),
            version: String::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            headers: Headers::default(),
            status: None,
            tries: Tries::default(),
            tls: None,
            message: None,
            control: None,
        }
    }

    /// Starts a server on a free port.
    ///
    /// # Errors
    /// No port can be bound.
    pub fn start(name: impl Into<String>) -> Result<Self> {
        Self::builder(name).start()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The instance name.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// From now on, answers every request with this status; `None` makes it well again.
    pub fn always(&self, status: Option<u16>) {
        self.shared.set_status(status);
    }

    /// From now on, answers every request with this JSON; `None` has it tell again what it received.
    pub fn answer_with(&self, body: Option<String>) {
        self.shared.set_body(body);
    }

    /// Every request received since the start or the last [`clear`](Self::clear), in order.
    pub fn requests(&self) -> Vec<Received> {
        self.records().all()
    }

    /// How many requests were received.
    pub fn count(&self) -> usize {
        self.records().count(|_| true)
    }

    /// How many requests had this path, whatever their query.
    pub fn count_path(&self, path: &str) -> usize {
        self.records().count(|received| received.path() == path.as_bytes())
    }

    /// Forgets the requests received, and gives them.
    pub fn clear(&self) -> Vec<Received> {
        self.records().take()
    }

    /// Waits until at least `count` requests were received, and gives them: a mirrored request
    /// may arrive after the client has its answer.
    ///
    /// # Errors
    /// Fewer arrive within `limit`.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Result<Vec<Received>> {
        let what = format!("{count} requests at `{}`", self.name());
        let waited = wait::until(limit, &what, || (self.count() >= count).then(|| self.requests()));
        waited.context(format_args!("it received {}", self.count()))
    }

    fn records(&self) -> &Records {
        &self.shared.records
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

#[cfg(test)]
mod tests;
