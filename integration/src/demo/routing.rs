//! The guide's four primary routing strategies: split, content, redirect, mirror.

use super::{
    gateway::Gateway,
    report::{Report, outcome},
};
use crate::{Result, client::Request, statistics::Bound, wait};

/// Enough to tell 90 percent from 85.
pub const SPLIT_REQUESTS: usize = 6000;
const MIRRORED: usize = 200;
const CONNECTIONS: usize = 8;

/// Shows the rows.
pub fn show(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    split(report, gateway)?;
    content(report, gateway)?;
    redirect(report, gateway)?;
    mirror(report, gateway)
}

fn split(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section("Weight-based routing: 90 % to v1, 10 % to v2  (split.customers.example.com)");
    let host = gateway.host("split.customers.example.com");
    let bound = Bound::new(SPLIT_REQUESTS as u64, 0.9);
    report.judged(
        "traffic splitting",
        format!("{SPLIT_REQUESTS} x GET /split"),
        format!("v1: {bound}"),
        || {
            let responses = host.send_many(SPLIT_REQUESTS, CONNECTIONS, |_| Request::get("/split"))?;
            let well = responses.iter().filter(|response| response.status == 200).count();
            let (v1, v2) = gateway.customers_below("/split")?;
            let ok = well == SPLIT_REQUESTS && v1 + v2 == SPLIT_REQUESTS && bound.contains(v1 as u64);
            Ok((format!("v1: {v1}, v2: {v2}, answered 200: {well}"), ok))
        },
    )?;
    report.judged("both instances of v1 take part", "the same", "each at least 1", || {
        let [a, b, _] = &gateway.customers;
        let (a, b) = (a.count_below("/split")?, b.count_below("/split")?);
        Ok((format!("{a} and {b}"), a > 0 && b > 0))
    })
}

fn content(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section("Content-based routing: Firefox to v2, all others to v1  (firefox.customers.example.com)");
    let host = gateway.host("firefox.customers.example.com");
    let agents = [
        ("Firefox", Some("Mozilla/5.0 (X11; Linux) Gecko Firefox/140.0"), "200 from v2"),
        ("another browser", Some("Mozilla/5.0 (X11; Linux) Chrome/140.0"), "200 from v1"),
        ("a value almost like it", Some("firefox/140.0"), "200 from v1"),
        ("no user-agent at all", None, "200 from v1"),
    ];
    for (example, agent, expected) in agents {
        let request = Request::get("/");
        let request = match agent {
            Some(agent) => request.header("user-agent", agent),
            None => request,
        };
        report.request(example, &request, expected, |request| host.send(request))?;
    }
    Ok(())
}

fn redirect(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section("HTTP redirects: /old-path to another service  (redirect.customers.example.com)");
    let host = gateway.host("redirect.customers.example.com");
    let expected = "301 to http://new-service.default.svc.cluster.local/new-path";
    report.exact("the old path", "GET /old-path", expected, || {
        let response = host.send(&Request::get("/old-path"))?;
        let location = response.header("location").unwrap_or_else(|| "nowhere".to_owned());
        Ok(format!("{} to {location}", response.status))
    })?;
    report.exact("any other path", "GET /old-path/deeper", "200", || {
        Ok(host.send(&Request::get("/old-path/deeper"))?.status.to_string())
    })
}

fn mirror(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section("Traffic mirroring: v1 answers, v2 gets a copy  (mirror.customers.example.com)");
    let host = gateway.host("mirror.customers.example.com");
    let [_, _, v2] = &gateway.customers;
    let sent = format!("{MIRRORED} x POST /mirror/N");
    report.exact("the client hears v1", &sent, &format!("{MIRRORED} x 200 from v1"), || {
        let responses = host.send_many(MIRRORED, CONNECTIONS, |index| {
            Request::new("POST", format!("/mirror/{index}")).body("order")
        })?;
        let from_v1 = responses.iter().filter(|response| outcome(response) == "200 from v1").count();
        Ok(format!("{from_v1} x 200 from v1"))
    })?;
    report.exact(
        "v2 gets every request once",
        &sent,
        &format!("{MIRRORED} copies, each with its body"),
        || {
            let whole = || {
                let all = v2.requests_below("/mirror/").unwrap_or_default();
                let copy = |index: usize| {
                    let path = format!("/mirror/{index}");
                    let mut same = all.iter().filter(|received| received.path() == path.as_bytes());
                    let first = same.next()?;
                    (same.next().is_none() && first.body == b"order").then_some(())
                };
                (0..MIRRORED).filter_map(copy).count()
            };
            // The copies are sent and forgotten: they may arrive after the answers.
            _ = wait::until(wait::PATIENCE / 3, "the copies", || (whole() == MIRRORED).then_some(()));
            Ok(format!("{} copies, each with its body", whole()))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::tells_apart;

    #[test]
    fn the_split_would_notice_a_share_that_is_five_percent_off() {
        assert!(tells_apart(SPLIT_REQUESTS as u64, 0.9, 0.85));
        assert!(tells_apart(SPLIT_REQUESTS as u64, 0.9, 0.95));
    }
}
