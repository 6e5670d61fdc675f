//! Reading `testdata/**/*.yaml`.
//!
//! A file is a group: `workload`, `resources`, and `cases` over them. To the resources of a group those of
//! `testdata/common.yaml` are added: a Gateway `default/edge` for every host on port 80, and a few services.

use mesh_policy_istio::decode::{Context, Decode};
use mesh_policy_istio::node::Node;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{self, Resource};
use mesh_policy_istio::wire;
use mesh_policy_istio::workload::Workload;

mod escape;
pub use escape::HeaderLine;

wire! {
    /// One file of the corpus.
    pub struct Group {
        /// What its cases are about.
        "about" => about: Option<String>,
        /// The proxy that enforces; the gateway `default/edge` on port 80 when absent.
        "workload" => workload: Option<Workload>,
        /// The resources, beside the common ones.
        "resources" => resources: Resources,
        /// Requests and what must come of them.
        "cases" => cases: Vec<Case>,
        /// Resources that must be refused.
        "refused" => refused: Vec<Refusal>,
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
        /// The URI SAN of the client's certificate; plain text when absent.
        "from" => from: Option<String>,
        /// The address that the client sends from; `127.0.0.1` when absent.
        "sourceIp" => source_ip: Option<String>,
        /// Header lines of the upstream's response.
        "responseHeaders" => response_headers: Vec<HeaderLine>,
    }
}

wire! {
    /// What must come of a request. A field that is absent is not compared.
    pub struct Expect {
        /// Whether authorization lets it pass.
        "allowed" => allowed: Option<bool>,
        /// The rule that decided, `ns[..]-policy[..]-rule[n]`.
        "policy" => policy: Option<String>,
        /// The name of the route.
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
        /// The run through Envoy.
        "envoy" => envoy: Option<String>,
    }
}

wire! {
    /// Resources that must be refused, and with which words.
    pub struct Refusal {
        /// A sentence, unique in the file.
        "name" => name: Option<String>,
        /// The resources; the common ones are not added.
        "resources" => resources: UncheckedResources,
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
    pub nodes: Vec<Node>,
}

impl Decode for Resources {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let nodes = node.entries().to_vec();
        let resources =
            nodes.iter().enumerate().flat_map(|(i, node)| cx.in_index(i, |cx| resource::read(node, cx)));
        Some(Self { resources: resources.collect(), nodes })
    }
}

/// Resources as they are written, with all mistakes.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct UncheckedResources(pub Vec<Node>);

impl Decode for UncheckedResources {
    fn decode(node: &Node, _: &mut Context) -> Option<Self> {
        Some(Self(node.entries().to_vec()))
    }
}

/// Fields that must be there.
macro_rules! required {
    ($($type:ty),*) => {$(
        impl mesh_policy_istio::decode::DecodeField for $type {
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
required!(Resources, UncheckedResources, Request, Expect);

/// Reads one file of the corpus and adds the common resources to its own.
///
/// # Errors
/// One line for each problem, with its place in the text.
pub fn read(text: &str, common: &str) -> Result<Group, String> {
    let mut group: Group = decode(text)?;
    let common: Group = decode(common)?;
    group.resources.resources.extend(common.resources.resources);
    group.resources.nodes.extend(common.resources.nodes);
    Ok(group)
}

fn decode<T: Decode>(text: &str) -> Result<T, String> {
    let documents = mesh_policy_istio::yaml::read(text).map_err(|error| error.to_string())?;
    let [node] = documents.nodes.as_slice() else { return Err("expected one document".to_owned()) };
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
