//! `grpc-timeout`: how long a gRPC client wants to wait, up to the rule's `timeout`.
//!
//! Istio has Envoy's route do this (`max_grpc_timeout`). One route serves all rules here, so the filter says the outcome in the
//! words that Envoy's router would arrive at itself.

use crate::request::RequestView;

pub(super) const HEADER: &str = "grpc-timeout";

/// The most digits that a value has.
const MAX_DIGITS: usize = 8;

/// The bound on a request in milliseconds: the rule's, or less where a gRPC client asks for less.
#[inline]
pub(super) fn bound(request: &RequestView<'_>, rule_ms: Option<u64>) -> Option<u64> {
    if !request.is_grpc() {
        return rule_ms;
    }
    // No time at all stands for any.
    let asked = request.headers().first(HEADER).and_then(milliseconds).filter(|asked| *asked > 0);
    match (asked, rule_ms) {
        (Some(asked), Some(rule)) => Some(asked.min(rule)),
        (asked, rule) => asked.or(rule),
    }
}

/// The value of the header for so many milliseconds.
pub(super) fn value(milliseconds: u64) -> String {
    let mut value = (milliseconds, 'm');
    for (factor, unit) in [(1000, 'S'), (60, 'M'), (60, 'H')] {
        if value.0.to_string().len() > MAX_DIGITS {
            value = (value.0 / factor, unit);
        }
    }
    format!("{}{}", value.0, value.1)
}

/// A value in milliseconds, rounded up; `None` for one that Envoy, too, takes for none.
fn milliseconds(value: &[u8]) -> Option<u64> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => count * 3_600_000,
        b'M' => count * 60_000,
        b'S' => count * 1000,
        b'm' => count,
        b'u' => count.div_ceil(1000),
        b'n' => count.div_ceil(1_000_000),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::HeaderMap;

    #[test]
    fn a_call_gets_the_smaller_of_what_it_asks_for_and_what_the_rule_allows() {
        for (asked, rule, expected) in [
            ("900m", Some(1000), Some(900)),
            ("1S", Some(1000), Some(1000)),
            ("2S", Some(1000), Some(1000)),
            ("2S", None, Some(2000)),
            ("998999u", Some(1000), Some(999)),
            ("1n", None, Some(1)),
            ("1M", None, Some(60_000)),
            ("1H", None, Some(3_600_000)),
            ("0m", Some(1000), Some(1000)),
            ("0m", None, None),
            ("5", None, None),
            ("", Some(1000), Some(1000)),
            ("5x", None, None),
            ("123456789n", None, None),
            ("-5m", None, None),
        ] {
            for (content_type, expected) in [("application/grpc+proto", expected), ("text/plain", rule)] {
                let buffer = HeaderMap::write(&[(HEADER, asked), ("content-type", content_type)]);
                let headers = HeaderMap::parse(&buffer).unwrap();
                let request = RequestView::new(&headers, &());
                assert_eq!(bound(&request, rule), expected, "{asked} {content_type}");
            }
        }
    }

    #[test]
    fn values_have_no_more_digits_than_clients_read() {
        for (milliseconds, expected) in [
            (1, "1m"),
            (99_999_999, "99999999m"),
            (100_000_000, "100000S"),
            (100_000_000_000, "1666666M"),
            (359_999_996_400_000, "99999999H"),
        ] {
            assert_eq!(value(milliseconds), expected);
        }
    }
}
