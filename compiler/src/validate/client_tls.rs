//! `tls` of a DestinationRule.

use mesh_policy_istio::destination_rule::{ClientTlsMode, ClientTlsSettings};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};

pub(super) fn validate(tls: &ClientTlsSettings, at: &Path, problems: &mut Problems) {
    let mode = tls.mode.unwrap_or(ClientTlsMode::Disable);
    let set = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let mut conflict = |field: &str, message: &str| {
        problems.error(at.field(field), ProblemKind::Conflict, message);
    };
    if matches!(mode, ClientTlsMode::Simple | ClientTlsMode::Mutual) {
        if set(&tls.credential_name) {
            for (field, value) in [
                ("clientCertificate", &tls.client_certificate),
                ("privateKey", &tls.private_key),
                ("caCertificates", &tls.ca_certificates),
                ("caCrl", &tls.ca_crl),
            ] {
                if set(value) {
                    conflict(field, "credentialName already says where certificates come from");
                }
            }
        }
        if tls.insecure_skip_verify == Some(true) {
            let unverified = "has no meaning while insecureSkipVerify takes any certificate";
            if set(&tls.ca_certificates) {
                conflict("caCertificates", unverified);
            }
            if !tls.subject_alt_names.is_empty() {
                conflict("subjectAltNames", unverified);
            }
            if mode == ClientTlsMode::Simple && set(&tls.credential_name) {
                conflict("credentialName", unverified);
            }
        }
    }
    if mode == ClientTlsMode::Mutual && !set(&tls.credential_name) {
        for (field, value) in
            [("clientCertificate", &tls.client_certificate), ("privateKey", &tls.private_key)]
        {
            if !set(value) {
                problems.error(
                    at.field(field),
                    ProblemKind::Missing,
                    "missing: the mode MUTUAL needs a certificate and its key",
                );
            }
        }
    }
}
