//! Cipher suites by the names that Envoy knows.

use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};

/// For TLS 1.2 and below; those of 1.3 cannot be chosen.
const KNOWN: [&str; 20] = [
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
    "ECDHE-PSK-CHACHA20-POLY1305",
    "ECDHE-ECDSA-AES128-SHA",
    "ECDHE-RSA-AES128-SHA",
    "ECDHE-PSK-AES128-CBC-SHA",
    "AES128-GCM-SHA256",
    "AES128-SHA",
    "PSK-AES128-CBC-SHA",
    "ECDHE-ECDSA-AES256-SHA",
    "ECDHE-RSA-AES256-SHA",
    "ECDHE-PSK-AES256-CBC-SHA",
    "AES256-GCM-SHA384",
    "AES256-SHA",
    "PSK-AES256-CBC-SHA",
    "DES-CBC3-SHA",
];

/// Those of the list that count. Istio leaves out unknown and repeated ones with a warning; a list of which nothing is left
/// would mean all ciphers, and is refused.
pub(super) fn known(written: &[String], at: &Path, problems: &mut Problems) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (index, cipher) in written.iter().enumerate() {
        if !KNOWN.contains(&cipher.as_str()) {
            let message = format!("has no effect: Envoy knows no cipher suite `{cipher}`");
            problems.warning(at.index(index), ProblemKind::Suspicious, message);
        } else if found.contains(cipher) {
            let message = format!("has no effect: `{cipher}` is there already");
            problems.warning(at.index(index), ProblemKind::Suspicious, message);
        } else {
            found.push(cipher.clone());
        }
    }
    if found.is_empty() {
        let message = "expected at least one cipher suite that Envoy knows";
        problems.error(at.clone(), ProblemKind::InvalidValue, message);
    }
    found
}
