//! Finding the few rules that can match, among many.
//!
//! Every rule is filed under the keys of one condition that must hold for it to match; a request is looked up by what it
//! has, and whatever rules that finds are verified by the plain evaluator, in their order. So a rule that is filed too
//! broadly costs time, and only a key that need not hold would cost correctness: who describes a rule must name nothing
//! that the rule can match without.
//!
//! Where many rules share a key, those are filed once more, by what else they need; what is looked at for that has a subject
//! of its own, a *branch* of the key. So a hundred paths with a hundred headers each leave one candidate, not a hundred.
//!
//! The index knows neither requests nor conditions. Its owner numbers what can be looked at (the path, a header, an
//! identity of the peer), which are *subjects* here, and turns each into texts.

mod build;
mod candidates;
mod draft;
mod filed;
mod table;
mod trees;

use candidates::Candidates;
pub(crate) use draft::{Cost, Draft};
pub(crate) use filed::{Drawer, Filed, LookedAt};
use table::Table;

/// Below this many rules it is cheaper to try them all.
pub(crate) const WORTHWHILE: usize = 5;

/// The number that the owner gave to what is looked at.
pub(crate) type Subject = u16;

/// Which part of a text must be equal to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// Its beginning; of an empty key, any text.
    Head,
    /// Its end.
    Tail,
}

/// Rules by their keys. Rules are numbers in the order in which they are to be tried.
#[derive(Debug)]
pub(crate) struct Index {
    table: Table,
    /// The rules of each key, then those of each subject, then those without any key.
    lists: Lists,
    /// Where the lists of subjects begin.
    subjects: usize,
    /// Where the list of rules without a key stands.
    residual: usize,
    /// What is looked at beyond a key, by key.
    branches: Box<[Branch]>,
}

/// The rules of a key, told apart by something else.
#[derive(Debug, Clone, Copy)]
struct Branch {
    key: u32,
    looked: Looked,
}

/// What is to be looked at, and the subject that it is looked up as: itself, or in a branch another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Looked {
    at: Subject,
    subject: Subject,
}

impl Index {
    /// What every request has to try: the rules that no key stands for.
    fn candidates(&self) -> Candidates<'_> {
        let mut candidates = Candidates::default();
        candidates.add(self.lists.get(self.residual));
        candidates
    }

    /// Whether any rule is filed by this.
    fn uses(&self, subject: Subject) -> bool {
        !self.filed_by(subject).is_empty()
    }

    /// Adds the rules for which `text` has a key. Not a part of the loops over headers: these mostly find nothing to look up.
    #[inline(never)]
    fn look_up<'i>(&'i self, subject: Subject, text: &[u8], candidates: &mut Candidates<'i>) {
        self.table.each(subject, text, |key| {
            candidates.add(self.lists.get(key));
            if !self.branches.is_empty() {
                self.branch_out(number(key), candidates);
            }
        });
    }

    fn branch_out(&self, key: u32, candidates: &mut Candidates<'_>) {
        let from = self.branches.partition_point(|branch| branch.key < key);
        let branches = self.branches.iter().skip(from).take_while(|branch| branch.key == key);
        for Branch { looked, .. } in branches {
            // A text may be there twice.
            if !candidates.branches.contains(looked) {
                candidates.branches.push(*looked);
            }
        }
    }

    /// Adds all rules that are filed by this: for what cannot be told.
    fn all<'i>(&'i self, subject: Subject, candidates: &mut Candidates<'i>) {
        candidates.add(self.filed_by(subject));
    }

    /// All rules that are filed by this.
    fn filed_by(&self, subject: Subject) -> &[u32] {
        self.lists.get(self.subjects + usize::from(subject))
    }
}

/// Many ascending lists in one piece of memory.
#[derive(Debug, Default)]
struct Lists {
    /// Where each list ends.
    ends: Box<[u32]>,
    rules: Box<[u32]>,
}

impl Lists {
    /// From pairs of a list and a rule, in the order of the rules.
    fn new(count: usize, pairs: &[(u32, u32)]) -> Self {
        let mut ends = vec![0_u32; count];
        for (list, _) in pairs {
            if let Some(end) = ends.get_mut(position(*list)) {
                *end += 1;
            }
        }
        let mut sum = 0;
        for end in &mut ends {
            // First each entry is where its list begins; filling moves it to the end.
            sum += std::mem::replace(end, sum);
        }
        let mut rules = vec![0_u32; pairs.len()];
        for (list, rule) in pairs {
            let Some(at) = ends.get_mut(position(*list)) else { continue };
            if let Some(entry) = rules.get_mut(position(*at)) {
                *entry = *rule;
            }
            *at += 1;
        }
        Self { ends: ends.into(), rules: rules.into() }
    }

    fn get(&self, list: usize) -> &[u32] {
        let end = |list: usize| self.ends.get(list).map(|end| position(*end));
        let Some(to) = end(list) else { return &[] };
        let from = list.checked_sub(1).and_then(end).unwrap_or(0);
        self.rules.get(from..to).unwrap_or_default()
    }
}

/// A number that was made from a length.
const fn position(number: u32) -> usize {
    number as usize
}

/// A length as a number. Configurations are far smaller than this bound; what lies beyond it has no position.
fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
