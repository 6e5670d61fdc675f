//! The same resources as the Envoy configuration of each candidate.
//!
//! All candidates of a scenario share one frame: the listener and the clusters that `compile --engine native` gives, and what
//! its routes do with a request that they let through, retries and time limits included, so that they differ in what decides
//! and in nothing else.

use std::path::{Path, PathBuf};

use mesh_policy_compiler::Refusal;
use mesh_policy_testkit::{
    generate::PolicySet,
    scale::{self, Scenario},
};
use serde_json::{Value, json};

use super::{candidate::Candidate, ends::Ends, lua};
use crate::{
    Context, Error, Result,
    certs::Authority,
    config,
    differential::{Area, Engine, build, transport},
    modules::{Module, repository},
};

const FIRST_ROUTE: &str = "/route_config/virtual_hosts/0/routes/0";

/// The listener that requests are sent to.
pub const LISTENER: &str = "bench";

/// The listener of [`Candidate::Bare`] that answers by itself: what a request costs that is not let through.
pub const ANSWERS: &str = "answers";

/// The path whose answer is `status`, of [`ANSWERS`].
pub fn answer_path(status: u16) -> String {
    format!("/{status}")
}

/// A set of rules as either engine carries it out.
#[derive(Debug)]
pub struct RuleSet {
    scenario: Scenario,
    set: PolicySet,
    native: Compiled,
    wasm: Compiled,
    /// The TLS of the listener, where clients come by mutual TLS.
    transport: Option<Value>,
}

#[derive(Clone, Debug)]
struct Compiled {
    listener: Value,
    clusters: Vec<Value>,
    bootstrap: Value,
}

impl RuleSet {
    /// Compiles a set of this many rules, whose clusters lead to `ends`.
    ///
    /// # Errors
    /// An engine refuses it.
    pub fn compile(scenario: Scenario, rules: usize, ends: &Ends, authority: &Authority) -> Result<Self> {
        let set = scale::set(scenario, rules);
        let area = match scenario {
            Scenario::Authz | Scenario::AuthzMixed => Area::Authorization,
            Scenario::Routes | Scenario::RoutesMixed | Scenario::Policy => Area::Routing,
        };
        let compiled = |engine| -> Result<Compiled> {
            let refused = |refusal: Refusal| {
                let first = refusal.findings.iter().find(|finding| finding.is_error());
                Error::new(format!(
                    "{engine:?} refuses the rules: {}",
                    first.map_or_else(String::new, ToString::to_string)
                ))
            };
            let (listener, mut clusters, bootstrap) = build(area, &set, engine).map_err(refused)?;
            for (number, cluster) in clusters.iter_mut().enumerate() {
                let name = cluster.get("name").cloned().unwrap_or_default();
                let at = config::address(ends.upstream(number)?);
                let endpoints = json!([{ "lb_endpoints": [{ "endpoint": { "address": at } }] }]);
                let assignment = json!({ "cluster_name": name, "endpoints": endpoints });
                let cluster = cluster.as_object_mut().context("a cluster is an object")?;
                cluster.insert("load_assignment".to_owned(), assignment);
            }
            Ok(Compiled { listener, clusters, bootstrap })
        };
        let (native, wasm) = (compiled(Engine::Native)?, compiled(Engine::Wasm)?);
        let transport = (scenario == Scenario::AuthzMixed).then(|| transport(authority)).transpose()?;
        Ok(Self { scenario, set, native, wasm, transport })
    }

    /// The bootstrap of a candidate.
    ///
    /// # Errors
    /// A module is not built, or what was compiled has another shape.
    pub fn bootstrap(&self, candidate: Candidate) -> Result<Value> {
        let mut listeners = Vec::new();
        let listener = match candidate {
            Candidate::Bare => {
                listeners.push(self.answering()?);
                self.framed(&[])?
            }
            Candidate::Noop => self.framed(&[measured_filter("noop")?])?,
            Candidate::Floor => self.framed(&[measured_filter("floor")?])?,
            Candidate::Lua => {
                let mut listener = self.framed(&[lua::filter(self.scenario, &self.set.resources)?])?;
                if self.scenario == Scenario::Routes {
                    let action = config::manager_mut(&mut listener)
                        .and_then(|manager| {
                            manager.pointer_mut(&format!("{FIRST_ROUTE}/route"))?.as_object_mut()
                        })
                        .context("the route goes somewhere")?;
                    action.remove("cluster");
                    action.insert("cluster_header".to_owned(), json!(lua::CLUSTER_HEADER));
                }
                listener
            }
            Candidate::Native => self.native.listener.clone(),
            Candidate::Companions => {
                let mut listener = self.ours(&[])?;
                let mut routes = self.routes()?;
                // Authorization alone sets no header that has to be removed.
                let removed = field(&listener, "route_config")?.get("request_headers_to_remove").cloned();
                if let (Some(removed), Some(routes)) = (removed, routes.as_object_mut()) {
                    routes.insert("request_headers_to_remove".to_owned(), removed);
                }
                set(&mut listener, "route_config", routes)?;
                listener
            }
            Candidate::Wasm => self.ours(&[self.own_module()])?,
            Candidate::Fused => self.ours(&[Module::Policy])?,
            Candidate::Chain => {
                let chain = [Module::Authz, Module::Headers, Module::Fault, Module::Router];
                self.ours(&chain)?
            }
            Candidate::Chain3 => {
                let chain = [Module::Authz, Module::Fault, Module::Router];
                self.ours(&chain)?
            }
        };
        listeners.push(listener);
        for listener in &mut listeners {
            self.finish(listener)?;
        }
        let engine = if candidate.is_ours() { &self.wasm } else { &self.native };
        let mut bootstrap = engine.bootstrap.clone();
        let resources =
            json!({ "static_resources": { "listeners": listeners, "clusters": self.native.clusters } });
        config::merge(&mut bootstrap, &resources);
        Ok(bootstrap)
    }

    /// The module that is enough for the scenario.
    pub const fn own_module(&self) -> Module {
        match self.scenario {
            Scenario::Authz | Scenario::AuthzMixed => Module::Authz,
            Scenario::Routes | Scenario::RoutesMixed => Module::Router,
            Scenario::Policy => Module::Policy,
        }
    }

    /// The native listener with these filters instead of its own, and one route: it takes every request, and does with it
    /// what the native engine's first route does.
    fn framed(&self, filters: &[Value]) -> Result<Value> {
        let mut listener = self.native.listener.clone();
        let router = http_filters(&listener)?.last().filter(|last| is_router(last));
        let mut filters = filters.to_vec();
        filters.push(router.context("the last filter is Envoy's router")?.clone());
        set(&mut listener, "http_filters", Value::Array(filters))?;
        set(&mut listener, "route_config", self.routes()?)?;
        Ok(listener)
    }

    /// The native route table with one route in place of its own: what the first of those does with a request, for all.
    fn routes(&self) -> Result<Value> {
        let mut table = field(&self.native.listener, "route_config")?.clone();
        let action = config::manager(&self.native.listener)
            .and_then(|manager| manager.pointer(&format!("{FIRST_ROUTE}/route")))
            .context("a route goes somewhere")?;
        let route = json!({ "match": { "prefix": "/" }, "route": action });
        config::merge(&mut table, &config::routes(&[route]));
        Ok(table)
    }

    /// What Envoy answers by its router alone.
    fn answering(&self) -> Result<Value> {
        let mut listener = self.framed(&[])?;
        let answers = [
            config::direct_response(&answer_path(403), 403, "RBAC: access denied"),
            json!({ "match": { "prefix": answer_path(404) }, "direct_response": { "status": 404 } }),
        ];
        set(&mut listener, "route_config", config::routes(&answers))?;
        rename(&mut listener, ANSWERS);
        Ok(listener)
    }

    /// The wasm listener with these modules in the place of the fused one.
    fn ours(&self, modules: &[Module]) -> Result<Value> {
        let mut filters = Vec::new();
        for filter in http_filters(&self.wasm.listener)? {
            if !is_wasm(filter) {
                filters.push(filter.clone());
                continue;
            }
            for module in modules {
                let mut filter = filter.clone();
                let name = module.file_name();
                let code = json!({ "local": { "filename": module.path()? } });
                let config = json!({
                    "name": name,
                    "root_id": name,
                    "vm_config": { "vm_id": name, "code": code },
                });
                config::merge(&mut filter, &json!({ "name": name, "typed_config": { "config": config } }));
                filters.push(filter);
            }
        }
        let mut listener = self.wasm.listener.clone();
        set(&mut listener, "http_filters", Value::Array(filters))?;
        Ok(listener)
    }

    fn finish(&self, listener: &mut Value) -> Result<()> {
        if listener.get("name").and_then(Value::as_str) != Some(ANSWERS) {
            rename(listener, LISTENER);
        }
        if let Some(transport) = &self.transport {
            let chain = listener.pointer_mut("/filter_chains/0").and_then(Value::as_object_mut);
            chain.context("a listener has a chain")?.insert("transport_socket".to_owned(), transport.clone());
        }
        Ok(())
    }
}

/// Where `make bench` puts the modules that are only measured.
pub fn measured_module(name: &str) -> PathBuf {
    let folder = std::env::var_os("MESH_POLICY_BENCH_MODULES");
    let folder = folder.map_or_else(|| repository().join("target/bench/modules"), PathBuf::from);
    folder.join(format!("bench_{name}.wasm"))
}

fn measured_filter(name: &str) -> Result<Value> {
    let module = measured_module(name);
    if !Path::new(&module).is_file() {
        return Err(Error::new(format!("no module at `{}`: run `make bench`", module.display())));
    }
    Ok(config::wasm_filter(&format!("bench_{name}"), &module, ""))
}

fn is_wasm(filter: &Value) -> bool {
    filter.pointer("/typed_config/config/vm_config").is_some()
}

fn is_router(filter: &Value) -> bool {
    filter.get("name").and_then(Value::as_str) == Some("envoy.filters.http.router")
}

fn rename(listener: &mut Value, name: &str) {
    config::merge(listener, &json!({ "name": name }));
}

fn field<'v>(listener: &'v Value, name: &str) -> Result<&'v Value> {
    let field = config::manager(listener).and_then(|manager| manager.get(name));
    field.context(format_args!("the connection manager has `{name}`"))
}

fn http_filters(listener: &Value) -> Result<&[Value]> {
    field(listener, "http_filters")?.as_array().map(Vec::as_slice).context("the HTTP filters are a list")
}

/// Puts a field of the listener's connection manager in place of what it is.
fn set(listener: &mut Value, name: &str, new: Value) -> Result<()> {
    let manager = config::manager_mut(listener).and_then(Value::as_object_mut);
    manager.context("a listener has a connection manager")?.insert(name.to_owned(), new);
    Ok(())
}
