//! `mesh-policy certs`.

use crate::args::Certs;
use crate::failure::{Failure, USAGE};
use crate::findings::count;
use crate::resources::Resources;
use anstream::stdout;
use mesh_policy_compiler::identity::{self, Account, CA, CERTIFICATE, KEY};
use mesh_policy_compiler::{Finding, Options};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType,
};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

/// The file of the CA's key.
const CA_KEY: &str = "ca.key";
/// The CA's name. It is part of every certificate, so the CA that is found again must have it too.
const CA_NAME: &str = "mesh-policy development CA";
/// How long the CA holds.
const CA_LIFETIME: Duration = Duration::days(3650);
/// Clocks of machines differ.
const SKEW: Duration = Duration::minutes(5);

/// Issues a certificate for each identity.
pub fn run(args: &Certs) -> Result<(), Failure> {
    let resources = Resources::load(&args.input, "certs")?;
    // Whether a policy is right does not matter here; what cannot be read may hide an identity.
    let findings: Vec<Finding> = resources.sources.findings().to_vec();
    if findings.iter().any(Finding::is_error) {
        resources.report(&findings)?;
        return Err(Failure::refused());
    }
    let default = Options::default().under_mesh_config(&resources.sources);
    let options = Options {
        trust_domain: args.trust_domain.clone().unwrap_or(default.trust_domain),
        gateway_namespace: args.gateway_namespace.clone().unwrap_or(default.gateway_namespace),
        gateway_service_account: args
            .gateway_service_account
            .clone()
            .unwrap_or(default.gateway_service_account),
        ..Options::default()
    };
    let mut accounts = identity::accounts(&resources.sources, &options);
    accounts.extend(
        args.identities
            .iter()
            .map(|name| Account { namespace: name.namespace.clone(), service_account: name.name.clone() }),
    );
    accounts.sort();
    accounts.dedup();
    if accounts.is_empty() {
        return Err(Failure::usage("no identities: no endpoint has a `serviceAccount`, and there is no Gateway")
            .help("mesh-policy certs .. --identity my-app/sleep  issues one for a workload that is not among the resources"));
    }
    for account in &accounts {
        for part in [&account.namespace, &account.service_account] {
            if !is_name(part) {
                return Err(Failure::usage(format!(
                    "expected a name of letters, digits, `-` and `.`, found `{part}`"
                )));
            }
        }
    }
    let root = &args.output;
    fs::create_dir_all(root).map_err(|error| unwritable(root, &error))?;
    let (issuer, is_new) = authority(root)?;
    let now = OffsetDateTime::now_utc();
    let until = now + args.ttl.0;
    for account in &accounts {
        issue(root, &issuer, account, &options.trust_domain, (now - SKEW, until))?;
    }
    let mut out = stdout().lock();
    let kept = if is_new { "a new CA" } else { "the CA that was there" };
    writeln!(
        out,
        "issued {} to {} with {kept}, until {} {:02}:{:02} UTC",
        count(accounts.len(), "certificate"),
        root.display(),
        until.date(),
        until.hour(),
        until.minute()
    )?;
    for Account { namespace, service_account } in &accounts {
        writeln!(out, "  {}", identity::spiffe_id(&options.trust_domain, namespace, service_account))?;
    }
    Ok(())
}

/// Issues an identity's certificate anew when less than a third of its lifetime is left, for as long as before; says whether it
/// was. Only a folder with the CA's key can.
///
/// # Errors
/// The certificate or the CA cannot be used, or the folder not written to.
pub fn renew(root: &Path, account: &Account, trust_domain: &str) -> Result<bool, Failure> {
    if !root.join(CA_KEY).exists() {
        return Ok(false);
    }
    let certificate = identity::folder(root, &account.namespace, &account.service_account).join(CERTIFICATE);
    if !is_due(&certificate)? {
        return Ok(false);
    }
    // Several proxies may have this identity: the key of one and the certificate of another would be worth nothing.
    let key = root.join(CA_KEY);
    let lock = fs::File::open(&key).and_then(|file| file.lock().map(|()| file));
    let _lock =
        lock.map_err(|error| Failure::environment(format!("cannot lock `{}`: {error}", key.display())))?;
    if !is_due(&certificate)? {
        return Ok(false);
    }
    let (from, until) = validity(&certificate)?;
    let (issuer, _) = authority(root)?;
    let now = OffsetDateTime::now_utc();
    issue(root, &issuer, account, trust_domain, (now - SKEW, now + (until - from - SKEW)))?;
    Ok(true)
}

/// The certificate of an identity, when it no longer holds.
pub fn expired(root: &Path, account: &Account) -> Option<PathBuf> {
    let certificate = identity::folder(root, &account.namespace, &account.service_account).join(CERTIFICATE);
    // What is wrong with the file otherwise is said when it is read.
    let (_, until) = validity(&certificate).ok()?;
    (until <= OffsetDateTime::now_utc()).then_some(certificate)
}

fn is_due(certificate: &Path) -> Result<bool, Failure> {
    let (from, until) = validity(certificate)?;
    Ok(until - OffsetDateTime::now_utc() < (until - from - SKEW) / 3)
}

fn validity(certificate: &Path) -> Result<(OffsetDateTime, OffsetDateTime), Failure> {
    let (from, until) = identity::validity(certificate).map_err(Failure::environment)?;
    let time = |seconds| {
        OffsetDateTime::from_unix_timestamp(seconds).map_err(|error| Failure::environment(error.to_string()))
    };
    Ok((time(from)?, time(until)?))
}

/// What can be a name of Kubernetes, and is no way out of the folder.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
}

/// The CA of the folder; a new one where there is none.
fn authority(root: &Path) -> Result<(Issuer<'static, KeyPair>, bool), Failure> {
    let (certificate, key) = (root.join(CA), root.join(CA_KEY));
    let params = authority_params();
    if certificate.exists() || key.exists() {
        let broken = |message: String| {
            Failure::usage(message).help(format!(
                "`rm {} {}` has a new CA made; the certificates of the old one are then worth nothing",
                certificate.display(),
                key.display()
            ))
        };
        identity::check_pair(&certificate, &key).map_err(broken)?;
        let text = fs::read_to_string(&key)
            .map_err(|error| broken(format!("cannot read `{}`: {error}", key.display())))?;
        let pair = KeyPair::from_pem(&text)
            .map_err(|error| broken(format!("the key `{}` cannot be used: {error}", key.display())))?;
        return Ok((Issuer::new(params, pair), false));
    }
    let pair = KeyPair::generate().map_err(|error| failed("make a key", &error))?;
    let text = params.self_signed(&pair).map_err(|error| failed("sign the CA", &error))?.pem();
    write(&key, &pair.serialize_pem(), 0o600)?;
    write(&certificate, &text, 0o644)?;
    Ok((Issuer::new(params, pair), true))
}

fn authority_params() -> CertificateParams {
    let now = OffsetDateTime::now_utc();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, CA_NAME);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = now - SKEW;
    params.not_after = now + CA_LIFETIME;
    params
}

fn issue(
    root: &Path,
    issuer: &Issuer<'static, KeyPair>,
    account: &Account,
    trust_domain: &str,
    (from, until): (OffsetDateTime, OffsetDateTime),
) -> Result<(), Failure> {
    let Account { namespace, service_account } = account;
    let id = identity::spiffe_id(trust_domain, namespace, service_account);
    let uri = id.as_str().try_into().map_err(|error| failed("name an identity", &error))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![SanType::URI(uri)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    params.not_before = from;
    params.not_after = until;
    let key = KeyPair::generate().map_err(|error| failed("make a key", &error))?;
    let certificate = params.signed_by(&key, issuer).map_err(|error| failed("sign a certificate", &error))?;
    let folder = identity::folder(root, namespace, service_account);
    fs::create_dir_all(&folder).map_err(|error| unwritable(&folder, &error))?;
    write(&folder.join(KEY), &key.serialize_pem(), 0o600)?;
    write(&folder.join(CERTIFICATE), &certificate.pem(), 0o644)
}

/// Writes a file in one step. Temporary files are for their owner alone from the beginning.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let failure = |error: &io::Error| unwritable(path, error);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| failure(&error))?;
    file.write_all(text.as_bytes()).map_err(|error| failure(&error))?;
    file.as_file().set_permissions(fs::Permissions::from_mode(mode)).map_err(|error| failure(&error))?;
    file.persist(path).map_err(|error| failure(&error.error))?;
    Ok(())
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::with_exit(USAGE, format!("cannot write to `{}`: {error}", path.display()))
}

fn failed(what: &str, error: &rcgen::Error) -> Failure {
    Failure::environment(format!("cannot {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_for_as_long_as_before_once_two_thirds_of_its_time_are_over() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let account = Account { namespace: "shop".to_owned(), service_account: "orders".to_owned() };
        let (issuer, _) = authority(root).unwrap();
        let now = OffsetDateTime::now_utc();
        let times = |began: Duration, lifetime: Duration| (now - began - SKEW, now - began + lifetime);
        let file = root.join("shop/orders/tls.crt");
        for (began, is_due) in [(0, false), (39, false), (41, true), (90, true)] {
            let times = times(Duration::minutes(began), Duration::minutes(60));
            issue(root, &issuer, &account, "cluster.local", times).unwrap();
            assert_eq!(renew(root, &account, "cluster.local").unwrap(), is_due, "{began} minutes old");
            if is_due {
                let (from, until) = validity(&file).unwrap();
                assert_eq!(until - from - SKEW, Duration::minutes(60));
                assert!(until > now + Duration::minutes(59), "{until}");
                identity::check_pair(&file, &root.join("shop/orders/tls.key")).unwrap();
            }
        }
        issue(root, &issuer, &account, "cluster.local", times(Duration::HOUR, Duration::MINUTE)).unwrap();
        fs::remove_file(root.join(CA_KEY)).unwrap();
        assert!(!renew(root, &account, "cluster.local").unwrap(), "only who has the CA's key can");
        assert_eq!(expired(root, &account), Some(file));
        issue(root, &issuer, &account, "cluster.local", times(Duration::ZERO, Duration::MINUTE)).unwrap();
        assert_eq!(expired(root, &account), None);
    }
}
