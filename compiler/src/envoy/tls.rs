//! TLS contexts.

use super::{extension, put, sds};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

const TRANSPORT: &str = "envoy.transport_sockets.tls";

/// What Istio lets sidecars agree on.
pub(crate) const MESH_CIPHERS: [&str; 6] = [
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
];

/// What both sides of TLS have in common.
#[derive(Debug, Default)]
pub(crate) struct Context {
    /// Certificates and their keys.
    pub pairs: Vec<(PathBuf, PathBuf)>,
    /// What a server of secrets gives instead.
    pub served: Option<Served>,
    pub validation: Validation,
    pub alpn: Vec<&'static str>,
    pub min: Option<&'static str>,
    pub max: Option<&'static str>,
    pub ciphers: Vec<String>,
}

/// The names of secrets at the server of secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Served {
    pub certificate: String,
    pub validation: String,
}

/// What is asked of the other side's certificate.
#[derive(Debug, Default)]
pub(crate) struct Validation {
    pub ca: Option<PathBuf>,
    pub crl: Option<PathBuf>,
    pub names: Vec<Name>,
    pub spki: Vec<String>,
    pub hashes: Vec<String>,
    /// Certificates of unknown issuers pass.
    pub accept_untrusted: bool,
}

/// A subject alternative name that is taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    /// Of any kind, by its whole text.
    Exact(String),
    /// A URI that begins so.
    UriPrefix(String),
}

impl Context {
    fn common(&self) -> Value {
        let mut common = Map::new();
        let mut parameters = Map::new();
        put(&mut parameters, "tls_minimum_protocol_version", json!(self.min));
        put(&mut parameters, "tls_maximum_protocol_version", json!(self.max));
        if !self.ciphers.is_empty() {
            put(&mut parameters, "cipher_suites", json!(self.ciphers));
        }
        if !parameters.is_empty() {
            put(&mut common, "tls_params", Value::Object(parameters));
        }
        let pairs: Vec<Value> = self
            .pairs
            .iter()
            .map(|(certificate, key)| {
                json!({"certificate_chain": {"filename": certificate}, "private_key": {"filename": key}})
            })
            .collect();
        if !pairs.is_empty() {
            put(&mut common, "tls_certificates", json!(pairs));
        }
        let validation = self.validation.context();
        match &self.served {
            None => put(&mut common, "validation_context", validation),
            Some(Served { certificate, validation: name }) => {
                let certificate = sds::secret(certificate);
                put(&mut common, "tls_certificate_sds_secret_configs", json!([certificate]));
                let default = if validation.is_null() { json!({}) } else { validation };
                let combined = json!({
                    "default_validation_context": default,
                    "validation_context_sds_secret_config": sds::secret(name),
                });
                put(&mut common, "combined_validation_context", combined);
            }
        }
        if !self.alpn.is_empty() {
            put(&mut common, "alpn_protocols", json!(self.alpn));
        }
        Value::Object(common)
    }

    /// The transport socket of a filter chain.
    pub(crate) fn downstream(&self, require_client_certificate: bool) -> Value {
        extension(
            TRANSPORT,
            "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            json!({
                "common_tls_context": self.common(),
                "require_client_certificate": require_client_certificate,
            }),
        )
    }

    /// The transport socket of a cluster.
    pub(crate) fn upstream(&self, sni: Option<&str>) -> Value {
        let mut context = Map::new();
        put(&mut context, "common_tls_context", self.common());
        put(&mut context, "sni", json!(sni));
        extension(
            TRANSPORT,
            "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
            Value::Object(context),
        )
    }
}

impl Validation {
    fn context(&self) -> Value {
        let Self { ca, crl, names, spki, hashes, accept_untrusted } = self;
        let mut context = Map::new();
        put(&mut context, "trusted_ca", file(ca.as_ref()));
        put(&mut context, "crl", file(crl.as_ref()));
        let names: Vec<Value> = names.iter().flat_map(Name::matchers).collect();
        if !names.is_empty() {
            put(&mut context, "match_typed_subject_alt_names", json!(names));
        }
        if !spki.is_empty() {
            put(&mut context, "verify_certificate_spki", json!(spki));
        }
        if !hashes.is_empty() {
            put(&mut context, "verify_certificate_hash", json!(hashes));
        }
        if *accept_untrusted {
            put(&mut context, "trust_chain_verification", json!("ACCEPT_UNTRUSTED"));
        }
        if context.is_empty() { Value::Null } else { Value::Object(context) }
    }
}

impl Name {
    fn matchers(&self) -> Vec<Value> {
        match self {
            Self::Exact(text) => ["DNS", "URI", "EMAIL", "IP_ADDRESS"]
                .iter()
                .map(|kind| json!({"san_type": kind, "matcher": {"exact": text}}))
                .collect(),
            Self::UriPrefix(text) => vec![json!({"san_type": "URI", "matcher": {"prefix": text}})],
        }
    }
}

fn file(path: Option<&PathBuf>) -> Value {
    path.map_or(Value::Null, |path| json!({"filename": path}))
}
