//! Where a value stands, written out only when there is something to say about it.

use mesh_policy_istio::path::Path;

/// A place in a document: policies are mostly right, so the [`Path`] is not built before an error needs it.
#[derive(Clone, Copy)]
pub(super) enum At<'a> {
    Base(&'a Path),
    Field(&'a At<'a>, &'a str),
    Index(&'a At<'a>, usize),
}

impl At<'_> {
    pub(super) const fn field<'b>(&'b self, name: &'b str) -> At<'b> {
        At::Field(self, name)
    }

    pub(super) const fn index(&self, index: usize) -> At<'_> {
        At::Index(self, index)
    }

    pub(super) fn path(&self) -> Path {
        match self {
            Self::Base(path) => (*path).clone(),
            Self::Field(parent, name) => {
                let mut path = parent.path();
                path.push_field(name);
                path
            }
            Self::Index(parent, index) => {
                let mut path = parent.path();
                path.push_index(*index);
                path
            }
        }
    }
}
