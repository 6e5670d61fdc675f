//! Where the keys of an issuer come from.

use super::{JwtRule, Map, ProblemKind, Problems, Value, duration, json, put};
use crate::certificate;
use crate::envoy::cluster;
use mesh_policy_istio::decode::Timespan;
use mesh_policy_istio::path;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// How long keys may take to arrive when a rule does not say.
const FETCH_TIMEOUT: &str = "5s";

/// How long fetched keys are kept, as Istio has Envoy keep them.
const CACHE_DURATION: &str = "300s";

/// Where the roots stand that this machine trusts, by distribution.
const SYSTEM_ROOTS: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

pub(super) struct Keys<'a> {
    /// What to trust instead of the machine's roots.
    pub roots: Option<&'a Path>,
    pub clusters: &'a mut BTreeMap<String, Value>,
    pub problems: &'a mut Problems,
}

/// A field of a provider.
type Field = (&'static str, Value);

impl Keys<'_> {
    /// The field that says where the keys are. `None` when that was refused.
    pub(super) fn of(&mut self, rule: &JwtRule, at: &path::Path) -> Option<Field> {
        let text = |text: &'_ Option<String>| text.clone().filter(|text| !text.is_empty());
        if let Some(keys) = text(&rule.jwks) {
            return Some(("local_jwks", json!({"inline_string": keys})));
        }
        let Some(uri) = text(&rule.jwks_uri) else {
            self.problems
                .error(
                    at.clone(),
                    ProblemKind::Unsupported,
                    "asking the issuer where its keys are (OpenID discovery) cannot be carried out",
                )
                .help("give the keys as `jwks`, or their address as `jwksUri`");
            return None;
        };
        let cluster = self.cluster(&uri, &at.field("jwksUri"))?;
        let timeout = rule.timeout.map_or(json!(FETCH_TIMEOUT), |timeout: Timespan| duration(timeout));
        Some((
            "remote_jwks",
            json!({
                "http_uri": {"uri": uri, "cluster": cluster, "timeout": timeout},
                "cache_duration": CACHE_DURATION,
                // Before the listener opens, not at the first request with a token.
                "async_fetch": {},
                "retry_policy": {"num_retries": 3},
            }),
        ))
    }

    /// The cluster that leads to the host of `uri`: a service's, or one of its own that asks DNS.
    fn cluster(&mut self, uri: &str, at: &path::Path) -> Option<String> {
        let Some(Address { secure, host, port }) = Address::of(uri) else {
            self.problems.error(
                at.clone(),
                ProblemKind::Unsupported,
                format!("keys can be fetched from `http://HOST[:PORT]/..` and `https://HOST[:PORT]/..`, found `{uri}`"),
            );
            return None;
        };
        let service = cluster::name(port, "", &host);
        if !secure && self.clusters.contains_key(&service) {
            return Some(service);
        }
        let name = format!("jwks|{port}||{host}");
        let mut found = match self.clusters.get(&service) {
            Some(Value::Object(service)) => service.clone(),
            _ => by_dns(&host, port),
        };
        put(&mut found, "name", json!(name));
        if let Some(assignment) = found.get_mut("load_assignment").and_then(Value::as_object_mut) {
            put(assignment, "cluster_name", json!(name));
        }
        // A DestinationRule that says how to speak TLS with the service stays in force.
        if secure && !found.contains_key("transport_socket") {
            let roots = self.roots(at)?;
            put(&mut found, "transport_socket", tls(&host, &roots));
        }
        self.clusters.insert(name.clone(), Value::Object(found));
        Some(name)
    }

    /// The file with the roots that public hosts are verified with.
    fn roots(&mut self, at: &path::Path) -> Option<PathBuf> {
        let found = match self.roots {
            Some(file) => certificate::check_roots(file).map(|()| file.to_owned()),
            None => {
                let mut known = SYSTEM_ROOTS.into_iter().map(PathBuf::from);
                known
                    .find(|file| file.is_file())
                    .ok_or_else(|| "this machine has no file with roots".to_owned())
            }
        };
        found
            .map_err(|message| {
                self.problems
                    .error(
                        at.clone(),
                        ProblemKind::InvalidValue,
                        format!("the host cannot be verified: {message}"),
                    )
                    .help("`--jwks-ca FILE` names the roots, in PEM");
            })
            .ok()
    }
}

struct Address {
    secure: bool,
    host: String,
    port: u16,
}

impl Address {
    fn of(uri: &str) -> Option<Self> {
        let (secure, rest) = match uri.split_once("://")? {
            ("http", rest) => (false, rest),
            ("https", rest) => (true, rest),
            _ => return None,
        };
        let authority = rest.split(['/', '?', '#']).next().filter(|authority| !authority.contains('@'))?;
        let default = if secure { 443 } else { 80 };
        let (host, port) = match authority.strip_prefix('[') {
            Some(v6) => {
                let (host, rest) = v6.split_once(']')?;
                host.parse::<IpAddr>().ok()?;
                (host, rest.strip_prefix(':').or((rest.is_empty()).then_some("")))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, Some("")),
            },
        };
        let port = match port? {
            "" => default,
            digits => digits.parse().ok().filter(|port| *port != 0)?,
        };
        let legal = host.parse::<IpAddr>().is_ok() || crate::values::is_domain(host);
        legal.then(|| Self { secure, host: host.to_ascii_lowercase(), port })
    }
}

fn by_dns(host: &str, port: u16) -> Map<String, Value> {
    let kind = if host.parse::<IpAddr>().is_ok() { "STATIC" } else { "STRICT_DNS" };
    let mut cluster = Map::new();
    put(&mut cluster, "type", json!(kind));
    put(&mut cluster, "connect_timeout", json!("10s"));
    if kind == "STRICT_DNS" {
        put(&mut cluster, "dns_lookup_family", json!("V4_PREFERRED"));
        put(&mut cluster, "respect_dns_ttl", json!(true));
    }
    let address = json!({"socket_address": {"address": host, "port_value": port}});
    let endpoints = json!({"endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}]});
    put(&mut cluster, "load_assignment", endpoints);
    cluster
}

/// TLS towards a public host: its certificate must be for its name, from one of these roots.
fn tls(host: &str, roots: &Path) -> Value {
    let kind = if host.parse::<IpAddr>().is_ok() { "IP_ADDRESS" } else { "DNS" };
    let mut context = json!({
        "common_tls_context": {"validation_context": {
            "trusted_ca": {"filename": roots},
            "match_typed_subject_alt_names": [{"san_type": kind, "matcher": {"exact": host}}],
        }},
    });
    if let ("DNS", Some(context)) = (kind, context.as_object_mut()) {
        put(context, "sni", json!(host));
    }
    crate::envoy::extension(
        "envoy.transport_sockets.tls",
        "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
        context,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_a_port() {
        let read = |uri| Address::of(uri).map(|Address { secure, host, port }| (secure, host, port));
        let found = |secure, host: &str, port| Some((secure, host.to_owned(), port));
        assert_eq!(read("https://id.io/keys"), found(true, "id.io", 443));
        assert_eq!(read("http://ID.io:8080/keys?x"), found(false, "id.io", 8080));
        assert_eq!(read("http://10.0.0.1"), found(false, "10.0.0.1", 80));
        assert_eq!(read("https://[::1]:8443/keys"), found(true, "::1", 8443));
        for refused in [
            "ftp://a/b",
            "id.io/keys",
            "https://",
            "https://a:0/",
            "https://u:p@a/",
            "http://[a]/",
            "http://a b/",
        ] {
            assert_eq!(read(refused), None, "{refused}");
        }
    }
}
