//! Certificate files: whether Envoy could use them is said before it is started.

use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::fs;
use std::path::Path;
use std::time::SystemTime;
use x509_parser::prelude::{ASN1Time, FromDer as _, GeneralName, X509Certificate};

/// A certificate chain in a file that holds now, with what its first certificate says.
#[derive(Debug)]
pub(crate) struct Chain {
    certificates: Vec<CertificateDer<'static>>,
    /// The URI names, such as a SPIFFE identity.
    pub uris: Vec<String>,
}

impl Chain {
    /// Reads a PEM file.
    ///
    /// # Errors
    /// What is wrong with it, the file named.
    pub(crate) fn read(file: &Path, now: SystemTime) -> Result<Self, String> {
        let certificates = certificates(file)?;
        let mut uris = Vec::new();
        for (index, certificate) in certificates.iter().enumerate() {
            let broken = |error| format!("the certificate file `{}` is broken: {error}", file.display());
            let (_, parsed) = X509Certificate::from_der(certificate).map_err(broken)?;
            check_validity(&parsed, file, now)?;
            if index == 0 {
                uris = uri_names(&parsed);
            }
        }
        Ok(Self { certificates, uris })
    }

    /// Reads the key of this chain, and says so when it is that of another certificate.
    pub(crate) fn check_key(self, file: &Path, certificate: &Path) -> Result<(), String> {
        let text = read(file, "key")?;
        let key = PrivateKeyDer::from_pem_slice(&text)
            .map_err(|_| format!("the key file `{}` has no private key in PEM", file.display()))?;
        match CertifiedKey::from_der(self.certificates, key, &default_provider()) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InconsistentKeys(_)) => Err(format!(
                "the key `{}` is not that of the certificate `{}`",
                file.display(),
                certificate.display()
            )),
            Err(error) => Err(format!("the key file `{}` cannot be used: {error}", file.display())),
        }
    }
}

/// When the first certificate of a file begins and ceases to hold, in seconds since 1970.
pub(crate) fn validity(file: &Path) -> Result<(i64, i64), String> {
    let certificates = certificates(file)?;
    let broken = |error| format!("the certificate file `{}` is broken: {error}", file.display());
    let first =
        certificates.first().map(|first| X509Certificate::from_der(first)).transpose().map_err(broken)?;
    let validity = first.map(|(_, parsed)| parsed.validity().clone());
    validity
        .map(|validity| (validity.not_before.timestamp(), validity.not_after.timestamp()))
        .ok_or_else(|| without(file))
}

/// The certificates of a PEM file, one at least.
fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = read(file, "certificate")?;
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| format!("the certificate file `{}` is broken: {error}", file.display()))?;
    if certificates.is_empty() { Err(without(file)) } else { Ok(certificates) }
}

fn without(file: &Path) -> String {
    format!("the certificate file `{}` has no certificate in PEM", file.display())
}

/// Checks a certificate and its key.
pub(crate) fn check_pair(certificate: &Path, key: &Path, now: SystemTime) -> Result<(), String> {
    Chain::read(certificate, now)?.check_key(key, certificate)
}

/// Checks a file of roots: it has certificates, and of many some may have expired.
pub(crate) fn check_roots(file: &Path) -> Result<(), String> {
    certificates(file).map(|_| ())
}

/// Checks a file that is only to be there: what is in it Envoy says.
pub(crate) fn check_readable(file: &Path, what: &str) -> Result<(), String> {
    read(file, what).map(|_| ())
}

fn read(file: &Path, what: &str) -> Result<Vec<u8>, String> {
    fs::read(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("the {what} file `{}` does not exist", file.display()),
        _ => format!("the {what} file `{}` cannot be read: {error}", file.display()),
    })
}

fn check_validity(certificate: &X509Certificate<'_>, file: &Path, now: SystemTime) -> Result<(), String> {
    let seconds = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let now = i64::try_from(seconds).unwrap_or(i64::MAX);
    let validity = certificate.validity();
    let show = |time: ASN1Time| time.to_rfc2822().unwrap_or_else(|text| text);
    if validity.not_after.timestamp() <= now {
        return Err(format!("the certificate `{}` expired on {}", file.display(), show(validity.not_after)));
    }
    if validity.not_before.timestamp() > now {
        return Err(format!(
            "the certificate `{}` is not valid before {}",
            file.display(),
            show(validity.not_before)
        ));
    }
    Ok(())
}

fn uri_names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.iter().flat_map(|names| &names.value.general_names);
    names
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
