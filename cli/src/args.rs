//! The command line: what can be said, and what `--help` teaches.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use mesh_policy_compiler::SdsAddress;

use crate::choice::{AppPort, Labels, Lifetime, Locality, PortMapping, RequestHeader, WorkloadName};

const AFTER_HELP: &str = "\
Examples:
  mesh-policy check -f policies/
  mesh-policy explain -f policies/ --gateway istio=ingressgateway http://customers.example.com/
  mesh-policy run -f policies/ --gateway istio=ingressgateway --map-port 80=18080

Exit codes of all commands: 0 all is well, 1 the resources were refused, 2 the command line is
wrong. `mesh-policy COMMAND --help` has examples for each command.";

/// Istio's traffic and security resources, checked, explained and enforced by an Envoy without a control plane
#[derive(Debug, Parser)]
#[command(
    name = "mesh-policy",
    version,
    max_term_width = 100,
    after_help = AFTER_HELP,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Report every mistake in Istio resources
    ///
    /// Reads all resources and reports everything that is wrong in one pass: broken YAML, unknown and misplaced fields, values that no proxy
    /// accepts, references to what does not exist. Each finding names its file, line and column.
    #[command(after_help = CHECK_HELP, override_usage = "mesh-policy check -f <PATH>... [OPTIONS]")]
    Check(Check),
    /// Write the Envoy configuration of one proxy
    ///
    /// Compiles the resources for one proxy into a complete Envoy configuration and writes it into a folder. What cannot be enforced is
    /// refused; nothing is left out silently.
    #[command(after_help = COMPILE_HELP, override_usage = "mesh-policy compile -f <PATH>... <--gateway <K=V,..>|--workload <NS/NAME>> -o <DIR> [OPTIONS]")]
    Compile(Compile),
    /// Print the plugin configuration of the Wasm filters
    ///
    /// Prints the JSON that the filters take as plugin configuration for one proxy: to load them through Istio's WasmPlugin, or in an Envoy
    /// configuration of your own.
    #[command(after_help = PLUGIN_CONFIG_HELP, override_usage = "mesh-policy plugin-config -f <PATH>... <--gateway <K=V,..>|--workload <NS/NAME>> [OPTIONS]")]
    PluginConfig(PluginConfig),
    /// Say what would happen to a request, and why
    ///
    /// Evaluates one request as the filters do, without a proxy, and prints the reasons: which virtual host and which rule apply, why the
    /// rules before it do not, where the request is sent and how it is changed, and the authorization verdict with the policy that decides.
    #[command(after_help = EXPLAIN_HELP, override_usage = "mesh-policy explain -f <PATH>... <--gateway <K=V,..>|--workload <NS/NAME>> [OPTIONS] <URL>")]
    Explain(Explain),
    /// Run an Envoy gateway or sidecar that obeys the resources
    ///
    /// Compiles the resources, lets Envoy validate the result, starts Envoy in the foreground, prints the URLs it listens on and stops it
    /// on Ctrl-C or SIGTERM. An edit of the files, certificates among them, comes into force when it is saved, without losing a request;
    /// one with mistakes is reported, and what was in force before stays.
    #[command(after_help = RUN_HELP, override_usage = "mesh-policy run -f <PATH>... <--gateway <K=V,..>|--workload <NS/NAME>> [OPTIONS]")]
    Run(Run),
    /// Issue certificates for the workloads of the resources
    ///
    /// Makes a certificate authority for development, and for each service account of the resources a short-lived certificate with its SPIFFE
    /// identity, as Istio's own CA would. `compile` and `run` take the folder by `--certs`: the proxies then speak mutual TLS, and
    /// `principals` of an AuthorizationPolicy are proved.
    #[command(after_help = CERTS_HELP, override_usage = "mesh-policy certs -f <PATH>... -o <DIR> [OPTIONS]")]
    Certs(Certs),
    /// Print the manifest by which Istio loads a filter
    ///
    /// Prints a WasmPlugin (or TrafficExtension) for one filter and one proxy, with the resources that it enforces as its configuration.
    #[command(name = "wasmplugin", after_help = WASMPLUGIN_HELP, override_usage = "mesh-policy wasmplugin -f <PATH>... <--gateway <K=V,..>|--workload <NS/NAME>> --module <NAME> --url <URL> [OPTIONS]")]
    WasmPlugin(WasmPlugin),
    /// Pack a Wasm module as an OCI image, without Docker
    ///
    /// Writes an OCI image layout with one layer, `plugin.wasm`, as Istio loads it, and prints its digest. The same module gives the
    /// same digest.
    #[command(after_help = IMAGE_HELP)]
    Image(Image),
    /// Become another program that ends with its parent
    #[command(hide = true)]
    Tether(Tether),
}

const CHECK_HELP: &str = "\
Examples:
  mesh-policy check -f policies/
  mesh-policy check -f gateway.yaml routes.yaml --deny-warnings
  kubectl get virtualservices,destinationrules -A -o json | mesh-policy check -f -

Exit codes: 0 no errors (there may be warnings), 1 errors, or warnings with --deny-warnings, 2 the
command line is wrong.";

const COMPILE_HELP: &str = "\
Examples:
  mesh-policy compile -f policies/ --gateway istio=ingressgateway -o out/
  mesh-policy compile -f policies/ --workload my-app/backend --certs certs/ \\
      --app-port 8080=18080 -o out/
  envoy --config-path out/envoy.yaml

Exit codes: 0 written, 1 the resources were refused and nothing was written, 2 the command line is
wrong.";

const CERTS_HELP: &str = "\
Examples:
  mesh-policy certs -f policies/ -o certs/
  mesh-policy certs -f policies/ -o certs/ --ttl 1h --identity my-app/sleep
  mesh-policy run -f policies/ --gateway istio=ingressgateway --certs certs/

The folder:
  ca.crt                   the CA's certificate: whom the mesh believes
  ca.key                   its key; whoever has it can be anybody
  NAMESPACE/ACCOUNT/tls.crt, tls.key
                           spiffe://TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT
Once more, it keeps the CA and issues new certificates, which a running proxy takes. `mesh-policy run`
does so by itself for its own before it expires, where it finds ca.key. For development: a real mesh takes them from
SPIRE (--sds) or another CA that can name its workloads.

Exit codes: 0 issued, 1 the resources were refused, 2 the command line is wrong or the folder cannot
be written.";

const PLUGIN_CONFIG_HELP: &str = "\
Examples:
  mesh-policy plugin-config -f policies/ --workload my-app/backend --labels app=backend
  mesh-policy plugin-config -f policies/ --gateway istio=ingressgateway > plugin-config.json

Exit codes: 0 printed, 1 the resources were refused, 2 the command line is wrong.";

const EXPLAIN_HELP: &str = "\
Examples:
  mesh-policy explain -f policies/ --gateway istio=ingressgateway http://customers.example.com/
  mesh-policy explain -f policies/ --gateway istio=ingressgateway \\
      -H 'user-agent: Firefox' http://customers.example.com/
  mesh-policy explain -f policies/ --workload my-app/backend --labels app=backend \\
      --from cluster.local/ns/my-app/sa/frontend-sa -X POST http://backend/api/v1/users

Exit codes: 0 explained, whatever the answer is, 1 the resources were refused, 2 the command line is
wrong.";

const RUN_HELP: &str = "\
Examples:
  mesh-policy run -f policies/ --gateway istio=ingressgateway
  mesh-policy run -f policies/ --gateway istio=ingressgateway --map-port 80=18080

Envoy is looked for in this order: --envoy, $ENVOY, `.tools/bin/envoy`, PATH.
The modules: --modules, $MESH_POLICY_MODULES, `dist/`.
`make wasm` in the repository provides both.

Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 the resources were refused, 2 the command line is
wrong, 3 Envoy or the modules are missing, Envoy does not start, or a port is taken; Envoy's own
when it ends by itself.";

const WASMPLUGIN_HELP: &str = "\
Examples:
  mesh-policy wasmplugin -f policies/ --workload my-app/backend --labels app=backend \\
      --module authz --url oci://registry.example.com/mesh-authz:1.0 | kubectl apply -f -
  mesh-policy wasmplugin -f policies/ --gateway istio=ingressgateway --module policy \\
      --url https://files.example.com/mesh_policy.wasm --sha256 DIGEST

Exit codes: 0 printed, 1 the resources were refused, 2 the command line is wrong.";

const IMAGE_HELP: &str = "\
Examples:
  mesh-policy image dist/mesh_authz.wasm -o image/
  skopeo copy oci:image/:latest docker://registry.example.com/mesh-authz:1.0

Exit codes: 0 written, 2 the module cannot be read or the folder not written to.";

/// Where the resources come from.
#[derive(Debug, Args)]
pub struct Input {
    /// Files and folders with Istio resources (YAML or JSON); `-` is standard input
    #[arg(short = 'f', long = "file", value_name = "PATH", num_args = 1..)]
    pub files: Vec<PathBuf>,
    /// The mesh configuration: trust domain, path normalization, external authorizers. A MeshConfig, or the ConfigMap or
    /// IstioOperator with it
    #[arg(long, value_name = "FILE")]
    pub mesh_config: Option<PathBuf>,
}

/// What is done to paths.
#[derive(Debug, Clone, Copy, Args)]
pub struct Paths {
    /// What is done to paths before any rule sees them [default: as the mesh configuration says, else BASE]
    #[arg(long, value_enum, value_name = "MODE", ignore_case = true)]
    pub path_normalization: Option<PathNormalization>,
}

/// `--path-normalization`, in Istio's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PathNormalization {
    /// Nothing
    #[value(name = "NONE")]
    None,
    /// Dot segments are resolved, backslashes become slashes (RFC 3986)
    #[value(name = "BASE")]
    Base,
    /// And repeated slashes become one
    #[value(name = "MERGE_SLASHES")]
    MergeSlashes,
    /// After escaped slashes were decoded
    #[value(name = "DECODE_AND_MERGE_SLASHES")]
    DecodeAndMergeSlashes,
}

/// Which side of Envoy's ext_authz filter a filter stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExtAuthz {
    /// In front of it: judges CUSTOM policies, and marks the requests that are asked about
    Before,
    /// Behind it: judges everything else
    After,
}

/// The proxy that enforces.
#[derive(Debug, Args)]
pub struct Proxy {
    /// The gateway proxy with these labels, as the `selector` of a Gateway names them: `istio=ingressgateway`
    #[arg(long, value_name = "K=V,..", conflicts_with = "workload")]
    pub gateway: Option<Labels>,
    /// The workload whose sidecar it is: `my-app/backend`
    #[arg(long, value_name = "NS/NAME")]
    pub workload: Option<WorkloadName>,
    /// The namespace that the gateway proxy runs in, whose policies hold for it [default: istio-system]
    #[arg(long, value_name = "NS", requires = "gateway")]
    pub gateway_namespace: Option<String>,
}

/// What else Istio takes from the pod.
#[derive(Debug, Args)]
pub struct Identity {
    /// The proxy's labels, which selectors of policies are compared with
    #[arg(long, value_name = "K=V,..")]
    pub labels: Option<Labels>,
    /// The proxy's service account
    #[arg(long, value_name = "NAME")]
    pub service_account: Option<String>,
    /// The trust domain [default: cluster.local]
    #[arg(long, value_name = "DOMAIN")]
    pub trust_domain: Option<String>,
    /// Former and foreign names of the trust domain
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub trust_domain_aliases: Vec<String>,
}

/// `-o` of the commands that answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people; may change between versions
    Text,
    /// For programs
    Json,
}

/// `--engine`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Engine {
    /// The Wasm filters
    Wasm,
    /// Envoy's own routes and filters, without any module
    Native,
}

/// `check`.
#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub paths: Paths,
    /// Exit with 1 when there are only warnings, too
    #[arg(long)]
    pub deny_warnings: bool,
    /// How to print the findings
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: Output,
}

/// `compile`.
#[derive(Debug, Args)]
pub struct Compile {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub proxy: Proxy,
    #[command(flatten)]
    pub paths: Paths,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub listening: Listening,
    #[command(flatten)]
    pub credentials: Credentials,
    #[command(flatten)]
    pub sidecar: Sidecar,
    #[command(flatten)]
    pub identity: Identity,
    /// The port of Envoy's admin interface, on loopback [default: 15000]
    #[arg(long, value_name = "PORT", default_value_t = 15000, hide_default_value = true)]
    pub admin_port: u16,
    /// Who decides over requests
    #[arg(long, value_enum, default_value = "wasm", value_name = "ENGINE")]
    pub engine: Engine,
    /// The folder with the Wasm modules, as Envoy is to find it [default: $MESH_POLICY_MODULES, then `dist/`]
    #[arg(long, value_name = "DIR")]
    pub modules: Option<PathBuf>,
    /// Tell clients that are denied why, in the header `x-mesh-policy-denied-by` of the answer; wasm engine only
    #[arg(long)]
    pub explain_denials: bool,
    /// Write the configuration as files that a running Envoy watches (filesystem xDS)
    #[arg(long)]
    pub xds: bool,
    /// The folder to write to; it is created when missing
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
}

/// Where a compiled gateway listens.
#[derive(Debug, Args)]
pub struct Listening {
    /// Listen on another port than the Gateway says: `80=18080`
    #[arg(long = "map-port", value_name = "PORT=LOCAL")]
    pub port_mappings: Vec<PortMapping>,
    /// The address to listen on [default: the server's `bind` in the Gateway, else 0.0.0.0]
    #[arg(long, value_name = "IP")]
    pub listen_address: Option<IpAddr>,
}

/// Where a proxy is.
#[derive(Debug, Args)]
pub struct Place {
    /// Where the proxy is, for balancing by locality [default: that of the workload's WorkloadEntry]
    #[arg(long, value_name = "REGION/ZONE/SUBZONE")]
    pub locality: Option<Locality>,
}

/// Where a proxy finds certificates.
#[derive(Debug, Args)]
pub struct Credentials {
    /// The folder of the secrets that `credentialName` names: `DIR/NAME/tls.crt`, `tls.key`, `ca.crt`
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// The folder that `mesh-policy certs` filled: the proxy then speaks mutual TLS with the mesh
    #[arg(long, value_name = "DIR")]
    pub certs: Option<PathBuf>,
    /// The socket (or an address on loopback) of a server of certificates, such as SPIRE's agent, instead of that folder
    #[arg(long, value_name = "PATH|ADDRESS", conflicts_with = "certs")]
    pub sds: Option<SdsAddress>,
    /// The roots (PEM) that servers of a `jwksUri` with https are verified with [default: those of this machine]
    #[arg(long, value_name = "FILE")]
    pub jwks_ca: Option<PathBuf>,
    /// The gateway's service account, whose certificate it shows [default: istio-ingressgateway-service-account]
    #[arg(long, value_name = "NAME", requires = "gateway")]
    pub gateway_service_account: Option<String>,
}

/// The ports of a sidecar.
#[derive(Debug, Args)]
pub struct Sidecar {
    /// Where the sidecar's application listens on 127.0.0.1, by the port of its workload: `8080=18080`
    #[arg(long = "app-port", value_name = "PORT=LOCAL", requires = "workload")]
    pub app_ports: Vec<AppPort>,
    /// Where the sidecar takes the application's own requests, on 127.0.0.1 [default: 15001]
    #[arg(long, value_name = "PORT", requires = "workload")]
    pub outbound_port: Option<u16>,
}

/// `certs`.
#[derive(Debug, Args)]
pub struct Certs {
    #[command(flatten)]
    pub input: Input,
    /// The folder to write to; it is created when missing, and a CA that is there stays
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// How long the certificates of workloads hold: `24h`, `30m`, `7d`
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub ttl: Lifetime,
    /// The trust domain, the first part of each identity [default: cluster.local]
    #[arg(long, value_name = "DOMAIN")]
    pub trust_domain: Option<String>,
    /// The namespace of the gateway proxy [default: istio-system]
    #[arg(long, value_name = "NS")]
    pub gateway_namespace: Option<String>,
    /// The service account of the gateway proxy [default: istio-ingressgateway-service-account]
    #[arg(long, value_name = "NAME")]
    pub gateway_service_account: Option<String>,
    /// An identity that no resource names: `my-app/sleep`
    #[arg(long = "identity", value_name = "NS/ACCOUNT")]
    pub identities: Vec<WorkloadName>,
}

/// `plugin-config`.
#[derive(Debug, Args)]
pub struct PluginConfig {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub proxy: Proxy,
    #[command(flatten)]
    pub identity: Identity,
    /// Where CUSTOM policies apply: which side of Envoy's ext_authz filter the filter stands on
    #[arg(long, value_enum, value_name = "SIDE")]
    pub ext_authz: Option<ExtAuthz>,
    /// Tell clients that are denied why, in the header `x-mesh-policy-denied-by` of the answer
    #[arg(long)]
    pub explain_denials: bool,
    /// `text` is indented for reading, `json` is one line [default: text on a terminal, else json]
    #[arg(short, long, value_enum, value_name = "FORMAT", hide_possible_values = true)]
    pub output: Option<Output>,
}

/// `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub proxy: Proxy,
    #[command(flatten)]
    pub paths: Paths,
    #[command(flatten)]
    pub identity: Identity,
    #[command(flatten)]
    pub place: Place,
    /// The request's URL
    pub url: Option<String>,
    /// The request's method
    #[arg(short = 'X', long, value_name = "METHOD", default_value = "GET")]
    pub method: String,
    /// A header of the request; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<RequestHeader>,
    /// The client's identity, as mutual TLS proves it: `cluster.local/ns/my-app/sa/frontend`
    #[arg(long, value_name = "PRINCIPAL")]
    pub from: Option<String>,
    /// The client's address
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    pub source_ip: IpAddr,
    /// The port that the request arrives at, as the Gateway or service numbers it [default: the URL's]
    #[arg(long, value_name = "PORT")]
    pub port: Option<u16>,
    /// Where the random choices begin: weights and percentages fall the same way for the same number
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub output: Output,
}

/// `run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub proxy: Proxy,
    #[command(flatten)]
    pub paths: Paths,
    #[command(flatten)]
    pub place: Place,
    #[command(flatten)]
    pub listening: Listening,
    #[command(flatten)]
    pub credentials: Credentials,
    #[command(flatten)]
    pub sidecar: Sidecar,
    #[command(flatten)]
    pub identity: Identity,
    /// The port of Envoy's admin interface, on loopback; 0 is any free one, which is printed
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    pub admin_port: u16,
    /// The Envoy to run
    #[arg(long, value_name = "PATH")]
    pub envoy: Option<PathBuf>,
    /// Who decides over requests
    #[arg(long, value_enum, default_value = "wasm", value_name = "ENGINE")]
    pub engine: Engine,
    /// The folder with the Wasm modules
    #[arg(long, value_name = "DIR")]
    pub modules: Option<PathBuf>,
    /// What Envoy logs, on standard error
    #[arg(long, value_name = "LEVEL", default_value = "warning", value_parser = LOG_LEVELS)]
    pub log_level: String,
    /// Tell clients that are denied why, in the header `x-mesh-policy-denied-by` of the answer; wasm engine only
    #[arg(long)]
    pub explain_denials: bool,
    /// Print a line of JSON for each request
    #[arg(long)]
    pub access_log: bool,
    /// How many worker threads Envoy starts [default: one per processor]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub concurrency: Option<u32>,
}

/// A filter, by its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Filter {
    /// AuthorizationPolicy
    Authz,
    /// Header operations of VirtualServices
    Headers,
    /// Delays and aborts
    Fault,
    /// Where requests go
    Router,
    /// All of them in one, for gateways
    Policy,
}

/// The kind of a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ManifestKind {
    /// Any Istio since 1.12
    #[value(name = "wasmplugin")]
    WasmPlugin,
    /// Its successor, since Istio 1.30
    #[value(name = "trafficextension")]
    TrafficExtension,
}

/// `wasmplugin`.
#[derive(Debug, Args)]
pub struct WasmPlugin {
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub proxy: Proxy,
    #[command(flatten)]
    pub identity: Identity,
    /// The filter
    #[arg(long, value_enum, value_name = "NAME")]
    pub module: Filter,
    /// Where Istio finds the module: an image (`oci://`), or the module itself (`https://`, `http://`, `file://`)
    #[arg(long, value_name = "URL")]
    pub url: String,
    /// The digest of the image, or of the module itself, that must be found there
    #[arg(long, value_name = "DIGEST")]
    pub sha256: Option<String>,
    /// The secret with the registry's credentials
    #[arg(long, value_name = "NAME")]
    pub pull_secret: Option<String>,
    /// The name of the manifest [default: the proxy's and the filter's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The kind of the manifest
    #[arg(long, value_enum, default_value = "wasmplugin", value_name = "KIND")]
    pub kind: ManifestKind,
}

/// `image`.
#[derive(Debug, Args)]
pub struct Image {
    /// The module, such as `dist/mesh_authz.wasm`
    #[arg(value_name = "MODULE")]
    pub module: PathBuf,
    /// The folder to write to; it is created when missing
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// The name of the image in the layout
    #[arg(long, value_name = "TAG", default_value = "latest")]
    pub tag: String,
}

/// See [`crate::run::tether`].
#[derive(Debug, Args)]
pub struct Tether {
    /// The process id of the parent.
    pub parent: u32,
    /// The program and its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub program: Vec<OsString>,
}

const LOG_LEVELS: [&str; 7] = ["trace", "debug", "info", "warning", "error", "critical", "off"];
