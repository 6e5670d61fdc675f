use super::*;

const RULE: &str = "headers: {request: {set: {x: r}, add: {y: r}}, response: {set: {x: r}, add: {y: r}}},";
const DESTINATION: &str = "headers: {request: {set: {x: d}, add: {y: d}, remove: [z]}, response: {set: {x: d}, add: {y: d}, remove: [Z]}}";

fn edits(table: &RouteTable, sent: &Sent) -> (Vec<String>, Vec<String>) {
    sent.view(|request| {
        let choice = choice(table, request, &mut SplitMix64::new(1));
        let (mut there, mut back) = (Vec::new(), Vec::new());
        choice.request_edits(request, &mut there);
        choice.response_edits(request, &mut back);
        (show(&there), show(&back))
    })
}

#[test]
fn the_destination_has_the_last_word_when_it_is_the_only_one() {
    let table = table(&format!("http: [{{{RULE} route: [{{destination: {{host: a}}, {DESTINATION}}}]}}]"));
    let expected = ["-z", "x=r", "x=d", "y+=r", "y+=d"];
    let (there, back) = edits(&table, &get("shop.io/"));
    assert_eq!(there, expected);
    assert_eq!(back, expected);
}

#[test]
fn the_rule_has_the_last_word_when_there_are_several_destinations() {
    let table = table(&format!(
        "http: [{{{RULE} route: [{{destination: {{host: a}}, weight: 1, {DESTINATION}}}, {{destination: {{host: b}}}}]}}]"
    ));
    let expected = ["-z", "x=d", "y+=d", "x=r", "y+=r"];
    let (there, back) = edits(&table, &get("shop.io/"));
    assert_eq!(there, expected);
    assert_eq!(back, expected);
}

#[test]
fn names_are_sorted_and_written_in_lower_case() {
    let table = table(
        "http: [{headers: {request: {set: {b: '1', A: '2', x-a: '3'}, remove: [X-Q, x-b]}}, route: [{destination: {host: a}}]}]",
    );
    assert_eq!(edits(&table, &get("shop.io/")).0, ["-x-q", "-x-b", "a=2", "b=1", "x-a=3"]);
}

#[test]
fn empty_values_leave_a_header_alone() {
    let table = table(
        "http: [{headers: {request: {set: {x: '', y: '%REQ(missing)%', z: a}, add: {w: ''}}}, route: [{destination: {host: a}}]}]",
    );
    assert_eq!(edits(&table, &get("shop.io/")).0, ["z=a"]);
}

#[test]
fn values_can_take_parts_of_the_request() {
    let sent =
        Sent::new("GET http://shop.io/a?b", &[("x-user", "me"), ("x-user", "you"), ("x-long", "abcdef")])
            .with(Attribute::RemoteIp, "10.1.2.3")
            .with(Attribute::Protocol, "HTTP/1.1");
    for (value, expected) in [
        ("100%%", "100%"),
        ("%REQ(X-User)%", "me"),
        ("[%REQ(x-user)%]", "[me]"),
        ("%REQ(x-none?x-user)%", "me"),
        ("%REQ(x-long):3%", "abc"),
        ("%REQ(:path)%", "/a?b"),
        ("%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "10.1.2.3"),
        ("%PROTOCOL%/%REQ(:method)%", "HTTP/1.1/GET"),
    ] {
        let table = table(&format!(
            "http: [{{headers: {{request: {{set: {{x: '{value}'}}}}, response: {{set: {{x: '{value}'}}}}}}, route: [{{destination: {{host: a}}}}]}}]"
        ));
        let expected = [format!("x={expected}")];
        assert_eq!(edits(&table, &sent), (expected.to_vec(), expected.to_vec()), "{value}");
    }
}

#[test]
fn values_of_a_block_see_its_removals_and_the_blocks_before() {
    let sent = Sent::new("GET http://shop.io/", &[("a", "0"), ("b", "0")]);
    let one = table(
        "http: [{headers: {request: {set: {a: '1', c: '%REQ(a)%', d: '%REQ(b)%'}, remove: [b]}}, route: [{destination: {host: a}}]}]",
    );
    assert_eq!(edits(&one, &sent).0, ["-b", "a=1", "c=0"]);
    let several = table(
        "http: [{headers: {request: {set: {c: '%REQ(a)%'}}, response: {set: {c: '%REQ(a)%'}}}, route: [{destination: {host: a}, weight: 1, headers: {request: {set: {a: '1'}}}}, {destination: {host: b}}]}]",
    );
    let (there, back) = edits(&several, &sent);
    assert_eq!(there, ["a=1", "c=1"]);
    assert_eq!(back, ["c=1"]);
}

#[test]
fn answers_from_here_carry_the_rules_response_headers() {
    for action in ["redirect: {uri: /}", "directResponse: {status: 200}"] {
        let table = table(&format!(
            "http: [{{{action}, headers: {{request: {{set: {{x: y}}}}, response: {{set: {{content-type: text/plain}}}}}}}}]"
        ));
        let (there, back) = edits(&table, &get("shop.io/"));
        assert_eq!(there, [""; 0]);
        assert_eq!(back, ["content-type=text/plain"]);
    }
}

#[test]
fn an_authority_among_the_headers_is_none_of_them() {
    let table =
        table("http: [{headers: {request: {set: {host: b.io, x: y}}}, route: [{destination: {host: a}}]}]");
    assert_eq!(edits(&table, &get("shop.io/")).0, ["x=y"]);
}

#[test]
fn operators_tell_facts_of_the_connection() {
    let sent = get("shop.io/")
        .with(Attribute::DirectRemoteIp, "10.0.0.1")
        .with(Attribute::RemoteIp, "2001:db8::1")
        .with(Attribute::RemoteAddress, "[2001:db8::1]:4711")
        .with(Attribute::DestinationIp, "10.0.0.2")
        .with(Attribute::DestinationAddress, "10.0.0.2:8443")
        .with(Attribute::DestinationPort, "8443")
        .with(Attribute::PeerUriSans, "spiffe://a/1,spiffe://a/2")
        .with(Attribute::PeerSubject, "CN=a")
        .with(Attribute::RequestedServerName, "shop.io")
        .with(Attribute::Protocol, "HTTP/2");
    for (operator, expected) in [
        ("DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT", "10.0.0.1"),
        ("DOWNSTREAM_LOCAL_ADDRESS", "10.0.0.2:8443"),
        ("DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "10.0.0.2"),
        ("DOWNSTREAM_LOCAL_PORT", "8443"),
        ("DOWNSTREAM_PEER_SUBJECT", "CN=a"),
        ("DOWNSTREAM_PEER_URI_SAN", "spiffe://a/1,spiffe://a/2"),
        ("DOWNSTREAM_REMOTE_ADDRESS", "[2001:db8::1]:4711"),
        ("DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "2001:db8::1"),
        ("DOWNSTREAM_REMOTE_PORT", "4711"),
        ("PROTOCOL", "HTTP/2"),
        ("REQUESTED_SERVER_NAME", "shop.io"),
        ("REQUEST_HEADER(:authority?x):4", "shop"),
    ] {
        let spec = |direction: &str| {
            format!(
                "http: [{{headers: {{{direction}: {{set: {{x: '<%{operator}%>'}}}}}}, route: [{{destination: {{host: a}}}}]}}]"
            )
        };
        let expected = [format!("x=<{expected}>")];
        assert_eq!(edits(&table(&spec("request")), &sent).0, expected);
        assert_eq!(edits(&table(&spec("response")), &sent).1, expected);
        // On its own a fact that is not there leaves the header alone.
        if !operator.starts_with("REQUEST_HEADER") {
            assert_eq!(edits(&table(&spec("request").replace(['<', '>'], "")), &get("shop.io/")).0, [""; 0]);
        }
    }
}
