//! Which rules of a pool a request can match at all: the rules, filed in an index.
//!
//! Only what a rule cannot match without is a key: never a `not` field, and of what cannot be told every rule that is filed
//! by it is a candidate.

use super::cidr::Cidr;
use super::claims::RequestPrincipal;
use super::condition::{Condition, Matcher, PathMatch};
use super::facts::{Facts, Side};
use super::rule::Rule;
use super::value_match::ValueMatch;
use crate::index::{Cost, Drawer, Filed, LookedAt, Part, WORTHWHILE};
use crate::request::Attribute;
use std::borrow::Cow;
use std::net::IpAddr;

mod peer;

/// What a rule looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Looked {
    Path,
    /// What stands between two slashes of the path, by how many are in front.
    Segment(usize),
    /// In lower case.
    Host,
    Method,
    Header(Box<str>),
    Sni,
    Claim(Box<[Box<str>]>),
    /// The identities of the peer.
    Peer,
    /// The namespaces in them.
    Namespace,
    /// Their service accounts, `NAMESPACE/sa/NAME`.
    Account,
    /// As one byte for each bit.
    Address(Side),
    /// As two bytes.
    Port,
}

/// The rules of a pool, filed.
#[derive(Debug)]
pub(super) struct Filing(Filed<Looked>);

impl Filing {
    /// `None` where it is not worth it.
    pub(super) fn of_rules(rules: &[Rule]) -> Option<Self> {
        Self::new(rules, WORTHWHILE, Drawer::rule)
    }

    /// The same for the entries of a `from` or `to`.
    pub(super) fn of_alternatives(alternatives: &[Vec<Condition>]) -> Option<Self> {
        Self::new(alternatives, MANY, |drawer, conditions| drawer.conditions(conditions))
    }

    /// The same for the values of a condition.
    pub(super) fn of_values(matcher: &Matcher) -> Option<Self> {
        let values: Vec<usize> = (0..matcher.count()).collect();
        Self::new(&values, MANY, |drawer, at| drawer.value_of(matcher, *at))
    }

    fn new<T>(entries: &[T], worthwhile: usize, draw: impl Fn(&mut Drawer<Looked>, &T)) -> Option<Self> {
        if entries.len() < worthwhile {
            return None;
        }
        let mut drawer = Drawer::default();
        for entry in entries {
            let needs = drawer.draft.mark();
            draw(&mut drawer, entry);
            drawer.draft.rule(needs);
        }
        Some(Self(drawer.finish()))
    }

    /// The first entry that `matches`, and with `any` perhaps another one.
    pub(super) fn first(
        &self,
        facts: &Facts<'_, '_>,
        any: bool,
        matches: &mut dyn FnMut(usize) -> bool,
    ) -> Option<usize> {
        let texts = |looked: &Looked, visit: &mut dyn FnMut(&[u8])| looked.each_text(facts, visit);
        self.0.first(facts.request().headers(), &texts, any, matches)
    }

    /// The entries that may match.
    pub(super) fn candidates(&self, facts: &Facts<'_, '_>, at_most: usize) -> Vec<usize> {
        let mut found = Vec::new();
        self.first(facts, false, &mut |at| {
            found.push(at);
            found.len() >= at_most
        });
        found
    }
}

/// From how many on alternatives and values are filed: a short list is tried in less time.
const MANY: usize = 16;

impl LookedAt for Looked {
    fn cost(&self) -> Cost {
        match self {
            Self::Path | Self::Segment(_) | Self::Host | Self::Method | Self::Header(_) => Cost::Read,
            Self::Sni
            | Self::Claim(_)
            | Self::Peer
            | Self::Namespace
            | Self::Account
            | Self::Address(_)
            | Self::Port => Cost::Fetched,
        }
    }

    fn header(&self) -> Option<&str> {
        match self {
            Self::Header(name) => Some(name),
            _ => None,
        }
    }
}

impl Looked {
    /// Visits every text that a condition could be compared with; `None` when it cannot be told.
    fn each_text(&self, facts: &Facts<'_, '_>, visit: &mut dyn FnMut(&[u8])) -> Option<()> {
        let request = facts.request();
        match self {
            Self::Path => request.path().into_iter().for_each(visit),
            Self::Segment(at) => {
                request
                    .path()
                    .and_then(|path| path.split(|byte| *byte == b'/').nth(*at))
                    .into_iter()
                    .for_each(visit);
            }
            Self::Host => request.authority().map(folded).iter().for_each(|host| visit(host)),
            Self::Method => request.method().into_iter().for_each(visit),
            Self::Header(name) => request.header_lines(name).for_each(visit),
            Self::Sni => request.attribute(Attribute::RequestedServerName).into_iter().for_each(visit),
            Self::Claim(path) => {
                let nothing_more = |text: &[u8]| {
                    visit(text);
                    false
                };
                facts.token().any(path, nothing_more)?;
            }
            Self::Peer => facts.each_peer(visit),
            Self::Namespace => facts.each_peer(&mut |name| peer::each_namespace(name, visit)),
            Self::Account => {
                let mut told = Some(());
                facts.each_peer(&mut |name| told = told.and(peer::each_account(name, visit)));
                return told;
            }
            Self::Address(side) => {
                let (bits, length) = address_bits(facts.address(*side)?);
                visit(bits.get(..length)?);
            }
            Self::Port => visit(&facts.port()?.to_be_bytes()),
        }
        Some(())
    }
}

impl Drawer<Looked> {
    fn rule(&mut self, rule: &Rule) {
        for alternatives in [&rule.to.list, &rule.from.list].into_iter().filter(|list| !list.is_empty()) {
            let any = self.draft.mark();
            for conditions in alternatives {
                let all = self.draft.mark();
                self.conditions(conditions);
                self.draft.all(all);
            }
            self.draft.any(any);
        }
        for conditions in &rule.when {
            self.conditions(conditions);
        }
    }

    /// What each of them needs.
    fn conditions(&mut self, conditions: &[Condition]) {
        for condition in conditions.iter().filter(|condition| !condition.is_negated()) {
            let any = self.draft.mark();
            for at in 0..condition.matcher.count() {
                self.value_of(&condition.matcher, at);
            }
            self.draft.any(any);
        }
    }

    /// What one value of a condition needs.
    fn value_of(&mut self, matcher: &Matcher, at: usize) {
        match matcher {
            Matcher::Peer(values) => values.get(at).into_iter().for_each(|value| self.peer(value)),
            Matcher::RequestPrincipal(values) => {
                let all = self.draft.mark();
                for (claim, value) in values.get(at).into_iter().flat_map(RequestPrincipal::claims) {
                    self.value(&Looked::Claim([claim.into()].into()), value);
                }
                self.draft.all(all);
            }
            Matcher::Address(side, values) => {
                values.get(at).into_iter().for_each(|value| self.block(*side, *value));
            }
            Matcher::Port(values) => {
                let ports = values.get(at).into_iter();
                ports.for_each(|port| self.key(&Looked::Port, Part::Whole, &port.to_be_bytes()));
            }
            Matcher::Path(values) => values.get(at).into_iter().for_each(|value| self.path(value)),
            Matcher::Host(values) => {
                let folded = values.get(at).map(ValueMatch::to_lower_case);
                folded.iter().for_each(|value| self.value(&Looked::Host, value));
            }
            Matcher::Method(values) => self.plain(&Looked::Method, values, at),
            Matcher::Header(name, values) => self.plain(&Looked::Header(name.clone()), values, at),
            Matcher::Sni(values) => self.plain(&Looked::Sni, values, at),
            Matcher::Claim(path, values) => self.plain(&Looked::Claim(path.clone().into()), values, at),
        }
    }

    fn plain(&mut self, looked: &Looked, values: &[ValueMatch], at: usize) {
        values.get(at).into_iter().for_each(|value| self.value(looked, value));
    }

    fn value(&mut self, looked: &Looked, value: &ValueMatch) {
        let (part, text) = value.key();
        self.key(looked, part, text.as_bytes());
    }

    fn path(&mut self, value: &PathMatch) {
        match value {
            PathMatch::Plain(value) => self.value(&Looked::Path, value),
            PathMatch::Template(template) => {
                let all = self.draft.mark();
                let (head, tail) = template.ends();
                self.key(&Looked::Path, Part::Head, head.as_bytes());
                if !tail.is_empty() {
                    self.key(&Looked::Path, Part::Tail, tail.as_bytes());
                }
                for (at, segment) in template.inner_segments() {
                    self.key(&Looked::Segment(at), Part::Whole, segment.as_bytes());
                }
                self.draft.all(all);
            }
        }
    }

    fn block(&mut self, side: Side, block: Cidr) {
        let (address, length) = block.network();
        let (bits, _) = address_bits(address);
        match bits.get(..=length) {
            Some(bits) => self.key(&Looked::Address(side), Part::Head, bits),
            None => self.draft.open(),
        }
    }
}

/// A byte for the family, then one for each bit; and how many these are.
fn address_bits(address: IpAddr) -> ([u8; 129], usize) {
    let (family, address, bits) = match address {
        IpAddr::V4(address) => (4, u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (6, u128::from(address), 128),
    };
    let mut text = [family; 129];
    for (at, bit) in text.iter_mut().skip(1).enumerate() {
        *bit = u8::from(address << at >> 127 == 1);
    }
    (text, bits + 1)
}

fn folded(host: &[u8]) -> Cow<'_, [u8]> {
    if host.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    }
}
