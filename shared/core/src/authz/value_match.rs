//! The language of AuthorizationPolicy values: one star, by position.
//!
//! Not the language of VirtualService matches: there is no regular expression, no "contains", and `*x*` is a suffix match on
//! the literal text `x*`.

use crate::index::Part;
use mesh_policy_bytes::same;
use std::fmt;

/// What `*` alone asks for: it differs by attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Star {
    /// Present, also when empty: headers, hosts, methods.
    Present,
    /// At least one byte: paths, identities, SNI, claims.
    NonEmpty,
}

/// Whether letters of either case are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Case {
    Sensitive,
    /// For ASCII letters, as Envoy's `ignore_case` has it.
    Insensitive,
}

/// One value of a policy, ready to be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ValueMatch {
    Present,
    NonEmpty,
    Exact(Box<str>),
    Prefix(Box<str>),
    Suffix(Box<str>),
}

impl ValueMatch {
    /// The order of the tests is Istio's: a star in front wins over one at the end.
    pub(super) fn parse(text: &str, star: Star) -> Self {
        if text == "*" {
            return match star {
                Star::Present => Self::Present,
                Star::NonEmpty => Self::NonEmpty,
            };
        }
        if let Some(rest) = text.strip_prefix('*') {
            return Self::Suffix(rest.into());
        }
        match text.strip_suffix('*') {
            Some(rest) => Self::Prefix(rest.into()),
            None => Self::Exact(text.into()),
        }
    }

    /// What a value must have to match: this, as a whole, at its beginning or at its end.
    pub(super) fn key(&self) -> (Part, &str) {
        match self {
            Self::Present | Self::NonEmpty => (Part::Head, ""),
            Self::Exact(text) => (Part::Whole, text),
            Self::Prefix(text) => (Part::Head, text),
            Self::Suffix(text) => (Part::Tail, text),
        }
    }

    /// The same for values in lower case, where case does not count.
    pub(super) fn to_lower_case(&self) -> Self {
        match self {
            Self::Present => Self::Present,
            Self::NonEmpty => Self::NonEmpty,
            Self::Exact(text) => Self::Exact(text.to_ascii_lowercase().into()),
            Self::Prefix(text) => Self::Prefix(text.to_ascii_lowercase().into()),
            Self::Suffix(text) => Self::Suffix(text.to_ascii_lowercase().into()),
        }
    }

    /// Whether a value that is there matches. What is absent matches nothing; the caller knows.
    pub(super) fn matches(&self, value: &[u8], case: Case) -> bool {
        let equal = |a: &[u8], b: &str| match case {
            Case::Sensitive => same(a, b.as_bytes()),
            Case::Insensitive => a.eq_ignore_ascii_case(b.as_bytes()),
        };
        match self {
            Self::Present => true,
            Self::NonEmpty => !value.is_empty(),
            Self::Exact(text) => equal(value, text),
            Self::Prefix(text) => value.get(..text.len()).is_some_and(|head| equal(head, text)),
            Self::Suffix(text) => value
                .len()
                .checked_sub(text.len())
                .and_then(|start| value.get(start..))
                .is_some_and(|tail| equal(tail, text)),
        }
    }
}

/// As it was written.
impl fmt::Display for ValueMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Present | Self::NonEmpty => f.write_str("*"),
            Self::Exact(text) => f.write_str(text),
            Self::Prefix(text) => write!(f, "{text}*"),
            Self::Suffix(text) => write!(f, "*{text}"),
        }
    }
}

/// Whether a value likely promises more than it does: a star anywhere but at one end is literal.
pub(super) fn has_literal_star(text: &str) -> bool {
    match text.strip_prefix('*').or_else(|| text.strip_suffix('*')) {
        Some(rest) => rest.contains('*'),
        None => text.contains('*'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_counts_by_its_position() {
        let values: [&[u8]; 5] = [b"abc", b"abcd", b"xabc", b"", b"a*c"];
        for (policy, star, expected) in [
            ("abc", Star::NonEmpty, [true, false, false, false, false]),
            ("abc*", Star::NonEmpty, [true, true, false, false, false]),
            ("*abc", Star::NonEmpty, [true, false, true, false, false]),
            ("*", Star::NonEmpty, [true, true, true, false, true]),
            ("*", Star::Present, [true, true, true, true, true]),
            ("a*c", Star::NonEmpty, [false, false, false, false, true]),
            ("*b*", Star::NonEmpty, [false, false, false, false, false]),
        ] {
            let pattern = ValueMatch::parse(policy, star);
            assert_eq!(values.map(|value| pattern.matches(value, Case::Sensitive)), expected, "{policy}");
            assert_eq!(pattern.to_string(), policy);
        }
        assert!(ValueMatch::parse("*b*", Star::Present).matches(b"ab*", Case::Sensitive));
        assert!(ValueMatch::parse("**", Star::Present).matches(b"a*", Case::Sensitive));
        assert!(!ValueMatch::parse("**", Star::Present).matches(b"a", Case::Sensitive));
    }

    #[test]
    fn case_counts_unless_it_does_not() {
        for policy in ["A.com", "a.C*", "*.cOm"] {
            let pattern = ValueMatch::parse(policy, Star::Present);
            assert!(pattern.matches(b"a.Com", Case::Insensitive), "{policy}");
            assert!(!pattern.matches(b"a.coM", Case::Sensitive), "{policy}");
        }
    }

    #[test]
    fn stars_that_are_literal_are_noticed() {
        for (policy, literal) in
            [("*", false), ("a*", false), ("*a", false), ("*a*", true), ("a*b", true), ("**", true)]
        {
            assert_eq!(has_literal_star(policy), literal, "{policy}");
        }
    }

    #[cfg(not(target_family = "wasm"))]
    mod properties {
        use super::*;
        use proptest::prelude::*;

        proptest! {
            /// The same by searching all ways to cut the value, which is what a star would mean written down naively.
            #[test]
            fn agrees_with_a_naive_reading(policy in "[ab*]{1,4}", value in "[ab*]{0,5}") {
                let naive = if policy == "*" {
                    !value.is_empty()
                } else if policy.starts_with('*') {
                    (0..=value.len()).any(|cut| value.get(cut..) == policy.get(1..))
                } else if policy.ends_with('*') {
                    (0..=value.len()).any(|cut| value.get(..cut) == policy.get(..policy.len() - 1))
                } else {
                    value == policy
                };
                let pattern = ValueMatch::parse(&policy, Star::NonEmpty);
                prop_assert_eq!(pattern.matches(value.as_bytes(), Case::Sensitive), naive);
            }
        }
    }
}
