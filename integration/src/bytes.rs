//! Bytes as text and back, without loss: header values need not be UTF-8.

use std::fmt::Write as _;

/// Printable ASCII stays, a backslash is doubled, every other byte becomes `\xNN`.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        match byte {
            b'\\' => text.push_str(r"\\"),
            0x20..=0x7e => text.push(char::from(*byte)),
            // Writing to a string cannot fail.
            _ => _ = write!(text, "\\x{byte:02x}"),
        }
    }
    text
}

/// The bytes that [`escape`] was given; nothing for a text it cannot have written.
pub fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => return Some(bytes),
            [b'\\', b'\\', rest @ ..] => {
                bytes.push(b'\\');
                rest
            }
            [b'\\', b'x', high, low, rest @ ..] => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
                rest
            }
            [b'\\', ..] => return None,
            [byte, rest @ ..] => {
                bytes.push(*byte);
                rest
            }
        };
    }
}

/// Whether two header names are the same name.
pub(crate) fn same_name(one: &[u8], other: &[u8]) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_way_through_text() {
        let all: Vec<u8> = (0..=255).collect();
        let text = escape(&all);
        assert!(text.is_ascii());
        assert_eq!(unescape(&text), Some(all));
    }

    #[test]
    fn a_backslash_is_not_taken_for_an_escape() {
        assert_eq!(escape(br"\x41"), r"\\x41");
        assert_eq!(unescape(r"\\x41").unwrap(), br"\x41");
    }

    #[test]
    fn text_that_escape_never_writes_is_refused() {
        for text in [r"\", r"\x4", r"\xzz", r"\n"] {
            assert_eq!(unescape(text), None, "{text}");
        }
    }
}
