//! The demo: every example of the guide, driven through real Envoys, and a table of what came back.
//!
//! On stage stand a gateway, from the YAML in `integration/demo/gateway`, and a mesh of two gateways and three sidecars, from
//! that in `integration/demo/mesh`; all of them are started by the `mesh-policy run` that people use, with the certificates of
//! `mesh-policy certs`. Besides there are Envoys with the hand-written `envoy-configs/authz-mtls.yaml`, which get their plugin
//! configuration from `mesh-policy plugin-config` and the YAML in `integration/demo/workload`.
//! One module a group of rows: `edge`, `routing`, `matching`, `resiliency`, `faults`, `mesh`, `authorization`.

mod arguments;
mod authorization;
pub mod command;
pub mod containers;
mod curl;
mod edge;
mod faults;
mod gateway;
mod instance;
mod matching;
mod mesh;
mod report;
mod resiliency;
mod routing;
mod stop;
pub mod template;
mod workload;

use std::{
    env,
    process::ExitCode,
    time::{Duration, Instant},
};

use self::{
    arguments::{Arguments, HELP},
    gateway::Gateway,
    mesh::Mesh,
    report::Report,
    stop::Stop,
    workload::Workloads,
};
use crate::{Error, Result, table::Style};

/// The exit code of a process that Ctrl-C ended, as a shell counts.
const INTERRUPTED: u8 = 130;

/// Runs the demo as its command line says.
pub fn main() -> ExitCode {
    match Arguments::read(env::args().skip(1)) {
        Ok(Arguments::Help) => {
            print!("{HELP}");
            ExitCode::SUCCESS
        }
        Ok(Arguments::Run { keep }) => match Stop::on_signals().and_then(|stop| perform(keep, &stop)) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        },
        Err(word) => {
            eprintln!("error: unexpected argument `{word}`\n\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn perform(keep: bool, stop: &Stop) -> Result<ExitCode> {
    let begun = Instant::now();
    // Everything started is stopped when this returns, whichever way.
    match play(keep, stop, begun) {
        Ok(true) => Ok(ExitCode::SUCCESS),
        Ok(false) => Ok(ExitCode::FAILURE),
        // Without its children a row fails, too: the reason is the same.
        Err(_) if stop.asked() => {
            eprintln!("stopped");
            Ok(ExitCode::from(INTERRUPTED))
        }
        Err(error) => Err(error),
    }
}

fn play(keep: bool, stop: &Stop, begun: Instant) -> Result<bool> {
    let mut report = Report::new(stop);
    report.progress("starting five echo servers and `mesh-policy run`");
    let (gateway, mut stage) = Gateway::start()?;
    report.progress("starting an Envoy with mTLS for each of four workloads");
    let workloads = Workloads::start()?;

    report.progress("starting two gateways and three sidecars, with certificates");
    let mesh = Mesh::start()?;

    edge::show(&mut report, &gateway)?;
    mesh::edge::show(&mut report, &mesh)?;
    routing::show(&mut report, &gateway)?;
    mesh::routing::show(&mut report, &mesh)?;
    matching::show(&mut report, &gateway)?;
    resiliency::show(&mut report, &gateway)?;
    faults::show(&mut report, &gateway)?;
    mesh::external::show(&mut report, &mesh)?;
    mesh::security::show(&mut report, &mesh)?;
    authorization::show(&mut report, &workloads)?;

    let table = report.into_table();
    print!("\n{}", table.render(Style::of_stdout()));
    if table.failed() > 0 {
        eprintln!("\nthe last lines of `mesh-policy run`:\n{}", stage.proxy.log_tail());
        eprintln!("\nthose of the mesh:\n{}", mesh.log_tails());
    }
    eprintln!("\n{} in all", seconds(begun.elapsed()));
    if keep {
        print!("{}", curl::examples(&gateway, stage.proxy.admin()?.address(), &mesh, &workloads)?);
        while !stop.asked() {
            if let Some(status) = stage.proxy.ended()? {
                return Err(Error::new(format!(
                    "`mesh-policy run` ended with {status}:\n{}",
                    stage.proxy.log_tail()
                )));
            }
            stop.wait(Duration::from_millis(200));
        }
    }
    Ok(table.is_ok())
}

/// `3.02 s`
fn seconds(time: Duration) -> String {
    format!("{:.2} s", time.as_secs_f64())
}
