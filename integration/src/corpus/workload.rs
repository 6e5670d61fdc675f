//! Groups for a workload: an Envoy in front of it, in plain text and with mutual TLS, that asks the filter who may pass.

use super::proxy::{Parts, tell_cluster};
use super::{Layout, Loaded};
use crate::config;
use crate::modules::Module;
use crate::upstream::Upstream;
use crate::{Error, Result};
use mesh_policy_compiler::native::http_filters_for_policies;
use mesh_policy_compiler::{Options, Sources, authentication_filter};
use mesh_policy_core::proxy::ProxyContext;
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::workload::Workload;
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) fn parts(
    loaded: &Loaded,
    workload: &Workload,
    layout: Layout,
    upstream: &Upstream,
) -> Result<Parts> {
    let mut filters = match layout {
        Layout::Fused => vec![config::peer_facts(), wasm(Module::Policy, loaded, workload)?],
        // The chain of single filters would end with the router, which has no routes to enforce here.
        Layout::Separate => vec![config::peer_facts(), wasm(Module::Authz, loaded, workload)?],
        Layout::Native => native(loaded, workload)?,
    };
    filters.splice(..0, authentication(loaded, workload)?);
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
                "http_filters": [mark(), {
                    "name": "envoy.filters.http.upstream_codec",
                    "typed_config": { "@type":
                        "type.googleapis.com/envoy.extensions.filters.http.upstream_codec.v3.UpstreamCodec" },
                }],
            },
        }}),
    );
    Ok(Parts { listeners: vec![listener], clusters: vec![cluster], bootstrap: None })
}

/// A module that enforces the group.
fn wasm(module: Module, loaded: &Loaded, workload: &Workload) -> Result<Value> {
    let list = json!({
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
    Ok(config::wasm_filter(name, &module.path()?, &list.to_string()))
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
fn native(loaded: &Loaded, workload: &Workload) -> Result<Vec<Value>> {
    let mut problems = Problems::new();
    let proxy = proxy(workload, &mut problems);
    let filters = http_filters_for_policies(&loaded.group.resources.resources, &proxy, &mut problems);
    if problems.is_empty() { Ok(filters) } else { Err(Error::new(problems.to_string())) }
}

/// The cluster of all workloads.
const CLUSTER_NAME: &str = "corpus";

fn mark() -> Value {
    json!({
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": { "request_mutations": [tell_cluster(CLUSTER_NAME)] },
        },
    })
}
