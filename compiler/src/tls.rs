//! How a server or sidecar terminates TLS: the settings, with the files they name looked at.

mod ciphers;

use crate::certificate;
use crate::destination::Placed;
use crate::envoy::tls::{Context, MESH_CIPHERS, Name, Validation};
use crate::identity::{self, Identity, Secret, check_ca, check_pair};
use crate::options::Options;
use mesh_policy_istio::gateway::{ServerTlsSettings, TlsMode, TlsProtocol};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use serde_json::Value;
use std::path::PathBuf;

/// What a gateway offers its clients.
const HTTP_ALPN: [&str; 2] = ["h2", "http/1.1"];

/// The transport socket of a gateway's server; nothing when its settings cannot be carried out, which is reported.
pub(crate) fn server(
    (tls, at): &Placed<'_, ServerTlsSettings>,
    http: bool,
    options: &Options,
    identity: Option<&Identity>,
    problems: &mut Problems,
) -> Option<Value> {
    let mode = tls.mode.unwrap_or(TlsMode::Passthrough);
    let mut context = if mode == TlsMode::IstioMutual {
        let Some(identity) = identity else {
            problems
                .error(
                    at.field("mode"),
                    ProblemKind::Unsupported,
                    "the mode ISTIO_MUTUAL needs the mesh's certificates, and nothing says where they come from",
                )
                .help(identity::WAYS);
            return None;
        };
        mesh_server(identity)
    } else {
        given(tls, at, mode, options, problems)?
    };
    if http {
        context.alpn = HTTP_ALPN.to_vec();
    }
    restrict(tls, at, &mut context, problems);
    let required = matches!(mode, TlsMode::Mutual | TlsMode::IstioMutual);
    Some(context.downstream(required))
}

/// The context in which a proxy of the mesh terminates the TLS of another: a client must have a certificate of the mesh, in one
/// of its trust domains.
pub(crate) fn mesh_server(identity: &Identity) -> Context {
    let domains = identity.trust_domains.iter();
    let names = domains.map(|domain| Name::UriPrefix(format!("spiffe://{domain}/"))).collect();
    Context { ciphers: MESH_CIPHERS.map(str::to_owned).to_vec(), ..identity.context(names) }
}

/// With the certificates that the settings name.
fn given(
    tls: &ServerTlsSettings,
    at: &Path,
    mode: TlsMode,
    options: &Options,
    problems: &mut Problems,
) -> Option<Context> {
    let mut files = Files { options, problems, sound: true };
    let mut pairs = Vec::new();
    let mut ca = files.own_ca(tls.ca_certificates.as_ref(), at);
    if let (Some(certificate), Some(key)) = (set(&tls.server_certificate), set(&tls.private_key)) {
        pairs.extend(files.pair(certificate, key, &at.field("serverCertificate"), &at.field("privateKey")));
    }
    for (index, entry) in tls.tls_certificates.iter().enumerate() {
        let at = at.field("tlsCertificates").index(index);
        if let (Some(certificate), Some(key)) = (set(&entry.server_certificate), set(&entry.private_key)) {
            pairs.extend(files.pair(
                certificate,
                key,
                &at.field("serverCertificate"),
                &at.field("privateKey"),
            ));
        }
        ca = ca.or_else(|| files.own_ca(entry.ca_certificates.as_ref(), &at));
    }
    let mut names: Vec<(&str, Path)> =
        set(&tls.credential_name).map(|name| (name, at.field("credentialName"))).into_iter().collect();
    let several = tls.credential_names.iter().enumerate();
    names.extend(several.map(|(index, name)| (name.as_str(), at.field("credentialNames").index(index))));
    let verifies = mode != TlsMode::Simple;
    let own_ca = set(&tls.ca_cert_credential_name).map(|name| (name, at.field("caCertCredentialName")));
    for (index, (name, at)) in names.iter().enumerate() {
        let Some(secret) = files.secret(name, at) else { continue };
        pairs.extend(files.checked(&secret.certificate, &secret.key, at, at));
        if index == 0 && verifies && own_ca.is_none() && ca.is_none() {
            ca = files.ca(secret.ca, at);
        }
    }
    if let Some((name, at)) = own_ca
        && let Some(secret) = files.secret(name, &at)
    {
        ca = files.ca(secret.ca, &at);
    }
    let crl = set(&tls.ca_crl).map(PathBuf::from);
    if let Some(crl) = &crl {
        files.report(certificate::check_readable(crl, "revocation list"), &at.field("caCrl"));
    }
    let sound = files.sound;
    let validation =
        if verifies { Validation { ca, crl, ..Validation::default() } } else { Validation::default() };
    sound.then(|| Context { pairs, validation, ..Context::default() })
}

/// Client certificates, versions and ciphers.
fn restrict(tls: &ServerTlsSettings, at: &Path, context: &mut Context, problems: &mut Problems) {
    let names = tls.subject_alt_names.iter().cloned().map(Name::Exact);
    if !tls.subject_alt_names.is_empty() {
        context.validation.names = names.collect();
    }
    context.validation.spki.clone_from(&tls.verify_certificate_spki);
    context.validation.hashes.clone_from(&tls.verify_certificate_hash);
    context.validation.accept_untrusted = tls.insecure_skip_verify == Some(true);
    let asked = [
        ("subjectAltNames", !tls.subject_alt_names.is_empty()),
        ("verifyCertificateSpki", !tls.verify_certificate_spki.is_empty()),
        ("verifyCertificateHash", !tls.verify_certificate_hash.is_empty()),
    ];
    if tls.mode == Some(TlsMode::Simple) {
        for (field, _) in asked.iter().filter(|(_, is_set)| *is_set) {
            let message = "has no effect: the mode SIMPLE asks for no client certificate";
            problems.warning(at.field(field), ProblemKind::Suspicious, message);
        }
        context.validation = Validation::default();
    }
    for (field, pins, is_fine) in [
        ("verifyCertificateSpki", &tls.verify_certificate_spki, is_spki_pin as fn(&str) -> bool),
        ("verifyCertificateHash", &tls.verify_certificate_hash, is_hash_pin),
    ] {
        for (index, pin) in pins.iter().enumerate().filter(|(_, pin)| !is_fine(pin)) {
            problems.error(
                at.field(field).index(index),
                ProblemKind::InvalidValue,
                format!(
                    "expected a SHA-256 sum {}, found `{pin}`",
                    if field.ends_with("Spki") { "in base64" } else { "in hexadecimal" }
                ),
            );
        }
    }
    if let Some(min) = tls.min_protocol_version {
        context.min = version(min);
    }
    if let Some(max) = tls.max_protocol_version {
        context.max = version(max);
    }
    if let (Some(min), Some(max)) = (tls.min_protocol_version, tls.max_protocol_version)
        && max != TlsProtocol::Auto
        && min > max
    {
        problems.error(
            at.field("maxProtocolVersion"),
            ProblemKind::Conflict,
            "the highest version is below the lowest",
        );
    }
    if !tls.cipher_suites.is_empty() {
        context.ciphers = ciphers::known(&tls.cipher_suites, &at.field("cipherSuites"), problems);
    }
}

const fn version(version: TlsProtocol) -> Option<&'static str> {
    match version {
        TlsProtocol::Auto => None,
        TlsProtocol::V1_0 => Some("TLSv1_0"),
        TlsProtocol::V1_1 => Some("TLSv1_1"),
        TlsProtocol::V1_2 => Some("TLSv1_2"),
        TlsProtocol::V1_3 => Some("TLSv1_3"),
    }
}

/// 32 bytes in base64.
fn is_spki_pin(text: &str) -> bool {
    text.len() == 44
        && text.ends_with('=')
        && text.bytes().take(43).all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// 32 bytes in hexadecimal, with colons between them or without.
fn is_hash_pin(text: &str) -> bool {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':').collect();
    digits.len() == 64 && matches!(text.len(), 64 | 95) && digits.iter().all(u8::is_ascii_hexdigit)
}

pub(crate) fn set(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}

/// Looks at the files that settings name.
pub(crate) struct Files<'f> {
    pub options: &'f Options,
    pub problems: &'f mut Problems,
    /// Whether all of them can be used.
    pub sound: bool,
}

impl Files<'_> {
    pub(crate) fn report(&mut self, result: Result<(), String>, at: &Path) -> bool {
        let Err(message) = result else { return true };
        self.sound = false;
        self.problems.error(at.clone(), ProblemKind::InvalidValue, message);
        false
    }

    /// A certificate and its key; where only the key is to blame, it is blamed.
    pub(crate) fn pair(
        &mut self,
        certificate: &str,
        key: &str,
        certificate_at: &Path,
        key_at: &Path,
    ) -> Option<(PathBuf, PathBuf)> {
        self.checked(&PathBuf::from(certificate), &PathBuf::from(key), certificate_at, key_at)
    }

    pub(crate) fn checked(
        &mut self,
        certificate: &std::path::Path,
        key: &std::path::Path,
        certificate_at: &Path,
        key_at: &Path,
    ) -> Option<(PathBuf, PathBuf)> {
        let alone = check_ca(certificate);
        let fine = if alone.is_err() {
            self.report(alone, certificate_at)
        } else {
            self.report(check_pair(certificate, key), key_at)
        };
        fine.then(|| (certificate.to_owned(), key.to_owned()))
    }

    pub(crate) fn ca(&mut self, file: PathBuf, at: &Path) -> Option<PathBuf> {
        self.report(check_ca(&file), at).then_some(file)
    }

    fn own_ca(&mut self, file: Option<&String>, at: &Path) -> Option<PathBuf> {
        let file = file.filter(|file| !file.is_empty())?;
        self.ca(PathBuf::from(file), &at.field("caCertificates"))
    }

    pub(crate) fn secret(&mut self, name: &str, at: &Path) -> Option<Secret> {
        let Some(root) = &self.options.secrets else {
            self.sound = false;
            self.problems
                .error(
                    at.clone(),
                    ProblemKind::Unsupported,
                    format!("the secret `{name}` cannot be found: no folder with secrets is given"),
                )
                .help("`--secrets DIR` names it; the files are `DIR/NAME/tls.crt`, `tls.key` and `ca.crt`");
            return None;
        };
        // A name must not lead out of the folder.
        let is_name = name.split('.').all(crate::values::is_dns_label);
        if !is_name {
            self.report(Err(format!("expected the name of a secret, found `{name}`")), at);
            return None;
        }
        Some(Secret::named(root, name))
    }
}

#[cfg(test)]
mod tests;
