//! The plain evaluator as the oracle of the indexed one.
//!
//! Whoever listens to an evaluation is shown every rule in turn, so an observer makes it the plain one; without, the index
//! picks the rules that are tried. On generated policies and requests both must come to the same end: the rule that decides,
//! the one that is audited, what policies on trial would have done, and the route.

mod asked;
mod generate;
mod shrink;

use crate::generate::Matcher;
use mesh_policy_core::authz::AuthzObserver;
use mesh_policy_core::request::{HeaderMap, RequestView};
use mesh_policy_core::route::{RouteObserver, Selection};
use serde_json::Value;
use std::fmt::{self, Write as _};

pub use asked::Asked;
pub use generate::{authorization, routing};
pub use shrink::shrink;

/// Policies and the requests that are tried on them.
#[derive(Debug, Clone)]
pub struct Crowd {
    /// The proxy, in the form of a plugin configuration; the gateway of the common resources when absent.
    pub workload: Option<Value>,
    /// The resources, beside the common ones.
    pub resources: Vec<Value>,
    /// What is asked.
    pub asked: Vec<Asked>,
}

/// What was compared.
#[derive(Debug, Clone, Copy, Default)]
pub struct Compared {
    /// How many requests.
    pub requests: usize,
    /// How many of these met a rule.
    pub met: usize,
}

/// A request about which the two evaluations disagree.
#[derive(Debug, Clone)]
pub struct Disagreement {
    /// The policies, and this request alone.
    pub crowd: Crowd,
    /// What came of it through the index.
    pub indexed: String,
    /// What comes of it when every rule is tried.
    pub plain: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "indexed: {}\nplain:   {}", self.indexed, self.plain)?;
        if let Some(workload) = &self.crowd.workload {
            writeln!(f, "workload: {workload}")?;
        }
        for resource in &self.crowd.resources {
            writeln!(f, "{resource:#}")?;
        }
        self.crowd.asked.iter().try_for_each(|asked| writeln!(f, "{asked:#?}"))
    }
}

/// Has every rule tried.
struct EveryRule;

impl AuthzObserver for EveryRule {
    fn explains(&self) -> bool {
        true
    }
}

impl RouteObserver for EveryRule {}

/// Asks for the decision alone, as filters do.
struct AnyPermit;

impl AuthzObserver for AnyPermit {
    fn takes_any_permit(&self) -> bool {
        true
    }
}

impl Crowd {
    /// Compares both evaluations of every request.
    ///
    /// # Errors
    /// The policies do not compile: all problems, one a line.
    pub fn compare(&self) -> Result<Result<Compared, Box<Disagreement>>, String> {
        let set = crate::generate::PolicySet {
            workload: self.workload.clone(),
            resources: self.resources.clone(),
            probes: Vec::new(),
            by_chance: false,
        };
        let matcher = Matcher::compile(&set)?;
        let mut compared = Compared::default();
        for asked in &self.asked {
            let buffer = asked.probe.header_map();
            let headers = HeaderMap::parse(&buffer).map_err(|error| error.to_string())?;
            // Two views, since each keeps what was fetched for it.
            let indexed = matcher.outcome(&RequestView::new(&headers, asked), &mut ());
            let plain = matcher.outcome(&RequestView::new(&headers, asked), &mut EveryRule);
            let enforced = matcher.authorizer.authorize(&RequestView::new(&headers, asked), &mut AnyPermit);
            let indexed = if plain.starts_with(&format!("allowed {} ", enforced.is_allowed())) {
                indexed
            } else {
                format!("{indexed}; where any permit will do: allowed {}", enforced.is_allowed())
            };
            if indexed != plain {
                let crowd = Self { asked: vec![asked.clone()], ..self.clone() };
                return Ok(Err(Box::new(Disagreement { crowd, indexed, plain })));
            }
            compared.requests += 1;
            compared.met += usize::from(plain.contains("rule[") || plain.contains("http["));
        }
        Ok(Ok(compared))
    }
}

impl Matcher {
    /// Everything that the evaluations say of a request.
    fn outcome<O: AuthzObserver + RouteObserver>(
        &self,
        request: &RequestView<'_>,
        observer: &mut O,
    ) -> String {
        let verdict = self.authorizer.authorize(request, observer);
        let name = |rule: Option<&mesh_policy_core::authz::RuleId>| {
            rule.map_or_else(|| "-".to_owned(), ToString::to_string)
        };
        let mut text = format!(
            "allowed {} by {}, audited {}",
            verdict.is_allowed(),
            name(verdict.determining()),
            name(verdict.audited())
        );
        for (action, shadow) in [("deny", verdict.shadow_deny()), ("allow", verdict.shadow_allow())] {
            if let Some(shadow) = shadow {
                let _ = write!(text, ", {action} on trial {shadow}");
            }
        }
        let _ = match self.routes.select(request, observer) {
            Selection::Unmanaged => write!(text, "; unmanaged"),
            Selection::UnknownHost => write!(text, "; unknown host"),
            Selection::NoRoute => write!(text, "; no route"),
            Selection::Route(matched) => write!(text, "; {}", matched.rule()),
        };
        text
    }
}

#[cfg(test)]
mod tests;
