//! The one Envoy that enforces all groups, and the clients that speak to it.

use super::{CLUSTER, DETAILS, Layout, Loaded, gateway, workload};
use crate::certs::{Authority, Expect};
use crate::client::Client;
use crate::config;
use crate::envoy::{self, Envoy};
use crate::upstream::Upstream;
use crate::{Context, Error, Result};
use mesh_policy_testkit::corpus::Request;
use mesh_policy_testkit::run::DEFAULT_SNI;
use rcgen::SanType;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What a group brings into Envoy's configuration.
pub(super) struct Parts {
    /// In plain text, and over mutual TLS where the group has cases with certificates.
    pub(super) listeners: Vec<Value>,
    pub(super) clusters: Vec<Value>,
    /// The bootstrap around them.
    pub(super) bootstrap: Option<Value>,
}

pub(super) struct Proxy {
    authority: Authority,
    addresses: BTreeMap<String, SocketAddr>,
    clients: BTreeMap<Connection, Client>,
    /// Behind the clients, so that their connections are closed first.
    _envoy: Envoy,
}

/// What cases have to have in common to share a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Connection {
    listener: String,
    from: Option<String>,
    sni: Option<String>,
    source: Option<String>,
    /// The line of the PROXY protocol that goes before everything else.
    prelude: Option<String>,
}

impl Proxy {
    pub(super) fn start(
        groups: &[Loaded],
        layout: Layout,
        upstream: &Upstream,
        provider: &Upstream,
    ) -> Result<Self> {
        let authority = Authority::new("corpus")?;
        let asked =
            groups.iter().flat_map(|loaded| &loaded.cases).filter_map(|case| case.request.sni.as_deref());
        let names: BTreeSet<&str> = asked.chain([DEFAULT_SNI]).collect();
        let identity = authority.server(&names.into_iter().collect::<Vec<_>>())?;
        let transport = config::mutual_tls(&authority, &identity);
        let mut listeners = Vec::new();
        let mut clusters = BTreeMap::new();
        let mut bootstrap = None;
        for loaded in groups {
            let parts = match &loaded.group.workload {
                None => gateway::parts(loaded, layout, upstream),
                Some(workload) if !workload.gateways.is_empty() => gateway::parts(loaded, layout, upstream),
                Some(workload) => workload::parts(loaded, workload, layout, upstream, provider),
            };
            let parts = parts.context(&loaded.name)?;
            bootstrap = bootstrap.or(parts.bootstrap);
            for cluster in parts.clusters {
                let name = cluster.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
                let before = clusters.insert(name.clone(), cluster);
                if before.is_some_and(|before| Some(&before) != clusters.get(&name)) {
                    return Err(Error::new(format!(
                        "{}: another group has another cluster `{name}`",
                        loaded.name
                    )));
                }
            }
            let mutual = loaded.cases.iter().any(|case| case.request.from.is_some());
            for listener in parts.listeners {
                let listener =
                    prepared(listener, &loaded.name).context("a listener has a connection manager")?;
                if mutual {
                    listeners
                        .push(encrypted(&listener, &transport).context("a listener has a filter chain")?);
                }
                listeners.push(listener);
            }
        }
        let mut bootstrap = bootstrap.unwrap_or_else(|| config::bootstrap(&[], &[]));
        let clusters: Vec<Value> = clusters.into_values().collect();
        let resources = json!({ "static_resources": { "listeners": listeners, "clusters": clusters } });
        config::merge(&mut bootstrap, &resources);
        // Compiling the modules takes long where many Envoys do so at once.
        let options = envoy::Options { ready_within: Duration::from_secs(180), ..envoy::Options::default() };
        let envoy = Envoy::start(&bootstrap, &options)?;
        let addresses = envoy.admin().listeners()?;
        Ok(Self { authority, addresses, clients: BTreeMap::new(), _envoy: envoy })
    }

    /// A client for the connection that the case describes.
    pub(super) fn client(
        &mut self,
        loaded: &Loaded,
        case: &mesh_policy_testkit::corpus::Case,
    ) -> Result<&Client> {
        let Request { from, sni, source_ip, .. } = &case.request;
        let connection = Connection {
            listener: from.as_ref().map_or_else(|| loaded.name.clone(), |_| encrypted_name(&loaded.name)),
            from: from.clone(),
            sni: sni.clone(),
            source: source_ip.clone(),
            prelude: prelude(&case.request)?,
        };
        if !self.clients.contains_key(&connection) {
            let client = self.connect(&connection)?;
            self.clients.insert(connection.clone(), client);
        }
        self.clients.get(&connection).context("the client was just made")
    }

    fn connect(&self, connection: &Connection) -> Result<Client> {
        let Connection { listener, from, sni, source, prelude } = connection;
        let address = *self.addresses.get(listener).context(format_args!("no listener `{listener}`"))?;
        let mut client = match from {
            None => Client::new(address),
            Some(ids) => {
                let name =
                    |id: &str| id.try_into().map(SanType::URI).context(format_args!("the identity `{id}`"));
                let identity = self.authority.issue(ids.split(',').map(name).collect::<Result<_>>()?)?;
                let expected = Expect::Dns(sni.clone().unwrap_or_else(|| DEFAULT_SNI.to_owned()));
                Client::with_tls(address, self.authority.client(expected, Some(&identity))?)
            }
        };
        if let Some(source) = source {
            client = client.from(source.parse().context("sourceIp")?);
        }
        if let Some(prelude) = prelude {
            client = client.prelude(prelude);
        }
        Ok(client)
    }
}

/// The line by which a proxy in front would tell the addresses of its client's connection.
fn prelude(request: &Request) -> Result<Option<String>> {
    let Request { source_ip, remote_ip, destination_ip, destination_port, .. } = request;
    if remote_ip.is_none() && destination_ip.is_none() && destination_port.is_none() {
        return Ok(None);
    }
    let told = [remote_ip, destination_ip].into_iter().flatten().any(|ip| ip.contains(':'));
    let default = if told { "::1" } else { "127.0.0.1" };
    let address = |ip: &Option<String>| -> Result<IpAddr> {
        ip.as_deref().unwrap_or(default).parse().context("remoteIp or destinationIp")
    };
    let remote = address(&remote_ip.clone().or_else(|| source_ip.clone().filter(|_| !told)))?;
    let destination = address(destination_ip)?;
    let family = if told { "TCP6" } else { "TCP4" };
    let port = destination_port.unwrap_or(80);
    Ok(Some(format!("PROXY {family} {remote} {destination} 50000 {port}\r\n")))
}

/// The listener of a group under the group's name, where a PROXY line may come first and each response tells its details.
fn prepared(mut listener: Value, name: &str) -> Option<Value> {
    config::merge(
        &mut listener,
        &json!({ "name": name, "listener_filters": [{
            "name": "envoy.filters.listener.proxy_protocol",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol",
                "allow_requests_without_proxy_protocol": true,
            },
        }] }),
    );
    let filters = config::manager_mut(&mut listener)?.get_mut("http_filters")?.as_array_mut()?;
    for config in filters.iter_mut().filter_map(|filter| filter.pointer_mut("/typed_config/config")) {
        // Groups share the module's VM; the root id tells them apart in it.
        let root_id = format!("{}.{name}", config.get("name")?.as_str()?);
        config::merge(config, &json!({ "name": root_id, "root_id": root_id }));
    }
    filters.insert(0, json!({
        "name": "envoy.filters.http.header_mutation",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation",
            "mutations": { "response_mutations": [append(DETAILS, "%RESPONSE_CODE_DETAILS%")] },
        },
    }));
    Some(listener)
}

fn encrypted_name(name: &str) -> String {
    format!("{name} over TLS")
}

fn encrypted(listener: &Value, transport: &Value) -> Option<Value> {
    let name = encrypted_name(listener.get("name")?.as_str()?);
    let mut listener = config::over_tls(listener, &name, transport)?;
    // Without it Envoy does not learn which name the client asks for.
    listener.pointer_mut("/listener_filters")?.as_array_mut()?.push(json!({
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector",
        },
    }));
    Some(listener)
}

/// A header mutation that sets.
fn append(name: &str, value: &str) -> Value {
    json!({ "append": { "header": { "key": name, "value": value }, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD" } })
}

/// The header mutation by which a cluster tells its name.
pub(super) fn tell_cluster(name: &str) -> Value {
    append(CLUSTER, name)
}
