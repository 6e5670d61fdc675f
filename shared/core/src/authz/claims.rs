//! What a verified token says.

use super::value_match::{Case, Star, ValueMatch};
use mesh_policy_istio::node::{Node, Value};
use std::fmt;

/// The payload of a request's token.
#[derive(Debug)]
pub(super) enum Token {
    /// The request has none.
    Absent,
    /// Something is there that is no JSON object: what it claims is open.
    Unreadable,
    /// Its claims.
    Claims(Node),
}

impl Token {
    pub(super) fn read(payload: Option<&[u8]>) -> Self {
        match payload {
            None | Some([]) => Self::Absent,
            Some(payload) => match Node::from_json(payload) {
                Ok(node) if matches!(node.value, Value::Object(_)) => Self::Claims(node),
                _ => Self::Unreadable,
            },
        }
    }

    /// Whether a claim passes `test`: a string, or any string of a list. No other JSON type ever does. `None` when open.
    pub(super) fn any(&self, path: &[Box<str>], test: impl Fn(&[u8]) -> bool) -> Option<bool> {
        let claims = match self {
            Self::Absent => return Some(false),
            Self::Unreadable => return None,
            Self::Claims(claims) => claims,
        };
        let Some(claim) = path.iter().try_fold(claims, |node, name| member(node, name)) else {
            return Some(false);
        };
        // Envoy's JWT filter splits these before Istio's rules see them.
        let split = matches!(path, [name] if matches!(&**name, "scope" | "permission"));
        Some(match &claim.value {
            Value::String(text) if split => text.split(' ').any(|word| test(word.as_bytes())),
            Value::String(text) => test(text.as_bytes()),
            Value::List(entries) => entries.iter().filter_map(Node::as_str).any(|text| test(text.as_bytes())),
            _ => false,
        })
    }

    /// A claim as text, for people.
    pub(super) fn describe(&self, path: &[Box<str>]) -> String {
        match self {
            Self::Absent => "no token".to_owned(),
            Self::Unreadable => "a token that cannot be read".to_owned(),
            Self::Claims(claims) => match path.iter().try_fold(claims, |node, name| member(node, name)) {
                None => "no such claim".to_owned(),
                Some(claim) => match &claim.value {
                    Value::String(text) => format!("`{}`", text.escape_debug()),
                    Value::List(entries) => {
                        let texts: Vec<String> = entries
                            .iter()
                            .map(|entry| {
                                entry.as_str().map_or_else(
                                    || entry.describe().to_owned(),
                                    |text| format!("`{}`", text.escape_debug()),
                                )
                            })
                            .collect();
                        format!("a list of {}", texts.join(", "))
                    }
                    _ => claim.describe().to_owned(),
                },
            },
        }
    }

    /// The claim `name` when it is a string.
    fn text(&self, name: &str) -> Option<&str> {
        match self {
            Self::Claims(claims) => member(claims, name)?.as_str(),
            _ => None,
        }
    }
}

/// The last of equal keys, as protobuf's JSON reader keeps it.
fn member<'n>(node: &'n Node, name: &str) -> Option<&'n Node> {
    node.members().iter().rev().find(|member| member.key == name).map(|member| &member.value)
}

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

    /// Whether the token is one of those meant; missing claims never are. `None` when open.
    pub(super) fn matches(&self, token: &Token) -> Option<bool> {
        if matches!(token, Token::Unreadable) {
            return None;
        }
        let claim = |name, value: &ValueMatch| {
            token.text(name).is_some_and(|text| value.matches(text.as_bytes(), Case::Sensitive))
        };
        Some(claim("iss", &self.issuer) && claim("sub", &self.subject))
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
    fn only_strings_and_lists_of_strings_match() {
        let token = Token::read(Some(
            br#"{"s": "x", "l": ["y", 1, "x"], "b": true, "n": 1, "o": {"in": "x", "l": [["x"]]}, "d": "y", "d": "x",
                "scope": "read x", "note": "read x", "e": ""}"#,
        ));
        for (path, expected) in [
            (&["s"][..], true),
            (&["l"], true),
            (&["b"], false),
            (&["n"], false),
            (&["o"], false),
            (&["o", "in"], true),
            (&["o", "l"], false),
            (&["s", "in"], false),
            (&["d"], true),
            (&["scope"], true),
            (&["note"], false),
            (&["missing"], false),
        ] {
            let path: Vec<Box<str>> = path.iter().map(|name| (*name).into()).collect();
            assert_eq!(token.any(&path, |text| text == b"x"), Some(expected), "{path:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_open() {
        for payload in [b"\xff".as_slice(), b"[]", b"{", b"\"x\""] {
            let token = Token::read(Some(payload));
            assert_eq!(token.any(&["s".into()], |_| true), None);
            assert_eq!(RequestPrincipal::parse("*").matches(&token), None);
        }
        assert_eq!(Token::read(Some(b"")).any(&["s".into()], |_| true), Some(false));
    }
}
