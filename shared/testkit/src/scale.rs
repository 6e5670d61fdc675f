//! Sets of as many rules as wanted, and the requests that meet the first, the middle, the last or none of them: what speed,
//! memory and growth are measured on.
//!
//! Every rule is met by one request of its own and by no other; rules are tried in the order of their numbers.

mod authorization;
mod routes;

use crate::generate::{Peer, PolicySet, Probe};
use serde_json::{Value, json};

/// What the rules decide about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// One ALLOW policy a rule: method GET and a path prefix.
    Authz,
    /// One ALLOW policy a rule, as people write them: 30 % exact paths, 30 % prefixes, 10 % templates and suffixes, 10 %
    /// a header, 20 % a principal. Every request comes by mutual TLS.
    AuthzMixed,
    /// One VirtualService with a path prefix and a header in each rule.
    Routes,
    /// One VirtualService of 40 % exact paths, 30 % prefixes, 10 % regular expressions, 20 % headers.
    RoutesMixed,
    /// Both [`Scenario::Authz`] and [`Scenario::Routes`], this many rules each; every route edits headers, each tenth may
    /// hold a request.
    Policy,
}

impl Scenario {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Authz, Self::AuthzMixed, Self::Routes, Self::RoutesMixed, Self::Policy];

    /// A word for tables and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Authz => "authz",
            Self::AuthzMixed => "authz-mixed",
            Self::Routes => "routes",
            Self::RoutesMixed => "routes-mixed",
            Self::Policy => "policy",
        }
    }
}

/// Which rule a request meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hit {
    /// The one that is tried first.
    First,
    /// The one with as many in front as behind.
    Middle,
    /// The one that is tried last.
    Last,
    /// None: the answer is 403 from authorization, 404 from routes.
    None,
}

impl Hit {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::First, Self::Middle, Self::Last, Self::None];

    /// A word for tables and files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Middle => "middle",
            Self::Last => "last",
            Self::None => "none",
        }
    }

    /// The number of the rule, of this many.
    #[must_use]
    pub const fn rule(self, rules: usize) -> Option<usize> {
        match self {
            Self::First => Some(0),
            Self::Middle => Some(rules / 2),
            Self::Last => rules.checked_sub(1),
            Self::None => None,
        }
    }
}

/// The identity of a client that no rule names.
pub const STRANGER: &str = "spiffe://cluster.local/ns/shop/sa/stranger";

/// The resources, beside the common ones of the corpus.
///
/// The workload `shop/orders` carries out authorization, the gateway `default/edge` everything with routes; routes go to the
/// subsets of the common service `customers`.
#[must_use]
pub fn resources(scenario: Scenario, rules: usize) -> Vec<Value> {
    match scenario {
        Scenario::Authz => (0..rules).map(|rule| authorization::prefix("shop", rule)).collect(),
        Scenario::AuthzMixed => (0..rules).map(authorization::mixed).collect(),
        Scenario::Routes => vec![routes::prefixes(rules)],
        Scenario::RoutesMixed => vec![routes::mixed(rules)],
        Scenario::Policy => {
            let mut resources: Vec<Value> =
                (0..rules).map(|rule| authorization::prefix("istio-system", rule)).collect();
            resources.push(routes::full(rules));
            resources
        }
    }
}

/// The proxy, in the form of a plugin configuration.
#[must_use]
pub fn workload(scenario: Scenario) -> Value {
    match scenario {
        Scenario::Authz | Scenario::AuthzMixed => json!({
            "namespace": "shop",
            "labels": { "app": "orders", "version": "v1" },
            "serviceAccount": "orders",
        }),
        Scenario::Routes | Scenario::RoutesMixed | Scenario::Policy => json!({
            "namespace": "istio-system",
            "labels": { "istio": "ingressgateway" },
            "gateways": ["default/edge"],
            "port": 80,
        }),
    }
}

/// Everything at once: the proxy, the resources, and a request for each of [`Hit::ALL`].
#[must_use]
pub fn set(scenario: Scenario, rules: usize) -> PolicySet {
    PolicySet {
        workload: Some(workload(scenario)),
        resources: resources(scenario, rules),
        probes: Hit::ALL.into_iter().map(|hit| request(scenario, rules, hit)).collect(),
        by_chance: false,
    }
}

/// The configuration of our filters.
///
/// # Errors
/// The common file of the corpus cannot be read.
pub fn plugin_config(scenario: Scenario, rules: usize) -> Result<String, String> {
    set(scenario, rules).plugin_config().map(|config| config.to_string())
}

/// A request as a browser sends it, that meets the rule of `hit` and no other.
#[must_use]
pub fn request(scenario: Scenario, rules: usize, hit: Hit) -> Probe {
    let mut request = Probe {
        method: b"GET".to_vec(),
        target: b"/nowhere/at/all?page=2&sort=price".to_vec(),
        authority: Some(HOST.as_bytes().to_vec()),
        headers: BROWSER
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
            .collect(),
        source_ip: "127.0.0.1".to_owned(),
        ..Probe::default()
    };
    if scenario == Scenario::AuthzMixed {
        request.peer = Peer::Mutual(vec![STRANGER.to_owned()]);
    }
    if let Some(rule) = hit.rule(rules) {
        match scenario {
            Scenario::Authz => request.target = path(rule),
            Scenario::AuthzMixed => authorization::meet(rule, &mut request),
            Scenario::Routes | Scenario::Policy => {
                request.target = path(rule);
                header(&mut request, VERSION, "v1".to_owned());
            }
            Scenario::RoutesMixed => routes::meet(rule, &mut request),
        }
    }
    request
}

/// The authority of every request.
pub const HOST: &str = "shop.example.com";

/// What a browser sends along.
const BROWSER: &[(&str, &str)] = &[
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.7"),
    ("accept-encoding", "gzip, deflate, br"),
    ("cookie", "session=8f14e45fceea167a5a36dedd4bea2543; theme=dark; consent=1"),
    ("referer", "http://shop.example.com/catalogue?page=1"),
];

/// A header that many rules ask for.
const VERSION: &str = "x-version";

/// A header with a value for each rule.
const TENANT: &str = "x-tenant";

/// A path below the prefix of a rule.
fn path(rule: usize) -> Vec<u8> {
    format!("{}orders/4711?page=2&sort=price", prefix(rule)).into_bytes()
}

/// All rules share how it begins, as the paths of one interface do.
fn prefix(rule: usize) -> String {
    format!("/api/v1/service-{rule:05}/")
}

fn tenant(rule: usize) -> String {
    format!("tenant-{rule:05}")
}

fn header(request: &mut Probe, name: &str, value: String) {
    request.headers.push((name.to_owned(), value.into_bytes()));
}

#[cfg(test)]
mod tests;
