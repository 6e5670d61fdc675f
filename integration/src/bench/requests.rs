//! The requests of a rule set, who sends them, and what they have to be answered with.

use std::collections::BTreeMap;

use mesh_policy_testkit::{
    generate::{Peer, Probe},
    scale::{self, Hit, Scenario},
};
use rcgen::SanType;

use super::{
    bootstraps::{ANSWERS, LISTENER, answer_path},
    candidate::Candidate,
    ends::{Answer, Connections, Ends},
};
use crate::{
    Context, Error, Result,
    certs::{Authority, Expect},
    client::{Request, Tls},
    differential::SERVER,
    envoy::Envoy,
};

/// A request for each of [`Hit::ALL`].
#[derive(Debug)]
pub struct Requests {
    probes: BTreeMap<&'static str, Probe>,
    /// What each has to be answered with.
    answers: BTreeMap<&'static str, Answer>,
}

/// The connections to one candidate, by the listener and the identities in the client's certificate.
pub type Opened = BTreeMap<(&'static str, Vec<String>), Connections>;

impl Requests {
    /// Those of a rule set.
    pub fn of(scenario: Scenario, rules: usize) -> Self {
        let probes = Hit::ALL.map(|hit| (hit.name(), scale::request(scenario, rules, hit)));
        Self { probes: probes.into(), answers: BTreeMap::new() }
    }

    /// Whether clients come by mutual TLS.
    pub fn encrypted(&self) -> bool {
        self.probes.values().any(|probe| probe.peer != Peer::Plain)
    }

    /// Opens what the requests need: `count` connections for each client, to the listener `name` of an Envoy, and for
    /// [`Candidate::Bare`] to the one that answers by itself.
    ///
    /// # Errors
    /// There is no such listener, or nobody listens.
    pub fn connect(
        &self,
        ends: &mut Ends,
        (candidate, name): (Candidate, &str),
        envoy: &Envoy,
        authority: &Authority,
        count: usize,
    ) -> Result<Opened> {
        let mut to = vec![(LISTENER, envoy.listener(name)?)];
        if candidate == Candidate::Bare {
            to.push((ANSWERS, envoy.listener(ANSWERS)?));
        }
        let mut opened = Opened::new();
        for probe in self.probes.values() {
            let ids = identities(probe);
            for (listener, address) in &to {
                let key = (*listener, ids.to_vec());
                if let std::collections::btree_map::Entry::Vacant(place) = opened.entry(key) {
                    let tls = self.encrypted().then(|| tls(authority, ids)).transpose()?;
                    place.insert(ends.connect(*address, tls.as_ref(), count)?);
                }
            }
        }
        Ok(opened)
    }

    /// The connections and the bytes for the request of `hit`. What is denied is compared with what Envoy answers by itself,
    /// so that is what the bare one is asked for.
    ///
    /// # Errors
    /// There is no connection.
    pub fn exchange(
        &self,
        candidate: Candidate,
        opened: &Opened,
        hit: Hit,
    ) -> Result<(Connections, Vec<u8>)> {
        let probe = self.probes.get(hit.name()).context("there is a request")?;
        let status = self.status(hit);
        let answers = candidate == Candidate::Bare && status != 200;
        let listener = if answers { ANSWERS } else { LISTENER };
        let connections = opened.get(&(listener, identities(probe).to_vec()));
        let own = answer_path(status);
        let target = if answers { own.as_bytes() } else { probe.target.as_slice() };
        let mut request = Request::new(&probe.method, target);
        request = request.host(probe.authority.as_deref().unwrap_or_default());
        for (name, value) in &probe.headers {
            request = request.header(name, value);
        }
        Ok((connections.context("there is a connection")?.clone(), request.to_bytes("")))
    }

    /// Takes the first answer to the request of `hit` as the one that is right, and makes sure that others are like it.
    ///
    /// # Errors
    /// It is another one, or none that the request can have.
    pub fn agree(&mut self, candidate: Candidate, hit: Hit, answer: Answer) -> Result<()> {
        let known = self.answers.entry(hit.name()).or_insert_with(|| answer.clone());
        let (ours, hit_name) = (shown(&answer), hit.name());
        if *known != answer {
            let (candidate, theirs) = (candidate.key(), shown(known));
            return Err(Error::new(format!(
                "{candidate} answers {ours}, others {theirs}: to the {hit_name} rule"
            )));
        }
        if (hit == Hit::None) == (answer.status == 200) {
            return Err(Error::new(format!("the {hit_name} rule gives {ours}")));
        }
        Ok(())
    }

    /// The status that the request of `hit` is answered with by those that decide.
    pub fn status(&self, hit: Hit) -> u16 {
        self.answers.get(hit.name()).map_or(0, |answer| answer.status)
    }

    /// The status of each answer.
    pub fn statuses(&self) -> BTreeMap<&'static str, u16> {
        Hit::ALL.map(|hit| (hit.name(), self.status(hit))).into()
    }

    /// The status that a candidate gives: those that do not decide let everything through.
    pub fn expected(&self, candidate: Candidate, hit: Hit) -> u16 {
        if candidate.decides() || candidate == Candidate::Bare { self.status(hit) } else { 200 }
    }
}

fn identities(probe: &Probe) -> &[String] {
    match &probe.peer {
        Peer::Plain => &[],
        Peer::Mutual(ids) => ids,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_answers_otherwise_is_named() {
        let mut requests = Requests::of(Scenario::Authz, 10);
        let answer = |status, body: &str| Answer { status, body: body.as_bytes().to_vec() };
        requests.agree(Candidate::Native, Hit::None, answer(403, "no")).unwrap();
        requests.agree(Candidate::Wasm, Hit::None, answer(403, "no")).unwrap();
        let error = requests.agree(Candidate::Lua, Hit::None, answer(403, "never")).unwrap_err();
        assert_eq!(error.to_string(), "lua answers 403 `never`, others 403 `no`: to the none rule");
        let error = requests.agree(Candidate::Native, Hit::Last, answer(403, "no")).unwrap_err();
        assert_eq!(error.to_string(), "the last rule gives 403 `no`");
        assert_eq!(requests.expected(Candidate::Wasm, Hit::None), 403);
        assert_eq!(requests.expected(Candidate::Floor, Hit::None), 200);
        assert!(!requests.encrypted() && Requests::of(Scenario::AuthzMixed, 10).encrypted());
    }
}
