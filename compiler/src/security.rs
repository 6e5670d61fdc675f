//! How a proxy protects what it sends to a service: `tls` of a DestinationRule, or mutual TLS of the mesh by itself.

use crate::destination::{Caller, Placed};
use crate::envoy::http_protocol::ByHost;
use crate::envoy::tls::{Context, Name, Validation};
use crate::identity::{Identity, WAYS, spiffe_id};
use crate::options::Options;
use crate::peer_authentication;
use crate::service::Service;
use crate::tls::{Files, set};
use crate::values::Protocol;
use mesh_policy_istio::destination_rule::{
    ClientTlsMode, ClientTlsSettings, ProxyProtocol, ProxyProtocolVersion,
};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;
use mesh_policy_istio::service_entry::Location;
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Where systems keep the CAs that they believe.
const SYSTEM_CAS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/tls/cacert.pem",
    "/etc/ssl/cert.pem",
];

/// Who is spoken to.
pub(crate) struct Peer<'p> {
    pub service: &'p Service<'p>,
    pub number: u16,
    pub subset: &'p str,
    pub protocol: Option<Protocol>,
    pub caller: Caller<'p>,
    pub resources: &'p [Resource],
}

/// How a cluster is spoken to.
#[derive(Debug)]
pub(crate) enum Security {
    Plain,
    /// Always so.
    Tls {
        socket: Value,
        by_host: ByHost,
    },
    /// Where an instance has a sidecar.
    Automatic {
        socket: Value,
    },
}

impl Security {
    pub(crate) fn is_automatic(&self) -> bool {
        matches!(self, Self::Automatic { .. })
    }

    pub(crate) fn by_host(&self) -> ByHost {
        match self {
            Self::Tls { by_host, .. } => *by_host,
            Self::Plain | Self::Automatic { .. } => ByHost::default(),
        }
    }

    /// Sets the transport sockets of a cluster, behind the PROXY protocol's header where one is asked for.
    pub(crate) fn apply(&self, cluster: &mut Map<String, Value>, proxy_protocol: Option<&ProxyProtocol>) {
        let wrapped = |socket: &Value| {
            proxy_protocol.map_or_else(|| socket.clone(), |settings| behind(settings, socket))
        };
        let plain = || {
            crate::envoy::extension(
                "envoy.transport_sockets.raw_buffer",
                "envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer",
                json!({}),
            )
        };
        match self {
            Self::Plain if proxy_protocol.is_none() => {}
            Self::Plain => {
                cluster.insert("transport_socket".to_owned(), wrapped(&plain()));
            }
            Self::Tls { socket, .. } => {
                cluster.insert("transport_socket".to_owned(), wrapped(socket));
            }
            Self::Automatic { socket } => {
                let matches = json!([
                    {"name": "tlsMode-istio", "match": {"tlsMode": "istio"}, "transport_socket": wrapped(socket)},
                    {"name": "tlsMode-disabled", "match": {}, "transport_socket": wrapped(&plain())},
                ]);
                cluster.insert("transport_socket_matches".to_owned(), matches);
            }
        }
    }
}

/// The header stands before everything else, TLS included.
fn behind(settings: &ProxyProtocol, socket: &Value) -> Value {
    let version = settings.version.unwrap_or(ProxyProtocolVersion::V1).name();
    crate::envoy::extension(
        "envoy.transport_sockets.upstream_proxy_protocol",
        "envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport",
        json!({"config": {"version": version}, "transport_socket": socket}),
    )
}

/// How `peer` is spoken to, as the settings say or as the mesh does by itself.
pub(crate) fn towards(
    peer: &Peer<'_>,
    settings: Option<&Placed<'_, ClientTlsSettings>>,
    options: &Options,
    problems: &mut Problems,
) -> Security {
    let Some(placed) = settings else { return automatic(peer, problems) };
    let (tls, at) = placed;
    match tls.mode.unwrap_or(ClientTlsMode::Disable) {
        ClientTlsMode::Disable => Security::Plain,
        ClientTlsMode::IstioMutual => {
            let Some(identity) = peer.caller.identity else {
                problems
                    .error(
                        at.field("mode"),
                        ProblemKind::Unsupported,
                        "the mode ISTIO_MUTUAL needs the mesh's certificates, and nothing says where they come from",
                    )
                    .help(WAYS);
                return Security::Plain;
            };
            let socket = mesh_client(peer, identity, set(&tls.sni), &tls.subject_alt_names);
            Security::Tls { socket, by_host: ByHost::default() }
        }
        mode @ (ClientTlsMode::Simple | ClientTlsMode::Mutual) => {
            originated(peer, placed, mode, options, problems).unwrap_or(Security::Plain)
        }
    }
}

/// Mutual TLS to those instances of the mesh that can, unless a policy for all of them has it off.
fn automatic(peer: &Peer<'_>, problems: &mut Problems) -> Security {
    let internal = peer.service.spec.location == Some(Location::MeshInternal);
    let capable = peer.service.endpoints.iter().find(|endpoint| endpoint.speaks_mutual_tls());
    let (true, Some(endpoint)) = (internal, capable) else { return Security::Plain };
    if peer_authentication::is_off(peer.resources, peer.service.namespace(), peer.caller.root_namespace) {
        return Security::Plain;
    }
    let Some(identity) = peer.caller.identity else {
        if peer.subset.is_empty() {
            problems
                .warning(
                    endpoint.path.clone(),
                    ProblemKind::Unsupported,
                    "spoken to in plain text: this proxy has no certificate for mutual TLS",
                )
                .help(WAYS);
        }
        return Security::Plain;
    };
    Security::Automatic { socket: mesh_client(peer, identity, None, &[]) }
}

/// Istio's mutual TLS. The protocols offered tell a sidecar that one of its kind speaks, and what.
fn mesh_client(peer: &Peer<'_>, identity: &Identity, sni: Option<&str>, names: &[String]) -> Value {
    let Peer { service, number, subset, protocol, .. } = peer;
    let names: Vec<Name> = if names.is_empty() {
        let mut accounts: Vec<&str> =
            service.endpoints.iter().filter_map(|endpoint| endpoint.service_account()).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let domains = &identity.trust_domains;
        accounts
            .iter()
            .flat_map(|account| domains.iter().map(|domain| spiffe_id(domain, service.namespace(), account)))
            .chain(service.spec.subject_alt_names.iter().cloned())
            .map(Name::Exact)
            .collect()
    } else {
        names.iter().cloned().map(Name::Exact).collect()
    };
    let alpn = match protocol {
        Some(protocol) if protocol.is_http2() => vec!["istio-h2", "istio", "h2"],
        Some(protocol) if protocol.is_http() => vec!["istio-http/1.1", "istio", "http/1.1"],
        _ => vec!["istio-peer-exchange", "istio"],
    };
    let context = Context { alpn, ..identity.context(names) };
    let name = format!("outbound_.{number}_.{subset}_.{}", service.host);
    context.upstream(Some(sni.unwrap_or(&name)))
}

/// TLS with certificates that the settings name.
fn originated(
    peer: &Peer<'_>,
    (tls, at): &Placed<'_, ClientTlsSettings>,
    mode: ClientTlsMode,
    options: &Options,
    problems: &mut Problems,
) -> Option<Security> {
    let mut files = Files { options, problems, sound: true };
    let mut pairs = Vec::new();
    let mut ca = None;
    let verifies = tls.insecure_skip_verify != Some(true);
    if let Some(name) = set(&tls.credential_name) {
        let at = at.field("credentialName");
        if let Some(secret) = files.secret(name, &at) {
            if mode == ClientTlsMode::Mutual {
                pairs.extend(files.checked(&secret.certificate, &secret.key, &at, &at));
            }
            if verifies {
                ca = files.ca(secret.ca, &at);
            }
        }
    }
    if mode == ClientTlsMode::Mutual
        && let (Some(certificate), Some(key)) = (set(&tls.client_certificate), set(&tls.private_key))
    {
        pairs.extend(files.pair(certificate, key, &at.field("clientCertificate"), &at.field("privateKey")));
    }
    if verifies && set(&tls.credential_name).is_none() {
        ca = match set(&tls.ca_certificates).filter(|file| *file != "system") {
            Some(file) => files.ca(PathBuf::from(file), &at.field("caCertificates")),
            None => system_ca(&mut files, at),
        };
    }
    let crl = set(&tls.ca_crl).map(PathBuf::from);
    if let Some(crl) = &crl {
        files.report(crate::certificate::check_readable(crl, "revocation list"), &at.field("caCrl"));
    }
    if !files.sound {
        return None;
    }
    let own = if tls.subject_alt_names.is_empty() {
        &peer.service.spec.subject_alt_names
    } else {
        &tls.subject_alt_names
    };
    let sni = set(&tls.sni);
    let names: Vec<Name> = own.iter().cloned().map(Name::Exact).collect();
    let by_host = ByHost { sni: sni.is_none(), names: sni.is_none() && names.is_empty() && verifies };
    let validation =
        if verifies { Validation { ca, crl, names, ..Validation::default() } } else { Validation::default() };
    let http2 = peer.protocol.is_some_and(Protocol::is_http2);
    let context = Context {
        pairs,
        validation,
        alpn: if http2 { vec!["h2"] } else { Vec::new() },
        min: Some("TLSv1_2"),
        max: Some("TLSv1_3"),
        ..Context::default()
    };
    Some(Security::Tls { socket: context.upstream(sni), by_host })
}

fn system_ca(files: &mut Files<'_>, at: &mesh_policy_istio::path::Path) -> Option<PathBuf> {
    let found = SYSTEM_CAS.iter().map(PathBuf::from).find(|file| file.is_file());
    if found.is_none() {
        let message =
            "this system has no list of CAs where such lists are kept: name one by `caCertificates`";
        files.report(Err(message.to_owned()), at);
    }
    found
}
