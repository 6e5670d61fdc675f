//! Istio's regular expressions, which are RE2's, run by the `regex` crate.
//!
//! The two dialects share most of their syntax and differ where it hurts: in RE2 `\d`, `\w`, `\s` and `\b` know ASCII only,
//! brackets do not nest, `{` is a character unless a repetition follows, and repetitions do not stack. A pattern is read by
//! RE2's rules and written anew; values and patterns are bytes, as they are to Envoy; what has no counterpart is refused and never guessed.

use regex::bytes::{Regex, RegexBuilder};
use std::fmt;
use std::hash::{Hash, Hasher};

mod class;
mod translate;

/// Istio's bound on the length of an expression.
const MAX_LENGTH: usize = 1024;

/// Envoy refuses programs above 32768 instructions in a mesh; this is about as much.
const SIZE_LIMIT: usize = 1 << 20;

/// An expression that must match a value from its first byte to its last.
#[derive(Debug, Clone)]
pub(super) struct FullMatch {
    source: Box<str>,
    regex: Regex,
}

impl FullMatch {
    /// Compiles `pattern`.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let translated = checked(pattern)?;
        let regex = build(&format!("^(?:{translated})$"))?;
        Ok(Self { source: pattern.into(), regex })
    }

    /// Whether all of `value` matches.
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        self.regex.is_match(value)
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
pub(super) fn search(pattern: &str) -> Result<Regex, String> {
    let translated = checked(pattern)?;
    build(&translated)
}

/// The pattern in the `regex` crate's dialect, known to stand on its own: `a)|(?:b` must not pass only because it gets wrapped.
fn checked(pattern: &str) -> Result<String, String> {
    if pattern.is_empty() {
        return Err("expected a regular expression, found an empty one".to_owned());
    }
    if pattern.len() > MAX_LENGTH {
        return Err(format!(
            "expected a regular expression of at most {MAX_LENGTH} bytes, found {}",
            pattern.len()
        ));
    }
    let translated = translate::translate(&latin1(pattern))
        .map_err(|reason| format!("`{pattern}` is not a regular expression: {reason}"))?;
    regex_syntax_check(&translated)
        .map_err(|reason| format!("`{pattern}` is not a regular expression: {reason}"))?;
    Ok(translated)
}

/// The pattern with each of its bytes as one character: Envoy's RE2 knows no characters of several bytes, neither in a
/// pattern nor in a value.
fn latin1(pattern: &str) -> String {
    pattern.bytes().map(char::from).collect()
}

fn regex_syntax_check(translated: &str) -> Result<(), String> {
    build(translated).map(drop)
}

fn build(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern).unicode(false).size_limit(SIZE_LIMIT).build().map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
        // The text of a syntax error shows the pattern over several lines; its last line says what is wrong.
        error => {
            let text = error.to_string();
            let line = text.lines().last().unwrap_or_default().trim();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
    })
}

#[cfg(test)]
mod tests;
