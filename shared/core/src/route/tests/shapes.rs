//! How many routes are verified for a request where many share what they ask for: counted, since time depends on the machine.

use super::*;

/// Its name, how many routes, what each matches, the request, and how many routes are verified at most.
type Shape = (&'static str, usize, Box<dyn Fn(usize) -> String>, Sent, usize);

/// How many routes are verified until one matches, and whether one does; as trying all of them finds it.
fn verified(table: &RouteTable, sent: &Sent) -> (usize, bool) {
    sent.view(|request| {
        let host = host_of(request.authority().unwrap_or_default());
        let (_, virtual_host) = table.domains.find(&host).unwrap();
        let virtual_host = &table.virtual_hosts[virtual_host];
        let mut count = 0;
        let matches = |at: usize| table.routes[virtual_host.routes[at]].verify(request, &mut ());
        let found = virtual_host.filing.as_ref().unwrap().first(request, &mut |at| {
            count += 1;
            matches(at)
        });
        assert_eq!(found, (0..virtual_host.routes.len()).find(|at| matches(*at)));
        (count, found.is_some())
    })
}

#[test]
fn few_routes_are_verified_however_they_share_their_conditions() {
    let header = |n: usize| format!("headers: {{x-tenant: {{exact: t{n}}}}}");
    let deep = "/x".repeat(100);
    let shapes: Vec<Shape> = vec![
        ("headers", 5_000, Box::new(header), Sent::new("GET http://shop.io/", &[("x-tenant", "t471")]), 1),
        (
            "paths x headers",
            4_900,
            Box::new(move |n| format!("uri: {{prefix: /p{}/}}, {}", n / 70, header(n % 70))),
            Sent::new("GET http://shop.io/p12/x", &[("x-tenant", "t34")]),
            1,
        ),
        (
            "paths x headers, none met",
            4_900,
            Box::new(move |n| format!("uri: {{prefix: /p{}/}}, {}", n / 70, header(n % 70))),
            Sent::new("GET http://shop.io/p12/x", &[("x-tenant", "t")]),
            0,
        ),
        (
            "paths x parameters",
            900,
            Box::new(move |n| {
                format!("uri: {{exact: /p{}}}, queryParams: {{v: {{exact: '{}'}}}}", n / 30, n % 30)
            }),
            Sent::new("GET http://shop.io/p12?v=7", &[]),
            1,
        ),
        (
            "methods x paths",
            1_000,
            Box::new(move |n| {
                format!(
                    "uri: {{exact: /p{}}}, method: {{exact: {}}}",
                    n / 5,
                    ["GET", "PUT", "POST", "HEAD", "DELETE"][n % 5]
                )
            }),
            Sent::new("DELETE http://shop.io/p12", &[]),
            5,
        ),
        (
            "a long common beginning",
            2_000,
            Box::new(move |n| format!("uri: {{prefix: {deep}/{n}/}}")),
            Sent::new(&format!("GET http://shop.io{}/471/a", "/x".repeat(100)), &[]),
            1,
        ),
        (
            "expressions with a literal beginning",
            500,
            Box::new(move |n| format!("uri: {{regex: '/items-{n}/[0-9]+(/reviews)?'}}")),
            Sent::new("GET http://shop.io/items-47/11", &[]),
            1,
        ),
        (
            "expressions x headers",
            900,
            Box::new(move |n| format!("uri: {{regex: '/items-{}/[0-9]+'}}, {}", n % 30, header(n / 30))),
            Sent::new("GET http://shop.io/items-7/11", &[("x-tenant", "t3")]),
            1,
        ),
        (
            "in any case",
            1_000,
            Box::new(move |n| {
                format!("uri: {{exact: /P{}}}, ignoreUriCase: true, {}", n % 30, header(n / 30))
            }),
            Sent::new("GET http://shop.io/p7", &[("x-tenant", "t3")]),
            1,
        ),
        (
            "only what must not be there",
            500,
            Box::new(move |n| format!("withoutHeaders: {{x-tenant: {{exact: t{n}}}}}")),
            Sent::new("GET http://shop.io/", &[("x-tenant", "t0")]),
            2,
        ),
    ];
    for (name, routes, matched, sent, most) in shapes {
        let rule =
            |n: usize| format!("{{match: [{{{}}}], route: [{{destination: {{host: web}}}}]}}", matched(n));
        let table = table(&format!("http: [{}]", (0..routes).map(rule).collect::<Vec<_>>().join(", ")));
        let (count, found) = verified(&table, &sent);
        assert!(count <= most, "{name}: {count} of {routes} routes are verified");
        assert_eq!(found, most > 0, "{name}");
    }
}
