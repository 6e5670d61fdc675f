//! What each rule needs, written down.

use super::trees::{Kind, Node, Trees};
use super::{Index, Part, Subject, build, number};

/// What each rule needs, as a tree of keys: all of some, any of others.
///
/// A tree must hold whenever its rule can match; what cannot be
/// written as a key is [`Draft::open`], and a rule that is open as a whole is tried for every request.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    trees: Trees,
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

#[derive(Debug, Clone, Copy)]
pub(super) struct DraftKey {
    pub(super) subject: Subject,
    pub(super) part: Part,
    pub(super) start: u32,
    pub(super) end: u32,
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
        self.trees.keys.push(DraftKey { subject, part, start, end: number(self.bytes.len()) });
        let mark = self.mark();
        self.push(Kind::Key(number(self.trees.keys.len() - 1)), mark);
    }

    /// Something that no key stands for.
    pub(crate) fn open(&mut self) {
        let mark = self.mark();
        self.push(Kind::Open, mark);
    }

    /// Begins a list of children.
    pub(crate) fn mark(&self) -> Mark {
        Mark(number(self.trees.nodes.len()))
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
        self.trees.nodes.push(Node { kind, start });
    }

    /// Everything written since `mark` must hold for the next rule to match.
    pub(crate) fn rule(&mut self, mark: Mark) {
        self.all(mark);
        self.trees.rules.push(number(self.trees.nodes.len() - 1));
    }

    /// The index of these rules.
    pub(crate) fn finish(self) -> Index {
        build::index(self.trees, &self.bytes, &self.subjects)
    }
}
