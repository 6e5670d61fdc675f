//! The authorization verdict, and what led to it.

use crate::explain::place::Places;
use mesh_policy_core::authz::{Authorizer, AuthzObserver, RuleId, Unmet};
use mesh_policy_core::effect::LocalReply;
use mesh_policy_core::request::RequestView;
use mesh_policy_istio::authorization_policy::Action;
use mesh_policy_istio::path::Path;

/// How many ALLOW rules are searched for the one that lacked least.
const SEARCHED: usize = 10_000;

/// The verdict about one request.
#[derive(Debug)]
pub struct Authorization {
    pub allowed: bool,
    /// The policies that apply to the proxy.
    pub policies: Vec<Policy>,
    /// Whom the proxy asks before it judges by itself, and by which rule.
    pub asks: Option<(String, Rule)>,
    /// The rule that decided.
    pub determining: Option<Rule>,
    /// Of a default deny: the ALLOW rule that lacked least.
    pub nearest_miss: Option<Miss>,
    /// Every rule that was looked at.
    pub rules: Vec<Considered>,
    pub audited: Option<Rule>,
    /// Of dry-run policies: whether they would have allowed the request, and by which rule.
    pub shadow_deny: Option<(bool, Option<Rule>)>,
    pub shadow_allow: Option<(bool, Option<Rule>)>,
    pub reply: Option<LocalReply>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// `my-app/backend-access-policy`.
    pub name: String,
    pub action: &'static str,
    pub dry_run: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub policy: Policy,
    pub index: usize,
    /// Envoy's name of it.
    pub id: String,
    /// `shop.yaml:12`.
    pub at: Option<String>,
}

#[derive(Debug)]
pub struct Miss {
    pub rule: Rule,
    pub unmet: Vec<Unmet>,
}

#[derive(Debug)]
pub struct Considered {
    pub rule: Rule,
    pub matched: bool,
    pub unmet: Vec<Unmet>,
}

impl Rule {
    fn new(id: &RuleId, places: Places<'_>) -> Self {
        let (policy, index) = (Policy::new(id.policy()), id.index());
        let at = places.of("AuthorizationPolicy", &policy.name, &Path::root().field("rules").index(index));
        Self { policy, index, id: id.to_string(), at }
    }

    /// `AuthorizationPolicy my-app/backend-access-policy rules[0] (backend.yaml:9)`.
    pub fn place(&self) -> String {
        let at = self.at.as_ref().map(|at| format!(" ({at})")).unwrap_or_default();
        format!("AuthorizationPolicy {} rules[{}]{at}", self.policy.name, self.index)
    }
}

impl Policy {
    fn new(id: &mesh_policy_core::authz::PolicyId) -> Self {
        Self {
            name: format!("{}/{}", id.namespace, id.name),
            action: match id.action {
                Action::Allow => "ALLOW",
                Action::Deny => "DENY",
                Action::Audit => "AUDIT",
                Action::Custom => "CUSTOM",
            },
            dry_run: id.dry_run,
        }
    }
}

impl Authorization {
    /// Asks the authorizer, and listens to its reasons.
    ///
    /// `before` judges CUSTOM policies, and `authorizer` what is behind it.
    pub fn of(
        before: &Authorizer,
        authorizer: &Authorizer,
        request: &RequestView<'_>,
        places: Places<'_>,
    ) -> Self {
        let mut observer = Observer { places, rules: Vec::new() };
        let rule = |id: &RuleId| Rule::new(id, places);
        let custom = before.authorize(request, &mut observer);
        let verdict =
            if custom.is_allowed() { authorizer.authorize(request, &mut observer) } else { custom.clone() };
        let by_default = !verdict.is_allowed() && verdict.determining().is_none();
        let nearest = by_default.then(|| authorizer.nearest_miss(request, SEARCHED)).flatten();
        Self {
            allowed: verdict.is_allowed(),
            policies: before
                .policies()
                .iter()
                .chain(authorizer.policies())
                .map(|policy| Policy::new(policy))
                .collect(),
            asks: custom
                .asks()
                .zip(custom.determining())
                .map(|(provider, id)| (provider.to_owned(), rule(id))),
            determining: verdict.determining().map(rule),
            nearest_miss: nearest
                .map(|miss| Miss { rule: rule(miss.rule), unmet: authorizer.unmet(request, &miss) }),
            rules: observer.rules,
            audited: verdict.audited().map(rule),
            shadow_deny: verdict.shadow_deny().map(|shadow| (shadow.allowed, shadow.rule.map(rule))),
            shadow_allow: verdict.shadow_allow().map(|shadow| (shadow.allowed, shadow.rule.map(rule))),
            reply: verdict.local_reply(),
        }
    }
}

struct Observer<'s> {
    places: Places<'s>,
    rules: Vec<Considered>,
}

impl Observer<'_> {
    fn push(&mut self, rule: &RuleId, matched: bool, unmet: &[Unmet]) {
        self.rules.push(Considered { rule: Rule::new(rule, self.places), matched, unmet: unmet.to_vec() });
    }
}

impl AuthzObserver for Observer<'_> {
    fn explains(&self) -> bool {
        true
    }

    fn matched(&mut self, rule: &RuleId) {
        self.push(rule, true, &[]);
    }

    fn unmatched(&mut self, rule: &RuleId, unmet: &[Unmet]) {
        self.push(rule, false, unmet);
    }
}
