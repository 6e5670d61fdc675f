//! One set of resources as the listeners of either engine.

use super::{Area, Engine};
use crate::config;
use crate::modules::Module;
use crate::tokens::Issuer;
use mesh_policy_compiler::{self as compiler, AccessLog, Options, ProxyChoice, Sources};
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_istio::decode::{Context, Decode as _};
use mesh_policy_istio::node::Node;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::workload::Workload;
use mesh_policy_testkit::generate::{PolicySet, common_resources};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// The listeners of a set, and the clusters that they lead to.
pub(super) struct Compiled {
    pub(super) listeners: [(Engine, Value); 2],
    /// Those of the common resources: every set has the same.
    pub(super) clusters: Vec<Value>,
    /// The bootstrap around them, its lists empty.
    pub(super) bootstrap: Value,
    /// Whether the listeners are opened for mutual TLS too.
    pub(super) encrypted: bool,
}

/// Why a set is not tried.
pub(super) enum Refusal {
    /// Neither engine accepts it.
    Both,
    /// An engine says that it cannot carry it out.
    Unsupported(#[expect(dead_code, reason = "for whoever looks in a debugger")] String),
    /// One accepts it.
    One { wasm: String, native: String },
}

/// What an engine makes of a set: a listener, the clusters behind it, and the bootstrap around them, its lists empty.
type Built = Result<(Value, Vec<Value>, Value), compiler::Refusal>;

/// What `issuer` signs is verified in front of either engine.
pub(super) fn compile(area: Area, set: &PolicySet, issuer: &Issuer) -> Result<Compiled, Refusal> {
    let mut set = set.clone();
    set.resources.push(issuer.any_issuer("istio-system"));
    let set = &set;
    match (build(area, set, Engine::Wasm), build(area, set, Engine::Native)) {
        (Ok((wasm, clusters, bootstrap)), Ok((native, ..))) => Ok(Compiled {
            listeners: [(Engine::Wasm, wasm), (Engine::Native, native)],
            clusters,
            bootstrap,
            encrypted: area == Area::Authorization,
        }),
        (Err(_), Err(_)) => Err(Refusal::Both),
        (wasm, native) => {
            let unsupported = |built: &Built| {
                built.as_ref().err().is_some_and(|refusal| {
                    let mut errors = refusal.findings.iter().filter(|finding| finding.is_error());
                    errors.all(|finding| finding.code == ProblemKind::Unsupported.code())
                })
            };
            let text = |built: &Built| match built {
                Ok(_) => "accepted\n".to_owned(),
                Err(refusal) => findings(refusal),
            };
            if unsupported(&wasm) || unsupported(&native) {
                return Err(Refusal::Unsupported(text(&wasm) + &text(&native)));
            }
            Err(Refusal::One { wasm: text(&wasm), native: text(&native) })
        }
    }
}

/// Compiles a set for one engine.
pub(crate) fn build(area: Area, set: &PolicySet, engine: Engine) -> Built {
    match area {
        Area::Routing => gateway(set, engine),
        Area::Authorization => workload(set, engine),
    }
}

fn findings(refusal: &compiler::Refusal) -> String {
    refusal.findings.iter().fold("refused\n".to_owned(), |text, finding| text + &finding.to_string() + "\n")
}

fn list(set: &PolicySet) -> Value {
    // The common file is compiled in; without it the sets are refused, which shows.
    let common = common_resources().unwrap_or_default();
    let mut items = set.resources.clone();
    items.extend(common.iter().map(|node| json!(node)));
    json!({ "apiVersion": "v1", "kind": "List", "items": items })
}

fn options(engine: Engine) -> Options {
    Options {
        engine: match engine {
            Engine::Wasm => compiler::Engine::Wasm,
            Engine::Native => compiler::Engine::Native,
        },
        modules: compiler::Modules::Fused(Module::Policy.path().unwrap_or_default()),
        listen_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        ports: [(80, 0)].into(),
        admin: None,
        access_log: AccessLog::Off,
        ..Options::default()
    }
}

/// A gateway, compiled as `mesh-policy compile` does it.
fn gateway(set: &PolicySet, engine: Engine) -> Built {
    let sources = Sources::from_text("set.json", &list(set).to_string());
    let choice = ProxyChoice::Gateway([("istio".to_owned(), "ingressgateway".to_owned())].into());
    let mut bootstrap = compiler::compile(&sources, &choice, &options(engine))?.bootstrap;
    let mut taken = |what: &str| -> Vec<Value> {
        let list = bootstrap.pointer_mut(&format!("/static_resources/{what}")).and_then(Value::as_array_mut);
        list.map(std::mem::take).unwrap_or_default()
    };
    let (listeners, clusters) = (taken("listeners"), taken("clusters"));
    Ok((listeners.into_iter().next().unwrap_or_default(), clusters, bootstrap))
}

/// The cluster behind workloads.
const CLUSTER: &str = "workload";

/// A listener in front of a workload.
fn workload(set: &PolicySet, engine: Engine) -> Built {
    let mut list = list(set);
    let decoded = || {
        let written = set.workload.clone().unwrap_or_default();
        let written = written.to_string();
        let written = Node::from_json(written.as_bytes()).ok()?;
        Workload::decode(&written, &mut Context::new())
    };
    let mut problems = Problems::new();
    let proxy = ProxyContext::compile(&decoded().unwrap_or_default(), &mut problems);
    if let (Some(workload), Some(list)) = (&set.workload, list.as_object_mut()) {
        list.insert("workload".to_owned(), workload.clone());
    }
    let items = json!({ "apiVersion": "v1", "kind": "List", "items": list.get("items") });
    let sources = Sources::from_text("set.json", &items.to_string());
    let mut findings = compiler::check(&sources);
    let refuse = |findings: Vec<compiler::Finding>| Err(compiler::Refusal { findings });
    if findings.iter().any(compiler::Finding::is_error) {
        return refuse(findings);
    }
    let mut filters = match engine {
        Engine::Wasm => {
            let module = Module::Policy.path().unwrap_or_default();
            vec![config::wasm_filter("mesh_policy", &module, &list.to_string())]
        }
        Engine::Native => {
            let filters =
                compiler::native::http_filters_for_policies(sources.resources(), &proxy, &mut problems);
            findings.extend(sources.findings_of(&problems));
            if problems.has_errors() {
                return refuse(findings);
            }
            filters
        }
    };
    let tokens = compiler::authentication_filter(
        &sources,
        &proxy,
        &Options::default(),
        &mut BTreeMap::new(),
        &mut Problems::new(),
    );
    filters.splice(..0, tokens);
    let manager = json!({ "use_remote_address": true, "normalize_path": true });
    let mut listener = config::listener_with("workload", &filters, &config::route_to(CLUSTER), &manager);
    if let (Engine::Wasm, Some(filters)) =
        (engine, listener.pointer_mut("/filter_chains/0/filters").and_then(Value::as_array_mut))
    {
        filters.insert(0, compiler::peer_facts());
    }
    let mut cluster = config::cluster(CLUSTER, &[]);
    let options = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": { "http_protocol_options": {} },
    });
    let options = json!({ "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options });
    config::merge(&mut cluster, &json!({ "typed_extension_protocol_options": options }));
    Ok((listener, vec![cluster], config::bootstrap(&[], &[])))
}
