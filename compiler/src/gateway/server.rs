//! What a server is built as.

use super::is_grpc_web;
use crate::destination::Placed;
use crate::values::Protocol;
use mesh_policy_istio::gateway::{Server, ServerTlsSettings, TlsMode};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;

/// What a server is built as.
#[derive(Debug, Clone)]
pub(crate) enum Kind<'s> {
    /// Plain HTTP.
    Http { grpc_web: bool },
    /// HTTP inside TLS that ends here.
    Https(Placed<'s, ServerTlsSettings>),
    /// TLS that is passed on.
    Passthrough,
    /// Bytes inside TLS that ends here.
    TerminatedTcp(Placed<'s, ServerTlsSettings>),
    /// Plain bytes.
    Tcp,
}

/// The kind of a server; one that cannot be built here is reported.
pub(super) fn kind<'s>(
    resource: &Resource,
    index: usize,
    server: &'s Server,
    problems: &mut Problems,
) -> Option<Kind<'s>> {
    let at = resource.spec_path().field("servers").index(index);
    let protocol = server.port.as_ref()?.protocol.as_deref().and_then(Protocol::parse)?;
    let settings = server.tls.as_ref();
    let mode = settings.and_then(|tls| tls.mode).unwrap_or(TlsMode::Passthrough);
    let mut refuse = |at, message: &str| {
        problems.error(at, ProblemKind::Unsupported, message);
        None
    };
    if server.bind.as_deref().is_some_and(|bind| bind.starts_with("unix://")) {
        return refuse(at.field("bind"), "listening on a unix socket cannot be carried out yet");
    }
    let terminated = settings.map(|settings| (settings, at.field("tls")));
    match protocol {
        Protocol::HttpProxy => refuse(
            at.field("port").field("protocol"),
            "servers of the protocol HTTP_PROXY cannot be carried out yet",
        ),
        Protocol::Udp => None,
        Protocol::Http | Protocol::Http2 | Protocol::Grpc | Protocol::GrpcWeb => {
            Some(Kind::Http { grpc_web: is_grpc_web(protocol) })
        }
        Protocol::Https | Protocol::Tls if mode == TlsMode::AutoPassthrough => refuse(
            at.field("tls").field("mode"),
            "AUTO_PASSTHROUGH cannot be carried out: it is for gateways between meshes of several networks",
        ),
        Protocol::Https | Protocol::Tls if mode == TlsMode::Passthrough => Some(Kind::Passthrough),
        Protocol::Https => Some(Kind::Https(terminated?)),
        Protocol::Tls => Some(Kind::TerminatedTcp(terminated?)),
        Protocol::Tcp | Protocol::Mongo | Protocol::Redis | Protocol::Mysql => Some(Kind::Tcp),
    }
}
