//! Changes to a response, kept from its request until it comes.

use crate::abi;
use crate::host_call::{HostError, Map};
use mesh_policy_core::effect::HeaderEdit;

/// Changes to a response, in one piece of memory however many there are.
#[derive(Debug, Default)]
pub struct KeptEdits {
    /// For each change its kind, the lengths of name and value, name and value.
    bytes: Vec<u8>,
}

/// One change, as the proxy is told of it. A removal has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change<'e> {
    kind: u8,
    name: &'e [u8],
    value: &'e [u8],
}

const SET: u8 = 0;
const ADD: u8 = 1;
const REMOVE: u8 = 2;

impl KeptEdits {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Adds `edits` behind those that are there.
    pub fn keep(&mut self, edits: &[HeaderEdit<'_>]) {
        for edit in edits {
            let Change { kind, name, value } = edit.into();
            let ([a, b, c, d], [e, f, g, h]) = (length(name), length(value));
            self.bytes.reserve(HEAD + name.len() + value.len());
            self.bytes.extend_from_slice(&[kind, a, b, c, d, e, f, g, h]);
            self.bytes.extend_from_slice(name);
            self.bytes.extend_from_slice(value);
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = Change<'_>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (change, behind) = first(rest)?;
            rest = behind;
            Some(change)
        })
    }
}

/// What stands before name and value.
const HEAD: usize = 9;

/// No header is longer than 32 bits can say: the proxy counts in them.
fn length(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes()
}

fn first(bytes: &[u8]) -> Option<(Change<'_>, &[u8])> {
    let ([kind, a, b, c, d, e, f, g, h], rest) = bytes.split_first_chunk::<HEAD>()?;
    let (name, rest) = rest.split_at_checked(u32::from_le_bytes([*a, *b, *c, *d]) as usize)?;
    let (value, rest) = rest.split_at_checked(u32::from_le_bytes([*e, *f, *g, *h]) as usize)?;
    Some((Change { kind: *kind, name, value }, rest))
}

impl<'e> Change<'e> {
    /// The name of the header.
    pub const fn name(&self) -> &'e [u8] {
        self.name
    }

    /// Has the proxy make it.
    pub fn apply(&self, map: Map) -> Result<(), HostError> {
        match self.kind {
            SET => abi::set_header(map, self.name, self.value),
            ADD => abi::add_header(map, self.name, self.value),
            _ => abi::remove_header(map, self.name),
        }
    }

    /// As plain data.
    pub fn edit(&self) -> HeaderEdit<'e> {
        let name = String::from_utf8_lossy(self.name);
        match self.kind {
            SET => HeaderEdit::Set(name, self.value.into()),
            ADD => HeaderEdit::Add(name, self.value.into()),
            _ => HeaderEdit::Remove(name),
        }
    }
}

impl<'e> From<&'e HeaderEdit<'_>> for Change<'e> {
    fn from(edit: &'e HeaderEdit<'_>) -> Self {
        match edit {
            HeaderEdit::Set(name, value) => Self { kind: SET, name: name.as_bytes(), value },
            HeaderEdit::Add(name, value) => Self { kind: ADD, name: name.as_bytes(), value },
            HeaderEdit::Remove(name) => Self { kind: REMOVE, name: name.as_bytes(), value: b"" },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_out_as_it_went_in() {
        let edits = [
            HeaderEdit::Set("x-a".into(), b"\xff\0".as_slice().into()),
            HeaderEdit::Remove("x-b".into()),
            HeaderEdit::Add("x-a".into(), b"".as_slice().into()),
            HeaderEdit::Add("".into(), vec![b'v'; 70_000].into()),
            HeaderEdit::Remove("x-a".into()),
        ];
        let mut kept = KeptEdits::default();
        kept.keep(&[]);
        assert!(kept.is_empty());
        kept.keep(&edits[..2]);
        kept.keep(&edits[2..]);
        assert!(!kept.is_empty());
        assert_eq!(kept.iter().map(|change| change.edit()).collect::<Vec<_>>(), edits);
    }
}
