//! From the wire model to rules: everything that Istio calls invalid is an error here, and so is what it would silently drop.

use super::at::At;
use super::condition::{Condition, Matcher};
use super::rule::{Alternatives, Rule};
use super::scope::Scope;
use super::verdict::{PolicyId, RuleId};
use crate::proxy::ProxyContext;
use mesh_policy_istio::authorization_policy as wire;
use mesh_policy_istio::authorization_policy::{Action, AuthorizationPolicy};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::resource::Resource;
use std::sync::Arc;

mod envelope;
mod value;
mod when;

pub(super) use envelope::duplicate;

const MAX_RULES: usize = 512;

/// Compiles the rules of one policy and collects what is wrong with them.
pub(super) struct Compiler<'a> {
    /// The trust domain and its aliases, each once.
    domains: &'a [String],
    /// The policy's namespace.
    namespace: &'a str,
    action: Action,
    problems: &'a mut Problems,
    /// What is legal but cannot be enforced here: of no interest where the policy does not apply.
    unsupported: Problems,
}

/// The proxy's trust domain and its aliases, each once.
pub(super) fn trust_domains(proxy: &ProxyContext) -> Vec<String> {
    let mut domains = vec![proxy.trust_domain.clone()];
    for alias in &proxy.trust_domain_aliases {
        if !domains.contains(alias) {
            domains.push(alias.clone());
        }
    }
    domains
}

/// Validates a policy; gives its rules when it applies to `proxy`.
pub(super) fn policy(
    resource: &Resource,
    policy: &AuthorizationPolicy,
    proxy: &ProxyContext,
    domains: &[String],
    problems: &mut Problems,
) -> Option<(Arc<PolicyId>, Vec<Rule>)> {
    let resource_at = At::Base(&resource.path);
    let at = resource_at.field("spec");
    let action = policy.action.unwrap_or(Action::Allow);
    envelope::attachment(policy.into(), at, problems);
    envelope::provider(policy, action, at, problems);
    let id = Arc::new(PolicyId {
        namespace: resource.namespace().to_owned(),
        name: resource.name().to_owned(),
        action,
        dry_run: envelope::dry_run(resource, action, problems),
        provider: policy.provider.as_ref().and_then(|provider| provider.name.clone()),
    });
    let mut compiler =
        Compiler { domains, namespace: resource.namespace(), action, problems, unsupported: Problems::new() };
    let rules = compiler.rules(&id, policy.rules.as_deref(), at);
    let mut unsupported = compiler.unsupported;
    if action == Action::Custom {
        proxy.ext_authz.check(&id, at.path(), &mut unsupported);
    }
    match Scope::of(policy, resource.namespace(), proxy) {
        Scope::Applies => {
            problems.append(unsupported);
            Some((id, rules))
        }
        Scope::UnknownLabels => {
            problems
                .error(
                    at.field("selector").path(),
                    ProblemKind::Missing,
                    "whether the selector selects this workload cannot be told: its labels are not known",
                )
                .help("give the workload its `labels`, `{}` when it has none");
            None
        }
        Scope::OtherNamespace | Scope::OtherLabels | Scope::Attached => None,
    }
}

impl Compiler<'_> {
    fn error(&mut self, at: At<'_>, kind: ProblemKind, message: impl Into<String>) {
        self.problems.error(at.path(), kind, message);
    }

    fn suspicious(&mut self, at: At<'_>, message: impl Into<String>) {
        self.problems.warning(at.path(), ProblemKind::Suspicious, message);
    }

    fn rules(&mut self, policy: &Arc<PolicyId>, rules: Option<&[wire::Rule]>, at: At<'_>) -> Vec<Rule> {
        let at = at.field("rules");
        let rules = rules.unwrap_or_default();
        if rules.is_empty() && matches!(self.action, Action::Deny | Action::Custom) {
            let message = format!("a {} policy without rules would never match", self.action.name());
            let problem = self.problems.error(at.path(), ProblemKind::Missing, message);
            if self.action == Action::Deny {
                problem.help("to deny everything write `rules: [{}]`");
            }
        }
        if rules.len() > MAX_RULES {
            let message = format!("expected at most {MAX_RULES} rules, found {}", rules.len());
            self.error(at, ProblemKind::InvalidValue, message);
        }
        let mut compiled = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            let id = RuleId { policy: Arc::clone(policy), index };
            compiled.push(self.rule(id, rule, at.index(index)));
        }
        compiled
    }

    fn rule(&mut self, id: RuleId, rule: &wire::Rule, at: At<'_>) -> Rule {
        let from = self.entries(rule.from.as_deref(), at.field("from"), |compiler, entry, at| {
            compiler.wrapped(entry.source.as_ref(), at.field("source"), Self::source)
        });
        let to = self.entries(rule.to.as_deref(), at.field("to"), |compiler, entry, at| {
            compiler.wrapped(entry.operation.as_ref(), at.field("operation"), Self::operation)
        });
        let when = self.entries(rule.when.as_deref(), at.field("when"), Self::condition);
        Rule { id, from: Alternatives::new(from), to: Alternatives::new(to), when }
    }

    /// A list that may be absent, but not empty.
    fn entries<T>(
        &mut self,
        entries: Option<&[T]>,
        at: At<'_>,
        mut read: impl FnMut(&mut Self, &T, At<'_>) -> Vec<Condition>,
    ) -> Vec<Vec<Condition>> {
        let Some(entries) = entries else { return Vec::new() };
        if entries.is_empty() {
            self.empty_list(at);
        }
        entries.iter().enumerate().map(|(index, entry)| read(self, entry, at.index(index))).collect()
    }

    fn empty_list(&mut self, at: At<'_>) {
        self.error(at, ProblemKind::InvalidValue, "expected at least one entry, found an empty list");
    }

    /// The `source` of a `from` entry, the `operation` of a `to` entry: must be there and say something.
    fn wrapped<T: Default + PartialEq>(
        &mut self,
        entry: Option<&T>,
        at: At<'_>,
        read: fn(&mut Self, &T, At<'_>) -> Vec<Condition>,
    ) -> Vec<Condition> {
        match entry {
            Some(entry) if *entry != T::default() => read(self, entry, at),
            _ => {
                self.error(
                    at,
                    ProblemKind::Missing,
                    "missing: expected at least one field that says what to match",
                );
                Vec::new()
            }
        }
    }

    /// Adds a field's condition, when the field is set.
    ///
    /// DIFFERENCE: an empty list is an error, though Istio takes it for an absent one: a rule must not widen because a
    /// template left a list empty.
    fn add<T>(
        &mut self,
        conditions: &mut Vec<Condition>,
        at: At<'_>,
        (field, values): (&'static str, &Option<Vec<String>>),
        read: impl Fn(&mut Self, &str, At<'_>, &mut Vec<T>),
        matcher: impl Fn(Vec<T>) -> Matcher,
    ) {
        let Some(values) = values else { return };
        let at = at.field(field);
        if values.is_empty() {
            self.empty_list(at);
        }
        let mut compiled = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let at = at.index(index);
            if value.is_empty() {
                self.error(at, ProblemKind::InvalidValue, "expected a value, found an empty text");
            } else {
                read(self, value, at, &mut compiled);
            }
        }
        conditions.push(Condition::new(field, matcher(compiled)));
    }

    /// Refuses what an external authorizer's rules cannot use: they run before tokens and identities are judged.
    fn not_in_custom(&mut self, at: At<'_>, name: &str) {
        if self.action == Action::Custom {
            self.error(at, ProblemKind::Conflict, format!("`{name}` cannot be used with action CUSTOM"));
        }
    }
}
