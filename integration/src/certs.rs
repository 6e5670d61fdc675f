//! A certificate authority for one test: real certificates, in PEM files for Envoy and in memory
//! for the clients and servers here.

mod verify;

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType, string::Ia5String,
};
use tempfile::TempDir;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    server::WebPkiClientVerifier,
};

pub(crate) use verify::uri_names;

use crate::{Context, Result, client::Tls};

/// A certificate authority; its files go when it is dropped.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: TempDir,
    issued: AtomicUsize,
}

/// A certificate of an [`Authority`], with its key.
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    secret: PrivateKeyDer<'static>,
}

/// What a client demands of the server's certificate besides a trusted issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// This DNS name, which is also sent as SNI.
    Dns(String),
    /// This URI name, as between Istio workloads, and this SNI.
    Spiffe {
        /// The `spiffe://` identity.
        id: String,
        /// The SNI, for example `outbound_.80_._.customers.default.svc.cluster.local`.
        sni: String,
    },
}

impl Authority {
    /// A fresh authority, its files in a temporary folder.
    ///
    /// # Errors
    /// Keys cannot be made or files not be written.
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().context("making the authority's key")?;
        let issuer = CertifiedIssuer::self_signed(params, key).context("signing the authority")?;
        let folder = tempfile::tempdir().context("creating a folder for certificates")?;
        let authority = Self { issuer, folder, issued: AtomicUsize::new(0) };
        write(&authority.certificate(), &authority.issuer.pem())?;
        Ok(authority)
    }

    /// The PEM file of the authority's certificate: Envoy's `trusted_ca`.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A workload's certificate, for either side of mTLS, with this identity and no DNS name.
    ///
    /// # Errors
    /// The identity is not ASCII.
    pub fn workload(&self, id: &str) -> Result<Identity> {
        self.workload_called("", id)
    }

    /// A workload certificate that also has a subject with this common name.
    ///
    /// # Errors
    /// The identity is not ASCII.
    pub fn workload_called(&self, subject: &str, id: &str) -> Result<Identity> {
        let name = Ia5String::try_from(id).context(format_args!("the identity `{id}`"))?;
        self.issue_to(subject, vec![SanType::URI(name)])
    }

    /// A server's certificate with these DNS names.
    ///
    /// # Errors
    /// A name is not ASCII.
    pub fn server(&self, names: &[&str]) -> Result<Identity> {
        let name = |name: &&str| {
            Ia5String::try_from(*name).map(SanType::DnsName).context(format_args!("the name `{name}`"))
        };
        self.issue(names.iter().map(name).collect::<Result<_>>()?)
    }

    /// A server's certificate with these DNS names that held until a minute ago.
    ///
    /// # Errors
    /// A name is not ASCII.
    pub fn expired(&self, names: &[&str]) -> Result<Identity> {
        let params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let mut params = params.context("the names")?;
        params.not_after = (std::time::SystemTime::now() - std::time::Duration::from_secs(60)).into();
        self.sign(params)
    }

    /// Fills a folder as `mesh-policy certs` does: `ca.crt`, and a certificate for each account of a namespace.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn lay_out(&self, folder: &Path, accounts: &[(&str, &str)]) -> Result<()> {
        for (namespace, account) in accounts {
            let identity = self.workload(&format!("spiffe://cluster.local/ns/{namespace}/sa/{account}"))?;
            identity.save_as_secret(&folder.join(namespace).join(account), None)?;
        }
        let ca = folder.join("ca.crt");
        fs::copy(self.certificate(), &ca).context(format_args!("writing `{}`", ca.display())).map(drop)
    }

    /// A certificate with exactly these subject alternative names.
    ///
    /// # Errors
    /// Signing fails or files cannot be written.
    pub fn issue(&self, names: Vec<SanType>) -> Result<Identity> {
        self.issue_to("", names)
    }

    fn issue_to(&self, subject: &str, names: Vec<SanType>) -> Result<Identity> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !subject.is_empty() {
            params.distinguished_name.push(DnType::CommonName, subject);
        }
        params.subject_alt_names = names;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Result<Identity> {
        let key = KeyPair::generate().context("making a key")?;
        let leaf = params.signed_by(&key, &self.issuer).context("signing a certificate")?;
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let identity = Identity {
            certificate: self.folder.path().join(format!("{number}.pem")),
            key: self.folder.path().join(format!("{number}-key.pem")),
            chain: vec![leaf.der().clone()],
            secret: PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
        };
        write(&identity.certificate, &leaf.pem())?;
        write(&identity.key, &key.serialize_pem())?;
        Ok(identity)
    }

    /// A client that trusts this authority and shows `identity`, if any.
    ///
    /// # Errors
    /// The expected name cannot be an SNI.
    pub fn client(&self, expect: Expect, identity: Option<&Identity>) -> Result<Tls> {
        let (Expect::Dns(sni) | Expect::Spiffe { sni, .. }) = &expect;
        let server_name = ServerName::try_from(sni.clone()).context(format_args!("the SNI `{sni}`"))?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("TLS versions")?;
        let builder = match expect {
            Expect::Dns(_) => builder.with_root_certificates(self.roots()?),
            Expect::Spiffe { id, .. } => builder.dangerous().with_custom_certificate_verifier(
                verify::SpiffeVerifier::new(self.roots()?, provider(), id)?,
            ),
        };
        let config = match identity {
            Some(Identity { chain, secret, .. }) => builder
                .with_client_auth_cert(chain.clone(), secret.clone_key())
                .context("the client's certificate")?,
            None => builder.with_no_client_auth(),
        };
        Ok(Tls { config: Arc::new(config), server_name })
    }

    /// An echo server's side of TLS; with `mutual` it demands a certificate of this authority.
    ///
    /// # Errors
    /// The certificate and its key do not fit.
    pub fn server_config(&self, identity: &Identity, mutual: bool) -> Result<Arc<ServerConfig>> {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .context("TLS versions")?;
        let builder = if mutual {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(self.roots()?), provider());
            builder.with_client_cert_verifier(verifier.build().context("trusting the authority")?)
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder
            .with_single_cert(identity.chain.clone(), identity.secret.clone_key())
            .context("the server's certificate")?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).context("trusting the authority")?;
        Ok(roots)
    }
}

impl Identity {
    /// The PEM file of the certificate.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The PEM file of the key.
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// Copies it into a folder as a Kubernetes secret is mounted: `tls.crt`, `tls.key`, and `ca.crt` where clients are to
    /// prove themselves by a certificate of this authority.
    ///
    /// # Errors
    /// A file cannot be copied.
    pub fn save_as_secret(&self, folder: &Path, clients: Option<&Authority>) -> Result<()> {
        fs::create_dir_all(folder).context(format_args!("creating `{}`", folder.display()))?;
        let files = [("tls.crt", Some(self.certificate.clone())), ("tls.key", Some(self.key.clone()))];
        let files = files.into_iter().chain([("ca.crt", clients.map(Authority::certificate))]);
        for (name, from) in files.filter_map(|(name, from)| Some((name, from?))) {
            fs::copy(&from, folder.join(name)).context(format_args!("copying `{}`", from.display()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authority").field("folder", &self.folder).finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).context(format_args!("writing `{}`", path.display()))
}

#[cfg(test)]
mod tests;
