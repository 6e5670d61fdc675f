//! Reading `testdata/**/*.yaml`.
//!
//! Each document of a file is a group: `workload`, `resources`, and `cases` over them. To the resources of a group those of
//! `testdata/common.yaml` are added: a Gateway `default/edge` for every host on port 80, and a few services.

use mesh_policy_istio::decode::wire;
use mesh_policy_istio::decode::{Context, Decode, DecodeField};
use mesh_policy_istio::mesh_config::MeshConfig;
use mesh_policy_istio::node::{Member, Node, Value};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{self, Resource};
use mesh_policy_istio::workload::Workload;
use mesh_policy_istio::yaml;

mod escape;
pub use escape::HeaderLine;

wire! {
    /// Cases over the same resources.
    pub struct Group {
        /// What its cases are about.
        "about" => about: Option<String>,
        /// The proxy that enforces; the gateway `default/edge` on port 80 when absent.
        "workload" => workload: Option<Workload>,
        /// The mesh configuration, whose external authorizers all lead to one server: it answers with the status that the header
        /// `x-echo-status` of the check asks for, else with 200. Only for workloads.
        "meshConfig" => mesh_config: Option<MeshConfig>,
        /// The resources, beside the common ones.
        "resources" => resources: Resources,
        /// Requests and what must come of them.
        "cases" => cases: Vec<Case>,
        /// Resources that must be refused.
        "refused" => refused: Vec<Refusal>,
        /// Runners that leave all its cases out, and why.
        "skip" => skip: Option<Skip>,
    }
}

wire! {
    /// A request and what must come of it.
    pub struct Case {
        /// A sentence, unique in the file.
        "name" => name: Option<String>,
        /// What is sent.
        "request" => request: Request,
        /// What must come of it.
        "expect" => expect: Expect,
        /// Runners that leave the case out, and why.
        "skip" => skip: Option<Skip>,
    }
}

wire! {
    /// What is sent.
    pub struct Request {
        /// `GET` when absent.
        "method" => method: Option<String>,
        /// `http` when absent; only the core's runner can choose another.
        "scheme" => scheme: Option<String>,
        /// The authority; `any.example.com` when absent.
        "authority" => authority: Option<String>,
        /// Path and query; `/` when absent.
        "path" => path: Option<String>,
        /// Header lines in order.
        "headers" => headers: Vec<HeaderLine>,
        /// The claims of a token, which every run through Envoy signs and verifies; no token when absent.
        "token" => token: Option<Unchecked>,
        /// The URI SAN of the client's certificate, several separated by commas; plain text when absent.
        "from" => from: Option<String>,
        /// The server name that the client asks for in the TLS handshake; only with `from`.
        "sni" => sni: Option<String>,
        /// The address that the client sends from; `127.0.0.1` when absent.
        "sourceIp" => source_ip: Option<String>,
        /// The client's address as a proxy in front tells it; `sourceIp` when absent.
        "remoteIp" => remote_ip: Option<String>,
        /// The address that the client connected to; `127.0.0.1` when absent.
        "destinationIp" => destination_ip: Option<String>,
        /// The port that the client connected to; the core's runner takes 80 when absent.
        "destinationPort" => destination_port: Option<u32>,
        /// Header lines of the upstream's response.
        "responseHeaders" => response_headers: Vec<HeaderLine>,
    }
}

wire! {
    /// What must come of a request. A field that is absent is not compared.
    pub struct Expect {
        /// Whether authorization lets it pass.
        "allowed" => allowed: Option<bool>,
        /// The external authorizer that was asked; empty for nobody.
        "asks" => asks: Option<String>,
        /// The rule that decided, `ns[..]-policy[..]-rule[n]`.
        "policy" => policy: Option<String>,
        /// The name of the route; empty when there is none.
        "route" => route: Option<String>,
        /// The status that the client gets; 200 comes from the upstream.
        "status" => status: Option<u32>,
        /// The cluster that got the request.
        "cluster" => cluster: Option<String>,
        /// The clusters that got copies.
        "mirrors" => mirrors: Option<Vec<String>>,
        /// Path and query that the upstream got.
        "path" => path: Option<String>,
        /// The authority that the upstream got.
        "authority" => authority: Option<String>,
        /// Header lines that the upstream got; for each name that is listed these and no others, in this order.
        "upstreamHeaders" => upstream_headers: Vec<HeaderLine>,
        /// Headers that the upstream did not get.
        "upstreamWithout" => upstream_without: Vec<String>,
        /// Header lines that the client got.
        "responseHeaders" => response_headers: Vec<HeaderLine>,
        /// Headers that the client did not get.
        "responseWithout" => response_without: Vec<String>,
        /// The body that the client got.
        "body" => body: Option<String>,
    }
}

wire! {
    /// Runners that leave a case out, each with the reason in words.
    pub struct Skip {
        /// The run over the core alone.
        "core" => core: Option<String>,
        /// All runs through Envoy.
        "envoy" => envoy: Option<String>,
        /// The run through Envoy's own routes and filters.
        "native" => native: Option<String>,
    }
}

wire! {
    /// Resources that must be refused, and with which words.
    pub struct Refusal {
        /// A sentence, unique in the file.
        "name" => name: Option<String>,
        /// The resources; the common ones are not added.
        "resources" => resources: Option<UncheckedResources>,
        /// Short for one resource, the VirtualService `default/refused` with this spec.
        "virtualService" => virtual_service: Option<Unchecked>,
        /// Short for one resource, the AuthorizationPolicy `default/refused` with this spec.
        "authorizationPolicy" => authorization_policy: Option<Unchecked>,
        /// All problems, one line each, paths from the list's root.
        "problems" => problems: Vec<String>,
    }
}

/// Resources that can be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resources {
    /// As they were decoded.
    pub resources: Vec<Resource>,
    /// As they were written.
    pub nodes: Vec<Node<'static>>,
}

impl Decode for Resources {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let nodes: Vec<_> = node.entries().iter().cloned().map(Node::into_owned).collect();
        let resources =
            nodes.iter().enumerate().flat_map(|(i, node)| cx.in_index(i, |cx| resource::read(node, cx)));
        Some(Self { resources: resources.collect(), nodes })
    }
}

/// Resources as they are written, with all mistakes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UncheckedResources(pub Vec<Node<'static>>);

impl Decode for UncheckedResources {
    fn decode(node: &Node, _: &mut Context) -> Option<Self> {
        Some(Self(node.entries().iter().cloned().map(Node::into_owned).collect()))
    }
}

/// Any value, as it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Unchecked(pub Node<'static>);

impl Decode for Unchecked {
    fn decode(node: &Node, _: &mut Context) -> Option<Self> {
        Some(Self(node.clone().into_owned()))
    }
}

impl Request {
    /// The payload of its token, as JSON.
    #[must_use]
    pub fn token_payload(&self) -> Option<Vec<u8>> {
        let Unchecked(claims) = self.token.as_ref()?;
        serde_json::to_vec(claims).ok()
    }
}

impl Refusal {
    /// The resources, the short forms written out.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node<'static>> {
        let short = [
            ("networking.istio.io/v1", "VirtualService", &self.virtual_service),
            ("security.istio.io/v1", "AuthorizationPolicy", &self.authorization_policy),
        ];
        let text = |text: &str| Node::new(Value::String(text.to_owned().into()));
        let object = |members: Vec<(&str, Node<'static>)>| {
            let member = |(key, value): (&str, Node<'static>)| Member {
                key: key.to_owned().into(),
                position: None,
                value,
            };
            Node::new(Value::Object(members.into_iter().map(member).collect()))
        };
        let written = short.into_iter().filter_map(|(version, kind, spec)| {
            Some(object(vec![
                ("apiVersion", text(version)),
                ("kind", text(kind)),
                ("metadata", object(vec![("name", text("refused"))])),
                ("spec", spec.as_ref()?.0.clone()),
            ]))
        });
        self.resources.iter().flat_map(|resources| resources.0.clone()).chain(written).collect()
    }
}

/// Fields that must be there.
macro_rules! required {
    ($($type:ty),*) => {$(
        impl DecodeField for $type {
            fn decode_field(node: Option<&Node>, name: &str, cx: &mut Context) -> Self {
                let value = Option::<Self>::decode_field(node, name, cx);
                if node.is_none() {
                    cx.in_field(name, |cx| cx.error(ProblemKind::Missing, "missing").kind);
                }
                value.unwrap_or_default()
            }
        }
    )*};
}
required!(Request, Expect);

impl DecodeField for Resources {
    fn decode_field(node: Option<&Node>, name: &str, cx: &mut Context) -> Self {
        Option::<Self>::decode_field(node, name, cx).unwrap_or_default()
    }
}

/// Reads one file of the corpus: its groups, each with the common resources behind its own.
///
/// # Errors
/// One line for each problem, with its place in the text.
pub fn groups(text: &str, common: &str) -> Result<Vec<Group>, String> {
    let documents = |text: &str| yaml::read(text).map(|read| read.nodes).map_err(|error| error.to_string());
    let common = documents(common)?;
    let common: Group = decode(common.first().ok_or("the common file is empty")?)?;
    let with_common = |node: &Node| {
        let mut group: Group = decode(node)?;
        group.resources.resources.extend(common.resources.resources.iter().cloned());
        group.resources.nodes.extend(common.resources.nodes.iter().cloned());
        Ok(group)
    };
    documents(text)?.iter().map(with_common).collect()
}

/// Reads a file that is one group, and adds the common resources to its own.
///
/// # Errors
/// One line for each problem, with its place in the text.
pub fn read(text: &str, common: &str) -> Result<Group, String> {
    let [group] = <[Group; 1]>::try_from(groups(text, common)?)
        .map_err(|groups| format!("expected one document, found {}", groups.len()))?;
    Ok(group)
}

fn decode<T: Decode>(node: &Node) -> Result<T, String> {
    let mut cx = Context::new();
    let value = T::decode(node, &mut cx);
    let problems = cx.into_problems();
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        _ => Err(describe(node, &problems)),
    }
}

fn describe(node: &Node, problems: &Problems) -> String {
    let line = |problem: &mesh_policy_istio::problem::Problem| match node.locate(&problem.path) {
        Some(at) => format!("{}:{}: {problem}", at.line, at.column),
        None => problem.to_string(),
    };
    problems.iter().map(line).collect::<Vec<_>>().join("\n")
}
