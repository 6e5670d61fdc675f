//! The instructions that Envoy executes for a request.
//!
//! An Envoy under callgrind takes seconds to start and serves some dozens of requests a second, so candidates that differ in
//! their listener only share one; our own have one each, for filters of one module would share a VM. Nothing else is asked of it meanwhile; what its threads do by themselves, as they do every
//! few seconds, is put off or lost in the number of requests. V8 has compiled what it compiles after the first hundred
//! requests; that batch after batch comes to the same is checked for every figure.

use std::{collections::BTreeMap, thread, time::Duration};

use mesh_policy_testkit::scale::{Hit, Scenario};
use serde_json::{Value, json};

use super::{
    bootstraps::{LISTENER, RuleSet},
    callgrind,
    candidate::Candidate,
    ends::Ends,
    requests::{Opened, Requests},
};
use crate::{
    Context, Result,
    certs::Authority,
    envoy::{self, Envoy},
};

/// The requests that each candidate gets of each kind before anything is counted, and how long they may take.
const WARM_UP: (usize, Duration) = (100, Duration::from_secs(4));

/// Those that it gets before the first batch: code that is new to callgrind, and a connection of the upstream's.
const SETTLE: (usize, Duration) = (10, Duration::from_secs(1));

/// A batch: that of thousands of rules one after the other takes its time, and needs no large number.
pub const BATCH: (usize, Duration) = (60, Duration::from_secs(4));

/// Two batches are alike when they differ by no more than this share.
pub const ALIKE: f64 = 0.005;

/// How many batches are tried until two in a row are.
const MOST_BATCHES: usize = 8;

/// How long Envoy may take to start: reading 10 000 rules takes it a minute.
const START: Duration = Duration::from_secs(900);

/// The count of one candidate for one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Count {
    /// Instructions for a request: the mean of two batches in a row.
    pub instructions: f64,
    /// By which share of it the two differ.
    pub apart: f64,
}

/// The counts of one rule set.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counts(BTreeMap<(Candidate, &'static str), Count>);

impl Counts {
    /// That of a candidate for a request.
    pub fn get(&self, candidate: Candidate, hit: Hit) -> Option<Count> {
        self.0.get(&(candidate, hit.name())).copied()
    }

    /// By how much the batches of a figure differ at most.
    pub fn apart(&self) -> f64 {
        self.0.values().map(|count| count.apart).fold(0.0, f64::max)
    }

    /// How many instructions a candidate adds to those of the bare Envoy, for the same request.
    pub fn added(&self, candidate: Candidate, hit: Hit) -> Option<f64> {
        Some(self.get(candidate, hit)?.instructions - self.get(Candidate::Bare, hit)?.instructions)
    }

    /// How many times as much one candidate adds as another.
    pub fn ratio(&self, one: (Candidate, Hit), other: (Candidate, Hit)) -> Option<f64> {
        let other = self.added(other.0, other.1).filter(|added| *added > 0.0)?;
        Some(self.added(one.0, one.1)? / other)
    }

    /// The same for what the filter adds without what the compiler puts beside it.
    pub fn ratio_alone(&self, other: Candidate) -> Option<f64> {
        let of = |candidate| self.added(candidate, Hit::Middle);
        let other = of(other).filter(|added| *added > 0.0)?;
        Some((of(Candidate::Wasm)? - of(Candidate::Companions)?) / other)
    }
}

/// A rule set, counted.
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// What came of it.
    pub counts: Counts,
    /// The status of each request's answer.
    pub status: BTreeMap<&'static str, u16>,
    /// Whether clients came by mutual TLS.
    pub encrypted: bool,
}

impl Counted {
    /// Counts a rule set.
    ///
    /// # Errors
    /// An Envoy does not start, answers otherwise than the others, or cannot be counted.
    pub fn count(scenario: Scenario, rules: usize, authority: &Authority) -> Result<Self> {
        let mut ends = Ends::open(super::running::UPSTREAMS)?;
        let set = RuleSet::compile(scenario, rules, &ends, authority)?;
        let mut requests = Requests::of(scenario, rules);
        let taking_part = Candidate::ALL.into_iter().filter(|candidate| candidate.takes_part(scenario));
        let mut counts = Counts::default();
        for shared in Shared::of(taking_part, |candidate| set.bootstrap(candidate))? {
            shared.count(&mut ends, &mut requests, authority, &mut counts)?;
        }
        Ok(Self { counts, status: requests.statuses(), encrypted: requests.encrypted() })
    }
}

/// Candidates in one Envoy.
#[derive(Debug, PartialEq)]
struct Shared {
    candidates: Vec<Candidate>,
    listeners: Vec<Value>,
    /// The bootstrap without its listeners.
    rest: Value,
}

impl Shared {
    /// Those that differ in their listeners only go together, if no module of ours is in them; each listener gets its
    /// candidate's name.
    fn of(
        candidates: impl Iterator<Item = Candidate>,
        bootstrap: impl Fn(Candidate) -> Result<Value>,
    ) -> Result<Vec<Self>> {
        let mut all: Vec<Self> = Vec::new();
        for candidate in candidates {
            let mut rest = bootstrap(candidate)?;
            let listeners = rest.pointer_mut("/static_resources/listeners").and_then(Value::as_array_mut);
            let mut listeners = std::mem::take(listeners.context("a bootstrap has listeners")?);
            for name in listeners.iter_mut().filter_map(|listener| listener.get_mut("name")) {
                if name == LISTENER {
                    *name = json!(candidate.key());
                }
            }
            let together = |shared: &&mut Self| {
                let mut all = shared.candidates.iter().chain([&candidate]);
                shared.rest == rest && !all.any(|candidate| candidate.is_ours())
            };
            match all.iter_mut().find(together) {
                Some(shared) => {
                    shared.candidates.push(candidate);
                    shared.listeners.extend(listeners);
                }
                None => all.push(Self { candidates: vec![candidate], listeners, rest }),
            }
        }
        Ok(all)
    }

    fn bootstrap(&self) -> Value {
        let mut whole = self.rest.clone();
        let resources = json!({ "static_resources": { "listeners": self.listeners } });
        crate::config::merge(&mut whole, &resources);
        whole
    }

    fn count(
        &self,
        ends: &mut Ends,
        requests: &mut Requests,
        authority: &Authority,
        counts: &mut Counts,
    ) -> Result<()> {
        let options = envoy::Options {
            under: callgrind::UNDER.map(str::to_owned).to_vec(),
            log_level: "warning".to_owned(),
            // Not every five seconds: the more rules, the more counters.
            overlay: json!({ "stats_flush_on_admin": true }),
            ready_within: START,
            ..envoy::Options::default()
        };
        let envoy = Envoy::start(&self.bootstrap(), &options)?;
        let mut opened: Vec<(Candidate, Opened)> = Vec::new();
        for candidate in &self.candidates {
            let to = (*candidate, candidate.key());
            opened.push((*candidate, requests.connect(ends, to, &envoy, authority, 1)?));
        }
        for hit in Hit::ALL {
            for (candidate, opened) in opened.iter().filter(|(candidate, _)| candidate.decides()) {
                let (connections, request) = requests.exchange(*candidate, opened, hit)?;
                let answer = ends.ask(&connections, &request)?;
                requests.agree(*candidate, hit, answer)?;
            }
        }
        let mut send = |candidate: Candidate, opened: &Opened, hit, bound| -> Result<usize> {
            let (connections, request) = requests.exchange(candidate, opened, hit)?;
            let sample = ends.repeat(&connections, &request, requests.expected(candidate, hit), bound);
            let what = format_args!("{}, {} rule", candidate.key(), hit.name());
            Ok(sample.context(what)?.latencies.len())
        };
        let all = || {
            opened.iter().flat_map(|(candidate, opened)| {
                let hits = Hit::ALL.into_iter().filter(|hit| candidate.answers(*hit));
                hits.map(move |hit| (*candidate, opened, hit))
            })
        };
        for (candidate, opened, hit) in all() {
            send(candidate, opened, hit, WARM_UP)?;
        }
        // Threads of V8 may still be compiling.
        thread::sleep(Duration::from_millis(500));
        callgrind::begin(envoy.id())?;
        for (candidate, opened, hit) in all() {
            send(candidate, opened, hit, SETTLE)?;
            let mut before = callgrind::executed(envoy.id())?;
            let count = settled(|| {
                let answered = send(candidate, opened, hit, BATCH)?;
                let after = callgrind::executed(envoy.id())?;
                let executed = after.saturating_sub(std::mem::replace(&mut before, after));
                Ok(executed as f64 / answered.max(1) as f64)
            })?;
            counts.0.insert((candidate, hit.name()), count);
        }
        ends.hang_up();
        Ok(())
    }
}

/// Counts batches until two in a row are alike; of too many, those that are most alike.
fn settled(mut batch: impl FnMut() -> Result<f64>) -> Result<Count> {
    let mut last = batch()?;
    let mut best: Option<Count> = None;
    for _ in 1..MOST_BATCHES {
        let next = batch()?;
        let instructions = f64::midpoint(last, next);
        let count = Count { instructions, apart: (next - last).abs() / instructions };
        if best.is_none_or(|best| count.apart < best.apart) {
            best = Some(count);
        }
        if count.apart <= ALIKE {
            break;
        }
        last = next;
    }
    best.context("there are two batches")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_is_one_that_two_batches_in_a_row_come_to() {
        let count = |batches: &[f64]| {
            let mut left = batches.iter().copied();
            let count = settled(|| left.next().context("no batch is left")).unwrap();
            (count.instructions, left.count())
        };
        assert_eq!(count(&[100.0, 100.2, 7.0]), (100.1, 1));
        assert_eq!(count(&[500.0, 120.0, 100.0, 100.0, 7.0]), (100.0, 1));
        // Never alike: the pair that is closest.
        assert_eq!(count(&[100.0, 200.0, 300.0, 400.0, 404.0, 500.0, 600.0, 700.0, 7.0]), (402.0, 1));
    }

    #[test]
    fn candidates_that_differ_in_their_listeners_only_share_an_envoy_unless_they_are_ours() {
        let bootstrap = |candidate: Candidate| {
            let clusters =
                if candidate == Candidate::Companions { json!(["ours"]) } else { json!(["plain"]) };
            let listeners = json!([{ "name": LISTENER, "of": candidate.key() }]);
            Ok(json!({ "node": 1, "static_resources": { "listeners": listeners, "clusters": clusters } }))
        };
        let all =
            [Candidate::Bare, Candidate::Companions, Candidate::Wasm, Candidate::Fused, Candidate::Native];
        let shared = Shared::of(all.into_iter(), bootstrap).unwrap();
        let together: Vec<&[Candidate]> = shared.iter().map(|shared| shared.candidates.as_slice()).collect();
        let alone = [Candidate::Companions, Candidate::Wasm, Candidate::Fused];
        let [companions, wasm, fused] = alone.each_ref().map(std::slice::from_ref);
        assert_eq!(together, [&[Candidate::Bare, Candidate::Native], companions, wasm, fused]);
        let listeners = json!([{ "name": "bare", "of": "bare" }, { "name": "native", "of": "native" }]);
        let resources = json!({ "listeners": listeners, "clusters": ["plain"] });
        assert_eq!(shared.first().unwrap().bootstrap(), json!({ "node": 1, "static_resources": resources }));
    }

    #[test]
    fn what_a_candidate_adds_is_beside_the_bare_envoy_for_the_same_request() {
        let count = |instructions| Count { instructions, apart: 0.001 };
        let entries = [
            ((Candidate::Bare, "middle"), count(1000.0)),
            ((Candidate::Floor, "middle"), count(1100.0)),
            ((Candidate::Companions, "middle"), count(1050.0)),
            ((Candidate::Wasm, "middle"), count(1250.0)),
            ((Candidate::Wasm, "last"), Count { instructions: 1300.0, apart: 0.002 }),
        ];
        let counts = Counts(entries.into());
        let middle = |candidate| (candidate, Hit::Middle);
        assert_eq!(counts.added(Candidate::Wasm, Hit::Middle), Some(250.0));
        assert_eq!(counts.added(Candidate::Wasm, Hit::Last), None);
        assert_eq!(counts.ratio(middle(Candidate::Wasm), middle(Candidate::Floor)), Some(2.5));
        assert_eq!(counts.ratio_alone(Candidate::Floor), Some(2.0));
        assert!((counts.apart() - 0.002).abs() < 1e-9);
    }
}
