//! Conditions.

use super::super::{Draw, token};
use super::source::{ACCOUNTS, BLOCKS, NAMESPACES, PRINCIPALS, REQUEST_PRINCIPALS, TRUST_DOMAINS};
use serde_json::{Map, Value, json};

pub(super) const HEADERS: &[&str] = &["x-a", "x-a", "x-b", "x_a", "cookie", "user-agent", "x-c"];

pub(super) const VALUES: &[&str] = &["1", "2", "12", "", "a,b", "A", "a", "1,1", "admin"];

const MATCHERS: &[&str] = &["1", "1*", "*1", "*", "a,b", "1,1", "A", "a*b", "admin", "*,1", "1,*", "*a*"];

const CLAIMS: &[&str] =
    &["admin", "adm*", "*min", "*", "user", "read", "a,b", "Admin", "1", "two words", "*,user", "[admin]"];

const NAMES: &[&str] = &["*", "workload.test", "*.test", "work*", "WORKLOAD.TEST", "other.test"];

pub(super) fn condition(draw: &mut Draw) -> Value {
    let header = |name: &str| format!("request.headers[{name}]");
    let (key, values): (String, &[&'static str]) = match draw.between(0, 21) {
        0..=6 => {
            let name = draw.text(&[
                "x-a",
                "x-b",
                "X-A",
                "cookie",
                "x_a",
                "x-c",
                ":method",
                "host",
                "user-agent",
                ":path",
            ]);
            (header(name), MATCHERS)
        }
        7 => ("source.ip".to_owned(), BLOCKS),
        8 => ("remote.ip".to_owned(), BLOCKS),
        9 => ("source.namespace".to_owned(), NAMESPACES),
        10 => ("source.principal".to_owned(), PRINCIPALS),
        11 => ("source.serviceAccount".to_owned(), ACCOUNTS),
        12 => ("source.trustDomain".to_owned(), TRUST_DOMAINS),
        13 => ("destination.ip".to_owned(), BLOCKS),
        14 => ("destination.port".to_owned(), &["80", "8080", "1"]),
        15..=17 => (format!("request.auth.claims{}", token::in_brackets(draw)), CLAIMS),
        18 => ("request.auth.audiences".to_owned(), &["shop", "sh*", "*", "x", "*op"]),
        19 => ("request.auth.presenter".to_owned(), &["app", "app*", "*"]),
        20 => ("request.auth.principal".to_owned(), REQUEST_PRINCIPALS),
        _ => ("connection.sni".to_owned(), NAMES),
    };
    let mut fields = Map::new();
    fields.insert("key".to_owned(), json!(key));
    if draw.percent(70) {
        fields.insert("values".to_owned(), json!(draw.some(values, 1, 2)));
    }
    if fields.len() == 1 || draw.percent(15) {
        fields.insert("notValues".to_owned(), json!(draw.some(values, 1, 2)));
    }
    Value::Object(fields)
}
