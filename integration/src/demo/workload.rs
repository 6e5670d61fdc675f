//! The workloads on stage: for each an Envoy with mTLS, as a sidecar stands before it, and its policies.

use std::{fs, net::IpAddr};

use tempfile::TempDir;

use super::{
    command::plugin_config,
    template::{fill, fill_block},
};
use crate::{
    Context, Error, Result,
    certs::{Authority, Expect, Identity},
    client::Client,
    envoy::{Envoy, Options},
    modules::{Module, repository},
    upstream::Upstream,
};

/// The identity that all four servers show.
const SERVER: &str = "spiffe://cluster.local/ns/my-app/sa/server";
const SNI: &str = "server.my-app.svc.cluster.local";

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The service account that the guide's policy allows.
    Frontend,
    /// One whose name begins like it.
    FrontendTwo,
    /// Another one of the same namespace.
    Other,
    /// One of the namespace `shop`.
    Shop,
    /// Nobody: no certificate.
    Anonymous,
}

impl Caller {
    const IDENTIFIED: [Self; 4] = [Self::Frontend, Self::FrontendTwo, Self::Other, Self::Shop];

    /// The principal, as policies write it.
    pub fn principal(self) -> &'static str {
        match self {
            Self::Frontend => "cluster.local/ns/my-app/sa/frontend-sa",
            Self::FrontendTwo => "cluster.local/ns/my-app/sa/frontend-sa-2",
            Self::Other => "cluster.local/ns/my-app/sa/other-sa",
            Self::Shop => "cluster.local/ns/shop/sa/checkout",
            Self::Anonymous => "nobody",
        }
    }
}

/// One workload: its Envoy, and the service behind it.
pub struct Workload {
    /// `my-app/backend`
    pub name: &'static str,
    /// Its Envoy.
    pub envoy: Envoy,
    /// The service.
    pub service: Upstream,
    _folder: TempDir,
}

/// All workloads, and the certificates between them. Dropping them stops everything.
pub struct Workloads {
    authority: Authority,
    callers: Vec<(Caller, Identity)>,
    /// The guide's backend.
    pub backend: Workload,
    /// A service for one namespace.
    pub reports: Workload,
    /// One without any policy.
    pub other: Workload,
    /// One in a namespace with deny-all.
    pub locked: Workload,
}

impl Workloads {
    /// Issues certificates and starts an Envoy for each workload.
    ///
    /// # Errors
    /// The command refuses the policies, or Envoy the configuration.
    pub fn start() -> Result<Self> {
        let authority = Authority::new("demo")?;
        let server = authority.workload(SERVER)?;
        let issue =
            |caller: Caller| Ok((caller, authority.workload(&format!("spiffe://{}", caller.principal()))?));
        let callers = Caller::IDENTIFIED.into_iter().map(issue).collect::<Result<_>>()?;
        let start = |name, labels| Workload::start(name, labels, &authority, &server);
        Ok(Self {
            backend: start("my-app/backend", "app=backend")?,
            reports: start("my-app/reports", "app=reports")?,
            other: start("my-app/other", "app=other")?,
            locked: start("locked/vault", "app=vault")?,
            authority,
            callers,
        })
    }

    /// A client with this identity, from an address of this machine.
    ///
    /// # Errors
    /// The workload's Envoy does not say where it listens.
    pub fn client(&self, workload: &Workload, caller: Caller, from: Option<IpAddr>) -> Result<Client> {
        let expect = Expect::Spiffe { id: SERVER.to_owned(), sni: SNI.to_owned() };
        let tls = self.authority.client(expect, self.identity(caller))?;
        let client = Client::with_tls(workload.envoy.listener("inbound")?, tls);
        Ok(match from {
            Some(from) => client.from(from),
            None => client,
        })
    }

    /// The certificate of a caller, if it has one.
    pub fn identity(&self, caller: Caller) -> Option<&Identity> {
        self.callers.iter().find(|(who, _)| *who == caller).map(|(_, identity)| identity)
    }
}

impl Workload {
    fn start(name: &'static str, labels: &str, authority: &Authority, server: &Identity) -> Result<Self> {
        let config = plugin_config(&repository().join("integration/demo/workload"), name, labels)?;
        let service = Upstream::start(name.rsplit('/').next().unwrap_or(name))?;
        let file = repository().join("envoy-configs/authz-mtls.yaml");
        let text = fs::read_to_string(&file).context(format_args!("reading `{}`", file.display()))?;
        let text = fill_block(&text, "value", &config)?;
        let (module, ca) = (Module::Authz.path()?, authority.certificate());
        let path = |path: &std::path::Path| {
            path.to_str().map(str::to_owned).context(format_args!("the path `{}`", path.display()))
        };
        let text = fill(
            &text,
            &[
                ("port_value: 8443", "port_value: 0"),
                ("port_value: 8080", &format!("port_value: {}", service.address().port())),
                ("dist/mesh_authz.wasm", &path(&module)?),
                ("certs/ca.pem", &path(&ca)?),
                ("certs/server.pem", &path(server.certificate())?),
                ("certs/server-key.pem", &path(server.key())?),
            ],
        )?;
        let folder = tempfile::tempdir().context("creating a folder for a workload")?;
        let copy = folder.path().join("envoy.yaml");
        fs::write(&copy, text).context(format_args!("writing `{}`", copy.display()))?;
        let envoy = Envoy::start(&copy, &Options::default())
            .map_err(|error| Error::new(format!("the Envoy of {name}: {error}")))?;
        Ok(Self { name, envoy, service, _folder: folder })
    }
}
