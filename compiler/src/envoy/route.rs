//! The route table in front of which the router filter decides: everything goes where [`control::CLUSTER`] says.
//!
//! One route for each forwarding profile that a rule of the listener has, selected by [`control::PROFILE`], and one for all
//! other rules.

use crate::gateway::redirect::Domains;
use crate::options::Modules;
use mesh_policy_core::control;
use mesh_policy_core::route::{ForwardingProfile, OwnRetries};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// What is retried when a rule has no `retries`: Istio's default, two tries more for failures that cannot have had an
/// effect upstream.
const DEFAULT_RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

/// How often Envoy draws again when it meets a host that was already tried.
const HOST_SELECTION_ATTEMPTS: &str = "5";

/// What a route table is made of.
pub(crate) struct Routes<'r> {
    pub name: &'r str,
    pub profiles: &'r [&'r ForwardingProfile],
    /// The clusters that choose an instance by a key.
    pub hashed: &'r BTreeSet<String>,
    /// Hosts that are sent to https.
    pub redirected: &'r Domains,
    pub modules: &'r Modules,
}

/// A service that a sidecar forwards to when no rule speaks for it.
pub(crate) struct OwnHost {
    pub domains: Vec<String>,
    /// By port; the first is taken when a request names none of them.
    pub clusters: Vec<(u16, String)>,
}

impl OwnHost {
    fn routes(&self) -> Vec<Value> {
        let mut routes = Vec::new();
        for (port, cluster) in self.clusters.iter().filter(|_| self.clusters.len() > 1) {
            let authority = json!([{"name": ":authority", "string_match": {"suffix": format!(":{port}")}}]);
            let mut route = to_cluster(cluster);
            merge(&mut route, json!({"match": {"headers": authority}}));
            routes.push(route);
        }
        routes.extend(self.clusters.first().map(|(_, cluster)| to_cluster(cluster)));
        routes
    }
}

impl Routes<'_> {
    pub(crate) fn config(&self) -> Value {
        self.with_hosts(&self.virtual_hosts(&self.routes()))
    }

    /// For a sidecar: where no rule speaks, a request goes to the service of its host, and nowhere when there is none, as
    /// Istio's `REGISTRY_ONLY` has it.
    pub(crate) fn outbound(&self, own: &[OwnHost]) -> Value {
        let mut chosen = self.routes();
        // A request of which no rule was found carries no choice.
        for route in &mut chosen {
            let header = json!({"name": control::CLUSTER, "present_match": true});
            if let Some(headers) = route.pointer_mut("/match/headers").and_then(Value::as_array_mut) {
                headers.push(header);
            }
        }
        let mut hosts: Vec<Value> = own
            .iter()
            .map(|host| {
                let routes: Vec<Value> = chosen.iter().cloned().chain(host.routes()).collect();
                let name = host.domains.first();
                json!({"name": name, "domains": host.domains, "routes": routes})
            })
            .collect();
        chosen.push(json!({
            "name": "block_all",
            "match": {"prefix": "/"},
            "direct_response": {"status": 502},
        }));
        hosts.push(json!({"name": "block_all", "domains": ["*"], "routes": chosen}));
        self.with_hosts(&hosts)
    }

    fn with_hosts(&self, hosts: &[Value]) -> Value {
        json!({
            "name": self.name,
            "validate_clusters": false,
            "ignore_port_in_host_matching": true,
            "max_direct_response_body_size_bytes": 1_048_576,
            "virtual_hosts": hosts,
            // The route is chosen by then, and no mirror or service is to hear them.
            "request_headers_to_remove": control::ALL,
        })
    }

    fn routes(&self) -> Vec<Value> {
        let mut routes = vec![route("default", default_retries(true))];
        // The default comes first: most rules need nothing else, and Envoy tries its routes one by one.
        if let Some(default) = routes.first_mut() {
            merge(default, without_profile());
        }
        if !self.hashed.is_empty() {
            let mut hashed = route("default-hashed", default_retries(false));
            merge(&mut hashed, without_profile());
            let clusters: Vec<String> = self.hashed.iter().map(|name| escape(name)).collect();
            let names = json!({"name": control::CLUSTER, "string_match": {"safe_regex": {"regex": clusters.join("|")}}});
            if let Some(headers) = hashed.pointer_mut("/match/headers").and_then(Value::as_array_mut) {
                headers.push(names);
            }
            // The instance that the key points to is tried again, as only it may know what the key stands for.
            routes.insert(0, hashed);
        }
        for profile in self.profiles {
            let retries = profile.retries().map_or_else(|| default_retries(true), own_retries);
            let mut route = route(profile.name(), retries);
            let selector = json!([{"name": control::PROFILE, "string_match": {"exact": profile.name()}}]);
            merge(&mut route, json!({"match": {"headers": selector}}));
            let mirrors: Vec<Value> = profile.mirrors().map(mirror).collect();
            if !mirrors.is_empty() {
                merge(&mut route, json!({"route": {"request_mirror_policies": mirrors}}));
            }
            routes.push(route);
        }
        routes
    }

    /// Hosts that are sent to https have a virtual host of their own, at which the filters that route are off. With the single
    /// filters authorization stays; the one module that decides everything is off as a whole, and nothing is forwarded there.
    fn virtual_hosts(&self, routes: &[Value]) -> Vec<Value> {
        let Domains { redirected, open } = self.redirected;
        if redirected.is_empty() {
            return vec![json!({"name": "*", "domains": ["*"], "routes": routes})];
        }
        let names: &[&str] = match self.modules {
            Modules::Fused(_) => &["mesh_policy"],
            Modules::Separate { .. } => &["mesh_headers", "mesh_fault", "mesh_router"],
        };
        let off: Map<String, Value> = names
            .iter()
            .map(|name| {
                let config = super::typed("envoy.config.route.v3.FilterConfig", json!({"disabled": true}));
                ((*name).to_owned(), config)
            })
            .collect();
        let mut hosts = vec![json!({
            "name": "https-redirect",
            "domains": redirected,
            "routes": [{
                "name": "https-redirect",
                "match": {"prefix": "/"},
                "redirect": {"https_redirect": true},
                "typed_per_filter_config": off,
            }],
        })];
        let mut domains: Vec<&str> = open.iter().map(String::as_str).collect();
        if !redirected.contains("*") && !open.contains("*") {
            domains.push("*");
        }
        if !domains.is_empty() {
            hosts.push(json!({"name": "*", "domains": domains, "routes": routes}));
        }
        hosts
    }
}

fn without_profile() -> Value {
    json!({"match": {"headers": [{"name": control::PROFILE, "present_match": true, "invert_match": true}]}})
}

/// The name as an expression for itself.
fn escape(name: &str) -> String {
    name.chars()
        .flat_map(|c| (!c.is_ascii_alphanumeric() && c.is_ascii()).then_some('\\').into_iter().chain([c]))
        .collect()
}

/// Istio's retries for rules without `retries`.
fn default_retries(avoid_tried_hosts: bool) -> Value {
    let mut policy =
        own_retries(OwnRetries { avoid_tried_hosts, remote_localities: false, backoff_ms: None });
    merge(&mut policy, json!({"num_retries": 2, "retry_on": DEFAULT_RETRY_ON}));
    policy
}

/// Where and when a rule's own tries go; how many and after what, the router filter says by headers.
fn own_retries(retries: OwnRetries) -> Value {
    let OwnRetries { avoid_tried_hosts, remote_localities, backoff_ms } = retries;
    let mut policy = json!({"host_selection_retry_max_attempts": HOST_SELECTION_ATTEMPTS});
    if avoid_tried_hosts {
        let predicate = super::extension(
            "envoy.retry_host_predicates.previous_hosts",
            "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            json!({}),
        );
        merge(&mut policy, json!({"retry_host_predicate": [predicate]}));
    }
    if remote_localities {
        let priority = super::extension(
            "envoy.retry_priorities.previous_priorities",
            "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig",
            json!({"update_frequency": 2}),
        );
        merge(&mut policy, json!({"retry_priority": priority}));
    }
    if let Some(milliseconds) = backoff_ms {
        let interval = format!("{}.{:03}s", milliseconds / 1000, milliseconds % 1000);
        merge(&mut policy, json!({"retry_back_off": {"base_interval": interval}}));
    }
    policy
}

fn mirror((cluster, share): (&str, u32)) -> Value {
    json!({
        "cluster": cluster,
        "runtime_fraction": {"default_value": {"numerator": share, "denominator": "MILLION"}},
        "disable_shadow_host_suffix_append": true,
    })
}

fn route(name: &str, retry_policy: Value) -> Value {
    json!({
        "name": name,
        // Also of paths that a rewrite left without a leading slash.
        "match": {"prefix": ""},
        "route": {
            "cluster_header": control::CLUSTER,
            // No bound unless the filter says one; it knows what a gRPC client asks for, too.
            "timeout": "0s",
            "retry_policy": retry_policy,
        },
    })
}

fn to_cluster(cluster: &str) -> Value {
    let mut route = route("default", default_retries(true));
    if let Some(action) = route.pointer_mut("/route").and_then(Value::as_object_mut) {
        action.remove("cluster_header");
        action.insert("cluster".to_owned(), json!(cluster));
    }
    route
}

/// Puts the fields of `from` into `into`, objects into objects.
fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}
