//! The gateway on stage: echo servers, and `mesh-policy run` in front of them.

use std::{
    fs,
    net::SocketAddr,
    process::{Command, ExitStatus},
    time::Duration,
};

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::{command, template::fill};
use crate::{
    Context, Error, Result,
    client::{Client, Request, Response},
    envoy::{self, Admin},
    modules::repository,
    ports,
    process::Process,
    upstream::Upstream,
};

/// What `mesh-policy run` says last when it is ready.
const READY: &str = "Ctrl-C stops it";
const LOG_LINES: usize = 30;
const STOPS_WITHIN: Duration = Duration::from_secs(15);

/// The running gateway. Dropping it stops everything.
pub struct Gateway {
    process: Process,
    address: SocketAddr,
    /// Envoy's admin interface.
    pub admin: Admin,
    /// The instances of customers: v1, v1, v2.
    pub customers: [Upstream; 3],
    /// The well instance of the services that are not.
    pub good: Upstream,
    /// The other one.
    pub failing: Upstream,
    /// Bound, but not listening: whoever connects is refused.
    _nobody: TcpSocket,
    _folder: TempDir,
}

impl Gateway {
    /// Starts the echo servers, puts their ports into the resources, and runs the gateway.
    ///
    /// # Errors
    /// Anything of that fails; the text says what `mesh-policy run` said.
    pub fn start() -> Result<Self> {
        let customer = |name: &str, version: &str| {
            Upstream::builder(name)
                .version(version)
                .response_header("x-api-key", "secret")
                .response_header("cache-control", "public")
                .response_header("x-served-by", name)
                .start()
        };
        let customers = [
            customer("customers-v1-a", "v1")?,
            customer("customers-v1-b", "v1")?,
            customer("customers-v2", "v2")?,
        ];
        let good = Upstream::start("good")?;
        let failing = Upstream::start("failing")?;
        let nobody = TcpSocket::new_v4().context("a socket that refuses connections")?;
        nobody.bind(SocketAddr::from(([127, 0, 0, 1], 0))).context("binding a loopback port")?;
        let refused = nobody.local_addr().context("asking for the bound port")?;

        let folder = tempfile::tempdir().context("creating a folder for the resources")?;
        let resources = folder.path().join("gateway");
        let [v1_a, v1_b, v2] = &customers;
        let instances =
            [v1_a, v1_b, v2, &good, &failing].map(|upstream| upstream.address().port().to_string());
        copy_resources(&resources, &instances, refused.port())?;

        let mut run = Command::new(command::find()?);
        run.arg("run")
            .arg("-f")
            .arg(&resources)
            .args(["--gateway", "istio=ingressgateway", "--listen-address", "127.0.0.1"])
            .args(["--map-port", &format!("80={}", ports::free()?)])
            .args(["--admin-port", "0", "--concurrency", "2"])
            .arg("--envoy")
            .arg(envoy::find()?)
            .arg("--modules")
            .arg(repository().join("dist"));
        let mut process = Process::start("mesh-policy run", &mut run, &folder.path().join("run.log"))?;
        process.wait_for_log(READY)?;
        let log = process.log();
        let address = announced(&log, "of the Gateway")?;
        let admin = Admin::new(announced(&log, "admin interface")?);
        Ok(Self { process, address, admin, customers, good, failing, _nobody: nobody, _folder: folder })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client of one of its hosts.
    pub fn host(&self, name: &str) -> HostClient {
        HostClient { client: Client::new(self.address), host: name.to_owned() }
    }

    /// How many requests below this path reached customers: v1 and v2.
    pub fn customers_below(&self, prefix: &str) -> (usize, usize) {
        let [v1_a, v1_b, v2] = &self.customers;
        (below(v1_a, prefix) + below(v1_b, prefix), below(v2, prefix))
    }

    /// How `mesh-policy run` ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.ended()
    }

    /// The last lines that `mesh-policy run` and its Envoy printed.
    pub fn log_tail(&self) -> String {
        self.process.log_tail(LOG_LINES)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It stops its Envoy first and needs a little longer than a process that only has to end itself. Both fail only
        // where it has ended, and what is left then is done when the process is dropped.
        _ = self.process.signal(Signal::TERM).and_then(|()| self.process.wait(STOPS_WITHIN));
    }
}

/// How many requests below this path reached one instance.
pub fn below(upstream: &Upstream, prefix: &str) -> usize {
    upstream.requests().iter().filter(|received| received.path().starts_with(prefix.as_bytes())).count()
}

/// A client of one host.
pub struct HostClient {
    client: Client,
    host: String,
}

impl HostClient {
    /// Sends a request with this host.
    ///
    /// # Errors
    /// No response.
    pub fn send(&self, request: &Request) -> Result<Response> {
        self.client.send(&request.clone().host(&self.host))
    }

    /// Sends many requests over some connections at a time.
    ///
    /// # Errors
    /// The first request without a response.
    pub fn send_many(
        &self,
        count: usize,
        connections: usize,
        make: impl Fn(usize) -> Request + Sync,
    ) -> Result<Vec<Response>> {
        self.client.send_many(count, connections, |index| make(index).host(&self.host))
    }
}

/// Copies the resources with the ports of this run.
fn copy_resources(to: &std::path::Path, ports: &[String; 5], refused: u16) -> Result<()> {
    let from = repository().join("integration/demo/gateway");
    fs::create_dir(to).context(format_args!("creating `{}`", to.display()))?;
    for file in ["gateway.yaml", "routing.yaml", "resiliency.yaml", "services.yaml"] {
        let path = from.join(file);
        let mut text = fs::read_to_string(&path).context(format_args!("reading `{}`", path.display()))?;
        if file == "services.yaml" {
            let [a, b, c, good, failing] = ports.each_ref().map(String::as_str);
            let refused = refused.to_string();
            // The free ports are above 19006 or below 19001 with every kernel's default range, but not with every setting.
            let marked = fill(
                &text,
                &[
                    ("19001", "@1"),
                    ("19002", "@2"),
                    ("19003", "@3"),
                    ("19004", "@4"),
                    ("19005", "@5"),
                    ("19006", "@6"),
                ],
            )?;
            text = fill(
                &marked,
                &[("@1", a), ("@2", b), ("@3", c), ("@4", good), ("@5", failing), ("@6", &refused)],
            )?;
        }
        let copy = to.join(file);
        fs::write(&copy, text).context(format_args!("writing `{}`", copy.display()))?;
    }
    Ok(())
}

/// The address in the line of `mesh-policy run` that says this.
fn announced(log: &str, what: &str) -> Result<SocketAddr> {
    let line = log.lines().find(|line| line.contains("http://") && line.contains(what));
    let address = line.and_then(|line| {
        let rest = line.split_once("http://")?.1;
        rest.split('/').next()?.parse().ok()
    });
    address.ok_or_else(|| Error::new(format!("`mesh-policy run` announced no address {what}:\n{log}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_read_from_what_run_prints() {
        let log = "ready: Envoy 1.40.0\n  http://127.0.0.1:1234/  port 80 of the Gateway, for a.com\n  \
                   http://127.0.0.1:5678/  Envoy's admin interface\n";
        assert_eq!(announced(log, "of the Gateway").unwrap(), "127.0.0.1:1234".parse().unwrap());
        assert_eq!(announced(log, "admin interface").unwrap(), "127.0.0.1:5678".parse().unwrap());
        assert!(announced("", "of the Gateway").is_err());
    }

    #[test]
    fn every_resource_of_the_demo_is_copied_with_the_ports_of_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("gateway");
        copy_resources(&to, &["1", "2", "3", "4", "5"].map(str::to_owned), 6).unwrap();
        let count = |folder: &std::path::Path| fs::read_dir(folder).unwrap().count();
        assert_eq!(count(&to), count(&repository().join("integration/demo/gateway")));
        let services = fs::read_to_string(to.join("services.yaml")).unwrap();
        assert!(services.contains("{http: 6}") && !services.contains("{http: 19"), "{services}");
    }
}
