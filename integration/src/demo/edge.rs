//! The guide's Gateways section: which hosts are served.

use super::{gateway::Gateway, report::Report};
use crate::{Result, client::Client, client::Request};

/// Shows the rows.
pub fn show(report: &mut Report<'_>, gateway: &Gateway) -> Result<()> {
    report.section("Gateway");
    let client = Client::new(gateway.address());
    let with_port = format!("dev.example.com:{}", gateway.address().port());
    let hosts = [
        ("the first host is served", "dev.example.com", 200),
        ("the second host is served", "test.example.com", 200),
        ("a port in the host makes no difference", with_port.as_str(), 200),
        ("capital letters make no difference", "Dev.Example.COM", 200),
        ("an unknown host is rejected", "unknown.example.com", 404),
        ("a host below a known one is rejected", "a.dev.example.com", 404),
        ("a host of the Gateway without a VirtualService", "nothing.customers.example.com", 404),
    ];
    for (example, host, status) in hosts {
        let request = Request::get("/").host(host);
        let sent = format!("GET http://{host}/");
        let sent = sent.replace(&format!(":{}", gateway.address().port()), ":PORT");
        report.exact(example, sent, &status.to_string(), || Ok(client.send(&request)?.status.to_string()))?;
    }
    Ok(())
}
