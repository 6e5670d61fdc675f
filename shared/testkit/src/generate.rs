//! Random resources and requests for differential tests: the same seed gives the same ones.
//!
//! Alphabets are small, so that rules and requests meet; requests lean to near misses: one byte off, another case, a slash
//! more, a header twice.

pub mod authorization;
mod draw;
mod oddity;
mod probe;
pub mod routing;
mod target;
mod token;

use crate::corpus::{self, Group};
use crate::files::COMMON;
use mesh_policy_core::authz::Authorizer;
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_core::request::{Attribute, Attributes, HeaderMap, RequestView};
use mesh_policy_core::route::{RouteTable, Selection};
use mesh_policy_istio::decode::{Context, Decode};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::{self, Resource};
use mesh_policy_istio::workload::Workload;
use serde_json::{Value, json};

pub use draw::Draw;
pub use probe::{Peer, Probe, Told};

/// Resources and the requests that are tried on them.
#[derive(Debug, Clone, PartialEq)]
pub struct PolicySet {
    /// The proxy, in the form of a plugin configuration; the gateway of the common resources when absent.
    pub workload: Option<Value>,
    /// The resources, beside the common ones.
    pub resources: Vec<Value>,
    /// What is sent.
    pub probes: Vec<Probe>,
    /// Whether chance decides about some of the outcomes: weights, shares of mirrors and faults.
    pub by_chance: bool,
}

impl PolicySet {
    /// The set as the configuration of our filters, the common resources included.
    ///
    /// # Errors
    /// The common file of the corpus cannot be read.
    pub fn plugin_config(&self) -> Result<Value, String> {
        let mut items = self.resources.clone();
        items.extend(common_resources()?.iter().map(|node| json!(node)));
        let mut config = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        if let (Some(workload), Some(config)) = (&self.workload, config.as_object_mut()) {
            config.insert("workload".to_owned(), workload.clone());
        }
        Ok(config)
    }
}

/// The resources that every set of routes leans on, as they are written.
///
/// # Errors
/// The common file of the corpus cannot be read.
pub fn common_resources() -> Result<Vec<mesh_policy_istio::node::Node<'static>>, String> {
    let empty = "resources: []\ncases: []\n";
    corpus::read(empty, COMMON).map(|Group { resources, .. }| resources.nodes)
}

/// A set, compiled by the core alone: tells which requests meet a rule.
pub struct Matcher {
    pub(crate) routes: RouteTable,
    pub(crate) authorizer: Authorizer,
}

impl Matcher {
    /// Compiles a set as a filter would.
    ///
    /// # Errors
    /// All problems, one a line.
    pub fn compile(set: &PolicySet) -> Result<Self, String> {
        let mut problems = Problems::new();
        let workload = match &set.workload {
            Some(workload) => decoded(workload)?,
            None => crate::run::gateway_workload(),
        };
        let mut resources: Vec<Resource> = Vec::new();
        let mut cx = Context::at(Path::root().field("items"));
        for (index, written) in set.resources.iter().enumerate() {
            let written = written.to_string();
            let node = node(&written)?;
            resources.extend(cx.in_index(index, |cx| resource::read(&node, cx)));
        }
        problems.append(cx.into_problems());
        for (index, node) in common_resources()?.iter().enumerate() {
            let mut cx = Context::at(Path::root().field("common"));
            resources.extend(cx.in_index(index, |cx| resource::read(node, cx)));
        }
        let proxy = ProxyContext::compile(&workload, &mut problems);
        let routes = RouteTable::compile(&resources, &proxy, &mut problems);
        let authorizer = Authorizer::compile(&resources, &proxy, &mut problems);
        if problems.has_errors() { Err(problems.to_string()) } else { Ok(Self { routes, authorizer }) }
    }

    /// Whether a route is found, or an authorization rule decides.
    #[must_use]
    pub fn matches(&self, probe: &Probe) -> bool {
        self.authorized_by(probe).is_some() || self.routed_by(probe).is_some()
    }

    /// The authorization rule that decides.
    #[must_use]
    pub fn authorized_by(&self, probe: &Probe) -> Option<String> {
        self.judge(probe, |request| {
            self.authorizer.authorize(request, &mut ()).determining().map(ToString::to_string)
        })
    }

    /// The rule that routes.
    #[must_use]
    pub fn routed_by(&self, probe: &Probe) -> Option<String> {
        self.judge(probe, |request| match self.routes.select(request, &mut ()) {
            Selection::Route(matched) => Some(matched.rule().to_string()),
            _ => None,
        })
    }

    /// Whether authorization allows a request, and whether a route takes it: what a filter asks, and nothing told of it.
    #[must_use]
    pub fn decide(&self, request: &RequestView<'_>) -> (bool, bool) {
        let allowed = self.authorizer.authorize(request, &mut ()).is_allowed();
        (allowed, matches!(self.routes.select(request, &mut ()), Selection::Route(_)))
    }

    fn judge<T>(&self, probe: &Probe, judge: impl Fn(&RequestView<'_>) -> Option<T>) -> Option<T> {
        let buffer = probe.header_map();
        let headers = HeaderMap::parse(&buffer).ok()?;
        judge(&RequestView::new(&headers, probe))
    }
}

impl Attributes for Probe {
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        let told = self.told.as_ref();
        match attribute {
            Attribute::DirectRemoteIp => Some(self.source_ip.clone().into_bytes()),
            Attribute::RemoteIp => {
                Some(told.map_or(&self.source_ip, |told| &told.remote_ip).clone().into_bytes())
            }
            Attribute::DestinationIp => {
                Some(told.map_or("127.0.0.1", |told| &told.destination_ip).as_bytes().to_vec())
            }
            Attribute::DestinationPort => {
                Some(told.map_or(80, |told| told.destination_port).to_string().into_bytes())
            }
            Attribute::PeerUriSans => match &self.peer {
                Peer::Plain => None,
                Peer::Mutual(ids) => Some(ids.join(",").into_bytes()),
            },
            Attribute::JwtPayload => self.token.as_ref().map(|payload| payload.clone().into_bytes()),
            _ => None,
        }
    }
}

fn node(json: &str) -> Result<mesh_policy_istio::node::Node<'_>, String> {
    mesh_policy_istio::node::Node::from_json(json.as_bytes()).map_err(|error| error.to_string())
}

fn decoded(workload: &Value) -> Result<Workload, String> {
    let written = workload.to_string();
    let node = node(&written)?;
    let mut cx = Context::new();
    let workload = Workload::decode(&node, &mut cx);
    workload.ok_or_else(|| cx.into_problems().to_string())
}

#[cfg(test)]
mod tests;
