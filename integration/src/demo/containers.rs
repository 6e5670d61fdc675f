//! The rows of the demo's gateway, tried on the mesh of `integration/docker-compose.yaml`, and those of its sidecars.

use std::{collections::BTreeMap, net::SocketAddr, process::ExitCode};

use super::{
    edge, faults,
    gateway::Gateway,
    instance::Instance,
    matching,
    mesh::security::proved,
    report::{Report, answer},
    resiliency, routing,
    stop::Stop,
};
use crate::{
    Context, Error, Result,
    client::{Client, Request},
    table::Style,
    upstream::Remote,
    wait,
};

const HELP: &str = "\
Tries the rows of the demo on a mesh that runs: see integration/docker-compose.yaml.

Usage: compose-check NAME=ADDRESS:PORT...

  gateway         where the gateway serves its port 80
  sidecar         where the sidecar of customers-v2 takes requests
  customers-v1-a, customers-v1-b, customers-v2, good, failing
                  where these echo servers tell what they received

Exit codes: 0 all rows are ok, 1 some are not, 2 the command line is wrong.
";

/// The container that has no sidecar.
const WITHOUT: &str = "customers-v1-b";

/// Tries the rows as the command line says.
pub fn main() -> ExitCode {
    let addresses = match read(std::env::args().skip(1)) {
        Ok(addresses) => addresses,
        Err(error) => {
            eprintln!("error: {error}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    match Stop::on_signals().and_then(|stop| play(&addresses, &stop)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where things are, by name.
type Addresses = BTreeMap<String, SocketAddr>;

fn read(words: impl Iterator<Item = String>) -> Result<Addresses> {
    let one = |word: String| {
        let (name, address) =
            word.split_once('=').context(format_args!("expected NAME=ADDRESS, found `{word}`"))?;
        Ok((name.to_owned(), address.parse().context(format_args!("the address in `{word}`"))?))
    };
    words.map(one).collect()
}

fn play(addresses: &Addresses, stop: &Stop) -> Result<bool> {
    let at = |name: &str| {
        addresses
            .get(name)
            .copied()
            .ok_or_else(|| Error::new(format!("the command line does not say where `{name}` is")))
    };
    let instance = |name: &str| Ok::<_, Error>(Instance::Away(Remote::new(at(name)?)));
    let customers = [instance("customers-v1-a")?, instance(WITHOUT)?, instance("customers-v2")?];
    let gateway = Gateway::elsewhere(at("gateway")?, customers, instance("good")?, instance("failing")?);
    let mut report = Report::new(stop);
    report.progress("waiting for the gateway, the instances and their sidecars");
    let answered = wait::until(2 * wait::PATIENCE, "an answer of each version", || {
        stop.check().is_err().then_some(()).or_else(|| is_ready(&gateway).then_some(()))
    });
    answered.and_then(|()| stop.check())?;

    edge::show(&mut report, &gateway)?;
    routing::show(&mut report, &gateway)?;
    matching::show(&mut report, &gateway)?;
    resiliency::show(&mut report, &gateway)?;
    faults::show(&mut report, &gateway)?;
    sidecars(&mut report, &gateway, at("sidecar")?)?;
    let table = report.into_table();
    print!("\n{}", table.render(Style::of_stdout()));
    Ok(table.is_ok())
}

/// Whether every instance answers through the gateway.
fn is_ready(gateway: &Gateway) -> bool {
    let host = gateway.host("match.customers.example.com");
    let answers = |path: &str, instance: &str| {
        (0..4).any(|_| {
            let response = host.send(&Request::get(path)).and_then(|response| response.echo());
            response.is_ok_and(|echo| echo.instance == instance)
        })
    };
    answers("/", "customers-v1-a") && answers("/", WITHOUT) && answers("/exact", "customers-v2")
}

fn sidecars(report: &mut Report<'_>, gateway: &Gateway, sidecar: SocketAddr) -> Result<()> {
    report.section("Sidecars: STRICT mutual TLS with the gateway  (customers)");
    let host = gateway.host("match.customers.example.com");
    let identity = "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account";
    report.exact("v2's sidecar proves the gateway", "GET /exact", identity, || {
        proved(&host.send(&Request::get("/exact"))?)
    })?;
    report.exact(
        "an instance without a sidecar hears plain text",
        "GET / until it answers",
        "nobody",
        || {
            wait::until(wait::PATIENCE, "an answer of it", || {
                let response = host.send(&Request::get("/")).ok()?;
                (response.echo().ok()?.instance == WITHOUT).then(|| proved(&response))
            })?
        },
    )?;
    report.exact("STRICT: plain text is refused", "straight to v2's sidecar: GET /", "no answer", || {
        Ok(answer(Client::new(sidecar).send(&Request::get("/").host("customers"))))
    })?;
    report.exact("the sidecar's policy: DENY PATCH", "PATCH /exact", "403 RBAC: access denied", || {
        let response = host.send(&Request::new("PATCH", "/exact"))?;
        Ok(format!("{} {}", response.status, response.text()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_by_name() {
        let words = |text: &str| read(text.split(' ').map(str::to_owned));
        assert_eq!(words("gateway=127.0.0.1:80").unwrap()["gateway"], "127.0.0.1:80".parse().unwrap());
        for wrong in ["gateway", "gateway=here"] {
            words(wrong).unwrap_err();
        }
    }
}
