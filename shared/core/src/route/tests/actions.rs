use super::*;
use std::time::Duration;

fn location(redirect: &str, matched: &str, url: &str, port: u16) -> String {
    let text = virtual_service(&format!(
        "hosts: ['*'], gateways: [edge], http: [{{{matched} redirect: {{{redirect}}}}}]"
    ));
    let table = table_for(&text, &ProxyContext { port: Some(port), ..gateway() });
    let reply = local_reply(&table, &Sent::new(&format!("GET {url}"), &[])).unwrap();
    assert_eq!((reply.headers.len(), reply.body.len(), reply.details.as_str()), (1, 0, "direct_response"));
    String::from_utf8(reply.headers[0].1.clone()).unwrap()
}

#[test]
fn redirects_lead_where_envoy_leads() {
    let prefix = "match: [{uri: {prefix: /foo/}}],";
    for (url, redirect, matched, port, expected) in [
        ("http://a.com/x?q=1", "scheme: https", "", 80, "https://a.com/x?q=1"),
        ("http://a.com:80/x", "scheme: https", "", 80, "https://a.com/x"),
        ("http://a.com:8080/x", "scheme: https", "", 80, "https://a.com:8080/x"),
        ("http://a.com:8080/x", "scheme: https, port: 443", "", 80, "https://a.com:8080/x"),
        ("http://a.com:8080/x", "scheme: https, port: 8443", "", 80, "https://a.com:8443/x"),
        ("http://a.com/x?q=1", "uri: /y", "", 80, "http://a.com/y?q=1"),
        ("http://a.com/x?q=1", "uri: '/y?z=2'", "", 80, "http://a.com/y?z=2"),
        ("http://a.com/x?q=1", "uri: y", "", 80, "http://a.com/y?q=1"),
        ("http://a.com/foo/b", "prefixRewrite: /, authority: b.com", prefix, 80, "http://b.com/b"),
        ("http://a.com/foo/b?q", "prefixRewrite: /bar/", prefix, 80, "http://a.com/bar/b?q"),
        (
            "http://a.com/foo/bar",
            "prefixRewrite: /",
            "match: [{uri: {prefix: /foo}}],",
            80,
            "http://a.com//bar",
        ),
        ("http://a.com/x", "prefixRewrite: /y/", "", 80, "http://a.com/y/x"),
        (
            "http://a.com/x",
            "authority: b.com, derivePort: FROM_REQUEST_PORT",
            "",
            8081,
            "http://b.com:8081/x",
        ),
        ("http://a.com/x", "authority: b.com, derivePort: FROM_REQUEST_PORT", "", 80, "http://b.com/x"),
        ("http://a.com:80/x", "scheme: https, derivePort: FROM_PROTOCOL_DEFAULT", "", 80, "https://a.com/x"),
        ("https://a.com:443/x", "scheme: http", "", 443, "http://a.com/x"),
        ("http://a.com:443/x", "scheme: https", "", 80, "https://a.com:443/x"),
        ("http://[::1]:80/x", "scheme: https", "", 80, "https://[::1]/x"),
        ("http://[::1]/x", "port: 81", "", 80, "http://[::1]:81/x"),
        ("http://a.com/x", "authority: 'b.com:9', port: 0", "", 80, "http://b.com:9/x"),
    ] {
        assert_eq!(location(redirect, matched, url, port), expected, "{url} {redirect}");
    }
}

#[test]
fn a_redirect_to_the_port_of_the_request_asks_the_connection_where_there_are_several() {
    let text = virtual_service("http: [{redirect: {authority: b.com, derivePort: FROM_REQUEST_PORT}}]");
    let table = table_for(&text, &ProxyContext { port: None, ..gateway() });
    let reply = local_reply(&table, &get("shop.io/").with(Attribute::DestinationPort, "8081")).unwrap();
    assert_eq!(reply.headers[0].1, b"http://b.com:8081/");
    assert_eq!(reply.status, 301);
}

#[test]
fn the_status_of_a_redirect_can_be_chosen() {
    for code in [301, 302, 303, 307, 308] {
        let table = table(&format!("http: [{{redirect: {{uri: /, redirectCode: {code}}}}}]"));
        assert_eq!(local_reply(&table, &get("shop.io/x")).unwrap().status, code);
    }
}

#[test]
fn direct_responses_come_from_here() {
    let text = table("http: [{directResponse: {status: 503, body: {string: later}}}]");
    let reply = local_reply(&text, &get("shop.io/")).unwrap();
    assert_eq!((reply.status, reply.body.as_slice()), (503, b"later".as_slice()));
    let bytes = table("http: [{directResponse: {status: 200, body: {bytes: aGVsbG8=}}}]");
    assert_eq!(local_reply(&bytes, &get("shop.io/")).unwrap().body, b"hello");
    let empty = table("http: [{directResponse: {status: 204}}]");
    assert_eq!(local_reply(&empty, &get("shop.io/")).unwrap().body, b"");
}

#[test]
fn rewrites_replace_the_matched_part_and_keep_the_query() {
    for (matched, rewrite, path, expected) in [
        ("match: [{uri: {prefix: /api}}],", "uri: /", "/api/v1?q=1", "//v1?q=1"),
        ("match: [{uri: {prefix: /api/}}],", "uri: /", "/api/v1?q=1", "/v1?q=1"),
        ("", "uri: /x", "/a/b", "/xa/b"),
        ("", "uri: /x/", "/a/b", "/x/a/b"),
        ("match: [{uri: {exact: /old}}],", "uri: /new", "/old?a", "/new?a"),
        ("match: [{uri: {regex: '/a.*'}}],", "uri: /new", "/anything", "/new"),
        ("match: [{uri: {prefix: /API}, ignoreUriCase: true}],", "uri: /x", "/api/v1", "/x/v1"),
        ("match: [{uri: {exact: /a}}, {uri: {prefix: /b/}}],", "uri: /n", "/b/c", "/nc"),
        ("match: [{uri: {exact: /a}}, {uri: {prefix: /b/}}],", "uri: /n", "/a", "/n"),
        ("", r"uriRegexRewrite: {match: '/v(\d+)/', rewrite: '/\1/'}", "/v1/v2/x?v1/", "/1/v2/x?v1/"),
        ("", r"uriRegexRewrite: {match: 'a', rewrite: 'b\\\\'}", "/aXa", r"/b\Xb\"),
        ("", r"uriRegexRewrite: {match: '/(.)(.)', rewrite: '/\2\1\0'}", "/xyz", "/yx/xyz"),
        ("", "uriRegexRewrite: {match: nothing, rewrite: x}", "/a", "/a"),
        ("", "uriRegexRewrite: {match: '^/cart', rewrite: /basket}", "/cart/cart", "/basket/cart"),
    ] {
        let rewrite = rewrite.replace(r"\\\\", r"\\");
        let table = table(&format!(
            "http: [{{{matched} rewrite: {{{rewrite}}}, route: [{{destination: {{host: a}}}}]}}]"
        ));
        let edits = forward_edits(&table, &get(&format!("shop.io{path}")));
        assert_eq!(
            edits,
            [
                "x-mesh-policy-cluster=outbound|80||a.shop.svc.cluster.local".to_owned(),
                format!("x-envoy-original-path={path}"),
                format!(":path={expected}")
            ],
            "{matched} {rewrite} {path}"
        );
    }
}

#[test]
fn the_authority_comes_from_the_rule_before_the_destination() {
    for (rule, destination, expected) in [
        ("rewrite: {authority: rule.io},", "headers: {request: {set: {host: d.io}}}", ":authority=rule.io"),
        (
            "headers: {request: {set: {Host: rule.io}}},",
            "headers: {request: {set: {host: d.io}}}",
            ":authority=rule.io",
        ),
        ("headers: {request: {add: {':authority': rule.io}}},", "", ":authority=rule.io"),
        ("", "headers: {request: {add: {host: d.io}}}", ":authority=d.io"),
    ] {
        let table =
            table(&format!("http: [{{{rule} route: [{{destination: {{host: a}}, {destination}}}]}}]"));
        let edits = forward_edits(&table, &get("shop.io/"));
        assert_eq!(edits.last().map(String::as_str), Some(expected), "{rule} {destination}");
    }
}

#[test]
fn clusters_are_named_as_istio_names_them() {
    let services = "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: s, namespace: shop}\nspec: {hosts: [one.shop.svc.cluster.local], ports: [{number: 9080, name: http, protocol: HTTP}]}\n---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: t, namespace: shop}\nspec: {hosts: [two.shop.svc.cluster.local], ports: [{number: 1, name: a, protocol: HTTP}, {number: 2, name: b, protocol: HTTP}]}\n---\n";
    for (destination, port, expected) in [
        ("host: one", Some(8080), "outbound|9080||one.shop.svc.cluster.local"),
        ("host: two", Some(8080), "outbound|8080||two.shop.svc.cluster.local"),
        ("host: unknown", Some(8080), "outbound|8080||unknown.shop.svc.cluster.local"),
        ("host: unknown", None, "outbound|80||unknown.shop.svc.cluster.local"),
        ("host: one, subset: v1, port: {number: 7}", Some(80), "outbound|7|v1|one.shop.svc.cluster.local"),
        ("host: api.github.com", Some(443), "outbound|443||api.github.com"),
    ] {
        let text = services.to_owned()
            + &virtual_service(&format!("http: [{{route: [{{destination: {{{destination}}}}}]}}]"));
        let table = table_for(&text, &ProxyContext { port, ..gateway() });
        get("shop.io/").view(|request| {
            let choice = choice(&table, request, &mut SplitMix64::new(1));
            assert_eq!(choice.destination().unwrap().cluster(), expected);
        });
    }
}

/// How often each cluster's subset is drawn in 100 000 requests.
fn draws(route: &str) -> Vec<usize> {
    let table = table(&format!("http: [{{route: [{route}]}}]"));
    get("shop.io/").view(|request| {
        let Selection::Route(matched) = table.select(request, &mut ()) else { panic!() };
        let Action::Forward(list) = matched.action() else { panic!() };
        let mut random = SplitMix64::new(3);
        let mut counts = vec![0; list.len()];
        for _ in 0..100_000 {
            let drawn = matched.choose(&mut random).destination().unwrap();
            counts[list.iter().position(|destination| destination == drawn).unwrap()] += 1;
        }
        counts
    })
}

#[test]
fn weights_are_shares_of_their_sum() {
    let near = |count: usize, expected: usize| count.abs_diff(expected) < 700;
    let counts = draws(
        "{destination: {host: a, subset: v2}, weight: 1}, {destination: {host: a, subset: v1}, weight: 3}",
    );
    assert!(near(counts[0], 25_000) && near(counts[1], 75_000), "{counts:?}");
    let counts = draws(
        "{destination: {host: a, subset: v2}, weight: 0}, {destination: {host: a, subset: v1}, weight: 7}, {destination: {host: b}}",
    );
    assert_eq!(counts, [0, 100_000, 0]);
    assert_eq!(draws("{destination: {host: a}, weight: 0}"), [100_000]);
    assert_eq!(draws("{destination: {host: a}}"), [100_000]);
}

#[test]
fn timeouts_and_retries_are_said_in_headers() {
    let cluster = "x-mesh-policy-cluster=outbound|80||a.shop.svc.cluster.local";
    let cases: &[(&str, &[&str])] = &[
        ("", &[]),
        ("timeout: 1.5s,", &["x-envoy-upstream-rq-timeout-ms=1500"]),
        ("retries: {},", &["x-mesh-policy-profile=retries=other-hosts"]),
        (
            "retries: {attempts: 0, retryIgnorePreviousHosts: false},",
            &["x-mesh-policy-profile=retries=any-host"],
        ),
        (
            "retries: {attempts: 3},",
            &[
                "x-mesh-policy-profile=retries=other-hosts",
                "x-envoy-max-retries=3",
                "x-envoy-retry-on=connect-failure,refused-stream,retriable-status-codes",
                "x-envoy-retry-grpc-on=unavailable,cancelled",
            ],
        ),
        (
            "timeout: 10s, retries: {attempts: 3, perTryTimeout: 2s, retryOn: 'connect-failure,retriable-status-codes', retriableStatusCodes: [503]},",
            &[
                "x-mesh-policy-profile=retries=other-hosts",
                "x-envoy-upstream-rq-timeout-ms=10000",
                "x-envoy-max-retries=3",
                "x-envoy-retry-on=connect-failure,retriable-status-codes",
                "x-envoy-retriable-status-codes=503",
                "x-envoy-upstream-rq-per-try-timeout-ms=2000",
            ],
        ),
        (
            "retries: {attempts: 1, retryOn: '503,5xx,429,503'},",
            &[
                "x-mesh-policy-profile=retries=other-hosts",
                "x-envoy-max-retries=1",
                "x-envoy-retry-on=retriable-status-codes,5xx",
                "x-envoy-retriable-status-codes=503,429",
            ],
        ),
        (
            "retries: {attempts: 1, retryOn: 'deadline-exceeded,internal,resource-exhausted'},",
            &[
                "x-mesh-policy-profile=retries=other-hosts",
                "x-envoy-max-retries=1",
                "x-envoy-retry-grpc-on=deadline-exceeded,internal,resource-exhausted",
            ],
        ),
    ];
    for (rule, expected) in cases {
        let table = table(&format!("http: [{{{rule} route: [{{destination: {{host: a}}}}]}}]"));
        let edits = forward_edits(&table, &get("shop.io/"));
        assert_eq!(edits[0], cluster);
        assert_eq!(edits[1..], **expected, "{rule}");
    }
}

/// The forwarding profile's name and mirrors for a rule with these fields.
fn profile(rule: &str) -> Option<(String, Vec<(String, u32)>)> {
    let table = table(&format!("http: [{{{rule}, route: [{{destination: {{host: a}}}}]}}]"));
    get("shop.io/").view(|request| {
        let profile = choice(&table, request, &mut SplitMix64::new(1)).profile();
        assert_eq!(table.profiles(), profile.into_iter().collect::<Vec<_>>());
        let selected = forward_edits(&table, &get("shop.io/"))
            .into_iter()
            .find_map(|edit| edit.strip_prefix("x-mesh-policy-profile=").map(str::to_owned));
        assert_eq!(selected.as_deref(), profile.map(|profile| profile.name()));
        let profile = profile?;
        let mirrors = profile.mirrors().map(|(cluster, share)| (cluster.to_owned(), share)).collect();
        Some((profile.name().to_owned(), mirrors))
    })
}

#[test]
fn mirrors_stand_in_the_forwarding_profile_with_their_share() {
    let cluster = |name: &str| format!("outbound|80||{name}.shop.svc.cluster.local");
    for (rule, expected) in [
        ("mirror: {host: b}", vec![("b", 1_000_000)]),
        ("mirror: {host: b}, mirrorPercentage: {value: 0.5}", vec![("b", 5_000)]),
        ("mirror: {host: b}, mirrorPercent: 10", vec![("b", 100_000)]),
        ("mirror: {host: b}, mirrorPercentage: {value: 100}, mirrorPercent: 0", vec![("b", 1_000_000)]),
        (
            "mirrors: [{destination: {host: c}, percentage: {value: 30}}, {destination: {host: b}}]",
            vec![("c", 300_000), ("b", 1_000_000)],
        ),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|(name, share)| (cluster(name), share)).collect();
        let (name, mirrors) = profile(rule).unwrap();
        assert_eq!(mirrors, expected, "{rule}");
        let names: Vec<_> =
            mirrors.iter().map(|(cluster, share)| format!("mirror={cluster}@{share}")).collect();
        assert_eq!(name, names.join(";"), "{rule}");
    }
    for rule in [
        "mirror: {host: b}, mirrorPercentage: {value: 0}",
        "mirror: {host: b}, mirrorPercent: 0",
        "timeout: 1s",
    ] {
        assert_eq!(profile(rule), None, "{rule}");
    }
}

#[test]
fn the_manner_of_retries_stands_in_the_forwarding_profile() {
    for (retries, expected) in [
        ("{}", "retries=other-hosts"),
        ("{attempts: 1, retryIgnorePreviousHosts: false}", "retries=any-host"),
        ("{attempts: 1, retryRemoteLocalities: true}", "retries=other-hosts,remote-localities"),
        ("{attempts: 1, backoff: 50ms, retryIgnorePreviousHosts: true}", "retries=other-hosts,backoff-50ms"),
    ] {
        assert_eq!(profile(&format!("retries: {retries}")).unwrap().0, expected, "{retries}");
    }
}

/// How many of 10 000 requests are delayed, and aborted.
fn faults(fault: &str) -> (usize, usize) {
    let table = table(&format!("http: [{{fault: {{{fault}}}, route: [{{destination: {{host: a}}}}]}}]"));
    get("shop.io/").view(|request| {
        let mut random = SplitMix64::new(9);
        let choice = choice(&table, request, &mut random);
        let drawn: Vec<_> = (0..10_000).map(|_| choice.fault(request, &mut random)).collect();
        assert!(drawn.iter().filter_map(|fault| fault.delay).all(|delay| delay == Duration::from_secs(5)));
        (
            drawn.iter().filter(|fault| fault.delay.is_some()).count(),
            drawn.iter().filter(|fault| fault.abort.is_some()).count(),
        )
    })
}

#[test]
fn faults_meet_their_share_and_none_without_percentage() {
    for (fault, expected) in [
        ("delay: {fixedDelay: 5s}", (0, 0)),
        ("delay: {fixedDelay: 5s, percentage: {value: 100}}", (10_000, 0)),
        ("delay: {fixedDelay: 5s, percent: 100}", (10_000, 0)),
        ("delay: {fixedDelay: 5s, percent: 100, percentage: {value: 0}}", (0, 0)),
        ("delay: {percentage: {value: 100}}", (0, 0)),
        ("abort: {httpStatus: 500}", (0, 0)),
        ("abort: {percentage: {value: 100}}", (0, 0)),
        ("abort: {httpStatus: 500, percentage: {value: 100}}", (0, 10_000)),
    ] {
        assert_eq!(faults(fault), expected, "{fault}");
    }
    let (delayed, aborted) = faults(
        "delay: {fixedDelay: 5s, percentage: {value: 50}}, abort: {httpStatus: 500, percentage: {value: 10}}",
    );
    assert!(delayed.abs_diff(5000) < 250 && aborted.abs_diff(1000) < 150, "{delayed} {aborted}");
}

#[test]
fn aborts_answer_as_envoys_fault_filter_does() {
    for (abort, status, grpc_status) in [
        ("httpStatus: 503", 503, None),
        ("grpcStatus: UNAVAILABLE", 200, Some(14)),
        ("grpcStatus: OK", 200, Some(0)),
    ] {
        let table = table(&format!(
            "http: [{{fault: {{abort: {{{abort}, percentage: {{value: 100}}}}}}, route: [{{destination: {{host: a}}}}]}}]"
        ));
        get("shop.io/").view(|request| {
            let mut random = SplitMix64::new(1);
            let reply = choice(&table, request, &mut random).fault(request, &mut random).abort.unwrap();
            assert_eq!((reply.status, reply.grpc_status), (status, grpc_status));
            assert_eq!(
                (reply.body.as_slice(), reply.details.as_str()),
                (b"fault filter abort".as_slice(), "fault_filter_abort")
            );
        });
    }
}
