//! Which rule a request takes, why not the others, and what the rule does.

use crate::explain::forward::Forward;
use crate::explain::place::Places;
use mesh_policy_core::effect::{FaultDecision, HeaderEdit, LocalReply, SplitMix64};
use mesh_policy_core::request::RequestView;
use mesh_policy_core::route::{
    Action, Excluded, FailedCondition, RouteMatch, RouteObserver, RouteTable, RuleId, Selection, not_found,
};

/// The way of one request through the rules.
#[derive(Debug)]
pub struct Routing {
    pub virtual_host: Option<VirtualHost>,
    /// In the order of evaluation; the excluded ones first.
    pub rules: Vec<Rule>,
    pub outcome: Outcome,
}

#[derive(Debug)]
pub struct VirtualHost {
    /// The host that was looked for.
    pub host: String,
    /// The domain that speaks for it.
    pub domain: Option<String>,
    /// All that there are.
    pub domains: Vec<String>,
}

#[derive(Debug)]
pub struct Rule {
    /// `VirtualService shop/customers http[0].match[1]`.
    pub place: String,
    /// `shop.yaml:12`.
    pub at: Option<String>,
    pub state: State,
}

#[derive(Debug)]
pub enum State {
    /// It can never match at this proxy.
    Excluded(String),
    /// A rule before it matched.
    PassedOver,
    /// Conditions that do not hold.
    Failed(Vec<Failed>),
    Matched {
        /// The conditions as they were written; `None` when it takes every request.
        conditions: Option<String>,
    },
}

#[derive(Debug)]
pub struct Failed {
    /// Inside the match: `headers["user-agent"]`.
    pub field: String,
    pub wants: String,
    pub found: Option<String>,
}

#[derive(Debug)]
pub enum Outcome {
    /// Envoy's own routes apply.
    Unmanaged,
    /// No virtual host, or none of its rules.
    NotFound(LocalReply),
    Matched(Box<Matched>),
}

/// What the rule that matched does with the request.
#[derive(Debug)]
pub struct Matched {
    pub name: String,
    pub place: String,
    pub fault: FaultDecision,
    /// Of a redirect or a direct response.
    pub local_reply: Option<LocalReply>,
    pub destinations: Vec<Share>,
    pub forward: Option<Forward>,
    pub response: Vec<HeaderEdit<'static>>,
}

/// A destination and its weight.
#[derive(Debug)]
pub struct Share {
    pub cluster: String,
    pub weight: u32,
    pub drawn: bool,
}

impl Routing {
    /// Where the request is forwarded to.
    pub fn cluster(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Matched(matched) => matched.forward.as_ref().map(|forward| forward.cluster.as_str()),
            Outcome::Unmanaged | Outcome::NotFound(_) => None,
        }
    }

    /// Asks the table, and listens to its reasons.
    pub fn of(
        table: &RouteTable,
        request: &RequestView<'_>,
        random: &mut SplitMix64,
        places: Places<'_>,
    ) -> Self {
        let mut observer = Observer { places, virtual_host: None, rules: Vec::new(), failed: Vec::new() };
        let outcome = match table.select(request, &mut observer) {
            Selection::Unmanaged => Outcome::Unmanaged,
            Selection::UnknownHost | Selection::NoRoute => Outcome::NotFound(not_found()),
            Selection::Route(route) => Outcome::Matched(Box::new(Matched::new(route, request, random))),
        };
        Self { virtual_host: observer.virtual_host, rules: observer.rules, outcome }
    }
}

impl Matched {
    fn new(route: RouteMatch<'_>, request: &RequestView<'_>, random: &mut SplitMix64) -> Self {
        let choice = route.choose(random);
        let fault = choice.fault(request, random);
        let (mut edits, mut orders, mut response) = (Vec::new(), Vec::new(), Vec::new());
        choice.request_edits(request, &mut edits);
        choice.response_edits(request, &mut response);
        let local_reply = choice.local_reply(request);
        let destinations = match route.action() {
            Action::Forward(destinations) => destinations,
            Action::Redirect | Action::DirectResponse => &[],
        };
        let forward = choice.destination().map(|destination| {
            choice.forward_edits(request, &mut orders);
            Forward::new(destination.cluster(), choice.profile(), request, &orders, &edits)
        });
        let drawn = choice.destination();
        Self {
            name: route.name().to_owned(),
            place: route.rule().to_string(),
            fault,
            local_reply,
            destinations: destinations
                .iter()
                .map(|destination| Share {
                    cluster: destination.cluster().to_owned(),
                    weight: destination.weight(),
                    drawn: drawn.is_some_and(|drawn| std::ptr::eq(drawn, destination)),
                })
                .collect(),
            forward,
            response: response.iter().map(owned).collect(),
        }
    }
}

/// The same edit, holding on to nothing.
pub fn owned(edit: &HeaderEdit<'_>) -> HeaderEdit<'static> {
    let name = |name: &str| name.to_owned().into();
    match edit {
        HeaderEdit::Set(key, value) => HeaderEdit::Set(name(key), value.to_vec().into()),
        HeaderEdit::Add(key, value) => HeaderEdit::Add(name(key), value.to_vec().into()),
        HeaderEdit::Remove(key) => HeaderEdit::Remove(name(key)),
    }
}

struct Observer<'s> {
    places: Places<'s>,
    virtual_host: Option<VirtualHost>,
    rules: Vec<Rule>,
    /// Of the rule that is looked at.
    failed: Vec<Failed>,
}

impl Observer<'_> {
    fn push(&mut self, rule: &RuleId, state: State) {
        let at = self.places.of("VirtualService", rule.virtual_service(), &rule.path());
        self.rules.push(Rule { place: rule.to_string(), at, state });
    }
}

impl RouteObserver for Observer<'_> {
    fn virtual_host(&mut self, host: &[u8], domain: Option<&str>, domains: &[&str]) {
        self.virtual_host = Some(VirtualHost {
            host: String::from_utf8_lossy(host).into_owned(),
            domain: domain.map(str::to_owned),
            domains: domains.iter().map(|domain| (*domain).to_owned()).collect(),
        });
    }

    fn excluded(&mut self, rule: &RuleId, why: &Excluded<'_>) {
        let why = match why {
            Excluded::Proxy { field, wants, found } => {
                let field = field.below(rule.path().depth()).to_string();
                format!("{field} wants `{wants}`, this proxy has `{found}`")
            }
            Excluded::Unreachable { behind } => format!("never reached: {behind} takes every request"),
        };
        self.push(rule, State::Excluded(why));
    }

    fn failed(&mut self, rule: &RuleId, condition: &FailedCondition<'_>) {
        self.failed.push(Failed {
            field: condition.field.below(rule.path().depth()).to_string(),
            wants: condition.wants.to_string(),
            found: condition.found.as_deref().map(|found| String::from_utf8_lossy(found).into_owned()),
        });
    }

    fn considered(&mut self, rule: &RuleId, matched: bool) {
        let failed = std::mem::take(&mut self.failed);
        if !matched {
            return self.push(rule, State::Failed(failed));
        }
        let written = || self.places.written("VirtualService", rule.virtual_service(), &rule.path());
        let conditions = rule.matched().and_then(|_| written());
        self.push(rule, State::Matched { conditions });
    }

    fn passed_over(&mut self, rule: &RuleId, _: &RuleId) {
        self.push(rule, State::PassedOver);
    }
}
