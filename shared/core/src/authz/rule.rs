//! One rule, ready to be verified.

use super::condition::Condition;
use super::facts::Facts;
use super::filing::Filing;
use super::observe::Unmet;
use super::verdict::RuleId;
use mesh_policy_istio::authorization_policy::Action;
use std::fmt;

/// `(from[0] or from[1] ...) and (to[0] or to[1] ...) and when[0] and when[1] ...`
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: RuleId,
    /// Sources; empty for anybody. Inside each, all must hold.
    pub(super) from: Alternatives,
    /// Operations; empty for anything.
    pub(super) to: Alternatives,
    /// All must hold.
    pub(super) when: Vec<Vec<Condition>>,
}

/// Lists of conditions, of which one list must hold as a whole.
#[derive(Debug)]
pub(super) struct Alternatives {
    pub(super) list: Vec<Vec<Condition>>,
    /// Where there are many.
    filing: Option<Filing>,
}

impl Alternatives {
    pub(super) fn new(list: Vec<Vec<Condition>>) -> Self {
        let filing = Filing::of_alternatives(&list);
        Self { list, filing }
    }

    fn get(&self, index: usize) -> &[Condition] {
        self.list.get(index).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether any holds; none at all asks for nothing.
    fn any(&self, facts: &Facts<'_, '_>, holds: impl Fn(&Vec<Condition>) -> bool) -> bool {
        match facts.found_by(self.filing.as_ref()) {
            Some(found) => found.into_iter().filter_map(|at| self.list.get(at)).any(holds),
            None => self.list.is_empty() || self.list.iter().any(holds),
        }
    }

    /// All, or as many as are asked for: those that the index finds, then the first ones.
    fn near(&self, facts: &Facts<'_, '_>, at_most: Option<usize>) -> impl Iterator<Item = usize> {
        let count = at_most.unwrap_or(usize::MAX);
        let found = at_most.and_then(|_| facts.found_by(self.filing.as_ref()));
        found.into_iter().flatten().chain(0..self.list.len()).take(count)
    }
}

impl Rule {
    /// Whether the rule matches.
    pub(super) fn matches(&self, facts: &Facts<'_, '_>) -> bool {
        let open = self.open();
        let all =
            |conditions: &Vec<Condition>| conditions.iter().all(|condition| condition.holds(facts, open));
        self.to.any(facts, all) && self.from.any(facts, all) && self.when.iter().all(all)
    }

    /// What a condition counts as that cannot be told: ALLOW must not match by it, any other action must.
    fn open(&self) -> bool {
        self.id.policy().action != Action::Allow
    }

    /// Writes down the conditions that do not hold: for each of `from` and `to` where no alternative holds, those of every
    /// one of them, or of the one that lacks least among as many as are `near`.
    pub(super) fn lacks<'c>(&'c self, facts: &Facts<'_, '_>, near: Option<usize>, lacks: &mut Lacks<'c>) {
        lacks.clear();
        for (group, alternatives) in [(Group::From, &self.from), (Group::To, &self.to)] {
            let before = lacks.len();
            let mut least = (usize::MAX, 0);
            for index in alternatives.near(facts, near) {
                let begin = lacks.len();
                self.failed(group, index, alternatives.get(index), facts, lacks);
                let count = (lacks.len() - begin, index);
                if near.is_none() && count.0 > 0 {
                    continue;
                }
                if count < least {
                    least = count;
                    lacks.drain(before..begin);
                } else {
                    lacks.truncate(begin);
                }
                if count.0 == 0 {
                    break;
                }
            }
        }
        for (index, conditions) in self.when.iter().enumerate() {
            self.failed(Group::When, index, conditions, facts, lacks);
        }
    }

    /// The same in words.
    pub(super) fn unmet(&self, facts: &Facts<'_, '_>, near: Option<usize>) -> Vec<Unmet> {
        let mut lacks = Vec::new();
        self.lacks(facts, near, &mut lacks);
        let unmet = lacks.into_iter().map(|(field, condition)| Unmet {
            field: field.to_string(),
            attribute: condition.matcher.attribute(),
            wanted: condition.wanted(),
            found: condition.matcher.found(facts),
        });
        unmet.collect()
    }

    /// Adds the conditions that do not hold.
    fn failed<'c>(
        &self,
        group: Group,
        index: usize,
        conditions: &'c [Condition],
        facts: &Facts<'_, '_>,
        lacks: &mut Lacks<'c>,
    ) {
        let open = self.open();
        let failed = conditions.iter().filter(|condition| !condition.holds(facts, open));
        lacks.extend(failed.map(|condition| (Field { group, index, name: condition.field }, condition)));
    }
}

#[cfg(test)]
impl Rule {
    /// How many entries of `from` are tried, and how many values of the first condition of the last of them.
    pub(super) fn tried(&self, facts: &Facts<'_, '_>) -> [usize; 2] {
        let of = |filing: Option<&Filing>, all| facts.found_by(filing).map_or(all, |found| found.len());
        let condition = self.from.list.last().and_then(|conditions| conditions.first()).unwrap();
        [
            of(self.from.filing.as_ref(), self.from.list.len()),
            of(condition.filing.as_ref(), condition.matcher.count()),
        ]
    }
}

/// Conditions, and where they stand.
pub(super) type Lacks<'c> = Vec<(Field, &'c Condition)>;

/// A field of a rule, printed as where it stands: `from[0].source.notPrincipals`, `when[1].values`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    group: Group,
    index: usize,
    name: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    From,
    To,
    When,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, wrapper) = match self.group {
            Group::From => ("from", "source."),
            Group::To => ("to", "operation."),
            Group::When => ("when", ""),
        };
        write!(f, "{group}[{}].{wrapper}{}", self.index, self.name)
    }
}
