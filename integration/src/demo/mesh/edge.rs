//! The guide's "Security at the Edge" and its two types of gateway: what comes in by TLS, and what goes out.

use super::{Mesh, Visitor};
use crate::{
    Result,
    client::{Client, Request, Response},
    demo::report::{Report, answer, outcome},
};

/// Shows the rows.
pub fn show(report: &mut Report<'_>, mesh: &Mesh) -> Result<()> {
    ingress(report, mesh)?;
    egress(report, mesh)
}

fn ingress(report: &mut Report<'_>, mesh: &Mesh) -> Result<()> {
    report.section("Gateway with TLS: SIMPLE, MUTUAL, PASSTHROUGH  (shop, admin, through.example.com)");
    let plain = Client::new(mesh.ingress.port(80)?);
    let expected = "301 to https://shop.example.com/cart";
    report.exact("http is sent to https", "GET http://shop.example.com/cart", expected, || {
        let response = plain.send(&Request::get("/cart").host("shop.example.com"))?;
        let location = response.header("location").unwrap_or_else(|| "nowhere".to_owned());
        Ok(format!("{} to {location}", response.status))
    })?;
    let ledger = "200 from ledger";
    let none = "no answer";
    let rows = [
        ("SIMPLE: no certificate is asked for", "shop", "shop", Visitor::Anonymous, ledger),
        ("- another server's host on that connection", "shop", "admin", Visitor::Admin, "404"),
        ("MUTUAL: a certificate of its authority", "admin", "admin", Visitor::Admin, ledger),
        ("- no certificate", "admin", "admin", Visitor::Anonymous, none),
        ("- one of another authority", "admin", "admin", Visitor::Stranger, none),
        ("a name that no server has", "unknown", "shop", Visitor::Anonymous, none),
        ("selector: a server of the egress gateway", "partner", "partner", Visitor::Anonymous, none),
    ];
    for (example, name, host, visitor, expected) in rows {
        let (name, host) = (format!("{name}.example.com"), format!("{host}.example.com"));
        let shown = match visitor {
            Visitor::Anonymous => "",
            Visitor::Admin => ", certificate shown",
            Visitor::Stranger => ", strange certificate shown",
        };
        let sent = format!("GET https://{host}/  (SNI {name}{shown})");
        report.exact(example, sent, expected, || {
            Ok(answer(mesh.https(&name, visitor)?.send(&Request::get("/").host(&host))))
        })?;
    }
    let sent = "GET https://through.example.com/, trusting its own authority only";
    report.exact("PASSTHROUGH: TLS ends at the service", sent, "200 from through", || {
        Ok(answer(mesh.through()?.send(&Request::get("/").host("through.example.com"))))
    })
}

fn egress(report: &mut Report<'_>, mesh: &Mesh) -> Result<()> {
    report.section("Egress gateway: what goes out to partner.example.com goes out there");
    let through = |outbound| {
        let client = Client::new(outbound);
        move |path: &str| -> Result<Response> { client.send(&Request::get(path).host("partner.example.com")) }
    };
    let (frontend, backend) = (through(mesh.frontend.outbound), through(mesh.backend.outbound));
    let partner = &mesh.outside.partner;
    report.exact("the frontend calls the partner", "frontend: GET /partner/1", "200 from partner", || {
        Ok(outcome(&frontend("/partner/1")?))
    })?;
    report.exact(
        "- by the egress gateway, over TLS",
        "Envoy's statistics there",
        "1 answer, 1 handshake",
        || {
            let sum = |pattern| Ok(mesh.egress.admin()?.stats(pattern)?.values().sum::<u64>());
            let answers: Result<u64> = sum("^cluster\\..*partner\\.example\\.com;?\\.upstream_rq_200$");
            let handshakes: Result<u64> = sum("^cluster\\..*partner\\.example\\.com.*\\.ssl\\.handshake$");
            Ok(format!("{} answer, {} handshake", answers?, handshakes?))
        },
    )?;
    report.exact(
        "the central point of control: others may not",
        "backend: GET /partner/2",
        "403 RBAC: access denied",
        || {
            let response = backend("/partner/2")?;
            Ok(format!("{} {}", response.status, response.text()))
        },
    )?;
    let gateway = mesh.egress.port(443)?;
    report.exact(
        "nobody outside of the mesh gets out",
        "plain text to it: GET /partner/3",
        "no answer",
        || Ok(answer(Client::new(gateway).send(&Request::get("/partner/3").host("partner.example.com")))),
    )?;
    report.exact("the partner hears one request", "all of the above", "requests: 1", || {
        Ok(format!("requests: {}", partner.count()))
    })
}
