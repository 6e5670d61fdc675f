//! External authorizers: whom Envoy's ext_authz filter asks, and how, on behalf of CUSTOM policies.
//!
//! The filter stands between two halves of the authorization and asks only about requests that the first half has marked:
//! the Wasm filters by a header that a filter in between makes metadata of, Envoy's own RBAC filter by shadow rules.

use crate::envoy::{duration, extension, put};
use crate::source::Sources;
use mesh_policy_core::control;
use mesh_policy_istio::authorization_policy::Action;
use mesh_policy_istio::mesh_config::{
    ExternalAuthorizationGrpc, ExternalAuthorizationHttp, MeshConfig, RequestBody,
};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// How long an answer may take when the provider does not say.
const TIMEOUT: &str = "600s";

/// The external authorizers of a mesh configuration, as one proxy reaches them.
#[derive(Debug, Default)]
pub struct Providers {
    by_name: BTreeMap<String, Provider>,
    /// Those that are defined, but that the proxy does not reach, and why not.
    unreachable: BTreeMap<String, String>,
}

/// One that can be asked.
#[derive(Debug)]
pub(crate) struct Provider {
    cluster: String,
    host: String,
    protocol: Protocol,
}

#[derive(Debug)]
enum Protocol {
    Http(Box<ExternalAuthorizationHttp>),
    Grpc(ExternalAuthorizationGrpc),
}

/// What makes the filter ask.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trigger {
    /// A header by which a Wasm filter names the provider; [`header_to_metadata`] has to stand in between.
    Header,
    /// A shadow rule of the RBAC filter in front, its name beginning with this.
    ShadowRule,
}

/// What a shadow rule's name begins with, the provider's name being next.
pub(crate) const SHADOW_RULE: &str = "istio-ext-authz-";

/// What the metadata of those shadow rules begins with.
pub(crate) const SHADOW_PREFIX: &str = "istio_ext_authz_";

impl Providers {
    /// The authorizers of `config`; `cluster` says which cluster leads to a host and port.
    pub fn new(config: &MeshConfig, cluster: impl Fn(&str, u16) -> Result<String, String>) -> Self {
        let mut providers = Self::default();
        for extension in &config.extension_providers {
            let (service, port, protocol) =
                match (&extension.envoy_ext_authz_http, &extension.envoy_ext_authz_grpc) {
                    (Some(http), _) => (&http.service, http.port, Protocol::Http(Box::new(http.clone()))),
                    (None, Some(grpc)) => (&grpc.service, grpc.port, Protocol::Grpc(grpc.clone())),
                    (None, None) => continue,
                };
            let name = extension.name.clone().unwrap_or_default();
            let service = service.as_deref().unwrap_or_default();
            let host = service.split_once('/').map_or(service, |(_, host)| host).to_ascii_lowercase();
            match cluster(&host, port.and_then(crate::values::port).unwrap_or_default()) {
                Ok(cluster) => {
                    providers.by_name.insert(name, Provider { cluster, host, protocol });
                }
                Err(why) => {
                    providers.unreachable.insert(name, why);
                }
            }
        }
        providers
    }

    /// Those that can be asked.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.by_name.keys().cloned().collect()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Provider> {
        self.by_name.get(name)
    }

    /// The one that all of these CUSTOM policies name, when it can be asked.
    fn of<'p>(&'p self, custom: &[&Resource]) -> Option<(&'p str, &'p Provider)> {
        let mut names = custom.iter().map(|resource| provider_of(resource));
        let first = names.next()??;
        if !names.all(|other| other == Some(first)) {
            return None;
        }
        self.by_name.get_key_value(first).map(|(name, provider)| (name.as_str(), provider))
    }

    /// The filters that ask, behind a Wasm filter that judges these CUSTOM policies.
    #[must_use]
    pub fn http_filters(&self, custom: &[&Resource]) -> Vec<Value> {
        let asking = self.of(custom).map(|(name, provider)| provider.http_filter(name, Trigger::Header));
        std::iter::once(header_to_metadata()).chain(asking).collect()
    }

    /// Says which of the CUSTOM policies of a proxy lead to nobody: the requests that match them are denied.
    pub(crate) fn warn(&self, custom: &[&Resource], problems: &mut Problems) {
        let first = custom.first().and_then(|resource| Some((*resource, provider_of(resource)?)));
        for resource in custom {
            let Some(name) = provider_of(resource) else { continue };
            let at = resource.spec_path().field("provider").field("name");
            if let Some((other, _)) = first.filter(|(_, first)| *first != name) {
                problems.warning(
                    at.clone(),
                    ProblemKind::Conflict,
                    format!(
                        "{other} names another provider, and a proxy asks one: requests that match either are denied"
                    ),
                );
            }
            if self.by_name.contains_key(name) {
                continue;
            }
            let (why, help) = match self.unreachable.get(name) {
                Some(why) => (why.clone(), None),
                None => (
                    format!("no external authorizer `{name}` is defined"),
                    Some(
                        "`extensionProviders` of a mesh configuration define them; --mesh-config names its file",
                    ),
                ),
            };
            let message = format!("{why}: requests that match are denied");
            let problem = problems.warning(at, ProblemKind::UnknownReference, message);
            if let Some(help) = help {
                problem.help(help);
            }
        }
    }
}

/// The name by which a CUSTOM policy knows its provider.
pub(crate) fn provider_of(resource: &Resource) -> Option<&str> {
    let Spec::AuthorizationPolicy(policy) = &resource.spec else { return None };
    policy.provider.as_ref()?.name.as_deref()
}

/// Whether this is a CUSTOM policy.
pub(crate) fn is_custom(resource: &Resource) -> bool {
    matches!(&resource.spec, Spec::AuthorizationPolicy(policy) if policy.action == Some(Action::Custom))
}

/// Warns about CUSTOM policies whose provider no mesh configuration defines, whatever proxy they apply to.
pub(crate) fn check(resources: &[Resource], config: Option<&MeshConfig>, problems: &mut Problems) {
    // Whether a proxy reaches it is asked when the proxy is compiled.
    let providers = config.map(|config| Providers::new(config, |_, _| Ok(String::new()))).unwrap_or_default();
    for resource in resources.iter().filter(|resource| is_custom(resource)) {
        providers.warn(&[resource], problems);
    }
}

/// The names of the external authorizers that the mesh configuration of `sources` defines.
#[must_use]
pub fn provider_names(sources: &Sources) -> Vec<String> {
    let config = sources.mesh_config().map(|placed| &placed.config);
    config.map(|config| Providers::new(config, |_, _| Ok(String::new())).names()).unwrap_or_default()
}

/// Makes metadata of the header by which a Wasm filter names the provider, and takes the header away: neither the provider nor
/// the upstream sees it.
fn header_to_metadata() -> Value {
    let (namespace, key) = control::EXT_AUTHZ_METADATA;
    extension(
        "envoy.filters.http.header_to_metadata",
        "envoy.extensions.filters.http.header_to_metadata.v3.Config",
        json!({"request_rules": [{
            "header": control::EXT_AUTHZ,
            "on_header_present": {"metadata_namespace": namespace, "key": key, "type": "STRING"},
            "remove": true,
        }]}),
    )
}

impl Provider {
    /// Whether it can be asked about connections that are not known to carry HTTP.
    pub(crate) const fn judges_connections(&self) -> bool {
        matches!(self.protocol, Protocol::Grpc(_))
    }

    /// The filter that asks this provider about requests.
    pub(crate) fn http_filter(&self, name: &str, trigger: Trigger) -> Value {
        let mut config = Map::new();
        put(&mut config, "transport_api_version", json!("V3"));
        let (fail_open, status, body, clear) = match &self.protocol {
            Protocol::Http(http) => {
                self.http_service(http, &mut config);
                (
                    http.fail_open,
                    &http.status_on_error,
                    &http.include_request_body_in_check,
                    http.clear_route_cache,
                )
            }
            Protocol::Grpc(grpc) => {
                put(&mut config, "grpc_service", self.grpc_service(grpc));
                (
                    grpc.fail_open,
                    &grpc.status_on_error,
                    &grpc.include_request_body_in_check,
                    grpc.clear_route_cache,
                )
            }
        };
        put(&mut config, "failure_mode_allow", json!(fail_open.unwrap_or(false)));
        let status = status.as_deref().and_then(crate::mesh_config::status_code);
        put(&mut config, "status_on_error", status.map_or(Value::Null, |code| json!({"code": code})));
        put(&mut config, "with_request_body", body.as_ref().map_or(Value::Null, request_body));
        put(&mut config, "clear_route_cache", json!(clear.unwrap_or(false)));
        put(&mut config, "filter_enabled_metadata", trigger.metadata("envoy.filters.http.rbac", name));
        extension(
            "envoy.filters.http.ext_authz",
            "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
            Value::Object(config),
        )
    }

    /// The filter that asks this provider about connections; none for one that is asked over HTTP.
    pub(crate) fn network_filter(&self, name: &str) -> Option<Value> {
        let Protocol::Grpc(grpc) = &self.protocol else { return None };
        Some(extension(
            "envoy.filters.network.ext_authz",
            "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
            json!({
                "stat_prefix": "tcp.",
                "transport_api_version": "V3",
                "grpc_service": self.grpc_service(grpc),
                "failure_mode_allow": grpc.fail_open.unwrap_or(false),
                "filter_enabled_metadata": Trigger::ShadowRule.metadata("envoy.filters.network.rbac", name),
            }),
        ))
    }

    fn http_service(&self, http: &ExternalAuthorizationHttp, config: &mut Map<String, Value>) {
        let mut service = Map::new();
        put(
            &mut service,
            "server_uri",
            json!({
                // Envoy takes the cluster for the address, and this for the authority.
                "uri": format!("http://{}", self.host),
                "cluster": self.cluster,
                "timeout": http.timeout.map_or(json!(TIMEOUT), duration),
            }),
        );
        let prefix = http.path_prefix.as_ref().filter(|prefix| !prefix.is_empty());
        put(&mut service, "path_prefix", json!(prefix));
        let added: Vec<Value> = http
            .include_additional_headers_in_check
            .iter()
            .map(|(key, value)| json!({"key": key, "value": value}))
            .collect();
        if !added.is_empty() {
            put(&mut service, "authorization_request", json!({"headers_to_add": added}));
        }
        let mut response = Map::new();
        for (field, names) in [
            ("allowed_upstream_headers", &http.headers_to_upstream_on_allow),
            ("allowed_client_headers", &http.headers_to_downstream_on_deny),
            ("allowed_client_headers_on_success", &http.headers_to_downstream_on_allow),
        ] {
            put(&mut response, field, header_names(names));
        }
        if !response.is_empty() {
            put(&mut service, "authorization_response", Value::Object(response));
        }
        put(config, "http_service", Value::Object(service));
        let seen = match http.include_request_headers_in_check.as_slice() {
            [] => &http.include_headers_in_check,
            _ => &http.include_request_headers_in_check,
        };
        put(config, "allowed_headers", header_names(seen));
    }

    fn grpc_service(&self, grpc: &ExternalAuthorizationGrpc) -> Value {
        json!({
            "envoy_grpc": {
                "cluster_name": self.cluster,
                // The name of the cluster would be the default, and `|` is illegal there.
                "authority": self.host,
            },
            "timeout": grpc.timeout.map_or(json!(TIMEOUT), duration),
        })
    }
}

impl Trigger {
    fn metadata(self, rbac: &str, name: &str) -> Value {
        let (filter, key, matched) = match self {
            Self::Header => {
                let (namespace, key) = control::EXT_AUTHZ_METADATA;
                (namespace, key.to_owned(), json!({"exact": name}))
            }
            Self::ShadowRule => (
                rbac,
                format!("{SHADOW_PREFIX}shadow_effective_policy_id"),
                json!({"prefix": format!("{SHADOW_RULE}{name}")}),
            ),
        };
        json!({"filter": filter, "path": [{"key": key}], "value": {"string_match": matched}})
    }
}

fn request_body(body: &RequestBody) -> Value {
    json!({
        "max_request_bytes": body.max_request_bytes,
        "allow_partial_message": body.allow_partial_message.unwrap_or(false),
        "pack_as_bytes": body.pack_as_bytes.unwrap_or(false),
    })
}

/// Names of headers, of which one star at the begin or end stands for any text.
fn header_names(names: &[String]) -> Value {
    if names.is_empty() {
        return Value::Null;
    }
    let patterns: Vec<Value> = names
        .iter()
        .map(|name| match (name.strip_prefix('*'), name.strip_suffix('*')) {
            _ if name == "*" => json!({"safe_regex": {"regex": ".+"}}),
            (Some(rest), _) => json!({"suffix": rest, "ignore_case": true}),
            (None, Some(rest)) => json!({"prefix": rest, "ignore_case": true}),
            (None, None) => json!({"exact": name, "ignore_case": true}),
        })
        .collect();
    json!({"patterns": patterns})
}

#[cfg(test)]
mod tests;
