//! `mesh-policy run` as a process.

use std::{path::Path, process::Command};

use tempfile::TempDir;

use crate::{Context, Error, Result, demo::command, envoy, modules::Module, process::Process, wait};

/// A proxy that follows its files. It ends when it is dropped.
#[derive(Debug)]
pub struct Running {
    process: Process,
    /// After `process`, so that the log goes last.
    _folder: TempDir,
}

impl Running {
    /// Starts it over `resources`, on loopback and with these words besides, and waits until it is ready.
    ///
    /// # Errors
    /// It does not start; the text is what it says.
    pub fn start(resources: &Path, words: &[&str]) -> Result<Self> {
        let folder = tempfile::tempdir().context("creating a folder for the log")?;
        let mut run = Command::new(command::find()?);
        run.args(["run", "-f"]).arg(resources).args(words);
        run.args(["--listen-address", "127.0.0.1", "--concurrency", "1"]);
        run.arg("--envoy").arg(envoy::find()?);
        if !words.contains(&"native") {
            let module = Module::Policy.path()?;
            run.arg("--modules").arg(module.parent().context("the folder of the module")?);
        }
        let mut process = Process::start("mesh-policy run", &mut run, &folder.path().join("run.log"))?;
        // Each module takes seconds of computing, and tests beside this one may compute too.
        wait::until(4 * wait::PATIENCE, "mesh-policy run to be ready", || match process.ended() {
            Ok(None) => process.log().contains("Ctrl-C stops it").then_some(Ok(())),
            Ok(Some(status)) => Some(Err(Error::new(format!("it ended with {status}:\n{}", process.log())))),
            Err(error) => Some(Err(error)),
        })??;
        Ok(Self { process, _folder: folder })
    }

    /// All it has said, Envoy's log among it.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until it has said these words this many times.
    ///
    /// # Errors
    /// It does not; the text ends with all it said.
    pub fn wait_until_said(&self, words: &str, times: usize) -> Result<()> {
        let said = wait::until_true(words, || self.log().matches(words).count() >= times);
        said.map_err(|error| Error::new(format!("{error}\n{}", self.log())))
    }

    /// The process, for signals and its end.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }
}
