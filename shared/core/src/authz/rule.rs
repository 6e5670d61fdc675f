//! One rule, ready to be verified.

use super::condition::Condition;
use super::facts::Facts;
use super::observe::Unmet;
use super::verdict::RuleId;
use mesh_policy_istio::authorization_policy::Action;

/// `(from[0] or from[1] ...) and (to[0] or to[1] ...) and when[0] and when[1] ...`
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) id: RuleId,
    /// Sources; empty for anybody. Inside each, all must hold.
    pub(super) from: Vec<Vec<Condition>>,
    /// Operations; empty for anything.
    pub(super) to: Vec<Vec<Condition>>,
    /// All must hold.
    pub(super) when: Vec<Vec<Condition>>,
}

impl Rule {
    /// Whether the rule matches.
    pub(super) fn matches(&self, facts: &Facts<'_, '_>) -> bool {
        let open = self.open();
        let all =
            |conditions: &Vec<Condition>| conditions.iter().all(|condition| condition.holds(facts, open));
        let any = |alternatives: &[Vec<Condition>]| alternatives.is_empty() || alternatives.iter().any(all);
        any(&self.to) && any(&self.from) && self.when.iter().all(all)
    }

    /// What a condition counts as that cannot be told: ALLOW must not match by it, any other action must.
    fn open(&self) -> bool {
        self.id.policy().action != Action::Allow
    }

    /// How many conditions do not hold, counting in each of `from` and `to` only the alternative that lacks least.
    pub(super) fn lacks(&self, facts: &Facts<'_, '_>) -> usize {
        let count = |conditions: &Vec<Condition>| self.failed(conditions, facts).count();
        let least = |alternatives: &[Vec<Condition>]| alternatives.iter().map(count).min().unwrap_or(0);
        least(&self.from) + least(&self.to) + self.when.iter().map(count).sum::<usize>()
    }

    /// Why the rule does not match: for each of `from` and `to` where no alternative holds, what every one of them lacks, or
    /// with `nearest` what the one lacks that lacks least.
    pub(super) fn unmet(&self, facts: &Facts<'_, '_>, nearest: bool) -> Vec<Unmet> {
        let mut unmet = Vec::new();
        for (group, wrapper, alternatives) in
            [("from", ".source", &self.from), ("to", ".operation", &self.to)]
        {
            let lacks = |conditions: &Vec<Condition>| self.failed(conditions, facts).count();
            let least = alternatives.iter().enumerate().min_by_key(|(_, conditions)| lacks(conditions));
            let Some((least, _)) = least.filter(|(_, conditions)| lacks(conditions) > 0) else { continue };
            for (index, conditions) in alternatives.iter().enumerate() {
                if !nearest || index == least {
                    self.describe(&format!("{group}[{index}]{wrapper}"), conditions, facts, &mut unmet);
                }
            }
        }
        for (index, conditions) in self.when.iter().enumerate() {
            self.describe(&format!("when[{index}]"), conditions, facts, &mut unmet);
        }
        unmet
    }

    fn failed<'c>(
        &self,
        conditions: &'c [Condition],
        facts: &Facts<'_, '_>,
    ) -> impl Iterator<Item = &'c Condition> {
        let open = self.open();
        conditions.iter().filter(move |condition| !condition.holds(facts, open))
    }

    fn describe(&self, at: &str, conditions: &[Condition], facts: &Facts<'_, '_>, unmet: &mut Vec<Unmet>) {
        unmet.extend(self.failed(conditions, facts).map(|condition| Unmet {
            field: format!("{at}.{}", condition.field),
            attribute: condition.matcher.attribute(),
            wanted: condition.wanted(),
            found: condition.matcher.found(facts),
        }));
    }
}
