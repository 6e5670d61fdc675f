//! A rule as Envoy's policy: permissions for what is asked, principals for who asks.

use super::Traffic;
use super::attribute::Attribute;
use super::identity::TrustDomains;
use mesh_policy_istio::authorization_policy::{Action, Operation, Rule, Source};
use mesh_policy_istio::path::Path;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use serde_json::{Value, json};

/// What the meaning of a rule depends on.
pub(super) struct Scope<'p> {
    /// The namespace of the policy.
    pub namespace: &'p str,
    pub domains: TrustDomains<'p>,
    pub traffic: Traffic,
    pub action: Action,
}

/// A field and its `not` twin.
#[derive(Clone)]
struct Term {
    attribute: Attribute,
    values: Vec<String>,
    not_values: Vec<String>,
    path: Path,
}

/// Envoy's names on one side of a policy.
struct Side {
    any_of: (&'static str, &'static str),
    all_of: (&'static str, &'static str),
    not: &'static str,
}

const PERMISSIONS: Side =
    Side { any_of: ("or_rules", "rules"), all_of: ("and_rules", "rules"), not: "not_rule" };

const PRINCIPALS: Side = Side { any_of: ("or_ids", "ids"), all_of: ("and_ids", "ids"), not: "not_id" };

/// `None` when the rule cannot hold at all: an ALLOW rule that asks a plain connection for what only a request has.
pub(super) fn policy(rule: &Rule, scope: &Scope<'_>, path: &Path, problems: &mut Problems) -> Option<Value> {
    let (permissions, principals): (Vec<Term>, Vec<Term>) =
        conditions(rule, path, problems).into_iter().partition(|term| term.attribute.is_permission());
    let with = |own: Vec<Term>, base: &[Term]| own.into_iter().chain(base.iter().cloned()).collect();
    let from: Vec<Vec<Term>> = match &rule.from {
        None => vec![principals],
        Some(from) => {
            let source = |index: usize, source: &Option<Source>| {
                let at = path.field("from").index(index).field("source");
                with(source.as_ref().map_or_else(Vec::new, |source| of_source(source, &at)), &principals)
            };
            from.iter().enumerate().map(|(index, from)| source(index, &from.source)).collect()
        }
    };
    let to: Vec<Vec<Term>> = match &rule.to {
        None => vec![permissions],
        Some(to) => {
            let operation = |index: usize, operation: &Option<Operation>| {
                let at = path.field("to").index(index).field("operation");
                let own = operation.as_ref().map_or_else(Vec::new, |operation| of_operation(operation, &at));
                with(own, &permissions)
            };
            to.iter().enumerate().map(|(index, to)| operation(index, &to.operation)).collect()
        }
    };
    let mut side = |lists: Vec<Vec<Term>>, side: &Side| -> Option<Vec<Value>> {
        lists.into_iter().map(|terms| all(terms, side, scope, problems)).collect()
    };
    Some(json!({"permissions": side(to, &PERMISSIONS)?, "principals": side(from, &PRINCIPALS)?}))
}

/// All terms together.
fn all(terms: Vec<Term>, side: &Side, scope: &Scope<'_>, problems: &mut Problems) -> Option<Value> {
    let mut all = Vec::new();
    for term in terms {
        if scope.traffic == Traffic::Tcp && term.attribute.is_http() {
            if scope.action == Action::Allow {
                return None;
            }
            // Where a match denies, the field is passed over, so that the rule rather matches more.
            continue;
        }
        let (name, list) = side.any_of;
        if !term.values.is_empty() {
            all.push(json!({name: {list: any(&term, &term.values, scope, problems)}}));
        }
        if !term.not_values.is_empty() {
            let any = json!({name: {list: any(&term, &term.not_values, scope, problems)}});
            all.push(json!({side.not: any}));
        }
    }
    if all.is_empty() {
        all.push(json!({"any": true}));
    }
    let (name, list) = side.all_of;
    Some(json!({name: {list: all}}))
}

fn any(term: &Term, values: &[String], scope: &Scope<'_>, problems: &mut Problems) -> Vec<Value> {
    let mut any = Vec::new();
    for value in values.iter().flat_map(|value| term.attribute.expand(value, &scope.domains)) {
        match term.attribute.holds(&value, scope.namespace) {
            Some(matcher) => any.push(matcher),
            None => {
                let message = format!("`{value}` is no value for this");
                problems.error(term.path.clone(), ProblemKind::InvalidValue, message);
            }
        }
    }
    any
}

fn conditions(rule: &Rule, path: &Path, problems: &mut Problems) -> Vec<Term> {
    let mut terms = Vec::new();
    for (index, condition) in rule.when.iter().flatten().enumerate() {
        let path = path.field("when").index(index);
        let key = condition.key.as_deref().unwrap_or_default();
        match Attribute::named(key) {
            Some(attribute) => terms.push(Term {
                attribute,
                values: condition.values.clone().unwrap_or_default(),
                not_values: condition.not_values.clone().unwrap_or_default(),
                path,
            }),
            None => {
                let message = format!("unknown attribute `{key}`");
                problems.error(path.field("key"), ProblemKind::InvalidValue, message);
            }
        }
    }
    terms
}

type Field<'f> = (&'static str, Attribute, &'f Option<Vec<String>>, &'f Option<Vec<String>>);

fn terms<const N: usize>(fields: [Field<'_>; N], at: &Path) -> Vec<Term> {
    fields
        .into_iter()
        .filter(|(_, _, values, not_values)| values.is_some() || not_values.is_some())
        .map(|(name, attribute, values, not_values)| Term {
            attribute,
            values: values.clone().unwrap_or_default(),
            not_values: not_values.clone().unwrap_or_default(),
            path: at.field(name),
        })
        .collect()
}

fn of_source(source: &Source, at: &Path) -> Vec<Term> {
    let Source {
        principals,
        not_principals,
        request_principals,
        not_request_principals,
        namespaces,
        not_namespaces,
        service_accounts,
        not_service_accounts,
        trust_domains,
        not_trust_domains,
        ip_blocks,
        not_ip_blocks,
        remote_ip_blocks,
        not_remote_ip_blocks,
    } = source;
    terms(
        [
            ("principals", Attribute::Principal, principals, not_principals),
            ("requestPrincipals", Attribute::RequestPrincipal, request_principals, not_request_principals),
            ("namespaces", Attribute::Namespace, namespaces, not_namespaces),
            ("serviceAccounts", Attribute::ServiceAccount, service_accounts, not_service_accounts),
            ("trustDomains", Attribute::TrustDomain, trust_domains, not_trust_domains),
            ("remoteIpBlocks", Attribute::RemoteIp, remote_ip_blocks, not_remote_ip_blocks),
            ("ipBlocks", Attribute::SourceIp, ip_blocks, not_ip_blocks),
        ],
        at,
    )
}

fn of_operation(operation: &Operation, at: &Path) -> Vec<Term> {
    let Operation { hosts, not_hosts, ports, not_ports, methods, not_methods, paths, not_paths } = operation;
    terms(
        [
            ("ports", Attribute::DestinationPort, ports, not_ports),
            ("paths", Attribute::Path, paths, not_paths),
            ("methods", Attribute::Method, methods, not_methods),
            ("hosts", Attribute::Host, hosts, not_hosts),
        ],
        at,
    )
}
