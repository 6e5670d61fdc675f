//! The guide's advanced VirtualService techniques: matches, rewrites, headers, AND and OR.

use super::{gateway::Gateway, report::Report};
use crate::{Result, client::Request};

const V1: &str = "200 from v1";
const V2: &str = "200 from v2";

/// Shows the rows.
pub fn show(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    properties(report, gateway)?;
    rewrite(report, gateway)?;
    headers(report, gateway)?;
    logic(report, gateway)?;
    orders(report, gateway)
}

fn properties(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section("Granular request matching: what matches goes to v2  (match.customers.example.com)");
    let host = gateway.host("match.customers.example.com");
    let get = |path: &str| Request::get(path);
    let team = |team: &str| Request::get("/header").header("x-team", team);
    let rows = [
        ("uri exact: /exact", get("/exact"), V2),
        ("- the query does not count", get("/exact?a=b"), V2),
        ("- near miss", get("/exact/"), V1),
        ("uri prefix: /prefix", get("/prefixed/more"), V2),
        ("- near miss", get("/Prefix"), V1),
        ("uri regex: /items/[0-9]+", get("/items/42"), V2),
        ("- near miss: the whole path counts", get("/items/42x"), V1),
        ("scheme exact: http", get("/scheme"), V2),
        ("scheme exact: https", get("/secure"), V1),
        ("- claimed by the client", get("/secure").header("x-forwarded-proto", "https"), V1),
        ("method exact: DELETE", Request::new("DELETE", "/method"), V2),
        ("- near miss", get("/method"), V1),
        ("authority regex", get("/authority"), V2),
        ("header exact: internal", team("internal"), V2),
        ("- near miss", team("Internal"), V1),
        ("- a line beside it does not hide it", team("other").header("x-team", "internal"), V2),
        ("header prefix: beta-", team("beta-7"), V2),
        ("- near miss", team("beta"), V1),
        ("header regex: canary|nightly", team("nightly"), V2),
        ("- near miss: the whole value counts", team("nightly-2"), V1),
        ("no such header", get("/header"), V1),
    ];
    for (example, request, expected) in rows {
        report.request(example, &request, expected, |request| host.send(request))?;
    }
    let other = gateway.host("other.customers.example.com");
    report.exact("authority regex, near miss", "GET http://other.customers.example.com/authority", V1, || {
        Ok(super::report::outcome(&other.send(&get("/authority"))?))
    })
}

fn rewrite(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section(
        "URI rewrites: the client says /v1/api, the service hears /v2/api  (rewrite.customers.example.com)",
    );
    let host = gateway.host("rewrite.customers.example.com");
    let rows = [
        (
            "the prefix is replaced",
            "/v1/api/customers/7?full=true",
            "200, heard /v2/api/customers/7?full=true",
        ),
        ("nothing behind the prefix", "/v1/api", "200, heard /v2/api"),
        ("no rule matches", "/v1/other", "404"),
    ];
    for (example, path, expected) in rows {
        report.exact(example, format!("GET {path}"), expected, || {
            let response = host.send(&Request::get(path))?;
            Ok(match response.echo() {
                Ok(echo) => format!("{}, heard {}", response.status, echo.path),
                Err(_) => response.status.to_string(),
            })
        })?;
    }
    Ok(())
}

fn headers(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section("Header manipulation: set, add, remove  (headers.customers.example.com)");
    let host = gateway.host("headers.customers.example.com");
    let request_rows = [
        ("request set: debug", None, "debug", "true"),
        ("- over the client's value", Some(("debug", "false")), "debug", "true"),
        ("request add: x-trace", Some(("x-trace", "client")), "x-trace", "client,gateway"),
        ("request remove: x-internal", Some(("x-internal", "1")), "x-internal", "absent"),
    ];
    for (example, sent, name, expected) in request_rows {
        let request = Request::get("/headers");
        let request = match sent {
            Some((name, value)) => request.header(name, value),
            None => request,
        };
        report.exact(
            example,
            super::report::words(&request),
            &format!("the service hears {name}: {expected}"),
            || {
                let heard = host.send(&request)?.echo()?.header(name).unwrap_or_else(|| "absent".to_owned());
                Ok(format!("the service hears {name}: {heard}"))
            },
        )?;
    }
    let plain = gateway.host("dev.example.com");
    let response_rows = [
        ("without a rule the key is sent", &plain, "x-api-key", "secret"),
        ("response remove: x-api-key", &host, "x-api-key", "absent"),
        ("response set: cache-control", &host, "cache-control", "no-store"),
        ("response add: x-served-by", &host, "x-served-by", "customers-v1-*,gateway"),
    ];
    for (example, host, name, expected) in response_rows {
        report.exact(example, "GET /headers", &format!("the client hears {name}: {expected}"), || {
            let heard =
                host.send(&Request::get("/headers"))?.header(name).unwrap_or_else(|| "absent".to_owned());
            // Either instance of v1 may answer.
            let heard =
                heard.replace("customers-v1-a", "customers-v1-*").replace("customers-v1-b", "customers-v1-*");
            Ok(format!("the client hears {name}: {heard}"))
        })?;
    }
    Ok(())
}

fn logic(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    let both = || Request::get("/v1/a").header("my-header", "hello");
    let first = || Request::get("/v1/a").header("my-header", "goodbye");
    let second = || Request::get("/v2/a").header("my-header", "hello");
    let none = || Request::get("/v2/a");
    let hosts = [
        ("AND: both conditions of one match go to v2", "and", [V2, V1, V1, V1]),
        ("OR: either of two matches goes to v2", "or", [V2, V2, V2, V1]),
    ];
    for (title, name, expected) in hosts {
        let name = format!("{name}.customers.example.com");
        report.section(&format!("{title}  ({name})"));
        let host = gateway.host(&name);
        let rows = [
            ("prefix /v1 and my-header: hello", both()),
            ("the first alone", first()),
            ("the second alone", second()),
            ("neither", none()),
        ];
        for ((example, request), expected) in rows.into_iter().zip(expected) {
            report.request(example, &request, expected, |request| host.send(request))?;
        }
    }
    Ok(())
}

/// Not in the guide, but what its rules are worth: clients cannot give the proxy's own orders.
fn orders(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section("A client's own control headers do not count  (headers.customers.example.com: v1)");
    let host = gateway.host("headers.customers.example.com");
    let cluster = "outbound|80|v2|customers.default.svc.cluster.local";
    let steered = Request::get("/orders").header("x-mesh-policy-cluster", cluster);
    report.request("another cluster", &steered, V1, |request| host.send(request))?;
    let mirrored =
        Request::get("/orders/mirror").header("x-mesh-policy-profile", format!("mirror={cluster}@1000000"));
    report.request("a mirror", &mirrored, V1, |request| host.send(request))?;
    let hurried = Request::get("/orders?echo-delay-ms=100").header("x-envoy-upstream-rq-timeout-ms", "20");
    report.request("a timeout", &hurried, V1, |request| host.send(request))?;
    let retried = Request::get("/orders/retry?echo-fail-first=1")
        .header("x-envoy-retry-on", "5xx")
        .header("x-envoy-max-retries", "3");
    report.request("retries", &retried, "503 from v1", |request| host.send(request))?;
    report.exact(
        "no such order leaves the gateway",
        "all requests so far",
        "0 requests with x-mesh-policy-*",
        || {
            let is_order =
                |(name, _): &(Vec<u8>, Vec<u8>)| name.to_ascii_lowercase().starts_with(b"x-mesh-policy-");
            let mut leaked = 0;
            for instance in &gateway.customers {
                let all = instance.requests_below("/")?;
                leaked += all.iter().filter(|received| received.headers.0.iter().any(is_order)).count();
            }
            Ok(format!("{leaked} requests with x-mesh-policy-*"))
        },
    )?;
    report.exact("no copy was made", "GET /orders/mirror", "0 requests at v2", || {
        Ok(format!("{} requests at v2", gateway.customers_below("/orders")?.1))
    })
}
