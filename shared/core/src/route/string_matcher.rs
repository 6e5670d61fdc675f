//! The `StringMatch` of VirtualServices: not the star patterns of authorization policies.

use super::place::Place;
use super::re2::FullMatch;
use mesh_policy_bytes::{begins, same};
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::StringMatch;
use std::fmt;

/// A condition on one text, compared by bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum StringMatcher {
    /// Anything, the empty text included.
    Present,
    /// This text.
    Exact(Box<str>),
    /// A text that begins like this.
    Prefix(Box<str>),
    /// A text that an expression matches from end to end.
    Regex(Box<FullMatch>),
}

impl StringMatcher {
    /// From what is written at `at`.
    pub(super) fn compile(written: &StringMatch, at: &Place<'_>, problems: &mut Problems) -> Option<Self> {
        match written {
            StringMatch::Present => Some(Self::Present),
            StringMatch::Exact(text) => Some(Self::Exact(text.as_str().into())),
            StringMatch::Prefix(text) if text.is_empty() => {
                problems
                    .error(
                        at.field("prefix").path(),
                        ProblemKind::InvalidValue,
                        "expected a prefix, found an empty one",
                    )
                    .help("write `{}` for any value");
                None
            }
            StringMatch::Prefix(text) => Some(Self::Prefix(text.as_str().into())),
            StringMatch::Regex(pattern) => regex(pattern, at, problems).map(Self::Regex),
        }
    }

    /// Whether the condition holds for a value that is there.
    #[inline]
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Present => true,
            Self::Exact(text) => same(value, text.as_bytes()),
            Self::Prefix(text) => begins(value, text.as_bytes()),
            Self::Regex(regex) => regex.matches(value),
        }
    }
}

/// The expression written at `at` plus `regex`.
pub(super) fn regex(pattern: &str, at: &Place<'_>, problems: &mut Problems) -> Option<Box<FullMatch>> {
    FullMatch::new(pattern)
        .map(Box::new)
        .map_err(|message| {
            problems.error(at.field("regex").path(), ProblemKind::InvalidValue, message);
        })
        .ok()
}

impl fmt::Display for StringMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present => f.write_str("any value"),
            Self::Exact(text) => write!(f, "exactly `{text}`"),
            Self::Prefix(text) => write!(f, "a value that begins with `{text}`"),
            Self::Regex(regex) => write!(f, "a value that matches `{regex}`"),
        }
    }
}

/// A condition on the path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum UriMatcher {
    /// This path.
    Exact {
        /// The path.
        path: Box<str>,
        /// Whether ASCII case makes no difference.
        ignore_case: bool,
    },
    /// A path that begins like this, by bytes and not by segments.
    Prefix {
        /// The prefix.
        prefix: Box<str>,
        /// Whether ASCII case makes no difference.
        ignore_case: bool,
    },
    /// A path that an expression matches from end to end; case is the expression's own affair.
    Regex(Box<FullMatch>),
}

/// The part of a path that a rewrite replaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MatchedPart {
    /// This many bytes at its beginning.
    Prefix(usize),
    /// All of it.
    Whole,
}

impl UriMatcher {
    /// What a match without `uri` asks for.
    pub(super) fn any() -> Self {
        Self::Prefix { prefix: "/".into(), ignore_case: false }
    }

    /// From what is written at `at`.
    pub(super) fn compile(
        written: &StringMatch,
        ignore_case: bool,
        at: &Place<'_>,
        problems: &mut Problems,
    ) -> Option<Self> {
        match written {
            StringMatch::Present => Some(Self::any()),
            StringMatch::Exact(path) => Some(Self::Exact { path: path.as_str().into(), ignore_case }),
            StringMatch::Prefix(prefix) => Some(Self::Prefix { prefix: prefix.as_str().into(), ignore_case }),
            StringMatch::Regex(pattern) => regex(pattern, at, problems).map(Self::Regex),
        }
    }

    /// Whether the condition holds for a path without query.
    #[inline]
    pub(super) fn matches(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact { path, ignore_case: false } => same(value, path.as_bytes()),
            Self::Exact { path, ignore_case: true } => path.as_bytes().eq_ignore_ascii_case(value),
            Self::Prefix { prefix, ignore_case: false } => begins(value, prefix.as_bytes()),
            Self::Prefix { prefix, ignore_case: true } => {
                value.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
            }
            Self::Regex(regex) => regex.matches(value),
        }
    }

    /// What a rewrite replaces when this matched.
    pub(super) fn matched_part(&self) -> MatchedPart {
        match self {
            Self::Prefix { prefix, .. } => MatchedPart::Prefix(prefix.len()),
            Self::Exact { .. } | Self::Regex(_) => MatchedPart::Whole,
        }
    }

    /// Whether Istio counts this as every path.
    pub(super) fn takes_every_path(&self) -> bool {
        match self {
            Self::Prefix { prefix, .. } => &**prefix == "/",
            Self::Regex(regex) => regex.source() == ".*",
            Self::Exact { .. } => false,
        }
    }
}

impl fmt::Display for UriMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (text, ignore_case) = match self {
            Self::Exact { path, ignore_case } => (format!("exactly `{path}`"), *ignore_case),
            Self::Prefix { prefix, ignore_case } => {
                (format!("a path that begins with `{prefix}`"), *ignore_case)
            }
            Self::Regex(regex) => (format!("a path that matches `{regex}`"), false),
        };
        f.write_str(&text)?;
        if ignore_case { f.write_str(", in any case") } else { Ok(()) }
    }
}
