//! What each rule needs, written down; and the choice of what it is filed under.

use super::table::Table;
use super::{Index, Lists, Part, Subject, number, position};

/// What each rule needs, as a tree of keys: all of some, any of others.
///
/// The trees stand in one list, each node behind its children. A tree must hold whenever its rule can match; what cannot be
/// written as a key is [`Draft::open`], and a rule that is open as a whole is tried for every request.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    nodes: Vec<Node>,
    /// The last node of each rule's tree.
    rules: Vec<u32>,
    keys: Vec<DraftKey>,
    bytes: Vec<u8>,
    /// Whether reading the subject costs the request something that a header does not.
    subjects: Vec<Cost>,
}

/// What it costs to read a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cost {
    /// Nothing: it stands in the headers.
    Read,
    /// A call into the proxy, and some work on what comes back.
    Fetched,
}

/// A subject that must be fetched is worth so many more rules to verify.
const FETCH: u64 = 32;

/// The weight of what is no key.
const OPEN: u64 = u64::MAX;

#[derive(Debug)]
pub(super) struct DraftKey {
    pub(super) subject: Subject,
    pub(super) part: Part,
    pub(super) start: u32,
    pub(super) end: u32,
}

#[derive(Debug, Clone, Copy)]
struct Node {
    kind: Kind,
    /// Where its tree begins.
    start: u32,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Key(u32),
    /// Each child must hold: one of them is enough to find the rule.
    All,
    /// Any child may hold: the rule must be found by each of them.
    Any,
    Open,
}

/// Where a node's children begin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark(u32);

impl Draft {
    /// Another subject.
    pub(crate) fn subject(&mut self, cost: Cost) -> Subject {
        self.subjects.push(cost);
        Subject::try_from(self.subjects.len() - 1).unwrap_or(Subject::MAX)
    }

    /// Whether no further subject can be told apart.
    pub(crate) fn is_full(&self) -> bool {
        self.subjects.len() >= usize::from(Subject::MAX)
    }

    /// The subject has this text.
    pub(crate) fn key(&mut self, subject: Subject, part: Part, text: &[u8]) {
        let start = number(self.bytes.len());
        self.bytes.extend_from_slice(text);
        self.keys.push(DraftKey { subject, part, start, end: number(self.bytes.len()) });
        let mark = self.mark();
        self.push(Kind::Key(number(self.keys.len() - 1)), mark);
    }

    /// Something that no key stands for.
    pub(crate) fn open(&mut self) {
        let mark = self.mark();
        self.push(Kind::Open, mark);
    }

    /// Begins a list of children.
    pub(crate) fn mark(&self) -> Mark {
        Mark(number(self.nodes.len()))
    }

    /// What was written since `mark` must hold together.
    pub(crate) fn all(&mut self, mark: Mark) {
        self.push(Kind::All, mark);
    }

    /// One of what was written since `mark` must hold.
    pub(crate) fn any(&mut self, mark: Mark) {
        self.push(Kind::Any, mark);
    }

    fn push(&mut self, kind: Kind, Mark(start): Mark) {
        self.nodes.push(Node { kind, start });
    }

    /// Everything written since `mark` must hold for the next rule to match.
    pub(crate) fn rule(&mut self, mark: Mark) {
        self.all(mark);
        self.rules.push(number(self.nodes.len() - 1));
    }

    /// The index of these rules.
    pub(crate) fn finish(self) -> Index {
        let filed = self.file();
        let keys: Vec<DraftKey> = filed.iter().filter_map(|(_, key)| self.copy(*key)).collect();
        let (table, numbers) = Table::new(self.subjects.len(), &keys, &self.bytes);
        let subjects = table.len();
        let residual = subjects + self.subjects.len();
        let mut pairs = Vec::with_capacity(filed.len() * 2);
        let mut is_filed = vec![false; self.rules.len()];
        for (((rule, _), key), list) in filed.iter().zip(&keys).zip(numbers) {
            pairs.push((list, *rule));
            pairs.push((number(subjects + usize::from(key.subject)), *rule));
            if let Some(is_filed) = is_filed.get_mut(position(*rule)) {
                *is_filed = true;
            }
        }
        let left = is_filed.iter().enumerate().filter(|(_, is_filed)| !**is_filed);
        pairs.extend(left.map(|(rule, _)| (number(residual), number(rule))));
        Index { table, lists: Lists::new(residual + 1, &pairs), subjects, residual }
    }

    fn copy(&self, key: u32) -> Option<DraftKey> {
        let DraftKey { subject, part, start, end } = self.keys.get(position(key))?;
        Some(DraftKey { subject: *subject, part: *part, start: *start, end: *end })
    }

    /// Each rule with the keys that it is filed under, in the order of the rules.
    fn file(&self) -> Vec<(u32, u32)> {
        let hits = self.hits();
        let fetched: Vec<bool> = self.subjects.iter().map(|cost| *cost == Cost::Fetched).collect();
        let filed = self.choose(&hits, &fetched);
        if !fetched.contains(&true) {
            return filed;
        }
        // What some rule makes the request fetch costs the others nothing.
        let mut spared = fetched;
        for (_, key) in &filed {
            let subject = self.keys.get(position(*key)).map(|key| usize::from(key.subject));
            if let Some(spared) = subject.and_then(|subject| spared.get_mut(subject)) {
                *spared = false;
            }
        }
        self.choose(&hits, &spared)
    }

    /// For each key how many keys it goes with: how many rules a request that has one of those would find.
    fn hits(&self) -> Vec<u64> {
        let (table, numbers) = Table::new(self.subjects.len(), &self.keys, &self.bytes);
        let mut equal = vec![0_u64; table.len()];
        for number in &numbers {
            if let Some(equal) = equal.get_mut(position(*number)) {
                *equal += 1;
            }
        }
        let mut hits = vec![0_u64; table.len()];
        for (key, equal) in equal.iter().enumerate() {
            let Some((subject, part, text)) = table.key(key) else { continue };
            // A request is taken to have what some key asks for. Of one that asks for an end, the beginning is not known.
            table.each(subject, text, |hit| {
                let other = table.key(hit).map(|(_, part, _)| part);
                if (part == Part::Whole || other == Some(part))
                    && let Some(hits) = hits.get_mut(hit)
                {
                    *hits += equal;
                }
            });
        }
        numbers.iter().map(|number| hits.get(position(*number)).copied().unwrap_or(0)).collect()
    }

    fn choose(&self, hits: &[u64], spared: &[bool]) -> Vec<(u32, u32)> {
        let mut weights: Vec<u64> = Vec::with_capacity(self.nodes.len());
        for (at, node) in self.nodes.iter().enumerate() {
            let children = self.children(at, node).filter_map(|child| weights.get(child).copied());
            let weight = match node.kind {
                Kind::Open => OPEN,
                Kind::Key(key) => {
                    let subject = self.keys.get(position(key)).map(|key| usize::from(key.subject));
                    let is_spared = subject.and_then(|subject| spared.get(subject)) == Some(&true);
                    let hits = hits.get(position(key)).copied().unwrap_or(0);
                    if is_spared { hits + FETCH } else { hits }
                }
                Kind::All => children.min().unwrap_or(OPEN),
                // Nothing to choose from is a mistake that was reported; it must not hide a rule.
                Kind::Any => children.reduce(u64::saturating_add).unwrap_or(OPEN),
            };
            weights.push(weight);
        }
        let mut filed = Vec::with_capacity(self.rules.len());
        let mut todo = Vec::new();
        for (rule, root) in self.rules.iter().enumerate() {
            todo.push(position(*root));
            while let Some(at) = todo.pop() {
                let Some(node) = self.nodes.get(at) else { continue };
                if weights.get(at) == Some(&OPEN) {
                    continue;
                }
                match node.kind {
                    Kind::Key(key) => filed.push((number(rule), key)),
                    Kind::Any => todo.extend(self.children(at, node)),
                    Kind::All => todo.extend(self.children(at, node).min_by_key(|child| weights.get(*child))),
                    Kind::Open => {}
                }
            }
        }
        filed
    }

    /// The children of a node, last first.
    fn children(&self, at: usize, node: &Node) -> impl Iterator<Item = usize> {
        let start = position(node.start);
        let before = move |at: usize| at.checked_sub(1).filter(|child| *child >= start);
        std::iter::successors(before(at), move |child| before(position(self.nodes.get(*child)?.start)))
    }
}
