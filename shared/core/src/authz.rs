//! Authorization: AuthorizationPolicies compiled for one proxy, and their verdict on a request.
//!
//! Policies of one action form one pool, whatever namespace they come from. DENY is asked first: any rule that matches
//! rejects. Then ALLOW: when there is any such policy, also one without rules, some rule must match. AUDIT is recorded; a dry
//! run gives a shadow verdict and changes nothing. CUSTOM comes before all of them, in an authorizer of its own: see
//! [`ExternalAuthorization`].
//!
//! What a request does not have matches no value, and so satisfies every `not` field: a header, a token, the identity of a
//! peer without TLS. What cannot be *told* is something else: an address that the proxy was not set up to pass on, a token
//! that is no JSON, a certificate whose names can be read in two ways. Then no condition on it holds for an ALLOW rule, and
//! every condition on it holds for the other actions, so that doubt never lets a request pass.
//!
//! DIFFERENCE: Envoy knows its connections, so it never doubts; a certificate of several names from different trust domains
//! satisfies an ALLOW rule there by any of them.

mod at;
mod cidr;
mod claims;
mod compile;
mod condition;
mod external;
mod facts;
mod filing;
mod identity;
mod observe;
mod path_template;
mod rule;
mod scope;
mod value_match;
mod verdict;

pub use condition::{host_value_matches, path_value_matches};
pub use external::ExternalAuthorization;
pub use observe::{AuthzObserver, Unmet};
pub use rule::Field;
pub use scope::{Attachment, Scope};
pub use verdict::{NearestMiss, PolicyId, RuleId, Shadow, Verdict};

use crate::order::sort_by;
use crate::proxy::ProxyContext;
use crate::request::RequestView;
use facts::Facts;
use filing::Filing;
use mesh_policy_bytes::Configured;
use mesh_policy_istio::authorization_policy::{Action, AuthorizationPolicy};
use mesh_policy_istio::problem::Problems;
use mesh_policy_istio::resource::{Resource, Spec};
use rule::Rule;
use std::collections::HashSet;
use std::sync::Arc;

/// The policies that apply to one proxy.
#[derive(Debug, Default)]
pub struct Authorizer {
    policies: Vec<Arc<PolicyId>>,
    deny: Pool,
    allow: Pool,
    audit: Pool,
    custom: Pool,
    dry_deny: Pool,
    dry_allow: Pool,
    explain_denials: bool,
    external: ExternalAuthorization,
}

/// All rules of one action.
#[derive(Debug, Default)]
struct Pool {
    /// Whether there is a policy of this action, with or without rules.
    in_use: bool,
    /// By the bytes of their names: the order in which Envoy tries them.
    rules: Vec<Rule>,
    /// Where there are many.
    filing: Option<Filing>,
}

/// How many alternatives of a rule are looked at for a nearest miss, at least.
const ALTERNATIVES: usize = 16;

impl Authorizer {
    /// Validates all AuthorizationPolicies of `resources` and keeps those that apply to `proxy`.
    ///
    /// Whatever is wrong is reported in `problems`, also in policies that do not apply. An authorizer must not be used when
    /// there are errors.
    pub fn compile(resources: &[Resource], proxy: &ProxyContext, problems: &mut Problems) -> Self {
        Self::take(&mut resources.to_vec(), proxy, problems)
    }

    /// The same, with the policies taken out of `resources`: each is gone before the next is compiled.
    pub fn take(resources: &mut [Resource], proxy: &ProxyContext, problems: &mut Problems) -> Self {
        let domains = compile::trust_domains(proxy);
        let mut names: HashSet<_, Configured> = HashSet::default();
        let mut authorizer = Self {
            explain_denials: proxy.explain_denials,
            external: proxy.ext_authz.clone(),
            ..Self::default()
        };
        for resource in resources {
            let Some(policy) = taken(&mut resource.spec) else { continue };
            let resource = &*resource;
            if !names.insert((resource.namespace(), resource.name())) {
                compile::duplicate(resource, problems);
            }
            if let Some((id, rules)) = compile::policy(resource, &policy, proxy, &domains, problems) {
                if !authorizer.external.judges(id.action) {
                    continue;
                }
                let pool = authorizer.pool(&id);
                pool.in_use = true;
                pool.rules.extend(rules);
                authorizer.policies.push(id);
            }
        }
        let Self { deny, allow, audit, custom, dry_deny, dry_allow, .. } = &mut authorizer;
        for pool in [deny, allow, audit, custom, dry_deny, dry_allow] {
            pool.arrange();
        }
        authorizer
    }

    fn pool(&mut self, policy: &PolicyId) -> &mut Pool {
        match (policy.action, policy.dry_run) {
            (Action::Deny, false) => &mut self.deny,
            (Action::Deny, true) => &mut self.dry_deny,
            (Action::Allow, false) => &mut self.allow,
            (Action::Allow, true) => &mut self.dry_allow,
            (Action::Audit, _) => &mut self.audit,
            (Action::Custom, _) => &mut self.custom,
        }
    }

    /// Whether no policy applies: everything is allowed and nothing recorded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.policies.is_empty() && !self.stands_before_ext_authz()
    }

    /// Whether this authorizer only decides who is asked about a request, Envoy's ext_authz filter being behind it.
    #[must_use]
    pub const fn stands_before_ext_authz(&self) -> bool {
        matches!(self.external, ExternalAuthorization::Before(_))
    }

    /// Whether a client that is denied is to be told why.
    #[must_use]
    pub const fn explains_denials(&self) -> bool {
        self.explain_denials
    }

    /// The policies that apply, also those without rules.
    #[must_use]
    pub fn policies(&self) -> &[Arc<PolicyId>] {
        &self.policies
    }

    /// Decides about one request.
    pub fn authorize<'p, O: AuthzObserver>(
        &'p self,
        request: &RequestView<'_>,
        observer: &mut O,
    ) -> Verdict<'p> {
        let facts = Facts::new(request, observer.explains());
        if let ExternalAuthorization::Before(available) = &self.external {
            return self.ask(available, self.custom.first_match(&facts, observer, false));
        }
        let audited = self.audit.first_match(&facts, observer, false);
        let shadow_deny = self.dry_deny.in_use.then(|| {
            let rule = self.dry_deny.first_match(&facts, observer, false);
            Shadow { allowed: rule.is_none(), rule }
        });
        let shadow_allow = self.dry_allow.in_use.then(|| {
            let rule = self.dry_allow.first_match(&facts, observer, false);
            Shadow { allowed: rule.is_some(), rule }
        });
        let denied = self.deny.first_match(&facts, observer, false);
        let allowed = if denied.is_none() || observer.explains() {
            self.allow.first_match(&facts, observer, observer.takes_any_permit())
        } else {
            None
        };
        let verdict = match (denied, allowed) {
            (Some(rule), _) => Verdict::denied(Some(rule)),
            (None, Some(rule)) => Verdict::allowed(Some(rule)),
            (None, None) if self.allow.in_use => Verdict::denied(None),
            (None, None) => Verdict::allowed(None),
        };
        Verdict { audited, shadow_deny, shadow_allow, ..verdict }
    }

    /// The ALLOW rule that came closest to matching, the first of equals: to be asked after a default deny.
    ///
    /// Every condition of a rule is judged to count what it lacks, so `at_most` bounds the rules that are looked at, and of
    /// each rule the alternatives: those that the index finds for the request, then the first ones.
    #[must_use]
    pub fn nearest_miss(&self, request: &RequestView<'_>, at_most: usize) -> Option<NearestMiss<'_>> {
        let facts = Facts::new(request, false);
        let rules = &self.allow.rules;
        let found = self.allow.filing.iter().flat_map(|filing| filing.candidates(&facts, at_most));
        let (mut nearest, mut fewest, mut lacks) = (None, Vec::new(), Vec::new());
        for at in found.chain(0..rules.len()).take(at_most) {
            // No rule lacks less than one condition, so only an earlier one could still be nearer.
            if nearest.is_some_and(|(first, _)| first <= at && fewest.len() <= 1) {
                continue;
            }
            let Some(rule) = rules.get(at) else { continue };
            rule.lacks(&facts, Some(at_most.max(ALTERNATIVES)), &mut lacks);
            if nearest.is_none_or(|(first, _)| (lacks.len(), at) < (fewest.len(), first)) {
                nearest = Some((at, rule));
                std::mem::swap(&mut fewest, &mut lacks);
            }
        }
        let fields = fewest.into_iter().map(|(field, _)| field).collect();
        nearest.map(|(_, rule)| NearestMiss { rule: &rule.id, fields })
    }

    /// What the rule of a nearest miss lacks, with what it asked for and what the request has.
    #[must_use]
    pub fn unmet(&self, request: &RequestView<'_>, miss: &NearestMiss<'_>) -> Vec<Unmet> {
        let rule = self.allow.rules.iter().find(|rule| rule.id == *miss.rule);
        rule.map(|rule| rule.unmet(&Facts::new(request, true), Some(usize::MAX))).unwrap_or_default()
    }
}

fn taken(spec: &mut Spec) -> Option<AuthorizationPolicy> {
    match spec {
        Spec::AuthorizationPolicy(policy) => {
            let policy = std::mem::take(policy);
            *spec = Spec::Other("AuthorizationPolicy");
            Some(policy)
        }
        _ => None,
    }
}

impl Pool {
    /// Puts the rules into their order, and files them.
    fn arrange(&mut self) {
        sort_by(&mut self.rules, |a, b| a.id.compare_names(&b.id));
        self.filing = Filing::of_rules(&self.rules);
    }

    /// The first rule that matches; with `any`, another one may do. An observer who wants reasons is shown all of them.
    fn first_match<'p, O: AuthzObserver>(
        &'p self,
        facts: &Facts<'_, '_>,
        observer: &mut O,
        any: bool,
    ) -> Option<&'p RuleId> {
        if observer.explains() {
            return self.explained(facts, observer);
        }
        let rule = match &self.filing {
            Some(filing) => {
                let mut matches = |at: usize| self.rules.get(at).is_some_and(|rule| rule.matches(facts));
                self.rules.get(filing.first(facts, any, &mut matches)?)
            }
            None => self.rules.iter().find(|rule| rule.matches(facts)),
        }?;
        observer.matched(&rule.id);
        Some(&rule.id)
    }

    /// The same by trying every rule.
    fn explained<'p, O: AuthzObserver>(
        &'p self,
        facts: &Facts<'_, '_>,
        observer: &mut O,
    ) -> Option<&'p RuleId> {
        let mut first = None;
        for rule in &self.rules {
            if rule.matches(facts) {
                observer.matched(&rule.id);
                first = first.or(Some(&rule.id));
            } else {
                observer.unmatched(&rule.id, &rule.unmet(facts, None));
            }
        }
        first
    }
}

#[cfg(test)]
mod tests;
