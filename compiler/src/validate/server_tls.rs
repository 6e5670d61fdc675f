//! `tls` of a Gateway's server.

use crate::values::Protocol;
use mesh_policy_istio::gateway::{ServerTlsSettings, TlsMode};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};

pub(super) fn validate(
    protocol: Protocol,
    tls: Option<&ServerTlsSettings>,
    at: &Path,
    problems: &mut Problems,
) {
    match tls {
        None if protocol.is_tls() => {
            problems.error(at.clone(), ProblemKind::Missing, "missing: an HTTPS or TLS server has `tls`");
        }
        None => {}
        Some(tls) if protocol.is_tls() => validate_settings(tls, at, problems),
        Some(tls) => {
            let redirect_only =
                ServerTlsSettings { https_redirect: tls.https_redirect, ..ServerTlsSettings::default() };
            let unset_mode = ServerTlsSettings {
                mode: tls.mode.filter(|mode| *mode != TlsMode::Passthrough),
                ..tls.clone()
            };
            if !protocol.is_http() {
                problems.error(at.clone(), ProblemKind::Conflict, "a server without TLS has no `tls`");
            } else if unset_mode != redirect_only {
                problems.error(
                    at.clone(),
                    ProblemKind::Conflict,
                    "a plain HTTP server can have nothing but `httpsRedirect` here",
                );
            }
        }
    }
}

fn validate_settings(tls: &ServerTlsSettings, at: &Path, problems: &mut Problems) {
    let mode = tls.mode.unwrap_or(TlsMode::Passthrough);
    let set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let secret = set(&tls.credential_name) || !tls.credential_names.is_empty();
    let files = set(&tls.server_certificate) || set(&tls.private_key);
    let sources = [
        set(&tls.credential_name),
        !tls.credential_names.is_empty(),
        !tls.tls_certificates.is_empty(),
        files,
    ];
    if tls.https_redirect == Some(true) {
        problems.warning(
            at.field("httpsRedirect"),
            ProblemKind::Suspicious,
            "has no effect: only a plain HTTP server redirects to https",
        );
    }
    match mode {
        TlsMode::Passthrough | TlsMode::AutoPassthrough => {
            if sources.contains(&true) || set(&tls.ca_certificates) {
                problems.warning(
                    at.clone(),
                    ProblemKind::Suspicious,
                    "certificates have no effect: TLS is passed through",
                );
            }
            return;
        }
        TlsMode::IstioMutual => {
            if sources.contains(&true) || set(&tls.ca_certificates) || set(&tls.ca_crl) {
                problems.error(
                    at.clone(),
                    ProblemKind::Conflict,
                    "the mode ISTIO_MUTUAL takes the mesh's own certificates and no others",
                );
            }
            return;
        }
        TlsMode::Simple | TlsMode::Mutual | TlsMode::OptionalMutual => {}
    }
    if sources.iter().filter(|source| **source).count() > 1 {
        problems.error(
            at.clone(),
            ProblemKind::Conflict,
            "expected one of credentialName, credentialNames, tlsCertificates, or serverCertificate with privateKey",
        );
    }
    if !secret && tls.tls_certificates.is_empty() {
        for (name, value) in
            [("serverCertificate", &tls.server_certificate), ("privateKey", &tls.private_key)]
        {
            if !set(value) {
                problems.error(
                    at.field(name),
                    ProblemKind::Missing,
                    format!("missing: the mode {} needs a certificate and its key", mode.name()),
                );
            }
        }
    }
    for (index, certificate) in tls.tls_certificates.iter().enumerate() {
        let at = at.field("tlsCertificates").index(index);
        for (name, value) in
            [("serverCertificate", &certificate.server_certificate), ("privateKey", &certificate.private_key)]
        {
            if !set(value) {
                problems.error(
                    at.field(name),
                    ProblemKind::Missing,
                    "missing: a certificate is given with its key",
                );
            }
        }
    }
    let mutual = mode != TlsMode::Simple;
    let ca = set(&tls.ca_certificates)
        || set(&tls.ca_cert_credential_name)
        || tls.tls_certificates.iter().any(|certificate| set(&certificate.ca_certificates));
    if mutual && !ca && !secret {
        problems.error(
            at.field("caCertificates"),
            ProblemKind::Missing,
            format!("missing: the mode {} needs a CA for client certificates", mode.name()),
        );
    }
    if set(&tls.ca_crl) && (set(&tls.credential_name) || !mutual) {
        problems.error(
            at.field("caCrl"),
            ProblemKind::Conflict,
            "a revocation list needs client certificates and a CA by file",
        );
    }
}
