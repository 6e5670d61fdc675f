//! What names may look like, by Istio's validation.

use std::net::IpAddr;

/// A DNS label: letters, digits and hyphens, at most 63, no hyphen at either end.
pub(super) fn is_dns_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

/// A domain name; one dot may end it, and its last label is not a number.
pub(super) fn is_domain(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    (1..=255).contains(&text.len())
        && text.split('.').all(is_dns_label)
        && !text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A domain name whose first label may be `*` or begin with it.
pub(super) fn is_wildcard_domain(text: &str) -> bool {
    let Some(tail) = text.strip_prefix('*') else { return is_domain(text) };
    if text.len() > 255 {
        return false;
    }
    let (label, rest) = tail.split_once('.').map_or((tail, None), |(label, rest)| (label, Some(rest)));
    let label = label.strip_prefix('-').unwrap_or(label);
    let label_is_fine = label.is_empty() && !tail.starts_with('-') || is_dns_label(label);
    label_is_fine && rest.is_none_or(is_domain)
}

/// An address.
pub(super) fn is_ip(text: &str) -> bool {
    text.parse::<IpAddr>().is_ok()
}

/// A host of a Gateway: a full name, a `*.` wildcard, an address or `*`.
pub(super) fn is_gateway_host(text: &str) -> bool {
    let partial_wildcard = text.contains('*') && text != "*" && !text.starts_with("*.");
    text == "*" || is_ip(text) || (!partial_wildcard && text.contains('.') && is_wildcard_domain(text))
}

/// The name of a gateway as a VirtualService refers to it.
pub(super) fn is_gateway_reference(text: &str) -> bool {
    match text.split_once('/') {
        Some((namespace, name)) => (namespace == "." || is_dns_label(namespace)) && is_dns_label(name),
        None => is_domain(text),
    }
}

/// The value of a label, or the name part of its key.
fn is_qualified_name(text: &str) -> bool {
    let is_edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    text.len() <= 63
        && is_edge(text.bytes().next())
        && is_edge(text.bytes().last())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// The key of a label.
pub(super) fn is_label_key(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => prefix.len() <= 253 && is_domain(prefix) && is_qualified_name(name),
        None => is_qualified_name(text),
    }
}

/// The value of a label.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_qualified_name(text)
}

/// An HTTP token: what the name of a header consists of.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_stands_in_the_first_label_only() {
        for (text, fine) in [
            ("*", true),
            ("*.shop.io", true),
            ("*shop.io", true),
            ("*-api.shop.io", true),
            ("customers", true),
            ("a.*.io", false),
            ("*-", false),
            ("a*.io", false),
            ("", false),
            ("a_b.io", false),
            ("-a.io", false),
            ("a.123", false),
            ("shop.io.", true),
            ("shop.io..", false),
        ] {
            assert_eq!(is_wildcard_domain(text), fine, "{text}");
        }
    }

    #[test]
    fn a_gateway_wants_full_names() {
        for (text, fine) in [
            ("*", true),
            ("*.io", true),
            ("shop.io", true),
            ("10.0.0.1", true),
            ("shop", false),
            ("*shop.io", false),
        ] {
            assert_eq!(is_gateway_host(text), fine, "{text}");
        }
    }

    #[test]
    fn labels_are_kubernetes_names() {
        assert!(is_label_key("app.kubernetes.io/name"));
        assert!(!is_label_key("app/"));
        assert!(is_label_value(""));
        assert!(!is_label_value("-a"));
        assert!(!is_label_value("a b"));
    }
}
