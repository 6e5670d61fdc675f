//! A running `mesh-policy run`, as people start it.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, ExitStatus},
    time::Duration,
};

use rustix::process::Signal;

use super::command;
use crate::{Error, Result, envoy, envoy::Admin, modules::repository, process::Process, wait};

/// What `mesh-policy run` says last when it is ready.
const READY: &str = "Ctrl-C stops it";
/// Loading a module takes seconds of computing, more than once for each proxy.
const READY_WITHIN: Duration = wait::PATIENCE.saturating_mul(4);
const LOG_LINES: usize = 30;
const STOPS_WITHIN: Duration = Duration::from_secs(15);

/// One proxy. Dropping it stops it and its Envoy.
pub struct Proxy {
    process: Process,
    /// Envoy's admin interface.
    pub admin: Admin,
}

impl Proxy {
    /// Runs it with these words, on loopback, and waits until it is ready; its output goes to `FOLDER/NAME.log`.
    ///
    /// # Errors
    /// It does not get ready; the text says what it said.
    pub fn start(name: &str, resources: &Path, words: &[String], folder: &Path) -> Result<Self> {
        let mut run = Command::new(command::find()?);
        run.arg("run").arg("-f").arg(resources).args(words);
        run.args(["--listen-address", "127.0.0.1", "--admin-port", "0"]);
        run.arg("--envoy").arg(envoy::find()?).arg("--modules").arg(repository().join("dist"));
        let called = format!("`mesh-policy run` of the {name}");
        let mut process = Process::start(&called, &mut run, &folder.join(format!("{name}.log")))?;
        process.wait_for_log_within(READY, READY_WITHIN)?;
        let admin = Admin::new(announced(&process.log(), "admin interface")?);
        Ok(Self { process, admin })
    }

    /// Where a port of its Gateway is served.
    ///
    /// # Errors
    /// It did not announce the port.
    pub fn port(&self, number: u16) -> Result<SocketAddr> {
        announced(&self.process.log(), &format!("port {number} of the Gateway"))
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.ended()
    }

    /// The last lines that it and its Envoy printed.
    pub fn log_tail(&self) -> String {
        self.process.log_tail(LOG_LINES)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // It stops its Envoy first and needs a little longer than a process that only has to end itself. Both fail only
        // where it has ended, and what is left then is done when the process is dropped.
        _ = self.process.signal(Signal::TERM).and_then(|()| self.process.wait(STOPS_WITHIN));
    }
}

/// The address in the line of `mesh-policy run` that says this.
fn announced(log: &str, what: &str) -> Result<SocketAddr> {
    let line = log.lines().find(|line| line.contains("://") && line.contains(what));
    let address = line.and_then(|line| {
        let rest = line.split_once("://")?.1;
        rest.split(['/', ' ']).next()?.parse().ok()
    });
    address.ok_or_else(|| Error::new(format!("`mesh-policy run` announced no address, {what}:\n{log}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_are_read_from_what_run_prints() {
        let log = "ready: Envoy 1.40.0\n  http://127.0.0.1:1234/  port 80 of the Gateway, for a.com\n  \
                   tcp://127.0.0.1:27  port 27017 of the Gateway, for *\n  \
                   http://127.0.0.1:5678/  Envoy's admin interface\n";
        let at = |what| announced(log, what).unwrap().to_string();
        assert_eq!(at("port 80 of the Gateway"), "127.0.0.1:1234");
        assert_eq!(at("port 27017 of the Gateway"), "127.0.0.1:27");
        assert_eq!(at("admin interface"), "127.0.0.1:5678");
        assert!(announced("", "port 80 of the Gateway").is_err());
    }
}
