//! What rules ask of a verified token.

use super::value_match::{Case, Star, ValueMatch};
use crate::request::Token;
use std::fmt;

/// One value of `requestPrincipals`: `iss/sub`, cut at its last slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestPrincipal {
    text: Box<str>,
    issuer: ValueMatch,
    subject: ValueMatch,
}

impl RequestPrincipal {
    pub(super) fn parse(text: &str) -> Self {
        let exact = |text: &str| ValueMatch::Exact(text.into());
        let starred = |text: &str| ValueMatch::parse(text, Star::NonEmpty);
        let (issuer, subject) = match text.rsplit_once('/') {
            // A star in front wins, and then a star in the subject is literal.
            Some((issuer, subject)) if issuer.starts_with('*') => (starred(issuer), exact(subject)),
            Some((issuer, subject)) if subject.ends_with('*') => {
                let subject = match subject.strip_suffix('*') {
                    None | Some("") => ValueMatch::NonEmpty,
                    Some(rest) => ValueMatch::Prefix(rest.into()),
                };
                (exact(issuer), subject)
            }
            Some((issuer, subject)) => (exact(issuer), exact(subject)),
            None if text == "*" => (ValueMatch::NonEmpty, ValueMatch::NonEmpty),
            None if text.starts_with('*') => (ValueMatch::NonEmpty, starred(text)),
            None if text.ends_with('*') => (starred(text), ValueMatch::NonEmpty),
            None => (exact(text), exact("")),
        };
        Self { text: text.into(), issuer, subject }
    }

    /// What its claims must be.
    pub(super) const fn claims(&self) -> [(&'static str, &ValueMatch); 2] {
        [("iss", &self.issuer), ("sub", &self.subject)]
    }

    /// Whether the token is one of those meant; missing claims never are. `None` when open.
    pub(super) fn matches(&self, token: &Token) -> Option<bool> {
        if matches!(token, Token::Unreadable) {
            return None;
        }
        let claim = |name, value: &ValueMatch| {
            token.text(name).is_some_and(|text| value.matches(text.as_bytes(), Case::Sensitive))
        };
        Some(self.claims().into_iter().all(|(name, value)| claim(name, value)))
    }
}

impl fmt::Display for RequestPrincipal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_principals_are_cut_at_their_last_slash() {
        for (value, issuer, subject, expected) in [
            ("*", "i", "s", true),
            ("*", "", "s", false),
            ("*", "i", "", false),
            ("*.io/sub", "https://id.io", "sub", true),
            ("*.io/sub", "https://id.io", "sub2", false),
            ("*.io/su*", "https://id.io", "sub", false),
            ("*.io/su*", "https://id.io", "su*", true),
            ("*/sub", "anything", "sub", true),
            ("*/sub", "", "sub", false),
            ("*sub", "i", "mysub", true),
            ("*sub", "", "mysub", false),
            ("https://id.io/*", "https://id.io", "s", true),
            ("https://id.io/*", "https://id.io", "", false),
            ("https://id.io/*", "https://id.io/x", "s", false),
            ("https://id.io/ad*", "https://id.io", "admin", true),
            ("https://id.io/ad*", "https://id.io", "user", false),
            ("iss*", "issuer", "s", true),
            ("iss*", "issuer", "", false),
            ("issuer", "issuer", "", true),
            ("issuer", "issuer", "s", false),
            ("issuer/s", "issuer", "s", true),
            ("a/b/c", "a/b", "c", true),
            ("a/b/c", "a", "b/c", false),
        ] {
            let token = Token::read(Some(format!(r#"{{"iss": "{issuer}", "sub": "{subject}"}}"#).as_bytes()));
            let principal = RequestPrincipal::parse(value);
            assert_eq!(principal.matches(&token), Some(expected), "{value} {issuer} {subject}");
        }
        for payload in [None, Some(r#"{"iss": "issuer"}"#), Some(r#"{"iss": ["issuer"], "sub": ""}"#)] {
            let token = Token::read(payload.map(str::as_bytes));
            assert_eq!(RequestPrincipal::parse("issuer").matches(&token), Some(false), "{payload:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_open() {
        for payload in [b"\xff".as_slice(), b"[]", b"{", b"\"x\""] {
            let token = Token::read(Some(payload));
            assert_eq!(RequestPrincipal::parse("*").matches(&token), None);
        }
    }
}
