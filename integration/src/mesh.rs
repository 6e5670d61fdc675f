//! A service with two versions, and an Envoy whose listeners have the filters that a test puts there.
//!
//! Behind each listener stand routes as the READMEs of the filters describe them: what the filters order is carried out, and
//! what they leave alone goes to `own`, the cluster of Envoy's own routes. Every response says by headers how it came about:
//! `x-details` are the response-code details, `x-authz` what `mesh_authz.wasm` published.

use std::{net::SocketAddr, ops::Deref, thread};

use serde_json::{Value, json};

use crate::{
    Result,
    client::{Client, Http2Client},
    config,
    envoy::{Envoy, Options},
    upstream::{Tries, Upstream},
    wait::PATIENCE,
};

/// The cluster of version 1, which has two instances.
pub const V1: &str = "outbound|80|v1|customers.default.svc.cluster.local";

/// The cluster of version 2, which has one.
pub const V2: &str = "outbound|80|v2|customers.default.svc.cluster.local";

/// The route that a rule gets by itself.
const DEFAULT_RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";

/// The services and the Envoy.
#[derive(Debug)]
pub struct Mesh {
    /// The Envoy.
    pub envoy: Envoy,
    /// The instances of version 1; they count tries together.
    pub v1: [Upstream; 2],
    /// The instance of version 2.
    pub v2: Upstream,
    /// Behind Envoy's own route.
    pub own: Upstream,
}

impl Mesh {
    /// Starts it; the services speak HTTP/1.1.
    ///
    /// # Errors
    /// Envoy or a service does not start.
    pub fn start(listeners: &[Value]) -> Result<Self> {
        Self::start_with(listeners, config::cluster)
    }

    /// Starts it; the services speak HTTP/2, as gRPC wants.
    ///
    /// # Errors
    /// Envoy or a service does not start.
    pub fn start_http2(listeners: &[Value]) -> Result<Self> {
        Self::start_with(listeners, config::cluster_http2)
    }

    fn start_with(listeners: &[Value], cluster: fn(&str, &[SocketAddr]) -> Value) -> Result<Self> {
        let tries = Tries::default();
        let instance = |name: &str| Upstream::builder(name).tries(&tries).start();
        let (a, b) = (instance("v1-a")?, instance("v1-b")?);
        let (v2, own) = (instance("v2")?, instance("own")?);
        let clusters = [
            cluster(V1, &[a.address(), b.address()]),
            cluster(V2, &[v2.address()]),
            cluster("own", &[own.address()]),
        ];
        // Each module takes seconds of computing, and tests beside this one may compute too.
        let options = Options { ready_within: 4 * PATIENCE, ..Options::default() };
        let envoy = Envoy::start(&config::bootstrap(listeners, &clusters), &options)?;
        Ok(Self { envoy, v1: [a, b], v2, own })
    }

    /// An HTTP/1.1 client for a listener.
    ///
    /// # Errors
    /// There is no such listener.
    pub fn client(&self, listener: &str) -> Result<Client> {
        Ok(Client::new(self.envoy.listener(listener)?))
    }

    /// An HTTP/2 client for a listener.
    ///
    /// # Errors
    /// There is no such listener.
    pub fn client_http2(&self, listener: &str) -> Result<Http2Client> {
        Http2Client::connect(self.envoy.listener(listener)?)
    }

    /// How many requests for this path the instances of version 1 got, together.
    pub fn count_v1(&self, path: &str) -> usize {
        self.v1.iter().map(|instance| instance.count_path(path)).sum()
    }

    /// Lends it to a test: if that fails, the end of Envoy's log is printed.
    pub fn lend(&self) -> Lent<'_> {
        Lent(self)
    }
}

/// A mesh that tests of one file share.
#[derive(Debug)]
pub struct Lent<'m>(&'m Mesh);

impl Deref for Lent<'_> {
    type Target = Mesh;

    fn deref(&self) -> &Mesh {
        self.0
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- end of Envoy's log\n{}\n---", self.0.envoy.log_tail());
        }
    }
}

/// The routes behind the filters, which take our headers away, as the README of the router asks.
pub fn routes() -> Value {
    let absent = |name: &str| json!({ "name": name, "present_match": true, "invert_match": true });
    let profile = |name: &str| json!({ "name": "x-mesh-policy-profile", "string_match": { "exact": name } });
    let other_hosts = json!({
        "retry_host_predicate": [{
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate",
            },
        }],
        "host_selection_retry_max_attempts": 5,
    });
    let mut default_retries = other_hosts.clone();
    config::merge(&mut default_retries, &json!({ "retry_on": DEFAULT_RETRY_ON, "num_retries": 2 }));
    let ordered = |selector: Value, retries: &Value, mirrors: Value| {
        json!({
            "match": { "prefix": "/", "headers": [selector] },
            "route": {
                "cluster_header": "x-mesh-policy-cluster",
                "timeout": "0s",
                "retry_policy": retries,
                "request_mirror_policies": mirrors,
            },
        })
    };
    let mirror = |share: u32| {
        let fraction = json!({ "default_value": { "numerator": share, "denominator": "MILLION" } });
        let name = format!("mirror={V2}@{share}");
        ordered(profile(&name), &default_retries, json!([{ "cluster": V2, "runtime_fraction": fraction }]))
    };
    let mut routes = config::routes(&[
        json!({ "match": { "prefix": "/", "headers": [absent("x-mesh-policy-cluster")] }, "route": { "cluster": "own" } }),
        ordered(absent("x-mesh-policy-profile"), &default_retries, json!([])),
        ordered(profile("retries=other-hosts"), &other_hosts, json!([])),
        mirror(500_000),
        mirror(1_000_000),
    ]);
    let shown = |key: &str, value: &str| json!({ "header": { "key": key, "value": value } });
    config::merge(
        &mut routes,
        &json!({
            "request_headers_to_remove": ["x-mesh-policy-cluster", "x-mesh-policy-profile"],
            "response_headers_to_add": [
                shown("x-details", "%RESPONSE_CODE_DETAILS%"),
                shown("x-authz", "%FILTER_STATE(wasm.mesh_policy.authz:PLAIN)%"),
            ],
        }),
    );
    routes
}

/// A plugin configuration of these resources for a workload in `default`.
pub fn list(items: &[Value]) -> Value {
    json!({ "kind": "List", "items": items, "workload": { "namespace": "default", "labels": {} } })
}

/// A VirtualService for the host `customers`.
pub fn customers(http: &Value) -> Value {
    virtual_service("customers", &json!({ "hosts": ["customers"], "http": http }))
}

/// A VirtualService in `default`.
pub fn virtual_service(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": { "name": name, "namespace": "default" },
        "spec": spec,
    })
}

/// An AuthorizationPolicy in `default`.
pub fn policy(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "security.istio.io/v1",
        "kind": "AuthorizationPolicy",
        "metadata": { "name": name, "namespace": "default" },
        "spec": spec,
    })
}

/// A destination of version 1 or 2 of `customers`.
pub fn to(version: &str) -> Value {
    json!({ "destination": { "host": "customers", "subset": version, "port": { "number": 80 } } })
}
