//! What a verified token says.

use mesh_policy_istio::node::{Node, Value};

/// The payload of a request's token.
#[derive(Debug)]
pub(crate) enum Token {
    /// The request has none.
    Absent,
    /// Something is there that is no JSON object: what it claims is open.
    Unreadable,
    /// Its claims.
    Claims(Node<'static>),
}

impl Token {
    pub(crate) fn read(payload: Option<&[u8]>) -> Self {
        match payload {
            None | Some([]) => Self::Absent,
            Some(payload) => match Node::from_json(payload) {
                Ok(node) if matches!(node.value, Value::Object(_)) => Self::Claims(node.into_owned()),
                _ => Self::Unreadable,
            },
        }
    }

    /// Whether a claim passes `test`: a string, or any string of a list. No other JSON type ever does. `None` when open.
    pub(crate) fn any(&self, path: &[Box<str>], mut test: impl FnMut(&[u8]) -> bool) -> Option<bool> {
        let claims = match self {
            Self::Absent => return Some(false),
            Self::Unreadable => return None,
            Self::Claims(claims) => claims,
        };
        let Some(claim) = path.iter().try_fold(claims, |node, name| member(node, name)) else {
            return Some(false);
        };
        // Envoy's JWT filter makes lists of these before Istio's rules see them, where they have any word.
        let is_split = matches!(path, [name] if matches!(&**name, "scope" | "permission"));
        Some(match &claim.value {
            Value::String(text) => {
                let mut words = text.split(' ').filter(|word| is_split && !word.is_empty()).peekable();
                if words.peek().is_some() {
                    words.any(|word| test(word.as_bytes()))
                } else {
                    test(text.as_bytes())
                }
            }
            Value::List(entries) => entries.iter().filter_map(Node::as_str).any(|text| test(text.as_bytes())),
            _ => false,
        })
    }

    /// A claim as text, for people.
    pub(crate) fn describe(&self, path: &[Box<str>]) -> String {
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
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        match self {
            Self::Claims(claims) => member(claims, name)?.as_str(),
            _ => None,
        }
    }
}

/// The last of equal keys, as protobuf's JSON reader keeps it.
fn member<'n>(node: &'n Node<'n>, name: &str) -> Option<&'n Node<'n>> {
    node.members().iter().rev().find(|member| member.key == name).map(|member| &member.value)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        }
        assert_eq!(Token::read(Some(b"")).any(&["s".into()], |_| true), Some(false));
    }
}
