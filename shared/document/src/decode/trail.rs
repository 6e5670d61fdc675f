//! Where a reading is, kept so that stepping in and out allocates nothing: most documents have nothing wrong with them.

use crate::path::{Path, Segment};

/// A [`Path`] that is written down in one piece.
#[derive(Debug, Default)]
pub(super) struct Trail {
    steps: Vec<Step>,
    /// The names of all fields, one after the other.
    names: String,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A member, by where its name begins.
    Field(usize),
    Index(usize),
}

impl From<&Path> for Trail {
    fn from(path: &Path) -> Self {
        let mut trail = Self::default();
        for segment in path.segments() {
            match segment {
                Segment::Field(name) => trail.push_field(name),
                Segment::Index(index) => trail.push_index(*index),
            }
        }
        trail
    }
}

impl Trail {
    pub(super) fn push_field(&mut self, name: &str) {
        self.steps.push(Step::Field(self.names.len()));
        self.names.push_str(name);
    }

    pub(super) fn push_index(&mut self, index: usize) {
        self.steps.push(Step::Index(index));
    }

    pub(super) fn pop(&mut self) {
        if let Some(Step::Field(start)) = self.steps.pop() {
            self.names.truncate(start);
        }
    }

    pub(super) fn depth(&self) -> usize {
        self.steps.len()
    }

    pub(super) fn path(&self) -> Path {
        let mut end = self.names.len();
        // Each name ends where the next begins, so they are cut off from the end.
        let mut segments = Vec::with_capacity(self.steps.len());
        for step in self.steps.iter().rev() {
            segments.push(match step {
                Step::Index(index) => Segment::Index(*index),
                Step::Field(start) => {
                    let name = self.names.get(*start..end).unwrap_or_default().to_owned();
                    end = *start;
                    Segment::Field(name)
                }
            });
        }
        segments.reverse();
        Path::of(segments)
    }
}
