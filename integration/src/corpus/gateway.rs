//! Groups for a gateway: compiled as `mesh-policy compile` does it.

use super::proxy::{Parts, tell_cluster};
use super::{Layout, Loaded, ROUTE, RULE};
use crate::config;
use crate::modules::Module;
use crate::upstream::Upstream;
use crate::{Context, Error, Result};
use mesh_policy_compiler::{AccessLog, Engine, Modules, Options, ProxyChoice, Sources, compile};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn parts(loaded: &Loaded, layout: Layout, upstream: &Upstream) -> Result<Parts> {
    let mut list = json!({ "apiVersion": "v1", "kind": "List", "items": loaded.group.resources.nodes });
    for resource in list.pointer_mut("/items").and_then(Value::as_array_mut).into_iter().flatten() {
        tell_rules(resource);
    }
    let sources = Sources::from_text("group.json", &list.to_string());
    let choice = ProxyChoice::Gateway([("istio".to_owned(), "ingressgateway".to_owned())].into());
    let options = Options {
        engine: if layout == Layout::Native { Engine::Native } else { Engine::Wasm },
        modules: modules(layout)?,
        listen_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        ports: [(80, 0)].into(),
        admin: None,
        access_log: AccessLog::Off,
        ..Options::default()
    };
    let mut bootstrap = compile(&sources, &choice, &options)
        .map_err(|refusal| {
            let findings = refusal.findings.iter().map(ToString::to_string).collect::<Vec<_>>();
            Error::new(findings.join("\n"))
        })?
        .bootstrap;
    let mut taken = |what: &str| {
        let list = bootstrap.pointer_mut(&format!("/static_resources/{what}")).and_then(Value::as_array_mut);
        list.map(std::mem::take).context(format_args!("a compiled proxy has {what}"))
    };
    let mut listeners = taken("listeners")?;
    if layout == Layout::Native {
        listeners.iter_mut().for_each(tell_routes);
    }
    let mut clusters = taken("clusters")?;
    for cluster in &mut clusters {
        let name = cluster.get("name").and_then(Value::as_str).context("a cluster has a name")?.to_owned();
        config::lead_to(cluster, upstream.address(), &tell_cluster(&name))
            .context("a compiled cluster says how HTTP is spoken")?;
    }
    Ok(Parts { listeners, clusters, bootstrap: Some(bootstrap) })
}

/// Has every destination of a VirtualService tell the rule that it stands in.
fn tell_rules(resource: &mut Value) {
    if resource.get("kind").and_then(Value::as_str) != Some("VirtualService") {
        return;
    }
    let metadata = |field: &str| resource.pointer(&format!("/metadata/{field}")).and_then(Value::as_str);
    let namespace = metadata("namespace").unwrap_or("default");
    let id = format!("VirtualService {namespace}/{}", metadata("name").unwrap_or_default());
    let rules = resource.pointer_mut("/spec/http").and_then(Value::as_array_mut);
    for (index, rule) in rules.into_iter().flatten().enumerate() {
        let destinations = rule.get_mut("route").and_then(Value::as_array_mut);
        for destination in destinations.into_iter().flatten() {
            let told =
                json!({ "headers": { "request": { "set": { RULE: format!("{id} http[{index}]") } } } });
            config::merge(destination, &told);
        }
    }
}

/// Has every response tell which of Envoy's own routes was taken.
fn tell_routes(listener: &mut Value) {
    let hosts = config::manager_mut(listener)
        .and_then(|manager| manager.pointer_mut("/route_config/virtual_hosts")?.as_array_mut());
    let told = json!({ "response_headers_to_add": [{
        "header": { "key": ROUTE, "value": "%ROUTE_NAME%" },
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }] });
    hosts.into_iter().flatten().for_each(|host| config::merge(host, &told));
}

/// The modules of a layout.
fn modules(layout: Layout) -> Result<Modules> {
    Ok(match layout {
        Layout::Fused => Modules::Fused(Module::Policy.path()?),
        Layout::Separate => Modules::Separate {
            authz: Module::Authz.path()?,
            headers: Module::Headers.path()?,
            fault: Module::Fault.path()?,
            router: Module::Router.path()?,
        },
        Layout::Native => Options::default().modules,
    })
}
