//! Tokens whose claims nearly are what rules ask for.

use super::Draw;
use serde_json::{Map, Value, json};

/// Values that rules name, and tokens have.
pub(super) const VALUES: &[&str] =
    &["admin", "user", "read", "a,b", "", "Admin", "1", "two words", "admin,user", "*", "administrator"];

/// Claims as conditions of rules name them, path by path.
const PATHS: &[&[&str]] =
    &[&["group"], &["group"], &["realm", "roles"], &["scope"], &["a.b/c"], &["Group"], &["sub"], &["realm"]];

/// A claim in brackets, `[realm][roles]`.
pub(super) fn in_brackets(draw: &mut Draw) -> String {
    let at = draw.between(0, PATHS.len() - 1);
    PATHS.get(at).copied().unwrap_or_default().iter().map(|name| format!("[{name}]")).collect()
}

/// A claim behind dots, or in brackets where dots would cut its name.
pub(super) fn behind_dots(draw: &mut Draw) -> String {
    let at = draw.between(0, PATHS.len() - 1);
    let path = PATHS.get(at).copied().unwrap_or_default();
    let dotted = || path.iter().map(|name| format!(".{name}")).collect();
    if path.iter().any(|name| name.contains('.')) || draw.percent(30) {
        path.iter().map(|name| format!("[{name}]")).collect()
    } else {
        dotted()
    }
}

/// The payload of a token, for the share of requests that have one.
pub(super) fn payload(draw: &mut Draw, share: u32) -> Option<String> {
    if !draw.percent(share) {
        return None;
    }
    let mut claims = Map::new();
    let mut put = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
    if draw.percent(92) {
        put("iss", json!(draw.text(&["iss", "iss", "https://id.io", "is", "iss/x", ""])));
    }
    if draw.percent(85) {
        put("sub", json!(draw.text(&["sub", "sub", "su", "sub2", "x/sub", "", "admin"])));
    }
    if draw.percent(40) {
        let one = draw.text(&["shop", "other", "shop2", ""]);
        put("aud", if draw.percent(50) { json!(one) } else { json!([one, draw.text(&["shop", "x"])]) });
    }
    if draw.percent(25) {
        put("azp", json!(draw.text(&["app", "app2", ""])));
    }
    if draw.percent(70) {
        put("group", claim(draw));
    }
    if draw.percent(45) {
        let inner = claim(draw);
        put("realm", if draw.percent(85) { json!({ "roles": inner }) } else { inner });
    }
    if draw.percent(30) {
        let scope =
            draw.text(&["read write", "read", "write", "", " ", "readwrite", "read  admin", "user admin "]);
        put("scope", if draw.percent(85) { json!(scope) } else { claim(draw) });
    }
    if draw.percent(10) {
        put("a.b/c", claim(draw));
    }
    // What Envoy itself refuses, and what it nearly does.
    match draw.between(0, 59) {
        0 => put("exp", json!(1_000_000_000)),
        1 => put("exp", json!("soon")),
        2 => put("nbf", json!(4_000_000_000_u64)),
        3 => put("iss", json!(7)),
        4 => put("aud", json!({ "a": "shop" })),
        5 => put("exp", json!(4_000_000_000_u64)),
        6 => {
            return Some(
                "{\"group\": \"user\", \"group\": \"admin\", \"iss\": \"iss\", \"sub\": \"sub\"}".to_owned(),
            );
        }
        7 => return Some(draw.text(&["[]", "{", "", "\"admin\"", "{}", "null"]).to_owned()),
        _ => {}
    }
    Some(Value::Object(claims).to_string())
}

fn claim(draw: &mut Draw) -> Value {
    match draw.between(0, 15) {
        0..=6 => json!(draw.text(VALUES)),
        7..=10 => json!([draw.text(VALUES), draw.text(VALUES)]),
        11 => json!([[draw.text(VALUES)], { "admin": "admin" }, 1, null, true]),
        12 => draw.one(&[json!(1), json!(true), Value::Null, json!(1.5), json!(-0.0)]),
        13 => json!({ draw.text(&["admin", "roles"]): draw.text(VALUES) }),
        14 => json!([]),
        _ => json!(draw.text(&["admin\u{0}", "\u{e4}dmin", "admin\n", " admin", "\u{1f600}"])),
    }
}
