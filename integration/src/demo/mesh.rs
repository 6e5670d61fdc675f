//! The mesh on stage: two gateways and three sidecars, five Envoys, each started by `mesh-policy run` from the YAML in
//! `integration/demo/mesh`, with certificates that `mesh-policy certs` issues; and services outside of the mesh.

pub mod edge;
pub mod external;
pub mod routing;
pub mod security;

use std::{fs, net::SocketAddr, path::Path, process::Command, thread};

use tempfile::TempDir;

use super::{command, template::fill, template::renumber};
use crate::{
    Context, Error, Result,
    certs::{Authority, Expect, Identity},
    client::Client,
    modules::repository,
    ports,
    process::run,
    running::Running,
    upstream::Upstream,
    wait::PATIENCE,
};

/// The files of `integration/demo/mesh`.
const FILES: [&str; 5] = ["gateways.yaml", "services.yaml", "routing.yaml", "external.yaml", "security.yaml"];

/// The port that all instances of the database share, as written there.
const MONGO: u16 = 19108;

/// The running mesh. Dropping it stops everything.
pub struct Mesh {
    /// What comes in.
    pub ingress: Running,
    /// What goes out.
    pub egress: Running,
    /// The sidecar of `my-app/frontend`, whose identity is `frontend-sa`.
    pub frontend: Sidecar,
    /// That of `my-app/backend`.
    pub backend: Sidecar,
    /// That of `foo/ledger`.
    pub ledger: Sidecar,
    /// The services outside of the mesh.
    pub outside: Outside,
    /// Whom the clients of the ingress gateway trust.
    clients: Authority,
    admin: Identity,
    stranger: Identity,
    _folder: TempDir,
}

/// A sidecar and its application.
pub struct Sidecar {
    /// `mesh-policy run`.
    pub proxy: Running,
    /// Where other proxies call, in the order of the ports of its service.
    pub inbound: Vec<SocketAddr>,
    /// Where its application calls.
    pub outbound: SocketAddr,
    /// The application.
    pub app: Upstream,
}

/// Services outside of the mesh.
pub struct Outside {
    authority: Authority,
    /// The public API.
    pub github: Upstream,
    /// The instances of the database.
    pub mongo: Vec<Upstream>,
    /// A partner, behind the egress gateway.
    pub partner: Upstream,
    /// A service with a certificate that the mesh believes.
    pub weather: Upstream,
    /// One with a certificate of nobody knows whom.
    pub impostor: Upstream,
    /// A service that ends TLS itself.
    pub through: Upstream,
    /// The two versions of customers, without sidecars.
    pub customers: [Upstream; 2],
}

/// Who calls the ingress gateway by TLS.
#[derive(Clone, Copy, Debug)]
pub enum Visitor {
    /// No certificate.
    Anonymous,
    /// A certificate of the gateway's authority.
    Admin,
    /// A certificate of another one.
    Stranger,
}

impl Outside {
    fn start() -> Result<Self> {
        let authority = Authority::new("outside")?;
        let unknown = Authority::new("unknown")?;
        let tls = |name: &str, host: &str, authority: &Authority| {
            let identity = authority.server(&[host])?;
            Upstream::builder(name).tls(authority.server_config(&identity, false)?).start()
        };
        let port = ports::free()?;
        let mongo = |last: u8| {
            let address = SocketAddr::from(([127, 168, 10, last], port));
            Upstream::builder(format!("mongo-{last}")).bind(address).start()
        };
        Ok(Self {
            github: tls("github", "api.github.com", &authority)?,
            mongo: (1..=3).map(mongo).collect::<Result<_>>()?,
            partner: tls("partner", "partner.example.com", &authority)?,
            weather: tls("weather", "weather.example.com", &authority)?,
            impostor: tls("impostor", "impostor.example.com", &unknown)?,
            through: tls("through", "through.example.com", &authority)?,
            customers: [Upstream::start("v1")?, Upstream::start("v2")?],
            authority,
        })
    }
}

/// A sidecar that is to be started.
struct Plan {
    workload: &'static str,
    labels: &'static str,
    app: Upstream,
    inbound: Vec<u16>,
    outbound: u16,
}

impl Plan {
    fn new(workload: &'static str, labels: &'static str, ports: usize) -> Result<Self> {
        let name = workload.rsplit('/').next().unwrap_or(workload);
        let inbound = (0..ports).map(|_| ports::free()).collect::<Result<_>>()?;
        Ok(Self { workload, labels, app: Upstream::start(name)?, inbound, outbound: ports::free()? })
    }

    fn words(&self) -> Vec<String> {
        let mut words = ["--access-log", "--workload", self.workload].map(str::to_owned).to_vec();
        words.extend(["--labels".to_owned(), self.labels.to_owned()]);
        words.extend(["--outbound-port".to_owned(), self.outbound.to_string()]);
        for port in &self.inbound {
            words.extend(["--app-port".to_owned(), format!("{port}={}", self.app.address().port())]);
        }
        words
    }

    fn with(self, proxy: Running) -> Sidecar {
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let Self { app, inbound, outbound, .. } = self;
        Sidecar { proxy, inbound: inbound.into_iter().map(at).collect(), outbound: at(outbound), app }
    }
}

impl Mesh {
    /// Starts the services, issues certificates and runs the five proxies.
    ///
    /// # Errors
    /// Anything of that fails; the text says what the command said.
    pub fn start() -> Result<Self> {
        let outside = Outside::start()?;
        let backend = Plan::new("my-app/backend", "app=backend", 1)?;
        let frontend = Plan::new("my-app/frontend", "app=frontend", 1)?;
        let ledger = Plan::new("foo/ledger", "app=ledger", 3)?;
        let egress_port = ports::free()?;

        let folder = tempfile::tempdir().context("creating a folder for the mesh")?;
        let resources = folder.path().join("mesh.yaml");
        let plans = [&backend, &frontend, &ledger];
        copy_resources(&resources, &numbers(plans, egress_port, &outside), &outside.authority)?;
        let certificates = folder.path().join("certs");
        issue(&resources, &certificates)?;

        let (clients, strangers) = (Authority::new("clients")?, Authority::new("strangers")?);
        let secrets = folder.path().join("secrets");
        // It is good for names that are not served, too: a client that gets no answer was refused, and did not refuse.
        let names = ["shop", "admin", "unknown", "partner"].map(|name| format!("{name}.example.com"));
        let server = clients.server(&names.each_ref().map(String::as_str))?;
        server.save_as_secret(&secrets.join("shop"), None)?;
        server.save_as_secret(&secrets.join("admin"), Some(&clients))?;

        let given = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let map = |number: u16| ports::free().map(|port| format!("{number}={port}"));
        let ingress = given(&[
            "--gateway",
            "istio=ingressgateway",
            "--map-port",
            &map(80)?,
            "--map-port",
            &map(443)?,
            "--map-port",
            &map(27017)?,
        ]);
        let egress = given(&[
            "--gateway",
            "istio=egressgateway",
            "--gateway-service-account",
            "istio-egressgateway-service-account",
            "--map-port",
            &format!("443={egress_port}"),
        ]);
        let start = |words: Vec<String>| {
            let path = |path: &Path| path.display().to_string();
            let shared = ["--certs", &path(&certificates), "--secrets", &path(&secrets)];
            let words: Vec<String> = words.into_iter().chain(shared.map(str::to_owned)).collect();
            Running::start(&resources, &words)
        };
        let run = |plan: &Plan| start(plan.words());
        // Each loads its module, which takes a second of computing.
        let (ingress, egress, frontend_proxy, backend_proxy, ledger_proxy) = thread::scope(|scope| {
            let ingress = scope.spawn(|| start(ingress));
            let egress = scope.spawn(|| start(egress));
            let (front, back) = (scope.spawn(|| run(&frontend)), scope.spawn(|| run(&backend)));
            let ledger = run(&ledger);
            (joined(ingress), joined(egress), joined(front), joined(back), ledger)
        });
        Ok(Self {
            ingress: ingress?,
            egress: egress?,
            frontend: frontend.with(frontend_proxy?),
            backend: backend.with(backend_proxy?),
            ledger: ledger.with(ledger_proxy?),
            outside,
            admin: clients.server(&["admin"])?,
            stranger: strangers.server(&["admin"])?,
            clients,
            _folder: folder,
        })
    }

    /// A client of the ingress gateway, by TLS, that asks for this name.
    ///
    /// # Errors
    /// The gateway announced no such port, or the name is not one.
    pub fn https(&self, name: &str, visitor: Visitor) -> Result<Client> {
        let identity = match visitor {
            Visitor::Anonymous => None,
            Visitor::Admin => Some(&self.admin),
            Visitor::Stranger => Some(&self.stranger),
        };
        let tls = self.clients.client(Expect::Dns(name.to_owned()), identity)?;
        Ok(Client::with_tls(self.ingress.port(443)?, tls))
    }

    /// The same for the service that ends TLS itself, and has a certificate of another authority.
    ///
    /// # Errors
    /// The gateway announced no such port.
    pub fn through(&self) -> Result<Client> {
        let tls = self.outside.authority.client(Expect::Dns("through.example.com".to_owned()), None)?;
        Ok(Client::with_tls(self.ingress.port(443)?, tls))
    }

    /// The last lines of a proxy that was started.
    pub fn log_tails(&self) -> String {
        let all = [
            ("ingress", &self.ingress),
            ("egress", &self.egress),
            ("frontend", &self.frontend.proxy),
            ("backend", &self.backend.proxy),
            ("ledger", &self.ledger.proxy),
        ];
        all.map(|(name, proxy)| format!("{name}:\n{}\n", proxy.log_tail())).concat()
    }
}

fn joined(thread: thread::ScopedJoinHandle<'_, Result<Running>>) -> Result<Running> {
    thread.join().map_err(|_| Error::new("starting a proxy panicked")).flatten()
}

/// The ports of this run, by those that are written in the files.
fn numbers(plans: [&Plan; 3], egress: u16, outside: &Outside) -> Vec<(u16, String)> {
    let inbound = plans.into_iter().flat_map(|plan| plan.inbound.iter().copied());
    let own = [19101, 19102, 19103, 19104, 19112].into_iter().zip(inbound);
    let at = |upstream: &Upstream| upstream.address().port();
    let [v1, v2] = &outside.customers;
    let others = [
        (19105, egress),
        (19106, at(&outside.through)),
        (19107, at(&outside.github)),
        (MONGO, outside.mongo.first().map(at).unwrap_or_default()),
        (19109, at(&outside.partner)),
        (19110, at(&outside.weather)),
        (19111, at(&outside.impostor)),
        (19113, at(v1)),
        (19114, at(v2)),
    ];
    own.chain(others).map(|(from, to)| (from, to.to_string())).collect()
}

/// Puts all resources into one file, with the ports and the authority of this run.
fn copy_resources(to: &Path, ports: &[(u16, String)], outside: &Authority) -> Result<()> {
    let folder = repository().join("integration/demo/mesh");
    let mut all = Vec::new();
    for file in FILES {
        let path = folder.join(file);
        all.push(fs::read_to_string(&path).context(format_args!("reading `{}`", path.display()))?);
    }
    let text = renumber(&all.join("---\n"), ports)?;
    let text = fill(&text, &[("certs/outside-ca.pem", &outside.certificate().display().to_string())])?;
    fs::write(to, text).context(format_args!("writing `{}`", to.display()))
}

/// Has `mesh-policy certs` issue a certificate for each identity.
fn issue(resources: &Path, to: &Path) -> Result<()> {
    let mut certs = Command::new(command::find()?);
    certs.arg("certs").arg("-f").arg(resources).arg("-o").arg(to);
    let (status, output) = run("mesh-policy certs", &mut certs, PATIENCE)?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::new(format!("`mesh-policy certs` ended with {status}:\n{output}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_mesh_is_used() {
        let folder = fs::read_dir(repository().join("integration/demo/mesh")).unwrap();
        let mut names: Vec<_> =
            folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let mut files = FILES;
        files.sort_unstable();
        assert_eq!(names, files);
    }
}
