use super::*;

/// All problems of a VirtualService, whether or not it applies to the proxy.
fn problems(spec: &str) -> Vec<String> {
    let text = virtual_service(spec);
    let here = compile(&text, &gateway()).1;
    let elsewhere = ProxyContext { role: ProxyRole::Gateway(vec!["a/b".to_owned()]), ..gateway() };
    assert_eq!(here, compile(&text, &elsewhere).1);
    here
}

fn check(template: &str, cases: &[(&str, &[&str])]) {
    for (written, expected) in cases {
        let spec = template.replace('$', written);
        assert_eq!(problems(&spec), **expected, "{spec}");
    }
}

#[test]
fn all_problems_come_in_one_pass() {
    assert_eq!(
        problems(
            "hosts: [a_b], gateways: [edge], http: [{match: [{uri: {regex: '('}}], route: [{destination: {}, weight: -1}], timeout: 0s}, {fault: {delay: {fixedDelay: 1s, percentage: {value: 101}}}, route: [{destination: {host: a}}]}]"
        ),
        [
            "spec.hosts[0]: expected a host name, a `*.` wildcard or an address, found `a_b`",
            "spec.http[0].match[0].uri.regex: `(` is not a regular expression: unclosed group",
            "spec.http[0].timeout: expected a duration of whole milliseconds, at least `1ms`, found `0s`",
            "spec.http[0].route[0].destination.host: missing: expected the name of a service",
            "spec.http[0].route[0].weight: expected a weight of 0 or more, found `-1`",
            "spec.http[1].fault.delay.percentage.value: expected 0 or a percentage from 0.0001 to 100, found `101`",
        ]
    );
}

#[test]
fn hosts_and_gateways() {
    check(
        "hosts: [$], gateways: [edge], http: [{redirect: {uri: /}}]",
        &[
            (
                "'a.io:80'",
                &[
                    "spec.hosts[0]: expected a host name, a `*.` wildcard or an address, found `a.io:80` (write `a.io`: ports are not part of hosts)",
                ],
            ),
            (
                "a.*.io",
                &["spec.hosts[0]: expected a host name, a `*.` wildcard or an address, found `a.*.io`"],
            ),
            ("a.io, a.io", &["spec.hosts[1]: the host `a.io` is there twice"]),
            ("a.com, '*.com'", &["spec.hosts[1]: the hosts `a.com` and `*.com` overlap"]),
            ("'*.foo.com', '*.com'", &["spec.hosts[1]: the hosts `*.foo.com` and `*.com` overlap"]),
            ("shop.io, '*.shop.io', '*x.org', 10.0.0.1, '::1', short", &[]),
            ("'*'", &[]),
        ],
    );
    check(
        "hosts: ['$'], http: [{redirect: {uri: /}}]",
        &[(
            "*",
            &["spec.hosts[0]: expected a narrower host than `*`, as the VirtualService is bound to `mesh`"],
        )],
    );
    check(
        "hosts: [a.io], gateways: [$], http: [{redirect: {uri: /}}]",
        &[
            ("a_b", &["spec.gateways[0]: expected `NAMESPACE/NAME`, `NAME` or `mesh`, found `a_b`"]),
            ("x/a_b", &["spec.gateways[0]: expected `NAMESPACE/NAME`, `NAME` or `mesh`, found `x/a_b`"]),
            ("x/y/z", &["spec.gateways[0]: expected `NAMESPACE/NAME`, `NAME` or `mesh`, found `x/y/z`"]),
            ("mesh, ./edge, x/edge, edge", &[]),
        ],
    );
    check(
        "hosts: [a.io], $",
        &[
            (
                "gateways: [edge]",
                &["spec: expected rules in at least one of `http`, `tls` and `tcp`, found none"],
            ),
            (
                "exportTo: ['~'], http: [{redirect: {uri: /}}]",
                &[
                    "spec.exportTo[0]: expected `*`, `.` or a namespace, found `~`, which only a ServiceEntry takes",
                ],
            ),
            (
                "exportTo: ['a_b'], http: [{redirect: {uri: /}}]",
                &["spec.exportTo[0]: expected `*`, `.` or a namespace, found `a_b`"],
            ),
            (
                "exportTo: ['.', shop], http: [{redirect: {uri: /}}]",
                &["spec.exportTo[1]: the namespace `shop` is there twice"],
            ),
            (
                "exportTo: ['*', x], http: [{redirect: {uri: /}}]",
                &["spec.exportTo[0]: `*` stands for every namespace: expected no other"],
            ),
        ],
    );
    check(
        "hosts: [], $, http: [{redirect: {uri: /}}]",
        &[
            (
                "gateways: [edge]",
                &["spec.gateways: a VirtualService without `hosts` is a delegate and has no `gateways`"],
            ),
            (
                "tcp: [{route: []}]",
                &["spec.tcp: a VirtualService without `hosts` is a delegate and has no `tcp`"],
            ),
        ],
    );
}

#[test]
fn hosts_of_gateways() {
    let gateway_with = |hosts: &str| {
        format!(
            "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {{name: edge, namespace: shop}}\nspec: {{servers: [{{port: {{number: 80, name: a, protocol: HTTP}}, hosts: [{hosts}]}}]}}\n"
        )
    };
    let form = "expected a host with a dot, a `*.` wildcard, an address or `*`, with or without `NAMESPACE/` in front, found";
    for (hosts, expected) in [
        ("", vec!["spec.servers[0].hosts: missing: expected at least one host, or `*` for any".to_owned()]),
        ("short", vec![format!("spec.servers[0].hosts[0]: {form} `short`")]),
        ("'*x.io'", vec![format!("spec.servers[0].hosts[0]: {form} `*x.io`")]),
        ("a.io, 'ns/'", vec![format!("spec.servers[0].hosts[1]: {form} `ns/`")]),
        ("a_b/a.io", vec![format!("spec.servers[0].hosts[0]: {form} `a_b/a.io`")]),
        ("'*', './a.io', '*/b.io', 'ns/*.c.io', 10.0.0.1", vec![]),
    ] {
        assert_eq!(compile(&gateway_with(hosts), &gateway()).1, expected, "{hosts}");
    }
}

#[test]
fn matches() {
    let at = "spec.http[0].match[0]";
    let with = |text: &str| format!("{at}{text}");
    let claim = "expected one of `exact`, `prefix` and `regex` for the claim of a token, found none (write `regex: .*` for any string)";
    let cases: Vec<(&str, Vec<String>)> = vec![
        ("uri: {regex: ''}", vec![with(".uri.regex: expected a regular expression, found an empty one")]),
        ("uri: {prefix: ''}", vec![]),
        (
            "method: {prefix: ''}",
            vec![with(".method.prefix: expected a prefix, found an empty one (write `{}` for any value)")],
        ),
        (
            "scheme: {regex: 'a**'}",
            vec![with(".scheme.regex: `a**` is not a regular expression: `*` repeats a repetition")],
        ),
        (
            "authority: {prefix: ''}",
            vec![with(".authority.prefix: expected a prefix, found an empty one (write `{}` for any value)")],
        ),
        (
            "headers: {'': {exact: a}}",
            vec![
                with("[\"headers\"]")
                    .replace("[\"headers\"]", ".headers[\"\"]: expected the name of a header, found ``"),
            ],
        ),
        (
            "headers: {'a b': {exact: a}}",
            vec![with(".headers[\"a b\"]: expected the name of a header, found `a b`")],
        ),
        (
            "headers: {':path2': {exact: a}}",
            vec![with(".headers[\":path2\"]: expected the name of a header, found `:path2`")],
        ),
        (
            "headers: {x: {regex: '*'}}",
            vec![with(
                ".headers.x.regex: `*` is not a regular expression: repetition operator missing expression",
            )],
        ),
        (
            "headers: {x: {prefix: ''}}",
            vec![with(".headers.x.prefix: expected a prefix, found an empty one (write `{}` for any value)")],
        ),
        (
            "headers: {'@request.auth.claims': {exact: a}}",
            vec![with(
                ".headers[\"@request.auth.claims\"]: expected the name of a header, found `@request.auth.claims`",
            )],
        ),
        (
            "headers: {'@request.auth.claims.sub': {}}",
            vec![with(&format!(".headers[\"@request.auth.claims.sub\"]: {claim}"))],
        ),
        (
            "withoutHeaders: {'@request.auth.claims[sub]': null}",
            vec![with(&format!(".withoutHeaders[\"@request.auth.claims[sub]\"]: {claim}"))],
        ),
        (
            "withoutHeaders: {x: {regex: '['}}",
            vec![with(".withoutHeaders.x.regex: `[` is not a regular expression: missing `]`")],
        ),
        (
            "queryParams: {x: {prefix: ''}}",
            vec![with(
                ".queryParams.x.prefix: expected a prefix, found an empty one (write `{}` for any value)",
            )],
        ),
        ("port: 0", vec![with(".port: expected a port from 1 to 65535, found `0`")]),
        ("port: 65536", vec![with(".port: expected a port from 1 to 65535, found `65536`")]),
        (
            "gateways: ['a b']",
            vec![with(".gateways[0]: expected `NAMESPACE/NAME`, `NAME` or `mesh`, found `a b`")],
        ),
        ("sourceNamespace: a_b", vec![with(".sourceNamespace: expected a namespace, found `a_b`")]),
        (
            "sourceLabels: {'-': 'a b'}",
            vec![
                with(".sourceLabels[\"-\"]: expected the key of a label, found `-`"),
                with(".sourceLabels[\"-\"]: expected the value of a label, found `a b`"),
            ],
        ),
    ];
    for (written, expected) in cases {
        let spec = format!("http: [{{match: [{{{written}}}], route: [{{destination: {{host: a}}}}]}}]");
        assert_eq!(problems(&spec), expected, "{written}");
    }
}

#[test]
fn combinations_of_actions() {
    check(
        "http: [{$}]",
        &[
            (
                "name: x",
                &[
                    "spec.http[0]: expected one of `route`, `redirect`, `directResponse` and `delegate`, found none",
                ],
            ),
            (
                "redirect: {uri: /}, route: [{destination: {host: a}}], rewrite: {uri: /}, fault: {abort: {httpStatus: 500, percentage: {value: 1}}}, directResponse: {status: 200}",
                &[
                    "spec.http[0]: `redirect` and `route` exclude each other",
                    "spec.http[0]: `redirect` and `fault` exclude each other",
                    "spec.http[0]: `redirect` and `rewrite` exclude each other",
                    "spec.http[0]: `redirect` and `directResponse` exclude each other",
                    "spec.http[0]: `directResponse` and `route` exclude each other",
                    "spec.http[0]: `directResponse` and `fault` exclude each other",
                    "spec.http[0]: `directResponse` and `rewrite` exclude each other",
                ],
            ),
            (
                "route: [{destination: {host: a}}], mirror: {host: b}, mirrors: [{destination: {host: b}}]",
                &["spec.http[0]: expected one of `mirror` and `mirrors`, found both"],
            ),
        ],
    );
}

#[test]
fn destinations() {
    check(
        "http: [{route: [$]}]",
        &[
            ("{}", &["spec.http[0].route[0].destination: missing: expected a destination with a `host`"]),
            (
                "{destination: {subset: v1}}",
                &["spec.http[0].route[0].destination.host: missing: expected the name of a service"],
            ),
            (
                "{destination: {host: '*'}}",
                &["spec.http[0].route[0].destination.host: expected the name of a service, found `*`"],
            ),
            (
                "{destination: {host: 'a b'}}",
                &["spec.http[0].route[0].destination.host: expected the name of a service, found `a b`"],
            ),
            (
                "{destination: {host: a, subset: v_1}}",
                &["spec.http[0].route[0].destination.subset: expected the name of a subset, found `v_1`"],
            ),
            (
                "{destination: {host: a, port: {number: 70000}}}",
                &[
                    "spec.http[0].route[0].destination.port.number: expected a port from 1 to 65535, found `70000`",
                ],
            ),
            (
                "{destination: {host: a, port: {}}}",
                &[
                    "spec.http[0].route[0].destination.port.number: expected a port from 1 to 65535, found `0`",
                ],
            ),
            (
                "{destination: {host: a}, weight: -1}",
                &["spec.http[0].route[0].weight: expected a weight of 0 or more, found `-1`"],
            ),
            (
                "{destination: {host: a}}, {destination: {host: b}, weight: 0}",
                &["spec.http[0].route: expected weights with a sum above 0, found a sum of 0"],
            ),
        ],
    );
}

#[test]
fn timeouts_and_retries() {
    check(
        "http: [{route: [{destination: {host: a}}], $}]",
        &[
            (
                "timeout: 500us",
                &[
                    "spec.http[0].timeout: expected a duration of whole milliseconds, at least `1ms`, found `500µs`",
                ],
            ),
            (
                "timeout: 1500us",
                &[
                    "spec.http[0].timeout: expected a duration of whole milliseconds, at least `1ms`, found `1.5ms`",
                ],
            ),
            (
                "timeout: -1s",
                &[
                    "spec.http[0].timeout: expected a duration of whole milliseconds, at least `1ms`, found a negative duration or one too long to count",
                ],
            ),
            (
                "retries: {attempts: -1}",
                &["spec.http[0].retries.attempts: expected 0 attempts or more, found `-1`"],
            ),
            (
                "retries: {perTryTimeout: 1s, retryOn: 5xx, retriableStatusCodes: [503], retryRemoteLocalities: false}",
                &[
                    "spec.http[0].retries.perTryTimeout: `perTryTimeout` needs retries, and `attempts` is 0 (give the number of retries in `attempts`)",
                    "spec.http[0].retries.retryOn: `retryOn` needs retries, and `attempts` is 0 (give the number of retries in `attempts`)",
                    "spec.http[0].retries.retriableStatusCodes: `retriableStatusCodes` needs retries, and `attempts` is 0 (give the number of retries in `attempts`)",
                    "spec.http[0].retries.retryRemoteLocalities: `retryRemoteLocalities` needs retries, and `attempts` is 0 (give the number of retries in `attempts`)",
                ],
            ),
            (
                "retries: {attempts: 1, perTryTimeout: 0s}",
                &[
                    "spec.http[0].retries.perTryTimeout: expected a duration of whole milliseconds, at least `1ms`, found `0s`",
                ],
            ),
            (
                "retries: {attempts: 1, retryOn: '5xx, reset,499'}",
                &[
                    "spec.http[0].retries.retryOn: expected retry conditions of Envoy or registered status codes, separated by commas, found ` reset` (remove the space)",
                    "spec.http[0].retries.retryOn: expected retry conditions of Envoy or registered status codes, separated by commas, found `499`",
                ],
            ),
            (
                "retries: {attempts: 1, retriableStatusCodes: [99]}",
                &[
                    "spec.http[0].retries.retriableStatusCodes[0]: expected a status from 100 to 599, found `99`",
                ],
            ),
            (
                "retries: {attempts: 1, backoff: 0s}",
                &[
                    "spec.http[0].retries.backoff: expected a duration of whole milliseconds, at least `1ms`, found `0s`",
                ],
            ),
        ],
    );
}

#[test]
fn redirects_and_direct_responses() {
    check(
        "http: [{$}]",
        &[
            (
                "redirect: {}",
                &[
                    "spec.http[0].redirect: expected at least one of `uri`, `prefixRewrite`, `authority`, `port`, `derivePort` and `scheme`, found none",
                ],
            ),
            (
                "redirect: {uri: /, prefixRewrite: /}",
                &["spec.http[0].redirect: expected one of `uri` and `prefixRewrite`, found both"],
            ),
            (
                "redirect: {port: 1, derivePort: FROM_REQUEST_PORT}",
                &["spec.http[0].redirect: expected one of `port` and `derivePort`, found both"],
            ),
            (
                "redirect: {port: 70000}",
                &["spec.http[0].redirect.port: expected a port from 1 to 65535, found `70000`"],
            ),
            (
                "redirect: {scheme: ftp}",
                &["spec.http[0].redirect.scheme: expected `http` or `https`, found `ftp`"],
            ),
            (
                "redirect: {uri: /, redirectCode: 304}",
                &["spec.http[0].redirect.redirectCode: expected 301, 302, 303, 307 or 308, found `304`"],
            ),
            (
                "match: [{uri: {prefix: /a}}, {uri: {exact: /b}}, {method: {exact: GET}}], redirect: {prefixRewrite: /}",
                &[
                    "spec.http[0].match[1].uri: expected a `prefix`, as `redirect.prefixRewrite` replaces the matched prefix",
                ],
            ),
            (
                "directResponse: {}",
                &["spec.http[0].directResponse.status: missing: expected a status from 200 to 599"],
            ),
            (
                "directResponse: {status: 600}",
                &["spec.http[0].directResponse.status: expected a status from 200 to 599, found `600`"],
            ),
            (
                "directResponse: {status: 199}",
                &["spec.http[0].directResponse.status: expected a status from 200 to 599, found `199`"],
            ),
            (
                "directResponse: {status: 200, body: {string: a, bytes: YQ==}}",
                &["spec.http[0].directResponse.body: expected one of `string` and `bytes`, found both"],
            ),
        ],
    );
    let large = "a".repeat((1 << 20) + 1);
    assert_eq!(
        problems(&format!("http: [{{directResponse: {{status: 200, body: {{string: {large}}}}}}}]")),
        ["spec.http[0].directResponse.body: expected a body of at most 1048576 bytes, found 1048577"]
    );
}

#[test]
fn rewrites() {
    check(
        "http: [{route: [{destination: {host: a}}], rewrite: {$}}]",
        &[
            (
                "",
                &[
                    "spec.http[0].rewrite: expected at least one of `uri`, `uriRegexRewrite` and `authority`, found none",
                ],
            ),
            (
                "uri: /, uriRegexRewrite: {match: a, rewrite: b}",
                &["spec.http[0].rewrite: expected one of `uri` and `uriRegexRewrite`, found both"],
            ),
            (
                "uriRegexRewrite: {}",
                &[
                    "spec.http[0].rewrite.uriRegexRewrite.match: missing: expected both `match` and `rewrite`, found no `match`",
                    "spec.http[0].rewrite.uriRegexRewrite.rewrite: missing: expected both `match` and `rewrite`, found no `rewrite`",
                ],
            ),
            (
                "uriRegexRewrite: {match: '(', rewrite: b}",
                &[
                    "spec.http[0].rewrite.uriRegexRewrite.match: `(` is not a regular expression: unclosed group",
                ],
            ),
            (
                "uriRegexRewrite: {match: '(a)', rewrite: '\\2'}",
                &[
                    "spec.http[0].rewrite.uriRegexRewrite.rewrite: `\\2` names a group, and `match` has 1 of them",
                ],
            ),
            (
                "uriRegexRewrite: {match: a, rewrite: '\\x'}",
                &[
                    "spec.http[0].rewrite.uriRegexRewrite.rewrite: expected a digit or `\\` behind `\\`, found `x`",
                ],
            ),
        ],
    );
}

#[test]
fn faults() {
    check(
        "http: [{route: [{destination: {host: a}}], fault: {$}}]",
        &[
            ("", &["spec.http[0].fault: expected at least one of `delay` and `abort`, found none"]),
            (
                "delay: {fixedDelay: 0s, percent: 101}",
                &[
                    "spec.http[0].fault.delay.percent: `percent` is deprecated in favour of `percentage`",
                    "spec.http[0].fault.delay.percent: expected a percentage from 0 to 100, found `101`",
                    "spec.http[0].fault.delay.fixedDelay: expected a duration of whole milliseconds, at least `1ms`, found `0s`",
                ],
            ),
            (
                "delay: {fixedDelay: 1s, percentage: {value: 0.00001}}",
                &[
                    "spec.http[0].fault.delay.percentage.value: expected 0 or a percentage from 0.0001 to 100, found `0.00001`",
                ],
            ),
            (
                "delay: {exponentialDelay: 1s, percentage: {value: 1}}",
                &[
                    "spec.http[0].fault.delay.exponentialDelay: Istio has no exponential delays: expected `fixedDelay`",
                ],
            ),
            (
                "abort: {http2Error: X, percentage: {value: 1}}",
                &[
                    "spec.http[0].fault.abort.http2Error: Istio has no aborts by HTTP/2 error: expected `httpStatus` or `grpcStatus`",
                ],
            ),
            (
                "abort: {httpStatus: 600, percentage: {value: -1}}",
                &[
                    "spec.http[0].fault.abort.percentage.value: expected 0 or a percentage from 0.0001 to 100, found `-1`",
                    "spec.http[0].fault.abort.httpStatus: expected a status from 200 to 599, found `600`",
                ],
            ),
            (
                "abort: {httpStatus: 500, grpcStatus: OK, percentage: {value: 1}}",
                &["spec.http[0].fault.abort: expected one of `httpStatus` and `grpcStatus`, found both"],
            ),
            (
                "abort: {grpcStatus: unavailable, percentage: {value: 1}}",
                &[
                    "spec.http[0].fault.abort.grpcStatus: expected the name of a gRPC status such as `UNAVAILABLE`, found `unavailable` (write `UNAVAILABLE`)",
                ],
            ),
            (
                "abort: {grpcStatus: CANCELED, percentage: {value: 1}}",
                &[
                    "spec.http[0].fault.abort.grpcStatus: expected the name of a gRPC status such as `UNAVAILABLE`, found `CANCELED` (write `CANCELLED`)",
                ],
            ),
            (
                "abort: {grpcStatus: '14', percentage: {value: 1}}",
                &[
                    "spec.http[0].fault.abort.grpcStatus: expected the name of a gRPC status such as `UNAVAILABLE`, found `14` (write `UNAVAILABLE`)",
                ],
            ),
        ],
    );
}

#[test]
fn mirrors() {
    check(
        "http: [{route: [{destination: {host: a}}], $}]",
        &[
            ("mirror: {}", &["spec.http[0].mirror.host: missing: expected the name of a service"]),
            (
                "mirror: {host: b}, mirrorPercentage: {value: 100.5}",
                &["spec.http[0].mirrorPercentage.value: expected a percentage from 0 to 100, found `100.5`"],
            ),
            (
                "mirrors: [{percentage: {value: -1}}]",
                &[
                    "spec.http[0].mirrors[0].destination: missing: expected a destination with a `host`",
                    "spec.http[0].mirrors[0].percentage.value: expected a percentage from 0 to 100, found `-1`",
                ],
            ),
        ],
    );
}

#[test]
fn header_operations() {
    let operators = "expected one of %REQ(NAME?OTHER):LIMIT%, %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%, \
        %DOWNSTREAM_LOCAL_ADDRESS%, %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%, %DOWNSTREAM_LOCAL_PORT%, \
        %DOWNSTREAM_PEER_SUBJECT%, %DOWNSTREAM_PEER_URI_SAN%, %DOWNSTREAM_REMOTE_ADDRESS%, \
        %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%, %DOWNSTREAM_REMOTE_PORT%, %PROTOCOL%, %REQUESTED_SERVER_NAME%";
    let at = "spec.http[0].headers";
    let percent = "(write `%%` for a percent sign)";
    let cases: Vec<(&str, Vec<String>)> = vec![
        (
            "request: {set: {'': a}}",
            vec![format!("{at}.request.set[\"\"]: expected the name of a header, found ``")],
        ),
        (
            "request: {add: {':path': a}}",
            vec![format!(
                "{at}.request.add[\":path\"]: expected the name of a header or `:authority`, found the pseudo header `:path`"
            )],
        ),
        (
            "request: {remove: [host, ':authority', ':path', '']}",
            vec![
                format!("{at}.request.remove[0]: expected the name of a header, found `host`"),
                format!("{at}.request.remove[1]: expected the name of a header, found `:authority`"),
                format!("{at}.request.remove[2]: expected the name of a header, found `:path`"),
                format!("{at}.request.remove[3]: expected the name of a header, found ``"),
            ],
        ),
        (
            "response: {set: {host: a}, add: {':status': '1'}, remove: [Host]}",
            vec![
                format!("{at}.response.remove[0]: expected the name of a header, found `Host`"),
                format!("{at}.response.set.host: expected the name of a header, found `host`"),
                format!("{at}.response.add[\":status\"]: expected the name of a header, found `:status`"),
            ],
        ),
        (
            "request: {set: {x: '50%'}}",
            vec![format!("{at}.request.set.x: expected `%NAME%` or `%NAME(ARGUMENT)%`, found `%` {percent}")],
        ),
        (
            "request: {set: {x: '%REQ(a'}}",
            vec![format!(
                "{at}.request.set.x: expected `%NAME%` or `%NAME(ARGUMENT)%`, found `%REQ(a` {percent}"
            )],
        ),
        (
            "request: {set: {x: '%PROTOCOL(x)%', y: '%PROTOCOL%%DOWNSTREAM_PEER_DNS_SAN%'}}",
            vec![
                format!("{at}.request.set.x: the operator `PROTOCOL` cannot be evaluated here: {operators}"),
                format!(
                    "{at}.request.set.y: the operator `DOWNSTREAM_PEER_DNS_SAN` cannot be evaluated here: {operators}"
                ),
            ],
        ),
        (
            "request: {set: {x: '%START_TIME%'}}",
            vec![format!(
                "{at}.request.set.x: the operator `START_TIME` cannot be evaluated here: {operators}"
            )],
        ),
        (
            "request: {set: {x: \"a\\nb\"}}",
            vec![format!("{at}.request.set.x: expected a header value, found the control character 0x0a")],
        ),
        (
            "request: {set: {x-envoy-max-retries: '9'}}",
            vec![format!(
                "{at}.request.set[\"x-envoy-max-retries\"]: `x-envoy-max-retries` gives orders to the proxy and cannot be set by a rule"
            )],
        ),
        (
            "request: {add: {X-Mesh-Policy-Cluster: a}}",
            vec![format!(
                "{at}.request.add[\"X-Mesh-Policy-Cluster\"]: `x-mesh-policy-cluster` gives orders to the proxy and cannot be set by a rule"
            )],
        ),
        (
            "request: {set: {host: a, ':authority': b}}",
            vec![format!(
                "{at}.request.set.host: the authority is set more than once by `host` and `:authority`"
            )],
        ),
        (
            "request: {set: {host: '%REQ(x)%'}}",
            vec![format!(
                "{at}.request.set.host: an authority is taken as it stands: expected no `%` and no control character, found `%REQ(x)%`"
            )],
        ),
    ];
    for (written, expected) in cases {
        let spec = format!("http: [{{route: [{{destination: {{host: a}}}}], headers: {{{written}}}}}]");
        assert_eq!(problems(&spec), expected, "{written}");
        let spec = format!("http: [{{route: [{{destination: {{host: a}}, headers: {{{written}}}}}]}}]");
        let below: Vec<String> =
            expected.iter().map(|text| text.replace(at, "spec.http[0].route[0].headers")).collect();
        assert_eq!(problems(&spec), below, "{written}");
    }
    check(
        "http: [{$, route: [{destination: {host: a}}]}]",
        &[(
            "rewrite: {authority: a}, headers: {request: {set: {host: b}}}",
            &["spec.http[0]: the authority is set by `rewrite.authority` and by `headers.request`"],
        )],
    );
}

#[test]
fn claims_select_routes_at_gateways_only() {
    let message = "the claims of a token select routes at gateways only: expected `gateways` without `mesh`";
    let rules = "http: [{match: [{uri: {exact: /}}, {headers: {'@request.auth.claims.sub': {exact: a}}, withoutHeaders: {'@request.auth.claims[x]': {exact: a}, '@request.auth.claims': {exact: a}}}], route: [{destination: {host: a}}]}]";
    let malformed = "spec.http[0].match[1].withoutHeaders[\"@request.auth.claims\"]: expected the name of a header, found `@request.auth.claims`";
    for hosts in [
        "hosts: [a.io]",
        "hosts: [a.io], gateways: [mesh]",
        "hosts: [a.io], gateways: [edge, mesh]",
        "hosts: []",
    ] {
        let found = problems(&format!("{hosts}, {rules}"));
        assert_eq!(
            found,
            [
                format!("spec.http[0].match[1].headers[\"@request.auth.claims.sub\"]: {message}"),
                format!("spec.http[0].match[1].withoutHeaders[\"@request.auth.claims[x]\"]: {message}"),
                malformed.to_owned(),
            ],
            "{hosts}"
        );
    }
    assert_eq!(problems(&format!("hosts: [a.io], gateways: [edge], {rules}")), [malformed]);
}

#[test]
fn cross_origin_policies() {
    let at = "spec.http[0].corsPolicy";
    let origins = "allowOrigins: [{exact: a}]";
    let every = "(write `regex: .*` for every origin)";
    for (written, expected) in [
        (
            "allowOrigins: [{}, {exact: ''}, {prefix: ''}, {regex: ''}, {regex: '('}]".to_owned(),
            vec![
                format!("{at}.allowOrigins[0]: expected one of `exact`, `prefix` and `regex`, found none {every}"),
                format!("{at}.allowOrigins[1].exact: expected an origin such as `https://example.com`, found an empty text"),
                format!("{at}.allowOrigins[2].prefix: expected the beginning of an origin, found an empty text {every}"),
                format!("{at}.allowOrigins[3].regex: expected a regular expression, found an empty one"),
                format!("{at}.allowOrigins[4].regex: `(` is not a regular expression: unclosed group"),
            ],
        ),
        (
            format!("{origins}, allowMethods: [GET, get, '*', LINK, '']"),
            ["1|get", "3|LINK", "4|"]
                .iter()
                .filter_map(|found| found.split_once('|'))
                .map(|(index, found)| format!("{at}.allowMethods[{index}]: expected one of GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE, *, found `{found}`"))
                .collect(),
        ),
        (
            format!("{origins}, allowHeaders: [x-a, '*', ''], exposeHeaders: ['a b', '*']"),
            vec![
                format!("{at}.allowHeaders[2]: expected the name of a header or `*`, found ``"),
                format!("{at}.exposeHeaders[0]: expected the name of a header or `*`, found `a b`"),
            ],
        ),
        (
            format!("{origins}, maxAge: 0s"),
            vec![format!("{at}.maxAge: expected a duration of whole milliseconds, at least `1ms`, found `0s`")],
        ),
        (
            format!("{origins}, maxAge: 1.5s"),
            vec![format!("{at}.maxAge: expected whole seconds, found `1.5s`")],
        ),
        (format!("{origins}, maxAge: 24h, allowMethods: ['*']"), vec![]),
    ] {
        let spec = format!("http: [{{corsPolicy: {{{written}}}, route: [{{destination: {{host: a}}}}]}}]");
        assert_eq!(problems(&spec), expected, "{written}");
    }
}
