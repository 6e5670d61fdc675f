//! The value language of policies: a star alone, in front, or at the end.

use crate::native::matcher::regex;
use serde_json::{Value, json};

/// A string matcher of Envoy's. A star alone stands for any text but the empty one.
pub(super) fn text(value: &str) -> Value {
    if value == "*" {
        regex(".+")
    } else if let Some(end) = value.strip_prefix('*') {
        json!({"suffix": end})
    } else if let Some(start) = value.strip_suffix('*') {
        json!({"prefix": start})
    } else {
        json!({"exact": value})
    }
}

/// `text` with nothing in it that means anything in an expression.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// `text` as an expression in which each star is `any`.
pub(super) fn starred(text: &str, any: &str) -> String {
    text.split('*').map(quoted).collect::<Vec<_>>().join(any)
}

/// An address, or a range of them.
pub(super) fn range(value: &str) -> Option<Value> {
    let (address, length) = match value.split_once('/') {
        Some((address, length)) => (address, Some(length.parse::<u8>().ok()?)),
        None => (value, None),
    };
    let parsed: std::net::IpAddr = address.parse().ok()?;
    let longest = if parsed.is_ipv4() { 32 } else { 128 };
    let length = length.unwrap_or(longest);
    (length <= longest).then(|| json!({"address_prefix": address, "prefix_len": length}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_star_says_what_it_means() {
        assert_eq!(text("*"), json!({"safe_regex": {"regex": ".+"}}));
        assert_eq!(text("abc*"), json!({"prefix": "abc"}));
        assert_eq!(text("*abc"), json!({"suffix": "abc"}));
        assert_eq!(text("*abc*"), json!({"suffix": "abc*"}));
        assert_eq!(text("a*c"), json!({"exact": "a*c"}));
    }

    #[test]
    fn quoting_leaves_nothing_with_a_meaning() {
        assert_eq!(quoted("a.b-c/d_é"), r"a\.b\-c\/d\_é");
        assert_eq!(starred("a.*b", ".*"), r"a\..*b");
    }

    #[test]
    fn an_address_alone_is_a_range_of_one() {
        assert_eq!(range("10.0.0.1"), Some(json!({"address_prefix": "10.0.0.1", "prefix_len": 32})));
        assert_eq!(range("fd00::/8"), Some(json!({"address_prefix": "fd00::", "prefix_len": 8})));
        for text in ["10.0.0.1/33", "10.0.0", "::1/129", "a/b", "10.0.0.0/8/8"] {
            assert_eq!(range(text), None, "{text}");
        }
    }
}
