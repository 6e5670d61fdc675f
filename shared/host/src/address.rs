//! Addresses as the proxy writes them.

/// The address without its port: `1.2.3.4:80` and `[::1]:80` as `1.2.3.4` and `::1`; without a port it stays as it is.
pub fn without_port(address: &[u8]) -> &[u8] {
    if let Some(bracketed) = address.strip_prefix(b"[") {
        return bracketed.split(|byte| *byte == b']').next().unwrap_or(bracketed);
    }
    let mut parts = address.split(|byte| *byte == b':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(host), Some(_), None) => host,
        // No colon is no port; two of them, not in brackets, are an IPv6 address.
        _ => address,
    }
}

/// A number of the proxy, 64 bits little endian, as decimal text.
pub fn decimal(number: &[u8]) -> Option<Vec<u8>> {
    let bytes: [u8; 8] = number.try_into().ok()?;
    Some(i64::from_le_bytes(bytes).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_goes_and_brackets_with_it() {
        for (written, address) in [
            ("127.0.0.1:8080", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.1"),
            ("1.2.3.4:0", "1.2.3.4"),
            ("[::1]:8080", "::1"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[", ""),
            ("", ""),
            ("/tmp/socket", "/tmp/socket"),
        ] {
            assert_eq!(without_port(written.as_bytes()), address.as_bytes(), "{written}");
        }
    }

    #[test]
    fn a_port_number_becomes_text() {
        assert_eq!(decimal(&8080_i64.to_le_bytes()).as_deref(), Some(b"8080".as_slice()));
        assert_eq!(decimal(b"8080"), None);
    }
}
