//! What rules do.

use super::super::Draw;
use super::cors;
use serde_json::{Map, Value, json};

/// A rule with these matches and some action.
pub(super) fn rule(
    draw: &mut Draw,
    number: usize,
    matches: Vec<Value>,
    by_chance: bool,
) -> Map<String, Value> {
    let mut fields = Map::new();
    if draw.percent(70) {
        fields.insert("name".to_owned(), json!(format!("rule-{number}")));
    }
    // A prefix can be replaced in a redirect only where every match is by prefix.
    let by_prefix =
        matches.iter().all(|matcher| matcher.get("uri").is_none_or(|uri| uri.get("prefix").is_some()));
    if !matches.is_empty() {
        fields.insert("match".to_owned(), Value::Array(matches));
    }
    match draw.between(0, 9) {
        0 => drop(fields.insert("directResponse".to_owned(), direct_response(draw))),
        1 => drop(fields.insert("redirect".to_owned(), redirect(draw, by_prefix))),
        _ => forward(draw, by_chance, &mut fields),
    }
    // A redirect answers whatever the origin.
    if !fields.contains_key("redirect") && draw.percent(14) {
        fields.insert("corsPolicy".to_owned(), cors::policy(draw));
    }
    if draw.percent(35) {
        // Validation wants the authority to be set in one place.
        let free = fields.get("rewrite").is_none_or(|rewrite| rewrite.get("authority").is_none());
        fields.insert("headers".to_owned(), headers(draw, free));
    }
    fields
}

fn direct_response(draw: &mut Draw) -> Value {
    let mut fields = json!({ "status": draw.one(&[200, 204, 301, 404, 418, 503, 599]) });
    if let Some(fields) = fields.as_object_mut()
        && draw.percent(70)
    {
        let body = draw.one(&[
            ("string", "short and stout"),
            ("string", ""),
            ("bytes", "/wD+"),
            ("string", "100 %"),
        ]);
        fields.insert("body".to_owned(), json!({ body.0: body.1 }));
    }
    fields
}

fn redirect(draw: &mut Draw, by_prefix: bool) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    match draw.between(0, 5) {
        0 | 1 => put("uri", json!(draw.text(&["/new", "/new?z=1", "new", "/", "/new#f"]))),
        2 if by_prefix => put("prefixRewrite", json!(draw.text(&["/", "/p", "/p/", "p"]))),
        _ => {}
    }
    if draw.percent(50) {
        let authority = draw.text(&["new.example", "new.example:8080", "NEW.example", "[::1]:8080"]);
        put("authority", json!(authority));
    }
    if draw.percent(40) {
        put("scheme", json!(draw.text(&["http", "https"])));
    }
    match draw.between(0, 4) {
        0 => put("port", json!(draw.one(&[80, 443, 8443, 8080]))),
        1 => put("derivePort", json!(draw.text(&["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]))),
        _ => {}
    }
    if draw.percent(40) {
        put("redirectCode", json!(draw.one(&[301, 302, 303, 307, 308])));
    }
    if !["uri", "prefixRewrite", "authority", "scheme", "port", "derivePort"]
        .iter()
        .any(|name| fields.contains_key(*name))
    {
        fields.insert("uri".to_owned(), json!("/new"));
    }
    Value::Object(fields)
}

fn forward(draw: &mut Draw, by_chance: bool, fields: &mut Map<String, Value>) {
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    put("route", Value::Array(destinations(draw, by_chance)));
    if draw.percent(30) {
        put("rewrite", rewrite(draw));
    }
    if draw.percent(10) {
        put("timeout", json!(draw.text(&["10s", "1.5s", "1m"])));
    }
    if draw.percent(15) {
        put("retries", retries(draw));
    }
    if draw.percent(10) {
        put("fault", fault(draw, by_chance));
    }
    match draw.between(0, 19) {
        0 => {
            put("mirror", destination(draw));
            if draw.percent(50) {
                put("mirrorPercentage", share(draw, by_chance));
            }
        }
        1 => {
            let copies = (0..draw.between(1, 2)).map(|_| {
                let mut copy = json!({ "destination": destination(draw) });
                if draw.percent(40)
                    && let Some(copy) = copy.as_object_mut()
                {
                    copy.insert("percentage".to_owned(), share(draw, by_chance));
                }
                copy
            });
            let copies = copies.collect();
            put("mirrors", Value::Array(copies));
        }
        _ => {}
    }
}

fn destinations(draw: &mut Draw, by_chance: bool) -> Vec<Value> {
    let count = draw.one(&[1, 1, 1, 2, 3]);
    let only = draw.between(0, count - 1);
    let weighted = by_chance && draw.percent(50);
    (0..count)
        .map(|number| {
            let mut entry = Map::new();
            entry.insert("destination".to_owned(), destination(draw));
            let weight = match (weighted, number == only) {
                (true, _) => Some(draw.one(&[1, 1, 3])),
                (false, true) => Some(draw.one(&[1, 50, 100, 3])),
                (false, false) => draw.percent(50).then_some(0),
            };
            if let Some(weight) = weight.filter(|_| count > 1 || draw.percent(30)) {
                entry.insert("weight".to_owned(), json!(weight));
            }
            if draw.percent(25) {
                entry.insert("headers".to_owned(), headers(draw, true));
            }
            Value::Object(entry)
        })
        .collect()
}

fn destination(draw: &mut Draw) -> Value {
    const CUSTOMERS: &str = "customers.default.svc.cluster.local";
    const ORDERS: &str = "orders.shop.svc.cluster.local";
    match draw.between(0, 5) {
        0 => json!({ "host": CUSTOMERS }),
        1 | 2 => json!({ "host": CUSTOMERS, "subset": "v1" }),
        3 => json!({ "host": CUSTOMERS, "subset": "v2", "port": { "number": 80 } }),
        4 => json!({ "host": ORDERS, "port": { "number": 8080 } }),
        _ => json!({ "host": ORDERS, "port": { "number": 9090 } }),
    }
}

fn share(draw: &mut Draw, by_chance: bool) -> Value {
    if by_chance {
        json!({ "value": draw.one(&[0.0, 100.0, 50.0, 30.5]) })
    } else {
        json!({ "value": draw.one(&[0.0, 100.0]) })
    }
}

fn rewrite(draw: &mut Draw) -> Value {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    match draw.between(0, 3) {
        0 | 1 => put("uri", json!(draw.text(&["/", "/new", "/new/", "new", "/new?z=1"]))),
        2 => {
            let (pattern, to) = draw.one(&[
                ("/a", "/n"),
                ("/([a-z])/([^/]*)", "/\\2/\\1"),
                ("^/(.*)$", "/pre/\\1"),
                ("b", "/"),
                ("[0-9]+", "<\\0>"),
                (".*", "/all"),
                ("/", "//"),
                ("a|b", "\\0\\0"),
            ]);
            put("uriRegexRewrite", json!({ "match": pattern, "rewrite": to }));
        }
        _ => {}
    }
    if fields.is_empty() || draw.percent(30) {
        fields.insert("authority".to_owned(), json!(draw.text(&["in.example", "IN.example:81", "in"])));
    }
    Value::Object(fields)
}

fn retries(draw: &mut Draw) -> Value {
    let attempts = draw.between(0, 3);
    let mut fields = json!({ "attempts": attempts });
    if let Some(fields) = fields.as_object_mut()
        && attempts > 0
    {
        if draw.percent(80) {
            let on = draw.text(&[
                "5xx",
                "gateway-error",
                "503",
                "retriable-4xx",
                "connect-failure,418",
                "reset",
                "unavailable",
            ]);
            fields.insert("retryOn".to_owned(), json!(on));
        }
        if draw.percent(20) {
            fields.insert("perTryTimeout".to_owned(), json!("5s"));
        }
        if draw.percent(20) {
            fields.insert("backoff".to_owned(), json!("5ms"));
        }
        if draw.percent(20) {
            fields.insert("retryIgnorePreviousHosts".to_owned(), json!(draw.percent(50)));
        }
    }
    fields
}

fn fault(draw: &mut Draw, by_chance: bool) -> Value {
    let mut fields = Map::new();
    if draw.percent(70) {
        let mut abort = Map::new();
        if draw.percent(70) {
            abort.insert("httpStatus".to_owned(), json!(draw.one(&[200, 404, 418, 503, 599])));
        } else {
            let status = draw.text(&["OK", "CANCELLED", "NOT_FOUND", "UNAVAILABLE", "UNAUTHENTICATED"]);
            abort.insert("grpcStatus".to_owned(), json!(status));
        }
        if draw.percent(85) {
            abort.insert("percentage".to_owned(), share(draw, by_chance));
        }
        fields.insert("abort".to_owned(), Value::Object(abort));
    }
    if fields.is_empty() || draw.percent(20) {
        fields
            .insert("delay".to_owned(), json!({ "fixedDelay": "2ms", "percentage": share(draw, by_chance) }));
    }
    Value::Object(fields)
}

fn headers(draw: &mut Draw, may_set_authority: bool) -> Value {
    let mut fields = Map::new();
    if draw.percent(70) {
        let mut operations =
            operations(draw, &["x-a", "x-b", "x-r", "X-S", "user-agent", "cookie", "accept"]);
        if may_set_authority
            && draw.percent(12)
            && let Some(operations) = operations.as_object_mut()
        {
            let name = draw.text(&["host", ":authority", "Host"]);
            let kind = draw.text(&["set", "add"]);
            let entry = operations.entry(kind).or_insert_with(|| json!({}));
            if let Some(entry) = entry.as_object_mut() {
                entry.insert(name.to_owned(), json!(draw.text(&["set.example", "SET.example:82"])));
            }
        }
        fields.insert("request".to_owned(), operations);
    }
    if fields.is_empty() || draw.percent(60) {
        let names =
            &["x-a", "x-r", "x-s", "server", "content-type", "X-R", "date", "access-control-allow-origin"];
        fields.insert("response".to_owned(), operations(draw, names));
    }
    Value::Object(fields)
}

fn operations(draw: &mut Draw, names: &[&'static str]) -> Value {
    const VALUES: &[&str] = &[
        "1",
        "",
        "two words",
        "100%%",
        "%REQ(x-a)%",
        "a%REQ(x-b?x-a):2%b",
        "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
        "%PROTOCOL%",
        "%REQ(:path)%",
        "%REQ(:authority)%",
        "v,w",
        "%REQ(x-none)%",
    ];
    let mut fields = Map::new();
    for kind in ["set", "add"] {
        if draw.percent(45) {
            let lines =
                draw.some(names, 1, 2).into_iter().map(|name| (name.to_owned(), json!(draw.text(VALUES))));
            let lines: Map<String, Value> = lines.collect();
            fields.insert(kind.to_owned(), Value::Object(lines));
        }
    }
    if fields.is_empty() || draw.percent(30) {
        fields.insert("remove".to_owned(), json!(draw.some(names, 1, 2)));
    }
    Value::Object(fields)
}
