use super::*;

/// Writes down all that it is told.
#[derive(Default)]
struct Notes(Vec<String>);

impl RouteObserver for Notes {
    fn virtual_host(&mut self, host: &[u8], domain: Option<&str>, domains: &[&str]) {
        self.0.push(format!("host {} {domain:?} of {domains:?}", String::from_utf8_lossy(host)));
    }

    fn excluded(&mut self, rule: &RuleId, why: &Excluded<'_>) {
        self.0.push(match why {
            Excluded::Proxy { field, wants, found } => {
                format!("{rule} excluded: {field} wants {wants}, found {found}")
            }
            Excluded::Unreachable { behind } => format!("{rule} behind {behind}"),
        });
    }

    fn failed(&mut self, rule: &RuleId, condition: &FailedCondition<'_>) {
        let FailedCondition { field, wants, found } = condition;
        let found = found.as_deref().map(String::from_utf8_lossy);
        self.0.push(format!("{rule} failed: {field} wants {wants}, found {found:?}"));
    }

    fn considered(&mut self, rule: &RuleId, matched: bool) {
        self.0.push(format!("{rule} {}", if matched { "matched" } else { "missed" }));
    }
}

fn notes(table: &RouteTable, sent: &Sent) -> Vec<String> {
    sent.view(|request| {
        let mut notes = Notes::default();
        let observed = matches!(table.select(request, &mut notes), Selection::Route(_));
        assert_eq!(observed, matches!(table.select(request, &mut ()), Selection::Route(_)));
        notes.0
    })
}

#[test]
fn an_observer_hears_why_each_rule_did_not_match() {
    let table = table(
        "http: [{match: [{uri: {prefix: /a}, headers: {User-Agent: {regex: '.*Firefox.*'}}, withoutHeaders: {x: {}}, queryParams: {q: {exact: '1'}}, method: {exact: POST}}, {port: 81}, {sourceLabels: {app: web}}], route: [{destination: {host: a}}]}, {route: [{destination: {host: a}}]}, {match: [{uri: {exact: /b}}], redirect: {uri: /}}]",
    );
    let sent = Sent::new("GET http://Shop.io:80/b", &[("user-agent", "curl"), ("x", "1")]);
    assert_eq!(
        notes(&table, &sent),
        [
            r#"host shop.io Some("shop.io") of ["shop.io"]"#,
            "VirtualService shop/web http[0].match[1] excluded: http[0].match[1].port wants 81, found 80",
            "VirtualService shop/web http[0].match[2] excluded: http[0].match[2].sourceLabels.app wants web, found no such label",
            "VirtualService shop/web http[2].match[0] behind VirtualService shop/web http[1]",
            r#"VirtualService shop/web http[0].match[0] failed: http[0].match[0].uri wants a path that begins with `/a`, found Some("/b")"#,
            r#"VirtualService shop/web http[0].match[0] failed: http[0].match[0].method wants exactly `POST`, found Some("GET")"#,
            r#"VirtualService shop/web http[0].match[0] failed: http[0].match[0].headers["User-Agent"] wants a value that matches `.*Firefox.*`, found Some("curl")"#,
            r#"VirtualService shop/web http[0].match[0] failed: http[0].match[0].withoutHeaders.x wants no such header, found Some("1")"#,
            r#"VirtualService shop/web http[0].match[0] failed: http[0].match[0].queryParams.q wants exactly `1`, found None"#,
            "VirtualService shop/web http[0].match[0] missed",
            "VirtualService shop/web http[1] matched",
        ]
    );
}

#[test]
fn an_observer_hears_which_hosts_there_are() {
    let table = table("hosts: [a.io, '*.b.io'], gateways: [edge], http: [{redirect: {uri: /}}]");
    assert_eq!(notes(&table, &get("c.io/")), [r#"host c.io None of ["a.io", "*.b.io"]"#]);
}
