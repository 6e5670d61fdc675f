//! The proxy's own certificate, issued anew before it expires where the folder has the development CA's key.

use crate::certs;
use crate::failure::Failure;
use mesh_policy_compiler::Options;
use mesh_policy_compiler::identity::Account;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How often it is looked after.
const INTERVAL: Duration = Duration::from_secs(1);

/// How long nothing is tried after a failure.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Who looks after it.
#[derive(Debug)]
pub struct Renewal {
    own: Option<(PathBuf, Account)>,
    trust_domain: String,
    next: Instant,
    /// That it has expired was said.
    told: bool,
}

impl Renewal {
    /// For the identity of a proxy; without one there is nothing to do.
    pub fn new(options: &Options, account: Option<Account>) -> Self {
        let own = options.certificates.clone().zip(account);
        Self { own, trust_domain: options.trust_domain.clone(), next: Instant::now(), told: false }
    }

    /// Renews the certificate when it is time; the watch sees the new one.
    ///
    /// # Errors
    /// It was time, and it cannot be done, which is tried again later; or it has expired, which is said once.
    pub fn tend(&mut self) -> Result<(), Failure> {
        let Some((root, account)) = &self.own else { return Ok(()) };
        if Instant::now() < self.next {
            return Ok(());
        }
        self.next = Instant::now() + INTERVAL;
        certs::renew(root, account, &self.trust_domain).map(drop).map_err(|failure| {
            self.next = Instant::now() + AFTER_FAILURE;
            failure.help("the certificate that is in force is used as long as it holds")
        })?;
        let told = std::mem::take(&mut self.told);
        let Some(certificate) = certs::expired(root, account) else { return Ok(()) };
        self.told = true;
        if told {
            return Ok(());
        }
        Err(Failure::environment(format!(
            "the certificate `{}` has expired: other proxies refuse it",
            certificate.display()
        ))
        .help("`mesh-policy certs` issues another; it is taken as soon as it is there"))
    }
}
