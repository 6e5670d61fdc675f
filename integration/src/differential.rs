//! The differential test: generated resources and requests, once through the filters and once through Envoy's own features.
//!
//! Both engines stand in one Envoy, each set of resources in two listeners over the same clusters, and every request is sent to
//! both. What the client gets and what the upstreams got must agree, but for the [differences](difference) that are intended.

mod case;
pub mod difference;
mod engine;
mod envoy;
mod listener;
mod observe;
mod shrink;

use crate::tokens::Issuer;
use crate::{Error, Result};
use mesh_policy_testkit::generate::{Matcher, PolicySet, authorization, routing};
use std::collections::BTreeSet;
use std::fmt;

pub use case::write;
pub(crate) use engine::build;
pub(crate) use envoy::SERVER;
pub(crate) use listener::transport;
pub use shrink::shrink;

/// What is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Area {
    /// VirtualServices at a gateway.
    Routing,
    /// AuthorizationPolicies at a workload.
    Authorization,
}

impl Area {
    /// The set of a seed.
    #[must_use]
    pub fn generate(self, seed: u64, requests: usize) -> PolicySet {
        match self {
            Self::Routing => routing::generate(seed, requests),
            Self::Authorization => authorization::generate(seed, requests),
        }
    }
}

impl fmt::Display for Area {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Routing => "routing",
            Self::Authorization => "authorization",
        })
    }
}

/// How the engines are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Engine {
    /// Our filters.
    Wasm,
    /// Envoy's own routes and filters.
    Native,
}

/// A set on which the engines disagree, with the one request that shows it; none when one engine refuses the resources.
#[derive(Debug, Clone, PartialEq)]
pub struct Disagreement {
    /// What was tried.
    pub area: Area,
    /// The seed of the set.
    pub seed: u64,
    /// The resources and the request.
    pub set: PolicySet,
    /// What came of it, by the filters.
    pub wasm: String,
    /// What came of it, by Envoy itself.
    pub native: String,
}

impl Disagreement {
    /// The lines that differ, by their first words: disagreements of one cause mostly share it.
    #[must_use]
    pub fn kind(&self) -> String {
        let (wasm, native) = self.words();
        let joined = |words: BTreeSet<String>| words.into_iter().collect::<Vec<_>>().join(" ");
        format!("filters: {}; Envoy: {}", joined(wasm), joined(native))
    }

    /// Whether the same lines differ in `other`, or some of them.
    fn is_like(&self, other: &Self) -> bool {
        let ((wasm, native), (other_wasm, other_native)) = (self.words(), other.words());
        wasm.is_subset(&other_wasm) && native.is_subset(&other_native)
    }

    fn words(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let (wasm, native) = observe::only_differences(&self.wasm, &self.native);
        let words = |text: &str| -> BTreeSet<String> {
            let lines = text.lines().map(|line| line.trim_start());
            // A status says more as a whole.
            let word = |line: &str| match line.strip_prefix("status ") {
                Some(_) => line.to_owned(),
                None => line.split(' ').next().unwrap_or_default().to_owned(),
            };
            lines.map(word).collect()
        };
        (words(&wasm), words(&native))
    }
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { area, seed, set, wasm, native } = self;
        writeln!(f, "{area}, seed {seed}")?;
        if let Some(workload) = &set.workload {
            writeln!(f, "workload {workload}")?;
        }
        set.resources.iter().try_for_each(|resource| writeln!(f, "{resource}"))?;
        set.probes.iter().try_for_each(|probe| writeln!(f, "{}", observe::show(probe)))?;
        let (wasm, native) = observe::only_differences(wasm, native);
        write!(f, "filters:\n{wasm}Envoy:\n{native}")
    }
}

/// What came of some sets.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// Sets that both engines accepted.
    pub sets: usize,
    /// Sets that were left out, as an engine says that it cannot carry them out.
    pub unsupported: usize,
    /// Requests that were sent to both.
    pub pairs: usize,
    /// Those among them that met a rule.
    pub matched: usize,
    /// Those among them whose outcomes differ as intended.
    pub intended: usize,
    /// Those whose outcomes differ otherwise.
    pub disagreements: Vec<Disagreement>,
}

impl Report {
    /// Adds another report.
    pub fn add(&mut self, other: Self) {
        self.sets += other.sets;
        self.unsupported += other.unsupported;
        self.pairs += other.pairs;
        self.matched += other.matched;
        self.intended += other.intended;
        self.disagreements.extend(other.disagreements);
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sets, unsupported, pairs, matched, intended, disagreements } = self;
        let share = matched * 100 / (*pairs).max(1);
        write!(
            f,
            "{pairs} pairs over {sets} sets ({unsupported} left out as unsupported), {share} % met a rule, \
             {intended} differed as intended, {} disagreements",
            disagreements.len()
        )
    }
}

/// Tries these sets in one Envoy. A set whose outcomes depend on chance is tried with fewer requests, each of them several
/// times, and the outcomes that were seen must be the same ones.
///
/// # Errors
/// Envoy or an echo server fails.
pub fn run(area: Area, sets: &[(u64, PolicySet)]) -> Result<Report> {
    let sets: Vec<(u64, PolicySet)> = sets.iter().map(|(seed, set)| (*seed, bounded(set))).collect();
    let mut report = try_once(area, &sets, TRIES)?;
    // What chance may explain is looked at more often before it counts.
    let (certain, doubtful): (Vec<_>, Vec<_>) = std::mem::take(&mut report.disagreements)
        .into_iter()
        .partition(|found| !found.set.by_chance || found.set.probes.is_empty());
    report.disagreements = certain;
    if !doubtful.is_empty() {
        let doubtful: Vec<_> = doubtful.into_iter().map(|found| (found.seed, found.set)).collect();
        report.disagreements.extend(try_once(area, &doubtful, MANY_TRIES)?.disagreements);
    }
    Ok(report)
}

/// How often a request is sent whose outcome depends on chance.
const TRIES: usize = 12;

/// The same, once its outcomes differed: enough for the rarest combination.
const MANY_TRIES: usize = 400;

/// How many requests of a set are sent whose outcomes depend on chance.
const FEW: usize = 4;

fn bounded(set: &PolicySet) -> PolicySet {
    let mut set = set.clone();
    if set.by_chance {
        set.probes.truncate(FEW);
    }
    set
}

fn try_once(area: Area, sets: &[(u64, PolicySet)], tries: usize) -> Result<Report> {
    let mut report = Report::default();
    let mut accepted = Vec::new();
    let issuer = Issuer::new("differential")?;
    for (seed, set) in sets {
        match engine::compile(area, set, &issuer) {
            Ok(compiled) => accepted.push((*seed, set, compiled)),
            Err(engine::Refusal::Both | engine::Refusal::Unsupported(_)) => report.unsupported += 1,
            Err(engine::Refusal::One { wasm, native }) => {
                let set = PolicySet { probes: Vec::new(), ..set.clone() };
                report.disagreements.push(Disagreement { area, seed: *seed, set, wasm, native });
            }
        }
    }
    report.sets = accepted.len();
    if accepted.is_empty() {
        return Ok(report);
    }
    let compiled: Vec<&engine::Compiled> = accepted.iter().map(|(_, _, compiled)| compiled).collect();
    let running = match envoy::Running::start(&compiled) {
        Ok(running) => running,
        // One of them is at fault: told apart by halves.
        Err(error) => return halves(area, sets, tries, report, &error),
    };
    let jobs: Vec<(usize, &PolicySet)> = accepted.iter().map(|(_, set, _)| *set).enumerate().collect();
    let outcomes = running.send(&jobs, tries, &issuer)?;
    for ((seed, set, _), outcomes) in accepted.iter().zip(outcomes) {
        let matcher = Matcher::compile(set).map_err(Error::new)?;
        for (probe, (wasm, native)) in set.probes.iter().zip(outcomes) {
            report.pairs += 1;
            report.matched += usize::from(matcher.matches(probe));
            if wasm == native {
                continue;
            }
            if difference::explains(set, probe, &wasm, &native) {
                report.intended += 1;
                continue;
            }
            let set = PolicySet { probes: vec![probe.clone()], ..(*set).clone() };
            let (wasm, native) = (observe::text(&wasm), observe::text(&native));
            report.disagreements.push(Disagreement { area, seed: *seed, set, wasm, native });
        }
    }
    Ok(report)
}

/// Both halves of `sets` on their own; a single set that Envoy refuses is a disagreement with that refusal.
fn halves(
    area: Area,
    sets: &[(u64, PolicySet)],
    tries: usize,
    mut report: Report,
    error: &Error,
) -> Result<Report> {
    if let [(seed, set)] = sets {
        let set = PolicySet { probes: Vec::new(), ..set.clone() };
        // Envoy prints the whole configuration with what is wrong in it.
        let text = error.to_string();
        let text: Vec<&str> =
            text.lines().filter(|line| line.to_ascii_lowercase().contains("error")).collect();
        let text = text.join("\n");
        report.sets = 0;
        report.disagreements.push(Disagreement {
            area,
            seed: *seed,
            set,
            wasm: "accepted by the compiler\n".to_owned(),
            native: format!("refused by Envoy: {text}\n"),
        });
        return Ok(report);
    }
    let (left, right) = sets.split_at(sets.len() / 2);
    let mut report = try_once(area, left, tries)?;
    report.add(try_once(area, right, tries)?);
    Ok(report)
}
