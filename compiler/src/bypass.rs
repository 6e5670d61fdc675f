//! Requests that pass by a rule of an AuthorizationPolicy, though many servers would take them for what the rule means.
//!
//! A rule that denies is only as good as the agreement between proxy and server about what a path is. One warning a rule,
//! with the most telling request; a rule written so that the request is covered has none.

mod variant;

use crate::options::PathNormalization;
use mesh_policy_core::authz::{host_value_matches, path_value_matches};
use mesh_policy_istio::authorization_policy::{Action, AuthorizationPolicy, Operation, Rule};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::{Resource, Spec};
use variant::Variant;

/// Warns about the rules of all policies.
pub(crate) fn check(resources: &[Resource], mode: PathNormalization, problems: &mut Problems) {
    for resource in resources {
        let Spec::AuthorizationPolicy(policy) = &resource.spec else { continue };
        let at = resource.spec_path().field("rules");
        for (index, rule) in policy.rules.iter().flatten().enumerate() {
            let found = match policy.action.unwrap_or(Action::Allow) {
                action @ (Action::Deny | Action::Custom) => {
                    let words = if action == Action::Deny { DENYING } else { ASKING };
                    let allowed = Allowed::of(resource, policy, resources);
                    denying_path(rule, &allowed, mode, words).or_else(|| denying_host(rule, &allowed, words))
                }
                Action::Allow => excluding_path(rule, mode).or_else(|| climbing_path(rule, mode)),
                Action::Audit => None,
            };
            let Some(bypass) = found else { continue };
            let at = at.index(index).field("to").index(bypass.operation).field("operation");
            problems
                .warning(at.field(bypass.field).index(bypass.value), ProblemKind::Suspicious, bypass.message)
                .help(bypass.help);
        }
    }
}

/// What a rule does to what it matches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    verb: &'static str,
    participle: &'static str,
    gerund: &'static str,
}

const DENYING: Words = Words { verb: "deny", participle: "denied", gerund: "denying" };

/// A request that passes by a CUSTOM rule passes without being asked about.
const ASKING: Words = Words { verb: "ask about", participle: "asked about", gerund: "asking about" };

/// A request that passes by a rule, and which value it passes by.
struct Bypass {
    operation: usize,
    field: &'static str,
    value: usize,
    message: String,
    help: String,
}

fn operations(rule: &Rule) -> impl Iterator<Item = (usize, &Operation)> {
    let entries = rule.to.iter().flatten().enumerate();
    entries.filter_map(|(index, entry)| Some((index, entry.operation.as_ref()?)))
}

fn any_path(values: Option<&Vec<String>>, path: &str) -> bool {
    values.is_some_and(|values| values.iter().any(|value| path_value_matches(value, path.as_bytes())))
}

fn any_host(values: Option<&Vec<String>>, host: &str) -> bool {
    values.is_some_and(|values| values.iter().any(|value| host_value_matches(value, host.as_bytes())))
}

/// Whether an operation can be meant by a request for this path, whatever else it asks for.
fn covers_path(operation: &Operation, path: &str) -> bool {
    let wanted = operation.paths.as_ref().is_none_or(|paths| any_path(Some(paths), path));
    wanted && !any_path(operation.not_paths.as_ref(), path)
}

fn covers_host(operation: &Operation, host: &str) -> bool {
    let wanted = operation.hosts.as_ref().is_none_or(|hosts| any_host(Some(hosts), host));
    wanted && !any_host(operation.not_hosts.as_ref(), host)
}

fn method(operation: &Operation) -> &str {
    let plain = |method: &&String| !method.contains('*');
    operation.methods.iter().flatten().find(plain).map_or("GET", String::as_str)
}

/// What the ALLOW policies beside a DENY policy let pass: what they do not is denied whatever the DENY policy misses.
struct Allowed<'s> {
    policies: Vec<&'s AuthorizationPolicy>,
    /// Whether one of them applies wherever the DENY policy does, and so denies by default.
    restricts: bool,
}

impl<'s> Allowed<'s> {
    fn of(deny: &Resource, policy: &AuthorizationPolicy, resources: &'s [Resource]) -> Self {
        let labels = policy.selector.as_ref().map(|selector| &selector.match_labels);
        let mut allowed = Self { policies: Vec::new(), restricts: false };
        for resource in resources {
            let Spec::AuthorizationPolicy(other) = &resource.spec else { continue };
            let dry_run = resource.metadata.annotations.contains_key("istio.io/dry-run");
            if other.action.unwrap_or(Action::Allow) != Action::Allow || dry_run {
                continue;
            }
            allowed.policies.push(other);
            let attached = other.target_ref.is_some() || !other.target_refs.is_empty();
            let wanted = other.selector.iter().flat_map(|selector| &selector.match_labels);
            allowed.restricts |= resource.namespace() == deny.namespace()
                && !attached
                && wanted
                    .into_iter()
                    .all(|(key, value)| labels.and_then(|labels| labels.get(key)) == Some(value));
        }
        allowed
    }

    fn lets_pass(&self, covers: impl Fn(&Operation) -> bool) -> bool {
        let rules = self.policies.iter().flat_map(|policy| policy.rules.iter().flatten());
        let mut rules = rules.map(|rule| rule.to.is_none() || operations(rule).any(|(_, to)| covers(to)));
        !self.restricts || rules.any(|passes| passes)
    }
}

/// A path that a rule denies, in a form that it does not deny.
fn denying_path(rule: &Rule, allowed: &Allowed<'_>, mode: PathNormalization, words: Words) -> Option<Bypass> {
    for variant in Variant::surviving(mode) {
        for (index, operation) in operations(rule) {
            for (value, text) in operation.paths.iter().flatten().enumerate() {
                let Some((meant, path)) = variant.of(text) else { continue };
                let denied = operations(rule).any(|(_, other)| covers_path(other, &path));
                if denied || !allowed.lets_pass(|operation| covers_path(operation, &path)) {
                    continue;
                }
                return Some(Bypass {
                    operation: index,
                    field: "paths",
                    value,
                    message: format!(
                        "`{} {path}` is not {} by `{text}`, and many servers take it for `{meant}`: {}",
                        method(operation),
                        words.participle,
                        variant.reason(mode)
                    ),
                    help: variant.help(text, words),
                });
            }
        }
    }
    None
}

/// A path that an ALLOW rule excludes, in a form that it does not exclude.
fn excluding_path(rule: &Rule, mode: PathNormalization) -> Option<Bypass> {
    for variant in Variant::surviving(mode) {
        for (index, operation) in operations(rule) {
            for (value, text) in operation.not_paths.iter().flatten().enumerate() {
                let Some((meant, path)) = variant.of(text) else { continue };
                if !covers_path(operation, &path) {
                    continue;
                }
                return Some(Bypass {
                    operation: index,
                    field: "notPaths",
                    value,
                    message: format!(
                        "`{} {path}` is allowed despite `{text}`, and many servers take it for `{meant}`: {}",
                        method(operation),
                        variant.reason(mode)
                    ),
                    help: "name what is allowed in `paths`".to_owned(),
                });
            }
        }
    }
    None
}

/// Without normalization, dot segments lead out of whatever an ALLOW rule opens.
fn climbing_path(rule: &Rule, mode: PathNormalization) -> Option<Bypass> {
    if mode != PathNormalization::None {
        return None;
    }
    for (index, operation) in operations(rule) {
        for (value, text) in operation.paths.iter().flatten().enumerate() {
            let Some(prefix) =
                text.strip_suffix('*').filter(|prefix| prefix.ends_with('/') && *prefix != "/")
            else {
                continue;
            };
            let path = format!("{prefix}../admin");
            if !covers_path(operation, &path) {
                continue;
            }
            return Some(Bypass {
                operation: index,
                field: "paths",
                value,
                message: format!(
                    "`{} {path}` is allowed by `{text}`, and servers take it for another path: dot segments are not \
                     resolved under the path normalization NONE",
                    method(operation)
                ),
                help: "normalize paths: BASE at least".to_owned(),
            });
        }
    }
    None
}

/// A host that a rule denies, with a port behind it.
fn denying_host(rule: &Rule, allowed: &Allowed<'_>, words: Words) -> Option<Bypass> {
    for (index, operation) in operations(rule) {
        for (value, text) in operation.hosts.iter().flatten().enumerate() {
            let bare = text.strip_prefix('*').map_or_else(|| text.clone(), |rest| format!("x{rest}"));
            if bare.contains(['*', ':', '[']) || bare.len() < 2 {
                continue;
            }
            let host = format!("{bare}:80");
            let denied = operations(rule).any(|(_, other)| covers_host(other, &host));
            if denied || !allowed.lets_pass(|operation| covers_host(operation, &host)) {
                continue;
            }
            return Some(Bypass {
                operation: index,
                field: "hosts",
                value,
                message: format!(
                    "a request with `host: {host}` is not {} by `{text}`, and is routed as one for `{bare}`: the port is \
                     part of what is compared",
                    words.participle
                ),
                help: if text.starts_with('*') {
                    "name the hosts without a star, each also with `:*`".to_owned()
                } else {
                    format!("add `{text}:*`")
                },
            });
        }
    }
    None
}

#[cfg(test)]
mod tests;
