//! A virtual host: the routes that are tried in order for one host.

use super::condition::Condition;
use super::filing::Filing;
use super::observer::{Excluded, FailedCondition};
use super::request_match::RequestMatch;
use super::{RouteObserver, RuleId};
use crate::request::RequestView;

/// A rule together with one of its matches: Envoy's notion of a route.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) id: RuleId,
    pub(super) name: String,
    /// The position of its rule in the table.
    pub(super) rule: usize,
    pub(super) matched: RequestMatch,
}

/// Routes by their position in the table.
#[derive(Debug, Default)]
pub(super) struct VirtualHost {
    /// The first that matches wins.
    pub(super) routes: Vec<usize>,
    /// Where there are many.
    pub(super) filing: Option<Filing>,
    /// Those that cannot match at this proxy: kept for whoever asks why.
    pub(super) excluded: Vec<(usize, Why)>,
}

/// Why a route cannot match at this proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Why {
    /// A condition on the proxy does not hold.
    Proxy { field: &'static str, key: Option<String>, wants: String, found: String },
    /// That route takes every request.
    Behind(usize),
}

impl Route {
    /// Whether all conditions hold. With a listener, all are tried; without, the first that fails ends it.
    pub(super) fn verify<O: RouteObserver>(&self, request: &RequestView<'_>, observer: &mut O) -> bool {
        if !O::LISTENS {
            return self.matched.conditions.iter().all(|condition| condition.holds(request));
        }
        let mut failed = 0_usize;
        for condition in self.matched.conditions.iter().filter(|condition| !condition.holds(request)) {
            failed += 1;
            observer.failed(&self.id, &self.failure(condition, request));
        }
        observer.considered(&self.id, failed == 0);
        failed == 0
    }

    fn failure<'f>(&self, condition: &'f Condition, request: &'f RequestView<'_>) -> FailedCondition<'f> {
        FailedCondition {
            field: condition.field(&self.id.path()),
            wants: condition,
            found: condition.found(request),
        }
    }
}

impl VirtualHost {
    /// Files its routes among those of the table, once they are complete.
    pub(super) fn arrange(&mut self, routes: &[Route]) {
        self.filing = Filing::new(routes, &self.routes);
    }

    /// The position of the first route that matches; nobody is told why.
    #[inline]
    pub(super) fn find(&self, routes: &[Route], request: &RequestView<'_>) -> Option<usize> {
        let matches =
            |position: &usize| routes.get(*position).is_some_and(|route| route.verify(request, &mut ()));
        match &self.filing {
            Some(filing) => {
                let mut at_matches = |at: usize| self.routes.get(at).is_some_and(matches);
                self.routes.get(filing.first(request, &mut at_matches)?).copied()
            }
            None => self.routes.iter().copied().find(matches),
        }
    }

    /// Tells `observer` which of `routes` cannot match at this proxy.
    pub(super) fn tell_excluded<O: RouteObserver>(&self, routes: &[Route], observer: &mut O) {
        for (index, why) in &self.excluded {
            let Some(route) = routes.get(*index) else { continue };
            match why {
                Why::Proxy { field, key, wants, found } => {
                    let mut path = route.id.path();
                    path.push_field(field);
                    if let Some(key) = key {
                        path.push_field(key);
                    }
                    observer.excluded(&route.id, &Excluded::Proxy { field: path, wants, found });
                }
                Why::Behind(last) => {
                    if let Some(last) = routes.get(*last) {
                        observer.excluded(&route.id, &Excluded::Unreachable { behind: &last.id });
                    }
                }
            }
        }
    }
}
