//! A proxy that follows edits: its configuration in files that Envoy watches (filesystem xDS).
//!
//! ```text
//! envoy.yaml           the bootstrap: where the files are
//! secrets/NAME.json    SDS: a certificate with its key, or a CA
//! clusters.json        CDS
//! listeners.json       LDS; each listener names its routes and its Wasm filters, which stand in files of their own:
//! routes/LISTENER.json RDS
//! filters/NAME.json    ECDS: a Wasm filter with its plugin configuration
//! ```
//!
//! An edit that changes policy only is a new plugin configuration, so no listener drains. An edit that changes a listener
//! otherwise gives its routes and filters new names: Envoy swaps the filter chain, and the old one keeps the old policy to
//! its end. So a request meets one generation of policy, never half of each.
//!
//! [`steps`] is the order in which one generation is replaced by another: what is added comes first, what uses it next, and
//! what nothing uses any more goes last.

mod secrets;

use crate::envoy::{sds, typed};
use mesh_policy_core::control;
use secrets::SECRETS;
pub(crate) use secrets::named;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

/// The file of the clusters.
pub const CLUSTERS: &str = "clusters.json";
/// The file of the listeners.
pub const LISTENERS: &str = "listeners.json";

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const MANAGER: &str =
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// A proxy as a bootstrap and the files that it names.
#[derive(Debug, Clone, PartialEq)]
pub struct Dynamic {
    /// What Envoy is started with. It does not change with the resources, or the proxy has to be started anew.
    pub bootstrap: Value,
    /// What Envoy watches, by the path in the folder.
    pub files: BTreeMap<String, File>,
}

/// A file that Envoy watches.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// The prefix of Envoy's statistics about it.
    pub subscription: String,
    /// What stands in it.
    pub resources: Vec<Value>,
}

/// Files that can be replaced at once: each is put in its place before Envoy's answer to any is waited for.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Step {
    /// What is written, by the path in the folder.
    pub files: BTreeMap<String, File>,
    /// Those that Envoy watches already: it will say what it thinks of them. The others come into use by a later step.
    pub watched: Vec<String>,
}

impl File {
    /// The content: a discovery response of this version.
    #[must_use]
    pub fn response(&self, version: &str) -> Value {
        json!({"version_info": version, "resources": self.resources})
    }
}

/// Divides a static bootstrap into one that names files, and the files; `folder` is where Envoy finds them.
#[must_use]
pub fn dynamic(bootstrap: &Value, folder: &Path) -> Dynamic {
    let mut bootstrap = bootstrap.clone();
    let mut files = BTreeMap::new();
    let mut listeners = take(&mut bootstrap, "listeners");
    for listener in &mut listeners {
        secrets::divide(listener, folder, &mut files);
        divide(listener, folder, &mut files);
    }
    let clusters = take(&mut bootstrap, "clusters");
    // Those that Envoy needs before it reads any file.
    let is_own = |cluster: &Value| cluster.get("name").and_then(Value::as_str) == Some(sds::CLUSTER);
    let (own, mut clusters): (Vec<Value>, Vec<Value>) = clusters.into_iter().partition(is_own);
    if let (false, Some(place)) = (own.is_empty(), bootstrap.pointer_mut("/static_resources/clusters")) {
        *place = Value::Array(own);
    }
    for cluster in &mut clusters {
        secrets::divide(cluster, folder, &mut files);
    }
    let mut add = |name: &str, subscription: &str, kind: &str, resources: Vec<Value>| {
        let resources = resources.into_iter().map(|resource| typed(kind, resource)).collect();
        files.insert(name.to_owned(), File { subscription: subscription.to_owned(), resources });
    };
    add(CLUSTERS, "cluster_manager.cds", "envoy.config.cluster.v3.Cluster", clusters);
    add(LISTENERS, "listener_manager.lds", "envoy.config.listener.v3.Listener", listeners);
    if let Some(bootstrap) = bootstrap.as_object_mut() {
        let resources = json!({
            "cds_config": config_source(&folder.join(CLUSTERS)),
            "lds_config": config_source(&folder.join(LISTENERS)),
        });
        bootstrap.insert("dynamic_resources".to_owned(), resources);
    }
    Dynamic { bootstrap, files }
}

/// The steps from one generation to another.
#[must_use]
pub fn steps(from: &Dynamic, to: &Dynamic) -> Vec<Step> {
    // What Envoy has, as the steps go on.
    let mut has = from.files.clone();
    let mut steps = Vec::new();
    let mut step = |wanted: BTreeMap<String, File>| {
        let files: BTreeMap<String, File> =
            wanted.into_iter().filter(|(name, file)| has.get(name) != Some(file)).collect();
        if files.is_empty() {
            return;
        }
        has.extend(files.clone());
        let watched = files.keys().filter(|name| from.files.contains_key(*name)).cloned().collect();
        steps.push(Step { files, watched });
    };
    let old = |name: &str| from.files.get(name);
    let named = |name: &str| -> BTreeMap<String, File> {
        to.files.get(name).map(|file| (name.to_owned(), file.clone())).into_iter().collect()
    };
    let among = |folder: &str| -> BTreeMap<String, File> {
        let inside = to.files.iter().filter(|(name, _)| name.starts_with(folder));
        inside.map(|(name, file)| (name.clone(), file.clone())).collect()
    };
    // Whoever proves himself by a certificate that is new finds it there.
    step(among(SECRETS));
    // Routes and filters must not lead to clusters that are not there: new ones come first, old ones stay until the end.
    step(joined(named(CLUSTERS), &old, both));
    let routes = among(ROUTES);
    step(joined(routes.clone(), &old, |old, new| {
        if selected_by_profile(old) && selected_by_profile(new) { both_tables(old, new) } else { new.clone() }
    }));
    step(among(FILTERS));
    step(named(LISTENERS));
    step(routes);
    step(named(CLUSTERS));
    steps
}

/// `to` with the clusters that only `from` has: requests on their way, delayed or about to be tried again, still need them.
#[must_use]
pub fn keeping(from: &Dynamic, to: &Dynamic) -> Dynamic {
    let mut kept = to.clone();
    if let (Some(old), Some(new)) = (from.files.get(CLUSTERS), to.files.get(CLUSTERS)) {
        kept.files.insert(CLUSTERS.to_owned(), both(old, new));
    }
    kept
}

/// The files of `from` that `to` has no use for.
pub fn unused<'d>(from: &'d Dynamic, to: &'d Dynamic) -> impl Iterator<Item = &'d str> {
    from.files.keys().filter(|name| !to.files.contains_key(*name)).map(String::as_str)
}

const ROUTES: &str = "routes/";
const FILTERS: &str = "filters/";

/// Takes the routes and Wasm filters out of a listener and puts the names of files in their place.
fn divide(listener: &mut Value, folder: &Path, files: &mut BTreeMap<String, File>) {
    let name = listener.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for manager in managers(listener) {
        let routes = manager.get_mut("route_config").map(Value::take);
        let filters = manager.get_mut("http_filters").and_then(Value::as_array_mut);
        let wasm =
            |filter: &&mut Value| filter.pointer("/typed_config/@type").and_then(Value::as_str) == Some(WASM);
        let configurations: Vec<Value> = filters
            .into_iter()
            .flatten()
            .filter(wasm)
            .filter_map(|filter| filter.get_mut("typed_config").map(Value::take))
            .collect();
        found.push((routes, configurations));
    }
    // What is left decides whether the listener is still the same one.
    let mut hasher = DefaultHasher::new();
    listener.to_string().hash(&mut hasher);
    let shape = format!("{:08x}", hasher.finish() & 0xffff_ffff);
    let alone = found.len() == 1;
    for (index, (manager, (routes, configurations))) in managers(listener).into_iter().zip(found).enumerate()
    {
        let chain = if alone { String::new() } else { format!(".{index}") };
        let place = format!("{name}{chain}.{shape}");
        if let Some(mut routes) = routes {
            let file = format!("{ROUTES}{}.json", file_name(&place));
            if let Some(routes) = routes.as_object_mut() {
                routes.insert("name".to_owned(), json!(place));
            }
            let prefix = manager.get("stat_prefix").and_then(Value::as_str).unwrap_or_default();
            let subscription = format!("http.{prefix}.rds.{place}");
            manager.remove("route_config");
            let source = config_source(&folder.join(&file));
            manager.insert("rds".to_owned(), json!({"route_config_name": place, "config_source": source}));
            let resources = vec![typed("envoy.config.route.v3.RouteConfiguration", routes)];
            files.insert(file, File { subscription, resources });
        }
        let filters = manager.get_mut("http_filters").and_then(Value::as_array_mut);
        let emptied =
            filters.into_iter().flatten().filter(|f| f.get("typed_config").is_some_and(Value::is_null));
        for (filter, configuration) in emptied.zip(configurations) {
            let Some(filter) = filter.as_object_mut() else { continue };
            let kind = filter.get("name").and_then(Value::as_str).unwrap_or_default();
            let resource = format!("{kind}.{place}");
            let file = format!("{FILTERS}{}.json", file_name(&resource));
            filter.remove("typed_config");
            filter.insert("name".to_owned(), json!(resource));
            let source = config_source(&folder.join(&file));
            filter
                .insert("config_discovery".to_owned(), json!({"config_source": source, "type_urls": [WASM]}));
            let subscription = format!("extension_config_discovery.http_filter.{resource}");
            let fields = json!({"name": resource, "typed_config": configuration});
            let resources = vec![typed("envoy.config.core.v3.TypedExtensionConfig", fields)];
            files.insert(file, File { subscription, resources });
        }
    }
}

/// The HTTP connection managers of all filter chains.
fn managers(listener: &mut Value) -> Vec<&mut Map<String, Value>> {
    let Some(listener) = listener.as_object_mut() else { return Vec::new() };
    let mut managers = Vec::new();
    for (key, value) in listener {
        let chains: Vec<&mut Value> = match (key.as_str(), value) {
            ("filter_chains", Value::Array(chains)) => chains.iter_mut().collect(),
            ("default_filter_chain", chain) => vec![chain],
            _ => continue,
        };
        for chain in chains {
            let filters = chain.get_mut("filters").and_then(Value::as_array_mut).into_iter().flatten();
            let configurations = filters.filter_map(|filter| filter.get_mut("typed_config")?.as_object_mut());
            managers
                .extend(configurations.filter(|c| c.get("@type").and_then(Value::as_str) == Some(MANAGER)));
        }
    }
    managers
}

/// A file that is moved into place: Envoy reads it then, and never half of it.
fn config_source(path: &Path) -> Value {
    json!({"path_config_source": {"path": path}, "resource_api_version": "V3"})
}

fn take(bootstrap: &mut Value, kind: &str) -> Vec<Value> {
    let list = bootstrap.pointer_mut(&format!("/static_resources/{kind}"));
    match list.map(Value::take) {
        Some(Value::Array(resources)) => resources,
        _ => Vec::new(),
    }
}

/// A name that every file system takes, and that two names never share.
fn file_name(name: &str) -> String {
    let mut file = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"._-".contains(&byte) {
            file.push(char::from(byte));
        } else {
            file.push_str(&format!("%{byte:02X}"));
        }
    }
    file
}

/// Each file as `join` makes it of the one there is and the one there will be.
fn joined<'f>(
    wanted: BTreeMap<String, File>,
    old: &impl Fn(&str) -> Option<&'f File>,
    join: impl Fn(&File, &File) -> File,
) -> BTreeMap<String, File> {
    let join = |(name, new): (String, File)| {
        let file = match old(&name) {
            Some(old) => join(old, &new),
            None => new,
        };
        (name, file)
    };
    wanted.into_iter().map(join).collect()
}

/// All that is new, and what was there under other names.
fn both(old: &File, new: &File) -> File {
    let resources = extended(&new.resources, &old.resources);
    File { resources, ..new.clone() }
}

fn extended(new: &[Value], old: &[Value]) -> Vec<Value> {
    let name = |value: &Value| value.get("name").and_then(Value::as_str).map(str::to_owned);
    let gone = old.iter().filter(|o| new.iter().all(|n| name(n) != name(o)));
    new.iter().chain(gone).cloned().collect()
}

/// The routes of one virtual host.
const ALL_ROUTES: &str = "/virtual_hosts/0/routes";

/// Whether the order of the routes is of no account, because a header selects one of them: a table of ours, not one that
/// Envoy decides by.
fn selected_by_profile(file: &File) -> bool {
    let by_profile = |route: &Value| {
        route.pointer("/match/headers/0/name").and_then(Value::as_str) == Some(control::PROFILE)
    };
    file.resources.iter().all(|table| {
        let hosts = table.get("virtual_hosts").and_then(Value::as_array).map_or(0, Vec::len);
        let routes = table.pointer(ALL_ROUTES).and_then(Value::as_array);
        hosts == 1 && routes.is_some_and(|routes| routes.iter().all(by_profile))
    })
}

fn both_tables(old: &File, new: &File) -> File {
    let mut both = new.clone();
    for (new, old) in both.resources.iter_mut().zip(&old.resources) {
        let routes = |table: &Value| table.pointer(ALL_ROUTES).and_then(Value::as_array).cloned();
        let all = extended(&routes(new).unwrap_or_default(), &routes(old).unwrap_or_default());
        if let Some(routes) = new.pointer_mut(ALL_ROUTES) {
            *routes = Value::Array(all);
        }
    }
    both
}

#[cfg(test)]
mod tests;
