use super::*;

fn takes(matched: &str, payload: Option<&'static str>) -> bool {
    let table = table(&format!("http: [{{match: [{{{matched}}}], route: [{{destination: {{host: a}}}}]}}]"));
    let sent = get("shop.io/");
    let sent = match payload {
        Some(payload) => sent.with(Attribute::JwtPayload, payload),
        None => sent,
    };
    chosen(&table, &sent) == "default"
}

#[test]
fn a_claim_is_a_string_or_a_list_with_one() {
    let token = Some(
        r#"{"sub": "me", "groups": ["a", "b"], "n": 1, "realm": {"a.b": {"roles": ["dev"]}}, "empty": ""}"#,
    );
    for (key, matcher, expected) in [
        (".sub", "exact: me", true),
        (".sub", "exact: ME", false),
        (".sub", "prefix: m", true),
        (".sub", "regex: 'm.'", true),
        (".sub", "regex: m", false),
        (".groups", "exact: b", true),
        (".groups", "exact: c", false),
        (".groups", "exact: 'a,b'", false),
        (".n", "exact: '1'", false),
        (".n", "regex: '.*'", false),
        ("[realm][a.b][roles]", "exact: dev", true),
        (".realm.a.b.roles", "exact: dev", false),
        (".empty", "exact: ''", true),
        (".missing", "exact: ''", false),
        (".missing", "regex: '.*'", false),
    ] {
        let key = format!("'@request.auth.claims{key}': {{{matcher}}}");
        assert_eq!(takes(&format!("headers: {{{key}}}"), token), expected, "{key}");
        assert_eq!(takes(&format!("withoutHeaders: {{{key}}}"), token), !expected, "{key}");
    }
}

#[test]
fn without_a_token_there_is_no_claim() {
    let key = "{'@Request.Auth.Claims.sub': {regex: '.*'}}";
    for payload in [None, Some("")] {
        assert!(!takes(&format!("headers: {key}"), payload));
        assert!(takes(&format!("withoutHeaders: {key}"), payload));
    }
}

#[test]
fn a_token_that_cannot_be_read_neither_has_nor_lacks_a_claim() {
    let key = "{'@request.auth.claims.sub': {exact: a}}";
    assert!(!takes(&format!("headers: {key}"), Some("[")));
    assert!(!takes(&format!("withoutHeaders: {key}"), Some("[")));
}

#[test]
fn a_header_of_the_name_of_a_claim_counts_for_nothing() {
    let table = table(
        "http: [{match: [{headers: {'@request.auth.claims.sub': {exact: a}}}], route: [{destination: {host: a}}]}]",
    );
    let sent = Sent::new("GET http://shop.io/", &[("@request.auth.claims.sub", "a")]);
    assert_eq!(chosen(&table, &sent), "no route");
}
