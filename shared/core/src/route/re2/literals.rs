//! What every text that an expression matches has to have.

use crate::index::Part;
use regex_syntax::hir::Hir;
use regex_syntax::hir::literal::{ExtractKind, Extractor};

/// How many alternatives are told apart, and how many bytes of each.
const ALTERNATIVES: usize = 16;
const BYTES: usize = 64;

/// A text, and which part of a value it is.
pub(in super::super) type Literal = (Part, Box<[u8]>);

/// Literals of which a matched value has one; none when that cannot be said.
pub(super) type Literals = Box<[Literal]>;

/// How values that match begin, or what they are.
pub(super) fn beginnings(hir: &Hir) -> Literals {
    literals(hir, ExtractKind::Prefix, Part::Head)
}

/// How values that match end, or what they are.
pub(super) fn ends(hir: &Hir) -> Literals {
    literals(hir, ExtractKind::Suffix, Part::Tail)
}

/// The extractor takes assertions such as `^` and `\b` for nothing, which asks for less than they do.
fn literals(hir: &Hir, kind: ExtractKind, part: Part) -> Literals {
    let mut extractor = Extractor::new();
    extractor.kind(kind).limit_class(ALTERNATIVES).limit_literal_len(BYTES).limit_total(ALTERNATIVES);
    let found = extractor.extract(hir);
    let literals = found.literals().unwrap_or_default();
    // An expression that matches nothing has no literal either; what begins with nothing in particular says nothing.
    if literals.iter().any(|literal| literal.is_empty() && !literal.is_exact()) {
        return Box::default();
    }
    let literals = literals.iter().map(|literal| {
        let part = if literal.is_exact() { Part::Whole } else { part };
        (part, literal.as_bytes().into())
    });
    literals.collect()
}
