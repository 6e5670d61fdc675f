use super::*;

/// The only route of a rule that forwards to `api`, with these fields beside.
fn forwarding(fields: &str) -> Value {
    routes(&format!("[{{route: [{{destination: {{host: api}}}}], {fields}}}]")).remove(0)
}

fn matching(conditions: &str) -> Value {
    forwarding(&format!("match: [{conditions}]"))["match"].clone()
}

#[test]
fn paths_are_compared_as_written() {
    assert_eq!(matching("{uri: {exact: /a}}"), json!({"path": "/a"}));
    assert_eq!(matching("{uri: {prefix: /a}}"), json!({"prefix": "/a"}));
    assert_eq!(matching("{uri: {regex: /a.*}}"), json!({"safe_regex": {"regex": "/a.*"}}));
    assert_eq!(matching("{port: 8081}"), json!({"prefix": "/"}));
    assert_eq!(
        matching("{uri: {exact: /a}, ignoreUriCase: true}"),
        json!({"path": "/a", "case_sensitive": false})
    );
}

#[test]
fn headers_match_by_value_or_presence() {
    let found = matching(
        "{headers: {x-a: {exact: \"\"}, x-b: {}, x-c: {prefix: p}, x-d: {regex: r}}, method: {exact: GET}, \
         authority: {prefix: a}, scheme: {exact: http}}",
    );
    let expected = json!([
        {"name": "x-a", "string_match": {"exact": ""}},
        {"name": "x-b", "present_match": true},
        {"name": "x-c", "string_match": {"prefix": "p"}},
        {"name": "x-d", "string_match": {"safe_regex": {"regex": "r"}}},
        {"name": ":method", "string_match": {"exact": "GET"}},
        {"name": ":authority", "string_match": {"prefix": "a"}},
        {"name": ":scheme", "string_match": {"exact": "http"}},
    ]);
    assert_eq!(found["headers"], expected);
}

#[test]
fn an_unwanted_value_counts_a_missing_header_as_empty() {
    let found = matching("{withoutHeaders: {x-a: {exact: v}, x-b: {}, x-c: null, x-d: {regex: \"*\"}}}");
    let absent = |name: &str| json!({"name": name, "present_match": true, "invert_match": true});
    let unwanted = json!({
        "name": "x-a", "string_match": {"exact": "v"}, "invert_match": true, "treat_missing_header_as_empty": true,
    });
    assert_eq!(found["headers"], json!([unwanted, absent("x-b"), absent("x-c"), absent("x-d")]));
}

#[test]
fn query_parameters_match_by_value_or_presence() {
    assert_eq!(
        matching("{queryParams: {a: {}, b: {exact: \"2\"}}}")["query_parameters"],
        json!([{"name": "a", "present_match": true}, {"name": "b", "string_match": {"exact": "2"}}])
    );
}

#[test]
fn claims_are_looked_up_in_the_metadata_of_the_token() {
    let found = matching("{headers: {'@request.auth.claims.a.b': {exact: v}}}");
    assert_eq!(found.get("headers"), None);
    let claim = &found["dynamic_metadata"][0];
    assert_eq!(claim["filter"], "envoy.filters.http.jwt_authn");
    assert_eq!(claim["path"], json!([{"key": "payload"}, {"key": "a"}, {"key": "b"}]));
    assert_eq!(claim["invert"], false);
    assert_eq!(claim["value"]["or_match"]["value_matchers"][0], json!({"string_match": {"exact": "v"}}));
    let found = matching("{withoutHeaders: {'@Request.Auth.Claims[a.b][c]': {prefix: v}}}");
    assert_eq!(
        found["dynamic_metadata"][0]["path"],
        json!([{"key": "payload"}, {"key": "a.b"}, {"key": "c"}])
    );
    assert_eq!(found["dynamic_metadata"][0]["invert"], true);
}

#[test]
fn what_is_known_beforehand_decides_which_matches_are_emitted() {
    let all = routes(
        "[{name: a, match: [{name: port, port: 80}, {name: labels, sourceLabels: {istio: other}}, \
         {name: namespace, sourceNamespace: shop}, {name: gateway, gateways: [other]}, \
         {name: all, uri: {prefix: /x}, port: 8081, gateways: [edge], sourceLabels: {istio: other}}], \
         route: [{destination: {host: api}}]}]",
    );
    let names: Vec<&Value> = all.iter().map(|route| &route["name"]).collect();
    assert_eq!(names, ["a.all"]);
}

#[test]
fn nothing_is_emitted_behind_a_catch_all() {
    let to = "route: [{destination: {host: api}}]";
    let first = |conditions: &str| {
        let all = routes(&format!("[{{name: a, match: [{conditions}], {to}}}, {{name: b, {to}}}]"));
        all.len()
    };
    assert_eq!(first("{uri: {prefix: /}}"), 1);
    assert_eq!(first("{uri: {regex: .*}}"), 1);
    assert_eq!(first("{name: n}"), 1);
    assert_eq!(first("{uri: {prefix: /}, headers: {x: {}}}"), 2);
    assert_eq!(first("{uri: {prefix: /}, queryParams: {x: {}}}"), 2);
    assert_eq!(first("{uri: {prefix: /}, headers: {'@request.auth.claims.a': {}}}"), 2);
    assert_eq!(first("{uri: {prefix: /a}}"), 2);
    assert_eq!(first("{uri: {prefix: \"\"}}"), 2);
}

#[test]
fn hosts_in_common_are_joined_with_catch_alls_last() {
    let to = "route: [{destination: {host: api}}]";
    let text = format!(
        "{GATEWAY}{}{}{}{}",
        virtual_service(
            "b",
            "[a.io, \"*.b.io\"]",
            &format!("[{{name: b, match: [{{uri: {{exact: /b}}}}], {to}}}, {{name: last-b, {to}}}]")
        ),
        virtual_service("a", "[A.io]", &format!("[{{name: upper, {to}}}]")),
        virtual_service("c", "[a.io]", &format!("[{{name: c, match: [{{uri: {{prefix: /c}}}}], {to}}}]")),
        virtual_service("d", "[only-port.io]", &format!("[{{name: d, match: [{{port: 1}}], {to}}}]")),
    );
    assert_eq!(
        names(&virtual_hosts(&text)),
        [
            ("*.b.io:8081".to_owned(), vec!["b".to_owned(), "last-b".to_owned()]),
            ("a.io:8081".to_owned(), ["b", "c", "upper", "last-b"].map(str::to_owned).to_vec()),
        ]
    );
}

#[test]
fn a_server_serves_what_it_shares_with_a_virtual_service() {
    let to = "[{route: [{destination: {host: api}}]}]";
    let served = |servers: &str, hosts: &str| -> Vec<String> {
        let gateway = GATEWAY.replace("hosts: [\"*\"]", &format!("hosts: {servers}"));
        let found = virtual_hosts(&format!("{gateway}{}", virtual_service("a", hosts, to)));
        found.iter().map(|host| host["domains"][0].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(served("[\"*.shop.io\"]", "[api.shop.io, other.org]"), ["api.shop.io"]);
    assert_eq!(served("[api.shop.io]", "[\"*.shop.io\"]"), ["api.shop.io"]);
    assert_eq!(served("[\"shop/*.io\"]", "[a.io]"), ["a.io"]);
    assert_eq!(served("[\"./*.io\"]", "[a.io]"), ["a.io"]);
    assert_eq!(served("[\"*/*.io\"]", "[a.io]"), ["a.io"]);
    // Nothing is served: every request gets 404.
    assert_eq!(served("[\"other/*.io\"]", "[a.io]"), ["*"]);
    assert_eq!(served("[\"*.shop.io\"]", "[api]"), ["*"]);
    assert_eq!(served("[\"*\"]", "[api]"), ["api.shop.svc.cluster.local"]);
}

#[test]
fn private_virtual_services_come_before_those_exported_by_name_and_public_ones() {
    let with = |name: &str, namespace: &str, export: &str| {
        format!(
            "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}, namespace: {namespace}}}\n\
             spec: {{hosts: [a.io], gateways: [shop/edge], exportTo: {export}, http: [{{name: {name}, match: [{{uri: {{prefix: /x}}}}], \
             route: [{{destination: {{host: api}}}}]}}]}}\n"
        )
    };
    let text = [
        GATEWAY.to_owned(),
        with("a-public", "shop", "[\"*\"]"),
        with("b-named", "shop", "[istio-system]"),
        with("c-private", "istio-system", "[\".\"]"),
        with("d-hidden", "shop", "[\".\"]"),
    ];
    let expected = ["c-private", "b-named", "a-public"].map(str::to_owned).to_vec();
    assert_eq!(names(&virtual_hosts(&text.concat())), [("a.io:8081".to_owned(), expected)]);
}

#[test]
fn a_redirect_leaves_out_the_port_of_its_scheme() {
    let port = |fields: &str| {
        let route = routes(&format!("[{{redirect: {fields}}}]")).remove(0);
        route["redirect"].get("port_redirect").cloned()
    };
    assert_eq!(port("{port: 80}"), None);
    assert_eq!(port("{port: 443}"), Some(json!(443)));
    assert_eq!(port("{scheme: https, port: 443}"), None);
    assert_eq!(port("{scheme: https, port: 80}"), Some(json!(80)));
    assert_eq!(port("{authority: b.com, derivePort: FROM_REQUEST_PORT}"), Some(json!(8081)));
    assert_eq!(port("{authority: b.com, derivePort: FROM_PROTOCOL_DEFAULT}"), None);
}

#[test]
fn redirects_and_direct_responses_keep_the_response_operations() {
    let headers = "headers: {response: {set: {x-a: b}}}";
    let route =
        routes(&format!("[{{redirect: {{uri: /new, authority: b.com, redirectCode: 307}}, {headers}}}]"));
    assert_eq!(
        route[0]["redirect"],
        json!({"path_redirect": "/new", "host_redirect": "b.com", "response_code": "TEMPORARY_REDIRECT"})
    );
    assert_eq!(route[0]["response_headers_to_add"][0]["header"], json!({"key": "x-a", "value": "b"}));
    let route = routes("[{match: [{uri: {prefix: /foo}}], redirect: {prefixRewrite: /bar, scheme: https}}]");
    assert_eq!(
        route[0]["redirect"],
        json!({"prefix_rewrite": "/bar", "scheme_redirect": "https", "response_code": "MOVED_PERMANENTLY"})
    );
    let route = routes("[{directResponse: {status: 503, body: {bytes: /v8=}}}]");
    assert_eq!(route[0]["direct_response"], json!({"status": 503, "body": {"inline_bytes": "/v8="}}));
    let route = routes("[{directResponse: {status: 200, body: {string: ok}}}]");
    assert_eq!(route[0]["direct_response"], json!({"status": 200, "body": {"inline_string": "ok"}}));
}

#[test]
fn a_plain_rule_has_istios_defaults() {
    assert_eq!(
        forwarding("name: plain")["route"],
        json!({
            "cluster": "outbound|9000||api.shop.svc.cluster.local",
            "timeout": "0s",
            "max_stream_duration": {"grpc_timeout_header_max": "0s"},
            "retry_policy": {
                "num_retries": 2,
                "retry_on": "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
                "host_selection_retry_max_attempts": "5",
                "retry_host_predicate": [{
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {"@type": "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"},
                }],
            },
        })
    );
}

#[test]
fn a_destination_without_port_takes_the_services_only_one_or_the_listeners() {
    let cluster = |destination: &str| {
        routes(&format!("[{{route: [{{destination: {destination}}}]}}]"))[0]["route"]["cluster"].clone()
    };
    assert_eq!(cluster("{host: api}"), "outbound|9000||api.shop.svc.cluster.local");
    assert_eq!(cluster("{host: web}"), "outbound|8081||web.shop.svc.cluster.local");
    assert_eq!(cluster("{host: web, port: {number: 90}}"), "outbound|90||web.shop.svc.cluster.local");
    assert_eq!(cluster("{host: other.org, subset: v1}"), "outbound|8081|v1|other.org");
}

#[test]
fn several_destinations_share_by_weight_and_keep_their_own_operations() {
    let route = routes(
        "[{headers: {request: {set: {x: r}}}, route: [\
         {destination: {host: api, subset: v1}, weight: 1, headers: {request: {set: {x: d, HOST: inner}, remove: [z, host]}}}, \
         {destination: {host: api, subset: v2}, weight: 0}, {destination: {host: api, subset: v3}, weight: 3}]}]",
    );
    let clusters = &route[0]["route"]["weighted_clusters"]["clusters"];
    assert_eq!(
        clusters,
        &json!([
            {
                "name": "outbound|9000|v1|api.shop.svc.cluster.local",
                "weight": 1,
                "host_rewrite_literal": "inner",
                "request_headers_to_add": [
                    {"header": {"key": "x", "value": "d"}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"},
                ],
                "request_headers_to_remove": ["z"],
            },
            {"name": "outbound|9000|v3|api.shop.svc.cluster.local", "weight": 3},
        ])
    );
    assert_eq!(route[0]["request_headers_to_add"][0]["header"]["value"], "r");
}

#[test]
fn the_operations_of_a_single_destination_join_those_of_the_rule() {
    let route = routes(
        "[{headers: {request: {set: {x: r}, add: {y: r}, remove: [a]}, response: {remove: [b]}}, route: [{destination: {host: api}, \
         headers: {request: {set: {x: d}, remove: [c]}, response: {add: {z: d}}}}]}]",
    );
    let line = |key: &str, value: &str, action: &str| json!({"header": {"key": key, "value": value}, "append_action": action});
    let (set, add) = ("OVERWRITE_IF_EXISTS_OR_ADD", "APPEND_IF_EXISTS_OR_ADD");
    assert_eq!(
        route[0]["request_headers_to_add"],
        json!([line("x", "r", set), line("y", "r", add), line("x", "d", set)])
    );
    assert_eq!(route[0]["request_headers_to_remove"], json!(["a", "c"]));
    assert_eq!(route[0]["response_headers_to_add"], json!([line("z", "d", add)]));
    assert_eq!(route[0]["response_headers_to_remove"], json!(["b"]));
}

#[test]
fn the_authority_is_the_rewrites_before_what_is_set_before_what_is_added() {
    let host = |fields: &str| forwarding(fields)["route"].get("host_rewrite_literal").cloned();
    let headers = "headers: {request: {set: {\":authority\": set}, add: {Host: added}}}";
    assert_eq!(host(&format!("rewrite: {{authority: rewritten}}, {headers}")), Some(json!("rewritten")));
    assert_eq!(host(&format!("rewrite: {{uri: /}}, {headers}")), Some(json!("set")));
    assert_eq!(host("headers: {request: {add: {Host: added}}}"), Some(json!("added")));
    assert_eq!(forwarding(headers).get("request_headers_to_add"), None);
    assert_eq!(host("name: plain"), None);
}

#[test]
fn rewrites_replace_what_matched_or_by_expression() {
    let action = |fields: &str| forwarding(fields)["route"].clone();
    assert_eq!(action("rewrite: {uri: /new}")["prefix_rewrite"], "/new");
    assert_eq!(action("rewrite: {uri: \"\", authority: a}").get("prefix_rewrite"), None);
    assert_eq!(
        action(r#"rewrite: {uriRegexRewrite: {match: "/(a)", rewrite: '/b\1'}}"#)["regex_rewrite"],
        json!({"pattern": {"regex": "/(a)"}, "substitution": r"/b\1"})
    );
}

#[test]
fn a_timeout_also_bounds_what_grpc_asks_for() {
    let route = forwarding("timeout: 1500ms");
    assert_eq!(route["route"]["timeout"], "1.500s");
    assert_eq!(route["route"]["max_grpc_timeout"], "1.500s");
    // It would switch the bound off.
    assert_eq!(route["route"].get("max_stream_duration"), None);
}

#[test]
fn retries_are_istios_with_what_the_rule_says() {
    let policy =
        |retries: &str| forwarding(&format!("retries: {retries}"))["route"].get("retry_policy").cloned();
    assert_eq!(policy("{}"), None);
    assert_eq!(policy("{attempts: 0}"), None);
    let numbers = policy("{attempts: 3, retryOn: \"5xx,503, 429\", perTryTimeout: 2s}").unwrap();
    assert_eq!(numbers["num_retries"], 3);
    assert_eq!(numbers["retry_on"], "5xx,retriable-status-codes");
    assert_eq!(numbers["retriable_status_codes"], json!([503, 429]));
    assert_eq!(numbers["per_try_timeout"], "2s");
    let own = policy("{attempts: 1, retriableStatusCodes: [503]}").unwrap();
    assert_eq!(own["retriable_status_codes"], json!([503]));
    assert_eq!(
        own["retry_on"],
        "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
    );
    let places =
        policy("{attempts: 1, retryIgnorePreviousHosts: false, retryRemoteLocalities: true, backoff: 50ms}")
            .unwrap();
    assert_eq!(places.get("retry_host_predicate"), None);
    assert_eq!(places["retry_priority"]["typed_config"]["update_frequency"], 2);
    assert_eq!(places["retry_back_off"], json!({"base_interval": "0.050s"}));
}

#[test]
fn copies_go_to_all_unless_a_share_is_given() {
    let shares = |fields: &str| -> Vec<Value> {
        let route = forwarding(fields);
        let mirrors = route["route"].get("request_mirror_policies").and_then(Value::as_array).cloned();
        let share = |mirror: &Value| mirror["runtime_fraction"]["default_value"].clone();
        mirrors.unwrap_or_default().iter().map(share).collect()
    };
    let of = |numerator: u32, denominator: &str| json!({"numerator": numerator, "denominator": denominator});
    assert_eq!(shares("mirror: {host: web}"), [of(100, "HUNDRED")]);
    assert_eq!(shares("mirror: {host: web}, mirrorPercent: 7"), [of(7, "HUNDRED")]);
    assert_eq!(
        shares("mirror: {host: web}, mirrorPercent: 7, mirrorPercentage: {value: 0.1}"),
        [of(1000, "MILLION")]
    );
    assert!(shares("mirror: {host: web}, mirrorPercentage: {value: 0}").is_empty());
    let listed = "mirrors: [{destination: {host: web}}, {destination: {host: api}, percentage: {value: 50}}, \
                  {destination: {host: api}, percentage: {value: 0}}]";
    assert_eq!(shares(listed), [of(100, "HUNDRED"), of(500_000, "MILLION")]);
    let mirror = &forwarding("mirror: {host: api, subset: v2}")["route"]["request_mirror_policies"][0];
    assert_eq!(mirror["cluster"], "outbound|9000|v2|api.shop.svc.cluster.local");
    assert_eq!(mirror["disable_shadow_host_suffix_append"], true);
}

#[test]
fn faults_stand_in_the_filters_settings_of_the_route() {
    let fault = |fault: &str| {
        forwarding(&format!("fault: {fault}"))
            .pointer("/typed_per_filter_config/envoy.filters.http.fault")
            .cloned()
    };
    let both = fault("{delay: {fixedDelay: 2s, percentage: {value: 12.34567}}, abort: {httpStatus: 418, percentage: {value: 100}}}")
        .unwrap();
    assert_eq!(
        both,
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.fault.v3.HTTPFault",
            "delay": {"fixed_delay": "2s", "percentage": {"numerator": 123_456, "denominator": "MILLION"}},
            "abort": {"http_status": 418, "percentage": {"numerator": 1_000_000, "denominator": "MILLION"}},
        })
    );
    let never = json!({"numerator": 0, "denominator": "HUNDRED"});
    let grpc = fault("{abort: {grpcStatus: UNAUTHENTICATED}}").unwrap();
    assert_eq!(grpc["abort"], json!({"grpc_status": 16, "percentage": never}));
    let whole = fault("{delay: {fixedDelay: 1s, percent: 5}}").unwrap();
    assert_eq!(whole["delay"]["percentage"], json!({"numerator": 5, "denominator": "HUNDRED"}));
    assert_eq!(fault("{abort: {percentage: {value: 100}}}"), None);
}

#[test]
fn cross_origin_rules_stand_in_the_filters_settings_of_the_route() {
    let cors = |policy: &str| {
        let route = forwarding(&format!("corsPolicy: {policy}"));
        route["typed_per_filter_config"]["envoy.filters.http.cors"].clone()
    };
    assert_eq!(
        cors(
            "{allowOrigins: [{exact: a}, {regex: b.*}], allowOrigin: [ignored], allowMethods: [GET, POST], \
             allowHeaders: [x-a], exposeHeaders: [x-b, x-c], maxAge: 24h, allowCredentials: true}"
        ),
        json!({
            "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
            "allow_origin_string_match": [{"exact": "a"}, {"safe_regex": {"regex": "b.*"}}],
            "filter_enabled": {"default_value": {"numerator": 100, "denominator": "HUNDRED"}},
            "allow_methods": "GET,POST",
            "allow_headers": "x-a",
            "expose_headers": "x-b,x-c",
            "max_age": "86400",
            "allow_credentials": true,
            "forward_not_matching_preflights": true,
        })
    );
    let old = cors("{allowOrigin: [a], unmatchedPreflights: IGNORE}");
    assert_eq!(old["allow_origin_string_match"], json!([{"exact": "a"}]));
    assert_eq!(old["forward_not_matching_preflights"], false);
}
