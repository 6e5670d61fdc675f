//! The one Envoy in which both engines carry out many sets.

use super::Engine;
use super::engine::Compiled;
use super::listener::{prepared, tell_cluster, transport};
use super::observe::{NUMBER, Outcome};
use crate::certs::{Authority, Expect};
use crate::client::{Client, Request};
use crate::config;
use crate::envoy::{self, Envoy};
use crate::tokens::Issuer;
use crate::upstream::{Received, Upstream};
use crate::{Context, Error, Result};
use mesh_policy_testkit::generate::{Peer, PolicySet, Probe, Told};
use rcgen::SanType;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The server name of the certificate.
pub(crate) const SERVER: &str = "workload.test";

/// Threads that send.
const SENDERS: usize = 3;

/// Once the upstream got nothing for so long, nothing is on its way any more.
const QUIET: Duration = Duration::from_millis(250);

/// What each request of each set came to, by the filters and by Envoy itself.
pub(super) type Outcomes = Vec<Vec<(BTreeSet<Outcome>, BTreeSet<Outcome>)>>;

pub(super) struct Running {
    envoy: Envoy,
    addresses: BTreeMap<String, SocketAddr>,
    authority: Authority,
    upstream: Upstream,
}

/// What requests have to have in common to share a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Connection {
    listener: String,
    ids: Option<Vec<String>>,
    source: String,
    told: Option<Told>,
}

/// One request to one engine.
struct Job<'a> {
    set: usize,
    probe_index: usize,
    engine: Engine,
    probe: &'a Probe,
    token: Option<String>,
}

impl Running {
    /// Starts an Envoy with the listeners of all sets.
    pub(super) fn start(sets: &[&Compiled]) -> Result<Self> {
        let upstream = Upstream::start("differential")?;
        let authority = Authority::new("differential")?;
        let transport = transport(&authority)?;
        let mut listeners = Vec::new();
        for (index, set) in sets.iter().enumerate() {
            for (engine, listener) in &set.listeners {
                let name = name(index, *engine);
                let listener =
                    prepared(listener, &name, *engine).context("a listener has a connection manager")?;
                if set.encrypted {
                    listeners.push(
                        config::over_tls(&listener, &encrypted_name(&name), &transport)
                            .context("a listener has a chain")?,
                    );
                }
                listeners.push(listener);
            }
        }
        let first = sets.first().context("there is a set")?;
        let mut clusters = first.clusters.clone();
        for cluster in &mut clusters {
            let mutation = tell_cluster(cluster.get("name").context("a cluster has a name")?);
            config::lead_to(cluster, upstream.address(), &mutation)
                .context("a cluster says how HTTP is spoken")?;
        }
        let mut bootstrap = first.bootstrap.clone();
        let resources = json!({ "static_resources": { "listeners": listeners, "clusters": clusters } });
        config::merge(&mut bootstrap, &resources);
        let options = envoy::Options { log_level: "warning".to_owned(), ..envoy::Options::default() };
        let envoy = Envoy::start(&bootstrap, &options)?;
        let addresses = envoy.admin().listeners()?;
        Ok(Self { envoy, addresses, authority, upstream })
    }

    /// Sends every request of each set to both engines, `tries` times where chance decides.
    pub(super) fn send(
        &self,
        sets: &[(usize, &PolicySet)],
        tries: usize,
        issuer: &Issuer,
    ) -> Result<Outcomes> {
        let mut jobs = Vec::new();
        for (set, of) in sets {
            let tries = if of.by_chance { tries } else { 1 };
            for (probe_index, probe) in of.probes.iter().enumerate() {
                // Both get the very same token.
                let token =
                    probe.token.as_ref().map(|payload| issuer.sign(payload.as_bytes())).transpose()?;
                for engine in (0..tries).flat_map(|_| [Engine::Wasm, Engine::Native]) {
                    jobs.push(Job { set: *set, probe_index, engine, probe, token: token.clone() });
                }
            }
        }
        let next = AtomicUsize::new(0);
        let mut responses = BTreeMap::new();
        thread::scope(|scope| {
            let work = || self.work(&jobs, sets.len(), &next);
            let senders: Vec<_> = (0..SENDERS).map(|_| scope.spawn(work)).collect();
            for sender in senders {
                responses.extend(sender.join().map_err(|_| Error::new("a sending thread panicked"))??);
            }
            Ok::<_, Error>(())
        })?;
        self.until_quiet();
        let received = self.upstream.clear();
        let mut by_number: BTreeMap<usize, Vec<&Received>> = BTreeMap::new();
        for received in &received {
            let number = received.header(NUMBER).and_then(|number| number.parse().ok());
            by_number.entry(number.unwrap_or(usize::MAX)).or_default().push(received);
        }
        let mut outcomes: Outcomes =
            sets.iter().map(|(_, set)| vec![Default::default(); set.probes.len()]).collect();
        for (number, job) in jobs.iter().enumerate() {
            let response = responses.remove(&number).context("every request was sent")?;
            let outcome = Outcome::new(&response, by_number.get(&number).map_or(&[], Vec::as_slice));
            let pair = outcomes.get_mut(job.set).and_then(|set| set.get_mut(job.probe_index));
            let (wasm, native) = pair.context("every job has a place")?;
            match job.engine {
                Engine::Wasm => wasm.insert(outcome),
                Engine::Native => native.insert(outcome),
            };
        }
        if self.envoy.admin().is_ready() {
            return Ok(outcomes);
        }
        Err(Error::new(format!("envoy is gone; its log:\n{}", self.envoy.log())))
    }

    /// Sends the requests of one set after the other, until none is left.
    fn work(
        &self,
        jobs: &[Job<'_>],
        sets: usize,
        next: &AtomicUsize,
    ) -> Result<BTreeMap<usize, Result<crate::client::Response>>> {
        let mut responses = BTreeMap::new();
        loop {
            let set = next.fetch_add(1, Ordering::Relaxed);
            if set >= sets {
                return Ok(responses);
            }
            let mut clients = BTreeMap::new();
            for (number, job) in jobs.iter().enumerate().filter(|(_, job)| job.set == set) {
                let client = self.client(&mut clients, job)?;
                responses.insert(number, client.send(&request(job, number)));
            }
        }
    }

    fn client<'c>(&self, clients: &'c mut BTreeMap<Connection, Client>, job: &Job<'_>) -> Result<&'c Client> {
        let plain = name(job.set, job.engine);
        let (listener, ids) = match &job.probe.peer {
            Peer::Plain => (plain, None),
            Peer::Mutual(ids) => (encrypted_name(&plain), Some(ids.clone())),
        };
        let connection =
            Connection { listener, ids, source: job.probe.source_ip.clone(), told: job.probe.told.clone() };
        let entry = clients.entry(connection.clone());
        Ok(match entry {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(self.connect(&connection)?),
        })
    }

    fn connect(&self, connection: &Connection) -> Result<Client> {
        let Connection { listener, ids, source, told } = connection;
        let address = *self.addresses.get(listener).context(format_args!("no listener `{listener}`"))?;
        let client = match ids {
            None => Client::new(address),
            Some(ids) => {
                let name = |id: &String| {
                    id.as_str().try_into().map(SanType::URI).context(format_args!("the identity `{id}`"))
                };
                let names: Vec<SanType> = ids.iter().map(name).collect::<Result<_>>()?;
                let identity = self.authority.issue(names)?;
                let expected = Expect::Dns(SERVER.to_owned());
                Client::with_tls(address, self.authority.client(expected, Some(&identity))?)
            }
        };
        let client =
            client.from(source.parse().context("the source address")?).patience(Duration::from_secs(15));
        let Some(Told { remote_ip, destination_ip, destination_port }) = told else { return Ok(client) };
        let family = if remote_ip.contains(':') { "TCP6" } else { "TCP4" };
        Ok(client
            .prelude(format!("PROXY {family} {remote_ip} {destination_ip} 50000 {destination_port}\r\n")))
    }

    /// Waits for copies and tries that arrive after the answer.
    fn until_quiet(&self) {
        let (mut count, mut since) = (self.upstream.count(), Instant::now());
        let begun = since;
        while since.elapsed() < QUIET && begun.elapsed() < crate::wait::PATIENCE {
            thread::sleep(Duration::from_millis(10));
            let now = self.upstream.count();
            if now != count {
                (count, since) = (now, Instant::now());
            }
        }
    }
}

fn request(job: &Job<'_>, number: usize) -> Request {
    let Job { probe, token, .. } = job;
    let mut request = Request::new(&probe.method, &probe.target);
    request = match &probe.authority {
        Some(host) => request.host(host),
        None => request.without_host(),
    };
    if probe.http10 {
        request = request.http10();
    }
    let number = format!("{number:07}");
    for (name, value) in &probe.headers {
        request = request.header(name, value);
    }
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    request.header(NUMBER, &number).header("x-echo-key", &number)
}

fn name(set: usize, engine: Engine) -> String {
    let engine = match engine {
        Engine::Wasm => "filters",
        Engine::Native => "envoy",
    };
    format!("{set}.{engine}")
}

fn encrypted_name(name: &str) -> String {
    format!("{name}.tls")
}
