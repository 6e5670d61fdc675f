//! `mesh-policy run` as a process.

use std::{
    net::SocketAddr,
    path::Path,
    process::{Command, ExitStatus},
    time::Duration,
};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    Context, Error, Result,
    demo::command,
    envoy::{self, Admin},
    modules::Module,
    process::Process,
    wait,
};

/// What it says last when it is ready.
const READY: &str = "Ctrl-C stops it";
/// Each module takes seconds of computing, and whatever runs beside may compute too.
const READY_WITHIN: Duration = wait::PATIENCE.saturating_mul(4);
const STOPS_WITHIN: Duration = Duration::from_secs(15);
const LOG_LINES: usize = 30;

/// A proxy that follows its files. It ends when it is dropped.
#[derive(Debug)]
pub struct Running {
    process: Process,
    /// After `process`, so that the log goes last.
    _folder: TempDir,
}

impl Running {
    /// Starts it over `resources`, on loopback and with these words besides, and waits until it is ready. It has one worker
    /// and the built modules where the words say nothing of that.
    ///
    /// # Errors
    /// It does not start; the text is what it says.
    pub fn start<W: AsRef<str>>(resources: &Path, words: &[W]) -> Result<Self> {
        let folder = tempfile::tempdir().context("creating a folder for the log")?;
        let mut run = Command::new(command::find()?);
        run.args(["run", "-f"]).arg(resources).args(words.iter().map(AsRef::as_ref));
        let has = |word: &str| words.iter().any(|other| other.as_ref() == word);
        run.args(["--listen-address", "127.0.0.1"]);
        if !has("--concurrency") {
            run.args(["--concurrency", "1"]);
        }
        run.arg("--envoy").arg(envoy::find()?);
        if !has("native") && !has("--modules") {
            let module = Module::Policy.path()?;
            run.arg("--modules").arg(module.parent().context("the folder of the module")?);
        }
        let mut process = Process::start("mesh-policy run", &mut run, &folder.path().join("run.log"))?;
        process.wait_for_log_within(READY, READY_WITHIN)?;
        Ok(Self { process, _folder: folder })
    }

    /// Where a port of its Gateway is served.
    ///
    /// # Errors
    /// It did not announce the port.
    pub fn port(&self, number: u16) -> Result<SocketAddr> {
        announced(&self.log(), &format!("port {number} of the Gateway"))
    }

    /// Envoy's admin interface.
    ///
    /// # Errors
    /// It did not announce it.
    pub fn admin(&self) -> Result<Admin> {
        announced(&self.log(), "admin interface").map(Admin::new)
    }

    /// All it has said, Envoy's log among it.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The end of it.
    pub fn log_tail(&self) -> String {
        self.process.log_tail(LOG_LINES)
    }

    /// How often it has said these words.
    pub fn said(&self, words: &str) -> usize {
        self.log().matches(words).count()
    }

    /// Waits until it has said these words this many times.
    ///
    /// # Errors
    /// It does not; the text ends with all it said.
    pub fn wait_until_said(&self, words: &str, times: usize) -> Result<()> {
        let said = wait::until_true(words, || self.said(words) >= times);
        said.map_err(|error| Error::new(format!("{error}\n{}", self.log())))
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.ended()
    }

    /// The process, for signals and its end.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}

impl Drop for Running {
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
