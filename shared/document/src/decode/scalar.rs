//! Text, numbers, durations and bytes.

use super::{Context, Decode};
use crate::node::{Node, Value};
use crate::problem::ProblemKind;
use std::time::Duration;

impl Decode for String {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match &node.value {
            Value::String(text) => Some(text.clone().into_owned()),
            other => {
                cx.wrong_type("a string", node);
                if let (Value::Number(_) | Value::Bool(_), Ok(text)) = (other, serde_json::to_string(node))
                    && let Some(problem) = cx.last_problem()
                {
                    problem.help(format!("quote it: \"{text}\""));
                }
                None
            }
        }
    }
}

impl Decode for bool {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        match node.value {
            Value::Bool(value) => Some(value),
            _ => {
                cx.wrong_type("`true` or `false`", node);
                None
            }
        }
    }
}

/// Proto JSON writes integers as numbers, or as strings, and takes `1.0` for `1`.
fn integer(node: &Node, expected: &str, cx: &mut Context) -> Option<i64> {
    let value = match &node.value {
        Value::Number(number) => number.as_i64().or_else(|| {
            #[expect(clippy::cast_possible_truncation, reason = "checked: whole and inside the range of i64")]
            number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64)
        }),
        Value::String(text) => text.parse().ok(),
        _ => {
            cx.wrong_type(expected, node);
            return None;
        }
    };
    if value.is_none() {
        let found = serde_json::to_string(node).unwrap_or_default();
        cx.error(ProblemKind::WrongType, format!("expected {expected}, found `{}`", found.trim_matches('"')));
    }
    value
}

macro_rules! integers {
    ($($type:ty: $expected:literal),*) => {$(
        impl Decode for $type {
            fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
                let value = integer(node, $expected, cx)?;
                let converted = Self::try_from(value).ok();
                if converted.is_none() {
                    cx.error(ProblemKind::InvalidValue,
                        format!("expected a whole number from {} to {}, found `{value}`", Self::MIN, Self::MAX));
                }
                converted
            }
        }
    )*};
}
integers!(u32: "a whole number", i32: "a whole number", i64: "a whole number", u64: "a whole number");

impl Decode for f64 {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let value = match &node.value {
            Value::Number(number) => number.as_f64(),
            _ => None,
        };
        if value.is_none() {
            cx.wrong_type("a number", node);
        }
        value
    }
}

/// A length of time as Go writes it: `1h`, `1m30s`, `250ms`, `1.5s`, and `-` in front.
///
/// Kept exact to the nanosecond. Signed, so that a negative one is refused where it is used and not misread here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timespan {
    nanoseconds: i128,
}

impl Timespan {
    /// From a whole number of milliseconds.
    #[must_use]
    pub fn from_millis(milliseconds: u32) -> Self {
        Self { nanoseconds: i128::from(milliseconds) * 1_000_000 }
    }

    /// The length, unless it is negative or too long for [`Duration`].
    #[must_use]
    pub fn duration(self) -> Option<Duration> {
        let nanoseconds = u64::try_from(self.nanoseconds).ok()?;
        Some(Duration::from_nanos(nanoseconds))
    }

    /// The length in milliseconds, if it is a whole number of them and not negative.
    #[must_use]
    pub fn whole_millis(self) -> Option<u64> {
        if self.nanoseconds % 1_000_000 != 0 {
            return None;
        }
        u64::try_from(self.nanoseconds / 1_000_000).ok()
    }

    fn parse(text: &str) -> Option<Self> {
        let (sign, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Some(Self { nanoseconds: 0 });
        }
        if rest.is_empty() {
            return None;
        }
        let mut total: i128 = 0;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
            let (number, tail) = rest.split_at_checked(digits)?;
            let letters = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
            let (unit, tail) = tail.split_at_checked(letters)?;
            let unit: i128 = match unit {
                "ns" => 1,
                "us" | "µs" | "μs" => 1_000,
                "ms" => 1_000_000,
                "s" => 1_000_000_000,
                "m" => 60_000_000_000,
                "h" => 3_600_000_000_000,
                _ => return None,
            };
            let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
            if (whole.is_empty() && fraction.is_empty()) || whole.len() > 12 || fraction.len() > 12 {
                return None;
            }
            let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
            let part: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
            let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
            total += whole * unit + part * unit / scale;
            rest = tail;
        }
        Some(Self { nanoseconds: sign * total })
    }
}

impl Decode for Timespan {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let Value::String(text) = &node.value else {
            cx.wrong_type("a duration such as `5s` or `250ms`", node);
            return None;
        };
        let span = Self::parse(text);
        if span.is_none() {
            cx.error(
                ProblemKind::InvalidValue,
                format!("expected a duration such as `5s` or `250ms`, found `{text}`"),
            );
        }
        span
    }
}

/// Raw bytes, written as base64.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Decode for Bytes {
    fn decode(node: &Node, cx: &mut Context) -> Option<Self> {
        let text = String::decode(node, cx)?;
        let bytes = base64(text.as_bytes());
        if bytes.is_none() {
            cx.error(ProblemKind::InvalidValue, "expected base64");
        }
        bytes.map(Self)
    }
}

/// Standard or URL-safe alphabet, padded or not, as proto JSON takes it.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for c in text {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    // One lone character cannot hold a byte, and what is left over must be zero.
    (count < 6 && bits & ((1 << count) - 1) == 0).then_some(bytes)
}

/// Anything at all: a part of a document that is known to exist and that nothing here looks into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Opaque;

impl Decode for Opaque {
    fn decode(_: &Node, _: &mut Context) -> Option<Self> {
        Some(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, millis) in [
            ("5s", 5_000),
            ("250ms", 250),
            ("1m30s", 90_000),
            ("1.5s", 1_500),
            ("1h", 3_600_000),
            (".5s", 500),
        ] {
            assert_eq!(Timespan::parse(text).and_then(Timespan::whole_millis), Some(millis), "{text}");
        }
        for text in ["", "5", "s", "5 s", "1d", "5s.", "--1s", "."] {
            assert_eq!(Timespan::parse(text), None, "{text}");
        }
        assert_eq!(Timespan::parse("0").and_then(Timespan::duration), Some(Duration::ZERO));
        assert_eq!(Timespan::parse("-1s").and_then(Timespan::duration), None);
        assert_eq!(Timespan::parse("1500us").and_then(Timespan::whole_millis), None);
    }

    #[test]
    fn base64_is_read_in_both_alphabets_padded_or_not() {
        assert_eq!(base64(b"aGVsbG8="), Some(b"hello".to_vec()));
        assert_eq!(base64(b"aGVsbG8"), Some(b"hello".to_vec()));
        assert_eq!(base64(b"-_8="), Some(vec![0xfb, 0xff]));
        assert_eq!(base64(b"a"), None);
        assert_eq!(base64(b"a\n=="), None);
    }
}
