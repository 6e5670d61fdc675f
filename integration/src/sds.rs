//! A server of certificates as SPIRE's agent is one: Envoy's secret discovery service over a Unix socket, which pushes every
//! certificate that is replaced.
//!
//! Messages are laid out by hand: there are four, with a dozen fields.

mod message;

use std::{
    collections::BTreeMap,
    convert::Infallible,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use http_body_util::{BodyExt as _, channel::Channel, channel::Sender, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
    task::{AbortHandle, JoinSet},
};

use crate::{
    Context, Result,
    certs::{Authority, Identity},
    runtime::runtime,
};
use message::DiscoveryRequest;

const STREAM: &str = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";

/// A running server; it ends when it is dropped.
#[derive(Debug)]
pub struct SdsServer {
    socket: PathBuf,
    shared: Arc<Shared>,
    task: AbortHandle,
    _folder: TempDir,
}

#[derive(Debug)]
struct Shared {
    /// Serialized secrets by name; whoever listens is told of every change.
    secrets: watch::Sender<BTreeMap<String, Vec<u8>>>,
    /// What was asked for, refused, and by whom.
    asked: Mutex<Vec<DiscoveryRequest>>,
}

impl SdsServer {
    /// Starts it without any secret.
    ///
    /// # Errors
    /// The socket cannot be opened.
    pub fn start() -> Result<Self> {
        let folder = tempfile::tempdir().context("creating a folder for the socket")?;
        let socket = folder.path().join("agent.sock");
        let shared = Arc::new(Shared { secrets: watch::Sender::default(), asked: Mutex::default() });
        let runtime = runtime()?;
        let listener = {
            let _inside = runtime.enter();
            UnixListener::bind(&socket).context("binding the socket")?
        };
        let task = runtime.spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { socket, shared, task, _folder: folder })
    }

    /// Where it listens.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// Serves a certificate and its key under this name, or replaces them.
    ///
    /// # Errors
    /// Its files cannot be read.
    pub fn serve_certificate(&self, name: &str, identity: &Identity) -> Result<()> {
        let read = |path: &Path| fs::read(path).context(format_args!("reading `{}`", path.display()));
        let secret = message::certificate(name, &read(identity.certificate())?, &read(identity.key())?);
        self.serve(name, secret);
        Ok(())
    }

    /// Serves the CAs of a trust domain under this name, as SPIRE does by default: for Envoy's SPIFFE validator, which believes
    /// them about this trust domain alone.
    ///
    /// # Errors
    /// A certificate cannot be read.
    pub fn serve_bundle(&self, name: &str, trust_domain: &str, authorities: &[&Authority]) -> Result<()> {
        let mut pem = Vec::new();
        for authority in authorities {
            pem.extend(fs::read(authority.certificate()).context("reading the authority's certificate")?);
        }
        self.serve(name, message::bundle(name, trust_domain, &pem));
        Ok(())
    }

    fn serve(&self, name: &str, secret: Vec<u8>) {
        self.shared.secrets.send_modify(|secrets| {
            secrets.insert(name.to_owned(), secret);
        });
    }

    /// The names that were asked for, each once.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let mut names: Vec<String> = asked.iter().flat_map(|request| request.names.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// What proxies said of secrets that they did not take.
    pub fn refusals(&self) -> Vec<String> {
        let asked = self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter_map(|request| request.refusal.clone()).collect()
    }
}

impl Drop for SdsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: UnixListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(stream: UnixStream, shared: Arc<Shared>) {
    let service = service_fn(|request| answer(request, Arc::clone(&shared)));
    // A connection that ends badly is Envoy's to notice.
    _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    request: Request<Incoming>,
    shared: Arc<Shared>,
) -> std::result::Result<Response<UnsyncBoxBody<Bytes, Infallible>>, Infallible> {
    let (sender, body) = Channel::<Bytes, Infallible>::new(16);
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if request.uri().path() == STREAM {
        tokio::spawn(listen(request.into_body(), sender, shared));
    } else {
        response.headers_mut().insert("grpc-status", HeaderValue::from_static("12"));
    }
    Ok(response)
}

/// Reads the requests of a stream. The first says what is wanted; those after it, what was made of the answers.
async fn listen(mut body: Incoming, sender: Sender<Bytes>, shared: Arc<Shared>) {
    let mut buffer = Vec::new();
    let mut sender = Some(sender);
    let mut pushing = JoinSet::new();
    while let Some(Ok(frame)) = body.frame().await {
        let Ok(data) = frame.into_data() else { continue };
        buffer.extend_from_slice(&data);
        while let Some(request) = message::take(&mut buffer).and_then(|bytes| DiscoveryRequest::read(&bytes))
        {
            if let Some(sender) = sender.take() {
                pushing.spawn(push(request.names.clone(), sender, shared.secrets.subscribe()));
            }
            shared.asked.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        }
    }
}

/// Sends what is there of the names, and again each time it changes.
async fn push(
    names: Vec<String>,
    mut sender: Sender<Bytes>,
    mut secrets: watch::Receiver<BTreeMap<String, Vec<u8>>>,
) {
    let mut sent = Vec::new();
    for version in 1_u64.. {
        let found: Vec<Vec<u8>> = {
            let secrets = secrets.borrow_and_update();
            names.iter().filter_map(|name| secrets.get(name).cloned()).collect()
        };
        if !found.is_empty() && found != sent {
            let response = message::discovery_response(&version.to_string(), &found);
            if sender.send_data(Bytes::from(response)).await.is_err() {
                return;
            }
            sent = found;
        }
        if secrets.changed().await.is_err() {
            return;
        }
    }
}
