//! The gateway on stage: echo servers, and `mesh-policy run` in front of them. Or one that runs elsewhere.

use std::{fs, net::SocketAddr};

use tempfile::TempDir;
use tokio::net::TcpSocket;

use super::{instance::Instance, template::renumber};
use crate::{
    Context, Result,
    client::{Client, Request, Response},
    envoy::Admin,
    modules::repository,
    ports,
    running::Running,
    upstream::Upstream,
};

/// The running gateway, and what is behind it.
pub struct Gateway {
    address: SocketAddr,
    /// Envoy's admin interface, where it can be reached.
    pub admin: Option<Admin>,
    /// The instances of customers: v1, v1, v2.
    pub customers: [Instance; 3],
    /// The well instance of the services that are not.
    pub good: Instance,
    /// The other one.
    pub failing: Instance,
}

/// What the gateway needs of this process. Dropping it stops everything.
pub struct Stage {
    /// `mesh-policy run`.
    pub proxy: Running,
    /// Bound, but not listening: whoever connects is refused.
    _nobody: TcpSocket,
    _folder: TempDir,
}

impl Gateway {
    /// Starts the echo servers, puts their ports into the resources, and runs the gateway.
    ///
    /// # Errors
    /// Anything of that fails; the text says what `mesh-policy run` said.
    pub fn start() -> Result<(Self, Stage)> {
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

        let map = format!("80={}", ports::free()?);
        let words = ["--gateway", "istio=ingressgateway", "--map-port", &map, "--concurrency", "2"];
        let proxy = Running::start(&resources, &words)?;
        let gateway = Self {
            address: proxy.port(80)?,
            admin: Some(proxy.admin()?),
            customers: customers.map(Instance::Here),
            good: Instance::Here(good),
            failing: Instance::Here(failing),
        };
        Ok((gateway, Stage { proxy, _nobody: nobody, _folder: folder }))
    }

    /// One that runs elsewhere; its admin interface cannot be reached.
    pub fn elsewhere(
        address: SocketAddr,
        customers: [Instance; 3],
        good: Instance,
        failing: Instance,
    ) -> Self {
        Self { address, admin: None, customers, good, failing }
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
    ///
    /// # Errors
    /// An instance does not say.
    pub fn customers_below(&self, path: &str) -> Result<(usize, usize)> {
        let [v1_a, v1_b, v2] = &self.customers;
        Ok((v1_a.count_below(path)? + v1_b.count_below(path)?, v2.count_below(path)?))
    }
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
    for file in ["gateway.yaml", "routing.yaml", "resiliency.yaml", "destinations.yaml", "services.yaml"] {
        let path = from.join(file);
        let mut text = fs::read_to_string(&path).context(format_args!("reading `{}`", path.display()))?;
        if file == "services.yaml" {
            let all = ports.iter().cloned().chain([refused.to_string()]);
            text = renumber(&text, &(19001..).zip(all).collect::<Vec<_>>())?;
        }
        let copy = to.join(file);
        fs::write(&copy, text).context(format_args!("writing `{}`", copy.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
