//! A gateway compiled as `mesh-policy compile` does it, in front of one echo server, with an access log to read.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
};

use mesh_policy_compiler::{AccessLog, Modules, Options, ProxyChoice, Sources, compile};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    Context, Error, Result,
    client::{Client, Request, Response},
    envoy::{self, Envoy},
    modules::Module,
    upstream::Upstream,
    wait,
};

/// The gateway and what is behind it.
#[derive(Debug)]
pub struct Edge {
    /// The Envoy.
    pub envoy: Envoy,
    /// The echo server.
    pub upstream: Upstream,
    listener: String,
    /// After `envoy`, so that the log goes last.
    folder: TempDir,
}

/// Every host of port 80 goes to the service `echo.test`.
fn resources(upstream: &Upstream, policies: &str) -> String {
    let port = upstream.address().port();
    format!(
        "apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: edge, namespace: istio-system}}
spec:
  selector: {{istio: ingressgateway}}
  servers: [{{port: {{number: 80, name: http, protocol: HTTP}}, hosts: ['*']}}]
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: echo, namespace: istio-system}}
spec:
  hosts: [echo.test]
  ports: [{{number: 80, name: http, protocol: HTTP, targetPort: {port}}}]
  resolution: STATIC
  endpoints: [{{address: 127.0.0.1}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: echo, namespace: istio-system}}
spec:
  hosts: ['*']
  gateways: [edge]
  http: [{{route: [{{destination: {{host: echo.test}}}}]}}]
---
{policies}"
    )
}

/// An AuthorizationPolicy for the gateway.
pub fn policy(name: &str, spec: &str) -> String {
    resource("AuthorizationPolicy", name, spec)
}

/// A resource of the security group, for the gateway.
pub fn resource(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: istio-system}}\nspec: {spec}\n---\n"
    )
}

impl Edge {
    /// Starts it with all decisions in one module and the compiler's defaults.
    ///
    /// # Errors
    /// The resources are refused, or Envoy or the echo server does not start.
    pub fn start(policies: &str) -> Result<Self> {
        Self::start_with(policies, Options::default())
    }

    /// Starts it; what `options` say of addresses and the log is replaced, and so are modules that are not there.
    ///
    /// # Errors
    /// As [`Edge::start`].
    pub fn start_with(policies: &str, options: Options) -> Result<Self> {
        Self::start_edited(policies, options, |_| {})
    }

    /// Starts it with a mesh configuration.
    ///
    /// # Errors
    /// As [`Edge::start`].
    pub fn start_in_mesh(policies: &str, mesh_config: &str, options: Options) -> Result<Self> {
        Self::launch(policies, Some(mesh_config), options, |_| {})
    }

    /// Starts it with a bootstrap that `edit` has changed.
    ///
    /// # Errors
    /// As [`Edge::start`].
    pub fn start_edited(policies: &str, options: Options, edit: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::launch(policies, None, options, edit)
    }

    fn launch(
        policies: &str,
        mesh_config: Option<&str>,
        options: Options,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Self> {
        let upstream = Upstream::start("echo")?;
        let folder = tempfile::tempdir().context("creating a folder for the access log")?;
        let mut sources = Sources::from_text("edge.yaml", &resources(&upstream, policies));
        if let Some(text) = mesh_config {
            sources.add_mesh_config_text("mesh.yaml", text);
        }
        let choice = ProxyChoice::Gateway([("istio".to_owned(), "ingressgateway".to_owned())].into());
        // The default names a module by a path from the root of the repository.
        let modules = match options.modules {
            Modules::Fused(file) if !file.is_file() => Modules::Fused(Module::Policy.path()?),
            modules => modules,
        };
        let options = Options {
            modules,
            listen_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: [(80, 0)].into(),
            admin: None,
            access_log: AccessLog::File(folder.path().join("access.log")),
            ..options
        };
        let mut compiled = compile(&sources, &choice, &options).map_err(|refusal| {
            let findings: Vec<String> = refusal.findings.iter().map(ToString::to_string).collect();
            Error::new(findings.join("\n"))
        })?;
        edit(&mut compiled.bootstrap);
        let listener = compiled.listeners.first().context("a compiled gateway has a listener")?.name.clone();
        // Compiling the module takes long where many Envoys do so at once.
        let options = envoy::Options { ready_within: 4 * wait::PATIENCE, ..envoy::Options::default() };
        let envoy = Envoy::start(&compiled.bootstrap, &options)?;
        Ok(Self { envoy, upstream, listener, folder })
    }

    /// A client for the gateway.
    ///
    /// # Errors
    /// Envoy does not say where it listens.
    pub fn client(&self) -> Result<Client> {
        Ok(Client::new(self.envoy.listener(&self.listener)?))
    }

    /// Sends a request on a connection of its own.
    ///
    /// # Errors
    /// No complete response comes.
    pub fn send(&self, request: &Request) -> Result<Response> {
        self.client()?.send(request)
    }

    /// The access log, once it has this many lines.
    ///
    /// # Errors
    /// It does not get that long, or a line is not JSON.
    pub fn access_log(&self, lines: usize) -> Result<Vec<Value>> {
        let file = self.folder.path().join("access.log");
        let text = wait::until(wait::PATIENCE, "the access log", || {
            // Envoy writes every ten seconds, or when it opens the file anew.
            let _ = self.envoy.admin().post("/reopen_logs");
            fs::read_to_string(&file).ok().filter(|text| text.lines().count() >= lines)
        })?;
        text.lines()
            .map(|line| serde_json::from_str(line).context(format_args!("the line `{line}`")))
            .collect()
    }
}
