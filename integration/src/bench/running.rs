//! The Envoys of one rule set, side by side.

use std::time::Duration;

use mesh_policy_testkit::scale::{Hit, Scenario};

use super::{
    bootstraps::{LISTENER, RuleSet},
    candidate::Candidate,
    cores::{Cores, busy_with_others},
    ends::{Ends, Sample},
    loading,
    requests::{Opened, Requests},
};
use crate::{
    Context, Result,
    certs::Authority,
    envoy::{self, Envoy},
    usage,
};

/// How many requests are on their way at a time.
pub const CONNECTIONS: usize = 4;

/// How many upstreams there are: an answer tells which of them a request was routed to.
pub const UPSTREAMS: usize = 4;

/// How long each Envoy is used before its memory is looked at and rounds begin: V8 compiles anew what is used often.
const WARM_UP: Duration = Duration::from_millis(300);

/// How long the machine is watched for others before the first round.
const WATCHED: Duration = Duration::from_secs(1);

/// How long Envoy may take to start: thousands of routes are read on one core.
const START: Duration = Duration::from_secs(180);

/// What loading came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// Processor time from start to readiness.
    pub start: Duration,
    /// How long each VM took to configure its plugins.
    pub configured: Vec<Duration>,
    /// Memory in use after the requests of the warm-up, in KiB.
    pub resident_kib: u64,
}

/// What sending for a while came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Envoy's processor time for one request, in microseconds.
    pub cpu_us: f64,
    /// The latencies and the time.
    pub sample: Sample,
}

/// One Envoy.
#[derive(Debug)]
struct Started {
    candidate: Candidate,
    envoy: Envoy,
    connections: Opened,
    loaded: Loaded,
}

/// All of them.
#[derive(Debug)]
pub struct Running {
    /// Before the Envoys, so that its connections close first.
    ends: Ends,
    started: Vec<Started>,
    requests: Requests,
}

impl Running {
    /// Starts the Envoys of a set, and makes sure that those that decide decide alike.
    ///
    /// # Errors
    /// An Envoy does not start, or answers otherwise than the others.
    pub fn start(scenario: Scenario, rules: usize, cores: Cores, authority: &Authority) -> Result<Self> {
        let ends = Ends::open(UPSTREAMS)?;
        let set = RuleSet::compile(scenario, rules, &ends, authority)?;
        let mut running = Self { ends, started: Vec::new(), requests: Requests::of(scenario, rules) };
        for candidate in Candidate::ALL.into_iter().filter(|candidate| candidate.takes_part(scenario)) {
            running.add(candidate, &set, cores, authority).context(candidate.key())?;
        }
        running.compare()?;
        for index in 0..running.started.len() {
            running.warm_up(index)?;
        }
        Ok(running)
    }

    fn add(
        &mut self,
        candidate: Candidate,
        set: &RuleSet,
        cores: Cores,
        authority: &Authority,
    ) -> Result<()> {
        let options = envoy::Options {
            log_level: "warning".to_owned(),
            component_log_level: Some("wasm:trace".to_owned()),
            overlay: loading::log_format(),
            ready_within: START,
            ..envoy::Options::default()
        };
        let bootstrap = set.bootstrap(candidate)?;
        let envoy = cores.on_both(|| Envoy::start(&bootstrap, &options))?;
        let start = usage::processor_time(envoy.id())?;
        cores.hold(envoy.id())?;
        envoy.admin().post("/logging?level=warning")?;
        let configured = loading::configure_times(&envoy.log());
        let to = (candidate, LISTENER);
        let connections = self.requests.connect(&mut self.ends, to, &envoy, authority, CONNECTIONS)?;
        let loaded = Loaded { start, configured, resident_kib: 0 };
        self.started.push(Started { candidate, envoy, connections, loaded });
        Ok(())
    }

    /// Every candidate that decides has to answer as Envoy itself does.
    fn compare(&mut self) -> Result<()> {
        for hit in Hit::ALL {
            for started in self.started.iter().filter(|one| one.candidate.decides()) {
                let (connections, request) =
                    self.requests.exchange(started.candidate, &started.connections, hit)?;
                let answer = self.ends.ask(&connections, &request)?;
                self.requests.agree(started.candidate, hit, answer)?;
            }
        }
        Ok(())
    }

    fn warm_up(&mut self, index: usize) -> Result<()> {
        let candidate = self.candidate(index)?;
        for hit in Hit::ALL.into_iter().filter(|hit| candidate.answers(*hit)) {
            self.measure(index, hit, WARM_UP / 4)?;
        }
        let started = self.started.get_mut(index).context("it was started")?;
        started.loaded.resident_kib = usage::resident_kib(started.envoy.id())?;
        Ok(())
    }

    /// How many cores others keep busy while these Envoys have nothing to do; none where the system does not say.
    ///
    /// # Errors
    /// An Envoy has ended.
    pub fn others(&self) -> Result<Option<f64>> {
        let own: Vec<u32> = self.started.iter().map(|started| started.envoy.id()).collect();
        busy_with_others(WATCHED, &own)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.started.len()
    }

    /// Which candidate this is.
    ///
    /// # Errors
    /// There is none of this number.
    pub fn candidate(&self, index: usize) -> Result<Candidate> {
        self.started.get(index).map(|started| started.candidate).context("it was started")
    }

    /// What loading came to.
    pub fn loaded(&self) -> impl Iterator<Item = (Candidate, &Loaded)> {
        self.started.iter().map(|started| (started.candidate, &started.loaded))
    }

    /// What is sent, and what has to come back.
    pub fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Sends the request of `hit` to an Envoy for a while.
    ///
    /// # Errors
    /// An answer is missing, or not the one that is right.
    pub fn measure(&mut self, index: usize, hit: Hit, long: Duration) -> Result<Measured> {
        let started = self.started.get(index).context("it was started")?;
        let (id, candidate) = (started.envoy.id(), started.candidate);
        let (connections, request) = self.requests.exchange(candidate, &started.connections, hit)?;
        let status = self.requests.expected(candidate, hit);
        let before = usage::processor_time(id)?;
        let sample = self.ends.load(&connections, &request, status, long);
        let sample = sample.context(format_args!("{}, {} rule", candidate.key(), hit.name()))?;
        let used = usage::processor_time(id)?.saturating_sub(before);
        let cpu_us = used.as_secs_f64() * 1e6 / sample.latencies.len().max(1) as f64;
        Ok(Measured { cpu_us, sample })
    }
}
