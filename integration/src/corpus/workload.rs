//! Groups for a workload: an Envoy in front of it, in plain text and with mutual TLS, that asks the filter who may pass.

use super::{CLUSTER, Layout, Proxy, list};
use crate::certs::{Authority, Expect};
use crate::client::Client;
use crate::config;
use crate::envoy::{self, Envoy};
use crate::modules::Module;
use crate::upstream::Upstream;
use crate::{Context, Result};
use mesh_policy_core::control::{DIRECT_REMOTE_IP_FILTER_STATE, PEER_URI_SANS_FILTER_STATE};
use mesh_policy_testkit::corpus::{Case, Group};
use serde_json::{Value, json};

pub(super) struct Workload {
    envoy: Envoy,
    authority: Authority,
}

const SERVER: &str = "workload.test";

impl Workload {
    pub(super) fn start(group: &Group, layout: Layout, upstream: &Upstream) -> Result<Self> {
        let authority = Authority::new("corpus")?;
        let identity = authority.server(&[SERVER])?;
        let module = match layout {
            Layout::Fused => Module::Policy,
            Layout::Separate => Module::Authz,
        };
        let workload = group.workload.clone().unwrap_or_default();
        let workload = json!({
            "namespace": workload.namespace,
            "labels": workload.labels.unwrap_or_default(),
            "serviceAccount": workload.service_account,
            "trustDomain": workload.trust_domain,
            "trustDomainAliases": workload.trust_domain_aliases,
            "rootNamespace": workload.root_namespace,
        });
        let configuration = list(group, Some(workload));
        let filters = [peer_facts(), config::wasm_filter("policy", &module.path()?, &configuration)];
        let manager = json!({ "use_remote_address": true, "normalize_path": true });
        let plain = config::listener_with("plain", &filters, &config::route_to("corpus"), &manager);
        let mut mutual = config::listener_with("mutual", &filters, &config::route_to("corpus"), &manager);
        let chain = mutual.pointer_mut("/filter_chains/0").and_then(Value::as_object_mut);
        let socket = json!({ "name": "envoy.transport_sockets.tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "require_client_certificate": true,
            "common_tls_context": {
                "tls_certificates": [{
                    "certificate_chain": { "filename": identity.certificate() },
                    "private_key": { "filename": identity.key() },
                }],
                "validation_context": { "trusted_ca": { "filename": authority.certificate() } },
            },
        }});
        chain.context("a listener has a filter chain")?.insert("transport_socket".to_owned(), socket);
        let mut cluster = config::cluster("corpus", &[upstream.address()]);
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
        let bootstrap = config::bootstrap(&[plain, mutual], &[cluster]);
        Ok(Self { envoy: Envoy::start(&bootstrap, &envoy::Options::default())?, authority })
    }
}

impl Proxy for Workload {
    fn client(&mut self, case: &Case) -> Result<Client> {
        let client = match &case.request.from {
            None => Client::new(self.envoy.listener("plain")?),
            Some(id) => {
                let identity = self.authority.workload(id)?;
                let tls = self.authority.client(Expect::Dns(SERVER.to_owned()), Some(&identity))?;
                Client::with_tls(self.envoy.listener("mutual")?, tls)
            }
        };
        match &case.request.source_ip {
            None => Ok(client),
            Some(source) => Ok(client.from(source.parse().context("sourceIp")?)),
        }
    }
}

/// What only a native filter can learn of the peer, put where the Wasm filters find it.
fn peer_facts() -> Value {
    let fact = |key: &str, format: &str| {
        json!({
            "object_key": key,
            "factory_key": "envoy.string",
            "format_string": { "text_format_source": { "inline_string": format }, "omit_empty_values": true },
            "skip_if_empty": true,
        })
    };
    json!({
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [
                fact(DIRECT_REMOTE_IP_FILTER_STATE, "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"),
                fact(PEER_URI_SANS_FILTER_STATE, "%DOWNSTREAM_PEER_URI_SAN%"),
            ],
        },
    })
}

fn mark() -> Value {
    json!({
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": { "request_mutations": [{ "append": {
                "header": { "key": CLUSTER, "value": "corpus" },
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            } }] },
        },
    })
}
