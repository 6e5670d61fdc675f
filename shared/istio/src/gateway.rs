//! `Gateway`: which ports the edge opens, for which hosts.

use crate::decode::{wire, wire_enum};
use std::collections::BTreeMap;

wire! {
    /// `spec` of a Gateway.
    pub struct Gateway {
        /// Labels of the proxies that carry it out.
        "selector" => selector: BTreeMap<String, String>,
        /// The listeners.
        "servers" => servers: Vec<Server>,
    }
}

wire! {
    /// One listener.
    pub struct Server {
        /// The port it serves.
        "port" => port: Option<Port>,
        /// The address it binds to, or `unix://` and a path.
        "bind" => bind: Option<String>,
        /// The hosts it serves, `host` or `namespace/host`.
        "hosts" => hosts: Vec<String>,
        /// TLS settings.
        "tls" => tls: Option<ServerTlsSettings>,
        /// Obsolete; has no effect in Istio.
        "defaultEndpoint" => default_endpoint: Option<String>,
        /// Name for statistics.
        "name" => name: Option<String>,
    }
}

wire! {
    /// A port and what is spoken there.
    pub struct Port {
        /// The number.
        "number" => number: Option<u32>,
        /// HTTP, HTTPS, TLS, TCP and so on.
        "protocol" => protocol: Option<String>,
        /// A name, unique in the Gateway.
        "name" => name: Option<String>,
        /// Only valid in a ServiceEntry.
        "targetPort" => target_port: Option<u32>,
    }
}

wire! {
    /// How the listener handles TLS.
    pub struct ServerTlsSettings {
        /// Answer plain requests with a redirect to https.
        "httpsRedirect" => https_redirect: Option<bool>,
        /// What happens to the handshake.
        "mode" => mode: Option<TlsMode>,
        /// File of the certificate chain.
        "serverCertificate" => server_certificate: Option<String>,
        /// File of the key.
        "privateKey" => private_key: Option<String>,
        /// File of the CA for client certificates.
        "caCertificates" => ca_certificates: Option<String>,
        /// File of the revocation list.
        "caCrl" => ca_crl: Option<String>,
        /// Name of the secret with certificate and key.
        "credentialName" => credential_name: Option<String>,
        /// Names of secrets, for several kinds of key.
        "credentialNames" => credential_names: Vec<String>,
        /// Name of the secret with the CA.
        "caCertCredentialName" => ca_cert_credential_name: Option<String>,
        /// Several certificates by file.
        "tlsCertificates" => tls_certificates: Vec<TlsCertificate>,
        /// Names that client certificates must carry.
        "subjectAltNames" => subject_alt_names: Vec<String>,
        /// Pins of client keys.
        "verifyCertificateSpki" => verify_certificate_spki: Vec<String>,
        /// Pins of client certificates.
        "verifyCertificateHash" => verify_certificate_hash: Vec<String>,
        /// Lowest TLS version.
        "minProtocolVersion" => min_protocol_version: Option<TlsProtocol>,
        /// Highest TLS version.
        "maxProtocolVersion" => max_protocol_version: Option<TlsProtocol>,
        /// Cipher suites.
        "cipherSuites" => cipher_suites: Vec<String>,
        /// Take client certificates of unknown issuers.
        "insecureSkipVerify" => insecure_skip_verify: Option<bool>,
    }
}

wire! {
    /// A certificate by file.
    pub struct TlsCertificate {
        /// File of the certificate chain.
        "serverCertificate" => server_certificate: Option<String>,
        /// File of the key.
        "privateKey" => private_key: Option<String>,
        /// File of the CA.
        "caCertificates" => ca_certificates: Option<String>,
    }
}

wire_enum! {
    /// What happens to a TLS handshake at a gateway.
    pub enum TlsMode {
        /// Passed on by SNI.
        "PASSTHROUGH" = 0 => Passthrough,
        /// Terminated; no client certificate.
        "SIMPLE" = 1 => Simple,
        /// Terminated; a client certificate is required.
        "MUTUAL" = 2 => Mutual,
        /// Passed on to the service that the SNI names.
        "AUTO_PASSTHROUGH" = 3 => AutoPassthrough,
        /// Terminated with mesh certificates.
        "ISTIO_MUTUAL" = 4 => IstioMutual,
        /// Terminated; a client certificate is verified if there is one.
        "OPTIONAL_MUTUAL" = 5 => OptionalMutual,
    }
}

wire_enum! {
    /// A TLS version.
    pub enum TlsProtocol {
        /// Envoy's choice.
        "TLS_AUTO" = 0 => Auto,
        /// 1.0
        "TLSV1_0" = 1 => V1_0,
        /// 1.1
        "TLSV1_1" = 2 => V1_1,
        /// 1.2
        "TLSV1_2" = 3 => V1_2,
        /// 1.3
        "TLSV1_3" = 4 => V1_3,
    }
}
