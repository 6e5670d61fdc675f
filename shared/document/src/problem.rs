//! What is wrong with a document: one value a problem, all of them in one pass.

use crate::path::Path;
use std::fmt;

/// Whether a problem refuses the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The document stays usable; what is said is likely not what was meant.
    Warning,
    /// The document is refused.
    Error,
}

/// The class of a problem, for programs; the text is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ProblemKind {
    /// The text is not JSON or YAML, or stops early, or goes on after its end.
    Syntax,
    /// A field that this object does not have.
    UnknownField,
    /// A field that stands in the wrong object; the text says where it belongs.
    MisplacedField,
    /// The same key twice in one object.
    DuplicateKey,
    /// A string where a number is expected, and the like.
    WrongType,
    /// The right type, but not a legal value.
    InvalidValue,
    /// A field that must be there and is not.
    Missing,
    /// Two fields that exclude each other.
    Conflict,
    /// A reference to something that does not exist.
    UnknownReference,
    /// Legal for Istio, but not something that can be enforced here.
    Unsupported,
    /// Legal, but without effect or with a surprising one.
    Suspicious,
}

impl ProblemKind {
    /// The stable name that machine-readable output uses.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::UnknownField => "unknown-field",
            Self::MisplacedField => "misplaced-field",
            Self::DuplicateKey => "duplicate-key",
            Self::WrongType => "wrong-type",
            Self::InvalidValue => "invalid-value",
            Self::Missing => "missing",
            Self::Conflict => "conflict",
            Self::UnknownReference => "unknown-reference",
            Self::Unsupported => "unsupported",
            Self::Suspicious => "suspicious",
        }
    }
}

/// One thing that is wrong, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands, from the root of the document that was read.
    pub path: Path,
    /// Its class.
    pub kind: ProblemKind,
    /// Whether it refuses the document.
    pub severity: Severity,
    /// What is wrong: lower case, no final stop.
    pub message: String,
    /// What to write instead, given only where it is certain.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    /// One line: `path: message (help)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)?;
        match &self.help {
            Some(help) => write!(f, " ({help})"),
            None => Ok(()),
        }
    }
}

/// All problems of one reading, in the order in which they were met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// No problems yet.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds an error at `path`.
    pub fn error(&mut self, path: Path, kind: ProblemKind, message: impl Into<String>) -> &mut Problem {
        self.add(Problem { path, kind, severity: Severity::Error, message: message.into(), help: None })
    }

    /// Adds a warning at `path`.
    pub fn warning(&mut self, path: Path, kind: ProblemKind, message: impl Into<String>) -> &mut Problem {
        self.add(Problem { path, kind, severity: Severity::Warning, message: message.into(), help: None })
    }

    fn add(&mut self, problem: Problem) -> &mut Problem {
        let at = self.0.len();
        self.0.push(problem);
        #[expect(clippy::indexing_slicing, reason = "the entry was pushed on the line before")]
        &mut self.0[at]
    }

    pub(crate) fn last_mut(&mut self) -> Option<&mut Problem> {
        self.0.last_mut()
    }

    /// Takes over all problems of another reading.
    pub fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Whether any problem refuses the document.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|problem| problem.severity == Severity::Error)
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many problems there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The problems in the order in which they were met.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl Problem {
    /// Whether what it stands in could be read all the same, so that its values can still be judged: a key too many takes
    /// nothing away; a value of the wrong type does, and so does a key that is a slip for another.
    #[must_use]
    pub const fn leaves_values_readable(&self) -> bool {
        match self.kind {
            ProblemKind::MisplacedField | ProblemKind::DuplicateKey => true,
            ProblemKind::UnknownField => self.help.is_none(),
            _ => matches!(self.severity, Severity::Warning),
        }
    }

    /// Adds the cure.
    pub fn help(&mut self, help: impl Into<String>) {
        self.help = Some(help.into());
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'p> IntoIterator for &'p Problems {
    type Item = &'p Problem;
    type IntoIter = std::slice::Iter<'p, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    /// One line a problem.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| writeln!(f, "{problem}"))
    }
}
