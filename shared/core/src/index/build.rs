//! From what rules need to their index.

use super::draft::{Cost, DraftKey};
use super::table::Table;
use super::trees::{OPEN, Trees};
use super::{Branch, Index, Lists, Looked, Subject, number, position};

/// Up to this many rules of one key are verified one by one.
const VERIFIED: usize = 8;

/// To fetch something is worth so many more rules to verify.
const FETCH: u64 = 32;

/// The same for rules that share a key: most of them would have it fetched to be verified.
const FETCH_BEHIND: u64 = 8;

/// How much may be read to file rules of a key once more, for each node of all the rules: with many alternatives in each rule,
/// filing by every two of them would be a square of them.
const READ: usize = 8;

/// Rules that share a key, or all of them.
#[derive(Default)]
struct Bucket {
    trees: Trees,
    /// Their numbers.
    rules: Vec<u32>,
    /// The key, as its position among those that rules are filed under.
    key: Option<u32>,
}

/// Files rules.
struct Builder<'d> {
    bytes: &'d [u8],
    costs: &'d [Cost],
    keys: Vec<DraftKey>,
    /// Rules with the position of a key that finds them.
    listed: Vec<(u32, u32)>,
    /// Rules with a subject that they are filed by.
    looked: Vec<(Subject, u32)>,
    residual: Vec<u32>,
    branches: Vec<Branch>,
    subjects: usize,
    /// For each subject the last one that was made of it for a bucket.
    derived: Vec<Subject>,
    todo: Vec<Bucket>,
    /// How many nodes may still be read.
    left: usize,
}

pub(super) fn index(trees: Trees, bytes: &[u8], costs: &[Cost]) -> Index {
    let mut builder = Builder {
        bytes,
        costs,
        keys: Vec::new(),
        listed: Vec::new(),
        looked: Vec::new(),
        residual: Vec::new(),
        branches: Vec::new(),
        subjects: costs.len(),
        derived: vec![0; costs.len()],
        todo: Vec::new(),
        left: trees.nodes.len().saturating_mul(READ),
    };
    let rules = (0..number(trees.rules.len())).collect();
    let mut table = builder.file(&Bucket { trees, rules, key: None });
    let mut next = 0;
    while let Some(bucket) = builder.todo.get_mut(next).map(std::mem::take) {
        next += 1;
        builder.file(&bucket);
        table = None;
    }
    builder.finish(table)
}

impl Builder<'_> {
    /// Files the rules of a bucket; those of a key only where that tells most of them apart. Returns the table of its keys.
    fn file(&mut self, bucket: &Bucket) -> Option<(Table, Vec<u32>)> {
        let Bucket { trees, rules, key: shared } = bucket;
        // By what half of them share they are not told apart.
        let half = rules.len().div_ceil(2) as u64;
        let (limit, fetch) = shared.map_or((OPEN, FETCH), |_| (half, FETCH_BEHIND));
        let filed = trees.file(self.costs, self.bytes, limit, fetch);
        let mut is_left = vec![true; rules.len()];
        for (rule, _) in &filed {
            if let Some(is_left) = is_left.get_mut(position(*rule)) {
                *is_left = false;
            }
        }
        let left = rules.iter().zip(is_left).filter(|(_, is_left)| *is_left).map(|(rule, _)| *rule);
        match shared {
            None => self.residual.extend(left),
            Some(key) => {
                let left: Vec<u32> = left.collect();
                let is_full = self.subjects + trees.keys.len() > usize::from(Subject::MAX);
                if is_full || left.len() * 2 > rules.len() {
                    self.listed.extend(rules.iter().map(|rule| (*key, *rule)));
                    return None;
                }
                self.listed.extend(left.iter().map(|rule| (*key, *rule)));
            }
        }
        let first = self.keys.len();
        let made = self.subjects;
        for (rule, key) in &filed {
            let Some(mut key) = trees.keys.get(position(*key)).copied() else { continue };
            if let Some(shared) = shared {
                key.subject = self.branch(*shared, key.subject, made);
            }
            self.keys.push(key);
            self.looked.extend(rules.get(position(*rule)).map(|rule| (key.subject, *rule)));
        }
        let (table, numbers) = Table::new(self.subjects, self.keys.get(first..)?, self.bytes);
        let places: Vec<(u32, u32)> = numbers.iter().copied().zip(0..).collect();
        let buckets = Lists::new(table.len(), &places);
        for bucket in 0..table.len() {
            let places = buckets.get(bucket);
            let Some(key) = places.first().map(|place| number(first) + place) else { continue };
            let inner = places.iter().filter_map(|place| filed.get(position(*place))).map(|(rule, _)| *rule);
            if places.len() > VERIFIED {
                let mut inner: Vec<u32> = inner.clone().collect();
                inner.dedup();
                if let Some(left) = self.left.checked_sub(trees.size(&inner)) {
                    self.left = left;
                    let rules = inner.iter().filter_map(|rule| rules.get(position(*rule)).copied()).collect();
                    self.todo.push(Bucket { trees: trees.part(&inner), rules, key: Some(key) });
                    continue;
                }
            }
            let rules = inner.filter_map(|rule| rules.get(position(rule)).copied());
            self.listed.extend(rules.map(|rule| (key, rule)));
        }
        Some((table, numbers))
    }

    /// The subject that `at` has in the branches of a key, of those that were `made` for it.
    fn branch(&mut self, key: u32, at: Subject, made: usize) -> Subject {
        let Some(derived) = self.derived.get_mut(usize::from(at)) else { return at };
        if usize::from(*derived) < made {
            *derived = Subject::try_from(self.subjects).unwrap_or(Subject::MAX);
            self.subjects += 1;
            self.branches.push(Branch { key, looked: Looked { at, subject: *derived } });
        }
        *derived
    }

    /// The index; `table` is that of all keys, where it is at hand.
    fn finish(mut self, table: Option<(Table, Vec<u32>)>) -> Index {
        let (table, numbers) = table.unwrap_or_else(|| Table::new(self.subjects, &self.keys, self.bytes));
        let subjects = table.len();
        let residual = subjects + self.subjects;
        let number_of = |key: u32| numbers.get(position(key)).copied().unwrap_or(u32::MAX);
        let mut pairs: Vec<(u32, u32)> =
            Vec::with_capacity(self.listed.len() + self.looked.len() + self.residual.len());
        pairs.extend(self.listed.iter().map(|(key, rule)| (number_of(*key), *rule)));
        pairs.extend(
            self.looked.iter().map(|(subject, rule)| (number(subjects + usize::from(*subject)), *rule)),
        );
        pairs.extend(self.residual.iter().map(|rule| (number(residual), *rule)));
        // In the order of the keys already, as buckets are filed in the order of theirs.
        for branch in &mut self.branches {
            branch.key = number_of(branch.key);
        }
        let lists = Lists::new(residual + 1, &pairs);
        Index { table, lists, subjects, residual, branches: self.branches.into() }
    }
}
