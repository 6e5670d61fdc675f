//! The guide's security section between sidecars: identities, mutual TLS, policies.

use std::time::Duration;

use serde_json::Value;

use super::Mesh;
use crate::{
    Result,
    client::{Client, Request, Response},
    demo::report::{Report, answer, outcome, words},
    wait,
};

const CLUSTER: &str = "spiffe://cluster.local/ns";
/// Envoy writes logs that nobody asks for every ten seconds.
const LOGGED_WITHIN: Duration = Duration::from_secs(15);
const DENIED: &str = "403 RBAC: access denied";

/// Shows the rows.
pub fn show(report: &mut Report<'_>, mesh: &Mesh) -> Result<()> {
    identity(report, mesh)?;
    modes(report, mesh)?;
    policies(report, mesh)
}

/// The identity of the caller, as the sidecar tells its application.
pub fn proved(response: &Response) -> Result<String> {
    let chain = response.echo()?.header("x-forwarded-client-cert").unwrap_or_default();
    let uris: Vec<_> = chain.split([';', ',']).filter_map(|part| part.strip_prefix("URI=")).collect();
    Ok(if uris.is_empty() { "nobody".to_owned() } else { uris.join(" and ") })
}

fn identity(report: &mut Report<'_>, mesh: &Mesh) -> Result<()> {
    report.section("SPIFFE identities and mutual TLS between sidecars  (foo/ledger is called)");
    let frontend = Client::new(mesh.frontend.outbound);
    let gateway = Client::new(mesh.ingress.port(80)?);
    let inside = || Request::get("/").host("ledger.foo");
    let forged = format!("URI={CLUSTER}/istio-system/sa/root");
    let as_frontend = format!("{CLUSTER}/my-app/sa/frontend-sa");
    let as_gateway = format!("{CLUSTER}/istio-system/sa/istio-ingressgateway-service-account");
    let rows = [
        ("the frontend's sidecar proves who it is", "frontend", &frontend, inside(), &as_frontend),
        (
            "- whatever the application claims",
            "frontend",
            &frontend,
            inside().header("x-forwarded-client-cert", &forged),
            &as_frontend,
        ),
        (
            "so does the gateway",
            "outside",
            &gateway,
            Request::get("/").host("ledger.example.com"),
            &as_gateway,
        ),
    ];
    for (example, who, client, request, expected) in rows {
        report.exact(example, format!("{who}: {}", words(&request)), expected, || {
            proved(&client.send(&request)?)
        })?;
    }
    report.exact(
        "the applications speak plain HTTP",
        "frontend: GET ledger.foo/",
        "http, HTTP/1.1",
        || {
            let echo = frontend.send(&inside())?.echo()?;
            let scheme = if mesh.ledger.app.requests().iter().all(|heard| heard.peer.is_empty()) {
                "http"
            } else {
                "https"
            };
            Ok(format!("{scheme}, {}", echo.protocol))
        },
    )?;
    report.judged(
        "- the wire is encrypted",
        "Envoy's statistics at the ledger",
        "at least 1 handshake",
        || {
            let stats = mesh.ledger.proxy.admin()?.stats("^listener\\..*\\.ssl\\.handshake$")?;
            let handshakes: u64 = stats.values().sum();
            Ok((format!("{handshakes} handshakes"), handshakes > 0))
        },
    )
}

fn modes(report: &mut Report<'_>, mesh: &Mesh) -> Result<()> {
    report.section(
        "PeerAuthentication and DestinationRule: STRICT, PERMISSIVE, DISABLE  (foo/ledger, by port)",
    );
    let frontend = Client::new(mesh.frontend.outbound);
    let answers = |who: &str| format!("200 from ledger, proved: {who}");
    let (mutual, nobody) = (answers(&format!("{CLUSTER}/my-app/sa/frontend-sa")), answers("nobody"));
    let described = |response: &Response| match proved(response) {
        Ok(who) => format!("{}, proved: {who}", outcome(response)),
        Err(_) => response.status.to_string(),
    };
    let modes = [
        ("STRICT", 80, [mutual.as_str(), "503", "no answer"]),
        ("PERMISSIVE", 81, [mutual.as_str(), &nobody, &nobody]),
        ("DISABLE", 82, ["503", &nobody, &nobody]),
    ];
    for ((mode, port, [by_mutual, by_plain, straight]), inbound) in
        modes.into_iter().zip(&mesh.ledger.inbound)
    {
        let hosts = [
            (format!("{mode}: ISTIO_MUTUAL at the caller"), "ledger", by_mutual),
            ("- DISABLE at the caller".to_owned(), "clear", by_plain),
        ];
        for (example, name, expected) in hosts {
            let request = Request::get("/").host(format!("{name}.foo:{port}"));
            report.exact(&example, format!("frontend: {}", words(&request)), expected, || {
                Ok(described(&frontend.send(&request)?))
            })?;
        }
        report.exact(
            "- a caller without a sidecar",
            "plain text straight to the port: GET /",
            straight,
            || {
                let response = Client::new(*inbound).send(&Request::get("/").host("ledger"));
                Ok(response.map_or_else(|error| answer(Err(error)), |response| described(&response)))
            },
        )?;
    }
    Ok(())
}

fn policies(report: &mut Report<'_>, mesh: &Mesh) -> Result<()> {
    report
        .section("AuthorizationPolicy at sidecars: the guide's backend-access-policy and deny-all  (my-app)");
    let frontend = Client::new(mesh.frontend.outbound);
    let ledger = Client::new(mesh.ledger.outbound);
    let gateway = Client::new(mesh.ingress.port(80)?);
    let inbound = mesh.backend.inbound.first().copied();
    let straight = Client::new(inbound.unwrap_or(mesh.backend.outbound));
    let users = || Request::get("/api/v1/users").host("backend.my-app");
    let outside = |host: &str| Request::get("/api/v1/users").host(host);
    let allowed = "200 from backend";
    let rows = [
        ("frontend-sa GETs an API path", "frontend", &frontend, users(), allowed),
        (
            "- another method",
            "frontend",
            &frontend,
            Request::new("POST", "/api/v1/users").host("backend.my-app"),
            DENIED,
        ),
        ("- another path", "frontend", &frontend, Request::get("/admin").host("backend.my-app"), DENIED),
        ("another workload: ledger-sa", "ledger", &ledger, users(), DENIED),
        ("the gateway", "outside", &gateway, outside("backend.example.com"), DENIED),
        ("plain text: nobody", "straight", &straight, users(), DENIED),
        ("DENY overrides ALLOW", "frontend", &frontend, users().header("x-debug", "1"), DENIED),
        (
            "deny-all holds for the rest of my-app",
            "outside",
            &gateway,
            outside("frontend.example.com"),
            DENIED,
        ),
    ];
    mesh.backend.app.clear();
    for (example, who, client, request, expected) in rows {
        report.exact(example, format!("{who}: {}", words(&request)), expected, || {
            let response = client.send(&request)?;
            Ok(match response.echo() {
                Ok(_) => outcome(&response),
                Err(_) => format!("{} {}", response.status, response.text()),
            })
        })?;
    }
    report.exact(
        "the applications hear what is allowed, and nothing else",
        "all of the above",
        "backend: 1, frontend: 0",
        || Ok(format!("backend: {}, frontend: {}", mesh.backend.app.count(), mesh.frontend.app.count())),
    )?;
    let details = "rbac_access_denied_matched_policy[ns[my-app]-policy[no-debugging]-rule[0]]";
    report.exact(
        "the access log says why, the client hears nothing of it",
        "the backend's log",
        details,
        || {
            let admin = mesh.backend.proxy.admin()?;
            let logged = || {
                // Envoy writes every ten seconds, or when it opens the log anew.
                _ = admin.post("/reopen_logs");
                mesh.backend.proxy.log().contains(details).then_some(())
            };
            _ = wait::until(LOGGED_WITHIN, "the access log", logged);
            let log = mesh.backend.proxy.log();
            let why =
                log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|line| {
                    let why = line.get("response_code_details")?.as_str()?;
                    why.contains("no-debugging").then(|| why.to_owned())
                });
            Ok(why.unwrap_or_else(|| "nothing of the policy".to_owned()))
        },
    )
}
