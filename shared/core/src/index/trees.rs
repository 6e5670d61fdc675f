//! What rules need, as trees of keys; and the choice of the keys that each is filed under.

use super::draft::{Cost, DraftKey};
use super::table::Table;
use super::{Part, number, position};

/// Trees in one list, each node behind its children.
#[derive(Debug, Default)]
pub(super) struct Trees {
    pub(super) nodes: Vec<Node>,
    /// The last node of each rule's tree.
    pub(super) rules: Vec<u32>,
    pub(super) keys: Vec<DraftKey>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Where its tree begins.
    pub(super) start: u32,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Key(u32),
    /// Each child must hold: one of them is enough to find the rule.
    All,
    /// Any child may hold: the rule must be found by each of them.
    Any,
    Open,
}

/// The weight of what is no key.
pub(super) const OPEN: u64 = u64::MAX;

impl Trees {
    /// The nodes of a rule's tree, and where they begin.
    fn tree(&self, rule: u32) -> (u32, &[Node]) {
        let root = self.rules.get(position(rule)).copied().unwrap_or(u32::MAX);
        let start = self.nodes.get(position(root)).map_or(u32::MAX, |node| node.start);
        (start, self.nodes.get(position(start)..=position(root)).unwrap_or_default())
    }

    /// How many nodes these rules have.
    pub(super) fn size(&self, rules: &[u32]) -> usize {
        rules.iter().map(|rule| self.tree(*rule).1.len()).sum()
    }

    /// The trees of these rules alone.
    pub(super) fn part(&self, rules: &[u32]) -> Self {
        let mut part = Self::default();
        for rule in rules {
            let (start, nodes) = self.tree(*rule);
            let begin = number(part.nodes.len());
            for node in nodes {
                let kind = match node.kind {
                    Kind::Key(key) => {
                        part.keys.extend(self.keys.get(position(key)));
                        Kind::Key(number(part.keys.len()) - 1)
                    }
                    other => other,
                };
                part.nodes.push(Node { kind, start: node.start - start + begin });
            }
            part.rules.push(number(part.nodes.len()) - 1);
        }
        part
    }

    /// The rules with the keys that each is filed under, in the order of the rules. A rule for which there are no keys below
    /// this weight is left out. To `fetch` something is worth so many more rules to verify.
    pub(super) fn file(&self, costs: &[Cost], bytes: &[u8], limit: u64, fetch: u64) -> Vec<(u32, u32)> {
        let hits = self.hits(costs.len(), bytes);
        let fetched: Vec<u64> =
            costs.iter().map(|cost| if *cost == Cost::Fetched { fetch } else { 0 }).collect();
        let filed = self.choose(&hits, &fetched, limit);
        if fetched.iter().all(|cost| *cost == 0) {
            return filed;
        }
        // What some rule makes the request fetch costs the others nothing.
        let mut spared = fetched;
        for (_, key) in &filed {
            let subject = self.keys.get(position(*key)).map(|key| usize::from(key.subject));
            if let Some(spared) = subject.and_then(|subject| spared.get_mut(subject)) {
                *spared = 0;
            }
        }
        self.choose(&hits, &spared, limit)
    }

    /// For each key how many keys it goes with: how many rules a request that has one of those would find.
    fn hits(&self, subjects: usize, bytes: &[u8]) -> Vec<u64> {
        let (table, numbers) = Table::new(subjects, &self.keys, bytes);
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

    fn choose(&self, hits: &[u64], costs: &[u64], limit: u64) -> Vec<(u32, u32)> {
        let mut weights: Vec<u64> = Vec::with_capacity(self.nodes.len());
        for (at, node) in self.nodes.iter().enumerate() {
            let children = self.children(at, node).filter_map(|child| weights.get(child).copied());
            let weight = match node.kind {
                Kind::Open => OPEN,
                Kind::Key(key) => {
                    let subject = self.keys.get(position(key)).map(|key| usize::from(key.subject));
                    let cost = subject.and_then(|subject| costs.get(subject)).copied().unwrap_or(0);
                    hits.get(position(key)).copied().unwrap_or(0) + cost
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
            if weights.get(position(*root)).is_some_and(|weight| *weight < limit) {
                todo.push(position(*root));
            }
            while let Some(at) = todo.pop() {
                let Some(node) = self.nodes.get(at) else { continue };
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
