//! How many rules are verified for a request where many share what they ask for: counted, since time depends on the machine.

use super::*;

/// Its name, how many rules, each of them, the request, and how many rules are verified at most.
type Shape = (&'static str, usize, Box<dyn Fn(usize) -> String>, Request, usize);

/// One policy a hundred rules.
fn crowd(action: &str, rules: impl Iterator<Item = String>) -> Authorizer {
    let rules: Vec<String> = rules.collect();
    let spec = |rules: &[String]| format!(r#"{{"action": "{action}", "rules": [{}]}}"#, rules.join(","));
    let policies = rules.chunks(100).enumerate();
    authorizer(&policies.map(|(at, rules)| policy(&format!("p{at:04}"), &spec(rules))).collect::<Vec<_>>())
}

/// How many ALLOW rules are verified until one matches, and whether one does.
fn verified(authorizer: &Authorizer, request: &Request) -> (usize, bool) {
    request.see(|view| {
        let facts = Facts::new(view, false);
        let Pool { rules, filing, .. } = &authorizer.allow;
        let mut count = 0;
        let found = filing.as_ref().unwrap().first(&facts, false, &mut |at| {
            count += 1;
            rules[at].matches(&facts)
        });
        let plain = Facts::new(view, true);
        assert_eq!(found, rules.iter().position(|rule| rule.matches(&plain)));
        (count, found.is_some())
    })
}

fn path_and(number: usize, more: &str) -> String {
    format!(r#"{{"to": [{{"operation": {{"paths": ["/path-{number}"]}}}}], {more}}}"#)
}

#[test]
fn few_rules_are_verified_however_they_share_their_conditions() {
    let header =
        |n: usize| format!(r#""when": [{{"key": "request.headers[x-tenant]", "values": ["t{n}"]}}]"#);
    let principal = |n: usize| format!(r#""from": [{{"source": {{"principals": ["td/ns/a/sa/{n}"]}}}}]"#);
    let block =
        |n: usize| format!(r#""from": [{{"source": {{"ipBlocks": ["10.{}.{}.0/24"]}}}}]"#, n / 256, n % 256);
    let namespace = |n: usize| format!(r#""from": [{{"source": {{"namespaces": ["ns{n}"]}}}}]"#);
    let paths = |path: String| format!(r#"{{"to": [{{"operation": {{"paths": ["{path}"]}}}}]}}"#);
    let get = Request::get;
    let methods = ["GET", "PUT", "POST", "HEAD", "DELETE"];
    let deep = "/x".repeat(100);
    let shapes: Vec<Shape> = vec![
        (
            "paths x headers",
            10_000,
            Box::new(move |n| path_and(n / 100, &header(n % 100))),
            get("/path-12").header("x-tenant", "t34"),
            1,
        ),
        (
            "paths x headers, none met",
            10_000,
            Box::new(move |n| path_and(n / 100, &header(n % 100))),
            get("/path-12").header("x-tenant", "t"),
            0,
        ),
        (
            "principals on one path",
            10_000,
            Box::new(move |n| path_and(1, &principal(n))),
            get("/path-1").peer("td/ns/a/sa/777"),
            1,
        ),
        (
            "blocks on one path",
            1_000,
            Box::new(move |n| path_and(1, &block(n))),
            get("/path-1").with(Attribute::DirectRemoteIp, "10.1.7.3"),
            1,
        ),
        (
            "namespaces x methods x paths",
            5_000,
            Box::new(move |n| {
                format!(
                    r#"{{"from": [{{"source": {{"namespaces": ["ns{}"]}}}}], "to": [{{"operation": {{"methods": ["{}"], "paths": ["/p{}*"]}}}}]}}"#,
                    n / 250,
                    methods[n % 5],
                    n / 5 % 50
                )
            }),
            get("/p42/x").peer("td/ns/ns7/sa/x"),
            5,
        ),
        (
            "namespaces x headers",
            2_500,
            Box::new(move |n| format!("{{{}, {}}}", namespace(n % 50), header(n / 50))),
            get("/").peer("td/ns/ns7/sa/x").header("x-tenant", "t3"),
            1,
        ),
        (
            "a long common beginning",
            10_000,
            Box::new(move |n| paths(format!("{deep}/{n}/*"))),
            get(&format!("{}/4711/a", "/x".repeat(100))),
            1,
        ),
        ("ends", 10_000, Box::new(move |n| paths(format!("*/page-{n}.html"))), get("/a/page-4711.html"), 1),
        (
            "one literal inside a template",
            2_000,
            Box::new(move |n| paths(format!("/{{*}}/orders-{n}/{{*}}"))),
            get("/a/orders-471/b"),
            1,
        ),
        (
            "one literal before the rest of a template",
            2_000,
            Box::new(move |n| paths(format!("/{{*}}/orders-{n}/{{**}}"))),
            get("/a/orders-471/b"),
            1,
        ),
        (
            "hosts x paths",
            2_500,
            Box::new(move |n| {
                format!(
                    r#"{{"to": [{{"operation": {{"hosts": ["*.h{}.example"], "paths": ["/p{}/*"]}}}}]}}"#,
                    n / 50,
                    n % 50
                )
            }),
            get("/p42/x").header(":authority", "A.H7.example"),
            1,
        ),
        (
            "methods x paths",
            2_500,
            Box::new(move |n| {
                format!(
                    r#"{{"to": [{{"operation": {{"methods": ["{}"], "paths": ["/p{}"]}}}}]}}"#,
                    methods[n % 5],
                    n / 5
                )
            }),
            get("/p42").header(":method", "DELETE"),
            5,
        ),
        (
            "only what must not be",
            1_000,
            Box::new(move |n| {
                format!(r#"{{"to": [{{"operation": {{"notPaths": ["/p{n}"], "notMethods": ["PUT"]}}}}]}}"#)
            }),
            get("/p0"),
            2,
        ),
    ];
    for (name, rules, rule, request, most) in shapes {
        let authorizer = crowd("ALLOW", (0..rules).map(rule));
        let (count, found) = verified(&authorizer, &request);
        assert!(count <= most, "{name}: {count} of {rules} rules are verified");
        assert_eq!(found, most > 0, "{name}");
    }
}

#[test]
fn of_long_lists_few_entries_are_tried() {
    let list = |value: &dyn Fn(usize) -> String| (0..10_000).map(value).collect::<Vec<_>>().join(",");
    let principals = list(&|n| format!(r#""td/ns/a/sa/{n}""#));
    let sources =
        list(&|n| format!(r#"{{"source": {{"principals": ["td/ns/a/sa/{n}"], "notNamespaces": ["b"]}}}}"#));
    let blocks = list(&|n| format!(r#""10.{}.{}.0/24""#, n / 256, n % 256));
    let request = Request::get("/").peer("td/ns/a/sa/4711").with(Attribute::DirectRemoteIp, "10.1.7.3");
    for (name, rule) in [
        ("values", format!(r#"{{"from": [{{"source": {{"principals": [{principals}]}}}}]}}"#)),
        ("alternatives", format!(r#"{{"from": [{sources}]}}"#)),
        ("blocks", format!(r#"{{"from": [{{"source": {{"ipBlocks": [{blocks}]}}}}]}}"#)),
    ] {
        let authorizer = crowd("ALLOW", [rule].into_iter());
        assert!(request.passes(&authorizer), "{name}");
        assert!(
            !request
                .clone()
                .peer("td/ns/a/sa/x")
                .with(Attribute::DirectRemoteIp, "11.0.0.1")
                .passes(&authorizer)
        );
        let tried = request.see(|view| authorizer.allow.rules[0].tried(&Facts::new(view, false)));
        assert_eq!(
            tried,
            [1, 1],
            "{name}: alternatives of `from`, and values of the first condition of the last of them"
        );
    }
}

/// Counts what is asked of the proxy.
struct Counting<'r>(&'r Request, std::cell::Cell<usize>);

impl Attributes for Counting<'_> {
    fn attribute(&self, attribute: Attribute) -> Option<Vec<u8>> {
        self.1.set(self.1.get() + 1);
        self.0.attribute(attribute)
    }
}

#[test]
fn the_proxy_is_asked_only_for_what_may_decide() {
    struct AnyPermit;
    impl AuthzObserver for AnyPermit {
        fn takes_any_permit(&self) -> bool {
            true
        }
    }
    let rules = |first: usize| {
        (0..40).map(move |n| match (n + first) % 2 {
            0 => format!(r#"{{"to": [{{"operation": {{"paths": ["/p{n}"]}}}}]}}"#),
            _ => format!(r#"{{"from": [{{"source": {{"principals": ["td/ns/a/sa/{n}"]}}}}]}}"#),
        })
    };
    for (action, first, path, asked, asked_for_any) in [
        ("ALLOW", 0, "/p0", 0, 0),
        ("ALLOW", 0, "/p38", 3, 0),
        ("ALLOW", 1, "/p1", 3, 0),
        ("ALLOW", 0, "/x", 3, 3),
        ("DENY", 0, "/p0", 0, 0),
        ("DENY", 0, "/p38", 3, 3),
    ] {
        let authorizer = crowd(action, rules(first));
        let request = Request::get(path);
        let buffer = HeaderMap::write(&request.headers);
        let headers = HeaderMap::parse(&buffer).unwrap();
        let count = |observe: &dyn Fn(&RequestView<'_>) -> bool| {
            let counting = Counting(&request, std::cell::Cell::new(0));
            (observe(&RequestView::new(&headers, &counting)), counting.1.get())
        };
        let by_first = count(&|view| authorizer.authorize(view, &mut ()).is_allowed());
        let by_any = count(&|view| authorizer.authorize(view, &mut AnyPermit).is_allowed());
        assert_eq!((by_first.1, by_any.1), (asked, asked_for_any), "{action} {path}");
        assert_eq!(by_first.0, by_any.0);
    }
}
