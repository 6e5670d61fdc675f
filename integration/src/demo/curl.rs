//! What to try while everything is left running.

use std::{fmt::Write as _, net::SocketAddr};

use super::{
    gateway::Gateway,
    mesh::Mesh,
    workload::{Caller, Workload, Workloads},
};
use crate::{Context, Result};

/// Complete commands, with the ports and files of this run.
pub fn examples(gateway: &Gateway, admin: SocketAddr, mesh: &Mesh, workloads: &Workloads) -> Result<String> {
    // What the rows left failing fails for whoever tries retries, too.
    gateway.failing.always(Some(503))?;
    let mut text = String::from("\nEverything is left running until Ctrl-C. Try, in another terminal:\n");
    let routes = [
        ("a served host, and one that is not", "dev", ".example.com", "/", ""),
        ("", "unknown", ".example.com", "/", ""),
        ("ten percent v2", "split", CUSTOMERS, "/", ""),
        ("Firefox to v2", "firefox", CUSTOMERS, "/", " -A Firefox"),
        ("redirect", "redirect", CUSTOMERS, "/old-path", ""),
        ("rewrite: look at `path` in the answer", "rewrite", CUSTOMERS, "/v1/api/customers/7", ""),
        (
            "headers: look for `debug` in the answer, and for x-api-key",
            "headers",
            CUSTOMERS,
            "/",
            " -H 'debug: false'",
        ),
        ("AND", "and", CUSTOMERS, "/v1", " -H 'my-header: hello'"),
        ("timeout after 0.5 s", "timeout", CUSTOMERS, "/?echo-delay-ms=3000", ""),
        (
            "retries: one of two instances always answers 503, and you never see it",
            "retries",
            CUSTOMERS,
            "/",
            "",
        ),
        ("one in twenty takes 3 s, three in ten fail", "delay", CUSTOMERS, "/", ""),
        ("", "abort", CUSTOMERS, "/", ""),
    ];
    let address = gateway.address();
    for (title, host, domain, path, more) in routes {
        if !title.is_empty() {
            _ = writeln!(text, "\n  # {title}");
        }
        _ = writeln!(text, "  curl -i -H 'Host: {host}{domain}'{more} 'http://{address}{path}'");
    }
    text.push_str(&mesh_examples(mesh)?);
    let allowed = call(workloads, &workloads.backend, Caller::Frontend, "/api/v1/users")?;
    let denied = call(workloads, &workloads.backend, Caller::Frontend, "/api/v1/secret")?;
    let other = call(workloads, &workloads.backend, Caller::Other, "/api/v1/users")?;
    let locked = call(workloads, &workloads.locked, Caller::Frontend, "/")?;
    _ = write!(
        text,
        "\n  # authorization: frontend may, but not everything; others may not; nobody may anything in `locked`\n\
         \x20 # (-k, because workloads have identities, no DNS names)\n\
         {allowed}{denied}{other}{locked}\n\
         \x20 # Envoy's admin interfaces: the gateway's, and the one of {}\n\
         \x20 curl 'http://{}/stats?filter=outlier'\n\
         \x20 curl 'http://{}/config_dump'\n\n",
        workloads.backend.name,
        admin,
        workloads.backend.envoy.admin().address(),
    );
    Ok(text)
}

/// What the applications of the mesh, and visitors of its gateway, may try.
fn mesh_examples(mesh: &Mesh) -> Result<String> {
    let (frontend, ledger) = (mesh.frontend.outbound, mesh.ledger.outbound);
    let https = mesh.ingress.port(443)?;
    let strict = mesh.ledger.inbound.first().context("the ledger's first port")?;
    let lines = [
        (
            "TLS at the edge (-k: the demo's own authority)",
            format!("-k --connect-to ::{https} https://shop.example.com/"),
        ),
        (
            "as the frontend's application: its sidecar proves who it is",
            format!("-H 'Host: ledger.foo' http://{frontend}/"),
        ),
        ("", format!("-H 'Host: backend.my-app' http://{frontend}/api/v1/users")),
        ("as the ledger's: it may not", format!("-H 'Host: backend.my-app' http://{ledger}/api/v1/users")),
        ("plain text to a STRICT port", format!("http://{strict}/")),
        (
            "a service outside, and one that is not registered",
            format!("-H 'Host: api.github.com' 'http://{frontend}/zen?echo-fail-first=2'"),
        ),
        ("", format!("-H 'Host: api.github.org' http://{frontend}/zen")),
    ];
    let mut text = String::new();
    for (title, words) in lines {
        if !title.is_empty() {
            _ = writeln!(text, "\n  # {title}");
        }
        _ = writeln!(text, "  curl -i {words}");
    }
    Ok(text)
}

const CUSTOMERS: &str = ".customers.example.com";

fn call(workloads: &Workloads, workload: &Workload, caller: Caller, path: &str) -> Result<String> {
    let identity = workloads.identity(caller).context("a caller without a certificate")?;
    Ok(format!(
        "  curl -i -k --cert {} --key {} 'https://{}{path}'\n",
        identity.certificate().display(),
        identity.key().display(),
        workload.envoy.listener("inbound")?,
    ))
}
