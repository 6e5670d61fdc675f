//! An index whose subjects are what its owner looks at: while rules are written down, and while requests are looked up.

use super::{Candidates, Cost, Draft, Index, Looked, Part, Subject};
use crate::order::sort_by;
use crate::request::HeaderMap;
use mesh_policy_bytes::Configured;
use std::collections::HashMap;
use std::hash::Hash;

/// What an owner looks at.
pub(crate) trait LookedAt: Clone + Eq + Hash {
    /// What it costs to read.
    fn cost(&self) -> Cost;

    /// The name of the header that it is, if it is one.
    fn header(&self) -> Option<&str>;
}

/// Writes down what rules need.
pub(crate) struct Drawer<L> {
    pub(crate) draft: Draft,
    subjects: HashMap<L, Subject, Configured>,
    /// What they are, by number.
    looked: Vec<L>,
}

impl<L> Default for Drawer<L> {
    fn default() -> Self {
        Self { draft: Draft::default(), subjects: HashMap::default(), looked: Vec::new() }
    }
}

impl<L: LookedAt> Drawer<L> {
    /// What is looked at has this text.
    pub(crate) fn key(&mut self, looked: &L, part: Part, text: &[u8]) {
        let subject = match self.subjects.get(looked) {
            Some(subject) => *subject,
            None if self.draft.is_full() => return self.draft.open(),
            None => {
                let subject = self.draft.subject(looked.cost());
                self.subjects.insert(looked.clone(), subject);
                self.looked.push(looked.clone());
                subject
            }
        };
        self.draft.key(subject, part, text);
    }

    /// Files the rules.
    pub(crate) fn finish(self) -> Filed<L> {
        let index = self.draft.finish();
        let (mut looked, mut headers) = (Vec::new(), Vec::new());
        for cost in [Cost::Read, Cost::Fetched] {
            for (what, subject) in self.looked.iter().zip(0..) {
                match what.header() {
                    _ if what.cost() != cost || !index.uses(subject) => {}
                    Some(name) => headers.push((name.into(), subject)),
                    None => looked.push((what.clone(), subject)),
                }
            }
        }
        sort_by(&mut headers, |(a, _), (b, _): &(Box<str>, Subject)| a.cmp(b));
        let all = if index.branches.is_empty() { Vec::new() } else { self.looked };
        Filed { index, looked, headers, all }
    }
}

/// Rules, filed.
#[derive(Debug)]
pub(crate) struct Filed<L> {
    index: Index,
    /// What rules are filed by, but for headers; first what is read.
    looked: Vec<(L, Subject)>,
    /// The headers that rules are filed by, by name.
    headers: Vec<(Box<str>, Subject)>,
    /// All that rules look at, by subject, where there are branches.
    all: Vec<L>,
}

/// Visits every text that a condition on something could be compared with; `None` when it cannot be told.
pub(crate) type Texts<'t, L> = &'t dyn Fn(&L, &mut dyn FnMut(&[u8])) -> Option<()>;

impl<L: LookedAt> Filed<L> {
    /// The first rule that `matches`, of those that can; or with `any` another one, if that spares the request something.
    ///
    /// Nothing is fetched that can find only rules behind one that matches by what is at hand.
    #[inline(never)]
    pub(crate) fn first(
        &self,
        headers: &HeaderMap<'_>,
        texts: Texts<'_, L>,
        any: bool,
        matches: &mut dyn FnMut(usize) -> bool,
    ) -> Option<usize> {
        let mut candidates = self.index.candidates();
        let fetched = self.looked.iter().position(|(what, _)| what.cost() == Cost::Fetched);
        let (read, fetched) = fetched
            .and_then(|begin| self.looked.split_at_checked(begin))
            .unwrap_or((self.looked.as_slice(), &[]));
        for (what, subject) in read {
            self.look_up(what, *subject, texts, &mut candidates);
        }
        self.look_up_headers(headers, &mut candidates);
        let branches = self.follow(None, texts, &mut candidates);
        let found = candidates.find(|at| matches(*at));
        if (any && found.is_some()) || (fetched.is_empty() && branches.is_empty()) {
            return found;
        }
        let end = found.unwrap_or(usize::MAX);
        let mut candidates = Candidates::following(branches);
        for (what, subject) in fetched.iter().filter(|(_, subject)| self.finds_before(end, *subject)) {
            self.look_up(what, *subject, texts, &mut candidates);
        }
        self.follow(Some(end), texts, &mut candidates);
        candidates.take_while(|at| *at < end).find(|at| matches(*at)).or(found)
    }

    fn look_up<'f>(
        &'f self,
        what: &L,
        subject: Subject,
        texts: Texts<'_, L>,
        candidates: &mut Candidates<'f>,
    ) {
        if texts(what, &mut |text| self.index.look_up(subject, text, candidates)).is_none() {
            self.index.all(subject, candidates);
        }
    }

    /// Whether any rule in front of `end` is filed by this.
    fn finds_before(&self, end: usize, subject: Subject) -> bool {
        self.index.filed_by(subject).first().is_some_and(|rule| super::position(*rule) < end)
    }

    /// Adds what the branches of `candidates` find. What must be fetched waits for the `end` to be known; until then it is
    /// given back.
    fn follow<'f>(
        &'f self,
        end: Option<usize>,
        texts: Texts<'_, L>,
        candidates: &mut Candidates<'f>,
    ) -> Vec<Looked> {
        let (mut waiting, mut next) = (Vec::new(), 0);
        while let Some(branch) = candidates.branches.get(next).copied() {
            next += 1;
            let Some(what) = self.all.get(usize::from(branch.at)) else { continue };
            if end.is_none() && what.cost() == Cost::Fetched {
                waiting.push(branch);
            } else if end.is_none_or(|end| self.finds_before(end, branch.subject)) {
                self.look_up(what, branch.subject, texts, candidates);
            }
        }
        waiting
    }

    /// Adds the rules that the lines of `headers` find, each line by itself.
    fn look_up_headers<'f>(&'f self, headers: &HeaderMap<'_>, candidates: &mut Candidates<'f>) {
        if self.headers.is_empty() {
            return;
        }
        for (name, line) in headers.iter() {
            if let Ok(at) = self.headers.binary_search_by(|(other, _)| other.as_bytes().cmp(name))
                && let Some((_, subject)) = self.headers.get(at)
            {
                self.index.look_up(*subject, line, candidates);
            }
        }
    }
}
