use super::*;

/// A rule with this policy, which also sets a header of the response.
fn with(policy: &str) -> RouteTable {
    table(&format!(
        "http: [{{corsPolicy: {{{policy}}}, headers: {{response: {{set: {{x-op: a}}}}}}, route: [{{destination: {{host: a}}}}]}}]"
    ))
}

fn preflight(origin: &'static str) -> Sent {
    Sent::new(
        "OPTIONS http://shop.io/",
        &[
            ("origin", origin),
            ("access-control-request-method", "PUT"),
            ("access-control-request-headers", "x-a"),
            ("access-control-request-headers", "x-b"),
        ],
    )
}

/// The headers of the answer, without those that all begin with.
fn answer(table: &RouteTable, sent: &Sent) -> Option<Vec<String>> {
    let reply = local_reply(table, sent)?;
    assert_eq!((reply.status, reply.body.len(), reply.details.as_str()), (200, 0, "cors_response"));
    let line = |(name, value): (String, Vec<u8>)| {
        format!("{}={}", name.strip_prefix("access-control-").unwrap(), String::from_utf8(value).unwrap())
    };
    Some(reply.headers.into_iter().map(line).collect())
}

/// The changes of the response that the policy asks for, and those that the rule's operations ask for.
fn changes(table: &RouteTable, sent: &Sent) -> (Vec<String>, Vec<String>) {
    sent.view(|request| {
        let choice = choice(table, request, &mut SplitMix64::new(1));
        let (mut cors, mut operations) = (Vec::new(), Vec::new());
        choice.cors_edits(request, &mut cors);
        choice.response_edits(request, &mut operations);
        (show(&cors), show(&operations))
    })
}

const FULL: &str = "allowOrigins: [{exact: 'http://a.io'}, {prefix: 'http://b.'}, {regex: 'https://[a-z]+\\.c\\.io'}], \
     allowMethods: [GET, PUT], allowHeaders: [x-a, X-B], exposeHeaders: [x-e, x-f], maxAge: 1m, allowCredentials: true";

#[test]
fn a_preflight_of_an_allowed_origin_is_answered_with_all_that_is_configured() {
    let table = with(FULL);
    let expected = |origin: &str| {
        [
            &format!("allow-origin={origin}"),
            "allow-credentials=true",
            "allow-methods=GET,PUT",
            "allow-headers=x-a,X-B",
            "max-age=60",
            "expose-headers=x-e,x-f",
        ]
        .map(str::to_owned)
        .to_vec()
    };
    for origin in ["http://a.io", "http://b.anything", "https://www.c.io"] {
        assert_eq!(answer(&table, &preflight(origin)), Some(expected(origin)));
        assert_eq!(changes(&table, &preflight(origin)), (vec![], vec![]));
    }
}

#[test]
fn other_origins_are_compared_from_end_to_end_and_with_their_case() {
    let table = with(FULL);
    for origin in
        ["http://a.io:80", "http://A.io", "http://a.iox", "xhttp://b.", "https://www.c.io.d", "null"]
    {
        assert_eq!(answer(&table, &preflight(origin)), None, "{origin}");
        assert_eq!(changes(&table, &preflight(origin)), (vec![], vec!["x-op=a".to_owned()]), "{origin}");
    }
}

#[test]
fn a_star_for_methods_and_headers_gives_back_what_was_asked_for() {
    let table = with("allowOrigins: [{exact: '*'}], allowMethods: ['*'], allowHeaders: ['*']");
    let expected = ["allow-origin=http://x", "allow-methods=PUT", "allow-headers=x-a,x-b"];
    assert_eq!(answer(&table, &preflight("http://x")).unwrap(), expected);
    let bare = Sent::new(
        "OPTIONS http://shop.io/",
        &[("origin", "http://x"), ("access-control-request-method", "GET")],
    );
    let expected = ["allow-origin=http://x", "allow-methods=GET", "allow-headers="];
    assert_eq!(answer(&table, &bare).unwrap(), expected);
    let listed = with("allowOrigins: [{exact: '*'}], allowMethods: ['*', GET]");
    assert_eq!(answer(&listed, &bare).unwrap(), ["allow-origin=http://x", "allow-methods=*,GET"]);
}

#[test]
fn every_matcher_of_the_literal_star_allows_all_origins() {
    for origins in
        ["{exact: '*'}", "{prefix: '*'}", "{regex: '.*'}", "{regex: '.'}", "{exact: a}, {exact: '*'}"]
    {
        let table = with(&format!("allowOrigins: [{origins}]"));
        assert!(answer(&table, &preflight("http://x")).is_some(), "{origins}");
    }
}

#[test]
fn a_preflight_is_told_by_method_origin_and_the_method_asked_for() {
    let table = with("allowOrigins: [{exact: '*'}]");
    for (line, headers) in [
        ("GET http://shop.io/", &[("origin", "http://x"), ("access-control-request-method", "PUT")][..]),
        ("options http://shop.io/", &[("origin", "http://x"), ("access-control-request-method", "PUT")]),
        ("OPTIONS http://shop.io/", &[("origin", "http://x")]),
        ("OPTIONS http://shop.io/", &[("origin", "http://x"), ("access-control-request-method", "")]),
        ("OPTIONS http://shop.io/", &[("origin", ""), ("access-control-request-method", "PUT")]),
        ("OPTIONS http://shop.io/", &[("access-control-request-method", "PUT")]),
    ] {
        assert_eq!(answer(&table, &Sent::new(line, headers)), None, "{line} {headers:?}");
    }
}

#[test]
fn unmatched_preflights_go_on_unless_they_are_ignored() {
    let origins = "allowOrigins: [{exact: 'http://a.io'}], allowCredentials: true, exposeHeaders: [x-e]";
    for forward in ["", ", unmatchedPreflights: UNSPECIFIED", ", unmatchedPreflights: FORWARD"] {
        assert_eq!(answer(&with(&format!("{origins}{forward}")), &preflight("http://x")), None);
    }
    let ignoring = with(&format!("{origins}, unmatchedPreflights: IGNORE"));
    assert_eq!(answer(&ignoring, &preflight("http://x")).unwrap(), ["allow-credentials=true"]);
    assert_eq!(changes(&ignoring, &preflight("http://x")), (vec![], vec![]));
}

#[test]
fn responses_to_allowed_origins_are_marked() {
    let table = with(FULL);
    let sent = Sent::new("GET http://shop.io/", &[("origin", "http://a.io")]);
    let marks = [
        "access-control-allow-origin=http://a.io",
        "access-control-allow-credentials=true",
        "access-control-expose-headers=x-e,x-f",
    ];
    assert_eq!(changes(&table, &sent), (marks.map(str::to_owned).to_vec(), vec!["x-op=a".to_owned()]));
    let plain =
        with("allowOrigins: [{exact: '*'}], allowCredentials: false, allowMethods: [GET], maxAge: 1s");
    assert_eq!(changes(&plain, &sent).0, ["access-control-allow-origin=http://a.io"]);
    for headers in [&[][..], &[("origin", "")], &[("origin", "http://a.io"), ("origin", "http://a.io")]] {
        assert_eq!(changes(&table, &Sent::new("GET http://shop.io/", headers)).0, [""; 0], "{headers:?}");
    }
}

#[test]
fn the_deprecated_list_counts_only_alone() {
    let table = with("allowOrigin: ['http://a.io', 'http://b.io']");
    assert!(answer(&table, &preflight("http://b.io")).is_some());
    let table = with("allowOrigin: ['http://a.io'], allowOrigins: [{exact: 'http://b.io'}]");
    assert!(answer(&table, &preflight("http://a.io")).is_none());
    assert!(answer(&with("allowMethods: [GET]"), &preflight("http://a.io")).is_none());
}

#[test]
fn redirects_and_direct_responses_have_no_policy() {
    for action in ["redirect: {uri: /x}", "directResponse: {status: 200}"] {
        let table = table(&format!("http: [{{{action}, corsPolicy: {{{FULL}}}}}]"));
        let reply = local_reply(&table, &preflight("http://a.io")).unwrap();
        assert_ne!(reply.details, "cors_response");
        let sent = Sent::new("GET http://shop.io/", &[("origin", "http://a.io")]);
        assert_eq!(changes(&table, &sent).0, [""; 0]);
    }
}
