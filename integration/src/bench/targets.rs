//! What was promised, beside what was measured.

use std::collections::BTreeMap;

use mesh_policy_testkit::scale::{Hit, Scenario};
use serde_json::{Value, json};

use super::{
    candidate::Candidate,
    numbers::{Spread, short},
    rounds::Group,
};

/// A promise.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// What is promised.
    pub what: String,
    /// The bound.
    bound: Bound,
    /// What was measured; none where the run left it out.
    pub measured: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    AtMost(f64, &'static str),
    AtLeast(f64, &'static str),
}

impl Target {
    /// The bound in words.
    pub fn bound(&self) -> String {
        match self.bound {
            Bound::AtMost(limit, unit) => format!("at most {}{unit}", plain(limit)),
            Bound::AtLeast(limit, unit) => format!("at least {}{unit}", plain(limit)),
        }
    }

    /// What was measured, in words.
    pub fn measured(&self) -> String {
        let (Bound::AtMost(_, unit) | Bound::AtLeast(_, unit)) = self.bound;
        self.measured.map_or_else(|| "-".to_owned(), |measured| format!("{}{unit}", short(measured)))
    }

    /// `ok`, `missed`, or `not measured`.
    pub fn verdict(&self) -> &'static str {
        let kept = self.measured.map(|measured| match self.bound {
            Bound::AtMost(limit, _) => measured <= limit,
            Bound::AtLeast(limit, _) => measured >= limit,
        });
        match kept {
            Some(true) => "ok",
            Some(false) => "missed",
            None => "not measured",
        }
    }

    /// As an object.
    pub fn to_json(&self) -> Value {
        json!({
            "what": self.what,
            "target": self.bound(),
            "measured": self.measured(),
            "value": self.measured.map(super::numbers::round),
            "verdict": self.verdict(),
        })
    }
}

fn plain(number: f64) -> String {
    format!("{number}")
}

/// All promises.
pub fn of(groups: &[Group], sizes: &BTreeMap<String, u64>) -> Vec<Target> {
    let find = |scenario: Scenario, rules: usize| {
        groups.iter().find(|group| group.scenario == scenario && group.rules == rules)
    };
    let median = |spread: Option<Spread>| spread.map(|spread| spread.median);
    let mut targets = Vec::new();
    let mut push = |what: String, bound, measured| targets.push(Target { what, bound, measured });

    let policy = find(Scenario::Policy, 10);
    for (other, name, limit) in
        [(Candidate::Floor, "the floor filter", 1.3), (Candidate::Noop, "the SDK no-op", 1.5)]
    {
        let ratio =
            policy.and_then(|group| group.ratio((Candidate::Wasm, Hit::Middle), (other, Hit::Middle)));
        let what = format!("all four stages, 10 rules: added CPU to that of {name}");
        push(what.clone(), Bound::AtMost(limit, " x"), median(ratio));
        let alone = policy.and_then(|group| group.ratio_alone(other));
        push(format!("{what}, without the companions"), Bound::AtMost(limit, " x"), median(alone));
    }

    for scenario in [Scenario::Authz, Scenario::Routes, Scenario::Policy] {
        let added =
            |rules| Some(Spread::of(find(scenario, rules)?.added(Candidate::Wasm, Hit::Last))?.median);
        let growth = added(10).zip(added(10_000)).map(|(small, large)| large / small);
        let what = format!("{}: added CPU at 10 000 rules to that at 10", scenario.name());
        push(what, Bound::AtMost(1.3, " x"), growth);
    }
    for (scenario, rules, limit) in [
        (Scenario::Authz, 1_000, 20.0),
        (Scenario::Authz, 10_000, 200.0),
        (Scenario::Routes, 1_000, 10.0),
        (Scenario::Routes, 10_000, 100.0),
    ] {
        for hit in [Hit::Middle, Hit::Last] {
            let measured = find(scenario, rules)
                .and_then(|group| median(group.ratio((Candidate::Native, hit), (Candidate::Wasm, hit))));
            let what = format!(
                "{}, {rules} rules, {} one met: native's added CPU to ours",
                scenario.name(),
                hit.name()
            );
            push(what, Bound::AtLeast(limit, " x"), measured);
        }
    }
    for scenario in Scenario::ALL {
        let group = find(scenario, 10_000);
        let load = group.and_then(|group| group.configure_ms(Candidate::Wasm));
        push(format!("{}: loading 10 000 rules, a VM", scenario.name()), Bound::AtMost(50.0, " ms"), load);
        let memory = group.and_then(|group| group.vm_mib(Candidate::Wasm));
        push(
            format!("{}: memory of 10 000 rules, a VM", scenario.name()),
            Bound::AtMost(30.0, " MiB"),
            memory,
        );
    }
    for (module, limit) in [("mesh_authz.wasm", 500.0), ("mesh_policy.wasm", 900.0)] {
        let size = sizes.get(module).map(|bytes| *bytes as f64 / 1e3);
        push(format!("size of {module}"), Bound::AtMost(limit, " KB"), size);
    }
    targets
}
