//! The guide's rules as they stand there, bound to the mesh: the sidecar of the caller obeys them.

use super::Mesh;
use crate::{
    Result,
    client::{Client, Request},
    demo::report::Report,
    statistics::Bound,
};

/// Enough to tell 90 percent from 80.
const REQUESTS: usize = 2000;
const CONNECTIONS: usize = 8;

/// Shows the row.
pub fn show(report: &mut Report<'_>, mesh: &Mesh) -> Result<()> {
    report.section(
        "Weight-based routing at a sidecar: 90 % to v1, 10 % to v2  (customers, called by my-app/frontend)",
    );
    let client = Client::new(mesh.frontend.outbound);
    let bound = Bound::new(REQUESTS as u64, 0.9);
    let sent = format!("{REQUESTS} x GET customers.default/");
    report.judged("the caller's proxy splits", sent, format!("v1: {bound}"), || {
        let get = |_| Request::get("/").host("customers.default");
        let responses = client.send_many(REQUESTS, CONNECTIONS, get)?;
        let well = responses.iter().filter(|response| response.status == 200).count();
        let [v1, v2] = mesh.outside.customers.each_ref().map(|upstream| upstream.count());
        let ok = well == REQUESTS && v1 + v2 == REQUESTS && bound.contains(v1 as u64);
        Ok((format!("v1: {v1}, v2: {v2}, answered 200: {well}"), ok))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::tells_apart;

    #[test]
    fn the_split_would_notice_a_share_that_is_ten_percent_off() {
        assert!(tells_apart(REQUESTS as u64, 0.9, 0.8));
        assert!(tells_apart(REQUESTS as u64, 0.9, 1.0));
    }
}
