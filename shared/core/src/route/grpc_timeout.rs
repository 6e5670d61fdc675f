//! `grpc-timeout`: how long a gRPC client wants to wait, which a rule's `timeout` bounds.
//!
//! Istio gives Envoy's route the same bound for both. Here one route serves rules with and without, and so leaves the
//! client's wish as it is; the rule's own bound goes into the header, from which Envoy takes its timer, and which it would
//! change for the upstream in the same way.

use crate::request::RequestView;

pub(super) const HEADER: &str = "grpc-timeout";

/// The most digits that a value has.
const MAX_DIGITS: usize = 8;

/// The new value of the header, if the client asks for more than `bound_ms`.
pub(super) fn capped(request: &RequestView<'_>, bound_ms: u64) -> Option<String> {
    let asked = milliseconds(request.headers().first(HEADER)?)?;
    if asked <= bound_ms {
        return None;
    }
    let mut value = (bound_ms, 'm');
    for (factor, unit) in [(1000, 'S'), (60, 'M'), (60, 'H')] {
        if value.0.to_string().len() > MAX_DIGITS {
            value = (value.0 / factor, unit);
        }
    }
    Some(format!("{}{}", value.0, value.1))
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
    fn a_client_that_asks_for_more_gets_the_bound() {
        for (asked, bound, expected) in [
            ("2S", 1000, Some("1000m")),
            ("1S", 1000, None),
            ("1001m", 1000, Some("1000m")),
            ("1000001u", 1000, Some("1000m")),
            ("1000000u", 1000, None),
            ("1000000001n", 1000, None),
            ("1M", 1000, Some("1000m")),
            ("1H", 3_599_999, Some("3599999m")),
            ("99999999H", 100_000_000, Some("100000S")),
            ("0m", 1000, None),
            ("5", 1, None),
            ("", 1, None),
            ("5x", 1, None),
            ("123456789S", 1, None),
            ("-5S", 1, None),
        ] {
            let buffer = HeaderMap::write(&[(HEADER, asked)]);
            let headers = HeaderMap::parse(&buffer).unwrap();
            let request = RequestView::new(&headers, &());
            assert_eq!(capped(&request, bound).as_deref(), expected, "{asked}");
        }
    }
}
