//! Where a value stands, without paying for it until something is wrong there.

use mesh_policy_istio::path::Path;

/// A path that lives on the stack of the functions that walk a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    step: Step<'a>,
    above: Option<&'a Place<'a>>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Root(&'a Path),
    Field(&'a str),
    Index(usize),
}

impl<'a> Place<'a> {
    /// A place to start from.
    pub(super) const fn at(path: &'a Path) -> Self {
        Self { step: Step::Root(path), above: None }
    }

    /// The member `name`.
    pub(super) const fn field<'b>(&'b self, name: &'b str) -> Place<'b> {
        Place { step: Step::Field(name), above: Some(self) }
    }

    /// The entry `index`.
    pub(super) const fn index(&self, index: usize) -> Place<'_> {
        Place { step: Step::Index(index), above: Some(self) }
    }

    /// The path written out.
    pub(super) fn path(&self) -> Path {
        let mut path = self.above.map(Place::path).unwrap_or_default();
        match self.step {
            Step::Root(root) => root.clone(),
            Step::Field(name) => {
                path.push_field(name);
                path
            }
            Step::Index(index) => {
                path.push_index(index);
                path
            }
        }
    }
}
