//! An index whose subjects are what its owner looks at: while rules are written down, and while requests are looked up.

use super::{Candidates, Cost, Draft, Index, Part, Subject};
use crate::request::HeaderMap;
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
    subjects: HashMap<L, Subject>,
}

impl<L> Default for Drawer<L> {
    fn default() -> Self {
        Self { draft: Draft::default(), subjects: HashMap::new() }
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
                subject
            }
        };
        self.draft.key(subject, part, text);
    }

    /// Files the rules.
    pub(crate) fn finish(self) -> Filed<L> {
        let index = self.draft.finish();
        let (mut looked, mut headers) = (Vec::new(), Vec::new());
        for (what, subject) in self.subjects.into_iter().filter(|(_, subject)| index.uses(*subject)) {
            match what.header() {
                Some(name) => headers.push((name.into(), subject)),
                None => looked.push((what, subject)),
            }
        }
        looked.sort_unstable_by_key(|(_, subject)| *subject);
        headers.sort_unstable();
        Filed { index, looked, headers }
    }
}

/// Rules, filed.
#[derive(Debug)]
pub(crate) struct Filed<L> {
    pub(crate) index: Index,
    /// What rules are filed by, but for headers.
    pub(crate) looked: Vec<(L, Subject)>,
    /// The headers that rules are filed by, by name.
    headers: Vec<(Box<str>, Subject)>,
}

impl<L> Filed<L> {
    /// Adds the rules that the lines of `headers` find, each line by itself.
    pub(crate) fn look_up_headers<'f>(&'f self, headers: &HeaderMap<'_>, candidates: &mut Candidates<'f>) {
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
