//! Short rounds in which every candidate has its turn, so that what disturbs the machine disturbs all of them.

use std::{collections::BTreeMap, time::Duration};

use mesh_policy_testkit::scale::{Hit, Scenario};

use super::{
    candidate::Candidate,
    counting::{Counted, Counts},
    numbers::{Spread, quantile},
    running::{Loaded, Measured, Running},
};
use crate::Result;

/// What was measured of one rule set.
#[derive(Debug)]
pub struct Group {
    /// What the rules decide about.
    pub scenario: Scenario,
    /// How many there are.
    pub rules: usize,
    /// Whether clients came by mutual TLS.
    pub encrypted: bool,
    /// The status of each request's answer.
    pub status: BTreeMap<&'static str, u16>,
    /// What loading came to.
    pub loaded: BTreeMap<Candidate, Loaded>,
    /// How many instructions Envoy executes.
    pub counts: Counts,
    /// Round by round; none where time was not measured.
    measured: BTreeMap<(Candidate, &'static str), Vec<Measured>>,
}

/// How long is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// How many rounds there are.
    pub rounds: usize,
    /// How long a candidate's turn is.
    pub turn: Duration,
}

/// How far two batches in a row differ in what was counted of any group, at most, as a share.
pub fn apart(groups: &[Group]) -> f64 {
    groups.iter().map(|group| group.counts.apart()).fold(0.0, f64::max)
}

impl Group {
    /// Measures what runs; `progress` is told the number of each round that is over.
    ///
    /// # Errors
    /// An answer is missing or wrong.
    pub fn measure(
        scenario: Scenario,
        rules: usize,
        running: &mut Running,
        length: Length,
        mut progress: impl FnMut(usize),
    ) -> Result<Self> {
        let mut measured: BTreeMap<_, Vec<Measured>> = BTreeMap::new();
        for round in 0..length.rounds {
            for hit in Hit::ALL {
                for turn in 0..running.count() {
                    // Whoever is first in one round is last in the next.
                    let index = (turn + round) % running.count();
                    let candidate = running.candidate(index)?;
                    if candidate.answers(hit) {
                        let one = running.measure(index, hit, length.turn)?;
                        measured.entry((candidate, hit.name())).or_default().push(one);
                    }
                }
            }
            progress(round + 1);
        }
        Ok(Self {
            scenario,
            rules,
            encrypted: running.requests().encrypted(),
            status: running.requests().statuses(),
            loaded: running.loaded().map(|(candidate, loaded)| (candidate, loaded.clone())).collect(),
            counts: Counts::default(),
            measured,
        })
    }

    /// What was counted and not timed.
    pub fn counted(scenario: Scenario, rules: usize, counted: Counted) -> Self {
        let Counted { counts, status, encrypted } = counted;
        let (loaded, measured) = (BTreeMap::new(), BTreeMap::new());
        Self { scenario, rules, encrypted, status, loaded, counts, measured }
    }

    /// Whether instructions were counted.
    pub fn is_counted(&self) -> bool {
        self.counts != Counts::default()
    }

    /// Whether time was measured.
    pub fn is_timed(&self) -> bool {
        !self.measured.is_empty()
    }

    fn rounds(&self, candidate: Candidate, hit: Hit) -> &[Measured] {
        self.measured.get(&(candidate, hit.name())).map_or(&[], Vec::as_slice)
    }

    /// Which candidates were measured with a request.
    pub fn candidates(&self, hit: Hit) -> impl Iterator<Item = Candidate> {
        Candidate::ALL.into_iter().filter(move |candidate| !self.rounds(*candidate, hit).is_empty())
    }

    /// Envoy's processor time for a request, in microseconds, round by round.
    pub fn cpu(&self, candidate: Candidate, hit: Hit) -> Vec<f64> {
        self.rounds(candidate, hit).iter().map(|one| one.cpu_us).collect()
    }

    /// What a candidate adds to it, beside the bare Envoy of the same round.
    pub fn added(&self, candidate: Candidate, hit: Hit) -> Vec<f64> {
        let bare = self.cpu(Candidate::Bare, hit);
        self.cpu(candidate, hit).into_iter().zip(bare).map(|(cpu, bare)| cpu - bare).collect()
    }

    /// What a candidate adds when nothing disturbs it: the lowest figure of all rounds beside the bare Envoy's lowest, for what
    /// disturbs a measurement only ever adds to it.
    pub fn least_added(&self, candidate: Candidate, hit: Hit) -> Option<f64> {
        let least = |candidate| Some(Spread::of(self.cpu(candidate, hit))?.min);
        Some(least(candidate)? - least(Candidate::Bare)?)
    }

    /// How many times as much one candidate adds as another, within each round; rounds in which the other adds nothing that
    /// could be measured say nothing.
    pub fn ratio(&self, one: (Candidate, Hit), other: (Candidate, Hit)) -> Option<Spread> {
        let (one, other) = (self.added(one.0, one.1), self.added(other.0, other.1));
        Spread::of(
            one.into_iter().zip(other).filter(|(_, other)| *other > 0.0).map(|(one, other)| one / other),
        )
    }

    /// The ratio to `other` of what the filter adds without what the compiler puts beside it, within each round, for a request
    /// that meets the middle rule.
    pub fn ratio_alone(&self, other: Candidate) -> Option<Spread> {
        let cpu = |candidate| self.cpu(candidate, Hit::Middle);
        let alone =
            cpu(Candidate::Wasm).into_iter().zip(cpu(Candidate::Companions)).map(|(all, rest)| all - rest);
        let other = self.added(other, Hit::Middle);
        Spread::of(alone.zip(other).filter(|(_, other)| *other > 0.0).map(|(alone, other)| alone / other))
    }

    /// Requests in a second, round by round.
    pub fn throughput(&self, candidate: Candidate, hit: Hit) -> Vec<f64> {
        let rounds = self.rounds(candidate, hit).iter();
        rounds.map(|one| one.sample.latencies.len() as f64 / one.sample.elapsed.as_secs_f64()).collect()
    }

    /// The latency below which this share of all answers lies, in microseconds.
    pub fn latency_us(&self, candidate: Candidate, hit: Hit, share: f64) -> Option<f64> {
        let rounds = self.rounds(candidate, hit).iter();
        let mut all: Vec<f64> =
            rounds.flat_map(|one| &one.sample.latencies).map(|nanos| f64::from(*nanos) / 1e3).collect();
        all.sort_by(f64::total_cmp);
        quantile(&all, share)
    }

    /// How many requests were answered.
    pub fn requests(&self, candidate: Candidate, hit: Hit) -> usize {
        self.rounds(candidate, hit).iter().map(|one| one.sample.latencies.len()).sum()
    }

    /// The longest that a VM took to load its configuration, in milliseconds.
    pub fn configure_ms(&self, candidate: Candidate) -> Option<f64> {
        let longest = self.loaded.get(&candidate)?.configured.iter().max()?;
        Some(longest.as_secs_f64() * 1e3)
    }

    /// Processor time to readiness beyond that of the bare Envoy, in milliseconds.
    pub fn start_ms(&self, candidate: Candidate) -> Option<f64> {
        let start = |candidate| Some(self.loaded.get(&candidate)?.start.as_secs_f64() * 1e3);
        Some(start(candidate)? - start(Candidate::Bare)?)
    }

    /// Memory of the process, in MiB.
    pub fn rss_mib(&self, candidate: Candidate) -> Option<f64> {
        Some(self.loaded.get(&candidate)?.resident_kib as f64 / 1024.0)
    }

    /// Memory of one VM beyond one that does nothing: what the process has more than the one with the empty filter, shared
    /// out over its VMs, in MiB. Envoy's copies of the configuration and V8's compiled code count as the VMs'.
    pub fn vm_mib(&self, candidate: Candidate) -> Option<f64> {
        let vms = self.loaded.get(&candidate)?.configured.len();
        let more = self.rss_mib(candidate)? - self.rss_mib(Candidate::Noop)?;
        (vms > 0).then(|| more / vms as f64)
    }
}
