//! The guide's ServiceEntry section: services outside of the mesh, known to it.

use std::time::Duration;

use super::Mesh;
use crate::{
    Result,
    client::{Client, Request},
    demo::{
        report::{Report, outcome},
        resiliency::{timed, until},
    },
    upstream::Upstream,
};

/// What may be tried again three times, was tried this often.
const TRIES: usize = 4;
const CONNECTIONS: usize = 6;

/// Shows the rows.
pub fn show(report: &mut Report<'_>, mesh: &Mesh) -> Result<()> {
    github(report, mesh)?;
    tls(report, mesh)?;
    mongo(report, mesh)
}

fn github(report: &mut Report<'_>, mesh: &Mesh) -> Result<()> {
    report.section(
        "ServiceEntry, MESH_EXTERNAL: retries and a timeout for api.github.com  (called by my-app/frontend)",
    );
    let client = Client::new(mesh.frontend.outbound);
    let send = |host: &str, path: &str| client.send(&Request::get(path).host(host));
    let github = |path: &str| send("api.github.com", path);
    let server = &mesh.outside.github;
    report.exact("what is registered is reached", "GET api.github.com/zen", "200 from github", || {
        Ok(outcome(&github("/zen")?))
    })?;
    let sum = |pattern| Ok(mesh.frontend.proxy.admin()?.stats(pattern)?.values().sum::<u64>());
    report.judged(
        "- the sidecar speaks TLS with it",
        "Envoy's statistics",
        "at least 1 handshake",
        || {
            let handshakes: Result<u64> = sum("^cluster\\..*api\\.github\\.com.*\\.ssl\\.handshake$");
            let handshakes = handshakes?;
            Ok((format!("{handshakes} handshakes"), handshakes > 0))
        },
    )?;
    report.exact("what is not registered is not", "GET api.github.org/zen", "502", || {
        Ok(outcome(&send("api.github.org", "/zen")?))
    })?;
    let path = "/flaky?echo-fail-first=2";
    let expected = "200 from github, 3 tries";
    report.exact("it fails twice: nobody notices", format!("GET api.github.com{path}"), expected, || {
        let response = github(path)?;
        Ok(format!("{}, {} tries", outcome(&response), server.count_path("/flaky")))
    })?;
    let path = "/down?echo-status=503";
    let expected = format!("503 from github, {TRIES} tries");
    report.exact("it fails for good: 3 retries", format!("GET api.github.com{path}"), &expected, || {
        let response = github(path)?;
        Ok(format!("{}, {} tries", outcome(&response), server.count_path("/down")))
    })?;
    let (path, limit) = ("/slow?echo-delay-ms=5000", Duration::from_secs(1));
    report.judged("it is slow", format!("GET api.github.com{path}"), until(504, limit), || {
        Ok(timed(&github(path)?, 504, limit))
    })
}

fn tls(report: &mut Report<'_>, mesh: &Mesh) -> Result<()> {
    report.section("DestinationRule, tls SIMPLE: TLS for *.example.com  (called by my-app/frontend)");
    let client = Client::new(mesh.frontend.outbound);
    let rows = [
        ("the application says http, the service hears TLS", "weather", "200 from weather"),
        ("a certificate that nobody vouches for", "impostor", "503"),
    ];
    for (example, name, expected) in rows {
        let host = format!("{name}.example.com");
        report.exact(example, format!("GET http://{host}/"), expected, || {
            Ok(outcome(&client.send(&Request::get("/").host(&host))?))
        })?;
    }
    report.exact("- hears nothing", "the same", "requests: 0", || {
        Ok(format!("requests: {}", mesh.outside.impostor.count()))
    })
}

fn mongo(report: &mut Report<'_>, mesh: &Mesh) -> Result<()> {
    report.section(
        "ServiceEntry, MESH_INTERNAL: a database at three fixed addresses  (port 27017 of the gateway)",
    );
    let address = mesh.ingress.port(27017)?;
    let sent = format!("{CONNECTIONS} connections, bytes on each");
    report.judged("all three are in use, in turn", &sent, "2 at each", || {
        for _ in 0..CONNECTIONS {
            Client::new(address).get("/")?;
        }
        let mongo = &mesh.outside.mongo;
        let heard = |upstream: &Upstream| format!("{}: {}", upstream.address().ip(), upstream.count());
        let all = mongo.iter().all(|upstream| upstream.count() == 2);
        Ok((mongo.iter().map(heard).collect::<Vec<_>>().join(", "), all))
    })
}
