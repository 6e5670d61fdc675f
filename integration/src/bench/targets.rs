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
    /// What was measured by the clock or the kernel; none where the run left it out.
    pub measured: Option<f64>,
    /// The same by instructions.
    pub counted: Option<f64>,
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

    fn words(&self, figure: f64) -> String {
        let (Bound::AtMost(_, unit) | Bound::AtLeast(_, unit)) = self.bound;
        format!("{}{unit}", short(figure))
    }

    fn verdict(&self, figure: f64) -> &'static str {
        let kept = match self.bound {
            Bound::AtMost(limit, _) => figure <= limit,
            Bound::AtLeast(limit, _) => figure >= limit,
        };
        if kept { "ok" } else { "missed" }
    }

    /// As an object; what was not measured is null.
    pub fn to_json(&self) -> Value {
        let words = |figure: Option<f64>| figure.map(|figure| self.words(figure));
        let verdict = |figure: Option<f64>| figure.map(|figure| self.verdict(figure));
        json!({
            "what": self.what,
            "target": self.bound(),
            "measured": words(self.measured),
            "value": self.measured.map(super::numbers::round),
            "verdict": verdict(self.measured),
            "counted": words(self.counted),
            "counted_value": self.counted.map(super::numbers::round),
            "counted_verdict": verdict(self.counted),
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
    let mut push =
        |what: String, bound, measured, counted| targets.push(Target { what, bound, measured, counted });

    let policy = find(Scenario::Policy, 10);
    for (other, name, limit) in
        [(Candidate::Floor, "the floor filter", 1.3), (Candidate::Noop, "the SDK no-op", 1.5)]
    {
        let pair = ((Candidate::Wasm, Hit::Middle), (other, Hit::Middle));
        let timed = policy.and_then(|group| group.ratio(pair.0, pair.1));
        let counted = policy.and_then(|group| group.counts.ratio(pair.0, pair.1));
        let what = format!("all four stages, 10 rules: added to a request, to what {name} adds");
        push(what.clone(), Bound::AtMost(limit, " x"), median(timed), counted);
        let timed = policy.and_then(|group| group.ratio_alone(other));
        let counted = policy.and_then(|group| group.counts.ratio_alone(other));
        push(format!("{what}, without the companions"), Bound::AtMost(limit, " x"), median(timed), counted);
    }

    for scenario in [Scenario::Authz, Scenario::Routes, Scenario::Policy] {
        let growth = |added: &dyn Fn(&Group) -> Option<f64>| {
            find(scenario, 10).and_then(added).zip(find(scenario, 10_000).and_then(added))
        };
        let timed = growth(&|group| median(Spread::of(group.added(Candidate::Wasm, Hit::Last))));
        let counted = growth(&|group| group.counts.added(Candidate::Wasm, Hit::Last));
        let ratio = |(small, large): (f64, f64)| large / small;
        let what = format!("{}: added at 10 000 rules to that at 10", scenario.name());
        push(what, Bound::AtMost(1.3, " x"), timed.map(ratio), counted.map(ratio));
    }
    for (scenario, rules, limit) in [
        (Scenario::Authz, 1_000, 20.0),
        (Scenario::Authz, 10_000, 200.0),
        (Scenario::Routes, 1_000, 10.0),
        (Scenario::Routes, 10_000, 100.0),
    ] {
        for hit in [Hit::Middle, Hit::Last] {
            let (native, wasm) = ((Candidate::Native, hit), (Candidate::Wasm, hit));
            let group = find(scenario, rules);
            let timed = group.and_then(|group| median(group.ratio(native, wasm)));
            let counted = group.and_then(|group| group.counts.ratio(native, wasm));
            let (name, hit) = (scenario.name(), hit.name());
            let what = format!("{name}, {rules} rules, {hit} one met: what native adds to what ours does");
            push(what, Bound::AtLeast(limit, " x"), timed, counted);
        }
    }
    for scenario in Scenario::ALL {
        let group = find(scenario, 10_000);
        let load = group.and_then(|group| group.configure_ms(Candidate::Wasm));
        push(
            format!("{}: loading 10 000 rules, a VM", scenario.name()),
            Bound::AtMost(50.0, " ms"),
            load,
            None,
        );
        let memory = group.and_then(|group| group.vm_mib(Candidate::Wasm));
        push(
            format!("{}: memory of 10 000 rules, a VM", scenario.name()),
            Bound::AtMost(30.0, " MiB"),
            memory,
            None,
        );
    }
    for (module, limit) in [("mesh_authz.wasm", 500.0), ("mesh_policy.wasm", 900.0)] {
        let size = sizes.get(module).map(|bytes| *bytes as f64 / 1e3);
        push(format!("size of {module}"), Bound::AtMost(limit, " KB"), size, None);
    }
    targets
}
