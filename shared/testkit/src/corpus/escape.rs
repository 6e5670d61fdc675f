//! Header lines that can hold any byte.

use mesh_policy_istio::decode::{Context, Decode};
use mesh_policy_istio::node::Node;
use mesh_policy_istio::problem::ProblemKind;

/// `name: value`, where `\xNN` in the value stands for any byte.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HeaderLine {
    /// Lower case.
    pub name: String,
    /// Any bytes.
    pub value: Vec<u8>,
}

impl Decode for HeaderLine {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = String::decode(node, cx)?;
        // The colon that begins a pseudo header is part of the name.
        let split = text.bytes().skip(1).position(|byte| byte == b':').map(|at| at + 1);
        let line = split.and_then(|at| {
            let (name, value) = text.split_at_checked(at)?;
            let value = unescape(value.strip_prefix(':')?.trim_start())?;
            Some(Self { name: name.to_ascii_lowercase(), value })
        });
        if line.is_none() {
            cx.error(ProblemKind::InvalidValue, format!("expected `name: value`, found `{text}`"));
        }
        line
    }
}

/// Replaces `\xNN`; `None` when a backslash begins anything else.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let digits = after.strip_prefix('x')?.get(..2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after.get(3..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_byte_can_be_written() {
        assert_eq!(unescape("a\\xff\\x00b"), Some(b"a\xff\0b".to_vec()));
        assert_eq!(unescape("a\\n"), None);
        assert_eq!(unescape("\\xf"), None);
    }
}
