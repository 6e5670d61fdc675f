//! `when` entries: keys and their values.

use super::super::at::At;
use super::super::condition::{Condition, Matcher};
use super::super::facts::Side;
use super::super::value_match::ValueMatch;
use super::Compiler;
use mesh_policy_istio::authorization_policy as wire;
use mesh_policy_istio::problem::ProblemKind;

/// What a key names.
enum Key<'k> {
    Principal,
    Namespace,
    ServiceAccount,
    TrustDomain,
    Address(Side),
    Port,
    Sni,
    Header(&'k str),
    RequestPrincipal,
    Claim(Vec<&'k str>),
    /// Legal, but not something that a filter can see yet.
    Experimental,
}

impl Compiler<'_> {
    pub(super) fn condition(&mut self, condition: &wire::Condition, at: At<'_>) -> Vec<Condition> {
        let mut conditions = Vec::new();
        let fields = [("values", &condition.values), ("notValues", &condition.not_values)];
        if fields.iter().all(|(_, values)| values.is_none()) {
            self.error(at, ProblemKind::Missing, "missing: expected `values` or `notValues`");
        }
        let text = condition.key.as_deref().unwrap_or_default();
        let key = match parse(text) {
            Ok(key) => key,
            Err(error) => {
                self.error(at.field("key"), error.0, error.1);
                return conditions;
            }
        };
        if matches!(
            key,
            Key::Principal
                | Key::Namespace
                | Key::ServiceAccount
                | Key::TrustDomain
                | Key::RequestPrincipal
                | Key::Claim(_)
        ) {
            self.not_in_custom(at.field("key"), text);
        }
        for field in fields {
            let out = &mut conditions;
            match &key {
                Key::Principal => self.add(out, at, field, Self::principal, Matcher::Peer),
                Key::Namespace => self.add(out, at, field, Self::namespace, Matcher::Peer),
                Key::ServiceAccount => self.add(out, at, field, Self::service_account, Matcher::Peer),
                Key::TrustDomain => self.add(out, at, field, Self::trust_domain, Matcher::Peer),
                Key::Address(side) => {
                    self.add(out, at, field, Self::cidr, |values| Matcher::Address(*side, values));
                }
                Key::Port => self.add(out, at, field, Self::port, Matcher::Port),
                Key::Sni => self.add(out, at, field, Self::sni, Matcher::Sni),
                Key::Header(name) => {
                    // Envoy keeps what arrives as `host` under the name of the pseudo header.
                    let name = match name.to_ascii_lowercase() {
                        name if name == "host" => ":authority".to_owned(),
                        name => name,
                    };
                    self.add(out, at, field, Self::present_value, |values| {
                        Matcher::Header(name.as_str().into(), values)
                    });
                }
                Key::RequestPrincipal => {
                    self.add(out, at, field, Self::request_principal, Matcher::RequestPrincipal);
                }
                Key::Claim(names) => self.add(out, at, field, Self::filled_value, |values| {
                    Matcher::Claim(names.iter().map(|name| (*name).into()).collect(), values)
                }),
                // Read for its mistakes only.
                Key::Experimental => {
                    self.add(&mut Vec::new(), at, field, Self::filled_value, Matcher::Sni);
                }
            }
        }
        if matches!(key, Key::Experimental) {
            self.unsupported.error(
                at.field("key").path(),
                ProblemKind::Unsupported,
                format!(
                    "`{text}` cannot be enforced: a Wasm filter does not read the metadata of other filters"
                ),
            );
        }
        conditions
    }

    fn sni(&mut self, text: &str, at: At<'_>, values: &mut Vec<ValueMatch>) {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            self.problems
                .warning(
                    at.path(),
                    ProblemKind::Suspicious,
                    format!("server names arrive in lower case: `{text}` never matches"),
                )
                .help(format!("write `{}`", text.to_ascii_lowercase()));
        }
        self.filled_value(text, at, values);
    }
}

fn parse(key: &str) -> Result<Key<'_>, (ProblemKind, String)> {
    Ok(match key {
        "" => return Err((ProblemKind::Missing, "missing: a condition has a key".to_owned())),
        "source.principal" => Key::Principal,
        "source.namespace" => Key::Namespace,
        "source.serviceAccount" => Key::ServiceAccount,
        "source.trustDomain" => Key::TrustDomain,
        "source.ip" => Key::Address(Side::DirectRemote),
        "remote.ip" => Key::Address(Side::Remote),
        "destination.ip" => Key::Address(Side::Destination),
        "destination.port" => Key::Port,
        "connection.sni" => Key::Sni,
        "request.auth.principal" => Key::RequestPrincipal,
        "request.auth.audiences" => Key::Claim(vec!["aud"]),
        "request.auth.presenter" => Key::Claim(vec!["azp"]),
        "destination.name" | "destination.user" | "destination.namespace" => return Err(withdrawn(key)),
        _ if key.starts_with("destination.labels") => return Err(withdrawn(key)),
        _ => {
            if let Some(rest) = key.strip_prefix("request.headers") {
                Key::Header(bracketed(rest).ok_or_else(|| brackets(key))?)
            } else if let Some(rest) = key.strip_prefix("request.auth.claims") {
                let inside = bracketed(rest).ok_or_else(|| brackets(key))?;
                Key::Claim(nested(rest).unwrap_or_else(|| vec![inside]))
            } else if let Some(rest) = key.strip_prefix("experimental.envoy.filters.") {
                rest.split_once('[')
                    .filter(|(_, name)| name.len() > 1 && name.ends_with(']'))
                    .ok_or_else(|| brackets(key))?;
                Key::Experimental
            } else {
                return Err((ProblemKind::InvalidValue, format!("unknown attribute `{key}`")));
            }
        }
    })
}

fn withdrawn(key: &str) -> (ProblemKind, String) {
    (ProblemKind::InvalidValue, format!("`{key}` is no longer an attribute that can be matched"))
}

fn brackets(key: &str) -> (ProblemKind, String) {
    (ProblemKind::InvalidValue, format!("expected a name in brackets behind the attribute, found `{key}`"))
}

/// The text between the first and the last bracket, when they enclose something.
fn bracketed(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']').filter(|name| !name.is_empty())
}

/// `[a][b]` as the names `a` and `b`; `None` when the brackets are not cleanly paired: then they are part of one name.
fn nested(text: &str) -> Option<Vec<&str>> {
    text.strip_prefix('[')?
        .strip_suffix(']')?
        .split("][")
        .map(|name| if name.contains(['[', ']']) { None } else { Some(name) })
        .collect()
}
