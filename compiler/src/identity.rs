//! The mesh's own certificates, where `mesh-policy certs` has put them: `ca.crt` for all, and for each identity
//! `NAMESPACE/SERVICE-ACCOUNT/tls.crt` and `tls.key`.

use crate::certificate::{self, Chain};
use crate::compile::visible;
use crate::envoy::tls::{Context, Name, Served, Validation};
use crate::options::{Options, ProxyChoice};
use crate::sidecar;
use crate::source::Sources;
use crate::tls::set;
use mesh_policy_istio::destination_rule::{ClientTlsSettings, DestinationRule};
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::Spec;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The file of the mesh's CA.
pub const CA: &str = "ca.crt";
/// The file of a certificate chain, in the folder of its identity.
pub const CERTIFICATE: &str = "tls.crt";
/// The file of its key.
pub const KEY: &str = "tls.key";

/// What to do about a missing certificate of the mesh.
pub(crate) const WAYS: &str = "`mesh-policy certs` issues certificates and `--certs` names their folder; `--sds` names the socket of SPIRE's agent";

/// What to do about a certificate of the mesh that is no good.
pub(crate) const ISSUE: &str =
    "`mesh-policy certs -f .. -o DIR` issues the certificates of the resources anew";

/// `spiffe://cluster.local/ns/shop/sa/orders`
#[must_use]
pub fn spiffe_id(trust_domain: &str, namespace: &str, service_account: &str) -> String {
    format!("spiffe://{trust_domain}/ns/{namespace}/sa/{service_account}")
}

/// The folder of an identity.
#[must_use]
pub fn folder(root: &Path, namespace: &str, service_account: &str) -> PathBuf {
    root.join(namespace).join(service_account)
}

/// A workload's or a gateway's name in the mesh.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    /// The namespace.
    pub namespace: String,
    /// The service account.
    pub service_account: String,
}

/// The identities in the resources: the service accounts of all instances of services, and, where there is a Gateway, that of
/// the gateway proxy. Sorted, each once.
#[must_use]
pub fn accounts(sources: &Sources, options: &Options) -> Vec<Account> {
    let mut accounts = BTreeSet::new();
    let mut add = |namespace: &str, service_account: Option<&str>| {
        if let Some(account) = service_account.filter(|account| !account.is_empty()) {
            accounts.insert(Account { namespace: namespace.to_owned(), service_account: account.to_owned() });
        }
    };
    for resource in sources.resources() {
        let namespace = resource.namespace();
        match &resource.spec {
            Spec::ServiceEntry(entry) => {
                for endpoint in &entry.endpoints {
                    add(namespace, endpoint.service_account.as_deref());
                }
            }
            Spec::WorkloadEntry(entry) => add(namespace, entry.service_account.as_deref()),
            Spec::Gateway(_) => add(&options.gateway_namespace, Some(&options.gateway_service_account)),
            _ => {}
        }
    }
    accounts.into_iter().collect()
}

/// What a proxy of the mesh proves itself with, and whom it believes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    origin: Origin,
    /// Its own trust domain and the aliases.
    pub trust_domains: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Files { certificate: PathBuf, key: PathBuf, ca: PathBuf },
    Served(Served),
}

impl Identity {
    /// What both sides of the mesh's TLS begin with: this identity, and the peers whose names are among these.
    pub(crate) fn context(&self, names: Vec<Name>) -> Context {
        let validation = Validation { names, ..Validation::default() };
        let context = Context { min: Some("TLSv1_2"), max: Some("TLSv1_3"), ..Context::default() };
        match &self.origin {
            Origin::Files { certificate, key, ca } => Context {
                pairs: vec![(certificate.clone(), key.clone())],
                validation: Validation { ca: Some(ca.clone()), ..validation },
                ..context
            },
            Origin::Served(served) => Context { served: Some(served.clone()), validation, ..context },
        }
    }

    /// The identity of a service account; `None` when the options say of none where it comes from.
    ///
    /// # Errors
    /// Its files cannot be used.
    pub(crate) fn load(
        options: &Options,
        namespace: &str,
        service_account: &str,
    ) -> Result<Option<Self>, String> {
        let mut trust_domains = vec![options.trust_domain.clone()];
        trust_domains.extend(options.trust_domain_aliases.iter().cloned());
        let id = spiffe_id(&options.trust_domain, namespace, service_account);
        if options.sds.is_some() {
            // SPIRE's names. What it gives for a trust domain is believed about that one alone; `ALL` are those federated, too.
            let alone = options.trust_domain_aliases.is_empty();
            let validation =
                if alone { format!("spiffe://{}", options.trust_domain) } else { "ALL".to_owned() };
            let served = Served { certificate: id, validation };
            return Ok(Some(Self { origin: Origin::Served(served), trust_domains }));
        }
        let Some(root) = &options.certificates else { return Ok(None) };
        let folder = folder(root, namespace, service_account);
        let (certificate, key, ca) = (folder.join(CERTIFICATE), folder.join(KEY), root.join(CA));
        let now = SystemTime::now();
        Chain::read(&ca, now)?;
        let chain = Chain::read(&certificate, now)?;
        if !chain.uris.contains(&id) {
            return Err(format!(
                "the certificate `{}` is not for `{id}`, but for `{}`",
                certificate.display(),
                chain.uris.join(", ")
            ));
        }
        chain.check_key(&key, &certificate)?;
        Ok(Some(Self { origin: Origin::Files { certificate, key, ca }, trust_domains }))
    }
}

/// The files of a secret, as Kubernetes names its keys: `DIR/NAME/tls.crt`, `tls.key` and `ca.crt`.
#[derive(Debug)]
pub(crate) struct Secret {
    pub certificate: PathBuf,
    pub key: PathBuf,
    /// In the secret itself, or in the one called `NAME-cacert`.
    pub ca: PathBuf,
}

impl Secret {
    pub(crate) fn named(root: &Path, name: &str) -> Self {
        let folder = root.join(name);
        let own = folder.join(CA);
        let apart = root.join(format!("{name}-cacert")).join(CA);
        let ca = if !own.is_file() && apart.is_file() { apart } else { own };
        Self { certificate: folder.join(CERTIFICATE), key: folder.join(KEY), ca }
    }
}

/// Checks the file of a CA.
pub(crate) fn check_ca(file: &Path) -> Result<(), String> {
    Chain::read(file, SystemTime::now()).map(|_| ())
}

/// Whom the certificate of a proxy names; nobody where the workload is not among the services or has no service account.
#[must_use]
pub fn own(sources: &Sources, choice: &ProxyChoice, options: &Options) -> Option<Account> {
    let (namespace, service_account) = match choice {
        ProxyChoice::Gateway(_) => {
            (&options.gateway_namespace, Some(options.gateway_service_account.clone()))
        }
        ProxyChoice::Workload(workload) => {
            // What is wrong with the services is told when they are compiled.
            let services = visible(sources, &workload.namespace, &mut Problems::new());
            let site = sidecar::find(sources.resources(), &services, workload).ok()?;
            (&workload.namespace, site.service_account)
        }
    };
    Some(Account { namespace: namespace.clone(), service_account: service_account? })
}

/// When the first certificate of a file begins and ceases to hold: seconds since 1970.
///
/// # Errors
/// There is no certificate in it.
pub fn validity(certificate: &Path) -> Result<(i64, i64), String> {
    certificate::validity(certificate)
}

/// The files with certificates, keys and CAs that resources name, whether they are there or not; those of the proxy's own
/// identity are not among them.
#[must_use]
pub fn named_files(sources: &Sources, options: &Options) -> BTreeSet<PathBuf> {
    let mut files = BTreeSet::new();
    let mut add = |named: &[&Option<String>]| {
        files.extend(named.iter().filter_map(|file| set(file)).map(PathBuf::from))
    };
    let mut secrets = Vec::new();
    for resource in sources.resources() {
        match &resource.spec {
            Spec::Gateway(gateway) => {
                for tls in gateway.servers.iter().filter_map(|server| server.tls.as_ref()) {
                    add(&[&tls.server_certificate, &tls.private_key, &tls.ca_certificates, &tls.ca_crl]);
                    for entry in &tls.tls_certificates {
                        add(&[&entry.server_certificate, &entry.private_key, &entry.ca_certificates]);
                    }
                    secrets.extend(set(&tls.credential_name));
                    secrets.extend(tls.credential_names.iter().map(String::as_str));
                    secrets.extend(set(&tls.ca_cert_credential_name));
                }
            }
            Spec::DestinationRule(rule) => {
                for tls in client_settings(rule) {
                    add(&[&tls.client_certificate, &tls.private_key, &tls.ca_certificates, &tls.ca_crl]);
                    secrets.extend(set(&tls.credential_name));
                }
            }
            _ => {}
        }
    }
    if let Some(root) = &options.secrets {
        for name in secrets {
            for (folder, file) in
                [(name, CERTIFICATE), (name, KEY), (name, CA), (&format!("{name}-cacert"), CA)]
            {
                files.insert(root.join(folder).join(file));
            }
        }
    }
    files
}

fn client_settings(rule: &DestinationRule) -> impl Iterator<Item = &ClientTlsSettings> {
    let subsets = rule.subsets.iter().filter_map(|subset| subset.traffic_policy.as_ref());
    let policies = rule.traffic_policy.iter().chain(subsets);
    policies.flat_map(|policy| {
        policy.tls.iter().chain(policy.port_level_settings.iter().filter_map(|port| port.tls.as_ref()))
    })
}

/// Checks a certificate and its key: that both can be read, hold now, and belong together.
///
/// # Errors
/// What is wrong, with the file.
pub fn check_pair(certificate: &Path, key: &Path) -> Result<(), String> {
    certificate::check_pair(certificate, key, SystemTime::now())
}
