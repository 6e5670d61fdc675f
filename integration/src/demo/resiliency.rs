//! The guide's resiliency section: timeouts, retries, circuit breaking.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use super::{
    gateway::{Gateway, HostClient},
    report::{Report, Seen, outcome},
    seconds,
};
use crate::{Result, client::Request, client::Response, envoy::Admin, wait};

const CONNECTIONS: usize = 8;
const RETRIED: usize = 400;
const BOUNDED: usize = 20;
const UNTIL_EJECTED: usize = 60;
const AFTER_EJECTION: usize = 300;
const AT_ONCE: usize = 20;
/// What a busy machine may add to a measured time.
const SLACK: Duration = Duration::from_millis(900);
/// Envoy looks every second which instances have served their time, and the time grows with each ejection.
const BACK_WITHIN: Duration = Duration::from_secs(8);
/// Envoy's main thread ejects an instance, and tells its workers.
const EJECTED_WITHIN: Duration = Duration::from_secs(5);
/// What Envoy may be early by: its timers count from when it woke up for the request.
const EARLY: Duration = Duration::from_millis(10);

/// Shows the rows.
pub fn show(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    timeout(report, gateway)?;
    gateway.failing.always(Some(503))?;
    retries(report, gateway)?;
    ejection(report, gateway)?;
    pool(report, gateway)
}

/// What [`timed`] demands, in words.
pub fn until(status: u16, after: Duration) -> String {
    format!("{status} after {} to {}", seconds(after), seconds(after + SLACK))
}

/// A status after a time: judged to be neither early nor more than [`SLACK`] late.
pub fn timed(response: &Response, status: u16, after: Duration) -> Seen {
    let took = response.elapsed;
    let ok = response.status == status && took + EARLY >= after && took < after + SLACK;
    (format!("{} after {}", response.status, seconds(took)), ok)
}

fn timeout(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section("Timeouts: 500 ms  (timeout.customers.example.com)");
    let host = gateway.host("timeout.customers.example.com");
    let send = |path: &str| host.send(&Request::get(path));
    let limit = Duration::from_millis(500);
    let path = "/timeout?echo-delay-ms=3000";
    report.judged("the service takes 3 s", format!("GET {path}"), until(504, limit), || {
        Ok(timed(&send(path)?, 504, limit))
    })?;
    let path = "/timeout?echo-delay-ms=100";
    report
        .exact("the service takes 0.1 s", format!("GET {path}"), "200 from v1", || Ok(outcome(&send(path)?)))
}

fn retries(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section(
        "Retries: 3 attempts on 503 and refused connections, 2 s each  (retries.customers.example.com)",
    );
    let host = gateway.host("retries.customers.example.com");
    let (good, failing) = (&gateway.good, &gateway.failing);
    let sent = format!("{RETRIED} x GET /retries/N, one of two instances answers 503");
    report.exact("every request is answered in the end", &sent, &format!("{RETRIED} x 200"), || {
        let responses =
            host.send_many(RETRIED, CONNECTIONS, |index| Request::get(format!("/retries/{index}")))?;
        Ok(format!("{} x 200", responses.iter().filter(|response| response.status == 200).count()))
    })?;
    report.judged(
        "the failing instance was tried",
        "the same",
        "at least 1 request failed there first",
        || {
            let first = failed_first(gateway)?;
            Ok((format!("{first} requests failed there first"), first > 0))
        },
    )?;
    report.exact("a retry goes to the other instance", "the same", "0 retries at the same", || {
        let repeated = failing.count_below("/retries/")?.saturating_sub(failed_first(gateway)?);
        Ok(format!("{repeated} retries at the same"))
    })?;

    let bounded = |path: &str, status: u16, make_ill: bool| -> Result<String> {
        good.always(make_ill.then_some(status))?;
        failing.always(Some(status))?;
        let responses = host.send_many(BOUNDED, 1, |index| Request::get(format!("{path}{index}")));
        good.always(None)?;
        failing.always(Some(503))?;
        let well = responses?.iter().filter(|response| response.status == status).count();
        let tries = good.count_below(path)? + failing.count_below(path)?;
        Ok(format!("{well} x {status}, {tries} tries"))
    };
    let sent = format!("{BOUNDED} x GET, both instances answer 503");
    let expected = format!("{BOUNDED} x 503, {} tries", BOUNDED * 4);
    report
        .exact("attempts are bounded: one and three", &sent, &expected, || bounded("/bounded/", 503, true))?;
    let sent = format!("{BOUNDED} x GET, both instances answer 500");
    let expected = format!("{BOUNDED} x 500, {BOUNDED} tries");
    report.exact("another status is not retried", &sent, &expected, || bounded("/other/", 500, true))?;

    let limit = Duration::from_secs(2);
    let path = "/slow?echo-delay-ms=5000";
    good.always(None)?;
    failing.always(None)?;
    let slow =
        report.judged("an attempt takes at most 2 s", format!("GET {path}"), until(504, limit), || {
            Ok(timed(&host.send(&Request::get(path))?, 504, limit))
        });
    failing.always(Some(503))?;
    slow?;
    refused(report, gateway, &gateway.host("refused.customers.example.com"))
}

/// How many requests the failing instance saw at all.
fn failed_first(gateway: &Gateway) -> Result<usize> {
    let all = gateway.failing.requests_below("/retries/")?;
    Ok(all.iter().map(|received| received.path()).collect::<BTreeSet<_>>().len())
}

fn refused(report: &mut Report<'_>, gateway: &Gateway, host: &HostClient) -> Result<()> {
    let sent = "100 x GET /, nobody listens at one of two instances  (refused.customers.example.com)";
    report.exact("a refused connection is retried", sent, "100 x 200 from good", || {
        let responses = host.send_many(100, CONNECTIONS, |_| Request::get("/refused"))?;
        let well = responses.iter().filter(|response| outcome(response) == "200 from good").count();
        Ok(format!("{well} x 200 from good"))
    })?;
    let Some(admin) = &gateway.admin else { return Ok(()) };
    report.judged("connections were refused", "Envoy's statistics", "at least 1 failed connection", || {
        let failed = sum(admin, "refusing.*upstream_cx_connect_fail$")?;
        Ok((format!("{failed} failed connections"), failed > 0))
    })
}

fn ejection(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section(
        "Circuit breaking: one 5xx ejects an instance for 3 minutes  (breaking.customers.example.com)",
    );
    let host = gateway.host("breaking.customers.example.com");
    let failing = &gateway.failing;
    let sent = format!("GET /breaking until one fails, at most {UNTIL_EJECTED}");
    report.judged("the failing instance is found", &sent, "a 503", || {
        for tries in 1..=UNTIL_EJECTED {
            let status = host.send(&Request::get("/breaking"))?.status;
            if status == 503 {
                return Ok((format!("a 503 at request {tries}"), true));
            }
        }
        Ok(("no 503".to_owned(), false))
    })?;
    if let Some(admin) = &gateway.admin {
        report.exact("it is ejected", "Envoy's statistics", "1 ejected, 1 healthy", || {
            let state = || {
                let ejected = sum(admin, "breaking.*outlier_detection.ejections_active$").ok()?;
                Some((ejected, sum(admin, "breaking.*membership_healthy$").ok()?))
            };
            let one = || (state()? == (1, 1)).then_some(());
            _ = wait::until(EJECTED_WITHIN, "the ejection", one);
            let (ejected, healthy) = state().unwrap_or_default();
            Ok(format!("{ejected} ejected, {healthy} healthy"))
        })?;
    }
    let sent = format!("{AFTER_EJECTION} x GET /breaking");
    let expected = format!("{AFTER_EJECTION} x 200, 0 reach it");
    report.exact("no request reaches it from then on", &sent, &expected, || {
        // Each of Envoy's workers learns of an ejection a moment later.
        let well = || {
            host.send_many(2 * CONNECTIONS, CONNECTIONS, |_| Request::get("/breaking"))
                .is_ok_and(|all| all.iter().all(|response| response.status == 200))
        };
        wait::until(EJECTED_WITHIN, "the ejection", || well().then_some(()))?;
        let before = failing.count_below("/breaking")?;
        let responses = host.send_many(AFTER_EJECTION, CONNECTIONS, |_| Request::get("/breaking"))?;
        let well = responses.iter().filter(|response| outcome(response) == "200 from good").count();
        Ok(format!("{well} x 200, {} reach it", failing.count_below("/breaking")? - before))
    })?;
    recovery(report, gateway)?;
    let sent = format!("{UNTIL_EJECTED} x GET /all-ejected, the other has failed too");
    let expected = format!("{UNTIL_EJECTED} x 503, 0 reach an instance");
    report.exact("100 % of the instances may be ejected", &sent, &expected, || {
        gateway.good.always(Some(500))?;
        let send = || host.send(&Request::get("/other-fails"));
        let all = || send().is_ok_and(|response| response.status == 503).then_some(());
        let ejected = wait::until(EJECTED_WITHIN, "the other ejection", all);
        gateway.good.always(None)?;
        ejected?;
        let responses = host.send_many(UNTIL_EJECTED, 1, |_| Request::get("/all-ejected"))?;
        let refused = responses.iter().filter(|response| response.status == 503).count();
        let reached = gateway.good.count_below("/all-ejected")? + failing.count_below("/all-ejected")?;
        Ok(format!("{refused} x 503, {reached} reach an instance"))
    })
}

/// The guide ejects for three minutes; here it is a second.
fn recovery(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    let host = gateway.host("recovering.customers.example.com");
    let get = || host.send(&Request::get("/recovering"));
    let base = Duration::from_secs(1);
    let sent = "GET /recovering, baseEjectionTime: 1s  (recovering.customers.example.com)";
    let expected = format!("ejected, and back after {} to {}", seconds(base), seconds(BACK_WITHIN));
    report.judged("it gets requests again after a time", sent, expected, || {
        let ill = || get().is_ok_and(|response| response.status == 503).then(Instant::now);
        let begun = wait::until(EJECTED_WITHIN, "a 503", ill)?;
        // Not one of many reaches it.
        let gone = || (0..20).all(|_| get().is_ok_and(|response| outcome(&response) == "200 from good"));
        wait::until(EJECTED_WITHIN, "the ejection", || gone().then_some(()))?;
        gateway.failing.always(None)?;
        let back = || get().is_ok_and(|response| outcome(&response) == "200 from failing").then_some(());
        let back = wait::until(2 * BACK_WITHIN, "its return", back);
        let took = begun.elapsed();
        gateway.failing.always(Some(503))?;
        back?;
        let ok = took + EARLY >= base && took < BACK_WITHIN;
        Ok((format!("ejected, and back after {}", seconds(took)), ok))
    })
}

fn pool(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section(
        "Circuit breaking: one connection, one request that waits for it  (pooled.customers.example.com)",
    );
    let host = gateway.host("pooled.customers.example.com");
    let good = &gateway.good;
    let mut shed = 0;
    let sent = format!("{AT_ONCE} x GET /pooled at once, each takes 0.5 s");
    report.judged("what is too much is refused at once", &sent, "200 and 503, nothing else", || {
        let responses = host.send_many(AT_ONCE, AT_ONCE, |_| Request::get("/pooled?echo-delay-ms=500"))?;
        let with = |status: u16| responses.iter().filter(|response| response.status == status).count();
        let served = with(200);
        shed = with(503);
        let said = responses.iter().filter(|response| response.headers.has("x-envoy-overloaded")).count();
        // One at a time for each of Envoy's workers, and one that waits.
        let ok = (1..=4).contains(&served) && served + shed == AT_ONCE && said == shed;
        Ok((format!("{served} x 200, {shed} x 503, {said} say x-envoy-overloaded"), ok))
    })?;
    report.judged("it does not reach the service", "the same", "as many requests there as 200s", || {
        let reached = good.count_below("/pooled")?;
        Ok((format!("{reached} requests there, {shed} refused"), reached + shed == AT_ONCE))
    })
}

/// The sum of the counters and gauges whose names match.
fn sum(admin: &Admin, pattern: &str) -> Result<u64> {
    Ok(admin.stats(pattern)?.values().sum())
}
