//! Groups for a gateway: compiled as `mesh-policy compile` does it.

use super::{CLUSTER, Layout, Proxy, list, modules};
use crate::client::Client;
use crate::config;
use crate::envoy::{self, Envoy};
use crate::upstream::Upstream;
use crate::{Context, Error, Result};
use mesh_policy_compiler::{AccessLog, Options, ProxyChoice, Sources, compile};
use mesh_policy_testkit::corpus::{Case, Group};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

pub(super) struct Gateway {
    client: Option<Client>,
    envoy: Envoy,
    listener: String,
}

impl Gateway {
    pub(super) fn start(group: &Group, layout: Layout, upstream: &Upstream) -> Result<Self> {
        let sources = Sources::from_text("group.json", &list(group, None));
        let choice = ProxyChoice::Gateway([("istio".to_owned(), "ingressgateway".to_owned())].into());
        let options = Options {
            modules: modules(layout)?,
            listen_address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: [(80, 0)].into(),
            admin: None,
            access_log: AccessLog::Off,
            ..Options::default()
        };
        let mut compiled = compile(&sources, &choice, &options).map_err(|refusal| {
            let findings = refusal.findings.iter().map(ToString::to_string).collect::<Vec<_>>();
            Error::new(findings.join("\n"))
        })?;
        let clusters =
            compiled.bootstrap.pointer_mut("/static_resources/clusters").and_then(Value::as_array_mut);
        for cluster in clusters.context("a compiled proxy has clusters")? {
            lead_to(cluster, upstream)
                .context("a compiled cluster has the filter that removes control headers")?;
        }
        let listener = compiled.listeners.first().context("a compiled gateway has a listener")?.name.clone();
        Ok(Self {
            client: None,
            envoy: Envoy::start(&compiled.bootstrap, &envoy::Options::default())?,
            listener,
        })
    }
}

impl Proxy for Gateway {
    fn client(&mut self, case: &Case) -> Result<Client> {
        if self.client.is_none() {
            self.client = Some(Client::new(self.envoy.listener(&self.listener)?));
        }
        match &case.request.source_ip {
            None => Ok(Client::new(self.envoy.listener(&self.listener)?)),
            Some(source) => {
                let source = source.parse().context("sourceIp")?;
                Ok(Client::new(self.envoy.listener(&self.listener)?).from(source))
            }
        }
    }
}

/// Makes a compiled cluster lead to the echo server and tell its name, beside what it does to the request anyway.
fn lead_to(cluster: &mut Value, upstream: &Upstream) -> Option<()> {
    let name = cluster.get("name")?.as_str()?.to_owned();
    let endpoints = json!({ "cluster_name": name, "endpoints": [{ "lb_endpoints": [
        { "endpoint": { "address": config::address(upstream.address()) } },
    ] }] });
    cluster.as_object_mut()?.insert("load_assignment".to_owned(), endpoints);
    let mutations = cluster.pointer_mut(
        "/typed_extension_protocol_options/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\
         /http_filters/0/typed_config/mutations/request_mutations",
    )?;
    mutations.as_array_mut()?.push(json!({ "append": {
        "header": { "key": CLUSTER, "value": name },
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    } }));
    Some(())
}
