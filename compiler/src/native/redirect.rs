//! Redirects and direct responses.

use crate::envoy::put;
use mesh_policy_istio::virtual_service::{HttpDirectResponse, HttpRedirect, RedirectPortSelection};
use serde_json::{Map, Value, json};

/// `port` is the one that the listener serves. The listener speaks plain HTTP.
pub(super) fn redirect(redirect: &HttpRedirect, port: u16) -> Value {
    let mut action = Map::new();
    let text = |text: &Option<String>| json!(text.as_deref().filter(|text| !text.is_empty()));
    put(&mut action, "host_redirect", text(&redirect.authority));
    put(&mut action, "scheme_redirect", text(&redirect.scheme));
    match redirect.prefix_rewrite.as_deref().filter(|prefix| !prefix.is_empty()) {
        Some(prefix) => put(&mut action, "prefix_rewrite", json!(prefix)),
        None => put(&mut action, "path_redirect", text(&redirect.uri)),
    }
    let port = match redirect.derive_port {
        Some(RedirectPortSelection::FromRequestPort) => Some(u32::from(port)),
        Some(RedirectPortSelection::FromProtocolDefault) => None,
        None => redirect.port,
    };
    // A scheme's own port is not written.
    let own = match redirect.scheme.as_deref() {
        Some("https") => 443,
        _ => 80,
    };
    put(&mut action, "port_redirect", json!(port.filter(|port| *port != own && *port != 0)));
    put(
        &mut action,
        "response_code",
        json!(match redirect.redirect_code {
            Some(302) => "FOUND",
            Some(303) => "SEE_OTHER",
            Some(307) => "TEMPORARY_REDIRECT",
            Some(308) => "PERMANENT_REDIRECT",
            // No other code passes validation.
            _ => "MOVED_PERMANENTLY",
        }),
    );
    Value::Object(action)
}

pub(super) fn direct_response(response: &HttpDirectResponse) -> Value {
    let body = response.body.as_ref().map(|body| match (&body.string, &body.bytes) {
        (None, Some(bytes)) => json!({"inline_bytes": base64(&bytes.0)}),
        (text, _) => json!({"inline_string": text.as_deref().unwrap_or_default()}),
    });
    let mut action = Map::new();
    put(&mut action, "status", json!(response.status));
    put(&mut action, "body", json!(body));
    Value::Object(action)
}

/// As protobuf's JSON writes bytes.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits =
            chunk.iter().zip([16, 8, 0]).fold(0_u32, |bits, (byte, shift)| bits | u32::from(*byte) << shift);
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let letter = LETTERS.get((bits >> shift & 63) as usize).copied().unwrap_or(b'=');
            text.push(if index > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_in_base64() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfb]), "//77");
    }
}
