//! The Envoys of one rule set, side by side.

use std::{collections::BTreeMap, time::Duration};

use mesh_policy_testkit::{
    generate::{Peer, Probe},
    scale::{self, Hit, Scenario},
};
use rcgen::SanType;

use super::{
    bootstraps::{ANSWERS, LISTENER, RuleSet, answer_path},
    candidate::Candidate,
    cores::{Cores, busy_with_others},
    ends::{Answer, Connections, Ends, Sample},
    loading,
};
use crate::{
    Context, Error, Result,
    certs::{Authority, Expect},
    client::{Request, Tls},
    differential::SERVER,
    envoy::{self, Envoy},
    usage,
};

/// How many requests are on their way at a time.
pub const CONNECTIONS: usize = 4;

/// How many upstreams there are: an answer tells which of them a request was routed to.
const UPSTREAMS: usize = 4;

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
    /// By the listener and the identities in the client's certificate.
    connections: BTreeMap<(&'static str, Vec<String>), Connections>,
    loaded: Loaded,
}

/// All of them.
#[derive(Debug)]
pub struct Running {
    /// Before the Envoys, so that its connections close first.
    ends: Ends,
    started: Vec<Started>,
    requests: BTreeMap<&'static str, Probe>,
    /// What each request has to be answered with.
    answers: BTreeMap<&'static str, Answer>,
}

impl Running {
    /// Starts the Envoys of a set, and makes sure that those that decide decide alike.
    ///
    /// # Errors
    /// An Envoy does not start, or answers otherwise than the others.
    pub fn start(scenario: Scenario, rules: usize, cores: Cores, authority: &Authority) -> Result<Self> {
        let ends = Ends::open(UPSTREAMS)?;
        let set = RuleSet::compile(scenario, rules, &ends, authority)?;
        let requests = Hit::ALL.map(|hit| (hit.name(), scale::request(scenario, rules, hit)));
        let mut running =
            Self { ends, started: Vec::new(), requests: requests.into(), answers: BTreeMap::new() };
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
        let mut connections = BTreeMap::new();
        for probe in self.requests.values() {
            let Peer::Mutual(ids) = &probe.peer else { continue };
            let key = (LISTENER, ids.clone());
            if !connections.contains_key(&key) {
                let tls = tls(authority, ids)?;
                let opened = self.ends.connect(envoy.listener(LISTENER)?, Some(&tls), CONNECTIONS)?;
                connections.insert(key, opened);
                if candidate == Candidate::Bare {
                    let opened = self.ends.connect(envoy.listener(ANSWERS)?, Some(&tls), CONNECTIONS)?;
                    connections.insert((ANSWERS, ids.clone()), opened);
                }
            }
        }
        if connections.is_empty() {
            let opened = self.ends.connect(envoy.listener(LISTENER)?, None, CONNECTIONS)?;
            connections.insert((LISTENER, Vec::new()), opened);
            if candidate == Candidate::Bare {
                let opened = self.ends.connect(envoy.listener(ANSWERS)?, None, CONNECTIONS)?;
                connections.insert((ANSWERS, Vec::new()), opened);
            }
        }
        let loaded = Loaded { start, configured, resident_kib: 0 };
        self.started.push(Started { candidate, envoy, connections, loaded });
        Ok(())
    }

    /// Every candidate that decides has to answer as Envoy itself does.
    fn compare(&mut self) -> Result<()> {
        for hit in Hit::ALL {
            let mut expected: Option<Answer> = None;
            for index in 0..self.started.len() {
                let Some(started) = self.started.get(index).filter(|one| one.candidate.decides()) else {
                    continue;
                };
                let candidate = started.candidate.key();
                let (connections, request) = self.exchange(index, hit)?;
                let answer = self.ends.ask(&connections, &request)?;
                let text = format!("{} to the {} rule", answer.status, hit.name());
                match &expected {
                    None => expected = Some(answer),
                    Some(expected) if *expected == answer => {}
                    Some(other) => {
                        let (ours, theirs) = (shown(&answer), shown(other));
                        return Err(Error::new(format!(
                            "{candidate} answers {ours}, others {theirs}: {text}"
                        )));
                    }
                }
            }
            let answer = expected.context("something decides")?;
            if (hit == Hit::None) == (answer.status == 200) {
                return Err(Error::new(format!("the {} rule gives {}", hit.name(), shown(&answer))));
            }
            self.answers.insert(hit.name(), answer);
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

    /// The status that the request of `hit` is answered with.
    pub fn status(&self, hit: Hit) -> u16 {
        self.answers.get(hit.name()).map_or(0, |answer| answer.status)
    }

    /// Whether clients come by mutual TLS.
    pub fn encrypted(&self) -> bool {
        self.requests.values().any(|probe| probe.peer != Peer::Plain)
    }

    /// Sends the request of `hit` to an Envoy for a while.
    ///
    /// # Errors
    /// An answer is missing, or not the one that is right.
    pub fn measure(&mut self, index: usize, hit: Hit, long: Duration) -> Result<Measured> {
        let (connections, request) = self.exchange(index, hit)?;
        let started = self.started.get(index).context("it was started")?;
        let (id, candidate) = (started.envoy.id(), started.candidate);
        let status = if candidate.decides() || candidate == Candidate::Bare { self.status(hit) } else { 200 };
        let before = usage::processor_time(id)?;
        let sample = self.ends.load(&connections, &request, status, long);
        let sample = sample.context(format_args!("{}, {} rule", candidate.key(), hit.name()))?;
        let used = usage::processor_time(id)?.saturating_sub(before);
        let cpu_us = used.as_secs_f64() * 1e6 / sample.latencies.len().max(1) as f64;
        Ok(Measured { cpu_us, sample })
    }

    /// The connections and the bytes for the request of `hit`.
    fn exchange(&self, index: usize, hit: Hit) -> Result<(Connections, Vec<u8>)> {
        let started = self.started.get(index).context("it was started")?;
        let probe = self.requests.get(hit.name()).context("there is a request")?;
        let status = self.status(hit);
        let answers = started.candidate == Candidate::Bare && status != 200;
        let ids = match &probe.peer {
            Peer::Plain => Vec::new(),
            Peer::Mutual(ids) => ids.clone(),
        };
        let listener = if answers { ANSWERS } else { LISTENER };
        let connections = started.connections.get(&(listener, ids)).context("there is a connection")?;
        let own = answer_path(status);
        let target = if answers { own.as_bytes() } else { probe.target.as_slice() };
        let mut request = Request::new(&probe.method, target);
        request = request.host(probe.authority.as_deref().unwrap_or_default());
        for (name, value) in &probe.headers {
            request = request.header(name, value);
        }
        Ok((connections.clone(), request.to_bytes("")))
    }
}

fn shown(answer: &Answer) -> String {
    format!("{} `{}`", answer.status, String::from_utf8_lossy(&answer.body))
}

/// A client with these identities.
fn tls(authority: &Authority, ids: &[String]) -> Result<Tls> {
    let name =
        |id: &String| id.as_str().try_into().map(SanType::URI).context(format_args!("the identity `{id}`"));
    let identity = authority.issue(ids.iter().map(name).collect::<Result<_>>()?)?;
    authority.client(Expect::Dns(SERVER.to_owned()), Some(&identity))
}
