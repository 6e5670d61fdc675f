//! Istio's regular expressions, which are RE2's, run by the automata of the `regex` crate.
//!
//! The two dialects share most of their syntax and differ where it hurts: in RE2 `\d`, `\w`, `\s` and `\b` know ASCII only,
//! brackets do not nest, `{` is a character unless a repetition follows, and repetitions do not stack. A pattern is read by
//! RE2's rules and written anew; values and patterns are bytes, as they are to Envoy; what has no counterpart is refused and never guessed.

use literals::Literals;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;
use std::fmt;
use std::hash::{Hash, Hasher};

mod class;
mod literals;
mod program;
mod translate;

pub(super) use program::Program;

/// Istio's bound on the length of an expression.
const MAX_LENGTH: usize = 1024;

/// An expression that must match a value from its first byte to its last.
#[derive(Debug, Clone)]
pub(super) struct FullMatch {
    source: Box<str>,
    program: Program,
    /// What every match begins with, and what it ends with.
    needs: [Literals; 2],
}

impl FullMatch {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let hir = checked(pattern)?;
        let needs = [literals::beginnings(&hir), literals::ends(&hir)];
        let program = Program::full_match(hir).map_err(|reason| invalid(pattern, &reason))?;
        Ok(Self { source: pattern.into(), program, needs })
    }

    /// Whether all of `value` matches.
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        self.program.is_match(value)
    }

    /// Literals of which every match has one at least: two lists, each empty where that cannot be said.
    pub(super) const fn needs(&self) -> &[Literals; 2] {
        &self.needs
    }

    /// The expression as it was written.
    pub(super) fn source(&self) -> &str {
        &self.source
    }
}

/// Two expressions are equal when they are written alike.
impl PartialEq for FullMatch {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for FullMatch {}

impl Hash for FullMatch {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}

impl fmt::Display for FullMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// An expression that may match anywhere: for search and replace.
///
/// # Errors
/// One line that says what is wrong.
pub(super) fn search(pattern: &str) -> Result<Program, String> {
    Program::search(&checked(pattern)?).map_err(|reason| invalid(pattern, &reason))
}

/// The pattern, read: it stands on its own, `a)|(?:b` must not pass only because it gets wrapped.
fn checked(pattern: &str) -> Result<Hir, String> {
    if pattern.is_empty() {
        return Err("expected a regular expression, found an empty one".to_owned());
    }
    if pattern.len() > MAX_LENGTH {
        return Err(format!(
            "expected a regular expression of at most {MAX_LENGTH} bytes, found {}",
            pattern.len()
        ));
    }
    let translated = translate::translate(&latin1(pattern)).map_err(|reason| invalid(pattern, &reason))?;
    let mut parser = ParserBuilder::new().unicode(false).utf8(false).build();
    parser.parse(&translated).map_err(|error| invalid(pattern, &error.to_string()))
}

/// The pattern with each of its bytes as one character: Envoy's RE2 knows no characters of several bytes, neither in a
/// pattern nor in a value.
fn latin1(pattern: &str) -> String {
    pattern.bytes().map(char::from).collect()
}

/// The text of a syntax error shows the pattern over several lines; its last line says what is wrong.
fn invalid(pattern: &str, text: &str) -> String {
    let line = text.lines().last().unwrap_or_default().trim();
    let reason = line.strip_prefix("error: ").unwrap_or(line);
    format!("`{pattern}` is not a regular expression: {reason}")
}

#[cfg(test)]
mod tests;
