use super::*;
use mesh_policy_istio::workload::RouterSettings;

fn steered_by(steering: Steering) -> ProxyContext {
    ProxyContext { steering, ..gateway() }
}

const RULES: &str = "http: [{match: [{uri: {prefix: /a}}], rewrite: {uri: /b}, timeout: 2s, retries: {attempts: 1}, \
     route: [{destination: {host: a, port: {number: 8080}}}]}, {route: [{destination: {host: a, port: {number: 80}}}]}]";

#[test]
fn a_header_can_tell_the_cluster() {
    let table = table_for(&virtual_service(RULES), &steered_by(Steering::Header("x-to".to_owned())));
    assert_eq!(
        forward_edits(&table, &get("shop.io/a")),
        [
            "x-to=outbound|8080||a.shop.svc.cluster.local",
            "x-envoy-upstream-rq-timeout-ms=2000",
            "x-envoy-max-retries=1",
            "x-envoy-retry-on=connect-failure,refused-stream,retriable-status-codes",
            "x-envoy-retry-grpc-on=unavailable,cancelled",
            "x-envoy-original-path=/a",
            ":path=/b",
        ]
    );
}

#[test]
fn the_authority_can_tell_the_destination() {
    let table = table_for(&virtual_service(RULES), &steered_by(Steering::Authority));
    assert_eq!(
        forward_edits(&table, &get("shop.io/a")).first().unwrap(),
        ":authority=a.shop.svc.cluster.local:8080"
    );
    assert_eq!(forward_edits(&table, &get("shop.io/")), [":authority=a.shop.svc.cluster.local"]);
}

/// Envoy selects its route anew when a header changes, and at no other word of ours.
#[test]
fn each_way_sets_a_header_for_each_request_that_goes_on() {
    let rules = "hosts: ['*'], gateways: [edge], http: [{route: [{destination: {host: a}}]}]";
    for steering in [Steering::Compiled, Steering::Header("x-to".to_owned()), Steering::Authority] {
        let table = table_for(&virtual_service(rules), &steered_by(steering.clone()));
        // What is there already is set all the same.
        let sent = Sent::new(
            "GET http://a.shop.svc.cluster.local/",
            &[("x-to", "outbound|80||a.shop.svc.cluster.local")],
        );
        sent.view(|request| {
            let mut edits = Vec::new();
            choice(&table, request, &mut SplitMix64::new(1)).forward_edits(request, &mut edits);
            assert!(matches!(edits.as_slice(), [HeaderEdit::Set(..), ..]), "{steering:?}: {edits:?}");
        });
    }
}

#[test]
fn the_clients_own_copy_of_the_header_is_dropped() {
    let sent = Sent::new("GET http://shop.io/", &[("x-to", "a"), ("x-to", "b"), ("x-envoy-retry-on", "5xx")]);
    for (steering, expected) in [
        (Steering::Compiled, &["-x-envoy-retry-on"][..]),
        (Steering::Authority, &["-x-envoy-retry-on"]),
        (Steering::Header("x-to".to_owned()), &["-x-envoy-retry-on", "-x-to"]),
    ] {
        sent.view(|request| {
            let mut edits = Vec::new();
            steering.drop_client_orders(request, &mut edits);
            assert_eq!(show(&edits), expected);
        });
    }
}

#[test]
fn what_routes_of_somebody_elses_cannot_do_is_refused() {
    let refused = |spec: &str, steering: Steering| compile(&virtual_service(spec), &steered_by(steering)).1;
    let rule = |more: &str| format!("http: [{{{more}, route: [{{destination: {{host: a}}}}]}}]");
    let header = || Steering::Header("x-to".to_owned());
    let why = "need the routes that `mesh-policy compile` writes, and `router` names others";
    for (written, field, what) in [
        ("mirror: {host: b}", "mirror", "copies"),
        ("mirrors: [{destination: {host: b}}]", "mirrors", "copies"),
        ("retries: {attempts: 1, backoff: 1s}", "retries.backoff", "the place and the time of retries"),
        (
            "retries: {attempts: 1, retryRemoteLocalities: true}",
            "retries.retryRemoteLocalities",
            "the place and the time of retries",
        ),
        (
            "retries: {attempts: 1, retryIgnorePreviousHosts: false}",
            "retries.retryIgnorePreviousHosts",
            "the place and the time of retries",
        ),
    ] {
        for steering in [header(), Steering::Authority] {
            assert_eq!(refused(&rule(written), steering), [format!("spec.http[0].{field}: {what} {why}")]);
        }
        assert_eq!(refused(&rule(written), Steering::Compiled), [""; 0]);
    }
    let subset = "http: [{route: [{destination: {host: a, subset: v1}}]}]";
    assert_eq!(refused(subset, header()), [""; 0]);
    assert_eq!(
        refused(subset, Steering::Authority),
        [
            "spec.http[0].route[0].destination.subset: a subset cannot be told by the authority, as `router.destinationAuthority` asks"
        ]
    );
    let rewrite = rule("rewrite: {authority: x}");
    assert_eq!(refused(&rewrite, header()), [""; 0]);
    assert_eq!(
        refused(&rewrite, Steering::Authority),
        [
            "spec.http[0].route[0]: the authority tells the destination, as `router.destinationAuthority` asks, and cannot be rewritten"
        ]
    );
}

#[test]
fn the_settings_name_one_way() {
    let compile = |header: Option<&str>, authority: Option<bool>| {
        let mut problems = Problems::new();
        let settings = RouterSettings {
            destination_header: header.map(str::to_owned),
            destination_authority: authority,
        };
        let steering = Steering::compile(&settings, &mut problems);
        if problems.is_empty() { Ok(steering) } else { Err(problems.to_string().trim_end().to_owned()) }
    };
    assert_eq!(compile(None, None), Ok(Steering::Compiled));
    assert_eq!(compile(None, Some(false)), Ok(Steering::Compiled));
    assert_eq!(compile(None, Some(true)), Ok(Steering::Authority));
    assert_eq!(compile(Some("X-To"), Some(false)), Ok(Steering::Header("x-to".to_owned())));
    assert_eq!(
        compile(Some("x-to"), Some(true)),
        Err("router: expected one of `destinationHeader` and `destinationAuthority`, found both".to_owned())
    );
    for name in ["", "a b", ":authority", "x-mesh-policy-cluster", "x-envoy-retry-on"] {
        assert_eq!(
            compile(Some(name), None),
            Err(format!(
                "router.destinationHeader: expected the name of a header that no other part of the proxy reads, found `{name}`"
            ))
        );
    }
}
