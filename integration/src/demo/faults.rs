//! The guide's fault injection: delays and aborts.

use std::time::Duration;

use super::{gateway::Gateway, report::Report, seconds};
use crate::{Result, client::Request, statistics::Bound};

/// Enough to tell 5 percent from 10, and 30 from 20 and 40.
const DELAYED_REQUESTS: usize = 3000;
const ABORTED_REQUESTS: usize = 3000;
/// Many, because a delayed one does nothing for three seconds.
const WAITING_CONNECTIONS: usize = 100;
const CONNECTIONS: usize = 8;
const DELAY: Duration = Duration::from_secs(3);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(1);
/// What Envoy may be early by: its timers count from when it woke up for the request.
const EARLY: Duration = Duration::from_millis(10);

/// Shows the rows.
pub fn show(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    delay(report, gateway)?;
    abort(report, gateway)
}

fn delay(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section("HTTP delay: 3 s for 5 %  (delay.customers.example.com)");
    let host = gateway.host("delay.customers.example.com");
    let bound = Bound::new(DELAYED_REQUESTS as u64, 0.05);
    let mut delayed = Vec::new();
    let sent = format!("{DELAYED_REQUESTS} x GET /delay, {WAITING_CONNECTIONS} at a time");
    report.judged("the share of delayed requests", &sent, format!("delayed: {bound}"), || {
        let responses = host.send_many(DELAYED_REQUESTS, WAITING_CONNECTIONS, |_| Request::get("/delay"))?;
        let well = responses.iter().filter(|response| response.status == 200).count();
        // Half the delay tells those that wait from those that do not.
        delayed =
            responses.iter().map(|response| response.elapsed).filter(|took| *took > DELAY / 2).collect();
        let ok = well == DELAYED_REQUESTS && bound.contains(delayed.len() as u64);
        Ok((format!("delayed: {}, answered 200: {well}", delayed.len()), ok))
    })?;
    let expected = format!("each {} to {}", seconds(DELAY), seconds(DELAY + SLACK));
    report.judged("the length of the delays", "the same", expected, || {
        let (shortest, longest) = (
            delayed.iter().min().copied().unwrap_or_default(),
            delayed.iter().max().copied().unwrap_or_default(),
        );
        let ok = shortest + EARLY >= DELAY && longest < DELAY + SLACK;
        Ok((format!("{} to {}", seconds(shortest), seconds(longest)), ok))
    })
}

fn abort(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section("HTTP abort: 404 for 30 %  (abort.customers.example.com)");
    let host = gateway.host("abort.customers.example.com");
    let bound = Bound::new(ABORTED_REQUESTS as u64, 0.3);
    let mut answered = 0;
    let sent = format!("{ABORTED_REQUESTS} x GET /abort");
    report.judged("the share of aborted requests", &sent, format!("404: {bound}"), || {
        let responses = host.send_many(ABORTED_REQUESTS, CONNECTIONS, |_| Request::get("/abort"))?;
        let with = |status: u16| responses.iter().filter(|response| response.status == status).count();
        let aborted = with(404);
        answered = with(200);
        let ok = aborted + answered == ABORTED_REQUESTS && bound.contains(aborted as u64);
        Ok((format!("404: {aborted}, 200: {answered}"), ok))
    })?;
    report.judged(
        "an aborted request never reaches the service",
        "the same",
        "as many requests there as 200s",
        || {
            let (v1, v2) = gateway.customers_below("/abort")?;
            Ok((format!("{} requests there, {answered} x 200", v1 + v2), v1 + v2 == answered))
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::tells_apart;

    #[test]
    fn the_shares_would_be_noticed_when_they_were_off() {
        assert!(tells_apart(DELAYED_REQUESTS as u64, 0.05, 0.1));
        assert!(tells_apart(ABORTED_REQUESTS as u64, 0.3, 0.4));
        assert!(tells_apart(ABORTED_REQUESTS as u64, 0.3, 0.2));
    }
}
