//! Match conditions.

use super::super::{Draw, target::PATHS, token};
use serde_json::{Map, Value, json};

pub(super) const HEADERS: &[&str] = &["x-a", "x-a", "x-b", "x_a", "cookie", "user-agent", "accept", "x-c"];

pub(super) const VALUES: &[&str] = &["1", "2", "12", "", "a,b", "A", "a", "1,1", "b=1", "11"];

const REGEXES: &[&str] =
    &["1", "1.*", ".*", "[0-9]+", "a|ab", "(?i)A", "1,1", ".+", "(a|A).*", "\\d{1,2}", "[^/]*", "1|"];

const URI_REGEXES: &[&str] = &[
    "/a.*",
    "/a/[^/]+",
    "/(a|b)",
    "/a|/ab",
    "(?i)/A/B",
    ".*",
    "/b/\\d+",
    "/b/(.+)/c",
    "/[a-z]+/?",
    "/a/b?",
    "/.",
    "/a/./c",
];

/// One to three matches.
pub(super) fn matches(draw: &mut Draw, narrow: bool) -> Vec<Value> {
    (0..draw.between(1, 2)).map(|number| Value::Object(one(draw, number, narrow))).collect()
}

fn one(draw: &mut Draw, number: usize, narrow: bool) -> Map<String, Value> {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    if draw.percent(20) {
        put("name", json!(format!("match-{number}")));
    }
    if draw.percent(75) {
        put("uri", uri(draw));
    }
    if draw.percent(20) {
        put("ignoreUriCase", json!(draw.percent(80)));
    }
    if draw.percent(12) {
        put("method", text_match(draw, &["GET", "POST", "get", "G", "P"], &["GET|POST", "P.*", "[A-Z]+"]));
    }
    if draw.percent(10) {
        let hosts = &["a.example", "A.EXAMPLE", "a.example:80", "b.a.example", "a", "b."];
        put("authority", text_match(draw, hosts, &[".*example", "a\\.example(:\\d+)?", "[^:]+"]));
    }
    if draw.percent(6) {
        put("scheme", text_match(draw, &["http", "https", "h"], &["https?"]));
    }
    if draw.percent(25) {
        put(
            "headers",
            named(
                draw,
                &["x-a", "x-b", "X-A", "cookie", ":method", ":path", ":authority", "host", "x-c"],
                20,
            ),
        );
    }
    if draw.percent(20) {
        put("withoutHeaders", named(draw, &["x-a", "x-b", "cookie", "x_a", "user-agent", ":authority"], 20));
    }
    if draw.percent(20) {
        put("queryParams", named(draw, &["q", "r", "Q", "q;r"], 0));
    }
    if draw.percent(6) {
        put("port", json!(draw.one(&[80, 80, 8080])));
    }
    if narrow && draw.percent(15) {
        put("gateways", json!([draw.text(&["default/edge", "default/narrow", "narrow", "mesh"])]));
    }
    if draw.percent(4) {
        put("sourceNamespace", json!(draw.text(&["istio-system", "default"])));
    }
    if draw.percent(4) {
        put("sourceLabels", json!({ "istio": draw.text(&["ingressgateway", "egressgateway"]) }));
    }
    if fields.is_empty() {
        fields.insert("uri".to_owned(), uri(draw));
    }
    fields
}

fn uri(draw: &mut Draw) -> Value {
    match draw.between(0, 9) {
        0..=2 => json!({ "exact": draw.text(PATHS) }),
        3..=6 => {
            let prefix =
                draw.text(&["/a", "/a", "/a/", "/b", "/b/", "/", "/", "/A", "/a/b", "", "/ab", "/a?", "a"]);
            json!({ "prefix": prefix })
        }
        _ => json!({ "regex": draw.text(URI_REGEXES) }),
    }
}

fn text_match(draw: &mut Draw, texts: &[&'static str], regexes: &[&'static str]) -> Value {
    match draw.between(0, 9) {
        0..=3 => json!({ "exact": draw.text(texts) }),
        4..=6 => json!({ "prefix": draw.text(texts) }),
        7..=8 => json!({ "regex": draw.text(regexes) }),
        _ => json!({}),
    }
}

/// Takes conditions on claims away.
pub(super) fn drop_claims(matched: &mut Value) {
    for field in ["headers", "withoutHeaders"] {
        if let Some(fields) = matched.get_mut(field).and_then(Value::as_object_mut) {
            fields.retain(|key, _| !key.starts_with('@'));
        }
    }
}

/// Conditions on headers or parameters of these names, and for a share of them on a claim.
fn named(draw: &mut Draw, names: &[&'static str], share_of_claims: u32) -> Value {
    let mut fields = Map::new();
    for _ in 0..draw.between(1, 2) {
        let matcher = match draw.between(0, 9) {
            0..=3 => json!({ "exact": draw.text(VALUES) }),
            4..=5 => json!({ "prefix": draw.text(&["1", "a", "A", "a,", "/a"]) }),
            6..=7 => json!({ "regex": draw.text(REGEXES) }),
            _ => json!({}),
        };
        fields.insert(draw.text(names).to_owned(), matcher);
    }
    if draw.percent(share_of_claims) {
        let matcher = match draw.between(0, 9) {
            0..=5 => json!({ "exact": draw.text(token::VALUES) }),
            6..=7 => json!({ "prefix": draw.text(&["adm", "a", "u"]) }),
            _ => json!({ "regex": draw.text(&["admin|user", ".*", ".+", "(?i)ADMIN", "a.*"]) }),
        };
        fields.insert(format!("@request.auth.claims{}", token::behind_dots(draw)), matcher);
    }
    Value::Object(fields)
}
