use super::*;

/// A `match` entry, headers of a request, and whether the one takes the other.
type Case = (&'static str, &'static [(&'static str, &'static str)], bool);

/// Whether a rule with this `match` entry takes the request.
fn takes(matched: &str, sent: &Sent) -> bool {
    let table = table(&format!("http: [{{match: [{matched}], route: [{{destination: {{host: a}}}}]}}]"));
    chosen(&table, sent) == "default"
}

#[test]
fn paths_are_compared_without_query_and_by_bytes() {
    for (matched, path, expected) in [
        ("{uri: {prefix: /foo}}", "/foobar", true),
        ("{uri: {prefix: /foo}}", "/Foo", false),
        ("{uri: {prefix: /foo}}", "/fo", false),
        ("{uri: {prefix: ''}}", "/anything", true),
        ("{uri: {exact: /foo}}", "/foo", true),
        ("{uri: {exact: /foo}}", "/foo/", false),
        ("{uri: {exact: /foo}}", "/foo?x=1", true),
        ("{uri: {exact: /foo}}", "/foo#x", true),
        ("{uri: {exact: '/foo?x=1'}}", "/foo?x=1", false),
        ("{uri: {prefix: '/foo?'}}", "/foo?x", false),
        ("{uri: {exact: /foo}}", "/foo;v=1", false),
        ("{uri: {regex: /a}}", "/a/b", false),
        ("{uri: {regex: '/a.*'}}", "/a/b?x=1", true),
        ("{uri: {regex: '/a|/b'}}", "/b", true),
        ("{uri: {regex: '/a|/b'}}", "/b/c", false),
        ("{uri: {regex: '/(?i)abc'}}", "/ABC", true),
        ("{uri: {exact: /Foo}, ignoreUriCase: true}", "/fOO", true),
        ("{uri: {prefix: /Foo}, ignoreUriCase: true}", "/fOObar", true),
        ("{uri: {prefix: /Foo}, ignoreUriCase: true}", "/f", false),
        ("{uri: {regex: /Foo}, ignoreUriCase: true}", "/foo", false),
        ("{uri: {}}", "/x", true),
        ("{name: x}", "*", false),
    ] {
        let table = table(&format!("http: [{{match: [{matched}], route: [{{destination: {{host: a}}}}]}}]"));
        let sent = if path == "*" {
            Sent::new("OPTIONS http://shop.io", &[])
        } else {
            get(&format!("shop.io{path}"))
        };
        assert_eq!(chosen(&table, &sent) != "no route", expected, "{matched} {path}");
    }
}

#[test]
fn method_scheme_and_authority_keep_case_and_port() {
    for (matched, line, expected) in [
        ("{method: {exact: GET}}", "GET http://shop.io/", true),
        ("{method: {exact: GET}}", "get http://shop.io/", false),
        ("{method: {regex: 'GET|POST'}}", "POST http://shop.io/", true),
        ("{method: {}}", "X http://shop.io/", true),
        ("{scheme: {exact: https}}", "GET https://shop.io/", true),
        ("{scheme: {exact: https}}", "GET http://shop.io/", false),
        ("{authority: {exact: shop.io}}", "GET http://shop.io/", true),
        ("{authority: {exact: shop.io}}", "GET http://shop.io:80/", false),
        ("{authority: {exact: shop.io}}", "GET http://SHOP.io/", false),
        ("{authority: {prefix: shop.io}}", "GET http://shop.io:80/", true),
    ] {
        assert_eq!(takes(matched, &Sent::new(line, &[])), expected, "{matched} {line}");
    }
}

#[test]
fn each_line_of_a_header_is_compared_by_itself() {
    let cases: &[Case] = &[
        ("{headers: {x: {exact: a}}}", &[("x", "a")], true),
        ("{headers: {X: {exact: a}}}", &[("x", "a")], true),
        ("{headers: {x: {exact: a}}}", &[("x", "a"), ("x", "b")], true),
        ("{headers: {x: {exact: b}}}", &[("x", "a"), ("x", "b")], true),
        ("{headers: {x: {exact: 'a,b'}}}", &[("x", "a"), ("x", "b")], false),
        ("{withoutHeaders: {x: {exact: b}}}", &[("x", "a"), ("x", "b")], false),
        ("{headers: {x: {regex: '.*b'}}}", &[("x", "a"), ("x", "b")], true),
        ("{headers: {x: {}}}", &[("x", "")], true),
        ("{headers: {x: {}}}", &[], false),
        ("{headers: {x: {exact: ''}}}", &[("x", "")], true),
        ("{headers: {x: {exact: ''}}}", &[], false),
        ("{headers: {x: {regex: '.*'}}}", &[], false),
        ("{headers: {x: {prefix: a}}}", &[("x", "ab")], true),
        ("{headers: {x: {exact: a}, y: {exact: b}}}", &[("x", "a")], false),
        ("{headers: {x: {exact: a}, y: {exact: b}}}", &[("y", "b"), ("x", "a")], true),
        ("{headers: {uri: {exact: a}}}", &[("uri", "a")], true),
        ("{headers: {':method': {exact: GET}}}", &[], true),
        ("{headers: {host: {exact: shop.io}}}", &[], true),
        ("{headers: {user-agent: {regex: '.*Firefox.*'}}}", &[("user-agent", "Mozilla/5.0 Firefox/1")], true),
        ("{headers: {user-agent: {regex: '.*Firefox.*'}}}", &[("user-agent", "curl")], false),
    ];
    for (matched, headers, expected) in cases {
        assert_eq!(
            takes(matched, &Sent::new("GET http://shop.io/", headers)),
            *expected,
            "{matched} {headers:?}"
        );
    }
}

#[test]
fn an_absent_header_counts_as_empty_where_it_must_not_match() {
    let cases: &[Case] = &[
        ("{withoutHeaders: {x: {exact: a}}}", &[("x", "a")], false),
        ("{withoutHeaders: {x: {exact: a}}}", &[("x", "b")], true),
        ("{withoutHeaders: {x: {exact: a}}}", &[], true),
        ("{withoutHeaders: {x: {exact: ''}}}", &[], false),
        ("{withoutHeaders: {x: {regex: '.*'}}}", &[], false),
        ("{withoutHeaders: {x: {}}}", &[("x", "")], false),
        ("{withoutHeaders: {x: {}}}", &[], true),
        ("{withoutHeaders: {x: null}}", &[("x", "a")], false),
        ("{withoutHeaders: {x: null}}", &[], true),
        ("{withoutHeaders: {x: {regex: '*'}}}", &[("x", "a")], false),
        ("{withoutHeaders: {x: {regex: '*'}}}", &[], true),
        ("{withoutHeaders: {x: {exact: a}, y: {exact: b}}}", &[("y", "b")], false),
    ];
    for (matched, headers, expected) in cases {
        assert_eq!(
            takes(matched, &Sent::new("GET http://shop.io/", headers)),
            *expected,
            "{matched} {headers:?}"
        );
    }
}

#[test]
fn query_parameters_are_compared_raw_and_by_their_first_occurrence() {
    for (matched, path, expected) in [
        ("{queryParams: {v: {exact: '2'}}}", "/?v=2", true),
        ("{queryParams: {v: {exact: '2'}}}", "/?a=1&v=2", true),
        ("{queryParams: {v: {exact: '2'}}}", "/?v=1&v=2", false),
        ("{queryParams: {v: {exact: '2'}}}", "/?vv=2", false),
        ("{queryParams: {v: {exact: 'a b'}}}", "/?v=a%20b", false),
        ("{queryParams: {v: {exact: 'a=b'}}}", "/?v=a=b", true),
        ("{queryParams: {v: {exact: ''}}}", "/?v", true),
        ("{queryParams: {v: {exact: ''}}}", "/?v=", true),
        ("{queryParams: {v: {exact: ''}}}", "/", false),
        ("{queryParams: {v: {}}}", "/?v", true),
        ("{queryParams: {v: {}}}", "/", false),
        ("{queryParams: {v: {regex: '[0-9]+'}}}", "/?v=12", true),
        ("{queryParams: {v: {regex: '[0-9]+'}}}", "/?v=12a", false),
        ("{queryParams: {v: {prefix: a}}}", "/?v=ab#x", true),
        ("{queryParams: {v: {exact: b}}}", "/?v=b#x", true),
    ] {
        assert_eq!(takes(matched, &get(&format!("shop.io{path}"))), expected, "{matched} {path}");
    }
}

#[test]
fn entries_are_alternatives_and_their_fields_are_not() {
    let table = table(
        "http: [{name: r, match: [{name: a, uri: {prefix: /a}, method: {exact: GET}}, {name: b, uri: {prefix: /b}}], route: [{destination: {host: x}}]}]",
    );
    assert_eq!(chosen(&table, &get("shop.io/a")), "r.a");
    assert_eq!(chosen(&table, &get("shop.io/b")), "r.b");
    assert_eq!(chosen(&table, &Sent::new("PUT http://shop.io/a", &[])), "no route");
}

#[test]
fn the_first_rule_wins() {
    let table = table(
        "http: [{name: one, match: [{uri: {prefix: /a}}], route: [{destination: {host: x}}]}, {name: two, match: [{uri: {exact: /ab}}], route: [{destination: {host: x}}]}, {name: rest, route: [{destination: {host: x}}]}]",
    );
    assert_eq!(chosen(&table, &get("shop.io/ab")), "one");
    assert_eq!(chosen(&table, &get("shop.io/b")), "rest");
}

#[test]
fn what_the_proxy_is_decides_before_any_request() {
    let labels = [("app".to_owned(), "web".to_owned())].into();
    let mut proxy = ProxyContext { labels: Some(labels), ..gateway() };
    for (matched, expected) in [
        ("{port: 80}", true),
        ("{port: 81}", false),
        ("{gateways: [edge]}", true),
        ("{gateways: [mesh]}", false),
        ("{gateways: [other/edge]}", false),
        ("{sourceLabels: {app: web}}", true),
        ("{sourceLabels: {app: db}}", false),
        ("{sourceLabels: {app: web, tier: x}}", false),
        ("{sourceNamespace: shop}", true),
        ("{sourceNamespace: other}", false),
        // With gateways named, Istio looks at no label and no namespace.
        ("{gateways: [edge], sourceLabels: {app: db}, sourceNamespace: other}", true),
    ] {
        let text = virtual_service(&format!(
            "http: [{{match: [{matched}], route: [{{destination: {{host: a}}}}]}}, {{name: rest, match: [{{uri: {{prefix: /}}}}], route: [{{destination: {{host: a}}}}]}}]"
        ));
        let name = if expected { "default" } else { "rest" };
        assert_eq!(chosen(&table_for(&text, &proxy), &get("shop.io/")), name, "{matched}");
    }
    // One configuration for several ports: each request tells its own.
    proxy.port = None;
    let text = virtual_service(
        "http: [{name: other, match: [{port: 8080}], route: [{destination: {host: a}}]}, {name: rest, route: [{destination: {host: a}}]}]",
    );
    let table = table_for(&text, &proxy);
    assert_eq!(chosen(&table, &get("shop.io/").with(Attribute::DestinationPort, "8080")), "other");
    assert_eq!(chosen(&table, &get("shop.io/").with(Attribute::DestinationPort, "80")), "rest");
    assert_eq!(chosen(&table, &get("shop.io/")), "rest");
}

#[test]
fn values_that_are_no_text_are_compared_by_bytes() {
    let table = table(
        "http: [{name: prefix, match: [{headers: {x: {prefix: a}}}], route: [{destination: {host: a}}]}, {name: regex, match: [{headers: {x: {regex: '.*'}}}], route: [{destination: {host: a}}]}]",
    );
    let fixed: [(&[u8], &[u8]); 4] =
        [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"shop.io"), (b":path", b"/")];
    for (value, expected) in [(b"a\xff".as_slice(), "prefix"), (b"b\xff", "regex"), (b"b", "regex")] {
        let pairs = [fixed.as_slice(), &[(b"x", value)]].concat();
        let sent = Sent { buffer: HeaderMap::write(&pairs), attributes: Vec::new() };
        assert_eq!(chosen(&table, &sent), expected, "{value:?}");
    }
}

#[test]
fn a_request_without_path_or_authority_meets_no_rule() {
    let table = table("hosts: ['*'], gateways: [edge], http: [{route: [{destination: {host: a}}]}]");
    let sent = |pairs: &[(&str, &str)]| Sent { buffer: HeaderMap::write(pairs), attributes: Vec::new() };
    assert_eq!(chosen(&table, &sent(&[(":method", "CONNECT"), (":authority", "a.io:443")])), "no route");
    assert_eq!(chosen(&table, &sent(&[(":path", "")])), "no route");
    let narrow = super::table("http: [{route: [{destination: {host: a}}]}]");
    assert_eq!(chosen(&narrow, &sent(&[(":path", "/")])), "unknown host");
}
