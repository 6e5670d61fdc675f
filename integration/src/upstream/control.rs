//! An echo server in another process: what it received is asked for, and it is made ill, over a port of its own.
//!
//! | request | answer |
//! |---|---|
//! | `GET /requests?below=/path` | the requests received below the path, as JSON |
//! | `GET /count?below=/path` | how many they are |
//! | `POST /status/503`, `POST /status/none` | every request is answered with this status, or as it asks itself |

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    task::{AbortHandle, JoinSet},
};

use super::{Received, server::Shared};
use crate::{
    Context, Error, Result,
    bytes::{escape, unescape},
    client::{self, Client, Headers},
    runtime::runtime,
};

/// Serves the port; aborting the task closes it.
pub(super) async fn start(address: SocketAddr, shared: Arc<Shared>) -> Result<AbortHandle> {
    let listener = TcpListener::bind(address).await.context(format_args!("binding {address}"))?;
    let task = runtime()?.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            while connections.try_join_next().is_some() {}
            let shared = Arc::clone(&shared);
            connections.spawn(async move {
                let service = service_fn(|request| {
                    let answer = answer(&request, &shared);
                    async { Ok::<_, Infallible>(answer) }
                });
                let server = auto::Builder::new(TokioExecutor::new());
                _ = server.serve_connection(TokioIo::new(stream), service).await;
            });
        }
    });
    Ok(task.abort_handle())
}

fn answer(request: &Request<Incoming>, shared: &Shared) -> Response<Full<Bytes>> {
    let below = request.uri().query().and_then(|query| query.strip_prefix("below=")).unwrap_or("/");
    let is_below = |received: &Received| received.path().starts_with(below.as_bytes());
    let (status, text) = match (request.method(), request.uri().path()) {
        (&Method::GET, "/count") => (200, shared.records.count(is_below).to_string()),
        (&Method::GET, "/requests") => {
            let all = shared.records.all();
            (200, Value::from_iter(all.iter().filter(|received| is_below(received)).map(to_json)).to_string())
        }
        (&Method::POST, path) => match path.strip_prefix("/status/").map(|text| (text, text.parse().ok())) {
            Some(("none", _)) => {
                shared.set_status(None);
                (200, String::new())
            }
            Some((_, Some(status))) => {
                shared.set_status(Some(status));
                (200, String::new())
            }
            _ => (400, "expected /status/503 or /status/none".to_owned()),
        },
        _ => (404, String::new()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

fn to_json(received: &Received) -> Value {
    let lines = |headers: &Headers| -> Value {
        headers.0.iter().map(|(name, value)| json!([escape(name), escape(value)])).collect()
    };
    json!({
        "protocol": received.protocol,
        "method": received.method,
        "target": escape(&received.target),
        "authority": escape(&received.authority),
        "headers": lines(&received.headers),
        "body": escape(&received.body),
        "trailers": lines(&received.trailers),
        "peer": received.peer,
    })
}

fn from_json(json: &Value) -> Option<Received> {
    let text = |name: &str| json.get(name)?.as_str();
    let bytes = |name: &str| unescape(text(name)?);
    let lines = |name: &str| {
        let line =
            |line: &Value| Some((unescape(line.get(0)?.as_str()?)?, unescape(line.get(1)?.as_str()?)?));
        json.get(name)?.as_array()?.iter().map(line).collect::<Option<Vec<_>>>().map(Headers)
    };
    Some(Received {
        protocol: text("protocol")?.to_owned(),
        method: text("method")?.to_owned(),
        target: bytes("target")?,
        authority: bytes("authority")?,
        headers: lines("headers")?,
        body: bytes("body")?,
        trailers: lines("trailers")?,
        peer: json
            .get("peer")?
            .as_array()?
            .iter()
            .map(|uri| uri.as_str().map(str::to_owned))
            .collect::<Option<_>>()?,
    })
}

/// An echo server in another process, by its port for this.
#[derive(Debug)]
pub struct Remote(Client);

impl Remote {
    /// The one whose port this is.
    pub fn new(control: SocketAddr) -> Self {
        Self(Client::new(control))
    }

    /// The requests received below a path.
    ///
    /// # Errors
    /// It does not answer as an echo server does.
    pub fn requests_below(&self, path: &str) -> Result<Vec<Received>> {
        let json = self.ask(&client::Request::get(format!("/requests?below={path}")))?.json()?;
        let read = || json.as_array()?.iter().map(from_json).collect::<Option<Vec<_>>>();
        read().context("the requests that an echo server received")
    }

    /// How many requests below a path were received.
    ///
    /// # Errors
    /// It does not answer as an echo server does.
    pub fn count_below(&self, path: &str) -> Result<usize> {
        let text = self.ask(&client::Request::get(format!("/count?below={path}")))?.text();
        text.parse().context(format_args!("the number of requests: `{text}`"))
    }

    /// From now on it answers every request with this status; `None` makes it well again.
    ///
    /// # Errors
    /// It does not answer as an echo server does.
    pub fn always(&self, status: Option<u16>) -> Result<()> {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        self.ask(&client::Request::new("POST", format!("/status/{status}"))).map(drop)
    }

    fn ask(&self, request: &client::Request) -> Result<client::Response> {
        let response = self.0.send(request)?;
        if response.status == 200 {
            return Ok(response);
        }
        Err(Error::new(format!("an echo server answers {}: {}", response.status, response.text())))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        client::{Client, Request},
        ports,
        upstream::{Remote, Upstream},
    };
    use std::net::SocketAddr;

    #[test]
    fn what_was_received_is_told_as_it_was_and_a_status_is_set_from_afar() {
        let control = SocketAddr::from(([127, 0, 0, 1], ports::free().unwrap()));
        let upstream = Upstream::builder("a").control(control).start().unwrap();
        let (client, remote) = (Client::new(upstream.address()), Remote::new(control));
        let odd = Request::new("POST", "/a/%ff?b").header("x-odd", b"\xff").body(b"\0\xfe");
        client.send(&odd).unwrap();
        client.get("/b").unwrap();
        assert_eq!(remote.count_below("/a").unwrap(), 1);
        assert_eq!(remote.count_below("/").unwrap(), 2);
        assert_eq!(remote.requests_below("/").unwrap(), upstream.requests());
        remote.always(Some(503)).unwrap();
        assert_eq!(client.get("/b").unwrap().status, 503);
        remote.always(None).unwrap();
        assert_eq!(client.get("/b").unwrap().status, 200);
    }
}
