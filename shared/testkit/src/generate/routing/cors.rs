//! Cross-origin policies, and requests that browsers send on behalf of other origins.

use super::super::{Draw, Probe};
use serde_json::{Map, Value, json};

const ORIGINS: &[&str] =
    &["https://app.example", "https://app.example", "https://dev.example", "http://a.test", "*", "null"];

/// A `corsPolicy`.
pub(super) fn policy(draw: &mut Draw) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    if draw.percent(90) {
        let origins = (0..draw.between(1, 2)).map(|_| match draw.between(0, 6) {
            0..=3 => json!({ "exact": draw.text(ORIGINS) }),
            4..=5 => json!({ "prefix": draw.text(&["https://", "https://dev.", "http://a.tes"]) }),
            _ => {
                json!({ "regex": draw.text(&["https://[a-z]+\\.example", ".*", "https?://a\\.test", "\\*"]) })
            }
        });
        put("allowOrigins", origins.collect());
    } else {
        put("allowOrigin", json!([draw.text(ORIGINS)]));
    }
    if draw.percent(70) {
        put("allowMethods", json!(draw.some(&["GET", "PUT", "POST", "*", "DELETE"], 1, 2)));
    }
    if draw.percent(50) {
        put("allowHeaders", json!(draw.some(&["x-a", "X-B", "*", "content-type"], 1, 2)));
    }
    if draw.percent(50) {
        put("exposeHeaders", json!(draw.some(&["x-r", "X-S", "*"], 1, 2)));
    }
    if draw.percent(40) {
        put("maxAge", json!(draw.text(&["24h", "1s", "600s"])));
    }
    if draw.percent(50) {
        put("allowCredentials", json!(draw.percent(60)));
    }
    if draw.percent(40) {
        put("unmatchedPreflights", json!(draw.text(&["UNSPECIFIED", "FORWARD", "IGNORE", "IGNORE"])));
    }
    Value::Object(fields)
}

/// Makes `probe` one of a browser's: a preflight, or the request behind it; some are nearly so.
pub(super) fn ask(draw: &mut Draw, probe: &mut Probe) {
    let mut put = |name: &str, value: &str| probe.headers.push((name.to_owned(), value.into()));
    if draw.percent(92) {
        let near = [
            "https://APP.example",
            "https://app.example:443",
            "https://app.exampl",
            "",
            "https://devx",
            "https://evil.test",
        ];
        let origin = if draw.percent(75) { draw.text(ORIGINS) } else { draw.text(&near) };
        put("origin", origin);
        if draw.percent(4) {
            put("Origin", draw.text(ORIGINS));
        }
    }
    if draw.percent(45) {
        if draw.percent(92) {
            put("access-control-request-method", draw.text(&["GET", "PUT", "DELETE", "get", ""]));
        }
        if draw.percent(50) {
            put("access-control-request-headers", draw.text(&["x-a", "x-a, x-b", "content-type", ""]));
        }
        if draw.percent(20) {
            put("access-control-request-private-network", draw.text(&["true", "false"]));
        }
        if draw.percent(92) {
            probe.method = b"OPTIONS".to_vec();
        }
    }
}
