//! Keys of `headers` and `withoutHeaders` that mean a claim of the verified token, not a header.

use super::string_matcher::StringMatcher;
use crate::request::RequestView;
use std::borrow::Cow;

const PREFIX: &str = "@request.auth.claims";

/// A condition on a claim: it is a string that matches, or a list with one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Claim {
    /// The names from the outermost object to the claim.
    pub(super) path: Box<[Box<str>]>,
    /// The key as it is written.
    pub(super) key: Box<str>,
    /// What the claim must be.
    pub(super) matcher: StringMatcher,
}

impl Claim {
    /// Whether it holds; `None` when there is a token that cannot be read.
    pub(super) fn matches(&self, request: &RequestView<'_>) -> Option<bool> {
        request.token().any(&self.path, |text| self.matcher.matches(text))
    }

    /// What the token has to show for it, for people.
    pub(super) fn found(&self, request: &RequestView<'_>) -> Option<Cow<'static, [u8]>> {
        Some(Cow::Owned(request.token().describe(&self.path).into_bytes()))
    }
}

/// The claim that a key means; `None` for every key that Istio takes for the name of a header.
pub(super) fn path(key: &str) -> Option<Box<[Box<str>]>> {
    let (prefix, rest) = key.split_at_checked(PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    let split = |rest: &str, separator: &str| rest.split(separator).map(Box::from).collect();
    match (rest.strip_prefix('.'), rest.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'))) {
        (Some(rest), _) if !rest.is_empty() => Some(split(rest, ".")),
        (_, Some(rest)) if !rest.is_empty() => Some(split(rest, "][")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_named_by_dots_or_by_brackets() {
        for (key, expected) in [
            ("@request.auth.claims.sub", Some(&["sub"][..])),
            ("@Request.Auth.CLAIMS.Sub", Some(&["Sub"])),
            ("@request.auth.claims.realm.roles", Some(&["realm", "roles"])),
            ("@request.auth.claims[sub]", Some(&["sub"])),
            ("@request.auth.claims[realm][a.b/c]", Some(&["realm", "a.b/c"])),
            ("@request.auth.claims..", Some(&["", ""])),
            ("@request.auth.claims", None),
            ("@request.auth.claims.", None),
            ("@request.auth.claims[]", None),
            ("@request.auth.claims[sub", None),
            ("@request.auth.claim.sub", None),
            ("x-user", None),
        ] {
            let found = path(key);
            let found: Option<Vec<&str>> =
                found.as_ref().map(|path| path.iter().map(AsRef::as_ref).collect());
            assert_eq!(found.as_deref(), expected, "{key}");
        }
    }
}
