//! The HTTP/2 client.

use std::{
    convert::Infallible,
    fmt,
    future::ready,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use http_body_util::{BodyExt as _, Full, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Method, Request as HyperRequest, Uri,
    body::Bytes,
    client::conn::http2::{SendRequest, handshake},
    header::{HeaderName, HeaderValue},
    rt::{Read, Write},
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::TlsConnector;

use super::{
    message::{Headers, Host, Request, Response},
    stream::Tls,
};
use crate::{
    Context, Error, Result,
    bytes::escape,
    runtime::{block_on, runtime},
    wait::PATIENCE,
};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// One HTTP/2 connection. Threads may share it, their requests run side by side.
#[derive(Clone)]
pub struct Http2Client {
    sender: SendRequest<Body>,
    authority: String,
    scheme: &'static str,
    patience: Duration,
}

impl fmt::Debug for Http2Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Client").field("authority", &self.authority).finish_non_exhaustive()
    }
}

impl Http2Client {
    /// Connects in clear text, HTTP/2 from the first byte.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(address: SocketAddr) -> Result<Self> {
        let sender = block_on(PATIENCE, "connecting", async { prepare(open(address).await?).await })?;
        Ok(Self { sender, authority: address.to_string(), scheme: "http", patience: PATIENCE })
    }

    /// Connects over TLS, offering only HTTP/2 to the server.
    ///
    /// # Errors
    /// Nobody listens, or TLS fails.
    pub fn connect_tls(address: SocketAddr, tls: &Tls) -> Result<Self> {
        let mut config = (*tls.config).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        let connector = TlsConnector::from(Arc::new(config));
        let sender = block_on(PATIENCE, "connecting", async {
            let stream = connector.connect(tls.server_name.clone(), open(address).await?).await;
            prepare(stream.context(format_args!("TLS handshake with {address}"))?).await
        })?;
        Ok(Self { sender, authority: address.to_string(), scheme: "https", patience: PATIENCE })
    }

    /// Gives up on a request after this long.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Sends `request`, trailers included, and waits for its response.
    ///
    /// # Errors
    /// HTTP/2 cannot carry the request, or no complete response comes.
    pub fn send(&self, request: &Request) -> Result<Response> {
        self.begin(request)?.wait()
    }

    /// Sends `request` and does not wait: as many requests as the server allows run side by side.
    ///
    /// # Errors
    /// HTTP/2 cannot carry the request.
    pub fn begin(&self, request: &Request) -> Result<Pending> {
        let request = self.convert(request)?;
        let mut sender = self.sender.clone();
        let begun = Instant::now();
        let task = runtime()?.spawn(async move {
            sender.ready().await.context("the connection")?;
            let (head, body) = sender.send_request(request).await.context("sending")?.into_parts();
            let collected = body.collect().await.context("receiving")?;
            let trailers = collected.trailers().map(headers).unwrap_or_default();
            Ok(Response {
                status: head.status.as_u16(),
                headers: headers(&head.headers),
                body: collected.to_bytes().to_vec(),
                trailers,
                elapsed: begun.elapsed(),
            })
        });
        Ok(Pending { task, patience: self.patience })
    }

    fn convert(&self, request: &Request) -> Result<HyperRequest<Body>> {
        let target = std::str::from_utf8(&request.target).context("the path")?;
        let authority = match &request.host {
            Host::Address => Some(self.authority.as_str()),
            Host::Bytes(host) => Some(std::str::from_utf8(host).context("the authority")?),
            Host::Absent => None,
        };
        let uri = match authority {
            Some(authority) => {
                Uri::builder().scheme(self.scheme).authority(authority).path_and_query(target).build()
            }
            None => Uri::builder().path_and_query(target).build(),
        };
        let body = Full::new(Bytes::from(request.body.clone()));
        let body = if request.trailers.0.is_empty() {
            body.boxed_unsync()
        } else {
            body.with_trailers(ready(Some(Ok(header_map(&request.trailers)?)))).boxed_unsync()
        };
        let mut converted = HyperRequest::new(body);
        *converted.method_mut() = Method::from_bytes(&request.method).context("the method")?;
        *converted.uri_mut() = uri.context(format_args!("the target `{target}`"))?;
        *converted.headers_mut() = header_map(&request.headers)?;
        Ok(converted)
    }
}

/// A request on its way. Dropping it resets the stream, as a client does that leaves.
#[derive(Debug)]
pub struct Pending {
    task: JoinHandle<Result<Response>>,
    patience: Duration,
}

impl Pending {
    /// Waits for the response.
    ///
    /// # Errors
    /// No complete response comes.
    pub fn wait(mut self) -> Result<Response> {
        block_on(self.patience, "the response", async {
            (&mut self.task).await.context("the task of the request").flatten()
        })
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn open(address: SocketAddr) -> Result<TcpStream> {
    let stream = TcpStream::connect(address).await.context(format_args!("connecting to {address}"))?;
    stream.set_nodelay(true).context("preparing the socket")?;
    Ok(stream)
}

async fn prepare<S>(stream: S) -> Result<SendRequest<Body>>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    TokioIo<S>: Read + Write,
{
    let (sender, connection) =
        handshake(TokioExecutor::new(), TokioIo::new(stream)).await.context("the HTTP/2 preface")?;
    // Ends when the last clone of the sender is dropped; its error reaches the senders.
    runtime()?.spawn(connection);
    Ok(sender)
}

/// The lines of a header map: in order, but lines of one name stand together.
pub(crate) fn headers(map: &HeaderMap) -> Headers {
    Headers(
        map.iter()
            .map(|(name, value)| (name.as_str().as_bytes().to_vec(), value.as_bytes().to_vec()))
            .collect(),
    )
}

pub(crate) fn header_map(headers: &Headers) -> Result<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in &headers.0 {
        let wrong = || format!("`{}: {}` is not a header", escape(name), escape(value));
        let name = HeaderName::from_bytes(name).map_err(|_| Error::new(wrong()))?;
        map.append(name, HeaderValue::from_bytes(value).map_err(|_| Error::new(wrong()))?);
    }
    Ok(map)
}
