//! `rewrite`: another path and another authority for the upstream.

use super::place::Place;
use super::re2;
use super::string_matcher::MatchedPart;
use mesh_policy_istio::problem::{ProblemKind, Problems};
use mesh_policy_istio::virtual_service::{HttpRewrite, RegexRewrite};

/// How the path changes.
#[derive(Debug, Clone)]
pub(super) enum PathRewrite {
    /// The matched part becomes this.
    Matched(String),
    /// Everything that the expression finds becomes this.
    Found(re2::Program, Vec<Part>),
}

/// A part of a substitution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// As it stands.
    Text(String),
    /// What the group took.
    Group(usize),
}

/// What a `rewrite` asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Rewrite {
    pub(super) path: Option<PathRewrite>,
    pub(super) authority: Option<String>,
}

impl Rewrite {
    /// From the object written at `at`.
    pub(super) fn compile(written: &HttpRewrite, at: &Place<'_>, problems: &mut Problems) -> Self {
        let HttpRewrite { uri, authority, uri_regex_rewrite } = written;
        let uri = uri.as_deref().filter(|uri| !uri.is_empty());
        let authority = authority.clone().filter(|authority| !authority.is_empty());
        if uri.is_none() && authority.is_none() && uri_regex_rewrite.is_none() {
            problems.error(
                at.path(),
                ProblemKind::Missing,
                "expected at least one of `uri`, `uriRegexRewrite` and `authority`, found none",
            );
        }
        if uri.is_some() && uri_regex_rewrite.is_some() {
            let message = "expected one of `uri` and `uriRegexRewrite`, found both";
            problems.error(at.path(), ProblemKind::Conflict, message);
        }
        let regex =
            uri_regex_rewrite.as_ref().and_then(|w| compile_regex(w, &at.field("uriRegexRewrite"), problems));
        Self { path: uri.map(|uri| PathRewrite::Matched(uri.to_owned())).or(regex), authority }
    }
}

impl PathRewrite {
    /// The new `:path` for one whose first `path_length` bytes are the path and whose rest is the query.
    pub(super) fn apply(&self, path_and_query: &[u8], path_length: usize, part: MatchedPart) -> Vec<u8> {
        let (path, query) =
            path_and_query.split_at_checked(path_length).unwrap_or((path_and_query, b"".as_slice()));
        match self {
            Self::Matched(replacement) => {
                let matched = match part {
                    MatchedPart::Prefix(length) => length,
                    MatchedPart::Whole => path.len(),
                };
                let kept = path.get(matched..).unwrap_or_default();
                [replacement.as_bytes(), kept, query].concat()
            }
            Self::Found(regex, parts) => {
                let replaced = regex.replace_all(path, |found, text| {
                    for part in parts {
                        match part {
                            Part::Text(part) => text.extend_from_slice(part.as_bytes()),
                            Part::Group(index) => {
                                let group = found.get_group(*index).and_then(|span| path.get(span.range()));
                                text.extend_from_slice(group.unwrap_or_default());
                            }
                        }
                    }
                });
                // An empty path is none: Envoy keeps the old one.
                if replaced.is_empty() {
                    return path_and_query.to_vec();
                }
                [replaced.as_slice(), query].concat()
            }
        }
    }
}

fn compile_regex(written: &RegexRewrite, at: &Place<'_>, problems: &mut Problems) -> Option<PathRewrite> {
    let RegexRewrite { pattern, rewrite } = written;
    let mut required = |value: &Option<String>, field: &str| {
        let value = value.clone().filter(|value| !value.is_empty());
        if value.is_none() {
            problems.error(
                at.field(field).path(),
                ProblemKind::Missing,
                format!("missing: expected both `match` and `rewrite`, found no `{field}`"),
            );
        }
        value
    };
    let pattern = required(pattern, "match");
    let rewrite = required(rewrite, "rewrite");
    let regex = match re2::search(&pattern?) {
        Ok(regex) => regex,
        Err(message) => {
            problems.error(at.field("match").path(), ProblemKind::InvalidValue, message);
            return None;
        }
    };
    match substitution(&rewrite?, regex.groups()) {
        Ok(parts) => Some(PathRewrite::Found(regex, parts)),
        Err(message) => {
            problems.error(at.field("rewrite").path(), ProblemKind::InvalidValue, message);
            None
        }
    }
}

/// Takes RE2's substitution syntax apart: `\N` is a group, `\\` a backslash.
fn substitution(text: &str, groups: usize) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('\\') => plain.push('\\'),
            Some(digit) if digit.is_ascii_digit() => {
                let index = usize::try_from(digit.to_digit(10).unwrap_or_default()).unwrap_or_default();
                if index >= groups {
                    return Err(format!("`\\{index}` names a group, and `match` has {} of them", groups - 1));
                }
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Group(index));
            }
            other => {
                let found = other.map(String::from).unwrap_or_default();
                return Err(format!("expected a digit or `\\` behind `\\`, found `{found}`"));
            }
        }
    }
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}
