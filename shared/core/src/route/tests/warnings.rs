use super::*;

fn problems(spec: &str) -> Vec<String> {
    let mut problems = Problems::new();
    let _ = RouteTable::compile(&resources(&virtual_service(spec)), &gateway(), &mut problems);
    assert!(!problems.has_errors(), "{problems}");
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn rules_that_nothing_reaches_are_pointed_out() {
    let rule = |matched: &str| format!("{{{matched} route: [{{destination: {{host: a}}}}]}}");
    let prefix = |prefix: &str| rule(&format!("match: [{{uri: {{prefix: {prefix}}}}}],"));
    for (rules, expected) in [
        (vec![prefix("/a"), prefix("/b"), rule("")], None),
        (
            vec![rule(""), prefix("/a")],
            Some("spec.http[1].match[0]: never reached: `http[0]` takes all such requests"),
        ),
        (vec![rule(""), rule("")], Some("spec.http[1]: never reached: `http[0]` takes all such requests")),
        (
            vec![prefix("/a"), prefix("/ab")],
            Some("spec.http[1].match[0]: never reached: `http[0].match[0]` takes all such requests"),
        ),
        (
            vec![prefix("/a"), rule("match: [{uri: {exact: /ab}, method: {exact: GET}}],")],
            Some("spec.http[1].match[0]: never reached: `http[0].match[0]` takes all such requests"),
        ),
        (vec![prefix("/ab"), prefix("/a")], None),
        (vec![rule("match: [{uri: {prefix: /a}, method: {exact: GET}}],"), prefix("/ab")], None),
        (vec![rule("match: [{uri: {prefix: /a}, port: 80}],"), prefix("/ab")], None),
        (vec![rule("match: [{uri: {prefix: /A}, ignoreUriCase: true}],"), prefix("/A")], None),
        (
            vec![
                rule("match: [{name: x, headers: {a: {regex: b}}}],"),
                rule("match: [{name: y, headers: {a: {regex: b}}}],"),
            ],
            Some("spec.http[1].match[0]: never reached: `http[0].match[0]` takes all such requests"),
        ),
        (
            vec![rule("match: [{headers: {a: {regex: b}}}],"), rule("match: [{headers: {a: {exact: b}}}],")],
            None,
        ),
    ] {
        let found = problems(&format!("http: [{}]", rules.join(", ")));
        assert_eq!(found, expected.into_iter().collect::<Vec<_>>(), "{rules:?}");
    }
}

#[test]
fn what_has_no_effect_is_pointed_out() {
    let forward = "route: [{destination: {host: a}}]";
    for (rule, expected) in [
        (
            "redirect: {uri: /}, timeout: 1s, retries: {}, mirror: {host: b}".to_owned(),
            vec![
                "spec.http[0].timeout: `timeout` has no effect beside `redirect`",
                "spec.http[0].retries: `retries` has no effect beside `redirect`",
                "spec.http[0].mirror: `mirror` has no effect beside `redirect`",
            ],
        ),
        (
            format!("fault: {{delay: {{fixedDelay: 1s}}, abort: {{httpStatus: 500}}}}, {forward}"),
            vec![
                "spec.http[0].fault.delay: delays no request, as no `percentage` is given (add `percentage: {value: 100}` for every request)",
                "spec.http[0].fault.abort: aborts no request, as no `percentage` is given (add `percentage: {value: 100}` for every request)",
            ],
        ),
        (
            format!(
                "fault: {{delay: {{percentage: {{value: 1}}}}, abort: {{percentage: {{value: 1}}}}}}, {forward}"
            ),
            vec![
                "spec.http[0].fault.delay: delays no request, as no `fixedDelay` is given",
                "spec.http[0].fault.abort: aborts no request, as neither `httpStatus` nor `grpcStatus` is given",
            ],
        ),
        (
            format!("fault: {{delay: {{fixedDelay: 1s, percent: 10}}}}, {forward}"),
            vec!["spec.http[0].fault.delay.percent: `percent` is deprecated in favour of `percentage`"],
        ),
        (
            format!("mirrorPercentage: {{value: 1}}, mirrorPercent: 1, {forward}"),
            vec![
                "spec.http[0].mirrorPercentage: `mirrorPercentage` has no effect without `mirror`",
                "spec.http[0].mirrorPercent: `mirrorPercent` has no effect without `mirror`",
            ],
        ),
        (
            format!("mirror: {{host: b}}, mirrorPercent: 1, {forward}"),
            vec!["spec.http[0].mirrorPercent: `mirrorPercent` is deprecated in favour of `mirrorPercentage`"],
        ),
        (
            format!(
                "match: [{{gateways: [edge.shop.svc], sourceNamespace: shop, statPrefix: x}}], {forward}"
            ),
            vec![
                "spec.http[0].match[0].gateways[0]: `edge.shop.svc` is the form from before namespaces were written in front (write `shop/edge`)",
                "spec.http[0].match[0]: `sourceLabels` and `sourceNamespace` have no effect in a match with `gateways`",
                "spec.http[0].match[0].statPrefix: has no effect here: no statistics are kept under this prefix",
            ],
        ),
        (
            format!("directResponse: {{status: 200, body: {{string: {}}}}}", "a".repeat(102_401)),
            vec![
                "spec.http[0].directResponse.body: a body of 102401 bytes is held in memory by every worker of the proxy",
            ],
        ),
    ] {
        assert_eq!(problems(&format!("http: [{{{rule}}}]")), expected, "{rule}");
    }
}

#[test]
fn cross_origin_policies_without_effect_are_pointed_out() {
    let rule =
        |policy: &str, action: &str| problems(&format!("http: [{{corsPolicy: {{{policy}}}, {action}}}]"));
    let forward = "route: [{destination: {host: a}}]";
    assert_eq!(
        rule("", forward),
        ["spec.http[0].corsPolicy: allows no origin, as no `allowOrigins` is given"]
    );
    assert_eq!(
        rule("allowOrigin: ['*']", forward),
        ["spec.http[0].corsPolicy.allowOrigin: deprecated in favour of `allowOrigins`"]
    );
    assert_eq!(
        rule("allowOrigin: ['*'], allowOrigins: [{exact: a}]", forward),
        ["spec.http[0].corsPolicy.allowOrigin: has no effect beside `allowOrigins`"]
    );
    for (action, named) in
        [("redirect: {uri: /x}", "redirect"), ("directResponse: {status: 200}", "directResponse")]
    {
        assert_eq!(
            rule("allowOrigins: [{exact: a}]", action),
            [format!("spec.http[0].corsPolicy: `corsPolicy` has no effect beside `{named}`")]
        );
    }
}
