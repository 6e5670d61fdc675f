//! What one filter is told: the resources that matter to its listener, and the workload it acts for.

pub(crate) mod relevant;

use crate::check::check_under;
use crate::ext_authz;
use crate::finding::{Finding, Refusal};
use crate::gateway::{self, Listener, Opening, Servers};
use crate::options::{Options, ProxyChoice, WorkloadChoice};
use crate::service::workload_labels;
use crate::source::Sources;
use mesh_policy_core::authz::{ExternalAuthorization, Scope};
use mesh_policy_core::proxy::{MESH, ProxyContext};
use mesh_policy_istio::authorization_policy::Action;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use mesh_policy_istio::workload::{ExtAuthzPosition, Workload};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// One listener of a proxy, with what its filters enforce.
#[derive(Debug, Clone, PartialEq)]
pub struct EnforcedListener {
    /// `0.0.0.0_80` for a gateway, the workload's name for a sidecar.
    pub name: String,
    /// The port as the Gateway numbers it.
    pub port: Option<u16>,
    /// Who enforces, for `RouteTable::compile` and `Authorizer::compile`.
    pub proxy: ProxyContext,
    /// What is enforced: the resources of the plugin configuration, their paths still leading back to the sources.
    pub resources: Vec<Resource>,
    /// The plugin configuration of its filters; where CUSTOM policies apply, of those behind Envoy's ext_authz filter.
    pub plugin_config: Value,
    /// The CUSTOM policies that apply, as they were written.
    custom: Vec<Value>,
}

impl EnforcedListener {
    /// The hosts of the Gateways' servers that it carries out, namespaces stripped; none for a workload.
    #[must_use]
    pub fn hosts(&self) -> Vec<&str> {
        let gateways = self.resources.iter().filter_map(|resource| match &resource.spec {
            Spec::Gateway(gateway) => Some(gateway),
            _ => None,
        });
        let hosts = gateways.flat_map(|gateway| gateway.servers.iter().flat_map(|server| &server.hosts));
        hosts.map(|host| host.split_once('/').map_or(host.as_str(), |(_, host)| host)).collect()
    }

    /// The CUSTOM policies that apply.
    #[must_use]
    pub fn custom(&self) -> Vec<&Resource> {
        match self.proxy.ext_authz {
            ExternalAuthorization::Absent => Vec::new(),
            _ => self.resources.iter().filter(|resource| applies(resource, &self.proxy)).collect(),
        }
    }

    /// The plugin configuration of a filter in front of Envoy's ext_authz filter, where CUSTOM policies apply; `providers` can be
    /// asked.
    #[must_use]
    pub fn plugin_config_before(&self, providers: &[String]) -> Option<Value> {
        if self.custom.is_empty() {
            return None;
        }
        let mut config = self.plugin_config.clone();
        *config.get_mut("items")? = json!(self.custom);
        *config.pointer_mut("/authz/extAuthz")? = json!({"position": "BEFORE", "providers": providers});
        Some(config)
    }
}

fn applies(resource: &Resource, proxy: &ProxyContext) -> bool {
    match &resource.spec {
        Spec::AuthorizationPolicy(policy) => {
            policy.action == Some(Action::Custom)
                // Unknown labels: for the filter to refuse.
                && matches!(Scope::of(policy, resource.namespace(), proxy), Scope::Applies | Scope::UnknownLabels)
        }
        _ => false,
    }
}

/// The listeners of a proxy: one for each port of a gateway, one for a workload.
///
/// # Errors
/// All findings, when there are errors among them.
pub fn enforced(
    sources: &Sources,
    choice: &ProxyChoice,
    options: &Options,
) -> Result<Vec<EnforcedListener>, Refusal> {
    let findings = check_under(sources, options.path_normalization);
    if findings.iter().any(Finding::is_error) {
        return Err(Refusal { findings });
    }
    match choice {
        ProxyChoice::Workload(choice) => Ok(vec![for_workload(sources, choice, options)]),
        ProxyChoice::Gateway(labels) => {
            let listeners = servers(sources, labels, options, findings, &mut Problems::new())?.http;
            Ok(listeners.iter().map(|listener| for_listener(sources, labels, listener, options)).collect())
        }
    }
}

/// The servers of a gateway. What only warns goes into `warnings`.
pub(crate) fn servers<'s>(
    sources: &'s Sources,
    labels: &BTreeMap<String, String>,
    options: &Options,
    mut findings: Vec<Finding>,
    warnings: &mut Problems,
) -> Result<Servers<'s>, Refusal> {
    let mut problems = Problems::new();
    let servers = gateway::servers(sources.resources(), labels, options, &mut problems);
    match servers {
        Ok(servers) if !problems.has_errors() => {
            warnings.append(problems);
            Ok(servers)
        }
        servers => {
            findings.extend(servers.err().map(|finding| *finding));
            findings.extend(sources.findings_of(&problems));
            Err(Refusal { findings: sources.in_order(findings) })
        }
    }
}

/// The plugin configuration of a proxy's filters; for a gateway with several listeners, one for all of them.
///
/// `side` is the one of Envoy's ext_authz filter that they stand on. In front of it, the providers of the mesh configuration can
/// be asked; without a mesh configuration, those that the policies name.
///
/// # Errors
/// All findings, when there are errors among them. CUSTOM policies that apply are one when there is no `side`, and so is a side
/// without such policies.
pub fn plugin_config(
    sources: &Sources,
    choice: &ProxyChoice,
    side: Option<ExtAuthzPosition>,
    options: &Options,
) -> Result<Value, Refusal> {
    let mut listeners = enforced(sources, choice, options)?;
    let one = match choice {
        ProxyChoice::Gateway(labels) if listeners.len() > 1 => listeners_as_one(sources, labels, options)?,
        _ => match listeners.pop() {
            Some(one) => one,
            None => return Ok(Value::Null),
        },
    };
    let refuse = |finding: Finding| Err(Refusal { findings: vec![finding] });
    match (one.custom().first(), side) {
        (None, None) | (Some(_), Some(ExtAuthzPosition::After)) => Ok(one.plugin_config),
        (Some(_), Some(ExtAuthzPosition::Before)) => {
            let defined = ext_authz::provider_names(sources);
            let named =
                one.custom().into_iter().filter_map(ext_authz::provider_of).map(str::to_owned).collect();
            let providers = if sources.mesh_config().is_some() { defined } else { named };
            Ok(one.plugin_config_before(&providers).unwrap_or_default())
        }
        (Some(custom), None) => {
            let mut problems = Problems::new();
            problems
                .error(
                    custom.spec_path().field("action"),
                    ProblemKind::Unsupported,
                    "a filter cannot carry out CUSTOM policies alone: it needs Envoy's ext_authz filter",
                )
                .help("Istio carries them out by itself; for an Envoy of your own, `mesh-policy plugin-config` with `--ext-authz before` and `after` prints the configurations of a filter in front of it and of one behind it");
            Err(Refusal { findings: sources.findings_of(&problems) })
        }
        (None, Some(_)) => refuse(Finding::placeless(
            ProblemKind::Conflict,
            "no CUSTOM policy applies to this proxy, so there is nothing to ask about",
            Some("leave out --ext-authz".to_owned()),
        )),
    }
}

fn listeners_as_one(
    sources: &Sources,
    labels: &BTreeMap<String, String>,
    options: &Options,
) -> Result<EnforcedListener, Refusal> {
    let mut all = servers(sources, labels, options, Vec::new(), &mut Problems::new())?.http.into_iter();
    let Some(mut one) = all.next() else { return Err(Refusal { findings: Vec::new() }) };
    for listener in all {
        for (resource, indexes) in listener.servers {
            match one.servers.iter_mut().find(|(other, _)| other.path == resource.path) {
                Some((_, own)) => own.extend(indexes),
                None => one.servers.push((resource, indexes)),
            }
        }
    }
    let mut enforced = for_listener(sources, labels, &one, options);
    enforced.port = None;
    enforced.proxy.port = None;
    if let Some(workload) = enforced.plugin_config.get_mut("workload").and_then(Value::as_object_mut) {
        workload.remove("port");
    }
    Ok(enforced)
}

/// What the filters of a gateway's listener enforce.
pub(crate) fn for_listener(
    sources: &Sources,
    labels: &BTreeMap<String, String>,
    listener: &Listener<'_>,
    options: &Options,
) -> EnforcedListener {
    let workload = gateway_workload(labels, listener.gateways(), &listener.opening, options);
    let relevant = relevant::for_gateway(sources, &workload, listener);
    assemble(listener.name(), &workload, relevant, options)
}

/// A gateway as the rules for one of its ports see it.
pub(crate) fn for_gateway(
    labels: &BTreeMap<String, String>,
    gateways: Vec<String>,
    opening: &Opening,
    options: &Options,
) -> ProxyContext {
    // Its port and gateways come from resources that were checked.
    ProxyContext::compile(&gateway_workload(labels, gateways, opening, options), &mut Problems::new())
}

fn gateway_workload(
    labels: &BTreeMap<String, String>,
    gateways: Vec<String>,
    opening: &Opening,
    options: &Options,
) -> Workload {
    Workload {
        namespace: Some(options.gateway_namespace.clone()),
        labels: Some(labels.clone()),
        service_account: None,
        gateways,
        port: Some(u32::from(opening.gateway_port)),
        trust_domain: Some(options.trust_domain.clone()),
        trust_domain_aliases: options.trust_domain_aliases.clone(),
        root_namespace: Some(options.root_namespace.clone()),
    }
}

/// Which way the requests of a sidecar's listener go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// To the application: policies judge them, and they are routed already.
    Inbound,
    /// From the application: they are routed, and judged where they arrive.
    Outbound,
}

/// What the filters of a sidecar's listener enforce.
pub(crate) fn for_sidecar(
    sources: &Sources,
    choice: &WorkloadChoice,
    direction: Direction,
    options: &Options,
) -> EnforcedListener {
    let workload = sidecar_workload(sources, choice, options);
    let mut relevant = relevant::for_sidecar(sources, &workload);
    relevant.retain(|(resource, _)| {
        matches!(resource.spec, Spec::AuthorizationPolicy(_)) == (direction == Direction::Inbound)
    });
    assemble(choice.name.clone(), &workload, relevant, options)
}

fn for_workload(sources: &Sources, choice: &WorkloadChoice, options: &Options) -> EnforcedListener {
    let workload = sidecar_workload(sources, choice, options);
    let relevant = relevant::for_sidecar(sources, &workload);
    assemble(choice.name.clone(), &workload, relevant, options)
}

fn sidecar_workload(sources: &Sources, choice: &WorkloadChoice, options: &Options) -> Workload {
    let WorkloadChoice { namespace, name, labels, service_account, port } = choice;
    let entry = sources.resources().iter().find_map(|resource| match &resource.spec {
        Spec::WorkloadEntry(spec) if resource.namespace() == namespace && resource.name() == name => {
            Some((resource, spec))
        }
        _ => None,
    });
    Workload {
        namespace: Some(namespace.clone()),
        labels: labels.clone().or_else(|| entry.map(|(resource, spec)| workload_labels(resource, spec))),
        service_account: service_account
            .clone()
            .or_else(|| entry.and_then(|(_, spec)| spec.service_account.clone())),
        gateways: vec![MESH.to_owned()],
        port: port.map(u32::from),
        trust_domain: Some(options.trust_domain.clone()),
        trust_domain_aliases: options.trust_domain_aliases.clone(),
        root_namespace: Some(options.root_namespace.clone()),
    }
}

/// A resource that matters, typed and as it was written.
pub(crate) type Relevant = (Resource, Value);

fn assemble(
    name: String,
    workload: &Workload,
    relevant: Vec<Relevant>,
    options: &Options,
) -> EnforcedListener {
    let mut problems = Problems::new();
    let mut proxy = ProxyContext::compile(workload, &mut problems);
    let (mut resources, mut items, mut custom) = (Vec::new(), Vec::new(), Vec::new());
    for (resource, written) in relevant {
        if applies(&resource, &proxy) { &mut custom } else { &mut items }.push(written);
        resources.push(resource);
    }
    if !custom.is_empty() {
        proxy.ext_authz = ExternalAuthorization::After;
    }
    let mut plugin_config =
        json!({"apiVersion": "v1", "kind": "List", "items": items, "workload": workload_json(workload)});
    let mut authz = serde_json::Map::new();
    if options.explain_denials {
        authz.insert("explainDenials".to_owned(), json!(true));
        proxy.explain_denials = true;
    }
    if !custom.is_empty() {
        authz.insert("extAuthz".to_owned(), json!({"position": "AFTER"}));
    }
    if let (false, Some(config)) = (authz.is_empty(), plugin_config.as_object_mut()) {
        config.insert("authz".to_owned(), Value::Object(authz));
    }
    EnforcedListener { name, port: proxy.port, proxy, resources, plugin_config, custom }
}

/// What is not known is left out: the filter then asks Envoy's node metadata, or refuses selectors.
fn workload_json(workload: &Workload) -> Value {
    let Workload {
        namespace,
        labels,
        service_account,
        gateways,
        port,
        trust_domain,
        trust_domain_aliases,
        root_namespace,
    } = workload;
    let mut object = serde_json::Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            object.insert(name.to_owned(), value);
        }
    };
    put("namespace", json!(namespace));
    put("labels", json!(labels));
    put("serviceAccount", json!(service_account));
    put("gateways", json!(gateways));
    put("port", json!(port));
    put("trustDomain", json!(trust_domain));
    if !trust_domain_aliases.is_empty() {
        put("trustDomainAliases", json!(trust_domain_aliases));
    }
    put("rootNamespace", json!(root_namespace));
    Value::Object(object)
}

#[cfg(test)]
mod tests;
