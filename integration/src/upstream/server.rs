//! The server behind an [`Upstream`](super::Upstream).

use std::{
    convert::Infallible,
    future::ready,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{CONTENT_TYPE, HOST, HeaderValue},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::sleep,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::{
    behaviour::{Behaviour, Tries, wished_headers},
    echo::{Echo, grpc_message},
    received::{Received, Records},
};
use crate::{
    Context, Result,
    certs::uri_names,
    client::{
        Headers,
        http2::{header_map, headers},
    },
    runtime::runtime,
};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How long the server rests when it cannot accept, as when it is out of file descriptors.
const REST: Duration = Duration::from_millis(20);

/// What the connections of one server have in common.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: String,
    version: String,
    headers: HeaderMap,
    status: Mutex<Option<u16>>,
    body: Mutex<Option<String>>,
    tries: Tries,
    message: Option<fn(&Received) -> Vec<u8>>,
    pub(super) records: Records,
}

impl Shared {
    pub(super) fn new(
        name: String,
        version: String,
        headers: &Headers,
        status: Option<u16>,
        tries: Tries,
        message: Option<fn(&Received) -> Vec<u8>>,
    ) -> Result<Self> {
        let headers = header_map(headers)?;
        Ok(Self {
            name,
            version,
            headers,
            status: Mutex::new(status),
            tries,
            message,
            body: Mutex::default(),
            records: Records::default(),
        })
    }

    pub(super) fn set_status(&self, status: Option<u16>) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }

    pub(super) fn set_body(&self, body: Option<String>) {
        *self.body.lock().unwrap_or_else(PoisonError::into_inner) = body;
    }

    fn body(&self) -> Option<String> {
        self.body.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn status(&self) -> Option<u16> {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Binds and serves; aborting the task closes the socket and every connection.
pub(super) async fn start(
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
) -> Result<(SocketAddr, AbortHandle)> {
    let listener = TcpListener::bind(address).await.context(format_args!("binding {address}"))?;
    let bound = listener.local_addr().context("asking for the bound address")?;
    let task = runtime()?.spawn(accept(listener, tls.map(TlsAcceptor::from), shared));
    Ok((bound, task.abort_handle()))
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            sleep(REST).await;
            continue;
        };
        // A connection that ends badly is the client's to notice: it gets no answer.
        connections.spawn(greet(stream, tls.clone(), Arc::clone(&shared)));
    }
}

async fn greet(stream: TcpStream, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    // Without it only the timing suffers.
    _ = stream.set_nodelay(true);
    let Some(tls) = tls else { return serve(stream, Vec::new(), shared).await };
    if let Ok(stream) = tls.accept(stream).await {
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let peer = certificate.map(uri_names).unwrap_or_default();
        serve(stream, peer, shared).await;
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Vec<String>,
    shared: Arc<Shared>,
) {
    let service = service_fn(|request| answer(request, peer.clone(), Arc::clone(&shared)));
    _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

/// An error here ends the connection, or the stream of HTTP/2, without an answer.
async fn answer(
    request: Request<Incoming>,
    peer: Vec<String>,
    shared: Arc<Shared>,
) -> io::Result<Response<Body>> {
    let received = receive(request, peer).await.map_err(io::Error::other)?;
    shared.records.push(received.clone());
    let answer = match Behaviour::of(&received, &shared.tries) {
        Ok(Behaviour { close: true, .. }) => return Err(io::Error::other("asked to close")),
        Ok(Behaviour { status, delay, close: false }) => {
            sleep(delay).await;
            respond(&shared, &received, shared.status().unwrap_or(status))
        }
        Err(error) => Err(error),
    };
    Ok(answer.unwrap_or_else(|error| refuse(&error.to_string())))
}

async fn receive(request: Request<Incoming>, peer: Vec<String>) -> hyper::Result<Received> {
    let (head, body) = request.into_parts();
    let collected = body.collect().await?;
    let host = head.headers.get(HOST).map(|value| value.as_bytes().to_vec());
    let authority = head.uri.authority().map(|authority| authority.as_str().as_bytes().to_vec());
    let path = head.uri.path_and_query().map_or_else(|| head.uri.path(), |target| target.as_str());
    Ok(Received {
        protocol: format!("{:?}", head.version),
        method: head.method.to_string(),
        target: path.as_bytes().to_vec(),
        authority: host.or(authority).unwrap_or_default(),
        headers: headers(&head.headers),
        trailers: collected.trailers().map(headers).unwrap_or_default(),
        body: collected.to_bytes().to_vec(),
        peer,
    })
}

fn respond(shared: &Shared, received: &Received, status: u16) -> Result<Response<Body>> {
    let mut echo = Echo::to_json(&shared.name, &shared.version, received).to_string().into_bytes();
    let grpc = received.header("content-type").is_some_and(|kind| kind.starts_with("application/grpc"));
    let body = if let Some(body) = shared.body() {
        Full::new(Bytes::from(body)).boxed_unsync()
    } else if grpc {
        let status = received.header("x-echo-grpc-status").unwrap_or_else(|| "0".to_owned());
        let mut trailers = Headers::default();
        trailers.push("grpc-status", status);
        if let Some(message) = shared.message {
            echo = message(received);
        }
        echo = grpc_message(&echo)?;
        Full::new(Bytes::from(echo)).with_trailers(ready(Some(Ok(header_map(&trailers)?)))).boxed_unsync()
    } else {
        echo.push(b'\n');
        Full::new(Bytes::from(echo)).boxed_unsync()
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).context("x-echo-status")?;
    let kind = if grpc { "application/grpc" } else { "application/json" };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in shared.headers.iter().chain(&header_map(&wished_headers(received)?)?) {
        response.headers_mut().append(name, value.clone());
    }
    Ok(response)
}

/// A wish that cannot be read is answered, so that a test with a typo does not pass by accident.
fn refuse(reason: &str) -> Response<Body> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{reason}\n"))).boxed_unsync());
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}
