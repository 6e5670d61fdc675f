//! Groups for a workload: an Envoy in front of it, in plain text and with mutual TLS, that asks the filter who may pass.

use super::proxy::{Parts, tell_cluster};
use super::{Layout, Loaded, PROVIDER};
use crate::config;
use crate::modules::Module;
use crate::upstream::Upstream;
use crate::{Error, Result};
use mesh_policy_compiler::ext_authz::Providers;
use mesh_policy_compiler::native::{http_filters_for_custom, http_filters_for_policies};
use mesh_policy_compiler::{Options, Sources, authentication_filter};
use mesh_policy_core::authz::Scope;
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_istio::authorization_policy::Action;
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::{Resource, Spec};
use mesh_policy_istio::workload::Workload;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn parts(
    loaded: &Loaded,
    workload: &Workload,
    layout: Layout,
    upstream: &Upstream,
    provider: &Upstream,
) -> Result<Parts> {
    let Halves { custom, others } = match layout {
        Layout::Fused => wasm(Module::Policy, loaded, workload)?,
        // The chain of single filters would end with the router, which has no routes to enforce here.
        Layout::Separate => wasm(Module::Authz, loaded, workload)?,
        Layout::Native => native(loaded, workload)?,
    };
    let tokens = authentication(loaded, workload)?;
    let filters: Vec<Value> = custom.into_iter().chain(tokens).chain(others).collect();
    let manager = json!({ "use_remote_address": true, "normalize_path": true });
    let listener = config::listener_with(&loaded.name, &filters, &config::route_to(CLUSTER_NAME), &manager);
    let mut cluster = config::cluster(CLUSTER_NAME, &[upstream.address()]);
    // Route tables that are not ours have no cluster to tell: it is enough to see that the request got there.
    config::merge(
        &mut cluster,
        &json!({ "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http_protocol_options": {} },
                "http_filters": config::upstream_filters(&tell_cluster(CLUSTER_NAME)),
            },
        }}),
    );
    let provider = config::cluster(PROVIDER_CLUSTER, &[provider.address()]);
    Ok(Parts { listeners: vec![listener], clusters: vec![cluster, provider], bootstrap: None })
}

/// What judges, in front of the filter for tokens and behind it.
struct Halves {
    custom: Vec<Value>,
    others: Vec<Value>,
}

/// The external authorizers of a group. They see every header that begins with `x-`, and are told which of them is meant.
fn providers(loaded: &Loaded) -> Providers {
    let mut config = loaded.group.mesh_config.clone().unwrap_or_default();
    for extension in &mut config.extension_providers {
        if let Some(http) = &mut extension.envoy_ext_authz_http {
            http.include_request_headers_in_check = vec!["x-*".to_owned()];
            let name = extension.name.clone().unwrap_or_default();
            http.include_additional_headers_in_check.insert(PROVIDER.to_owned(), name);
        }
    }
    Providers::new(&config, |_, _| Ok(PROVIDER_CLUSTER.to_owned()))
}

/// The CUSTOM policies that hold for the workload.
fn custom<'l>(loaded: &'l Loaded, proxy: &ProxyContext) -> Vec<&'l Resource> {
    let is_custom = |resource: &&Resource| match &resource.spec {
        Spec::AuthorizationPolicy(policy) => {
            policy.action == Some(Action::Custom)
                && Scope::of(policy, resource.namespace(), proxy) == Scope::Applies
        }
        _ => false,
    };
    loaded.group.resources.resources.iter().filter(is_custom).collect()
}

/// A module that enforces the group; two instances of it where CUSTOM policies apply.
fn wasm(module: Module, loaded: &Loaded, workload: &Workload) -> Result<Halves> {
    let mut list = json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": loaded.group.resources.nodes,
        "workload": {
            "namespace": workload.namespace,
            "labels": workload.labels.clone().unwrap_or_default(),
            "serviceAccount": workload.service_account,
            "trustDomain": workload.trust_domain,
            "trustDomainAliases": workload.trust_domain_aliases,
            "rootNamespace": workload.root_namespace,
        },
    });
    let name = module.file_name().trim_end_matches(".wasm");
    let file = module.path()?;
    let filter = |name: &str, list: &Value| config::wasm_filter(name, &file, &list.to_string());
    let applying = custom(loaded, &proxy(workload, &mut Problems::new()));
    let mut custom = vec![config::peer_facts()];
    if !applying.is_empty() {
        let providers = providers(loaded);
        let before = json!({ "position": "BEFORE", "providers": providers.names() });
        let mut first = list.clone();
        config::merge(&mut first, &json!({ "authz": { "extAuthz": before } }));
        custom.push(filter(&format!("{name}_custom"), &first));
        custom.extend(providers.http_filters(&applying));
        config::merge(&mut list, &json!({ "authz": { "extAuthz": { "position": "AFTER" } } }));
    }
    Ok(Halves { custom, others: vec![filter(name, &list)] })
}

/// The filter that verifies tokens, when the group has any.
fn authentication(loaded: &Loaded, workload: &Workload) -> Result<Option<Value>> {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": loaded.group.resources.nodes });
    let sources = Sources::from_text("group.json", &list.to_string());
    let mut problems = Problems::new();
    let proxy = proxy(workload, &mut problems);
    let filter =
        authentication_filter(&sources, &proxy, &Options::default(), &mut BTreeMap::new(), &mut problems);
    if problems.is_empty() { Ok(filter) } else { Err(Error::new(problems.to_string())) }
}

fn proxy(workload: &Workload, problems: &mut Problems) -> ProxyContext {
    let mut proxy = ProxyContext::compile(workload, problems);
    proxy.labels.get_or_insert_default();
    proxy
}

/// Envoy's own filters that enforce the policies of the group.
fn native(loaded: &Loaded, workload: &Workload) -> Result<Halves> {
    let mut problems = Problems::new();
    let proxy = proxy(workload, &mut problems);
    let resources = &loaded.group.resources.resources;
    let custom = http_filters_for_custom(resources, &proxy, &providers(loaded), &mut problems);
    let others = http_filters_for_policies(resources, &proxy, &mut problems);
    if problems.is_empty() { Ok(Halves { custom, others }) } else { Err(Error::new(problems.to_string())) }
}

/// The cluster of all external authorizers.
const PROVIDER_CLUSTER: &str = "corpus-provider";

/// The cluster of all workloads.
const CLUSTER_NAME: &str = "corpus";
