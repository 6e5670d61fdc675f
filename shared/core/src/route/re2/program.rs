//! An expression in the form that runs: one automaton, and the two searches over it that suit requests.
//!
//! Short values, which is nearly all of them, are searched by bounded backtracking; where its memory would not do, by the
//! slower search that needs none. The crate `regex` would bring several more, each larger than all our evaluators, which
//! pay for themselves on texts far longer than a path.

use regex_automata::nfa::thompson::backtrack::{self, BoundedBacktracker};
use regex_automata::nfa::thompson::pikevm::{self, PikeVM};
use regex_automata::nfa::thompson::{BuildError, NFA, WhichCaptures};
use regex_automata::util::captures::Captures;
use regex_automata::util::iter::Searcher;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Input, PatternID};
use regex_syntax::hir::{Hir, Look};
use std::cell::RefCell;

/// Envoy refuses programs above 32768 instructions in a mesh; this, in bytes, is about as much.
const SIZE_LIMIT: usize = 1 << 20;

/// What backtracking may mark as visited, in bytes: a value of 2 KB for an expression of 1000 states.
const VISITED_CAPACITY: usize = 1 << 18;

/// The memory that a search works in, one for all expressions: an expression of its own for each would cost more than the
/// expressions do.
#[derive(Default)]
struct Memory {
    backtracker: Option<backtrack::Cache>,
    pike: Option<pikevm::Cache>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// An expression in the form that runs.
#[derive(Debug, Clone)]
pub(in crate::route) struct Program {
    backtracker: BoundedBacktracker,
    pike: PikeVM,
}

impl Program {
    /// For [`Program::is_match`]: whether a value matches from its first byte to its last.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub(super) fn full_match(expression: Hir) -> Result<Self, String> {
        let whole = Hir::concat(vec![Hir::look(Look::Start), expression, Hir::look(Look::End)]);
        Self::compile(&whole, WhichCaptures::None)
    }

    /// For [`Program::replace_all`].
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub(super) fn search(expression: &Hir) -> Result<Self, String> {
        Self::compile(expression, WhichCaptures::All)
    }

    fn compile(expression: &Hir, captures: WhichCaptures) -> Result<Self, String> {
        let config = NFA::config().utf8(false).nfa_size_limit(Some(SIZE_LIMIT)).which_captures(captures);
        let failed = |error: BuildError| match error.size_limit() {
            Some(_) => "it is too large when compiled".to_owned(),
            None => error.to_string(),
        };
        let nfa = NFA::compiler().configure(config).build_from_hir(expression).map_err(failed)?;
        let backtracker = BoundedBacktracker::builder()
            .configure(BoundedBacktracker::config().visited_capacity(VISITED_CAPACITY))
            .build_from_nfa(nfa.clone())
            .map_err(failed)?;
        Ok(Self { backtracker, pike: PikeVM::new_from_nfa(nfa).map_err(failed)? })
    }

    /// Whether the expression matches anywhere, which for [`Program::full_match`] is the whole value.
    pub(super) fn is_match(&self, value: &[u8]) -> bool {
        MEMORY
            .with_borrow_mut(|memory| self.find(memory, &Input::new(value).earliest(true), &mut []).is_some())
    }

    /// How many groups there are, with the whole match as the first.
    pub(in crate::route) fn groups(&self) -> usize {
        self.pike.get_nfa().group_info().group_len(PatternID::ZERO)
    }

    /// Puts what `replacement` writes in the place of each match.
    pub(in crate::route) fn replace_all(
        &self,
        value: &[u8],
        mut replacement: impl FnMut(&Captures, &mut Vec<u8>),
    ) -> Vec<u8> {
        let mut out = Vec::with_capacity(value.len());
        let mut copied = 0;
        let mut captures = self.pike.create_captures();
        let mut searcher = Searcher::new(Input::new(value));
        while let Some(found) = searcher.advance(|input| {
            let pattern = MEMORY.with_borrow_mut(|memory| self.find(memory, input, captures.slots_mut()));
            captures.set_pattern(pattern);
            Ok(captures.get_match())
        }) {
            out.extend_from_slice(value.get(copied..found.start()).unwrap_or_default());
            replacement(&captures, &mut out);
            copied = found.end();
        }
        out.extend_from_slice(value.get(copied..).unwrap_or_default());
        out
    }

    /// The first match from the input's start on; fills as many slots as there are.
    fn find(
        &self,
        memory: &mut Memory,
        input: &Input<'_>,
        slots: &mut [Option<NonMaxUsize>],
    ) -> Option<PatternID> {
        let cache = memory.backtracker.get_or_insert_with(|| self.backtracker.create_cache());
        cache.reset(&self.backtracker);
        match self.backtracker.try_search_slots(cache, input, slots) {
            Ok(found) => found,
            // Too long for its memory.
            Err(_) => {
                let cache = memory.pike.get_or_insert_with(|| self.pike.create_cache());
                cache.reset(&self.pike);
                self.pike.search_slots(cache, input, slots)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pattern: &str) -> Option<Hir> {
        regex_syntax::ParserBuilder::new().unicode(false).utf8(false).build().parse(pattern).ok()
    }

    #[test]
    fn a_value_too_long_for_backtracking_is_searched_all_the_same() {
        let program = Program::full_match(parse("(?:/[a-z]{1,40})+").unwrap()).unwrap();
        let mut value = "/abcdefghijklmnopqrstuvwxyz".repeat(4_000).into_bytes();
        assert!(value.len() > program.backtracker.max_haystack_len());
        assert!(program.is_match(&value));
        value.push(b'!');
        assert!(!program.is_match(&value));

        let slashes = Program::search(&parse("/([a-z]{1,40})").unwrap()).unwrap();
        let replaced = slashes.replace_all(&value, |found, out| {
            let group = found.get_group(1).and_then(|span| value.get(span.range()));
            out.extend_from_slice(group.unwrap());
        });
        assert_eq!(replaced, [b"abcdefghijklmnopqrstuvwxyz".repeat(4_000).as_slice(), b"!"].concat());
    }

    #[test]
    fn groups_are_counted_with_the_whole_match() {
        assert_eq!(Program::search(&parse("a(b)(?:c)(d)").unwrap()).unwrap().groups(), 3);
    }

    /// proptest wants an entropy source, which the wasm run of these tests does not have.
    #[cfg(not(target_family = "wasm"))]
    mod generated {
        use super::*;
        use proptest::prelude::*;

        /// The same by the crate that the automata are taken from.
        fn oracle(pattern: &str) -> Option<regex::bytes::Regex> {
            regex::bytes::RegexBuilder::new(pattern).unicode(false).build().ok()
        }

        /// Pieces that make a pattern more often than not.
        fn pattern() -> impl Strategy<Value = String> {
            let pieces = prop::sample::select(vec![
                "a", "b", ".", "[ab]", "[^a]", "(a|)", "(b)", "(?:a|b)", "|", "*", "+?", "??", "{1,2}", "^",
                "$", "(", ")", "\\b", "(?m)",
            ]);
            prop::collection::vec(pieces, 0..7).prop_map(|pieces| pieces.concat())
        }

        proptest! {
            #![proptest_config(ProptestConfig::with_cases(4096))]

            #[test]
            fn matches_and_replacements_are_those_of_regex(pattern in pattern(), value in "[abc\n]{0,8}") {
                let value = value.as_bytes();
                let Some(expression) = parse(&pattern) else {
                    prop_assert!(oracle(&pattern).is_none());
                    return Ok(());
                };
                let whole = Program::full_match(expression.clone()).unwrap();
                prop_assert_eq!(whole.is_match(value), oracle(&format!("^(?:{pattern})$")).unwrap().is_match(value));
                let replaced = Program::search(&expression).unwrap().replace_all(value, |found, out| {
                    out.push(b'<');
                    let group = found.get_group(1).and_then(|span| value.get(span.range()));
                    out.extend_from_slice(group.unwrap_or_default());
                    out.push(b'>');
                });
                let expected = oracle(&pattern).unwrap().replace_all(value, |found: &regex::bytes::Captures<'_>| {
                    let group = found.get(1).map_or(b"".as_slice(), |group| group.as_bytes());
                    [b"<".as_slice(), group, b">"].concat()
                });
                prop_assert_eq!(replaced, expected.into_owned());
            }
        }
    }
}
